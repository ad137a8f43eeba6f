//! A running node: bodies, back-pressure, failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Bodies, EngineKind, config, open, put};
use crate::ErrorKind;
use crate::error::Error;
use crate::meta::log::fault::{Fault, LogPoint};
use crate::meta::{Metadata, Quiet};
use crate::testkit::sample;

#[test]
fn small_bodies_are_readable_at_once_and_then_in_the_sink() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = Arc::new(Bodies::default());
    let mut config = config(dir.path(), EngineKind::Memory);
    config.apply_interval = Duration::from_secs(3600);
    config.commit_interval = Duration::from_secs(3600);
    let (meta, _) = Metadata::open(config, bodies.clone(), &Quiet).unwrap();
    let cid = sample::raw_cid(b"hello");
    let digest: [u8; 32] = cid.hash().digest().try_into().unwrap();
    assert_eq!(meta.inline_block(&digest), None);
    meta.commit(sample::record_with_block(b"Ea", b"hello")).unwrap();
    meta.commit(sample::record_with_block(b"Eb", b"hello")).unwrap();
    assert_eq!(meta.inline_block(&digest).unwrap(), "hello");
    assert!(bodies.kept.lock().is_empty());
    meta.close().unwrap();
    assert_eq!(meta.inline_block(&digest), None);
    assert_eq!(bodies.kept.lock().get(&cid).unwrap(), b"hello");
    assert_eq!(meta.get(b"Eb").unwrap().unwrap(), b"hello");
}

#[test]
fn a_record_is_not_applied_before_its_body_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = Arc::new(Bodies::default());
    *bodies.failing.lock() = Some(Error::new(ErrorKind::NoSpace, "full"));
    let mut config = config(dir.path(), EngineKind::Memory);
    config.overlay_bytes = 20_000;
    let (meta, _) = Metadata::open(config, bodies.clone(), &Quiet).unwrap();
    let cid = sample::raw_cid(b"body");
    let seq = meta.commit(sample::record_with_block(b"Ea", b"body")).unwrap();
    meta.durable_blocking(seq).unwrap();
    // A full disk holds the applier up; once the overlay is full, committers get the reason instead of hanging.
    let error = loop {
        match meta.commit(sample::record(b"Eb", Some(&[0; 500]))) {
            Ok(seq) => meta.durable_blocking(seq).unwrap(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(meta.stats().unwrap().applied, 0);
    assert_eq!(meta.store().get(b"Ea").unwrap(), None);
    assert_eq!(meta.get(b"Ea").unwrap().unwrap(), b"body");
    // There is room again: everything goes on by itself.
    *bodies.failing.lock() = None;
    meta.settle().unwrap();
    assert_eq!(bodies.kept.lock().get(&cid).unwrap(), b"body");
    assert_eq!(meta.store().get(b"Ea").unwrap().unwrap(), b"body");
    put(&meta, b"Ec", b"x");
}

#[test]
fn the_overlay_is_bounded_and_commits_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), EngineKind::Sled);
    config.overlay_bytes = 50_000;
    config.commit_interval = Duration::from_secs(3600);
    config.apply_interval = Duration::from_secs(3600);
    config.segment_bytes = 1 << 20;
    let (meta, _) = open(&config).unwrap();
    // Nobody waits for anything and all intervals are an hour: only the bound makes this end.
    for n in 0..2000u32 {
        put(&meta, &[b"E".as_slice(), &n.to_be_bytes()].concat(), &[1; 200]);
        assert!(meta.stats().unwrap().overlay_bytes < 52_000);
    }
    assert_eq!(super::rows(&meta).len(), 2000);
    assert!(meta.stats().unwrap().applied > 1000);
}

#[test]
fn a_failed_log_refuses_commits_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let mut config = config(dir.path(), EngineKind::Memory);
    config.overlay_bytes = 10_000;
    config.log_faults = Some({
        let broken = broken.clone();
        Arc::new(move |point| match point {
            LogPoint::SyncGroup if broken.load(Ordering::SeqCst) => Fault::Fail(libc::EIO),
            _ => Fault::None,
        })
    });
    let (meta, _) = open(&config).unwrap();
    let seq = put(&meta, b"Ea", b"1");
    meta.durable_blocking(seq).unwrap();
    broken.store(true, Ordering::SeqCst);
    let seq = put(&meta, b"Eb", b"2");
    assert_eq!(meta.durable_blocking(seq).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(meta.commit(sample::record(b"Ec", None)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(futures::executor::block_on(meta.durable(seq)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(meta.get(b"Ea").unwrap().unwrap(), b"1");
    assert_eq!(meta.head(), 2);
    assert!(meta.close().is_err());
    drop(meta);
    config.log_faults = None;
    let (meta, opened) = open(&config).unwrap();
    assert_eq!(meta.get(b"Ea").unwrap().unwrap(), b"1");
    // Its outcome was unknown; the log tells by number and by request.
    assert_eq!(meta.get(b"Eb").unwrap().is_some(), opened.head == 2);
}

#[test]
fn local_rows_are_not_for_commits() {
    let dir = tempfile::tempdir().unwrap();
    let (meta, _) = open(&config(dir.path(), EngineKind::Memory)).unwrap();
    assert_eq!(meta.commit(sample::record(b"a", Some(b"1"))).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(meta.head(), 0);
    meta.store().apply(&[(b"b1".to_vec(), Some(b"local".to_vec()))]).unwrap();
    assert_eq!(meta.get(b"b1").unwrap().unwrap(), b"local");
}

#[test]
fn closing_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let (meta, _) = open(&config(dir.path(), EngineKind::Sled)).unwrap();
    put(&meta, b"Ea", b"1");
    meta.close().unwrap();
    assert_eq!(meta.stats().unwrap().applied, 1);
    assert_eq!(meta.commit(sample::record(b"Eb", None)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(meta.get(b"Ea").unwrap().unwrap(), b"1");
    meta.durable_blocking(1).unwrap();
    meta.close().unwrap();
}
