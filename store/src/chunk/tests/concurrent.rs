//! Collection while everything else goes on: nothing that is held is ever lost, and afterwards nothing else is left.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::index_double::IndexDouble;
use super::{Dice, rounds};
use crate::chunk::conformance::{Rig, config, disk_use, files, noise};
use crate::chunk::index::{self, ObjectRow, Place};
use crate::chunk::{ChunkConfig, ChunkStore, CollectBudget, Roots, Stored};
use crate::error::ErrorKind;
use crate::types::{Cid, Ino};
use crate::unixfs::{self, Profile, raw_cid};

const PROFILE: Profile = Profile::KuboClassicV1;
const CHUNK: usize = 256 << 10;
/// Different chunks: few, so that objects share them.
const CHUNKS: u64 = 10;

/// What an object is made of.
#[derive(Clone, Debug)]
enum Recipe {
    Small(u64),
    Chunks(Vec<u64>),
}

impl Recipe {
    fn random(dice: &mut Dice) -> Self {
        match dice.roll(3) {
            0 => Self::Small(dice.roll(25)),
            _ => Self::Chunks((0..1 + dice.roll(5)).map(|_| dice.roll(CHUNKS)).collect()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Small(seed) => noise(1000 + seed, 100 + (*seed as usize) * 2500),
            Self::Chunks(chunks) => chunks.iter().flat_map(|c| noise(*c, CHUNK)).collect(),
        }
    }
}

type Names = RwLock<Vec<(Cid, Recipe)>>;

fn commit(rig: &Rig, names: &Names, stored: Stored, recipe: Recipe) {
    if let Some(block) = &stored.inline {
        rig.store.store_inline(std::slice::from_ref(block)).unwrap();
    }
    rig.roots.hold(&stored.root);
    names.write().push((stored.root, recipe));
    stored.guard.committed();
}

fn write(rig: &Rig, names: &Names, dice: &mut Dice, inodes: &AtomicU64) {
    let recipe = Recipe::random(dice);
    let bytes = recipe.bytes();
    let mut writer = rig.store.writer(PROFILE, Default::default()).unwrap();
    match dice.roll(6) {
        // A client that goes away, or a commit that fails.
        0 => {
            writer.write(&bytes).unwrap();
            if dice.roll(2) == 0 {
                drop(writer.finish().unwrap());
            }
        }
        // A file on the mount, published while it is open and sealed at the end.
        1 => {
            let ino = Ino(inodes.fetch_add(1, Ordering::Relaxed));
            let live = rig.store.create_live(ino).unwrap();
            live.file().write_all_at(&bytes, 0).unwrap();
            let stored = rig.store.publish_copy(&live, PROFILE).unwrap();
            commit(rig, names, stored, recipe.clone());
            match rig.store.seal_live(live, PROFILE) {
                Ok(stored) => commit(rig, names, stored, recipe),
                Err(e) => assert_eq!(e.kind(), ErrorKind::Busy),
            }
            rig.store.discard_live(ino).unwrap();
        }
        // A multipart upload.
        2 => {
            let upload = crate::types::Id::random();
            let mut chunks = Vec::new();
            let mut parts = Vec::new();
            for number in 1..=1 + dice.roll(4) as u32 {
                // Two parts in three are of chunks of their own: they get places.
                let pool = if dice.roll(3) == 0 { CHUNKS } else { 1 << 40 };
                let part: Vec<u64> = (0..3).map(|_| dice.roll(pool)).collect();
                let bytes = Recipe::Chunks(part.clone()).bytes();
                chunks.extend(part);
                parts.push(rig.part(upload, number, &bytes, PROFILE));
            }
            if dice.roll(4) > 0 {
                let recipe = Recipe::Chunks(chunks);
                let stored = rig.store.concat(&parts, PROFILE).unwrap();
                assert!(rig.read(&stored.root, stored.size) == recipe.bytes());
                commit(rig, names, stored, recipe);
            }
            parts.iter().for_each(|(root, _)| rig.release(root));
        }
        _ => {
            writer.write(&bytes).unwrap();
            commit(rig, names, writer.finish().unwrap(), recipe);
        }
    }
}

fn release(rig: &Rig, names: &Names, dice: &mut Dice) {
    let released = {
        let mut names = names.write();
        if names.len() < 6 {
            return;
        }
        let at = dice.roll(names.len() as u64) as usize;
        names.swap_remove(at)
    };
    rig.release(&released.0);
}

fn read(rig: &Rig, names: &Names, dice: &mut Dice) {
    let opened = {
        let names = names.read();
        if names.is_empty() {
            return;
        }
        let (root, recipe) = &names[dice.roll(names.len() as u64) as usize];
        let bytes = recipe.bytes();
        if let Recipe::Chunks(chunks) = recipe {
            // While the object is held every block of it is here.
            let chunk = noise(chunks[dice.roll(chunks.len() as u64) as usize], CHUNK);
            assert_eq!(rig.store.block(&raw_cid(&chunk)).unwrap().unwrap(), chunk);
            assert!(rig.store.block(root).unwrap().is_some());
        }
        let reader = rig.store.reader(root, bytes.len() as u64).unwrap_or_else(|e| {
            let held = rig.roots.is_held(&unixfs::digest_of(root).unwrap()).unwrap();
            panic!("{e} {recipe:?} held: {held}")
        });
        (reader, bytes)
    };
    // The name may go while it is read.
    let (reader, bytes) = opened;
    for _ in 0..3 {
        let from = dice.roll(bytes.len() as u64) as usize;
        let expected = &bytes[from..(from + 300_000).min(bytes.len())];
        assert!(reader.read_at(from as u64, 300_000).unwrap() == expected, "other bytes");
    }
}

fn take_up(rig: &Rig, names: &Names, dice: &mut Dice, inodes: &AtomicU64) {
    let ino = Ino(inodes.fetch_add(1, Ordering::Relaxed));
    let (live, bytes) = {
        let names = names.read();
        if names.is_empty() {
            return;
        }
        let (root, recipe) = &names[dice.roll(names.len() as u64) as usize];
        let bytes = recipe.bytes();
        let live = match rig.store.unseal(root, ino) {
            Err(e) if matches!(e.kind(), ErrorKind::Busy | ErrorKind::Unsupported) => {
                rig.store.clone_to_live(ino, root, bytes.len() as u64).unwrap()
            }
            live => live.unwrap(),
        };
        (live, bytes)
    };
    let mut found = vec![0; bytes.len()];
    live.file().read_exact_at(&mut found, 0).unwrap();
    assert!(found == bytes, "a live file has other bytes");
    live.file().write_all_at(&vec![0xaa; bytes.len()], 0).unwrap();
    drop(live);
    rig.store.discard_live(ino).unwrap();
}

fn storm(seed: u64, operations: usize) -> (Rig, Vec<(Cid, Recipe)>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let index = Arc::new(IndexDouble::default());
    // Few files are kept open, so that handles come and go.
    let config = ChunkConfig { slab_bytes: 1 << 20, open_files: 4, ..config(dir.path()) };
    let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
    let rig = Rig { dir: dir.path().to_owned(), index, store, roots: Default::default() };
    let (names, inodes, done) = (Names::default(), AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (rig, names, inodes, done) = (&rig, &names, &inodes, &done);
        let collector = scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                let budget = CollectBudget { digests: 7, moved_bytes: 1 << 20 };
                rig.store.collect(&rig.roots, &budget).unwrap();
            }
        });
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    let mut dice = Dice(seed * 31 + worker + 1);
                    for _ in 0..operations {
                        match dice.roll(10) {
                            0..=3 => write(rig, names, &mut dice, inodes),
                            4..=6 => release(rig, names, &mut dice),
                            7 => take_up(rig, names, &mut dice, inodes),
                            _ => read(rig, names, &mut dice),
                        }
                    }
                })
            })
            .collect();
        let failed: Vec<String> = workers.into_iter().filter_map(|w| w.join().err()).map(said).collect();
        done.store(true, Ordering::Release);
        collector.join().unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    });
    (rig, names.into_inner(), dir)
}

/// What a thread panicked with: the run's own message is often all that is kept of it.
fn said(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().map_or_else(|| "?".to_owned(), |text| (*text).to_owned()),
    }
}

/// Everything that is stored is needed, by the index's own word.
fn nothing_superfluous(rig: &Rig) {
    let objects: Vec<ObjectRow> = rig.rows_with(b"c").iter().map(|(_, v)| index::decode(v).unwrap()).collect();
    for row in &objects {
        assert!(rig.roots.is_held(&row.root).unwrap(), "an object that nobody holds: {row:?}");
    }
    let owners: Vec<u64> = objects.iter().map(|row| row.id).collect();
    let needs: Vec<_> = rig.rows_with(b"r").iter().map(|(k, _)| index::split_key(k).unwrap()).collect();
    for (_, id) in &needs {
        assert!(owners.contains(id), "a need of an object that is no more");
    }
    for (key, value) in rig.rows_with(b"b") {
        let (digest, id) = index::split_key(&key).unwrap();
        match index::decode(&value).unwrap() {
            Place::Slab { .. } => {
                let needed = rig.roots.is_held(&digest).unwrap() || needs.iter().any(|(d, _)| *d == digest);
                assert!(needed, "a block in a slab that nobody needs");
            }
            _ => assert!(owners.contains(&id), "a block of an object that is no more"),
        }
    }
    for prefix in [b"fd", b"fp", b"fu", b"fj"] {
        assert_eq!(rig.rows_with(prefix), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6 * rounds(), max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_held_is_lost_and_nothing_else_is_kept(seed in any::<u32>()) {
        let (rig, names, _dir) = storm(u64::from(seed), 60);
        rig.collect();
        for (root, recipe) in &names {
            let bytes = recipe.bytes();
            prop_assert!(rig.read(root, bytes.len() as u64) == bytes);
        }
        nothing_superfluous(&rig);
        let usage = rig.store.usage().unwrap();
        let live = usage.object_bytes + usage.slab_live_bytes;
        let disk = disk_use(&rig.dir.join("content")) + disk_use(&rig.dir.join("slabs"));
        prop_assert!(disk <= live + live / 10 + (128 << 10), "{} on disk for {:?}", disk, usage);

        let scrub = rig.store.verify_all(&|_| {}).unwrap();
        prop_assert!(scrub.damaged == 0, "{:?}", scrub);

        // The same from the files alone, then nothing at all.
        let rig = rig.reopen(true);
        for (root, recipe) in &names {
            let bytes = recipe.bytes();
            prop_assert!(rig.read(root, bytes.len() as u64) == bytes);
        }
        rig.collect();
        nothing_superfluous(&rig);
        let counted = rig.store.usage().unwrap();
        prop_assert!(counted.object_bytes == usage.object_bytes, "{:?} {:?}", counted, usage);
        names.iter().for_each(|(root, _)| rig.release(root));
        rig.collect();
        prop_assert!(files(&rig.dir.join("content")).is_empty());
        prop_assert!(files(&rig.dir.join("uploads")).is_empty());
        prop_assert!(disk_use(&rig.dir.join("slabs")) <= 128 << 10);
        prop_assert!(rig.store.usage().unwrap().objects == 0);
    }
}
