//! Disks that fail while the log is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::{append, open, options, read_all};
use crate::ErrorKind;
use crate::meta::log::fault::{Fault, FaultHook, LogPoint};
use crate::meta::log::{CommitLog, JournalOptions, LocalJournal};
use crate::testkit::sample;

/// Fails `point` with the errno in the cell while that is not 0, and counts how often the point was reached.
fn failing(point: LogPoint, short: Option<usize>) -> (FaultHook, Arc<AtomicI32>, Arc<AtomicU64>) {
    let (errno, reached) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicU64::new(0)));
    let hook: FaultHook = {
        let (errno, reached) = (errno.clone(), reached.clone());
        Arc::new(move |at| {
            if at != point {
                return Fault::None;
            }
            reached.fetch_add(1, Ordering::SeqCst);
            match (errno.load(Ordering::SeqCst), short) {
                (0, _) => Fault::None,
                (_, Some(length)) => Fault::Short(length),
                (errno, None) => Fault::Fail(errno),
            }
        })
    };
    (hook, errno, reached)
}

fn fails_for_good(point: LogPoint, short: Option<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let (hook, errno, reached) = failing(point, short);
    let (log, _) = LocalJournal::open(dir.path(), JournalOptions { faults: Some(hook), ..options(2000) }).unwrap();
    let mut records: Vec<_> = (0..3).map(|n| append(&log, n)).collect();
    log.wait_blocking(3).unwrap();
    errno.store(libc::EIO, Ordering::SeqCst);
    // Enough to reach the segment's end as well.
    let mut head = 3;
    let error = loop {
        head += 1;
        assert!(head < 100, "the fault at {point:?} is reached");
        records.push(append(&log, 1));
        if let Err(error) = log.wait_blocking(head) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    errno.store(0, Ordering::SeqCst);
    let before = reached.load(Ordering::SeqCst);
    // The disk is well again, and still nothing is tried.
    for _ in 0..3 {
        assert_eq!(log.append(sample::record(b"k", None), false).unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(log.wait_blocking(head).unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(futures::executor::block_on(log.wait(head)).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(log.seal().is_err() && log.close().is_err());
    log.wait_blocking(head - 1).unwrap();
    assert_eq!(reached.load(Ordering::SeqCst), before);
    assert!(log.follow().borrow().failed.is_some());
    drop(log);
    let (log, recovered) = open(dir.path()).unwrap();
    // What was acknowledged is there; the last record's outcome was unknown.
    assert!(recovered.head == head || recovered.head == head - 1);
    assert_eq!(read_all(&log, 1).unwrap(), records[..recovered.head as usize]);
}

#[test]
fn a_failed_write_ends_it() {
    fails_for_good(LogPoint::WriteGroup, None);
}

#[test]
fn a_short_write_ends_it() {
    for length in [0, 1, 39, 40, 60, 100] {
        fails_for_good(LogPoint::WriteGroup, Some(length));
    }
}

#[test]
fn a_failed_sync_ends_it_and_is_never_tried_again() {
    fails_for_good(LogPoint::SyncGroup, None);
}

#[test]
fn a_failed_fill_ends_it_and_what_was_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (hook, errno, _) = failing(LogPoint::Fill, None);
    let options = JournalOptions { faults: Some(hook), ..options(8 << 20) };
    let (log, _) = LocalJournal::open(dir.path(), options.clone()).unwrap();
    log.append(sample::record(b"k", None), false).unwrap();
    log.wait_blocking(1).unwrap();
    errno.store(libc::EIO, Ordering::SeqCst);
    let mut acked = 1;
    // More than is filled ahead.
    let error = loop {
        assert!(acked < 100, "the fault is reached");
        let appended = log.append(sample::record(b"k", Some(&[7; 50_000])), false);
        match appended.and_then(|record| log.wait_blocking(record.seq)) {
            Ok(()) => acked += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    drop(log);
    let (_, recovered) = LocalJournal::open(dir.path(), JournalOptions { faults: None, ..options }).unwrap();
    assert_eq!(recovered.head, acked);
}

#[test]
fn a_failed_seal_or_name_ends_it() {
    fails_for_good(LogPoint::Seal, None);
    fails_for_good(LogPoint::Seal, Some(13));
    fails_for_good(LogPoint::Name, None);
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (hook, errno, reached) = failing(LogPoint::Preallocate, None);
    let options =
        JournalOptions { faults: Some(hook), commit_interval: std::time::Duration::from_millis(5), ..options(4000) };
    let (log, _) = LocalJournal::open(dir.path(), options).unwrap();
    errno.store(libc::ENOSPC, Ordering::SeqCst);
    let mut count = 0;
    let error = loop {
        assert!(count < 200);
        match log.append(sample::record(b"k", Some(&[1; 50])), false) {
            Ok(record) => {
                count += 1;
                log.wait_blocking(record.seq).unwrap();
            }
            Err(error) => break error,
        }
    };
    // The spare that was made before the disk was full was used up as well.
    assert_eq!((error.kind(), log.head()), (ErrorKind::NoSpace, count));
    assert!(count > 20);
    errno.store(0, Ordering::SeqCst);
    // An idle log tries again by itself.
    let tried = reached.load(Ordering::SeqCst);
    while reached.load(Ordering::SeqCst) < tried + 1 {
        std::thread::yield_now();
    }
    loop {
        match log.append(sample::record(b"k", Some(&[1; 50])), false) {
            Ok(record) => break log.wait_blocking(record.seq).unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace),
        }
    }
    drop(log);
    assert_eq!(open(dir.path()).unwrap().1.head, count + 1);
}
