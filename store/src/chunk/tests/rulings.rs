//! Rulings on hard cases that the suite does not reach.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index_double::IndexDouble;
use crate::chunk::conformance::{Rig, cid_of, config, noise};
use crate::chunk::{ChunkConfig, ChunkStore, StepHook, WriteOptions};
use crate::error::ErrorKind;
use crate::types::{Ino, MAX_OBJECT_SIZE};
use crate::unixfs::Profile;

const MIB: usize = 1 << 20;
const PROFILE: Profile = Profile::V1_2025;

/// Somebody who writes to a file each time that a step is reached, so often.
#[derive(Default)]
struct Meddler(Mutex<Option<(&'static str, PathBuf, u32)>>);

impl Meddler {
    fn rig(self: &Arc<Self>, dir: &tempfile::TempDir) -> Rig {
        let meddler = self.clone();
        let on_step: StepHook = Arc::new(move |step| {
            if let Some((at, path, left)) = &mut *meddler.0.lock()
                && *at == step
                && *left > 0
            {
                *left -= 1;
                std::fs::set_permissions(&*path, PermissionsExt::from_mode(0o600)).unwrap();
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(&left.to_le_bytes(), 2 << 20).unwrap();
            }
            Ok(())
        });
        let index = Arc::new(IndexDouble::default());
        let config = ChunkConfig { on_step: Some(on_step), ..config(dir.path()) };
        let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
        Rig { dir: dir.path().to_owned(), index, store, roots: Default::default() }
    }

    fn meddle(&self, step: &'static str, path: PathBuf, times: u32) {
        *self.0.lock() = Some((step, path, times));
    }
}

fn contents(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn ruling8_bytes_that_can_change_are_not_found_by_cid() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let bytes = noise(1, 3 * MIB);
    let live = rig.store.create_live(Ino(1)).unwrap();
    live.file().write_all_at(&bytes, 0).unwrap();
    live.sync_data().unwrap();
    let chunk = crate::unixfs::raw_cid(&bytes[..MIB]);
    assert!(!rig.store.contains(&chunk).unwrap());
    // Published: what is found is a copy, which does not change with the file.
    let published = rig.commit(rig.store.publish_copy(&live, PROFILE).unwrap());
    live.file().write_all_at(&noise(2, 3 * MIB), 0).unwrap();
    assert!(rig.store.block(&chunk).unwrap().unwrap() == bytes[..MIB]);
    assert!(rig.read(&published, 3 << 20) == bytes);
    assert!(!rig.store.contains(&crate::unixfs::raw_cid(&noise(2, MIB))).unwrap());
}

#[test]
fn ruling9_what_an_unseen_writer_changed_is_stored_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let live = rig.store.create_live(Ino(1)).unwrap();
    live.file().write_all_at(&noise(1, 8 * MIB + 9), 0).unwrap();
    rig.commit(rig.store.publish_copy(&live, PROFILE).unwrap());
    let (before, times) = (rig.store.usage().unwrap().slab_live_bytes, live.metadata().unwrap().modified().unwrap());
    // The kernel's passthrough has a descriptor of its own; not even the times tell.
    let unseen = File::options().write(true).open(live.path()).unwrap();
    unseen.write_all_at(b"unseen", 5 << 20).unwrap();
    unseen.set_modified(times).unwrap();
    let stored = rig.store.publish_copy(&live, PROFILE).unwrap();
    let bytes = contents(live.path());
    assert_eq!(stored.root, cid_of(&bytes, PROFILE));
    let root = rig.commit(stored);
    assert!(rig.read(&root, bytes.len() as u64) == bytes);
    let grown = rig.store.usage().unwrap().slab_live_bytes - before;
    assert!((MIB as u64..MIB as u64 + 1000).contains(&grown), "one chunk is new: {grown}");
}

#[test]
fn ruling9_a_file_is_published_as_it_was_at_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let meddler = Arc::new(Meddler::default());
    let rig = meddler.rig(&dir);
    let live = rig.store.create_live(Ino(1)).unwrap();
    live.file().write_all_at(&noise(1, 6 * MIB), 0).unwrap();
    meddler.meddle("object: hashed, not durable", live.path().to_owned(), u32::MAX);
    assert_eq!(rig.store.publish_copy(&live, PROFILE).unwrap_err().kind(), ErrorKind::Busy, "it changes all the time");
    meddler.meddle("object: hashed, not durable", live.path().to_owned(), 1);
    let stored = rig.store.publish_copy(&live, PROFILE).unwrap();
    let bytes = contents(live.path());
    assert_eq!(stored.root, cid_of(&bytes, PROFILE), "it changed once");
    let root = rig.commit(stored);
    rig.collect();
    assert!(rig.read(&root, bytes.len() as u64) == bytes);
    // What the tries in vain had stored is gone.
    assert_eq!(rig.store.usage().unwrap().slab_live_bytes, 6 * (MIB as u64 + 48));
}

#[test]
fn ruling10_a_file_with_a_writer_is_published_by_copy_and_sealed_later() {
    let dir = tempfile::tempdir().unwrap();
    let meddler = Arc::new(Meddler::default());
    let rig = meddler.rig(&dir);
    let live = rig.store.create_live(Ino(1)).unwrap();
    let first = noise(1, 3 * MIB);
    live.file().write_all_at(&first, 0).unwrap();
    let path = live.path().to_owned();
    // A descriptor of a mount that is gone.
    let left = File::options().write(true).open(&path).unwrap();
    assert_eq!(rig.store.seal_live(live, PROFILE).unwrap_err().kind(), ErrorKind::Busy);
    let live = rig.store.open_live(Ino(1)).unwrap();
    let copy = rig.commit(rig.store.publish_copy(&live, PROFILE).unwrap());
    left.write_all_at(b"late", 100).unwrap();
    assert!(rig.read(&copy, 3 << 20) == first, "the copy does not change");
    assert!(rig.store.sealed_file(&copy).unwrap().is_none());
    drop(left);
    // One who opens, writes and closes while it is being sealed.
    meddler.meddle("live: syncing to seal", path.clone(), 1);
    assert_eq!(rig.store.seal_live(live, PROFILE).unwrap_err().kind(), ErrorKind::Busy);
    let live = rig.store.open_live(Ino(1)).unwrap();
    let bytes = contents(&path);
    let sealed = rig.commit(rig.store.seal_live(live, PROFILE).unwrap());
    assert_eq!(sealed, cid_of(&bytes, PROFILE));
    rig.store.discard_live(Ino(1)).unwrap();
    assert!(rig.store.sealed_file(&sealed).unwrap().is_some());
    assert!(rig.read(&sealed, 3 << 20) == bytes);
    assert!(rig.read(&copy, 3 << 20) == first);
}

#[test]
fn ruling13_bytes_are_checked_anew_after_each_start() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let bytes = noise(1, 3 * MIB);
    let root = rig.commit(rig.put(&bytes));
    let rig = rig.reopen(false);
    assert!(rig.read(&root, 3 << 20) == bytes);
    let path = rig.store.sealed_file(&root).unwrap().unwrap().path;
    let rig = rig.reopen(false);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"rot", 100).unwrap();
    let reader = rig.store.reader(&root, 3 << 20).unwrap();
    assert_eq!(reader.read_at(0, 4096).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(reader.read_at(MIB as u64, 2 * MIB).unwrap() == bytes[MIB..]);
}

#[test]
fn ruling14_a_damaged_chunk_is_read_from_its_other_place() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let (one, mut other) = (noise(1, 4 * MIB), noise(2, 4 * MIB));
    other[..MIB].copy_from_slice(&one[2 * MIB..3 * MIB]);
    let roots = [rig.commit(rig.put(&one)), rig.commit(rig.put(&other))];
    let paths = roots.map(|root| rig.store.sealed_file(&root).unwrap().expect("each has a file").path);
    let rig = rig.reopen(false);
    std::fs::set_permissions(&paths[0], PermissionsExt::from_mode(0o600)).unwrap();
    File::options().write(true).open(&paths[0]).unwrap().write_all_at(b"rot", (2 << 20) + 5).unwrap();
    assert!(rig.read(&roots[0], 4 << 20) == one);
    assert!(rig.read(&roots[1], 4 << 20) == other);
}

#[test]
fn ruling18_publishing_may_use_the_reserve_and_opening_for_writing_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let sizes = [9, 50_000, 700_000, 3 * MIB];
    for (ino, len) in (1..).zip(sizes) {
        rig.store.create_live(Ino(ino)).unwrap().file().write_all_at(&noise(ino, len), 0).unwrap();
    }
    let held = rig.commit(rig.put(&noise(77, 2 * MIB)));
    let Rig { dir: folder, index, store, roots } = rig;
    drop(store);
    let config = ChunkConfig { reserve_bytes: u64::MAX / 2, ..config(&folder) };
    let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
    let rig = Rig { dir: folder, index, store, roots };
    for (ino, len) in (1..).zip(sizes) {
        let live = rig.store.open_live(Ino(ino)).unwrap();
        let copy = rig.commit(rig.store.publish_copy(&live, PROFILE).unwrap());
        assert!(rig.read(&copy, len as u64) == noise(ino, len), "{len}");
        live.file().write_all_at(b"x", 0).unwrap();
        rig.commit(rig.store.seal_live(live, PROFILE).unwrap());
        rig.store.discard_live(Ino(ino)).unwrap();
    }
    let no_space = |result: crate::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::NoSpace);
    no_space(rig.store.writer(PROFILE, WriteOptions::default()).map(drop));
    no_space(rig.store.create_live(Ino(9)).map(drop));
    no_space(rig.store.clone_to_live(Ino(9), &held, 2 << 20).map(drop));
    no_space(rig.store.unseal(&held, Ino(9)).map(drop));
    assert!(rig.read(&held, 2 << 20) == noise(77, 2 * MIB));
    assert!(rig.store.list_live().unwrap().is_empty());
}

#[test]
fn ruling19_five_tebibytes_are_sealed_and_one_byte_more_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let live = rig.store.create_live(Ino(1)).unwrap();
    live.file().set_len(MAX_OBJECT_SIZE + 1).unwrap();
    assert_eq!(rig.store.publish_copy(&live, PROFILE).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(rig.store.seal_live(live, PROFILE).unwrap_err().kind(), ErrorKind::TooLarge);
    let live = rig.store.open_live(Ino(1)).unwrap();
    live.file().set_len(MAX_OBJECT_SIZE).unwrap();
    live.file().write_all_at(b"tail", MAX_OBJECT_SIZE - 4).unwrap();
    let stored = rig.store.seal_live(live, PROFILE).unwrap();
    assert_eq!((stored.size, stored.leaves), (MAX_OBJECT_SIZE, MAX_OBJECT_SIZE / MIB as u64));
    let root = rig.commit(stored);
    rig.store.discard_live(Ino(1)).unwrap();
    let reader = rig.store.reader(&root, MAX_OBJECT_SIZE).unwrap();
    assert_eq!(reader.read_at(MAX_OBJECT_SIZE - 6, 9).unwrap(), &b"\0\0tail"[..]);
    assert_eq!(reader.read_at(MAX_OBJECT_SIZE / 3, 3).unwrap(), &[0; 3][..]);
    let options = WriteOptions { md5: false, size_hint: Some(MAX_OBJECT_SIZE + 1) };
    assert_eq!(rig.store.writer(PROFILE, options).map(drop).unwrap_err().kind(), ErrorKind::TooLarge);
}
