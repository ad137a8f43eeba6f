//! Images of a log as a crash or a bad disk may leave it: every one opens with a prefix of what was written, at
//! least what was acknowledged, or is refused as damaged. None is read with something missing in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{append, open, options, read_all};
use crate::ErrorKind;
use crate::meta::log::fault::Fault;
use crate::meta::log::{CommitLog, JournalOptions, LocalJournal};
use crate::meta::record::Record;

/// A folder for thousands of images: in memory where the system has such a place. What is looked at here is bytes, not
/// how long a disk takes to sync them.
fn images() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Copies a log's segments.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    super::super::segment::list(dir).unwrap().into_iter().map(|s| s.path).collect()
}

/// A log of several groups, and the offset behind each group of its last segment with the head at that point.
/// `close` writes the closing mark; without it the image is that of a killed process.
fn sample(dir: &Path, segment_bytes: u64, close: bool) -> (Vec<Record>, Vec<(u64, u64)>) {
    let image = dir.join("image");
    let (log, _) = LocalJournal::open(&dir.join("work"), options(segment_bytes)).unwrap();
    let mut records = Vec::new();
    let mut ends: Vec<(usize, u64, u64)> = Vec::new();
    for group in 0..8u64 {
        for n in 0..group % 3 + 1 {
            records.push(append(&log, group * 10 + n));
        }
        log.wait_blocking(log.head()).unwrap();
        let segments = log.shared_segments();
        ends.retain(|(segment, ..)| *segment == segments.len());
        ends.push((segments.len(), segments.last().unwrap().1, log.head()));
    }
    if close {
        log.close().unwrap();
    }
    copy(&dir.join("work"), &image);
    (records, ends.into_iter().map(|(_, at, head)| (at, head)).collect())
}

/// Opens an image; what it holds must be a prefix of `records`. Returns how many, or the error.
fn outcome(image: &Path, records: &[Record]) -> crate::Result<u64> {
    let (log, recovered) = open(image)?;
    let read = read_all(&log, 1)?;
    assert_eq!(read.len() as u64, recovered.head);
    assert_eq!(read, records[..read.len()]);
    // What is written behind a cut stays, and nothing of the old tail comes back.
    let more = append(&log, 12345);
    drop(log);
    let (log, recovered_again) = open(image)?;
    assert_eq!(recovered_again.head, recovered.head + 1);
    assert!(recovered_again.cut.is_none());
    assert_eq!(read_all(&log, recovered.head + 1)?, [more]);
    Ok(recovered.head)
}

#[test]
fn every_torn_tail_is_cut_to_whole_groups() {
    let dir = images();
    let (records, ends) = sample(dir.path(), 1 << 14, false);
    let (image, torn) = (dir.path().join("image"), dir.path().join("torn"));
    let last = ends.last().unwrap().0;
    for at in 64..=last {
        // As a preallocated file has it: zeros behind. And as a file that was cut short.
        for zeros in [true, false] {
            copy(&image, &torn);
            let path = &segments(&torn)[0];
            let original = fs::read(path).unwrap();
            let mut bytes = original[..at as usize].to_vec();
            if zeros {
                bytes.resize(1 << 14, 0);
            }
            // A group whose last bytes are zeros is whole without them.
            let is_whole = |end: usize| bytes.get(..end) == Some(&original[..end]);
            let whole = ends.iter().rev().find(|(end, _)| is_whole(*end as usize)).map_or(0, |(_, head)| *head);
            fs::write(path, &bytes).unwrap();
            assert_eq!(outcome(&torn, &records).unwrap(), whole, "torn at {at}");
        }
    }
}

#[test]
fn pages_of_the_last_group_may_arrive_in_any_order() {
    let dir = images();
    let (records, ends) = sample(dir.path(), 1 << 14, false);
    let (image, torn) = (dir.path().join("image"), dir.path().join("torn"));
    let [.., (begin, head), (end, _)] = ends.as_slice() else { panic!("two groups") };
    for hole in (*begin..*end).step_by(7) {
        copy(&image, &torn);
        let path = &segments(&torn)[0];
        let mut bytes = fs::read(path).unwrap();
        bytes[hole as usize..(hole + 7).min(*end) as usize].fill(0);
        let changed = bytes != fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        if changed {
            assert_eq!(outcome(&torn, &records).unwrap(), *head, "hole at {hole}");
        }
    }
}

#[test]
fn every_flipped_byte_below_the_synced_offset_is_refused_with_its_place() {
    let dir = images();
    let (records, ends) = sample(dir.path(), 1 << 14, false);
    let (image, bad) = (dir.path().join("image"), dir.path().join("bad"));
    let [.., (synced, before), (end, all)] = ends.as_slice() else { panic!("two groups") };
    for at in 0..*end + 100 {
        copy(&image, &bad);
        let path = &segments(&bad)[0];
        let mut bytes = fs::read(path).unwrap();
        bytes[at as usize] ^= 0x10;
        fs::write(path, bytes).unwrap();
        let result = outcome(&bad, &records);
        if at < *synced {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "flip at {at}");
            let place: u64 = error.context("position").unwrap().parse().unwrap();
            let begin = ends.iter().rev().find(|(end, _)| *end <= at).map_or(if at < 64 { 0 } else { 64 }, |(e, _)| *e);
            assert_eq!(place, begin, "flip at {at}");
            assert!(error.context("segment").unwrap().ends_with(".seg"));
            assert!(error.context("help").unwrap().contains("fsck"));
        } else if at < *end {
            assert_eq!(result.unwrap(), *before, "flip at {at}");
        } else {
            assert_eq!(result.unwrap(), *all, "flip at {at}");
        }
    }
}

#[test]
fn after_a_clean_close_no_flip_is_taken_for_a_torn_tail() {
    let dir = images();
    let (records, ends) = sample(dir.path(), 1 << 14, true);
    let (image, bad) = (dir.path().join("image"), dir.path().join("bad"));
    for at in 0..ends.last().unwrap().0 {
        copy(&image, &bad);
        let path = &segments(&bad)[0];
        let mut bytes = fs::read(path).unwrap();
        bytes[at as usize] ^= 1;
        fs::write(path, bytes).unwrap();
        assert_eq!(outcome(&bad, &records).unwrap_err().kind(), ErrorKind::Corrupt, "flip at {at}");
    }
}

#[test]
fn damage_in_an_older_segment_is_never_skipped() {
    let dir = images();
    let (records, _) = sample(dir.path(), 700, false);
    let (image, bad) = (dir.path().join("image"), dir.path().join("bad"));
    let count = segments(&image).len();
    assert!(count >= 3);
    for which in 0..count - 1 {
        let length = fs::metadata(&segments(&image)[which]).unwrap().len();
        for at in (0..length).chain([length]) {
            copy(&image, &bad);
            let path = &segments(&bad)[which];
            let mut bytes = fs::read(path).unwrap();
            match bytes.get_mut(at as usize) {
                Some(byte) => *byte ^= 0x80,
                None => bytes.push(1),
            }
            fs::write(path, bytes).unwrap();
            let error = outcome(&bad, &records).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "segment {which}, flip at {at}");
        }
        copy(&image, &bad);
        fs::remove_file(&segments(&bad)[which]).unwrap();
        match (which, open(&bad)) {
            // Without the oldest ones it is a log that was truncated.
            (0, Ok((_, recovered))) => assert!(recovered.first > 1),
            (0, Err(e)) => panic!("{e}"),
            (_, result) => assert_eq!(result.err().map(|e| e.kind()), Some(ErrorKind::Corrupt)),
        }
    }
}

#[test]
fn a_kill_at_any_point_loses_nothing_acknowledged() {
    let dir = images();
    let work = dir.path().join("work");
    let images = Arc::new(Mutex::new(Vec::new()));
    let acked = Arc::new(Mutex::new(0u64));
    let hook = {
        let (images, acked, work, base) = (images.clone(), acked.clone(), work.clone(), dir.path().to_owned());
        Arc::new(move |point| {
            let mut images = images.lock();
            let acked = *acked.lock();
            let image = base.join(format!("image-{}", images.len()));
            copy(&work, &image);
            images.push((image, point, acked));
            Fault::None
        })
    };
    let options = JournalOptions { faults: Some(hook), ..options(600) };
    let (log, _) = LocalJournal::open(&work, options).unwrap();
    let mut records = Vec::new();
    for n in 0..40 {
        records.push(append(&log, n));
        if n % 4 == 3 {
            log.wait_blocking(n + 1).unwrap();
            *acked.lock() = n + 1;
        }
    }
    log.truncate(1).unwrap();
    log.close().unwrap();
    let images = images.lock();
    assert!(images.len() > 30);
    for (image, point, acked) in images.iter() {
        let head = outcome(image, &records).unwrap_or_else(|e| panic!("{point:?}: {e}"));
        assert!(head >= *acked, "at {point:?}: {head} of {acked}");
    }
}
