//! Uploads beyond the suite: many of them, many parts, a disk that fails.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::index_double::IndexDouble;
use crate::chunk::conformance::{Rig, cid_of, config, disk_use, files, noise};
use crate::chunk::{ChunkConfig, ChunkStore, StepHook};
use crate::error::{Error, ErrorKind};
use crate::types::{Cid, Id};
use crate::unixfs::Profile;

const PROFILE: Profile = Profile::KuboClassicV1;
const CHUNK: usize = 256 << 10;

fn rig(dir: &Path, on_step: Option<StepHook>) -> Rig {
    let index = Arc::new(IndexDouble::default());
    let config = ChunkConfig { open_files: 4, on_step, ..config(dir) };
    let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
    Rig { dir: dir.to_owned(), index, store, roots: Default::default() }
}

/// Descriptors that this process has for files below a folder.
fn descriptors(dir: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(dir))).count()
}

/// One chunk of zeros, one of the part's own.
fn sparse_part(seed: u64) -> Vec<u8> {
    [vec![0; CHUNK], noise(seed, CHUNK)].concat()
}

#[test]
fn ruling15_idle_uploads_take_no_descriptors_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let rig = rig(dir.path(), None);
    let mut uploads: Vec<(Id, Vec<(Cid, u64)>)> = (0..20).map(|_| (Id::random(), Vec::new())).collect();
    for number in 1..=3 {
        for (k, (upload, parts)) in uploads.iter_mut().enumerate() {
            parts.push(rig.part(*upload, number, &sparse_part(k as u64 * 10 + u64::from(number)), PROFILE));
            let open = descriptors(&rig.dir);
            assert!(open < 24, "{open} descriptors for uploads of which one is written to");
        }
    }
    let inodes: HashSet<u64> =
        files(&rig.dir.join("uploads")).iter().map(|path| std::fs::metadata(path).unwrap().ino()).collect();
    assert_eq!(inodes.len(), 20);
    for (k, (_, parts)) in uploads.iter().enumerate() {
        let whole: Vec<u8> = (1..=3).flat_map(|number| sparse_part(k as u64 * 10 + number)).collect();
        let stored = rig.store.concat(parts, PROFILE).unwrap();
        assert_eq!(stored.root, cid_of(&whole, PROFILE));
        let root = rig.commit(stored);
        parts.iter().for_each(|(part, _)| rig.release(part));
        rig.collect();
        assert!(rig.read(&root, whole.len() as u64) == whole);
        let sealed = rig.store.sealed_file(&root).unwrap().unwrap();
        assert!(inodes.contains(&sealed.file.metadata().unwrap().ino()), "it is the upload's file");
    }
}

#[test]
fn ruling15_an_upload_of_many_parts_takes_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let on_step: StepHook = {
        let (dir, most) = (dir.path().to_owned(), most.clone());
        Arc::new(move |step| {
            if matches!(step, "upload: not yet the object's" | "object: hashed, not durable") {
                most.fetch_max(descriptors(&dir), Ordering::Relaxed);
            }
            Ok(())
        })
    };
    let rig = rig(dir.path(), Some(on_step));
    let upload = Id::random();
    let parts: Vec<_> = (1..=60).map(|n| rig.part(upload, n, &sparse_part(u64::from(n)), PROFILE)).collect();
    for list in [&parts[..], &parts[1..]] {
        drop(rig.store.concat(list, PROFILE).unwrap());
    }
    let most = most.load(Ordering::Relaxed);
    assert!((1..30).contains(&most), "{most} descriptors");
}

#[test]
fn ruling15_ten_thousand_small_parts_are_chunked_anew() {
    let dir = tempfile::tempdir().unwrap();
    let rig = rig(dir.path(), None);
    let bodies: Vec<Vec<u8>> = (0..10_000).map(|k| noise(k + 1, 900 + (k % 200) as usize)).collect();
    let mut parts = Vec::new();
    let mut blocks = Vec::new();
    for body in &bodies {
        let stored = rig.put(body);
        rig.roots.hold(&stored.root);
        parts.push((stored.root, stored.size));
        blocks.extend(stored.inline);
        stored.guard.committed();
    }
    rig.store.store_inline(&blocks).unwrap();
    let whole = bodies.concat();
    let stored = rig.store.concat(&parts, PROFILE).unwrap();
    assert_eq!(stored.root, cid_of(&whole, PROFILE));
    let root = rig.commit(stored);
    parts.iter().for_each(|(part, _)| rig.release(part));
    rig.collect();
    assert!(rig.read(&root, whole.len() as u64) == whole);
    rig.release(&root);
    rig.collect();
    assert!(disk_use(&rig.dir) < 200_000);
}

#[test]
#[ignore = "writes 2.5 GB: run by hand when uploads change"]
fn ruling15_ten_thousand_places_are_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let rig = rig(dir.path(), None);
    let upload = Id::random();
    let parts: Vec<_> = (1..=10_000).map(|n| rig.part(upload, n, &sparse_part(u64::from(n)), PROFILE)).collect();
    let inode = std::fs::metadata(&files(&rig.dir.join("uploads"))[0]).unwrap().ino();
    let stored = rig.store.concat(&parts, PROFILE).unwrap();
    let (size, root) = (stored.size, rig.commit(stored));
    parts.iter().for_each(|(part, _)| rig.release(part));
    rig.collect();
    let sealed = rig.store.sealed_file(&root).unwrap().unwrap();
    assert_eq!(sealed.file.metadata().unwrap().ino(), inode);
    let reader = rig.store.reader(&root, size).unwrap();
    for n in 1..=10_000 {
        let part = reader.read_at((n - 1) * 2 * CHUNK as u64, 2 * CHUNK).unwrap();
        assert!(part == sparse_part(n), "part {n}");
    }
}

#[test]
fn ruling15_a_place_whose_part_could_not_be_named_is_nobodys_until_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let on_step: StepHook = {
        let failing = failing.clone();
        Arc::new(move |step| {
            let fails = step == "object: blocks indexed, object not" && failing.swap(false, Ordering::Relaxed);
            if fails { Err(Error::new(ErrorKind::Io, "the disk fails")) } else { Ok(()) }
        })
    };
    let rig = rig(dir.path(), Some(on_step));
    let upload = Id::random();
    let whole: Vec<u8> = (1..=3).flat_map(sparse_part).collect();
    let one = rig.part(upload, 1, &sparse_part(1), PROFILE);
    failing.store(true, Ordering::Relaxed);
    let lost = sparse_part(99);
    let options = crate::chunk::WriteOptions { md5: false, size_hint: Some(lost.len() as u64) };
    let mut writer = rig.store.writer(PROFILE, options).unwrap();
    writer.as_part(upload, 2);
    writer.write(&lost).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Io);
    // Other uploads come and go meanwhile, so that this one is not only remembered.
    for k in 0..8 {
        rig.part(Id::random(), 1, &sparse_part(1000 + k), PROFILE);
    }
    let two = rig.part(upload, 2, &sparse_part(2), PROFILE);
    let rig = rig.reopen(false);
    let three = rig.part(upload, 3, &sparse_part(3), PROFILE);
    // What the next start found of the lost part is itself, or nothing.
    assert_eq!(rig.store.verify_all(&|_| {}).unwrap().damaged, 0);
    let stored = rig.store.concat(&[one, two, three], PROFILE).unwrap();
    assert_eq!(stored.root, cid_of(&whole, PROFILE));
    let root = rig.commit(stored);
    [one, two, three].iter().for_each(|(part, _)| rig.release(part));
    rig.collect();
    assert!(rig.read(&root, whole.len() as u64) == whole);
    assert_eq!(rig.store.verify_all(&|_| {}).unwrap().damaged, 0);
}
