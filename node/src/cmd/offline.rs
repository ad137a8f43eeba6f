//! Commands on a data directory on which no daemon runs. Each holds the directory while it works.

use pinfold_store::meta::{MetaConfig, Remedy, convert as convert_replica, fsck as check, rebuild as build, repair};

use super::report::{Metadata, Repaired, Report, describe};

use crate::cli::{Client, EngineArg, FsckArgs};
use crate::config::flags::SettingFlags;
use crate::config::{Engine, NodeConfig};
use crate::data_dir::{DataDir, IfMissing};
use crate::doors;
use crate::failure::{ExitCode, Failure};
use crate::output::Output;
use crate::progress::WorkProgress;

/// Holds the data directory, so that no daemon starts meanwhile.
fn hold(client: &Client) -> Result<(DataDir, NodeConfig), Failure> {
    let loaded = SettingFlags::client(client.config.clone(), client.data.clone()).load()?;
    let held = DataDir::take(&loaded.config.data, IfMissing::Refuse)?;
    Ok((held, loaded.config))
}

/// `pinfold fsck`: looks, says what is wrong and what helps, and does that if told to. As JSON it prints one object at
/// the end, whatever the end is.
pub fn fsck(args: &FsckArgs) -> Result<(), Failure> {
    let (_held, config) = hold(&args.client)?;
    let out = Output::new(args.client.json);
    let mut report = Report::default();
    let ended = examine(args, &config, out, &mut report);
    if args.client.json {
        out.fields(&report, [])?;
    }
    ended
}

fn examine(args: &FsckArgs, config: &NodeConfig, out: Output, report: &mut Report) -> Result<(), Failure> {
    let meta = doors::metadata_of(config);
    let bar = WorkProgress::new();
    let mut findings = doors::with_progress(&bar.teller(), |progress| check(&meta, progress))?;
    bar.clear();
    out.say(&describe(&findings))?;
    report.metadata = Metadata::of(&findings);
    if let Some(remedy) = findings.remedy().filter(|remedy| args.repair && *remedy != Remedy::Start) {
        report.repaired = Some(mend(&meta, remedy, args.accept_loss, out)?);
        findings = doors::with_progress(&bar.teller(), |progress| check(&meta, progress))?;
        bar.clear();
        out.say(&describe(&findings))?;
        report.metadata = Metadata::of(&findings);
    }
    let wrong = findings.problems().len();
    // What the next start mends by itself is no reason not to look at the contents, too.
    let in_the_way = wrong > 0 && findings.remedy() != Some(Remedy::Start);
    if args.verify && !in_the_way {
        let contents = report.contents.insert(super::verify::contents(config, out)?);
        if contents.damaged_objects + contents.damaged_blocks > 0 {
            let (objects, blocks) = (contents.damaged_objects, contents.damaged_blocks);
            let message = format!("damaged objects: {objects}, damaged blocks: {blocks}");
            return Err(Failure::message(ExitCode::Failed, message));
        }
    }
    match (wrong, findings.remedy()) {
        (0, _) | (_, Some(Remedy::Start)) => Ok(()),
        _ => Err(Failure::message(ExitCode::Failed, "the metadata needs a repair")),
    }
}

fn mend(meta: &MetaConfig, remedy: Remedy, accept_loss: bool, out: Output) -> Result<Repaired, Failure> {
    let loses = matches!(remedy, Remedy::CutLog | Remedy::NewLogFromCheckpoint);
    if loses && !accept_loss {
        return Err(Failure::message(
            ExitCode::Failed,
            "this repair loses commits: add --accept-loss if that is wanted",
        ));
    }
    let bar = WorkProgress::new();
    let done = doors::with_progress(&bar.teller(), |progress| repair(meta, remedy, progress))?;
    bar.clear();
    for path in &done.aside {
        out.say(&format!("kept aside: {}", path.display()))?;
    }
    if let (Some(from), Some(to)) = (done.lost_from, done.lost_to) {
        out.say(&format!("lost: records {from} to {to}"))?;
    }
    out.say("repaired")?;
    Ok(Repaired { kept_aside: done.aside, lost_from: done.lost_from, lost_to: done.lost_to })
}

/// `pinfold meta convert`.
pub fn convert(to: EngineArg, client: &Client) -> Result<(), Failure> {
    let (_held, config) = hold(client)?;
    let (to, name) = match to {
        EngineArg::Sled => (Engine::Sled, "sled"),
        EngineArg::Fjall => (Engine::Fjall, "fjall"),
    };
    let bar = WorkProgress::new();
    let meta = doors::metadata_of(&config);
    let rows = doors::with_progress(&bar.teller(), |progress| convert_replica(&meta, doors::engine(to), progress))?;
    bar.clear();
    Output::new(client.json).fields(
        &serde_json::json!({ "engine": name, "rows": rows }),
        [("converted", format!("{rows} rows; now set engine = \"{name}\""))],
    )
}

/// `pinfold meta rebuild`.
pub fn rebuild(client: &Client) -> Result<(), Failure> {
    let (_held, config) = hold(client)?;
    let bar = WorkProgress::new();
    let meta = doors::metadata_of(&config);
    let opened = doors::with_progress(&bar.teller(), |progress| build(&meta, progress))?;
    bar.clear();
    Output::new(client.json).fields(
        &serde_json::json!({ "engine": meta.engine.name(), "head": opened.head }),
        [(
            "rebuilt",
            format!("{}; the log's tail up to record {} follows at the next start", meta.engine, opened.head),
        )],
    )
}
