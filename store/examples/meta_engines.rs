//! Measures the metadata engines side by side: what the choice of the second disk engine rests on.
//!
//! `cargo run --release -p pinfold-store --example meta_engines -- DIR ENGINE load [ROWS]`, then with `reopen` in
//! place of `load`. `load` ends with an abort, so that `reopen` sees what a crash leaves. `commits` measures durable
//! commits through log, overlay and replica instead.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pinfold_store::meta::engine::{EngineKind, EngineOptions};
use pinfold_store::meta::record::{InlineBlock, Op, Record};
use pinfold_store::meta::{BlockSink, MetaConfig, MetaStore, Metadata, Quiet, RowChange};
use pinfold_store::types::{Caller, Id};

const DEFAULT_ROWS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, engine, phase, rest @ ..] = args.as_slice() else {
        return Err("usage: meta_engines DIR ENGINE load|reopen|commits [ROWS]".into());
    };
    let kind: EngineKind = engine.parse()?;
    let rows: u64 = rest.first().map_or(Ok(DEFAULT_ROWS), |n| n.parse())?;
    let dir = Path::new(dir).join(engine);
    if phase == "commits" {
        return Ok(commits(&dir, kind)?);
    }
    let clock = Clock::start();
    let store = kind.open(&dir, &EngineOptions::default())?;
    match phase.as_str() {
        "load" => {
            load(&store, rows)?;
            println!("{engine}: aborting");
            std::process::abort();
        }
        "reopen" => {
            store.get(&key(1, rows))?;
            println!("{engine}: open and first get {clock}, resident {} MB", resident_mb());
            reads(&store, rows)?;
            let clock = Clock::start();
            drop(store);
            println!("{engine}: close {clock}");
            let clock = Clock::start();
            let store = kind.open(&dir, &EngineOptions::default())?;
            store.get(&key(1, rows))?;
            println!("{engine}: open after a clean close {clock}");
            Ok(())
        }
        _ => Err("load, reopen or commits".into()),
    }
}

/// Nobody needs small bodies here.
struct NoBodies;

impl BlockSink for NoBodies {
    fn store_blocks(&self, _: &[InlineBlock]) -> pinfold_store::Result<()> {
        Ok(())
    }
}

/// Commits of three rows, each waited for.
fn commits(dir: &Path, engine: EngineKind) -> pinfold_store::Result<()> {
    const COMMITS: u64 = 20_000;
    let config = MetaConfig { engine, ..MetaConfig::new(dir) };
    let (meta, _) = Metadata::open(config, Arc::new(NoBodies), &Quiet)?;
    let next = AtomicU64::new(0);
    for threads in [1, 8, 32] {
        let commits = if threads == 1 { COMMITS / 10 } else { COMMITS };
        let clock = Clock::start();
        let end = next.load(Ordering::Relaxed) + commits;
        let times = std::thread::scope(|scope| {
            let work = || -> pinfold_store::Result<Vec<Duration>> {
                let mut times = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= end {
                        return Ok(times);
                    }
                    let begun = Instant::now();
                    let mut record =
                        Record::new(Id([1; 16]), &Caller::worker("bench"), SystemTime::now().into(), Op::Put);
                    record.rows = (0..3).map(|k| (key(n * 3 + k, 1 << 20), Some(value(n)))).collect();
                    let seq = meta.commit(record)?;
                    meta.durable_blocking(seq)?;
                    times.push(begun.elapsed());
                }
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let results = threads.into_iter().map(|t| t.join().expect("a writer does not panic"));
            results.collect::<pinfold_store::Result<Vec<_>>>()
        })?;
        next.store(end, Ordering::Relaxed);
        let mut times = times.concat();
        times.sort();
        let stats = meta.stats()?;
        println!(
            "{engine}: {threads} threads, {commits} durable commits of 3 rows: {}; p50 {:?}, p99 {:?}; {} behind",
            clock.per(commits),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            stats.head - stats.applied
        );
    }
    let clock = Clock::start();
    meta.settle()?;
    println!("{engine}: settled after {clock}");
    meta.close()
}

fn load(store: &Arc<dyn MetaStore>, rows: u64) -> pinfold_store::Result<()> {
    let engine = store.engine();
    let clock = Clock::start();
    fill(store, rows, 0, 10)?;
    println!(
        "{engine}: {rows} rows in random order, batches of 100, a flush every 10: {}; disk {} MB, resident {} MB",
        clock.per(rows),
        disk_mb(store)?,
        resident_mb()
    );
    for (keys, rounds) in [(3, 1000), (100, 300)] {
        let mut times = Vec::new();
        let clock = Clock::start();
        for round in 0..rounds {
            let begun = Instant::now();
            let batch: Vec<RowChange> = (0..keys).map(|n| (key(round * keys + n, rows), Some(value(round)))).collect();
            store.apply(&batch)?;
            store.flush()?;
            times.push(begun.elapsed());
        }
        times.sort();
        println!(
            "{engine}: {rounds} durable commits of {keys} keys: {}; p50 {:?}, p99 {:?}",
            clock.per(rounds),
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
    }
    reads(store, rows)?;
    let clock = Clock::start();
    fill(store, rows, 1, 10)?;
    println!(
        "{engine}: all rows overwritten: {}; disk {} MB, resident {} MB",
        clock.per(rows),
        disk_mb(store)?,
        resident_mb()
    );
    let clock = Clock::start();
    let gone = rows * 9 / 10;
    for from in (0..gone).step_by(100) {
        let batch: Vec<RowChange> = (from..(from + 100).min(gone)).map(|n| (key(n, rows), None)).collect();
        store.apply(&batch)?;
        if from % 1000 == 0 {
            store.flush()?;
        }
    }
    store.flush()?;
    println!(
        "{engine}: nine tenths deleted: {}; disk {} MB, resident {} MB",
        clock.per(gone),
        disk_mb(store)?,
        resident_mb()
    );
    let clock = Clock::start();
    fill(store, rows, 2, 10)?;
    println!("{engine}: filled again: {}; disk {} MB, resident {} MB", clock.per(rows), disk_mb(store)?, resident_mb());
    Ok(())
}

/// Writes all rows, each once, in an order that looks random.
fn fill(store: &Arc<dyn MetaStore>, rows: u64, round: u64, flush_every: u64) -> pinfold_store::Result<()> {
    for from in (0..rows).step_by(100) {
        let batch: Vec<RowChange> =
            (from..(from + 100).min(rows)).map(|n| (key(n, rows), Some(value(n + round)))).collect();
        store.apply(&batch)?;
        if from / 100 % flush_every == 0 {
            store.flush()?;
        }
    }
    store.flush()
}

fn reads(store: &Arc<dyn MetaStore>, rows: u64) -> pinfold_store::Result<()> {
    const GETS: u64 = 200_000;
    const SCANS: u64 = 200;
    let engine = store.engine();
    let clock = Clock::start();
    let mut found = 0;
    for n in 0..GETS {
        found += u64::from(store.get(&key(mix(n) % rows, rows))?.is_some());
    }
    println!("{engine}: {GETS} random gets, {found} found: {}", clock.per(GETS));
    let clock = Clock::start();
    let mut seen = 0;
    for n in 0..SCANS {
        seen += store.range(&key(mix(n) % rows, rows), &[0xff], 1000)?.len();
    }
    println!("{engine}: {SCANS} scans of 1,000, {seen} rows: {}; resident {} MB", clock.per(SCANS), resident_mb());
    Ok(())
}

/// About 60 bytes as an entry's key: directory, name. The n-th key of a permutation of all.
fn key(n: u64, rows: u64) -> Vec<u8> {
    // An odd factor permutes modulo a power of two; fold what lies above.
    let bits = 64 - rows.leading_zeros();
    let mask = (1 << bits) - 1;
    let place = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask;
    let mut key = vec![b'E'];
    key.extend_from_slice(&mix(place >> 10).to_be_bytes());
    key.extend_from_slice(&mix(place >> 10).to_le_bytes());
    key.extend_from_slice(format!("some-longer-object-name-{place:012}.jpeg").as_bytes());
    key
}

/// 200 bytes, half of which cannot be compressed.
fn value(n: u64) -> Vec<u8> {
    let mut value = vec![b'v'; 100];
    (0..13).for_each(|k| value.extend_from_slice(&mix(n * 13 + k).to_le_bytes()));
    value.truncate(200);
    value
}

fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn disk_mb(store: &Arc<dyn MetaStore>) -> pinfold_store::Result<u64> {
    Ok(store.stats()?.disk_bytes >> 20)
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}

/// Wall-clock and processor time, all threads.
struct Clock(Instant, Duration);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn per(&self, units: u64) -> String {
        let (wall, cpu) = (self.0.elapsed(), cpu() - self.1);
        let each = |d: Duration| d.as_secs_f64() * 1e6 / units as f64;
        format!("{:.1} s, each {:.1} µs ({:.1} µs of processor)", wall.as_secs_f64(), each(wall), each(cpu))
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} s", self.0.elapsed().as_secs_f64())
    }
}

/// User and system time of all threads, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Duration::from_millis(fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10)
}
