//! Cut off at any step: a copy of the folder and a prefix of the index's changes must open to everything that was
//! committed, and give back everything else.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index_double::IndexDouble;
use super::{Dice, rounds};
use crate::chunk::conformance::{Held, Rig, config, disk_use, files, noise};
use crate::chunk::{ChunkConfig, ChunkStore, WriteOptions};
use crate::types::{Cid, Id, Ino};
use crate::unixfs::Profile;

/// What must be there after a crash.
#[derive(Clone, Default)]
struct Truth {
    /// By name: what the namespace holds.
    objects: HashMap<u32, (Cid, Made)>,
    /// Live files whose bytes were synced, by inode: seed and length.
    live: HashMap<u64, (u64, usize)>,
    /// An upload that is under way, and its parts.
    upload: Option<Uploading>,
}

#[derive(Clone)]
struct Uploading {
    id: Id,
    parts: Vec<(Cid, u64)>,
    made: Made,
}

/// Seeds from here on have no chunk in common.
const OWN: u64 = 1 << 32;

/// Bodies, one behind the other: seeds and lengths.
type Made = Vec<(u64, usize)>;

fn bytes_of(made: &Made) -> Vec<u8> {
    made.iter().flat_map(|(seed, len)| body(*seed, *len)).collect()
}

struct Image {
    step: &'static str,
    dir: PathBuf,
    index: IndexDouble,
    truth: Truth,
}

struct Camera {
    dice: Dice,
    truth: Truth,
    source: PathBuf,
    index: Arc<IndexDouble>,
    images: Vec<Image>,
    room: tempfile::TempDir,
    seen: HashMap<&'static str, u32>,
}

impl Camera {
    /// Takes a picture, more likely at steps that have few.
    fn at(&mut self, step: &'static str) {
        let seen = self.seen.entry(step).or_default();
        if *seen >= 4 || *seen > 0 && self.dice.roll(3) > 0 {
            return;
        }
        *seen += 1;
        let dir = self.room.path().join(self.images.len().to_string());
        // Hard links, holes and modes are kept.
        let copied = Command::new("cp").args(["-a", "--sparse=always"]).arg(&self.source).arg(&dir).status().unwrap();
        assert!(copied.success());
        if step == "slab: syncing blocks" {
            self.tear(&dir);
        }
        let kept = self.dice.roll(self.index.unflushed() as u64 + 1) as usize;
        let index = self.index.crashed(kept);
        self.images.push(Image { step, dir, index, truth: self.truth.clone() });
    }

    /// The last slab's newest bytes were not synced: some are missing, some are not what they should be.
    fn tear(&mut self, dir: &Path) {
        let Some(slab) = files(&dir.join("slabs")).pop() else { return };
        let file = std::fs::File::options().write(true).open(&slab).unwrap();
        let len = file.metadata().unwrap().len();
        let known = self.index.slab_lengths().into_iter().max_by_key(|(id, _)| *id);
        let Some((id, synced)) = known else { return };
        if !slab.to_str().unwrap().contains(&format!("{id:016x}")) || len <= synced {
            return;
        }
        let cut = synced + self.dice.roll(len - synced + 1);
        file.set_len(cut).unwrap();
        if cut > synced && self.dice.roll(2) == 0 {
            file.write_all_at(&vec![0xee; 100.min((cut - synced) as usize)], cut - 100.min(cut - synced)).unwrap();
        }
    }
}

/// The bytes of an object: `shared` selects a body of which others have parts as well.
fn body(seed: u64, len: usize) -> Vec<u8> {
    if seed >= OWN {
        return noise(seed, len);
    }
    let mut out = noise(seed % 5, len);
    // A third of the chunks are the object's own.
    for (k, chunk) in out.chunks_mut(Profile::KuboClassicV1.chunk_size()).enumerate() {
        if (k as u64 + seed).is_multiple_of(3) {
            let own = noise(seed * 1000 + k as u64 + 77, chunk.len());
            chunk.copy_from_slice(&own);
        }
    }
    out
}

fn random_len(dice: &mut Dice) -> usize {
    match dice.roll(4) {
        0 => dice.roll(4000) as usize,
        1 => 5000 + dice.roll(60_000) as usize,
        2 => 70_000 + dice.roll(180_000) as usize,
        _ => 300_000 + dice.roll(1_500_000) as usize,
    }
}

/// Runs random operations and answers the pictures taken.
fn run(seed: u64, operations: usize) -> (tempfile::TempDir, Vec<Image>) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("store");
    let index = Arc::new(IndexDouble::default());
    let camera = Arc::new(Mutex::new(Camera {
        dice: Dice(seed * 7919 + 13),
        truth: Truth::default(),
        source: source.clone(),
        index: index.clone(),
        images: Vec::new(),
        room: tempfile::tempdir().unwrap(),
        seen: HashMap::new(),
    }));
    let on_step = {
        let camera = camera.clone();
        Arc::new(move |step| {
            camera.lock().at(step);
            Ok(())
        })
    };
    let config = ChunkConfig { on_step: Some(on_step), slab_bytes: 512 << 10, ..config(&source) };
    let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
    let rig = Rig { dir: source, index, store, roots: Held::default() };
    let mut dice = Dice(seed * 104_729 + 7);
    let mut name = 0;
    for _ in 0..operations {
        let held: Vec<u32> = camera.lock().truth.objects.keys().copied().collect();
        match dice.roll(14) {
            0..=3 | 10..=12 => {
                name += 1;
                let (seed, len) = (dice.roll(40), random_len(&mut dice));
                let mut writer = rig.store.writer(Profile::KuboClassicV1, Default::default()).unwrap();
                writer.write(&body(seed, len)).unwrap();
                let stored = writer.finish().unwrap();
                commit(&rig, &camera, name, stored, vec![(seed, len)]);
            }
            4 | 5 if !held.is_empty() => {
                let name = held[dice.roll(held.len() as u64) as usize];
                // From here on a crash may or may not keep it.
                let (root, ..) = camera.lock().truth.objects.remove(&name).unwrap();
                rig.release(&root);
            }
            6 => {
                rig.collect();
            }
            7 => {
                // A file on the mount: written, synced, published while open, sealed.
                name += 1;
                let (seed, len, ino) = (100 + dice.roll(40), random_len(&mut dice), u64::from(name));
                let live = rig.store.create_live(Ino(ino)).unwrap();
                live.file().write_all_at(&body(seed, len), 0).unwrap();
                live.sync_data().unwrap();
                camera.lock().truth.live.insert(ino, (seed, len));
                if dice.roll(2) == 0 {
                    let stored = rig.store.publish_copy(&live, Profile::KuboClassicV1).unwrap();
                    commit(&rig, &camera, name, stored, vec![(seed, len)]);
                    let (root, ..) = camera.lock().truth.objects.remove(&name).unwrap();
                    rig.release(&root);
                }
                let stored = seal(&rig, live);
                commit(&rig, &camera, name, stored, vec![(seed, len)]);
                camera.lock().at("sealed and committed, not let go of");
                camera.lock().truth.live.remove(&ino);
                rig.store.discard_live(Ino(ino)).unwrap();
            }
            8 if !held.is_empty() => {
                let held_name = held[dice.roll(held.len() as u64) as usize];
                let (root, made) = camera.lock().truth.objects[&held_name].clone();
                let size = made.iter().map(|(_, len)| *len as u64).sum();
                name += 1;
                let ino = u64::from(name);
                let made = rig.store.unseal(&root, Ino(ino));
                let live = made.or_else(|_| rig.store.clone_to_live(Ino(ino), &root, size)).unwrap();
                live.sync_data().unwrap();
                live.file().write_all_at(b"scribble", 0).unwrap();
                drop(live);
                rig.store.discard_live(Ino(ino)).unwrap();
            }
            // A multipart upload: parts that must survive, then one object, or none.
            13 => {
                let upload = Id::random();
                let count = 2 + dice.roll(3) as u32;
                // Most have chunks of their own: they get places in a file.
                let own = if dice.roll(4) > 0 { OWN } else { 1000 } + dice.roll(1_000_000);
                let first = name + 1;
                camera.lock().truth.upload = Some(Uploading { id: upload, parts: Vec::new(), made: Vec::new() });
                for k in 0..count {
                    name += 1;
                    let len = if k + 1 < count || dice.roll(2) == 0 { 768 << 10 } else { random_len(&mut dice) };
                    let made = (own + u64::from(k), len);
                    let options = WriteOptions { md5: true, size_hint: Some(len as u64) };
                    let mut writer = rig.store.writer(Profile::KuboClassicV1, options).unwrap();
                    writer.as_part(upload, k + 1);
                    writer.write(&body(made.0, made.1)).unwrap();
                    let stored = writer.finish().unwrap();
                    let root = stored.root;
                    commit(&rig, &camera, name, stored, vec![made]);
                    if let Some(upload) = &mut camera.lock().truth.upload {
                        upload.parts.push((root, len as u64));
                        upload.made.push(made);
                    }
                }
                let Uploading { mut parts, mut made, .. } = camera.lock().truth.upload.clone().unwrap();
                // One may be left out.
                if dice.roll(3) == 0 {
                    let out = dice.roll(u64::from(count)) as usize;
                    parts.remove(out);
                    made.remove(out);
                }
                match dice.roll(5) {
                    0 => {}
                    // Its commit fails.
                    1 => drop(rig.store.concat(&parts, Profile::KuboClassicV1).unwrap()),
                    _ => {
                        name += 1;
                        let stored = rig.store.concat(&parts, Profile::KuboClassicV1).unwrap();
                        commit(&rig, &camera, name, stored, made);
                    }
                }
                if dice.roll(3) == 0 {
                    rig.collect();
                }
                camera.lock().truth.upload = None;
                for part in first..first + count {
                    let (root, _) = camera.lock().truth.objects.remove(&part).unwrap();
                    rig.release(&root);
                }
                if dice.roll(2) == 0 {
                    rig.collect();
                }
            }
            // Many go at once: slabs become worth compacting.
            9 => {
                for name in held.into_iter().skip(3) {
                    let (root, ..) = camera.lock().truth.objects.remove(&name).unwrap();
                    rig.release(&root);
                }
                rig.collect();
            }
            _ => {}
        }
    }
    camera.lock().at("between operations");
    drop(rig);
    let mut camera = camera.lock();
    (std::mem::replace(&mut camera.room, dir), std::mem::take(&mut camera.images))
}

/// Seals a live file. A process that another test starts has its descriptors too, until it runs its program.
fn seal(rig: &Rig, mut live: crate::chunk::LiveFile) -> crate::chunk::Stored {
    let ino = live.ino();
    loop {
        match rig.store.seal_live(live, Profile::KuboClassicV1) {
            Err(e) if e.kind() == crate::ErrorKind::Busy => live = rig.store.open_live(ino).unwrap(),
            result => return result.unwrap(),
        }
    }
}

fn commit(rig: &Rig, camera: &Mutex<Camera>, name: u32, stored: crate::chunk::Stored, made: Made) {
    if let Some(block) = &stored.inline {
        rig.store.store_inline(std::slice::from_ref(block)).unwrap();
    }
    rig.roots.hold(&stored.root);
    camera.lock().truth.objects.insert(name, (stored.root, made));
    stored.guard.committed();
}

/// Opens what a crash left and compares.
fn check(image: Image, rebuild: bool) {
    let Image { step, dir, index, truth } = image;
    let index = Arc::new(index);
    let store = ChunkStore::open(config(&dir), index.clone(), rebuild, &|_| {})
        .unwrap_or_else(|e| panic!("after {step:?}: {e}"));
    let rig = Rig { dir, index, store, roots: Held::default() };
    for (root, ..) in truth.objects.values() {
        rig.roots.hold(root);
    }
    let compare = |when: &str| {
        for (root, made) in truth.objects.values() {
            let expected = bytes_of(made);
            let reader =
                rig.store.reader(root, expected.len() as u64).unwrap_or_else(|e| panic!("{when} after {step:?}: {e}"));
            let bytes = reader.read_at(0, expected.len()).unwrap_or_else(|e| panic!("{when} after {step:?}: {e}"));
            assert!(bytes == expected, "{when} after {step:?}: other bytes under {root}");
            let root_block = rig.store.block(root).unwrap();
            assert!(root_block.is_some(), "{when} after {step:?}: no block {root}");
            for chunk in expected.chunks(Profile::KuboClassicV1.chunk_size()) {
                let found = rig.store.block(&crate::unixfs::raw_cid(chunk)).unwrap();
                assert!(found.is_some_and(|b| b == chunk), "{when} after {step:?}: a leaf of {root}");
            }
        }
    };
    compare("at once");
    if let Some(Uploading { id, parts, made }) = &truth.upload {
        // It goes on: the first part comes again, one more comes, and all of them become an object.
        let again = rig.part(*id, 1, &noise(OWN * 2, 768 << 10), Profile::KuboClassicV1);
        let more = noise(OWN * 3, 1 << 20);
        let all = [parts.as_slice(), &[rig.part(*id, 9, &more, Profile::KuboClassicV1)]].concat();
        compare("with more parts");
        let stored = rig.store.concat(&all, Profile::KuboClassicV1).unwrap();
        let (size, root) = (stored.size, rig.commit(stored));
        [again, all[parts.len()]].iter().for_each(|(root, _)| rig.release(root));
        rig.collect();
        compare("completed");
        assert!(rig.read(&root, size) == [bytes_of(made), more].concat(), "completed after {step:?}");
        rig.release(&root);
    }
    // A file that was being sealed can be written to; nothing sealed changes with it.
    for (ino, (seed, len)) in &truth.live {
        let live = rig.store.open_live(Ino(*ino)).unwrap_or_else(|e| panic!("live after {step:?}: {e}"));
        let mut bytes = vec![0; *len];
        live.file().read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == body(*seed, *len), "live file after {step:?}");
        live.file().write_all_at(&vec![0x5a; (*len).max(1)], 0).unwrap();
    }
    rig.collect();
    compare("collected");
    for ino in rig.store.list_live().unwrap() {
        rig.store.discard_live(ino).unwrap();
    }
    // Written again, everything is stored once and well.
    for (root, made) in truth.objects.values() {
        let mut writer = rig.store.writer(Profile::KuboClassicV1, Default::default()).unwrap();
        writer.write(&bytes_of(made)).unwrap();
        let stored = writer.finish().unwrap();
        assert_eq!(stored.root, *root);
    }
    compare("written again");
    for (root, ..) in truth.objects.values() {
        rig.release(root);
    }
    rig.collect();
    for prefix in [&b"b"[..], b"c", b"r", b"fc", b"fd", b"fp", b"fu", b"fj"] {
        assert_eq!(rig.rows_with(prefix), [], "after {step:?}");
    }
    let mut left = files(&rig.dir.join("content"));
    left.extend(files(&rig.dir.join("uploads")));
    assert!(left.is_empty(), "after {step:?}: {left:?}");
    assert!(disk_use(&rig.dir.join("slabs")) <= 128 << 10, "after {step:?}");
}

fn campaign(seeds: std::ops::Range<u64>, operations: usize, rebuild: bool) {
    let mut steps: HashMap<&'static str, usize> = HashMap::new();
    let count = seeds.end - seeds.start;
    for seed in seeds.start..seeds.start + count * u64::from(rounds()) {
        let (_room, images) = run(seed, operations);
        for image in images {
            *steps.entry(image.step).or_default() += 1;
            check(image, rebuild);
        }
    }
    let mut steps: Vec<_> = steps.into_iter().collect();
    steps.sort_unstable();
    // Every step that a crash can cut was cut.
    for step in [
        "compact: moved, not removed",
        "collect: flushed, not destroyed",
        "part: syncing",
        "upload: not yet the object's",
        "upload: part gone, file not",
        "collect: unnamed, not flushed",
        "content: syncing",
        "object: blocks indexed, object not",
        "object: durable, not indexed",
        "object: hashed, not durable",
        "object: sidecar in place",
        "sealed and committed, not let go of",
        "slab: blocks durable, not named",
        "slab: syncing blocks",
        "unseal: linked, not replaced",
        "unseal: replaced, not recorded",
    ] {
        assert!(steps.iter().any(|(s, _)| *s == step), "{step:?} is not among {steps:?}");
    }
}

#[test]
fn every_step_can_be_the_last() {
    campaign(0..2, 120, false);
}

#[test]
fn the_index_can_be_made_anew_after_any_step() {
    campaign(50..52, 120, true);
}
