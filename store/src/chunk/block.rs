//! Blocks by digest, wherever on this host they lie.

use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::content::{Handle, matches};
use crate::chunk::index::{Place, block_key};
use crate::chunk::pins::{Digest32, TempPin};
use crate::chunk::slab::Read;
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs;

/// A place that moves while it is read (collection, compaction) is looked up again, so often at most.
const TRIES: usize = 8;

/// Whether a chunk that was found good once since the start is good (ruling 13).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Once,
    Never,
}

impl Inner {
    /// Bytes that the log still carries.
    pub(super) fn inline(&self, digest: &Digest32) -> Option<Bytes> {
        self.inline_lookup.read().as_ref().and_then(|lookup| lookup(digest))
    }

    /// The block with this digest, checked. The caller holds a pin on it, or on an object that has it.
    ///
    /// `None` if it is nowhere; Corrupt if there are only damaged copies. The copy in the file `not_in` is left out.
    pub(super) fn find_block(&self, digest: &Digest32, not_in: Option<u64>) -> Result<Option<Bytes>> {
        self.find(digest, not_in, Trust::Once)
    }

    fn find(&self, digest: &Digest32, not_in: Option<u64>, trust: Trust) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.inline(digest) {
            return Ok(Some(bytes));
        }
        if let Some(len) = self.zeros.len_of(digest) {
            return Ok(Some(vec![0; len as usize].into()));
        }
        // Nearly always it lies in one place: the rest is looked for when that one is not good.
        if let Some((id, place)) = self.index.first_place(digest)?.filter(|(id, _)| Some(*id) != not_in)
            && let Read::Good(bytes) = self.read_at(digest, id, place, trust)?
        {
            return Ok(Some(bytes));
        }
        let mut bad = None;
        for _ in 0..TRIES {
            let before = self.slabs.moves();
            let mut gone = false;
            for (id, place) in self.index.places(digest)? {
                if Some(id) == not_in {
                    continue;
                }
                match self.read_at(digest, id, place, trust)? {
                    Read::Good(bytes) => return Ok(Some(bytes)),
                    Read::Gone => gone = true,
                    Read::Bad(e) => {
                        tracing::error!(digest = hex::encode(digest), error = %e, "a stored block is damaged");
                        bad = Some(e);
                    }
                }
            }
            match bad {
                Some(e) => return Err(e),
                // A walk over rows beside a move may see neither the place before nor the one after.
                None if !gone && before.is_still(&self.slabs) => return Ok(None),
                None => std::thread::yield_now(),
            }
        }
        // Rows that name a file which does not exist: a crash lost their removal.
        Ok(None)
    }

    /// Reads and checks one copy of a block. What is not there any more is no damage: a row is removed before the bytes
    /// that it names are.
    pub(super) fn read_place(&self, digest: &Digest32, id: u64, place: Place) -> Result<Read> {
        self.read_at(digest, id, place, Trust::Once)
    }

    fn read_at(&self, digest: &Digest32, id: u64, place: Place, trust: Trust) -> Result<Read> {
        match self.read_named(digest, id, place, trust)? {
            Read::Bad(_) if self.index.place(digest, id)? != Some(place) => Ok(Read::Gone),
            read => Ok(read),
        }
    }

    fn read_named(&self, digest: &Digest32, id: u64, place: Place, trust: Trust) -> Result<Read> {
        let (offset, len, node) = match place {
            Place::Slab { offset, len } => return self.slabs.read(id, offset, len, digest),
            Place::Leaf { offset, len } => (offset, len, false),
            Place::Node { offset, len } => (offset, len, true),
        };
        let handle = match self.content.by_id(id) {
            Ok(Some(handle)) => handle,
            Ok(None) => return Ok(Read::Gone),
            Err(e) => return Ok(Read::Bad(e)),
        };
        let bytes = if node {
            handle.need_sidecar().and_then(|s| s.bytes(offset, len))
        } else {
            let mut bytes = vec![0; len as usize];
            handle.read_raw(offset, &mut bytes).map(|()| bytes.into())
        };
        let bad = |e: Error| Read::Bad(e.with("file", id).with("offset", offset));
        Ok(match bytes {
            Err(e) => bad(e),
            Ok(bytes) => {
                let chunk = offset / u64::from(handle.row.chunk_size.max(1));
                // A part's bytes may have gone since its place was looked up: a hole has none of them.
                let trusted = trust == Trust::Once && !node && handle.row.slice.is_none();
                if trusted && handle.is_verified(chunk) {
                    Read::Good(bytes)
                } else if matches(&bytes, digest) {
                    if !node {
                        handle.set_verified(chunk);
                    }
                    Read::Good(bytes)
                } else {
                    bad(Error::corrupt("a block in a content file does not match its digest"))
                }
            }
        })
    }

    /// Holds a block that is stored here in a good copy; `None` if there is none. Damaged copies are forgotten, so that
    /// the caller's own replaces them.
    pub(super) fn pin_stored_block(&self, digest: &Digest32) -> Result<Option<TempPin>> {
        let pin = self.pins.pin(digest).quiet();
        for _ in 0..TRIES {
            let mut gone = false;
            for (id, place) in self.index.places(digest)? {
                match self.read_place(digest, id, place)? {
                    Read::Good(_) => return Ok(Some(pin)),
                    Read::Gone => gone = true,
                    Read::Bad(e) => {
                        tracing::error!(digest = hex::encode(digest), error = %e, "a damaged block is replaced");
                        match place {
                            Place::Slab { len, .. } => self.slabs.remove(digest, id, len)?,
                            _ => self.index.apply(&[(block_key(digest, id), None)])?,
                        }
                    }
                }
            }
            if !gone {
                break;
            }
        }
        Ok(None)
    }

    /// Any leaf or inner node, checked now.
    pub(super) fn block(&self, cid: &Cid) -> Result<Option<Bytes>> {
        let Ok(digest) = unixfs::digest_of(cid) else { return Ok(None) };
        let _pin = self.pins.pin(&digest).quiet();
        self.find(&digest, None, Trust::Never).map_err(|e| e.with("cid", cid))
    }

    /// The length of a block that is here; its bytes are not read.
    pub(super) fn block_len(&self, digest: &Digest32) -> Result<Option<u64>> {
        if let Some(len) = self.zeros.len_of(digest) {
            return Ok(Some(u64::from(len)));
        }
        if let Some(bytes) = self.inline(digest) {
            return Ok(Some(bytes.len() as u64));
        }
        Ok(self.index.first_place(digest)?.map(|(_, place)| match place {
            Place::Leaf { len, .. } | Place::Node { len, .. } | Place::Slab { len, .. } => u64::from(len),
        }))
    }

    /// Offers `take` the digests of what a block is part of on this host, its own first, until it takes one: the answer
    /// is whether it did. At most `PAGE` places, and as many scattered objects, are looked at.
    pub(super) fn any_object_with(
        &self,
        digest: &Digest32,
        take: &mut dyn FnMut(&Digest32) -> Result<bool>,
    ) -> Result<bool> {
        if take(digest)? {
            return Ok(true);
        }
        let places = self.index.places(digest)?;
        let files = places.iter().filter(|(_, place)| !matches!(place, Place::Slab { .. })).map(|(id, _)| *id);
        for id in files.chain(self.index.needed_by(digest)?) {
            if let Some(root) = self.index.owner(id)?.filter(|root| root != digest)
                && take(&root)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the block is here, its bytes unread.
    pub(super) fn contains(&self, cid: &Cid) -> Result<bool> {
        let Ok(digest) = unixfs::digest_of(cid) else { return Ok(false) };
        Ok(self.zeros.len_of(&digest).is_some()
            || self.inline(&digest).is_some()
            || !self.index.places(&digest)?.is_empty())
    }
}

/// Blocks for the walk of a DAG.
pub(super) struct StoredBlocks(pub(super) Arc<Inner>);

impl unixfs::BlockSource for StoredBlocks {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        self.0
            .block(cid)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "a block is not on this host").with("cid", cid))
    }
}

/// A chunk's bytes when its own file has damaged ones: another copy, or the error.
pub(super) fn other_copy(inner: &Inner, handle: &Handle, digest: &Digest32, error: Error) -> Result<Bytes> {
    match inner.find_block(digest, Some(handle.row.id)) {
        Ok(Some(bytes)) => {
            tracing::error!(digest = hex::encode(digest), %error, "a damaged chunk was read from another copy");
            Ok(bytes)
        }
        _ => Err(error),
    }
}
