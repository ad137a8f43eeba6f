//! `pinfold pin`: looks at pins, asks for some, gives them back.

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::ask::ask;
use crate::admin::client::{AdminClient, escape};
use crate::admin::wire;
use crate::cli::Client;
use crate::failure::{ExitCode, Failure};
use crate::output::Output;

/// Pins in one request.
const BATCH: usize = 500;

/// `pin`.
#[derive(Args, Debug)]
pub struct PinArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: PinAction,
}

/// How far a pin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// Not told yet
    Queued,
    /// Peers fetch
    Pinning,
    /// Held
    Pinned,
    /// Failed, to be tried again
    Failing,
    /// Not there in time
    Overdue,
}

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassArg {
    /// Before everything else
    Critical,
    /// As what is written
    Normal,
    /// When there is time
    Background,
}

/// What to do with pins.
#[derive(Subcommand, Debug)]
pub enum PinAction {
    /// List pins, in no order that means anything
    Ls {
        /// Only those that are so
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// So many at most
        #[arg(long, default_value_t = 1000)]
        max: usize,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Show how far a CID's or an object's pin is
    Status {
        /// A CID, or BUCKET/KEY
        #[arg(value_name = "CID|BUCKET/KEY")]
        what: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Ask for pins, whether or not objects have these CIDs
    Add {
        /// CIDs
        #[arg(required = true)]
        cids: Vec<String>,
        /// Class
        #[arg(long, value_enum, default_value = "normal")]
        class: ClassArg,
        /// Name
        #[arg(long)]
        name: Option<String>,
        /// Peers at least; all if it is not given
        #[arg(long, value_name = "NUMBER")]
        min: Option<i32>,
        /// Peers at most
        #[arg(long, value_name = "NUMBER", requires = "min")]
        max: Option<i32>,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Give back pins that were asked for; objects keep theirs
    Rm {
        /// CIDs
        #[arg(required = true)]
        cids: Vec<String>,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Do what a file says: lines `add CID [CLASS]` and `rm CID`; `#` begins a comment
    Batch {
        /// The file; `-` is standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

fn word(value: impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

/// `pinfold pin`.
pub fn pin(action: PinAction) -> Result<(), Failure> {
    match action {
        PinAction::Ls { state, max, client } => ask(&client, async |daemon, out| list(daemon, out, state, max).await),
        PinAction::Status { what, client } => ask(&client, async |daemon, out| status(daemon, out, what).await),
        PinAction::Add { cids, class, name, min, max, client } => ask(&client, async |daemon, out| {
            let pin = |cid: &String| wire::AddPin {
                cid: cid.clone(),
                class: word(class),
                name: name.clone(),
                replication_min: min,
                replication_max: max,
            };
            let mut count = 0;
            for some in cids.chunks(BATCH) {
                let request = wire::AddPins { pins: some.iter().map(pin).collect() };
                count += daemon.post::<wire::PinCount>("/v1/pins", &request).await?.pins;
            }
            out.fields(&wire::PinCount { pins: count }, [("asked for", count.to_string())])
        }),
        PinAction::Rm { cids, client } => ask(&client, async |daemon, out| {
            let mut count = 0;
            for some in cids.chunks(BATCH) {
                let request = wire::RemovePins { cids: some.to_vec() };
                count += daemon.post::<wire::PinCount>("/v1/pins/remove", &request).await?.pins;
            }
            out.fields(&wire::PinCount { pins: count }, [("given back", count.to_string())])
        }),
        PinAction::Batch { file, client } => ask(&client, async |daemon, out| batch(daemon, out, file).await),
    }
}

async fn list(daemon: AdminClient, out: Output, state: Option<StateArg>, max: usize) -> Result<(), Failure> {
    let mut pins: Vec<wire::Pin> = Vec::new();
    let mut from = None;
    while pins.len() < max {
        let mut path = "/v1/pins?".to_owned();
        for (name, value) in [("from", from.take()), ("state", state.and_then(word))] {
            path.extend(value.map(|value: String| format!("{name}={value}&")));
        }
        let page: wire::Pins = daemon.get(path.trim_end_matches(['&', '?'])).await?;
        pins.extend(page.pins);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    pins.truncate(max);
    out.table(&pins, ["CID", "STATE", "PEERS", "ASKED BY", "ERROR"], |pin| {
        let peers = if pin.of > 0 { format!("{} of {}", pin.pinned, pin.of) } else { String::new() };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [pin.cid.clone(), pin.state.clone(), peers, text(&pin.asked_by), text(&pin.error)]
    })
}

async fn status(daemon: AdminClient, out: Output, what: String) -> Result<(), Failure> {
    let cid = match what.split_once('/') {
        None => what,
        Some((bucket, key)) => {
            let path = format!("/v1/object?bucket={}&key={}", escape(bucket), escape(key));
            daemon.get::<wire::Object>(&path).await?.cid
        }
    };
    let pin: wire::Pin = daemon.get(&format!("/v1/pins/{}", escape(&cid))).await?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<i32>| match number {
        None => String::new(),
        Some(-1) => "all".to_owned(),
        Some(number) => number.to_string(),
    };
    let lines = [
        ("cid", pin.cid.clone()),
        ("state", pin.state.clone()),
        ("peers", if pin.of > 0 { format!("{} of {}", pin.pinned, pin.of) } else { String::new() }),
        ("error", text(&pin.error)),
        ("tries", pin.attempts.to_string()),
        ("wanted since", text(&pin.wanted_since)),
        ("name", text(&pin.name)),
        ("at least", number(pin.replication_min)),
        ("at most", number(pin.replication_max)),
        ("asked by", text(&pin.asked_by)),
    ];
    out.fields(&pin, lines)
}

/// Lines of one kind that follow each other go together; nothing of the file is kept beyond that.
async fn batch(daemon: AdminClient, out: Output, file: PathBuf) -> Result<(), Failure> {
    let input: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::io::BufReader::new(
            std::fs::File::open(&file)
                .map_err(|e| Failure::message(ExitCode::Failed, format!("{}: {e}", file.display())))?,
        )),
    };
    let mut done = wire::PinBatch { asked: 0, given_back: 0 };
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for (n, line) in input.lines().enumerate() {
        let line = line?;
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => continue,
            ["add", cid, class @ ..] if class.len() <= 1 => {
                flush(&daemon, &mut Vec::new(), &mut remove, &mut done).await?;
                let class = class.first().map(|class| (*class).to_owned());
                let cid = (*cid).to_owned();
                add.push(wire::AddPin { cid, class, name: None, replication_min: None, replication_max: None });
            }
            ["rm", cid] => {
                flush(&daemon, &mut add, &mut Vec::new(), &mut done).await?;
                remove.push((*cid).to_owned());
            }
            _ => {
                let what = format!("{}: line {} is neither `add CID [CLASS]` nor `rm CID`", file.display(), n + 1);
                return Err(Failure::message(ExitCode::Failed, what));
            }
        }
        if add.len() == BATCH || remove.len() == BATCH {
            flush(&daemon, &mut add, &mut remove, &mut done).await?;
        }
    }
    flush(&daemon, &mut add, &mut remove, &mut done).await?;
    out.fields(&done, [("asked for", done.asked.to_string()), ("given back", done.given_back.to_string())])
}

async fn flush(
    daemon: &AdminClient,
    add: &mut Vec<wire::AddPin>,
    remove: &mut Vec<String>,
    done: &mut wire::PinBatch,
) -> Result<(), Failure> {
    if !add.is_empty() {
        let request = wire::AddPins { pins: std::mem::take(add) };
        done.asked += daemon.post::<wire::PinCount>("/v1/pins", &request).await?.pins;
    }
    if !remove.is_empty() {
        let request = wire::RemovePins { cids: std::mem::take(remove) };
        done.given_back += daemon.post::<wire::PinCount>("/v1/pins/remove", &request).await?.pins;
    }
    Ok(())
}
