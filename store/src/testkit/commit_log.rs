//! What every [`CommitLog`] must do.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::sample::record;
use crate::error::ErrorKind;
use crate::meta::log::{CommitLog, LogReader};
use crate::meta::record::Record;
use crate::types::Id;

/// Runs the suite; `make` gives a new, empty log each time.
pub fn commit_log(make: impl Fn() -> Arc<dyn CommitLog>) {
    numbers_are_dense_from_one(make());
    durable_records_are_read_in_order(make());
    undurable_records_are_not_read(make());
    waiting_is_cancel_safe(make());
    waiting_for_nothing_is_an_error(make());
    requests_are_found(make());
    many_writers_make_one_order(make());
    truncation_keeps_what_is_asked_for(make());
    closing_makes_everything_durable(make());
}

fn append(log: &Arc<dyn CommitLog>, n: u64) -> Record {
    let record = record(&n.to_be_bytes(), Some(b"value"));
    Record::clone(&log.append(record, n.is_multiple_of(2)).unwrap())
}

fn drain(reader: &mut dyn LogReader, max_bytes: usize) -> Vec<Record> {
    let mut out = Vec::new();
    loop {
        let batch = reader.next_batch(max_bytes).unwrap();
        if batch.is_empty() {
            return out;
        }
        out.extend(batch);
    }
}

fn numbers_are_dense_from_one(log: Arc<dyn CommitLog>) {
    assert_eq!((log.head(), log.first()), (0, 1));
    for n in 1..=20 {
        assert_eq!(append(&log, n).seq, n);
        assert_eq!(log.head(), n);
    }
    assert_eq!(log.first(), 1);
}

fn durable_records_are_read_in_order(log: Arc<dyn CommitLog>) {
    let mut early = log.read(1).unwrap();
    assert!(early.next_batch(1000).unwrap().is_empty());
    let mut expected = Vec::new();
    for group in 0..5 {
        expected.extend((0..7).map(|n| append(&log, group * 10 + n)));
        log.wait_blocking(log.head()).unwrap();
        assert_eq!(log.follow().borrow().durable, log.head());
    }
    assert_eq!(drain(&mut *early, 1), expected);
    for max_bytes in [1, 100, 1 << 20] {
        for from in [1, 2, 7, 8, 9, 35] {
            let mut reader = log.read(from).unwrap();
            assert_eq!(drain(&mut *reader, max_bytes), expected[from as usize - 1..], "from {from}");
        }
    }
    // A reader at the end goes on when more comes.
    let more = append(&log, 99);
    log.wait_blocking(more.seq).unwrap();
    assert_eq!(drain(&mut *early, 1), [more]);
}

fn undurable_records_are_not_read(log: Arc<dyn CommitLog>) {
    let first = append(&log, 1);
    log.wait_blocking(1).unwrap();
    let second = append(&log, 2);
    let durable = log.follow().borrow().durable;
    let seen = drain(&mut *log.read(1).unwrap(), 1 << 20);
    // The second may have become durable by itself meanwhile, but never be read before it is.
    let now = log.follow().borrow().durable;
    assert!(seen.len() as u64 >= durable && seen.len() as u64 <= now);
    assert_eq!(seen[0], first);
    log.request_sync(2);
    log.wait_blocking(2).unwrap();
    assert_eq!(drain(&mut *log.read(2).unwrap(), 1 << 20), [second]);
}

fn waiting_is_cancel_safe(log: Arc<dyn CommitLog>) {
    append(&log, 1);
    for _ in 0..3 {
        let mut wait = log.wait(1);
        // Polled once, then dropped.
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    futures::executor::block_on(log.wait(1)).unwrap();
    append(&log, 2);
    futures::executor::block_on(log.wait(2)).unwrap();
    assert_eq!(log.follow().borrow().durable, 2);
}

fn waiting_for_nothing_is_an_error(log: Arc<dyn CommitLog>) {
    assert_eq!(log.wait_blocking(1).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(futures::executor::block_on(log.wait(1)).unwrap_err().kind(), ErrorKind::Internal);
    log.wait_blocking(0).unwrap();
}

fn requests_are_found(log: Arc<dyn CommitLog>) {
    let records: Vec<_> = (0..50).map(|n| append(&log, n)).collect();
    log.wait_blocking(50).unwrap();
    for record in &records {
        assert_eq!(log.find(record.request, 1).unwrap(), Some(record.seq));
    }
    assert_eq!(log.find(records[3].request, 10).unwrap(), None);
    assert_eq!(log.find(Id::random(), 1).unwrap(), None);
}

fn many_writers_make_one_order(log: Arc<dyn CommitLog>) {
    let written: Vec<Record> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|t| {
                let log = log.clone();
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for n in 0..100 {
                        let record = append(&log, t * 1000 + n);
                        if n % 10 == 0 {
                            log.wait_blocking(record.seq).unwrap();
                        }
                        mine.push(record);
                    }
                    mine
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(written.iter().map(|r| r.seq).collect::<HashSet<_>>().len(), 800);
    log.wait_blocking(800).unwrap();
    let read = drain(&mut *log.read(1).unwrap(), 4096);
    assert_eq!(read.iter().map(|r| r.seq).collect::<Vec<_>>(), (1..=800).collect::<Vec<_>>());
    for record in written {
        assert_eq!(read[record.seq as usize - 1], record);
    }
}

fn truncation_keeps_what_is_asked_for(log: Arc<dyn CommitLog>) {
    let mut expected = Vec::new();
    for group in 0..6 {
        expected.extend((0..5).map(|n| append(&log, group * 10 + n)));
        log.wait_blocking(log.head()).unwrap();
        log.seal().unwrap();
    }
    let bytes = log.stats().bytes;
    assert!(log.bytes_since(0) > log.bytes_since(15) && log.bytes_since(15) > 0 && log.bytes_since(30) == 0);
    let freed = log.truncate(18).unwrap();
    assert!(freed > 0 && log.stats().bytes <= bytes - freed);
    let first = log.first();
    assert!((2..=18).contains(&first), "first is {first}");
    assert_eq!(drain(&mut *log.read(first).unwrap(), 100), expected[first as usize - 1..]);
    assert_eq!(log.read(1).err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    // Everything may go; numbers go on.
    log.truncate(31).unwrap();
    let next = append(&log, 1);
    assert_eq!(next.seq, 31);
    log.wait_blocking(31).unwrap();
    assert_eq!(drain(&mut *log.read(31).unwrap(), 100), [next]);
}

fn closing_makes_everything_durable(log: Arc<dyn CommitLog>) {
    for n in 0..10 {
        append(&log, n);
    }
    log.close().unwrap();
    let position = log.follow().borrow().clone();
    assert!(position.closed && position.failed.is_none() && position.durable == 10);
    log.wait_blocking(10).unwrap();
    let refused = log.append(record(b"k", None), false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(log.head(), 10);
    log.close().unwrap();
}
