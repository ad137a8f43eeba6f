//! Measures the node's own part at 10^4, 10^5, 10^6 … objects, through the namespace engine: what grows with their number.
//!
//! `cargo run --release -p pinfold-store --example growth -- DIR ENGINE OBJECTS`; a table row is printed at each power of
//! ten. Objects of 16 bytes (in their record, then in slabs), 1,000 a directory, 32 writers, every PUT durable; then a
//! checkpoint, an end without closing, and the start after it.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pinfold_store::Result;
use pinfold_store::chunk::WriteOptions;
use pinfold_store::meta::Quiet;
use pinfold_store::namespace::s3_types::{ListRequest, Precondition, PutMeta, PutRequest};
use pinfold_store::namespace::{Namespace, NamespaceConfig};
use pinfold_store::types::{BucketName, Caller, ETag};

const WRITERS: u64 = 32;
const DIRECTORY: u64 = 1_000;
const BUCKET: &str = "growth";
const PAGE: usize = 1_000;
const READS: u64 = 2_000;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, engine, objects] = args.as_slice() else {
        return Err("usage: growth DIR ENGINE OBJECTS | growth DIR ENGINE open".into());
    };
    let mut config = NamespaceConfig::new(Path::new(dir).join(engine));
    config.engine = engine.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    if objects == "open" {
        let began = Instant::now();
        let namespace = Namespace::open(config, &Quiet)?;
        let opened = began.elapsed();
        let page = list(&runtime, &namespace, ListRequest::default())?;
        println!("open after an end without closing: {} s; first page {} µs", seconds(opened), page.as_micros());
        let began = Instant::now();
        namespace.close()?;
        println!("close: {} s", seconds(began.elapsed()));
        return Ok(());
    }
    let objects: u64 = objects.parse()?;
    let namespace = Namespace::open(config, &Quiet)?;
    runtime.block_on(namespace.create_bucket(&caller(), &BucketName::new(BUCKET)?, None))?;
    println!(
        "| objects | PUT µs (CPU) | HEAD µs | first page µs | page at 90 % µs | prefixes µs | checkpoint s | replica MB | \
         log MB | disk MB | resident MB | after the checkpoint |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let (mut filled, mut next) = (0, objects.min(10_000));
    loop {
        let clock = Clock::start();
        fill(&runtime, &namespace, filled, next)?;
        let put = clock.each(next - filled);
        (filled, next) = (next, objects.min(next.saturating_mul(10)));
        row(&runtime, &namespace, filled, &put)?;
        if filled == objects {
            // As `kill -9` would end it: `open` shows what a start costs then.
            std::process::abort();
        }
    }
}

fn caller() -> Caller {
    Caller::worker("growth")
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// Directories in the order of a hash: keys do not come in the order of the listing.
fn key(n: u64) -> String {
    let mixed = (n / DIRECTORY).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    format!("{mixed:06x}-{}/{:04}", n / DIRECTORY, n % DIRECTORY)
}

fn fill(runtime: &tokio::runtime::Runtime, namespace: &Namespace, from: u64, to: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(from));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (namespace, next) = (namespace.clone(), Arc::clone(&next));
            runtime.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= to {
                        return Ok(());
                    }
                    let options = WriteOptions { md5: true, size_hint: Some(16) };
                    let mut writer = namespace.writer(BUCKET, options)?;
                    writer.write(format!("{n:016}").as_bytes())?;
                    let content = writer.finish()?;
                    let etag = ETag(content.md5.map(hex::encode).unwrap_or_default());
                    let (meta, precondition) = (PutMeta::default(), Precondition::default());
                    let request = PutRequest { content, etag, meta, precondition };
                    namespace.put(&caller(), BUCKET, key(n).as_bytes(), request).await?;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for writer in writers {
            writer.await.expect("a writer does not panic")?;
        }
        Ok(())
    })
}

/// The median time of a page.
fn list(runtime: &tokio::runtime::Runtime, namespace: &Namespace, request: ListRequest) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        let page = runtime.block_on(namespace.list(&caller(), BUCKET, ListRequest { max: PAGE, ..request.clone() }))?;
        assert!(!page.items.is_empty(), "a page has items");
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn row(runtime: &tokio::runtime::Runtime, namespace: &Namespace, objects: u64, put: &str) -> Result<()> {
    let mut heads = Vec::new();
    for n in 0..READS {
        let key = key(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % objects);
        let began = Instant::now();
        runtime.block_on(namespace.head(&caller(), BUCKET, key.as_bytes()))?;
        heads.push(began.elapsed());
    }
    heads.sort();
    let first = list(runtime, namespace, ListRequest::default())?;
    // Directories are spread evenly by their first letters.
    let after = format!("{:06x}", (1u64 << 24) * 9 / 10).into_bytes();
    let late = list(runtime, namespace, ListRequest { after, ..ListRequest::default() })?;
    let prefixes = list(runtime, namespace, ListRequest { delimiter: b"/".to_vec(), ..ListRequest::default() })?;
    let resident = resident_mb();
    let began = Instant::now();
    namespace.metadata().checkpoint(&Quiet)?;
    let checkpoint = began.elapsed();
    let disk = |below: &str| disk_bytes(&namespace.config().data_dir.join(below)) >> 20;
    println!(
        "| {objects} | {put} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        heads[heads.len() / 2].as_micros(),
        first.as_micros(),
        late.as_micros(),
        prefixes.as_micros(),
        seconds(checkpoint),
        namespace.metadata().stats()?.store.disk_bytes >> 20,
        disk("log"),
        disk(""),
        resident,
        resident_mb(),
    );
    Ok(())
}

/// Bytes of disk that a folder takes.
fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
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

    fn each(&self, units: u64) -> String {
        let micros = |d: Duration| d.as_secs_f64() * 1e6 / units as f64;
        format!("{:.1} ({:.1})", micros(self.0.elapsed()), micros(cpu().saturating_sub(self.1)))
    }
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Duration::from_millis(fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10)
}
