//! Slabs: files of many small blocks. Here is what there is of them, how much of each is live, and reading; appending is
//! [`super::append`]'s, giving space back [`super::compact`]'s.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::chunk::frame::FRAME_HEADER;
use crate::chunk::index::{Index, Place, SlabRow, block_key, decode, encode, slab_key};
use crate::chunk::layout::Layout;
use crate::chunk::pins::Digest32;
use crate::error::{Error, Result};
use crate::meta::RowChange;

/// Rows of one batch (ruling 6).
const MOST_ROWS: usize = 80;
/// Frames remembered as verified, in each of the two generations.
const MOST_VERIFIED: usize = 1 << 16;

/// All slabs.
pub(super) struct Slabs {
    pub(super) layout: Layout,
    pub(super) index: Index,
    files: Mutex<FileCache>,
    /// Held while rows that change it are applied, so that what is stored never goes back.
    rows: Mutex<BTreeMap<u64, SlabRow>>,
    /// The slab that is being appended to, 0 if none.
    active: AtomicU64,
    verified: Mutex<Verified>,
    /// Bytes on disk of slabs that are not appended to.
    disk: Mutex<HashMap<u64, u64>>,
    /// Twice the number of batches that moved blocks, and one more while one is applied.
    moves: AtomicU64,
}

/// How often blocks had moved.
pub(super) struct Moves(u64);

impl Moves {
    /// Whether nothing moved since, nor was moving then.
    pub(super) fn is_still(&self, slabs: &Slabs) -> bool {
        self.0.is_multiple_of(2) && slabs.moves.load(Ordering::SeqCst) == self.0
    }
}

/// Positions of frames whose payload was checked since the start. The older half is forgotten when it grows too large.
#[derive(Default)]
struct Verified {
    young: HashSet<(u64, u64)>,
    old: HashSet<(u64, u64)>,
}

/// What reading a place gave.
pub(super) enum Read {
    /// The block, checked.
    Good(Bytes),
    /// The file is not there any more: look the block up again.
    Gone,
    /// Other bytes lie there, or they cannot be read.
    Bad(Error),
}

impl Slabs {
    pub(super) fn open(layout: Layout, index: Index, most_files: usize) -> Result<Arc<Self>> {
        let mut rows = BTreeMap::new();
        index.scan(b"fs", b"", &mut |key, value| {
            if let Some(id) = key.last_chunk::<8>() {
                rows.insert(u64::from_be_bytes(*id), decode(value)?);
            }
            Ok(())
        })?;
        Ok(Arc::new(Self {
            layout,
            index,
            files: Mutex::new(FileCache::new(most_files)),
            rows: Mutex::new(rows),
            active: AtomicU64::new(0),
            verified: Mutex::default(),
            disk: Mutex::default(),
            moves: AtomicU64::new(0),
        }))
    }

    /// The slab's file; `None` if it is gone.
    pub(super) fn file(&self, id: u64) -> Result<Option<Arc<File>>> {
        if let Some(file) = self.files.lock().get(id) {
            return Ok(Some(file));
        }
        match File::open(self.layout.slab(id)) {
            Ok(file) => Ok(Some(self.files.lock().insert(id, Arc::new(file)))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("opening a slab", e).with("slab", id)),
        }
    }

    /// A block's payload, checked against its digest (once a start).
    pub(super) fn read(&self, id: u64, offset: u64, len: u32, digest: &Digest32) -> Result<Read> {
        let Some(file) = self.file(id)? else { return Ok(Read::Gone) };
        let mut bytes = vec![0; len as usize];
        let bad = |e: Error| Read::Bad(e.with("slab", id).with("offset", offset));
        if let Err(e) = file.read_exact_at(&mut bytes, offset) {
            return Ok(bad(match e.kind() {
                std::io::ErrorKind::UnexpectedEof => Error::corrupt("a slab ends within a block"),
                _ => Error::io("reading a slab", e),
            }));
        }
        if !self.verified.lock().knows((id, offset)) {
            if <Digest32>::from(Sha256::digest(&bytes)) != *digest {
                return Ok(bad(Error::corrupt("a block in a slab does not match its digest")));
            }
            self.verified.lock().add((id, offset));
        }
        Ok(Read::Good(bytes.into()))
    }

    /// Names blocks that are durable in the slab `id`, in the order in which they lie there.
    pub(super) fn add(&self, id: u64, placed: Vec<Placed>) -> Result<()> {
        let mut rows = self.rows.lock();
        let mut steps = placed.into_iter().peekable();
        while steps.peek().is_some() {
            // A block's rows, its slabs' rows and what goes with it are applied together; many blocks need not be.
            let mut batch: Vec<RowChange> = Vec::new();
            let mut changed: BTreeMap<u64, SlabRow> = BTreeMap::new();
            while batch.len() + changed.len() < MOST_ROWS {
                let Some(block) = steps.next() else { break };
                let current = |changed: &BTreeMap<u64, SlabRow>, id| {
                    changed.get(&id).or_else(|| rows.get(&id)).copied().unwrap_or_default()
                };
                let frame_len = u64::from(block.len) + FRAME_HEADER as u64;
                let mut row = current(&changed, id);
                row.len = row.len.max(block.end);
                if let Some(offset) = block.offset {
                    row.live += frame_len;
                    let place = Place::Slab { offset, len: block.len };
                    batch.push((block_key(&block.digest, id), Some(encode(&place)?)));
                }
                changed.insert(id, row);
                if let Some(from) = block.from {
                    batch.push((block_key(&block.digest, from), None));
                    if rows.contains_key(&from) {
                        let mut row = current(&changed, from);
                        row.live = row.live.saturating_sub(frame_len);
                        changed.insert(from, row);
                    }
                }
                batch.extend(block.extra);
            }
            for (id, row) in &changed {
                batch.push((slab_key(*id), Some(encode(row)?)));
            }
            self.moves.fetch_add(1, Ordering::SeqCst);
            let applied = self.index.apply(&batch);
            self.moves.fetch_add(1, Ordering::SeqCst);
            applied?;
            rows.append(&mut changed);
        }
        Ok(())
    }

    /// For a look at rows that moves are not to come between.
    pub(super) fn moves(&self) -> Moves {
        Moves(self.moves.load(Ordering::SeqCst))
    }

    /// Forgets one block. Its bytes stay until the space is given back.
    pub(super) fn remove(&self, digest: &Digest32, id: u64, len: u32) -> Result<()> {
        let mut rows = self.rows.lock();
        let Some(mut row) = rows.get(&id).copied() else { return self.index.apply(&[(block_key(digest, id), None)]) };
        row.live = row.live.saturating_sub(u64::from(len) + FRAME_HEADER as u64);
        self.index.apply(&[(block_key(digest, id), None), (slab_key(id), Some(encode(&row)?))])?;
        rows.insert(id, row);
        Ok(())
    }

    /// Sets what is known of a slab.
    pub(super) fn set_row(&self, id: u64, row: SlabRow) -> Result<()> {
        let mut rows = self.rows.lock();
        self.index.apply(&[(slab_key(id), Some(encode(&row)?))])?;
        rows.insert(id, row);
        Ok(())
    }

    /// Forgets a slab in which nothing is live. Its file is the caller's to remove, once the index is flushed.
    pub(super) fn forget(&self, id: u64) -> Result<()> {
        let mut rows = self.rows.lock();
        self.index.apply(&[(slab_key(id), None)])?;
        rows.remove(&id);
        Ok(())
    }

    /// Removes a forgotten slab's file. Readers that have it open go on.
    pub(super) fn unlink(&self, id: u64) -> Result<()> {
        self.files.lock().remove(id);
        self.measure_again(id);
        match fs::remove_file(self.layout.slab(id)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("removing a slab", e).with("slab", id)),
            _ => Ok(()),
        }
    }

    /// What is known of a slab; `None` if there is none: a block's row may have outlived it.
    pub(super) fn row(&self, id: u64) -> Option<SlabRow> {
        self.rows.lock().get(&id).copied()
    }

    /// Whether a slab is said to hold the block, beside `not`.
    pub(super) fn hold(&self, digest: &Digest32, not: Option<u64>) -> Result<bool> {
        let counts = |id| Some(id) != not && self.row(id).is_some();
        Ok(self.index.places(digest)?.iter().any(|(id, place)| matches!(place, Place::Slab { .. }) && counts(*id)))
    }

    /// All slabs, by id.
    pub(super) fn rows(&self) -> Vec<(u64, SlabRow)> {
        self.rows.lock().iter().map(|(id, row)| (*id, *row)).collect()
    }

    /// Bytes on disk of a slab; 0 if it is gone. One that is not appended to is looked at once, and after holes were made.
    pub(super) fn disk_bytes(&self, id: u64) -> Result<u64> {
        if let Some(bytes) = self.disk.lock().get(&id) {
            return Ok(*bytes);
        }
        let active = id == self.active();
        let bytes = match fs::metadata(self.layout.slab(id)) {
            // Not what is set aside beyond its end.
            Ok(meta) => (meta.blocks() * 512).min(meta.len().next_multiple_of(meta.blksize())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(Error::io("looking at a slab", e)),
        };
        if !active {
            self.disk.lock().insert(id, bytes);
        }
        Ok(bytes)
    }

    /// A slab's bytes on disk have changed.
    pub(super) fn measure_again(&self, id: u64) {
        self.disk.lock().remove(&id);
    }

    pub(super) fn active(&self) -> u64 {
        self.active.load(Ordering::Acquire)
    }

    pub(super) fn set_active(&self, id: u64) {
        self.active.store(id, Ordering::Release);
    }
}

/// A block that lies in a slab now.
pub(super) struct Placed {
    pub(super) digest: Digest32,
    pub(super) len: u32,
    /// Where its payload lies. `None` if the index names another copy, and only the rows that go with it are applied.
    pub(super) offset: Option<u64>,
    /// Where its frame ends.
    pub(super) end: u64,
    /// The slab or content file that it was moved out of.
    pub(super) from: Option<u64>,
    pub(super) extra: Vec<RowChange>,
}

impl Verified {
    fn knows(&self, frame: (u64, u64)) -> bool {
        self.young.contains(&frame) || self.old.contains(&frame)
    }

    fn add(&mut self, frame: (u64, u64)) {
        if self.young.len() >= MOST_VERIFIED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(frame);
    }
}

/// Open files, the least recently used closed first.
pub(super) struct FileCache {
    most: usize,
    clock: u64,
    files: HashMap<u64, (u64, Arc<File>)>,
}

impl FileCache {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(4), clock: 0, files: HashMap::new() }
    }

    pub(super) fn get(&mut self, id: u64) -> Option<Arc<File>> {
        self.clock += 1;
        let (used, file) = self.files.get_mut(&id)?;
        *used = self.clock;
        Some(file.clone())
    }

    /// Adds a file, unless another thread has: then that one is used.
    pub(super) fn insert(&mut self, id: u64, file: Arc<File>) -> Arc<File> {
        if let Some(file) = self.get(id) {
            return file;
        }
        if self.files.len() >= self.most {
            let mut used: Vec<u64> = self.files.values().map(|(used, _)| *used).collect();
            let (_, oldest_kept, _) = used.select_nth_unstable(self.most / 4);
            let oldest_kept = *oldest_kept;
            self.files.retain(|_, (used, _)| *used >= oldest_kept);
        }
        self.files.insert(id, (self.clock, file.clone()));
        file
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.files.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_files_are_closed() {
        let mut cache = FileCache::new(8);
        let file = || Arc::new(tempfile::tempfile().unwrap());
        for id in 0..100 {
            cache.insert(id, file());
            assert!(cache.get(0).is_some(), "used all the time");
            assert!(cache.files.len() <= 8);
        }
        assert!(cache.get(50).is_none() && cache.get(99).is_some());
        let first = cache.get(0).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.insert(0, file())));
        cache.remove(0);
        assert!(cache.get(0).is_none());
    }
}
