//! From a live file to sealed content: nothing is copied, the file itself becomes the content file (ruling 8).

use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;

use crate::chunk::content::matches;
use crate::chunk::index::{Kind, ObjectRow, Stamp, encode, object_key};
use crate::chunk::leaves::LeafSink;
use crate::chunk::live::next_data;
use crate::chunk::live_file::LiveFile;
use crate::chunk::pins::Digest32;
use crate::chunk::pool::{Buffer, Pending, WINDOW, is_zero};
use crate::chunk::store::Inner;
use crate::chunk::sys;
use crate::chunk::writer::Stored;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Ino, MAX_OBJECT_SIZE};
use crate::unixfs::Profile;

/// A stretch of a file, in order.
pub(super) enum Piece {
    /// So many whole chunks of zeros.
    Zeros(u64),
    /// A chunk's digest and bytes.
    Chunk(Digest32, Arc<Buffer>),
}

impl Inner {
    /// Seals an inode's live file: returns what it holds, stored and durable (small content as [`Stored::inline`]).
    ///
    /// The live file's name stays: [`Inner::discard_live`] takes it away after the commit. Busy if anybody can still
    /// write to it, or has written while it was hashed.
    pub(super) fn seal_live(&self, live: LiveFile, profile: Profile) -> Result<Stored> {
        self.health.check()?;
        let (ino, path) = (live.ino(), live.path().to_owned());
        drop(live);
        let file = File::open(&path).at("opening a live file to seal it")?;
        if !sys::no_writer_left(&file).at("asking for writers of a live file")? {
            return Err(Error::new(ErrorKind::Busy, "a live file can still be written to").with("inode", ino));
        }
        let changed = || Error::new(ErrorKind::Busy, "a live file changed while it was sealed").with("inode", ino);
        let begun = stamp(&file)?;
        if begun.size > self.config.slab_object_max as u64 {
            // Bytes before mode: after a crash a file of this mode is taken for whole.
            self.health.sync_data(&file, "live: syncing to seal")?;
            file.set_permissions(Permissions::from_mode(0o400)).at("sealing a live file")?;
        }
        let before = stamp(&file)?;
        if (before.size, before.mtime) != (begun.size, begun.mtime) {
            return Err(changed());
        }
        if before.size > MAX_OBJECT_SIZE {
            return Err(Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB").with("size", before.size));
        }
        if before.size <= self.config.slab_object_max as u64 {
            let mut bytes = vec![0; before.size as usize];
            file.read_exact_at(&mut bytes, 0).at("reading a live file")?;
            if stamp(&file)? != before {
                return Err(changed());
            }
            return self.publish_small(bytes);
        }
        let mut leaves = LeafSink::new(profile);
        self.hash_chunks(&file, before.size, profile, &mut |piece| match piece {
            Piece::Zeros(count) => leaves.zeros(self, count),
            Piece::Chunk(digest, bytes) => leaves.leaf(self, &digest, bytes.bytes.len() as u32),
        })?;
        if stamp(&file)? != before {
            return Err(changed());
        }
        let object = leaves.finish(self)?;
        let root = object.root;
        let guard = self.pins.pin(&object.digest);
        let stored = |guard| Stored::of(&root, guard);
        // A scattered object, as publishing made it, is replaced: a whole file costs nothing here and serves better.
        if self.has_object(&object, &[Kind::Whole])? {
            return Ok(stored(guard));
        }
        self.sealing.lock().insert(ino, object.digest);
        let guard = self.link_whole(object, guard, |to| fs::hard_link(&path, to).at("sealing a live file"))?;
        Ok(stored(guard))
    }

    /// Whether nobody can write to a live file, once its own descriptor is closed.
    pub(super) fn nobody_writes(&self, live: LiveFile) -> Result<bool> {
        let path = live.path().to_owned();
        drop(live);
        let file = File::open(&path).at("opening a live file to seal it")?;
        sys::no_writer_left(&file).at("asking for writers of a live file")
    }

    /// Small content of a live file: it is on this disk already, so the reserve does not refuse it.
    pub(super) fn publish_small(&self, bytes: Vec<u8>) -> Result<Stored> {
        self.store_small_as(bytes.into(), false, true)
    }

    /// Reads a file's chunks, hashes them on the pool's threads, and hands them to `sink` in order. Whole chunks in
    /// holes are not read.
    pub(super) fn hash_chunks(
        &self,
        file: &File,
        len: u64,
        profile: Profile,
        sink: &mut dyn FnMut(Piece) -> Result<()>,
    ) -> Result<()> {
        let chunk_size = profile.chunk_size() as u64;
        let mut in_flight: VecDeque<(Pending, Arc<Buffer>)> = VecDeque::new();
        let mut at = 0;
        while at < len {
            let data = next_data(file, at, len)?;
            // The first chunk that is not all hole; the tail is a chunk of its own even in a hole.
            let whole = len - len % chunk_size;
            let begin = data.map_or(whole, |(begin, _)| begin - begin % chunk_size).min(whole).max(at);
            if begin > at {
                settle(&mut in_flight, 0, sink)?;
                sink(Piece::Zeros((begin - at) / chunk_size))?;
                at = begin;
            }
            let end = data.map_or(len, |(_, end)| end.next_multiple_of(chunk_size)).min(len).max(at);
            while at < end {
                let size = (len - at).min(chunk_size) as usize;
                let mut buffer = self.pool.buffer(size);
                buffer.bytes.resize(size, 0);
                file.read_exact_at(&mut buffer.bytes, at).at("reading a file to hash")?;
                at += size as u64;
                if size as u64 == chunk_size && is_zero(&buffer.bytes) {
                    settle(&mut in_flight, 0, sink)?;
                    sink(Piece::Zeros(1))?;
                    continue;
                }
                let buffer = Arc::new(buffer);
                settle(&mut in_flight, WINDOW - 1, sink)?;
                in_flight.push_back((self.pool.sha256(buffer.clone()), buffer));
            }
        }
        settle(&mut in_flight, 0, sink)
    }

    /// A sealed file's stamp is not the recorded one: after a crash between a sealing's last two steps, or because
    /// something touched it. Its bytes decide: if they are right and nobody can write to it, it is sealed anew.
    pub(super) fn reseal(&self, row: &ObjectRow, file: &File) -> Result<bool> {
        let before = stamp(file)?;
        if before.size != row.size || !sys::no_writer_left(file).at("asking for writers of a content file")? {
            return Ok(false);
        }
        let handle = self.content.open_files(row)?;
        let mut buffer = self.pool.buffer(row.chunk_size as usize);
        for number in 0..row.leaves {
            let leaf = handle.leaf(number)?;
            buffer.bytes.resize(leaf.size as usize, 0);
            file.read_exact_at(&mut buffer.bytes, leaf.offset).at("reading a content file")?;
            if !matches(&buffer.bytes, &leaf.digest) {
                tracing::error!(root = hex::encode(row.root), offset = leaf.offset, "a content file is damaged");
                // Readers have checked it before it was damaged, maybe: they check again (ruling 13).
                if let Some(handle) = self.content.open(row)? {
                    handle.clear_verified();
                }
                self.distrust(row)?;
                return Ok(false);
            }
        }
        if stamp(file)? != before {
            return Ok(false);
        }
        let _locked = self.pins.lock(&row.root);
        match self.index.object(&row.root)? {
            Some(now) if now.id == row.id => {
                let row = ObjectRow { stamp: Some(before), ..now };
                self.index.apply(&[(object_key(&row.root), Some(encode(&row)?))])?;
                tracing::warn!(root = hex::encode(row.root), "a content file's attributes had changed, its bytes not");
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Forgets that a live file was being sealed.
    pub(super) fn forget_sealing(&self, ino: Ino) {
        self.sealing.lock().remove(&ino);
    }
}

/// Hands over the oldest chunks until at most `left` are being hashed.
fn settle(
    in_flight: &mut VecDeque<(Pending, Arc<Buffer>)>,
    left: usize,
    sink: &mut dyn FnMut(Piece) -> Result<()>,
) -> Result<()> {
    while in_flight.len() > left {
        if let Some((pending, buffer)) = in_flight.pop_front() {
            sink(Piece::Chunk(pending.wait()?, buffer))?;
        }
    }
    Ok(())
}

pub(super) fn stamp(file: &File) -> Result<Stamp> {
    Ok(Stamp::of(&file.metadata().at("looking at a file to hash")?))
}
