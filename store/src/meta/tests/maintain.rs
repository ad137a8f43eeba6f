//! fsck, repair, convert, rebuild: on whole nodes and on broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::{EngineKind, config, copy, open, put, rows};
use crate::ErrorKind;
use crate::meta::checkpoint::latest;
use crate::meta::{Layout, MetaConfig, Quiet, Remedy, Row, convert, fsck, rebuild, repair, schema};

fn key(n: u32) -> Vec<u8> {
    [b"E".as_slice(), &n.to_be_bytes()].concat()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(Layout::new(dir).log())
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "seg"))
        .collect();
    paths.sort();
    paths
}

/// A node that ran: 100 commits, a checkpoint, 200 more; and its rows.
fn node(dir: &Path, engine: EngineKind, with_checkpoint: bool) -> (MetaConfig, Vec<Row>) {
    let config = config(dir, engine);
    let (meta, _) = open(&config).unwrap();
    for n in 0..300u32 {
        let seq = put(&meta, &key(n % 70), &[n as u8; 40]);
        if n % 5 == 0 {
            meta.durable_blocking(seq).unwrap();
        }
        if n == 99 && with_checkpoint {
            meta.settle().unwrap();
            meta.checkpoint(&Quiet).unwrap();
        }
    }
    meta.settle().unwrap();
    meta.store().apply(&[(b"b-local".to_vec(), Some(b"row".to_vec()))]).unwrap();
    meta.store().flush().unwrap();
    let rows = rows(&meta);
    meta.close().unwrap();
    (config, rows)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

/// The remedy for what is wrong now, carried out; the node starts after it.
fn repaired(config: &MetaConfig, expected: Remedy) -> (Vec<Row>, Option<(u64, u64)>) {
    let findings = fsck(config, &Quiet).unwrap();
    assert!(!findings.problems().is_empty());
    assert_eq!(findings.remedy(), Some(expected), "{:?}", findings.problems());
    let wrong = if expected == Remedy::CutLog { Remedy::RemoveCheckpoint } else { Remedy::CutLog };
    assert_eq!(repair(config, wrong, &Quiet).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let done = repair(config, expected, &Quiet).unwrap();
    assert!(done.aside.iter().all(|p| p.exists()));
    let (meta, _) = open(config).unwrap();
    let rows = rows(&meta);
    let seq = put(&meta, b"Ezzz", b"after");
    meta.durable_blocking(seq).unwrap();
    // A number that may have been seen comes again only where the records behind it are known to be lost.
    assert!(done.lost_to.is_none_or(|lost| lost < seq || expected != Remedy::NewLogFromReplica));
    drop(meta);
    let findings = fsck(config, &Quiet).unwrap();
    assert!(findings.problems().is_empty(), "{:?}", findings.problems());
    (rows, done.lost_from.zip(done.lost_to))
}

#[test]
fn a_whole_node_has_no_problems() {
    for with_checkpoint in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (config, expected) = node(dir.path(), EngineKind::Sled, with_checkpoint);
        let findings = fsck(&config, &Quiet).unwrap();
        assert!(findings.problems().is_empty() && findings.remedy().is_none(), "{:?}", findings.problems());
        let log = findings.log.unwrap();
        assert_eq!((log.head, log.last_known, log.damage.is_none()), (300, 300, true));
        assert_eq!(log.segments.iter().map(|s| s.records).sum::<u64>(), 301 - log.first);
        assert!(log.segments.len() > 2 && log.segments[0].sealed);
        let replica = findings.replica.unwrap().unwrap();
        assert_eq!((replica.applied, replica.rows), (300, expected.len() as u64 + 2));
        assert_eq!(findings.checkpoint.is_some(), with_checkpoint);
        // Not while it runs.
        let (_meta, _) = open(&config).unwrap();
        assert_eq!(fsck(&config, &Quiet).unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(rebuild(&config, &Quiet).unwrap_err().kind(), ErrorKind::Busy);
    }
    let dir = tempfile::tempdir().unwrap();
    let findings = fsck(&config(dir.path(), EngineKind::Sled), &Quiet).unwrap();
    assert!(findings.problems().is_empty() && findings.remedy().is_none());
}

#[test]
fn a_damaged_log_is_replaced_from_the_replica_without_loss() {
    // In every segment, at its header and further on.
    let dir = tempfile::tempdir().unwrap();
    let (base, expected) = node(&dir.path().join("base"), EngineKind::Sled, true);
    let count = segments(&base.dir).len();
    for (which, at) in (0..count).flat_map(|which| [10, 500, 1500].map(|at| (which, at))) {
        let work = dir.path().join(format!("{which}-{at}"));
        copy(&base.dir, &work);
        let config = MetaConfig { dir: work.clone(), ..base.clone() };
        flip(&segments(&work)[which], at);
        let findings = fsck(&config, &Quiet).unwrap();
        let damage = findings.log.as_ref().unwrap().damage.clone().unwrap();
        assert!(damage.position <= at as u64 && damage.segment == segments(&work)[which]);
        let (rows, lost) = repaired(&config, Remedy::NewLogFromReplica);
        assert_eq!((rows, lost), (expected.clone(), None), "segment {which}, byte {at}");
        assert!(work.join("log.damaged-1").is_dir());
        // The local rows stayed, and a rebuild works from here.
        assert_eq!(open(&config).unwrap().0.get(b"b-local").unwrap().unwrap(), b"row");
        rebuild(&config, &Quiet).unwrap();
        assert_eq!(super::rows(&open(&config).unwrap().0).len(), expected.len() + 1);
    }
}

#[test]
fn without_a_replica_a_damaged_log_is_cut() {
    for with_checkpoint in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (config, _) = node(dir.path(), EngineKind::Sled, with_checkpoint);
        let layout = Layout::new(dir.path());
        fs::remove_dir_all(layout.replica()).unwrap();
        let damaged = segments(dir.path())[1].clone();
        let later = segments(dir.path()).len() - 2;
        flip(&damaged, 700);
        assert_eq!(open(&config).err().map(|e| e.kind()), Some(ErrorKind::Corrupt));
        let head = fsck(&config, &Quiet).unwrap().log.unwrap().head;
        assert!(head > 100 || !with_checkpoint);
        let (rows, lost) = repaired(&config, Remedy::CutLog);
        assert_eq!(lost, Some((head + 1, 300)));
        // What is left is the state after record `head`.
        let expected: Vec<Row> = (0..70)
            .filter_map(|k| (0..head as u32).rev().find(|n| n % 70 == k).map(|n| (key(k), vec![n as u8; 40])))
            .collect();
        assert_eq!(rows, expected);
        let aside: Vec<_> = fs::read_dir(layout.log().join("cut-1")).unwrap().flatten().collect();
        assert_eq!(aside.len(), later + 1);
    }
}

#[test]
fn a_log_that_is_gone_or_too_short_begins_anew_from_the_replica() {
    for gone in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (config, expected) = node(dir.path(), EngineKind::Sled, true);
        if gone {
            fs::remove_dir_all(Layout::new(dir.path()).log()).unwrap();
        } else {
            let last = segments(dir.path()).pop().unwrap();
            fs::remove_file(last).unwrap();
        }
        assert_eq!(open(&config).err().map(|e| e.kind()), Some(ErrorKind::Corrupt));
        let (rows, lost) = repaired(&config, Remedy::NewLogFromReplica);
        assert_eq!((rows, lost), (expected, None));
        let log = fsck(&config, &Quiet).unwrap().log.unwrap();
        assert_eq!((log.first, log.head), (301, 301));
    }
}

#[test]
fn with_nothing_but_a_checkpoint_its_state_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = node(dir.path(), EngineKind::Sled, true);
    let layout = Layout::new(dir.path());
    {
        let (meta, _) = open(&config).unwrap();
        meta.set_cursor("pins", 300).unwrap();
    }
    fs::remove_dir_all(layout.log()).unwrap();
    fs::remove_dir_all(layout.replica()).unwrap();
    let info = latest(&layout.checkpoints()).unwrap().unwrap();
    let (rows, lost) = repaired(&config, Remedy::NewLogFromCheckpoint);
    assert_eq!(lost, Some((info.ended + 1, 300)));
    assert_eq!(rows.len() as u64, info.rows);
    // Numbers come again, so nobody may believe to have seen them.
    assert_eq!(open(&config).unwrap().0.cursor("pins"), Some(info.ended));
}

#[test]
fn what_starts_by_itself_needs_no_repair() {
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node(dir.path(), EngineKind::Sled, true);
    let last = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let used = bytes.iter().rposition(|b| *b != 0).unwrap();
    bytes[used + 8..used + 48].fill(0xee);
    fs::write(&last, bytes).unwrap();
    fs::write(Layout::new(dir.path()).replica().join("data/conf"), b"segment_size: what\n").unwrap();
    let findings = fsck(&config, &Quiet).unwrap();
    assert_eq!((findings.problems().len(), findings.remedy()), (2, Some(Remedy::Start)), "{:?}", findings.problems());
    assert_eq!(repaired(&config, Remedy::Start), (expected, None));
}

#[test]
fn a_damaged_checkpoint_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node(dir.path(), EngineKind::Sled, true);
    let path = latest(&Layout::new(dir.path()).checkpoints()).unwrap().unwrap().path;
    flip(&path, 200);
    let findings = fsck(&config, &Quiet).unwrap();
    let problem = &findings.problems()[0];
    assert_eq!((problem.file.as_deref(), problem.position), (Some(path.as_path()), Some(64)));
    // The replica must not be thrown away now.
    assert_eq!(rebuild(&config, &Quiet).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(Layout::new(dir.path()).replica().exists());
    assert_eq!(repaired(&config, Remedy::RemoveCheckpoint), (expected, None));
}

#[test]
fn nothing_helps_where_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = node(dir.path(), EngineKind::Sled, true);
    let layout = Layout::new(dir.path());
    fs::remove_dir_all(layout.replica()).unwrap();
    fs::remove_dir_all(layout.checkpoints()).unwrap();
    let findings = fsck(&config, &Quiet).unwrap();
    assert_eq!((findings.problems().len(), findings.remedy()), (1, None));
}

#[test]
fn a_rebuilt_replica_equals_the_live_one() {
    for with_checkpoint in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (config, expected) = node(dir.path(), EngineKind::Sled, with_checkpoint);
        assert!(rebuild(&config, &Quiet).unwrap().replica_rebuilt);
        // A start that dies before the local rows are found again is told again.
        drop(crate::meta::Prepared::open(config.clone(), &Quiet).unwrap());
        let (meta, opened) = open(&config).unwrap();
        assert!(opened.replica_rebuilt);
        assert_eq!(rows(&meta), expected);
        assert_eq!(meta.get(b"b-local").unwrap(), None);
        drop(meta);
        assert!(!open(&config).unwrap().1.replica_rebuilt);
    }
}

#[test]
fn a_replica_is_carried_over_to_another_engine_and_back() {
    let [first, second, ..] = EngineKind::on_disk() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node(dir.path(), *first, true);
    assert_eq!(convert(&config, *first, &Quiet).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(convert(&config, EngineKind::Memory, &Quiet).unwrap_err().kind(), ErrorKind::InvalidArgument);
    for to in [*second, *first, *second] {
        // What an interrupted one left.
        fs::create_dir_all(dir.path().join("replica.converting/data")).unwrap();
        fs::write(dir.path().join("replica.converting/data/conf"), b"?").unwrap();
        assert_eq!(convert(&config, to, &Quiet).unwrap(), expected.len() as u64 + 2);
        assert!(!dir.path().join("replica.converting").exists());
        let (meta, opened) = open(&MetaConfig { engine: to, ..config.clone() }).unwrap();
        assert!(!opened.replica_rebuilt && opened.replayed == 0);
        assert_eq!(rows(&meta), expected);
        assert_eq!(meta.store().engine(), to.name());
        assert_eq!(meta.get(b"b-local").unwrap().unwrap(), b"row");
        assert_eq!(
            convert(&config, *first, &Quiet).unwrap_err().kind(),
            if to == *first { ErrorKind::InvalidArgument } else { ErrorKind::Busy }
        );
    }
    let empty = tempfile::tempdir().unwrap();
    let nothing = MetaConfig { dir: empty.path().to_owned(), ..config };
    assert_eq!(convert(&nothing, *second, &Quiet).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_replica_found_damaged_while_running_is_rebuilt_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (config, expected) = node(dir.path(), EngineKind::Sled, true);
    {
        let (meta, _) = open(&config).unwrap();
        // A value that is no position: the applied row read back makes the open fail as a broken page would.
        meta.store().apply(&[(schema::APPLIED.to_vec(), Some(b"?".to_vec()))]).unwrap();
    }
    let (meta, opened) = open(&config).unwrap();
    assert!(opened.replica_rebuilt && opened.set_aside.is_some());
    assert_eq!(rows(&meta), expected);
}
