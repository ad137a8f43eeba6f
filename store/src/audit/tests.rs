//! The log under tampering, tearing and rotation.

use std::path::{Path, PathBuf};

use super::{AuditConfig, AuditLog, Event, Head, Verified, files, verify};

fn open(dir: &Path, file_bytes: u64) -> AuditLog {
    AuditLog::open(AuditConfig { dir: dir.to_owned(), file_bytes }).unwrap().0
}

fn event(n: usize) -> Event {
    Event { who: format!("user-{n}"), verified: true, ..Event::of_log("PutBucketPolicy", String::new()) }
}

/// A closed log of `lines` events.
fn made(file_bytes: u64, lines: usize) -> (tempfile::TempDir, Head) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), file_bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for n in 0..lines {
        runtime.block_on(log.write(event(n))).unwrap();
    }
    log.close();
    (dir, log.head())
}

fn check(dir: &Path) -> Verified {
    verify(dir, None, false).unwrap()
}

fn newest(dir: &Path) -> PathBuf {
    files(dir).unwrap().pop().unwrap().1
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(|l| format!("{l}\n")).collect()
}

#[test]
fn a_log_is_whole_over_files_and_runs() {
    let (dir, head) = made(2000, 30);
    assert!(files(dir.path()).unwrap().len() > 3);
    let found = check(dir.path());
    assert_eq!((found.problem.as_ref(), &found.head, found.first), (None, &head, 1));
    let again = open(dir.path(), 2000);
    assert_eq!(again.head().seq, head.seq + 1, "it says that it was opened");
    again.close();
    assert!(check(dir.path()).problem.is_none());
    let found = verify(dir.path(), Some(&head), false).unwrap();
    assert!(found.problem.is_none(), "a line that somebody remembers is in the middle now");
}

#[test]
fn every_change_of_any_line_is_found_and_named() {
    let (dir, _) = made(1 << 20, 8);
    let path = newest(dir.path());
    let whole = lines(&path);
    let look = |changed: Vec<String>| {
        std::fs::write(&path, changed.concat()).unwrap();
        check(dir.path()).problem.map(|p| p.line)
    };
    assert_eq!(look(whole.clone()), None);
    for n in 0..whole.len() {
        let mut changed = whole.clone();
        changed[n] = changed[n].replacen("node", "nobe", 1);
        assert_eq!(look(changed), Some(n as u64 + 1), "changed");
        let mut removed = whole.clone();
        removed.remove(n);
        let wanted = if n + 1 < whole.len() { Some(n as u64 + 1) } else { None };
        assert_eq!(look(removed), wanted, "removed; the last one only its writer misses");
        if n + 1 < whole.len() {
            let mut swapped = whole.clone();
            swapped.swap(n, n + 1);
            assert_eq!(look(swapped), Some(n as u64 + 1), "reordered");
        }
        let mut doubled = whole.clone();
        doubled.insert(n, whole[n].clone());
        assert_eq!(look(doubled), Some(n as u64 + 2), "doubled");
    }
}

#[test]
fn a_line_made_anew_breaks_the_chain_behind_it() {
    let (dir, head) = made(1 << 20, 5);
    let path = newest(dir.path());
    let mut all = lines(&path);
    let before = super::line::read(all[2].trim_end().as_bytes()).unwrap();
    let (forged, _) = super::line::make(&Head { seq: before.seq, hash: before.hash }, event(99)).unwrap();
    all[3] = forged;
    std::fs::write(&path, all.concat()).unwrap();
    assert_eq!(check(dir.path()).problem.map(|p| p.line), Some(5));
    // The very last one is missed by who remembers it.
    all.truncate(3);
    std::fs::write(&path, all.concat()).unwrap();
    assert!(check(dir.path()).problem.is_none());
    assert!(verify(dir.path(), Some(&head), false).unwrap().problem.unwrap().what.contains("ends with line 3"));
}

#[test]
fn missing_files_are_found() {
    let (dir, _) = made(1500, 30);
    let all = files(dir.path()).unwrap();
    std::fs::rename(&all[1].1, dir.path().join("away")).unwrap();
    let problem = check(dir.path()).problem.unwrap();
    assert_eq!((problem.file, problem.line), (all[2].1.clone(), 1));
    std::fs::rename(dir.path().join("away"), &all[1].1).unwrap();
    std::fs::remove_file(&all[0].1).unwrap();
    assert!(check(dir.path()).problem.unwrap().what.contains("are missing"));
    let archived = verify(dir.path(), None, true).unwrap();
    assert_eq!((archived.problem, archived.first), (None, all[1].0));
}

#[test]
fn what_a_crash_left_of_a_line_is_set_aside() {
    let (dir, head) = made(1 << 20, 3);
    let path = newest(dir.path());
    let good = std::fs::read(&path).unwrap();
    let (next, _) = super::line::make(&head, event(4)).unwrap();
    let (after, _) = super::line::make(&head, event(5)).unwrap();
    // Half a line, zeros that a file system left, a line of zeros with its end.
    let zeros = [vec![0; 300], b"\n".to_vec()].concat();
    for torn in [next.as_bytes()[..next.len() / 2].to_vec(), vec![0; 300], zeros, after.as_bytes()[..1].to_vec()] {
        std::fs::write(&path, [good.clone(), torn.clone()].concat()).unwrap();
        let (log, recovered) = AuditLog::open(AuditConfig { dir: dir.path().to_owned(), file_bytes: 1 << 20 }).unwrap();
        assert_eq!((recovered.head, recovered.torn), (head.clone(), torn.len() as u64));
        log.close();
        let aside = dir.path().join(format!("{:020}.torn", head.seq + 1));
        assert!(std::fs::read(&aside).unwrap().ends_with(&torn));
        let found = check(dir.path());
        assert_eq!((found.problem, found.head.seq), (None, head.seq + 2));
        assert!(lines(&path)[head.seq as usize].contains("set aside"));
        std::fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_file_that_was_made_and_never_written_to_is_gone_on_with() {
    let (dir, head) = made(1 << 20, 3);
    super::recover::create(dir.path(), head.seq + 1).unwrap();
    let log = open(dir.path(), 1 << 20);
    log.close();
    assert_eq!(log.head().seq, head.seq + 2);
    assert!(check(dir.path()).problem.is_none());
}

#[tokio::test]
async fn strangers_cannot_flood_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 1 << 20);
    for n in 0..20_000 {
        log.offer(event(n));
    }
    for _ in 0..3 {
        log.leave_out();
    }
    log.write(event(1)).await.unwrap();
    log.close();
    let found = check(dir.path());
    assert!(found.problem.is_none());
    let text = std::fs::read_to_string(newest(dir.path())).unwrap();
    assert!(text.contains("log_left_out"));
}
