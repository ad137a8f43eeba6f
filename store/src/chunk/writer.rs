//! Writing objects: the body is read once, written once and hashed on other threads meanwhile.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::chunk::append::NewBlock;
use crate::chunk::layout::TmpFile;
use crate::chunk::leaves::LeafSink;
use crate::chunk::pins::TempPin;
use crate::chunk::pool::{Buffer, Md5Lane, Pending, PendingSealed, WINDOW, is_zero};
use crate::chunk::sealing::Sealing;
use crate::chunk::store::Inner;
use crate::chunk::sys;
use crate::chunk::upload::Slot;
use crate::crypto::Manifest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::record::InlineBlock;
use crate::meta::seal::Seal;
use crate::types::{Cid, Id, MAX_OBJECT_SIZE};
use crate::unixfs::{self, Profile};

/// Written bytes after which the kernel is asked to begin writing them to disk.
const WRITEBACK_EVERY: u64 = 4 << 20;

/// What a writer is told beforehand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriteOptions {
    /// Whether [`Stored::md5`] is wanted.
    pub md5: bool,
    /// The body's length in bytes, if it is known: lets a body that does not fit be refused at once.
    pub size_hint: Option<u64>,
}

/// What was stored.
///
/// It is durable, except `inline`, which becomes so with the log record that carries it. It stays while `guard` lives,
/// or until [`crate::chunk::Roots`] no longer names it.
#[derive(Debug)]
pub struct Stored {
    /// The object's CID.
    pub root: Cid,
    /// Its length in bytes.
    pub size: u64,
    /// Its number of chunks; 1 for an empty object, which is one empty block.
    pub leaves: u64,
    /// MD5 of its bytes, if it was asked for.
    pub md5: Option<[u8; 16]>,
    /// The whole object, if it is small enough to travel inside the log record. It is then nowhere else.
    pub inline: Option<InlineBlock>,
    /// Keeps it from being collected: let go with [`Self::committed`] after the commit that names it.
    pub guard: TempPin,
    /// What opens it again, if it is sealed: size and MD5 are then those of the plain bytes, CID and `inline` of the sealed.
    pub seal: Option<Arc<Seal>>,
    /// Keeps its manifest, where that is a content of its own.
    pub also: Option<TempPin>,
}

impl Stored {
    /// A stored DAG, not sealed, nothing of it in a record.
    pub(super) fn of(root: &unixfs::Root, guard: TempPin) -> Self {
        let (md5, inline, seal, also) = (None, None, None, None);
        Self { root: root.cid, size: root.size, leaves: root.leaves, md5, inline, guard, seal, also }
    }

    /// Lets go, after a commit that names it has become visible to [`crate::chunk::Roots`].
    pub fn committed(self) {
        self.guard.committed();
        if let Some(also) = self.also {
            also.committed();
        }
    }
}

/// Takes an object's bytes in order. Dropped before [`ObjectWriter::finish`], it leaves nothing behind.
pub struct ObjectWriter {
    inner: Arc<Inner>,
    profile: Profile,
    options: WriteOptions,
    /// The body so far, while it may still be a small one.
    small: Vec<u8>,
    streaming: Option<Streaming>,
    passing: HashSet<u64>,
    part: Option<(Id, u32)>,
    sealing: Option<Sealing>,
    /// It is on this disk already, in another form: it may use the reserve.
    published: bool,
}

impl ObjectWriter {
    pub(super) fn new(inner: Arc<Inner>, profile: Profile, options: WriteOptions) -> Result<Self> {
        inner.health.check()?;
        let hint = options.size_hint.unwrap_or(0);
        check_size(hint)?;
        inner.space.admit(hint)?;
        let small = Vec::with_capacity(hint.min(inner.config.slab_object_max as u64) as usize);
        let (passing, part, sealing, published) = (HashSet::new(), None, None, false);
        Ok(Self { inner, profile, options, small, streaming: None, passing, part, sealing, published })
    }

    /// A writer of what lies on this disk already, in another form: the reserve is there for it.
    pub(super) fn publishing(inner: Arc<Inner>, profile: Profile) -> Self {
        let (passing, options) = (HashSet::new(), WriteOptions::default());
        let (small, streaming, part, sealing) = (Vec::new(), None, None, None);
        Self { inner, profile, options, small, streaming, passing, part, sealing, published: true }
    }

    /// Says, before anything is written, that the object is this part (from 1) of a multipart upload. With a size hint it
    /// is then written to its place in the upload's file, so that [`crate::chunk::ChunkStore::concat`] need not copy it.
    /// A body longer than the hint is then InvalidArgument.
    pub fn as_part(&mut self, upload: Id, number: u32) {
        self.part = Some((upload, number));
    }

    /// Says, before anything is written, that the bytes are to be sealed.
    pub fn seal_with(&mut self, sealing: Sealing) {
        self.sealing = Some(sealing);
    }

    /// Chunks in these files are no reason to share them. Said before anything is written.
    pub(super) fn do_not_share_with(&mut self, files: HashSet<u64>) {
        self.passing = files;
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.streaming.as_ref().map_or(self.small.len() as u64, |s| s.taken + s.chunk.bytes.len() as u64)
    }

    /// The next bytes. TooLarge beyond 5 TiB, NoSpace when the disk's reserve is reached; after an error the writer is
    /// of no more use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        check_size(self.size() + bytes.len() as u64)?;
        if self.streaming.is_none() {
            if self.small.len() + bytes.len() <= self.inner.config.slab_object_max {
                self.small.extend_from_slice(bytes);
                return Ok(());
            }
            let slot = match (self.part, self.options.size_hint) {
                (Some((upload, number)), Some(size)) => self.inner.take_slot(upload, number, size, self.profile)?,
                _ => None,
            };
            let data = match slot {
                Some(slot) => Data::Slot(slot),
                None => Data::File(self.inner.layout.tmp_file()?),
            };
            let mut streaming = Streaming::new(&self.inner, self.profile, self.options, data);
            streaming.published = self.published;
            if let Some(sealing) = &self.sealing {
                let manifest = Manifest::new(self.profile.chunk_size() as u32);
                streaming.sealed = Some((sealing.clone(), manifest));
            }
            streaming.leaves.do_not_share_with(std::mem::take(&mut self.passing));
            streaming.write(&self.inner, &std::mem::take(&mut self.small))?;
            self.streaming = Some(streaming);
        }
        match &mut self.streaming {
            Some(streaming) => streaming.write(&self.inner, bytes),
            None => Ok(()),
        }
    }

    /// Ends the object and makes it durable.
    pub fn finish(self) -> Result<Stored> {
        match self.streaming {
            None => match self.sealing {
                Some(sealing) => {
                    self.inner.store_small_sealed(self.small, self.options.md5, self.published, self.profile, &sealing)
                }
                None => self.inner.store_small_as(self.small.into(), self.options.md5, self.published),
            },
            Some(streaming) => streaming.finish(&self.inner),
        }
    }
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter").field("profile", &self.profile).field("size", &self.size()).finish()
    }
}

fn check_size(size: u64) -> Result<()> {
    if size <= MAX_OBJECT_SIZE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB").with("size", size))
}

impl Inner {
    /// Stores a body of at most `slab_object_max` bytes, on the caller's thread but for the shared sync.
    pub(super) fn store_small(&self, bytes: Bytes, md5: bool) -> Result<Stored> {
        self.store_small_as(bytes, md5, false)
    }

    /// As [`Inner::store_small`]; what is being `published` lies on this disk already and may use the reserve.
    pub(super) fn store_small_as(&self, bytes: Bytes, md5: bool, published: bool) -> Result<Stored> {
        self.health.check()?;
        let root = unixfs::raw_cid(&bytes);
        let digest = unixfs::digest_of(&root)?;
        let guard = self.pins.pin(&digest);
        let md5 = md5.then(|| Md5::digest(&bytes).into());
        let size = bytes.len() as u64;
        let mut inline = None;
        if bytes.len() <= self.config.inline_max {
            inline = Some(InlineBlock { cid: root, bytes });
        } else if self.pin_stored_block(&digest)?.is_none() {
            self.appender.append(vec![NewBlock::new(&root, bytes)?], published)?;
        }
        Ok(Stored { root, size, leaves: 1, md5, inline, guard, seal: None, also: None })
    }

    /// Takes over bodies that the log carried. Those that are stored already are passed over.
    pub(super) fn store_inline(&self, blocks: &[InlineBlock]) -> Result<()> {
        // Dropped with a hint: what was deleted while it was on its way is looked at by the collector.
        let mut pins = Vec::with_capacity(blocks.len());
        let mut new = Vec::new();
        for block in blocks {
            unixfs::verify(&block.cid, &block.bytes)?;
            let digest = unixfs::digest_of(&block.cid)?;
            pins.push(self.pins.pin(&digest));
            // A look at the stored copy too, not only at its row: a damaged one is replaced.
            if self.pin_stored_block(&digest)?.is_none() {
                new.push(NewBlock::new(&block.cid, block.bytes.clone())?);
            }
        }
        // They were accepted when they were logged: the reserve is there for this.
        if new.is_empty() { Ok(()) } else { self.appender.append(new, true) }
    }
}

/// A body that grows into a content file.
struct Streaming {
    data: Data,
    /// Bytes of the chunks that were handed on.
    taken: u64,
    /// Bytes that are in the file.
    written: u64,
    writeback: u64,
    chunk: Buffer,
    chunk_size: usize,
    in_flight: VecDeque<InFlight>,
    md5: Option<Md5Lane>,
    leaves: LeafSink,
    sealed: Option<(Sealing, Manifest)>,
    published: bool,
}

/// Where the bytes go.
enum Data {
    /// A file that becomes the content file.
    File(TmpFile),
    /// A part's place in its upload's file.
    Slot(Slot),
}

impl Data {
    fn file(&self) -> (&File, u64) {
        match self {
            Self::File(tmp) => (&tmp.file, 0),
            Self::Slot(slot) => slot.file(),
        }
    }

    /// A body that ends with zeros ends with a hole.
    fn end(&self, written: u64) -> Result<()> {
        match self {
            Self::File(tmp) => tmp.file.set_len(written).at("setting a content file's length"),
            Self::Slot(slot) => slot.end(written),
        }
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        match self {
            Self::File(tmp) => tmp.file.write_all_at(bytes, offset).at("writing a content file"),
            Self::Slot(slot) => slot.write(bytes, offset),
        }
    }
}

enum InFlight {
    Zeros,
    Chunk(Pending, u32),
    Sealed(PendingSealed),
}

impl Streaming {
    fn new(inner: &Inner, profile: Profile, options: WriteOptions, data: Data) -> Self {
        let chunk_size = profile.chunk_size();
        Self {
            data,
            taken: 0,
            written: 0,
            writeback: 0,
            chunk: inner.pool.buffer(chunk_size),
            chunk_size,
            in_flight: VecDeque::new(),
            md5: options.md5.then(|| inner.pool.md5()),
            leaves: LeafSink::new(profile),
            sealed: None,
            published: false,
        }
    }

    fn write(&mut self, inner: &Inner, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.chunk_size - self.chunk.bytes.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.bytes.extend_from_slice(now);
            bytes = later;
            if self.chunk.bytes.len() == self.chunk_size {
                self.end_chunk(inner)?;
            }
        }
        Ok(())
    }

    /// Hands the full (or last) chunk on: to the disk, unless it is zeros, and to the hashing threads.
    fn end_chunk(&mut self, inner: &Inner) -> Result<()> {
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, inner.pool.buffer(self.chunk_size)));
        let len = chunk.bytes.len();
        if let Some(md5) = &self.md5 {
            md5.push(chunk.clone());
        }
        while self.in_flight.len() >= WINDOW {
            self.settle_one(inner)?;
        }
        self.taken += len as u64;
        if let Some((sealing, _)) = &self.sealed {
            // A chunk of zeros is sealed like any other: where a file has nothing is not to be seen.
            self.in_flight.push_back(InFlight::Sealed(inner.pool.seal(chunk, sealing.key.clone())));
            return Ok(());
        }
        let zero = is_zero(&chunk.bytes);
        if zero && len == self.chunk_size {
            self.in_flight.push_back(InFlight::Zeros);
        } else {
            self.in_flight.push_back(InFlight::Chunk(inner.pool.sha256(chunk.clone()), len as u32));
        }
        if !zero {
            if !self.published {
                inner.space.admit(len as u64)?;
            }
            self.data.write(&chunk.bytes, self.written)?;
        }
        self.advance(len as u64);
        Ok(())
    }

    /// So many bytes more are in the file.
    fn advance(&mut self, len: u64) {
        self.written += len;
        if self.written - self.writeback >= WRITEBACK_EVERY {
            let (file, base) = self.data.file();
            sys::start_writeback(file, base + self.writeback, self.written - self.writeback);
            self.writeback = self.written;
        }
    }

    fn settle_one(&mut self, inner: &Inner) -> Result<()> {
        match self.in_flight.pop_front() {
            None => Ok(()),
            Some(InFlight::Zeros) => self.leaves.zeros(inner, 1),
            Some(InFlight::Chunk(pending, len)) => self.leaves.leaf(inner, &pending.wait()?, len),
            Some(InFlight::Sealed(pending)) => {
                let chunk = pending.wait()?;
                let len = chunk.bytes.bytes.len();
                if !self.published {
                    inner.space.admit(len as u64)?;
                }
                self.data.write(&chunk.bytes.bytes, self.written)?;
                self.advance(len as u64);
                if let Some((_, manifest)) = &mut self.sealed {
                    manifest.push(chunk.frame, len);
                }
                self.leaves.leaf(inner, &chunk.digest, len as u32)
            }
        }
    }

    fn finish(mut self, inner: &Arc<Inner>) -> Result<Stored> {
        if !self.chunk.bytes.is_empty() {
            self.end_chunk(inner)?;
        }
        while !self.in_flight.is_empty() {
            self.settle_one(inner)?;
        }
        self.data.end(self.written)?;
        let md5 = self.md5.map(Md5Lane::finish).transpose()?;
        let object = self.leaves.finish(inner)?;
        let root = object.root;
        let (mut seal, mut also) = (None, None);
        if let Some((sealing, manifest)) = &self.sealed {
            (seal, also) = inner.seal_manifest(manifest, &object.digest, &sealing.names, sealing.key.manifests())?;
        }
        let guard = match self.data {
            Data::File(tmp) => inner.adopt_file(tmp, object)?,
            Data::Slot(slot) => inner.adopt_slice(slot, object)?,
        };
        Ok(Stored { md5, seal, also, ..Stored::of(&root, guard) })
    }
}
