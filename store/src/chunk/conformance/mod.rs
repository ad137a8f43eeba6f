//! What the chunk store must do, over any engine of the index and in any folder. The suite panics where it does not.
#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

mod live;
mod objects;
mod uploads;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunk::{ChunkConfig, ChunkStore, CollectBudget, CollectReport, Roots, Stored, WriteOptions};
use crate::error::Result;
use crate::meta::schema::prefix_end;
use crate::meta::{MetaStore, Row};
use crate::types::Cid;
use crate::unixfs::{self, Profile};

macro_rules! suite {
    ($($topic:ident::$case:ident,)*) => {
        /// Runs the suite; `make` gives an empty folder and an empty index each time.
        pub fn chunk_store(make: impl Fn() -> (PathBuf, Arc<dyn MetaStore>)) {
            $({
                let (dir, index) = make();
                $topic::$case(Rig::new(dir, index));
            })*
        }

        /// Each case by its name, over an index in memory.
        #[cfg(test)]
        mod over_memory {
            use crate::chunk::tests::index_double::IndexDouble;
            $(
                #[test]
                fn $case() {
                    let dir = tempfile::tempdir().unwrap();
                    let index = std::sync::Arc::new(IndexDouble::default());
                    super::$topic::$case(super::Rig::new(dir.path().to_owned(), index));
                }
            )*
        }
    };
}

suite! {
    objects::every_size_comes_back_with_its_cid_and_md5,
    objects::all_blocks_of_an_object_are_served,
    objects::a_dropped_writer_leaves_nothing,
    objects::ruling14_equal_objects_share_a_file,
    objects::ruling14_an_object_that_shares_half_its_chunks_stores_the_others_only,
    objects::ruling19_zeros_are_holes,
    objects::a_flipped_byte_is_corrupt_and_never_read,
    objects::what_nobody_holds_is_collected,
    objects::inline_bodies_are_found_by_the_lookup_and_stored_once,
    objects::a_chunk_that_is_an_object_itself_outlives_the_object_it_came_with,
    objects::open_readers_of_shared_chunks_are_spared,
    objects::an_object_of_repeated_chunks_is_moved_once,
    objects::ruling15_parts_become_one_object_with_a_file_of_its_own,
    uploads::ruling15_an_upload_becomes_an_object_without_a_copy,
    uploads::ruling15_parts_that_do_not_fit_their_places_are_copied,
    uploads::ruling15_an_aborted_upload_leaves_nothing,
    uploads::ruling15_an_upload_goes_on_after_a_restart,
    uploads::ruling15_a_completion_in_vain_spoils_no_part,
    uploads::ruling15_a_part_keeps_its_bytes_while_it_is_read,
    uploads::ruling15_damage_in_a_part_is_not_made_an_object_unseen,
    live::ruling8_live_files_are_sealed_without_a_copy,
    live::ruling8_small_live_files_go_inline_and_back_to_the_pool,
    live::ruling19_a_sparse_gibibyte_is_sealed_and_stays_sparse,
    live::ruling8_open_files_are_published_by_copy,
    live::ruling11_a_sealed_file_becomes_live_again_and_the_object_keeps_its_content,
    live::ruling13_what_touches_a_sealed_file_is_looked_into,
}

/// A store, and a namespace as small as one can be.
pub(super) struct Rig {
    pub(super) dir: PathBuf,
    pub(super) index: Arc<dyn MetaStore>,
    pub(super) store: ChunkStore,
    pub(super) roots: Held,
}

/// What the namespace holds, by how many names.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashMap<[u8; 32], u32>>>);

impl Held {
    pub(super) fn hold(&self, root: &Cid) {
        *self.0.lock().entry(unixfs::digest_of(root).unwrap()).or_default() += 1;
    }

    /// Whether it was the last name.
    pub(super) fn release(&self, root: &Cid) -> bool {
        let mut held = self.0.lock();
        let digest = unixfs::digest_of(root).unwrap();
        let names = held.get_mut(&digest).unwrap();
        *names -= 1;
        let last = *names == 0;
        if last {
            held.remove(&digest);
        }
        last
    }
}

impl Roots for Held {
    fn is_held(&self, digest: &[u8; 32]) -> Result<bool> {
        Ok(self.0.lock().contains_key(digest))
    }
}

pub(super) fn config(dir: &Path) -> ChunkConfig {
    ChunkConfig { reserve_bytes: 1 << 20, slab_bytes: 4 << 20, hash_threads: 2, ..ChunkConfig::new(dir) }
}

impl Rig {
    pub(super) fn new(dir: PathBuf, index: Arc<dyn MetaStore>) -> Self {
        let store = ChunkStore::open(config(&dir), index.clone(), false, &|_| {}).unwrap();
        Self { dir, index, store, roots: Held::default() }
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Stored {
        let mut writer = self.store.writer(Profile::V1_2025, WriteOptions::default()).unwrap();
        bytes.chunks(300_000).for_each(|part| writer.write(part).unwrap());
        writer.finish().unwrap()
    }

    /// Commits what was stored: small bodies go to a slab as the log's reader would send them.
    pub(super) fn commit(&self, stored: Stored) -> Cid {
        self.roots.hold(&stored.root);
        if let Some(block) = &stored.inline {
            self.store.store_inline(std::slice::from_ref(block)).unwrap();
        }
        stored.guard.committed();
        stored.root
    }

    pub(super) fn release(&self, root: &Cid) {
        if self.roots.release(root) {
            self.store.release_hint(&unixfs::digest_of(root).unwrap());
        }
    }

    /// Collects until there is nothing more to do.
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

    pub(super) fn rows_with(&self, prefix: &[u8]) -> Vec<Row> {
        self.index.range(prefix, &prefix_end(prefix), usize::MAX).unwrap()
    }

    /// Closes the store and opens it again.
    pub(super) fn reopen(self, rebuild: bool) -> Self {
        let Self { dir, index, store, roots } = self;
        drop(store);
        let store = ChunkStore::open(config(&dir), index.clone(), rebuild, &|_| {}).unwrap();
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
        } else if !path.ends_with("boot") {
            all.push(path);
        }
    }
    all.sort();
    all
}
