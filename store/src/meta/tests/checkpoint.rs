//! Checkpoint and replay give the same as full replay and as the live replica, whenever the checkpoint was taken.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{EngineKind, config, copy, open, put, rows};
use crate::ErrorKind;
use crate::meta::checkpoint::{Reader, latest, verify};
use crate::meta::{Layout, MetaConfig, Metadata, Quiet, Row};
use crate::testkit::sample;

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One commit of a few changes of a few keys; deletions too.
fn commit(meta: &Metadata, dice: &mut Dice, n: u64) {
    let mut record = sample::record(b"E", None);
    record.rows.clear();
    for _ in 0..1 + dice.roll(5) {
        let key = [b"EDIN".as_slice()[dice.roll(4) as usize], dice.roll(20) as u8, dice.roll(3) as u8].to_vec();
        record.rows.push((key, (dice.roll(3) > 0).then(|| n.to_be_bytes().repeat(1 + dice.roll(4) as usize))));
    }
    meta.commit(record).unwrap();
}

/// The rows that a copy of the folder gives after `change`.
fn rebuilt(base: &MetaConfig, change: impl Fn(&Layout)) -> Vec<Row> {
    let dir = tempfile::tempdir().unwrap();
    copy(&base.dir, dir.path());
    change(&Layout::new(dir.path()));
    let (meta, opened) = open(&MetaConfig { dir: dir.path().to_owned(), ..base.clone() }).unwrap();
    assert!(opened.replica_rebuilt);
    rows(&meta)
}

fn forget_replica(layout: &Layout) {
    fs::remove_dir_all(layout.replica()).unwrap();
}

#[test]
fn checkpoint_and_replay_equal_full_replay_and_the_live_replica() {
    for (seed, engine) in (0..6).flat_map(|seed| EngineKind::on_disk().iter().map(move |e| (seed, *e))) {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), engine);
        let (meta, _) = open(&config).unwrap();
        // Holds the whole log, so that full replay stays possible.
        meta.set_cursor("all", 0).unwrap();
        let mut dice = Dice(seed);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Checkpoints while commits go on: each scan sees the rows of different moments.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    meta.checkpoint(&Quiet).unwrap();
                }
            });
            for n in 0..400 {
                commit(&meta, &mut dice, n);
                if dice.roll(40) == 0 {
                    meta.settle().unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let info = meta.last_checkpoint().unwrap();
        meta.settle().unwrap();
        let live = rows(&meta);
        assert_eq!(rebuilt(&config, forget_replica), live, "{engine}, seed {seed}, {info:?}");
        let full = rebuilt(&config, |layout| {
            forget_replica(layout);
            fs::remove_dir_all(layout.checkpoints()).unwrap();
        });
        assert_eq!(full, live, "{engine}, seed {seed}");
    }
}

#[test]
fn old_segments_go_and_the_rest_is_enough() {
    for engine in [EngineKind::Sled, EngineKind::Memory] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), engine);
        let (meta, _) = open(&config).unwrap();
        let mut dice = Dice(5);
        for round in 0..4 {
            for n in 0..200 {
                commit(&meta, &mut dice, round * 1000 + n);
            }
            meta.settle().unwrap();
            let before = meta.stats().unwrap().log.bytes;
            let info = meta.checkpoint(&Quiet).unwrap();
            assert_eq!((info.began, info.ended), (meta.head(), meta.head()));
            assert!(meta.stats().unwrap().log.bytes < before / 10);
            assert_eq!(meta.log().first(), info.began + 1);
            assert_eq!(fs::read_dir(Layout::new(dir.path()).checkpoints()).unwrap().count(), 1);
            commit(&meta, &mut dice, 1);
            commit(&meta, &mut dice, 2);
            let expected = rows(&meta);
            meta.durable_blocking(meta.head()).unwrap();
            let image = tempfile::tempdir().unwrap();
            copy(dir.path(), image.path());
            let _ = fs::remove_dir_all(Layout::new(image.path()).replica());
            let (other, opened) = open(&MetaConfig { dir: image.path().to_owned(), ..config.clone() }).unwrap();
            assert_eq!((rows(&other), opened.replayed), (expected, 2));
        }
    }
}

#[test]
fn consumers_hold_the_log_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), EngineKind::Memory);
    let (meta, _) = open(&config).unwrap();
    for n in 0..600u32 {
        let seq = put(&meta, b"Ea", &n.to_be_bytes());
        if n % 10 == 0 {
            meta.durable_blocking(seq).unwrap();
        }
    }
    meta.set_cursor("pins", 250).unwrap();
    meta.set_cursor("audit", 400).unwrap();
    meta.settle().unwrap();
    meta.checkpoint(&Quiet).unwrap();
    let first = meta.log().first();
    assert!(first > 1 && first <= 251, "{first}");
    assert_eq!(meta.log().read(251).unwrap().next_batch(1).unwrap()[0].seq, 251);
    // They are known after a crash, without a close.
    let image = tempfile::tempdir().unwrap();
    copy(dir.path(), image.path());
    let (other, _) = open(&MetaConfig { dir: image.path().to_owned(), ..config.clone() }).unwrap();
    assert_eq!((other.cursor("pins"), other.cursor("audit"), other.cursor("?")), (Some(250), Some(400), None));
    meta.set_cursor("pins", 600).unwrap();
    meta.remove_cursor("audit");
    meta.checkpoint(&Quiet).unwrap();
    assert_eq!(meta.log().first(), 601);
    meta.close().unwrap();
    drop(meta);
    let (meta, _) = open(&config).unwrap();
    assert_eq!((meta.cursor("pins"), meta.cursor("audit")), (Some(600), None));
}

#[test]
fn a_checkpoint_is_made_by_itself_when_the_log_has_grown() {
    let dir = tempfile::tempdir().unwrap();
    let config = MetaConfig { checkpoint_floor_bytes: 100_000, ..config(dir.path(), EngineKind::Sled) };
    let (meta, _) = open(&config).unwrap();
    // Ten times the floor, over and over the same rows.
    for n in 0..5000u32 {
        put(&meta, &[b'E', n as u8], &[1; 100]);
        if n % 100 == 0 {
            meta.settle().unwrap();
        }
    }
    while meta.last_checkpoint().is_none() || meta.stats().unwrap().log.bytes > 900_000 {
        put(&meta, b"Ea", &[1; 100]);
        meta.settle().unwrap();
    }
    let expected = rows(&meta);
    drop(meta);
    forget_replica(&Layout::new(dir.path()));
    let (meta, opened) = open(&config).unwrap();
    assert!(opened.replayed < opened.head);
    assert_eq!(rows(&meta), expected);
}

fn node_with_checkpoint(dir: &Path, keep_log: bool) -> (MetaConfig, Vec<Row>) {
    let config = config(dir, EngineKind::Sled);
    let (meta, _) = open(&config).unwrap();
    if keep_log {
        meta.set_cursor("all", 0).unwrap();
    }
    for n in 0..300u32 {
        put(&meta, &[b"E".as_slice(), &n.to_be_bytes()].concat(), &[n as u8; 30]);
    }
    meta.settle().unwrap();
    meta.checkpoint(&Quiet).unwrap();
    put(&meta, b"Ez", b"after");
    let rows = rows(&meta);
    (config, rows)
}

#[test]
fn every_flipped_byte_of_a_checkpoint_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    node_with_checkpoint(dir.path(), true);
    let info = latest(&Layout::new(dir.path()).checkpoints()).unwrap().unwrap();
    let whole = verify(&info.path, &Quiet).unwrap();
    assert_eq!((whole.rows, whole.began, whole.bytes), (300, 300, fs::metadata(&info.path).unwrap().len()));
    let original = fs::read(&info.path).unwrap();
    for at in 0..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 4;
        fs::write(&info.path, bytes).unwrap();
        let error = verify(&info.path, &Quiet).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
        assert!(error.context("position").is_some() && error.context("checkpoint").is_some(), "byte {at}: {error}");
    }
    for length in (0..original.len()).step_by(61) {
        fs::write(&info.path, &original[..length]).unwrap();
        assert_eq!(verify(&info.path, &Quiet).unwrap_err().kind(), ErrorKind::Corrupt, "length {length}");
    }
    // Rows in another order, well checksummed, are no checkpoint either.
    fs::write(&info.path, &original).unwrap();
    let mut reader = Reader::open(&info.path).unwrap();
    let rows = reader.next_block().unwrap().unwrap();
    assert!(rows.windows(2).all(|w| w[0].0 < w[1].0));
    let mut writer = crate::meta::checkpoint::Writer::begin(dir.path(), 9).unwrap();
    writer.push(b"Eb", b"").unwrap();
    writer.push(b"Ea", b"").unwrap();
    assert_eq!(writer.finish(9, &Quiet, &|| Ok(())).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!dir.path().join("checkpoint.tmp").exists());
}

#[test]
fn a_damaged_checkpoint_is_replaced_while_the_replica_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node_with_checkpoint(dir.path(), false);
    let path = latest(&Layout::new(dir.path()).checkpoints()).unwrap().unwrap().path;
    fs::write(&path, b"gone").unwrap();
    let (meta, opened) = open(&config).unwrap();
    assert!(!opened.replica_rebuilt && meta.last_checkpoint().is_none());
    meta.checkpoint(&Quiet).unwrap();
    drop(meta);
    forget_replica(&Layout::new(dir.path()));
    assert_eq!(rows(&open(&config).unwrap().0), expected);
}

#[test]
fn a_damaged_checkpoint_without_a_replica() {
    for keep_log in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (config, expected) = node_with_checkpoint(dir.path(), keep_log);
        let layout = Layout::new(dir.path());
        let path = latest(&layout.checkpoints()).unwrap().unwrap().path;
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        forget_replica(&layout);
        match open(&config) {
            // The whole log does without it.
            Ok((meta, _)) => assert!(keep_log && rows(&meta) == expected),
            Err(error) => assert!(!keep_log && error.kind() == ErrorKind::Corrupt, "{error}"),
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    // A log that ends before what the checkpoint has seen.
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = node_with_checkpoint(dir.path(), false);
    let other = tempfile::tempdir().unwrap();
    let short = MetaConfig { dir: other.path().to_owned(), ..config.clone() };
    drop(open(&short).unwrap());
    copy(&Layout::new(dir.path()).checkpoints(), &Layout::new(other.path()).checkpoints());
    forget_replica(&Layout::new(other.path()));
    let error = open(&short).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.context("because").unwrap().contains("does not have"));
    // Not even if its ends cannot be read: its name says enough.
    let path = latest(&Layout::new(other.path()).checkpoints()).unwrap().unwrap().path;
    fs::write(path, b"").unwrap();
    assert_eq!(open(&short).err().map(|e| e.kind()), Some(ErrorKind::Corrupt));
    assert!(!Layout::new(other.path()).replica().exists());
    // A log whose begin is gone, without the checkpoint.
    fs::remove_dir_all(Layout::new(dir.path()).checkpoints()).unwrap();
    forget_replica(&Layout::new(dir.path()));
    let error = open(&config).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.context("log begins at"), Some("301"));
}

#[test]
fn an_unfinished_checkpoint_is_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node_with_checkpoint(dir.path(), false);
    let layout = Layout::new(dir.path());
    fs::write(layout.checkpoints().join("checkpoint.tmp"), b"half").unwrap();
    forget_replica(&layout);
    let (meta, _) = open(&config).unwrap();
    assert_eq!(rows(&meta), expected);
    meta.checkpoint(&Quiet).unwrap();
    let names: Vec<_> = fs::read_dir(layout.checkpoints()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    // Nothing new: the same checkpoint serves again.
    let info = meta.checkpoint(&Quiet).unwrap();
    assert_eq!(Some(info), meta.last_checkpoint());
}
