//! The requests of a run and what they took.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ring::digest;

use crate::Failure;
use crate::body::{Bodies, next};
use crate::client::{Answer, Client, find};
use crate::cpu;
use crate::sign::{EMPTY, Signer, UNSIGNED};

/// Bodies up to this size are compared whenever they are read, longer ones the first time on each connection.
const ALWAYS_COMPARED: usize = 64 << 10;

struct Plan {
    server: String,
    bucket: String,
    prefix: String,
    op: Op,
    bodies: Bodies,
    signed: bool,
    compare: bool,
    connections: usize,
    seconds: Duration,
    /// Requests in all.
    requests: u64,
    /// First key, and how many there are.
    first: u64,
    keys: u64,
    start_after: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Put,
    Get,
    Head,
    Delete,
    List,
    MakeBucket,
}

impl Op {
    fn parse(word: &str) -> Result<Self, Failure> {
        Ok(match word {
            "put" => Self::Put,
            "get" => Self::Get,
            "head" => Self::Head,
            "delete" => Self::Delete,
            "list" => Self::List,
            "make-bucket" => Self::MakeBucket,
            _ => return Err(format!("no such operation: {word}").into()),
        })
    }

    fn method(self) -> &'static str {
        match self {
            Self::Put | Self::MakeBucket => "PUT",
            Self::Get | Self::List => "GET",
            Self::Head => "HEAD",
            Self::Delete => "DELETE",
        }
    }
}

struct State {
    plan: Plan,
    signer: RefCell<Signer>,
    taken: Cell<u64>,
    until: Cell<Instant>,
    random: Cell<u64>,
    latencies: RefCell<Vec<u32>>,
    bytes: Cell<u64>,
    listed: Cell<usize>,
}

/// Runs what the options say and prints the result.
pub(crate) fn run(options: &[&str]) -> Result<(), Failure> {
    let (pairs, rest) = options.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("options come as --NAME VALUE".into());
    }
    let given: HashMap<&str, &str> =
        pairs.iter().map(|[name, value]| (name.trim_start_matches("--"), *value)).collect();
    let word = |name: &str, default: &str| given.get(name).copied().unwrap_or(default).to_owned();
    let number = |name: &str, default: u64| given.get(name).map_or(Ok(default), |value| value.parse::<u64>());
    let plan = Plan {
        server: word("server", "127.0.0.1:9000"),
        bucket: word("bucket", "bench"),
        prefix: word("prefix", ""),
        op: Op::parse(&word("op", "get"))?,
        bodies: Bodies::new(number("size", 4096)? as usize, number("seed", 0)?),
        signed: word("payload", "unsigned") == "signed",
        compare: word("compare", "yes") == "yes",
        connections: number("connections", 1)? as usize,
        seconds: Duration::from_secs_f64(word("seconds", "3600").parse()?),
        requests: number("requests", u64::MAX)?,
        first: number("first", 0)?,
        keys: number("keys", u64::MAX)?,
        start_after: word("start-after", ""),
    };
    let pid = given.get("pid").map(|pid| pid.parse::<u32>()).transpose()?;
    let signer = RefCell::new(Signer::new(&word("access", "bench"), &word("secret", "bench-secret")));
    let state = Rc::new(State {
        signer,
        plan,
        taken: Cell::new(0),
        until: Cell::new(Instant::now()),
        random: Cell::new(std::process::id().into()),
        latencies: RefCell::default(),
        bytes: Cell::new(0),
        listed: Cell::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, measure(state, pid))
}

async fn measure(state: Rc<State>, pid: Option<u32>) -> Result<(), Failure> {
    let mut clients = Vec::new();
    for _ in 0..state.plan.connections {
        clients.push(Client::connect(&state.plan.server).await?);
    }
    let own = std::process::id();
    let before = (pid.map(cpu::used_us), cpu::used_us(own));
    let started = Instant::now();
    state.until.set(started + state.plan.seconds);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let state = Rc::clone(&state);
            tokio::task::spawn_local(async move { work(&state, client).await.map_err(|error| error.to_string()) })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let mut latencies = state.latencies.take();
    latencies.sort_unstable();
    let requests = latencies.len();
    if requests == 0 {
        return Err("no request was made".into());
    }
    let at = |share: f64| latencies[((requests as f64 * share) as usize).min(requests - 1)];
    let each = |now: u64, then: u64| (now.saturating_sub(then)) as f64 / requests as f64;
    let server = pid.zip(before.0).map_or(-1.0, |(pid, then)| each(cpu::used_us(pid), then));
    println!(
        "{{\"requests\": {requests}, \"seconds\": {elapsed:.4}, \"rate\": {:.2}, \"p50_us\": {}, \"p99_us\": {}, \
         \"bytes_rate\": {:.0}, \"server_us\": {server:.2}, \"client_us\": {:.2}, \"listed\": {}}}",
        requests as f64 / elapsed,
        at(0.5),
        at(0.99),
        state.bytes.get() as f64 / elapsed,
        each(cpu::used_us(own), before.1),
        state.listed.get(),
    );
    Ok(())
}

/// One connection's requests, one after the other.
async fn work(state: &State, mut client: Client) -> Result<(), Failure> {
    let plan = &state.plan;
    let mut compared = false;
    loop {
        let turn = state.taken.get();
        let over = matches!(plan.op, Op::Put | Op::Delete) && turn >= plan.keys;
        if over || turn >= plan.requests || Instant::now() >= state.until.get() {
            return Ok(());
        }
        state.taken.set(turn + 1);
        let key = match plan.op {
            Op::Get | Op::Head => {
                let mut random = state.random.get();
                let drawn = next(&mut random) % plan.keys;
                state.random.set(random);
                plan.first + drawn
            }
            _ => plan.first + turn,
        };
        let compare = plan.op == Op::Get && plan.compare && (!compared || plan.bodies.size() <= ALWAYS_COMPARED);
        let started = Instant::now();
        let answer = ask(state, &mut client, key, compare).await?;
        state.latencies.borrow_mut().push(started.elapsed().as_micros() as u32);
        check(state, key, &answer, compare)?;
        compared |= compare;
    }
}

async fn ask(state: &State, client: &mut Client, key: u64, compare: bool) -> Result<Answer, Failure> {
    let plan = &state.plan;
    let (bucket, prefix) = (&plan.bucket, &plan.prefix);
    let (path, query) = match plan.op {
        Op::MakeBucket => (format!("/{bucket}"), String::new()),
        Op::List => {
            let after = plan.start_after.replace('/', "%2F");
            let after = if after.is_empty() { after } else { format!("&start-after={after}") };
            (format!("/{bucket}"), format!("list-type=2&max-keys=1000{after}"))
        }
        _ => (format!("/{bucket}/{prefix}{key:08}"), String::new()),
    };
    let method = plan.op.method();
    let body = (plan.op == Op::Put).then_some((&plan.bodies, key));
    let payload = match body {
        None => EMPTY.to_owned(),
        Some(_) if !plan.signed => UNSIGNED.to_owned(),
        Some((bodies, key)) => {
            let mut hash = digest::Context::new(&digest::SHA256);
            for (stamp, noise) in bodies.pieces(key) {
                hash.update(&stamp[..stamp.len().min(bodies.size())]);
                hash.update(noise);
            }
            hex::encode(hash.finish())
        }
    };
    let signed = state.signer.borrow_mut().headers(method, &plan.server, &path, &query, &payload)?;
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    let length = match method {
        "PUT" => format!("content-length: {}\r\n", body.map_or(0, |(bodies, _)| bodies.size())),
        _ => String::new(),
    };
    let head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n{signed}{length}\r\n", plan.server);
    client.send(&head, body).await?;
    client.answer(plan.op == Op::Head, compare || plan.op == Op::List).await
}

fn check(state: &State, key: u64, answer: &Answer, compare: bool) -> Result<(), Failure> {
    let plan = &state.plan;
    if answer.status >= 300 {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return Err(format!("{} of key {key}: {} {text}", plan.op.method(), answer.status).into());
    }
    match plan.op {
        Op::Get | Op::Head if answer.length != plan.bodies.size() => {
            return Err(format!("key {key}: {} bytes in place of {}", answer.length, plan.bodies.size()).into());
        }
        Op::Get if compare && !plan.bodies.is(key, &answer.body) => {
            return Err(format!("key {key}: other bytes than were put").into());
        }
        Op::Get => state.bytes.set(state.bytes.get() + answer.length as u64),
        Op::Put => state.bytes.set(state.bytes.get() + plan.bodies.size() as u64),
        Op::List => {
            let (mut rest, mut keys) = (answer.body.as_slice(), 0);
            while let Some(at) = find(rest, b"<Key>") {
                rest = &rest[at + 5..];
                keys += 1;
            }
            state.listed.set(keys);
        }
        _ => {}
    }
    Ok(())
}
