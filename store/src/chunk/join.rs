//! Parts that become one object (CompleteMultipartUpload, ruling 15).

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::chunk::index::{Kind, ObjectRow};
use crate::chunk::layout::TmpFile;
use crate::chunk::leaves::LeafSink;
use crate::chunk::live::next_data;
use crate::chunk::pins::TempPin;
use crate::chunk::pool::is_zero;
use crate::chunk::reader::ObjectReader;
use crate::chunk::sidecar::Run;
use crate::chunk::store::Inner;
use crate::chunk::writer::{ObjectWriter, Stored, WriteOptions};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Cid, MAX_OBJECT_SIZE};
use crate::unixfs::{self, Profile};

impl Inner {
    /// Stores the concatenation of stored objects under its canonical CID (S18).
    ///
    /// Where parts are whole numbers of chunks (but the last), their chunks are those of the object: nothing is hashed. If
    /// they lie in their upload's file, that becomes the content file; else the kernel copies (or, on disks that can, shares)
    /// the bytes. Other parts are read and chunked anew.
    pub(super) fn concat(self: &Arc<Self>, parts: &[(Cid, u64)], profile: Profile) -> Result<Stored> {
        let size = parts.iter().try_fold(0u64, |sum, (_, size)| sum.checked_add(*size)).unwrap_or(u64::MAX);
        if size > MAX_OBJECT_SIZE {
            return Err(Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB").with("size", size));
        }
        let chunk = profile.chunk_size() as u64;
        let mut aligned = size > self.config.slab_object_max as u64;
        let mut held = Vec::with_capacity(parts.len());
        for (k, (root, size)) in parts.iter().enumerate() {
            // Held before it is opened: what is found stays. It is opened again when it is needed, so that 10,000 parts do
            // not take as many descriptors.
            let pin = self.pins.pin(&unixfs::digest_of(root)?).quiet();
            let reader = ObjectReader::open(self, root, *size)?;
            aligned &= same_chunks(&reader, chunk) && (size.is_multiple_of(chunk) || k + 1 == parts.len());
            held.push(Part { root: *root, size: *size, row: reader.handle().map(|h| h.row), _pin: pin });
        }
        // What lies in the parts is about to go: it is no reason to share chunks instead of having a file.
        let own: HashSet<u64> = held.iter().filter_map(|part| Some(part.row?.id)).collect();
        if aligned {
            return self.join_chunks(&held, size, profile, own);
        }
        let options = WriteOptions { md5: false, size_hint: Some(size) };
        let mut writer = ObjectWriter::new(self.clone(), profile, options)?;
        writer.do_not_share_with(own);
        for part in &held {
            part.open(self)?.for_each_piece(&mut |_, piece| writer.write(piece))?;
        }
        writer.finish()
    }

    fn join_chunks(self: &Arc<Self>, parts: &[Part], size: u64, profile: Profile, own: HashSet<u64>) -> Result<Stored> {
        self.health.check()?;
        let mut leaves = LeafSink::new(profile);
        leaves.do_not_share_with(own);
        for part in parts {
            self.join_leaves(&part.open(self)?, &mut leaves)?;
        }
        let object = leaves.finish(self)?;
        let root = object.root;
        let guard = self.pins.pin(&object.digest);
        let stored = |guard| Stored::of(&root, guard);
        if self.has_object(&object, &[Kind::Whole, Kind::Scattered])? {
            return Ok(stored(guard));
        }
        let shares = object.is_mostly_stored() && self.index.object(&object.digest)?.is_none();
        let object = if shares { Some(object) } else { self.join_in_place(parts, object, &guard)? };
        let Some(mut object) = object else { return Ok(stored(guard)) };
        // Holes are copied as holes.
        self.space.admit(parts.iter().filter_map(|part| part.row).map(|row| row.disk).sum())?;
        let tmp = self.layout.tmp_file()?;
        let mut at = 0;
        for part in parts {
            join_bytes(&part.open(self)?, &tmp, at)?;
            at += part.size;
        }
        tmp.file.set_len(size).at("setting a content file's length")?;
        // The copies are checked when they are read first.
        object.checked = false;
        Ok(stored(self.adopt_file(tmp, object)?))
    }

    fn join_leaves(&self, reader: &ObjectReader, leaves: &mut LeafSink) -> Result<()> {
        if let Some(sidecar) = reader.handle().and_then(|h| h.sidecar()) {
            return sidecar.for_each_leaf(&mut |run| match run {
                Run::Leaf(leaf) => leaves.leaf(self, &leaf.digest, leaf.size),
                Run::Zeros { count, .. } => leaves.zeros(self, count),
            });
        }
        if reader.size() == 0 {
            return Ok(());
        }
        if reader.size() > u64::from(leaves.chunk_size()) {
            return Err(Error::corrupt("a part's files went while it was joined").with("cid", reader.root()));
        }
        let digest = unixfs::digest_of(reader.root())?;
        match self.zeros.len_of(&digest) {
            Some(len) if u64::from(len) == reader.size() && len == leaves.chunk_size() => leaves.zeros(self, 1),
            _ => leaves.leaf(self, &digest, reader.size() as u32),
        }
    }
}

/// A part of an object that is being joined. It stays while this lives.
pub(super) struct Part {
    root: Cid,
    pub(super) size: u64,
    /// The object that it is, if it has files of its own.
    pub(super) row: Option<ObjectRow>,
    _pin: TempPin,
}

impl Part {
    pub(super) fn open(&self, inner: &Arc<Inner>) -> Result<ObjectReader> {
        ObjectReader::open(inner, &self.root, self.size)
    }
}

/// Copies a part to its place.
fn join_bytes(reader: &ObjectReader, to: &TmpFile, at: u64) -> Result<()> {
    if let Some(handle) = reader.handle()
        && let Some(from) = handle.file()
    {
        return copy_in_kernel((&from, handle.base()), reader.size(), &to.file, at);
    }
    reader.for_each_piece(&mut |offset, piece| {
        if is_zero(piece) { Ok(()) } else { to.file.write_all_at(piece, at + offset).at("writing a joined part") }
    })
}

/// Whether an object's leaves are chunks of this size, as far as it has several.
fn same_chunks(reader: &ObjectReader, chunk: u64) -> bool {
    match reader.handle().map(|h| (h.row.leaves, u64::from(h.row.chunk_size))) {
        Some((leaves, size)) if leaves > 1 => size == chunk,
        // One block is one leaf, if it is no longer than a chunk and has the bytes themselves.
        _ => reader.size() <= chunk && reader.root().codec() == unixfs::RAW,
    }
}

/// Copies the data of a file, not its holes, by the kernel alone.
fn copy_in_kernel((from, base): (&File, u64), len: u64, to: &File, at: u64) -> Result<()> {
    let mut next = base;
    while let Some((begin, end)) = next_data(from, next, base + len)? {
        next = begin;
        while next < end {
            let (mut from_at, mut to_at) = (next, at + next - base);
            let want = usize::try_from(end - next).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), want) {
                Ok(0) => return Err(Error::corrupt("a content file is shorter than its object")),
                Ok(n) => next += n as u64,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e).at("copying a part"),
            }
        }
    }
    Ok(())
}
