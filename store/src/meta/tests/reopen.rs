//! Starting again: after a crash, without a replica, with a broken one, with one that does not fit.

use std::fs;

use super::{EngineKind, config, copy, open, put, rows};
use crate::ErrorKind;
use crate::meta::{Layout, schema};

fn key(n: u32) -> Vec<u8> {
    [b"E".as_slice(), &n.to_be_bytes()].concat()
}

fn every_disk_engine(test: impl Fn(EngineKind)) {
    EngineKind::on_disk().iter().for_each(|engine| test(*engine));
}

#[test]
fn a_crash_at_any_time_keeps_what_was_durable() {
    every_disk_engine(|engine| {
        let dir = tempfile::tempdir().unwrap();
        let work = config(&dir.path().join("work"), engine);
        let (meta, opened) = open(&work).unwrap();
        assert!(opened.replica_rebuilt && opened.replayed == 0 && opened.set_aside.is_none());
        for round in 0..6u32 {
            for n in 0..30 {
                put(&meta, &key(n), &(round * 100 + n).to_be_bytes());
            }
            let expected = rows(&meta);
            meta.durable_blocking(meta.head()).unwrap();
            // The applier is somewhere behind.
            let image = dir.path().join(format!("image-{round}"));
            copy(&work.dir, &image);
            let (again, opened) = open(&config(&image, engine)).unwrap();
            assert_eq!(rows(&again), expected, "{engine}, round {round}");
            assert_eq!(opened.head, meta.head());
        }
    });
}

#[test]
fn without_its_replica_nothing_is_lost_but_local_rows() {
    every_disk_engine(|engine| {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), engine);
        let (meta, _) = open(&config).unwrap();
        for n in 0..300 {
            put(&meta, &key(n % 50), &n.to_be_bytes());
        }
        let expected = rows(&meta);
        drop(meta);
        let (meta, opened) = open(&config).unwrap();
        assert!(!opened.replica_rebuilt && opened.replayed == 0);
        drop(meta);
        fs::remove_dir_all(Layout::new(dir.path()).replica()).unwrap();
        let (meta, opened) = open(&config).unwrap();
        assert!(opened.replica_rebuilt && opened.set_aside.is_none());
        assert_eq!((opened.replayed, rows(&meta)), (300, expected));
    });
}

#[test]
fn a_broken_replica_is_set_aside_and_rebuilt() {
    every_disk_engine(|engine| {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), engine);
        let layout = Layout::new(dir.path());
        let (meta, _) = open(&config).unwrap();
        for n in 0..50 {
            put(&meta, &key(n), &n.to_be_bytes());
        }
        let expected = rows(&meta);
        drop(meta);
        for round in 1..=2 {
            // Whatever the engine keeps, make it something else.
            let mut folders = vec![layout.replica().join("data")];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap().flatten() {
                    if entry.path().is_dir() {
                        folders.push(entry.path());
                    } else {
                        fs::write(entry.path(), b"not a database").unwrap();
                    }
                }
            }
            let (meta, opened) = open(&config).unwrap();
            let aside = dir.path().join(format!("replica.damaged-{round}"));
            assert_eq!(opened.set_aside.as_deref(), Some(aside.as_path()), "{engine}");
            assert!(opened.replica_rebuilt && aside.is_dir());
            assert_eq!(rows(&meta), expected);
        }
    });
}

#[test]
fn a_replica_that_was_half_built_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), EngineKind::Sled);
    let (meta, _) = open(&config).unwrap();
    put(&meta, b"Ea", b"1");
    drop(meta);
    fs::remove_file(Layout::new(dir.path()).replica().join("engine")).unwrap();
    let (meta, opened) = open(&config).unwrap();
    assert!(opened.replica_rebuilt);
    assert_eq!(meta.get(b"Ea").unwrap().unwrap(), b"1");
}

#[test]
fn a_replica_that_is_ahead_of_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), EngineKind::Sled);
    let (meta, _) = open(&config).unwrap();
    put(&meta, b"Ea", b"1");
    meta.settle().unwrap();
    meta.store().apply(&[(schema::APPLIED.to_vec(), Some(2u64.to_be_bytes().to_vec()))]).unwrap();
    drop(meta);
    let error = open(&config).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!((error.context("applied"), error.context("log ends at")), (Some("2"), Some("1")));
    // And it stays where it is.
    assert!(Layout::new(dir.path()).replica().exists());
}

#[test]
fn a_replica_without_its_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), EngineKind::Sled);
    drop(open(&config).unwrap());
    fs::remove_dir_all(Layout::new(dir.path()).log()).unwrap();
    let error = open(&config).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.context("help").is_some());
}

#[test]
fn another_engine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, ..] = EngineKind::on_disk() else { return };
    drop(open(&config(dir.path(), *first)).unwrap());
    let error = open(&config(dir.path(), *second)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.context("help").unwrap().contains("convert"));
}
