//! Tests of the store as a whole. What can be tried on any store is in [`super::conformance`].

mod basics;
mod index_double;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunk::{ChunkConfig, ChunkStore, CollectBudget, CollectReport, Roots, Stored, WriteOptions};
use crate::error::Result;
use crate::types::Cid;
use crate::unixfs::{self, Profile};

use index_double::IndexDouble;

/// A store in a folder of its own.
pub(super) struct Rig {
    pub(super) dir: tempfile::TempDir,
    pub(super) index: Arc<IndexDouble>,
    pub(super) store: ChunkStore,
    pub(super) roots: Held,
}

/// What the test's namespace holds.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashSet<[u8; 32]>>>);

impl Held {
    pub(super) fn hold(&self, root: &Cid) {
        self.0.lock().insert(unixfs::digest_of(root).unwrap());
    }

    pub(super) fn release(&self, root: &Cid) {
        self.0.lock().remove(&unixfs::digest_of(root).unwrap());
    }
}

impl Roots for Held {
    fn is_held(&self, digest: &[u8; 32]) -> Result<bool> {
        Ok(self.0.lock().contains(digest))
    }
}

pub(super) fn config(dir: &Path) -> ChunkConfig {
    ChunkConfig { reserve_bytes: 1 << 20, slab_bytes: 4 << 20, hash_threads: 2, ..ChunkConfig::new(dir) }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|c| c)
    }

    pub(super) fn with(change: impl FnOnce(ChunkConfig) -> ChunkConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let index = Arc::new(IndexDouble::default());
        let store = ChunkStore::open(change(config(dir.path())), index.clone(), false, &|_| {}).unwrap();
        Self { dir, index, store, roots: Held::default() }
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Stored {
        let mut writer = self.store.writer(Profile::V1_2025, WriteOptions::default()).unwrap();
        bytes.chunks(300_000).for_each(|part| writer.write(part).unwrap());
        writer.finish().unwrap()
    }

    /// Stores and commits: small bodies go to a slab as the log's reader would send them.
    pub(super) fn commit(&self, stored: Stored) -> Cid {
        self.roots.hold(&stored.root);
        if let Some(block) = &stored.inline {
            self.store.store_inline(std::slice::from_ref(block)).unwrap();
        }
        stored.guard.committed();
        stored.root
    }

    pub(super) fn release(&self, root: &Cid) {
        self.roots.release(root);
        self.store.release_hint(&unixfs::digest_of(root).unwrap());
    }

    pub(super) fn collect(&self) -> CollectReport {
        let mut sum = CollectReport::default();
        loop {
            let report = self.store.collect(&self.roots, &CollectBudget::default()).unwrap();
            sum.digests += report.digests;
            sum.objects_removed += report.objects_removed;
            sum.blocks_removed += report.blocks_removed;
            sum.bytes_moved += report.bytes_moved;
            sum.slabs_removed += report.slabs_removed;
            if !report.more {
                return sum;
            }
        }
    }

    pub(super) fn read(&self, root: &Cid, size: u64) -> Vec<u8> {
        self.store.reader(root, size).unwrap().read_at(0, size as usize).unwrap().to_vec()
    }

    /// Closes the store and opens it again.
    pub(super) fn reopen(self, rebuild: bool) -> Self {
        let Self { dir, index, store, roots } = self;
        drop(store);
        let store = ChunkStore::open(config(dir.path()), index.clone(), rebuild, &|_| {}).unwrap();
        Self { dir, index, store, roots }
    }
}

/// Bytes that no chunk of another seed shares.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(len);
    out
}

/// The CID by another way: the builder over bytes in memory.
pub(super) fn cid_of(bytes: &[u8], profile: Profile) -> Cid {
    let mut dag = unixfs::DagBuilder::new(profile);
    for chunk in bytes.chunks(profile.chunk_size()) {
        let leaf = unixfs::Leaf { cid: unixfs::raw_cid(chunk), size: chunk.len() as u64 };
        dag.push(leaf, &mut |_| Ok(())).unwrap();
    }
    dag.finish(&mut |_| Ok(())).unwrap().cid
}

/// Bytes on disk below a folder.
pub(super) fn disk_use(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        sum += if meta.is_dir() { disk_use(&entry.path()) } else { meta.blocks() * 512 };
    }
    sum
}

/// All files below a folder.
pub(super) fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}
