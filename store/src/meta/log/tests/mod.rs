//! The logs pass the suite; the journal survives what disks and power cuts do, and refuses what it must not survive.

mod crash;
mod faults;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{CommitLog, JournalOptions, LocalJournal, MemoryLog, Recovered};
use crate::error::Result;
use crate::meta::record::Record;
use crate::testkit::{self, sample};

/// Small segments, and no sync unless somebody waits.
fn options(segment_bytes: u64) -> JournalOptions {
    JournalOptions { segment_bytes, commit_interval: Duration::from_secs(3600), ..JournalOptions::default() }
}

fn open(dir: &Path) -> Result<(LocalJournal, Recovered)> {
    LocalJournal::open(dir, options(2048))
}

fn append(log: &LocalJournal, n: u64) -> Record {
    let record = sample::record(&n.to_be_bytes(), Some(&vec![n as u8; (n % 97) as usize]));
    Record::clone(&log.append(record, false).unwrap())
}

fn read_all(log: &LocalJournal, from: u64) -> Result<Vec<Record>> {
    let mut reader = log.read(from)?;
    let mut out = Vec::new();
    loop {
        let batch = reader.next_batch(1 << 20)?;
        if batch.is_empty() {
            return Ok(out);
        }
        out.extend(batch);
    }
}

#[test]
fn memory_log_conforms() {
    testkit::commit_log(|| Arc::new(MemoryLog::new()));
}

#[test]
fn journal_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    for segment_bytes in [512, 4096, 1 << 20] {
        testkit::commit_log(|| {
            count.set(count.get() + 1);
            let dir = dir.path().join(count.get().to_string());
            Arc::new(LocalJournal::open(&dir, options(segment_bytes)).unwrap().0)
        });
    }
}

#[test]
fn reopening_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..20 {
        let (log, recovered) = open(dir.path()).unwrap();
        assert_eq!(recovered.head, expected.len() as u64);
        assert!(recovered.cut.is_none());
        assert_eq!(read_all(&log, 1).unwrap(), expected);
        for n in 0..round {
            expected.push(append(&log, round * 100 + n));
            if n % 3 == 0 {
                log.wait_blocking(log.head()).unwrap();
            }
        }
        // Half of the time without a close: dropping closes as well.
        if round % 2 == 0 {
            log.close().unwrap();
        }
    }
    let (log, recovered) = open(dir.path()).unwrap();
    assert_eq!((recovered.first, recovered.head), (1, 190));
    assert!(log.stats().segments > 3);
    assert!(log.truncate(100).unwrap() > 0);
    assert_eq!(log.truncate(100).unwrap(), 0);
    drop(log);
    let (log, recovered) = open(dir.path()).unwrap();
    assert!(recovered.first > 1 && recovered.first <= 100 && recovered.head == 190);
    assert_eq!(read_all(&log, recovered.first).unwrap(), expected[recovered.first as usize - 1..]);
}

#[test]
fn two_processes_cannot_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, _) = open(dir.path()).unwrap();
    assert_eq!(open(dir.path()).err().map(|e| e.kind()), Some(crate::ErrorKind::Busy));
}

#[test]
fn the_interval_makes_records_durable_that_nobody_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { commit_interval: Duration::from_millis(20), ..options(1 << 16) };
    let (log, _) = LocalJournal::open(dir.path(), options).unwrap();
    let mut follower = log.follow();
    append(&log, 1);
    futures::executor::block_on(follower.wait_for(|p| p.durable == 1)).unwrap();
}

#[test]
fn a_log_may_begin_behind_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { first: 1001, ..options(4096) };
    let (log, recovered) = LocalJournal::open(dir.path(), options.clone()).unwrap();
    assert_eq!((recovered.first, recovered.head), (1001, 1000));
    assert_eq!(append(&log, 1).seq, 1001);
    drop(log);
    let (log, recovered) = LocalJournal::open(dir.path(), options).unwrap();
    assert_eq!((recovered.first, recovered.head), (1001, 1001));
    assert_eq!(log.read(5).err().map(|e| e.kind()), Some(crate::ErrorKind::NotFound));
}

#[test]
fn a_full_queue_holds_appends_back_until_it_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { max_queued_bytes: 1000, ..options(1 << 16) };
    let (log, _) = LocalJournal::open(dir.path(), options).unwrap();
    // Nobody waits and the interval is an hour: only back-pressure makes this end.
    for n in 0..500 {
        append(&log, n);
        assert!(log.stats().queued_bytes < 1000 + 300);
    }
    log.close().unwrap();
    assert_eq!(log.stats().records, 500);
}

#[test]
fn a_record_that_is_too_large_uses_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path()).unwrap();
    let large = sample::record(b"k", Some(&vec![0; super::MAX_RECORD_BYTES]));
    assert_eq!(log.append(large, false).unwrap_err().kind(), crate::ErrorKind::TooLarge);
    assert_eq!(append(&log, 1).seq, 1);
    // Larger than a segment is fine.
    let larger = log.append(sample::record(b"k", Some(&[1; 10_000])), false).unwrap();
    append(&log, 3);
    drop(log);
    let (log, _) = open(dir.path()).unwrap();
    assert_eq!(read_all(&log, 2).unwrap()[0], *larger);
}
