//! Objects that share their chunks with others (S19), and the publishing of files that stay open for writing: chunks
//! that are not stored yet go to slabs, and rows say that the object needs the others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::chunk::append::NewBlock;
use crate::chunk::ids::IdGuard;
use crate::chunk::index::{Kind, Stamp, need_key};
use crate::chunk::leaves::LeafSink;
use crate::chunk::link::NewObject;
use crate::chunk::live_file::LiveFile;
use crate::chunk::pins::{Digest32, TempPin};
use crate::chunk::pool::Buffer;
use crate::chunk::seal::{Piece, stamp};
use crate::chunk::sidecar::{LeafInfo, Run, Sidecar};
use crate::chunk::store::Inner;
use crate::chunk::writer::Stored;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{MAX_OBJECT_SIZE, Timestamp};
use crate::unixfs::{Profile, RAW, cid_of_digest};

/// Bytes of new chunks that are appended to slabs together.
const BATCH: usize = 8 << 20;
/// How often a file that changes while it is hashed is tried again.
const TRIES: usize = 4;
/// File times may be no finer than a tick: a write within the tick in which the file was looked at could go unseen.
const TICK: Duration = Duration::from_millis(20);

impl Inner {
    /// Keeps of a whole file only the chunks that are not stored.
    pub(super) fn scatter_file(&self, (data, base): (&File, u64), object: NewObject, pin: TempPin) -> Result<TempPin> {
        let Some(sidecar_file) = &object.sidecar else {
            return Err(Error::new(ErrorKind::Internal, "an object of one chunk cannot be scattered"));
        };
        let file = sidecar_file.file.try_clone().at("keeping a file open")?;
        let sidecar = Sidecar::open(file, &|size| self.zeros.of(size))?;
        let id = self.ids.allocate()?;
        let mut chunks = Chunks::new(self, id.id, false);
        let result = sidecar.for_each_leaf(&mut |run| {
            let Run::Leaf(LeafInfo { digest, offset, size, .. }) = run else { return Ok(()) };
            chunks.add(&digest, || {
                let mut bytes = vec![0; size as usize];
                data.read_exact_at(&mut bytes, base + offset).at("reading a file that shares chunks")?;
                Ok(bytes.into())
            })
        });
        if let Err(e) = result.and_then(|()| chunks.finish()) {
            self.unneed(id, &sidecar);
            return Err(e);
        }
        self.link_scattered(id, object, pin)
    }

    /// Publishes a live file that may be open for writing: what it holds at one moment, its new chunks copied to slabs.
    /// Busy if it changes again and again while it is hashed.
    pub(super) fn publish_copy(&self, live: &LiveFile, profile: Profile) -> Result<Stored> {
        self.health.check()?;
        // A descriptor of its own: looking for holes moves the position.
        let file = File::open(live.path()).at("opening a live file to publish it")?;
        for _ in 0..TRIES {
            // Pages written through mappings are protected again: a later store changes the times.
            self.health.sync_data(&file, "live: syncing to publish")?;
            let Some(before) = settled_stamp(&file)? else { continue };
            if before.size > MAX_OBJECT_SIZE {
                return Err(Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB").with("size", before.size));
            }
            if let Some(stored) = self.publish_once(&file, before, profile)? {
                return Ok(stored);
            }
        }
        Err(Error::new(ErrorKind::Busy, "a file changes faster than it can be published").with("inode", live.ino()))
    }

    /// `None` if the file changed meanwhile.
    fn publish_once(&self, file: &File, before: Stamp, profile: Profile) -> Result<Option<Stored>> {
        if before.size <= self.config.slab_object_max as u64 {
            let mut bytes = vec![0; before.size as usize];
            let read = file.read_exact_at(&mut bytes, 0);
            if stamp(file)? != before {
                return Ok(None);
            }
            read.at("reading a live file")?;
            return self.publish_small(bytes).map(Some);
        }
        let id = self.ids.allocate()?;
        let mut chunks = Chunks::new(self, id.id, true);
        let mut leaves = LeafSink::scattered(profile);
        let mut only = None;
        let result = self.hash_chunks(file, before.size, profile, &mut |piece| match piece {
            Piece::Zeros(count) => leaves.zeros(self, count),
            Piece::Chunk(digest, buffer) => {
                leaves.leaf(self, &digest, buffer.bytes.len() as u32)?;
                if before.size <= u64::from(profile.chunk_size() as u32) {
                    only = Some(buffer);
                    return Ok(());
                }
                chunks.add(&digest, || Ok(copy(&buffer)))
            }
        });
        let result = result.and_then(|()| chunks.finish());
        let object = leaves.finish(self);
        let changed = stamp(file)? != before;
        let object = match (result, object) {
            (Ok(()), Ok(object)) if !changed => object,
            (result, object) => {
                if let Ok(NewObject { sidecar: Some(sidecar), .. }) = &object {
                    let file = sidecar.file.try_clone().at("keeping a file open")?;
                    self.unneed(id, &Sidecar::open(file, &|size| self.zeros.of(size))?);
                } else {
                    // Which chunks it said it needs is not known any more: their rows name an id that will not exist.
                    self.pins.want_sweep();
                }
                // A file that was cut while it was read fails to read: it has changed, not the disk.
                return if changed { Ok(None) } else { result.and(object.map(|_| None)) };
            }
        };
        let root = object.root;
        let guard = self.pins.pin(&object.digest);
        let guard = match only {
            Some(buffer) => {
                if self.pin_stored_block(&object.digest)?.is_none() {
                    self.appender.append(vec![NewBlock::new(&root.cid, copy(&buffer))?], true)?;
                }
                guard
            }
            None if object.sidecar.is_none() || self.has_object(&object, &[Kind::Whole, Kind::Scattered])? => {
                if let Some(sidecar) = &object.sidecar {
                    let file = sidecar.file.try_clone().at("keeping a file open")?;
                    self.unneed(id, &Sidecar::open(file, &|size| self.zeros.of(size))?);
                }
                guard
            }
            None => self.link_scattered(id, object, guard)?,
        };
        Ok(Some(Stored::of(&root, guard)))
    }

    /// Takes back that an object which will not be needs its chunks.
    fn unneed(&self, id: IdGuard, sidecar: &Sidecar) {
        let mut steps = self.index.steps();
        let result = sidecar.for_each_leaf(&mut |run| {
            let Run::Leaf(leaf) = run else { return Ok(()) };
            self.pins.hint(leaf.digest);
            steps.delete(need_key(&leaf.digest, id.id))
        });
        if let Err(error) = result.and_then(|()| steps.finish()) {
            // The rows name an id that is no object: the collector does not heed them.
            tracing::warn!(%error, "rows of an object that was given up stay behind");
        }
    }
}

/// Sees to it that chunks are stored and that the object `id`, which is being written, needs them.
struct Chunks<'a> {
    inner: &'a Inner,
    id: u64,
    publishing: bool,
    new: Vec<NewBlock>,
    bytes: usize,
    pins: Vec<TempPin>,
}

impl<'a> Chunks<'a> {
    fn new(inner: &'a Inner, id: u64, publishing: bool) -> Self {
        Self { inner, id, publishing, new: Vec::new(), bytes: 0, pins: Vec::new() }
    }

    fn add(&mut self, digest: &Digest32, bytes: impl FnOnce() -> Result<Bytes>) -> Result<()> {
        let need = (need_key(digest, self.id), Some(Vec::new()));
        if let Some(_pin) = self.inner.pin_stored_block(digest)? {
            // The row is there before the pin goes: the chunk is held without a gap.
            return self.inner.index.apply(&[need]);
        }
        self.pins.push(self.inner.pins.pin(digest).quiet());
        let bytes = bytes()?;
        self.bytes += bytes.len();
        let mut block = NewBlock::new(&cid_of_digest(RAW, *digest), bytes)?;
        block.extra.push(need);
        self.new.push(block);
        if self.bytes >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let new = std::mem::take(&mut self.new);
        self.bytes = 0;
        let result = if new.is_empty() { Ok(()) } else { self.inner.appender.append(new, self.publishing) };
        self.pins.clear();
        result
    }

    fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

fn copy(buffer: &Arc<Buffer>) -> Bytes {
    Bytes::copy_from_slice(&buffer.bytes)
}

/// The file's stamp, if its last change is long enough ago for the next one to show; waits once for that.
pub(super) fn settled_stamp(file: &File) -> Result<Option<Stamp>> {
    for wait in [true, false] {
        let stamp = stamp(file)?;
        let changed = SystemTime::from(Timestamp { secs: stamp.ctime.0, nanos: stamp.ctime.1 as u32 });
        // A clock that was set back makes no change young.
        let age = SystemTime::now().duration_since(changed).unwrap_or(TICK);
        if age >= TICK {
            return Ok(Some(stamp));
        }
        if wait {
            std::thread::sleep(TICK - age);
        }
    }
    Ok(None)
}
