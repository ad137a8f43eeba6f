//! Reading objects: every byte is checked against its CID before it is handed out (S17).

use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::block::{StoredBlocks, other_copy};
use crate::chunk::content::{Handle, matches};
use crate::chunk::index::Kind;
use crate::chunk::pins::TempPin;
use crate::chunk::sealing::Opening;
use crate::chunk::sidecar::LeafInfo;
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::{self, FileReader, RAW};

/// Bytes of a piece.
const PIECE: usize = 1 << 20;

/// An object that is open for reading. While it lives, collection spares what it needs.
pub struct ObjectReader {
    inner: Arc<Inner>,
    _pin: TempPin,
    root: Cid,
    size: u64,
    body: Body,
    opening: Option<Opening>,
}

enum Body {
    /// One block, in memory.
    Block(Bytes),
    /// One content file.
    Whole(Arc<Handle>),
    /// Leaves in several places; the sidecar lists them.
    Scattered(Arc<Handle>),
    /// Nothing but blocks: the DAG is walked.
    Dag(Box<FileReader<StoredBlocks>>),
}

impl ObjectReader {
    /// Opens the object `root` of `size` bytes. NotFound if it is not on this host; Corrupt if what is there is damaged
    /// or has another size.
    pub(super) fn open(inner: &Arc<Inner>, root: &Cid, size: u64) -> Result<Self> {
        let digest = unixfs::digest_of(root)?;
        // Held before it is looked up: what is found stays.
        let pin = inner.pins.pin(&digest).quiet();
        let body = Self::find(inner, root, &digest, size).map_err(|e| e.with("cid", root))?;
        let found = match &body {
            Body::Block(bytes) => bytes.len() as u64,
            Body::Whole(handle) | Body::Scattered(handle) => handle.row.size,
            Body::Dag(reader) => reader.size(),
        };
        if found != size {
            return Err(Error::corrupt("an object has another size than its record says")
                .with("cid", root)
                .with("size", found)
                .with("expected", size));
        }
        Ok(Self { inner: inner.clone(), _pin: pin, root: *root, size, body, opening: None })
    }

    /// The same object's plain bytes.
    pub(super) fn opened_by(mut self, opening: Opening) -> Self {
        self.opening = Some(opening);
        self
    }

    /// Whether what is stored is not what is read: no file of it is for anybody else to read.
    pub fn is_sealed(&self) -> bool {
        self.opening.is_some()
    }

    fn find(inner: &Arc<Inner>, root: &Cid, digest: &[u8; 32], size: u64) -> Result<Body> {
        // Nothing needs no place: an empty file may be named before anybody stored the empty block.
        if size == 0 && *root == unixfs::raw_cid(b"") {
            return Ok(Body::Block(Bytes::new()));
        }
        // The log lets go of a body only after it was stored here: so it is asked first.
        if size <= inner.config.slab_object_max as u64
            && let Some(bytes) = inner.inline(digest)
        {
            return Ok(Body::Block(bytes));
        }
        if let Some(row) = inner.index.object(digest)?
            && let Some(handle) = inner.content.open(&row)?
        {
            return Ok(match row.kind {
                Kind::Whole | Kind::Slice => Body::Whole(handle),
                Kind::Scattered => Body::Scattered(handle),
            });
        }
        if root.codec() == RAW {
            return match inner.find_block(digest, None)? {
                Some(bytes) => Ok(Body::Block(bytes)),
                None => Err(Error::new(ErrorKind::NotFound, "an object is not on this host")),
            };
        }
        Ok(Body::Dag(Box::new(FileReader::open(StoredBlocks(inner.clone()), root)?)))
    }

    /// The object's CID.
    pub fn root(&self) -> &Cid {
        &self.root
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The object's files, if it has some of its own.
    pub(super) fn handle(&self) -> Option<&Arc<Handle>> {
        match &self.body {
            Body::Whole(handle) | Body::Scattered(handle) => Some(handle),
            Body::Block(_) | Body::Dag(_) => None,
        }
    }

    /// The bytes from `offset`, at most `len`, fewer at the end. Corrupt, with the CID, rather than wrong bytes.
    pub fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
        let len = self.clip(offset, len);
        if let (Body::Block(bytes), None) = (&self.body, &self.opening) {
            // Within the block, whose length is that of the object.
            let begin = offset.min(self.size) as usize;
            return Ok(bytes.slice(begin..begin + len));
        }
        let mut out = vec![0; len];
        self.read_exact(offset, &mut out)?;
        Ok(out.into())
    }

    /// Fills `out` from `offset`; answers how many bytes there were, fewer than asked for at the end.
    pub fn read_into(&self, offset: u64, out: &mut [u8]) -> Result<usize> {
        let len = self.clip(offset, out.len());
        self.read_exact(offset, &mut out[..len])?;
        Ok(len)
    }

    /// All bytes in order, a piece and its offset at a time.
    pub(super) fn for_each_piece(&self, sink: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut offset = 0;
        while offset < self.size {
            let piece = self.read_at(offset, PIECE)?;
            sink(offset, &piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn clip(&self, offset: u64, len: usize) -> usize {
        self.size.saturating_sub(offset).min(len as u64) as usize
    }

    /// `out` lies within the object.
    fn read_exact(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        match &self.opening {
            Some(opening) => opening.read(self, offset, out),
            None => self.read_sealed(offset, out),
        }
    }

    /// As stored, sealed or not. `out` lies within the object.
    pub(super) fn read_sealed(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        match &self.body {
            Body::Block(bytes) => {
                let begin = offset as usize;
                out.copy_from_slice(&bytes[begin..begin + out.len()]);
                Ok(())
            }
            Body::Whole(handle) => self.read_whole(handle, offset, out),
            Body::Scattered(handle) => self.read_scattered(handle, offset, out),
            Body::Dag(reader) => {
                let (mut done, len) = (0, out.len());
                reader.read_range(offset, len as u64, &mut |bytes| {
                    out[done..done + bytes.len()].copy_from_slice(&bytes);
                    done += bytes.len();
                    Ok(())
                })?;
                if done == len { Ok(()) } else { Err(Error::corrupt("a DAG ended early").with("cid", self.root)) }
            }
        }
    }

    fn read_whole(&self, handle: &Handle, offset: u64, out: &mut [u8]) -> Result<()> {
        let chunk = u64::from(handle.row.chunk_size);
        let mut at = offset;
        let end = offset + out.len() as u64;
        while at < end {
            let number = at / chunk;
            let mut upto = ((number + 1) * chunk).min(end);
            if handle.is_verified(number) {
                // All the chunks that need no check, in one call.
                while upto < end && handle.is_verified(upto / chunk) {
                    upto = (upto + chunk).min(end);
                }
                handle.read_raw(at, &mut out[(at - offset) as usize..(upto - offset) as usize])?;
            } else {
                let leaf = handle.leaf(number)?;
                let part = &mut out[(at - offset) as usize..(upto - offset) as usize];
                self.read_unverified(handle, &leaf, at - leaf.offset, part)?;
            }
            at = upto;
        }
        Ok(())
    }

    /// Reads and checks a chunk, of which `part`, from `skip`, is wanted.
    fn read_unverified(&self, handle: &Handle, leaf: &LeafInfo, skip: u64, part: &mut [u8]) -> Result<()> {
        let mut scratch = Vec::new();
        let whole = part.len() == leaf.size as usize;
        if !whole {
            scratch.resize(leaf.size as usize, 0);
        }
        let bytes: &mut [u8] = if whole { &mut *part } else { &mut scratch };
        let result = handle.read_raw(leaf.offset, bytes).and_then(|()| {
            if matches(bytes, &leaf.digest) {
                Ok(())
            } else {
                Err(Error::corrupt("a chunk of a content file does not match its CID"))
            }
        });
        let range = skip as usize..skip as usize + part.len();
        match result {
            Ok(()) => {
                handle.set_verified(leaf.number);
                if !whole {
                    part.copy_from_slice(&scratch[range]);
                }
            }
            Err(error) => {
                self.inner.distrust(&handle.row)?;
                let error = error
                    .with("cid", unixfs::cid_of_digest(RAW, leaf.digest))
                    .with("file", handle.row.id)
                    .with("offset", leaf.offset);
                let bytes = other_copy(&self.inner, handle, &leaf.digest, error)?;
                part.copy_from_slice(slice_of(&bytes, range, leaf)?);
            }
        }
        Ok(())
    }

    fn read_scattered(&self, handle: &Handle, offset: u64, out: &mut [u8]) -> Result<()> {
        let sidecar = handle.need_sidecar()?;
        let chunk = u64::from(handle.row.chunk_size);
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let leaf = handle.leaf(at / chunk)?;
            let skip = (at - leaf.offset) as usize;
            let len = (leaf.size as usize - skip).min(out.len() - done);
            let part = &mut out[done..done + len];
            if sidecar.is_zero(&leaf) {
                part.fill(0);
            } else {
                let cid = unixfs::cid_of_digest(RAW, leaf.digest);
                let bytes = self.inner.find_block(&leaf.digest, None).map_err(|e| e.with("cid", cid))?;
                let bytes = bytes.ok_or_else(|| Error::corrupt("a chunk of an object is missing").with("cid", cid))?;
                part.copy_from_slice(slice_of(&bytes, skip..skip + len, &leaf)?);
            }
            done += len;
        }
        Ok(())
    }
}

/// A range of a leaf's bytes. Corrupt if the block is shorter than the leaf: the bytes are right, the DAG is not.
fn slice_of<'a>(bytes: &'a Bytes, range: std::ops::Range<usize>, leaf: &LeafInfo) -> Result<&'a [u8]> {
    bytes.get(range).ok_or_else(|| {
        Error::corrupt("a chunk is shorter than its object says").with("cid", unixfs::cid_of_digest(RAW, leaf.digest))
    })
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader").field("root", &self.root).field("size", &self.size).finish_non_exhaustive()
    }
}
