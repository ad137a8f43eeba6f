//! What is moved at the very moment at which it is read: the collector does all its work between a reader's look at the
//! index and its look at the file.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::index_double::IndexDouble;
use crate::chunk::conformance::{Rig, config, noise};
use crate::chunk::index::block_key;
use crate::chunk::{ChunkConfig, ChunkStore};
use crate::error::Result;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};
use crate::types::{Cid, Id, Ino};
use crate::unixfs::{Profile, digest_of, raw_cid};

const PROFILE: Profile = Profile::KuboClassicV1;
const CHUNK: usize = 256 << 10;

type Then = Box<dyn FnOnce() + Send>;

/// What comes between in the looks at the places of one block.
struct Between {
    prefix: Vec<u8>,
    /// The first look finds nothing: it is for one place only, and not the last word. Then comes the second.
    looked: bool,
    /// Whether the second misses the place that the block has by then, as a look without a snapshot may.
    blind: bool,
    then: Then,
}

/// Rows in memory, with something that comes between.
#[derive(Default)]
struct Interposed {
    rows: IndexDouble,
    between: Mutex<Option<Between>>,
}

impl MetaStore for Interposed {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get(key)
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        let mut found = self.rows.range(start, end, limit)?;
        let mut between = self.between.lock();
        match between.take_if(|b| start == b.prefix) {
            None => {}
            Some(first) if !first.looked => {
                *between = Some(Between { looked: true, ..first });
                found.clear();
            }
            Some(second) => {
                drop(between);
                (second.then)();
                if second.blind {
                    found.clear();
                }
            }
        }
        Ok(found)
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        self.rows.last(start, end)
    }

    fn apply(&self, batch: &[RowChange]) -> Result<()> {
        self.rows.apply(batch)
    }

    fn flush(&self) -> Result<()> {
        self.rows.flush()
    }

    fn room(&self) -> Result<u64> {
        self.rows.room()
    }

    fn stats(&self) -> Result<StoreStats> {
        self.rows.stats()
    }

    fn engine(&self) -> &'static str {
        "memory"
    }
}

/// A store whose upload has two parts, the first of which nobody names any more; and a chunk of it.
fn with_a_dropped_part(dir: &Path) -> (Arc<Rig>, Arc<Interposed>, Vec<u8>, Cid) {
    let index = Arc::new(Interposed::default());
    let config = ChunkConfig { open_files: 4, ..config(dir) };
    let store = ChunkStore::open(config, index.clone(), false, &|_| {}).unwrap();
    let rig = Rig { dir: dir.to_owned(), index: index.clone(), store, roots: Default::default() };
    let upload = Id::random();
    let chunk = noise(1, CHUNK);
    let (first, _) = rig.part(upload, 1, &[chunk.clone(), noise(2, CHUNK)].concat(), PROFILE);
    rig.part(upload, 2, &[noise(3, CHUNK), noise(4, CHUNK)].concat(), PROFILE);
    rig.release(&first);
    let cid = raw_cid(&chunk);
    (Arc::new(rig), index, chunk, cid)
}

fn read_beside_the_collector(blind: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (rig, index, chunk, cid) = with_a_dropped_part(dir.path());
    let key = block_key(&digest_of(&cid).unwrap(), 0);
    let prefix = key[..key.len() - size_of::<u64>()].to_vec();
    let collected = Arc::new(Mutex::new(0));
    let then: Then = {
        let (rig, collected) = (rig.clone(), collected.clone());
        Box::new(move || *collected.lock() = rig.collect().objects_removed)
    };
    *index.between.lock() = Some(Between { prefix, looked: false, blind, then });
    assert!(rig.store.block(&cid).unwrap().is_some_and(|bytes| bytes == chunk));
    assert_eq!(*collected.lock(), 1, "the part went while its chunk was read");
}

#[test]
fn a_chunk_is_read_while_its_part_goes() {
    read_beside_the_collector(false);
}

#[test]
fn a_chunk_is_found_by_a_look_that_its_move_came_between() {
    read_beside_the_collector(true);
}

#[test]
fn ruling11_what_was_opened_before_a_file_became_live_is_not_read_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let bytes = noise(1, 3 * CHUNK);
    let root = rig.commit(rig.put(&bytes));
    let inner = &rig.store.0;
    let row = inner.index.object(&digest_of(&root).unwrap()).unwrap().unwrap();
    inner.content.forget(row.id);
    // A reader is at work, and stopped by the scheduler before it tells others of its handle.
    let opened = inner.content.opened();
    let stale = inner.content.open_files(&row).unwrap();
    let live = rig.store.unseal(&root, Ino(1)).unwrap();
    live.file().write_all_at(&vec![0xaa; bytes.len()], 0).unwrap();
    inner.content.forget(row.id);
    assert!(inner.content.keep(stale, opened).is_none());
    assert!(rig.read(&root, bytes.len() as u64) == bytes);
}
