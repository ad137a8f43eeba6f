//! A writer to be killed, or to have its disk taken away, and a judge of what is left.
//!
//! `meta_crash write DIR ACKS ENGINE` commits from eight threads and notes each acknowledged number in the file ACKS,
//! which has to lie on another file system, until it is killed or fails. `meta_crash check DIR ACKS ENGINE` opens what
//! is left and fails unless every acknowledged commit is there, whole, in the replica that was kept and in one that is
//! built anew.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pinfold_store::meta::record::{InlineBlock, Op, Record};
use pinfold_store::meta::{BlockSink, MetaConfig, Metadata, Quiet, Row, rebuild};
use pinfold_store::types::{Caller, Id};

const THREADS: u8 = 8;
/// Rows of one commit: all carry its number.
const KEYS: u8 = 6;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [action, dir, acks, engine] = args.as_slice() else {
        return Err("usage: meta_crash write|check DIR ACKS ENGINE".into());
    };
    let config = MetaConfig {
        engine: engine.parse()?,
        segment_bytes: 1 << 20,
        checkpoint_floor_bytes: 1 << 20,
        apply_interval: Duration::from_millis(5),
        ..MetaConfig::new(dir)
    };
    match action.as_str() {
        "write" => write(config, Path::new(acks)),
        "check" => check(&config, Path::new(acks)),
        _ => Err("write or check".into()),
    }
}

struct NoBodies;

impl BlockSink for NoBodies {
    fn store_blocks(&self, _: &[InlineBlock]) -> pinfold_store::Result<()> {
        Ok(())
    }
}

fn write(config: MetaConfig, acks: &Path) -> Result<(), Failure> {
    let (meta, _) = Metadata::open(config, Arc::new(NoBodies), &Quiet)?;
    let acks = OpenOptions::new().append(true).create(true).open(acks)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (meta, acks) = (&meta, &acks);
                    move || commit_until_it_fails(meta, thread, acks)
                })
            })
            .collect();
        threads.into_iter().for_each(|t| println!("{:?}", t.join().expect("a writer does not panic")));
    });
    Ok(())
}

/// Each commit writes its counter under all keys of the thread and deletes what the one before left.
fn commit_until_it_fails(meta: &Metadata, thread: u8, mut acks: &File) -> Result<(), Failure> {
    let mut counter = match meta.get(&[b'E', thread, 0])? {
        Some(value) => u64::from_be_bytes(value.as_slice().try_into()?),
        None => 0,
    };
    loop {
        counter += 1;
        let mut record = Record::new(Id([1; 16]), &Caller::worker("crash"), SystemTime::now().into(), Op::Put);
        record.rows = (0..KEYS).map(|k| (vec![b'E', thread, k], Some(counter.to_be_bytes().to_vec()))).collect();
        record.rows.push(([&[b'N', thread], counter.to_be_bytes().as_slice()].concat(), Some(vec![7; 300])));
        record.rows.push(([&[b'N', thread], (counter - 1).to_be_bytes().as_slice()].concat(), None));
        let seq = meta.commit(record)?;
        meta.durable_blocking(seq)?;
        // One small append is one piece.
        let mut ack = vec![thread];
        ack.extend_from_slice(&counter.to_be_bytes());
        acks.write_all(&ack)?;
    }
}

fn check(config: &MetaConfig, acks: &Path) -> Result<(), Failure> {
    // None if it was killed before its first commit.
    let bytes = if acks.exists() { std::fs::read(acks)? } else { Vec::new() };
    let mut acked = BTreeMap::new();
    for ack in bytes.chunks_exact(9) {
        acked.insert(ack[0], u64::from_be_bytes(ack[1..].try_into()?));
    }
    let (meta, opened) = Metadata::open(config.clone(), Arc::new(NoBodies), &Quiet)?;
    let kept = judge(&meta, &acked)?;
    meta.close()?;
    drop(meta);
    rebuild(config, &Quiet)?;
    let (meta, _) = Metadata::open(config.clone(), Arc::new(NoBodies), &Quiet)?;
    if judge(&meta, &acked)? != kept {
        return Err("the rebuilt replica differs".into());
    }
    println!(
        "{} commits acknowledged, head {}, replayed {}, cut {}, set aside {}",
        bytes.len() / 9,
        opened.head,
        opened.replayed,
        opened.log_cut.is_some(),
        opened.set_aside.is_some()
    );
    Ok(())
}

fn judge(meta: &Metadata, acked: &BTreeMap<u8, u64>) -> Result<Vec<Row>, Failure> {
    let rows = meta.range(b"", b"a", usize::MAX)?;
    for thread in 0..THREADS {
        let mine: Vec<_> = rows.iter().filter(|(key, _)| key[..2] == [b'E', thread]).collect();
        let counter = mine.first().map_or(Ok(0), |(_, value)| value.as_slice().try_into().map(u64::from_be_bytes))?;
        if mine.iter().any(|(_, value)| value.as_slice() != counter.to_be_bytes())
            || ![0, KEYS as usize].contains(&mine.len())
        {
            return Err(format!("a commit of thread {thread} is torn: {mine:?}").into());
        }
        let expected = acked.get(&thread).copied().unwrap_or(0);
        if counter < expected {
            return Err(format!("thread {thread} was told {expected}, and there is {counter}").into());
        }
        let last: Vec<_> =
            rows.iter().filter(|(key, _)| key[..2] == [b'N', thread]).map(|(key, _)| &key[2..]).collect();
        if counter > 0 && last != [counter.to_be_bytes()] {
            return Err(format!("thread {thread} at {counter} has left {last:?}").into());
        }
    }
    Ok(rows)
}
