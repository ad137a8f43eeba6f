//! Serving blocks: where they come from ([`Source`]), the walk of a DAG in the order of a CAR ([`Walk`]), and the CAR's own
//! bytes ([`car`]). Nothing of HTTP, nothing of who may have what: a source lets out what it may.
//!
//! Whoever asks chooses the DAG, the path and the range, so all that a walk holds is bounded ([`Limits`]): the links that it
//! has still to follow, its depth, the blocks that it remembers in order not to send them twice.

pub mod car;
mod path;
mod range;
mod walk;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::BlockSource;

pub use path::{Resolved, resolve};
pub use range::ByteRange;
pub use walk::{Limits, Scope, Walk};

/// Multihash code of the identity "hash": the CID holds the bytes themselves.
const IDENTITY: u64 = 0;

/// Blocks that may be given away.
pub trait Source: BlockSource + Send + Sync {
    /// Length of the block, if [`BlockSource::block`] would give it; its bytes are not read.
    fn len(&self, cid: &Cid) -> Result<Option<u64>>;

    /// Whether [`BlockSource::block`] would give the block.
    fn has(&self, cid: &Cid) -> Result<bool> {
        Ok(self.len(cid)?.is_some())
    }
}

/// The bytes in a CID that holds its block itself.
pub fn identity(cid: &Cid) -> Option<Bytes> {
    (cid.hash().code() == IDENTITY).then(|| Bytes::copy_from_slice(cid.hash().digest()))
}

/// The bytes of `cid`: of the CID itself if they are in it, else of the source. NotFound if it does not give them.
pub fn block_of(source: &(impl BlockSource + ?Sized), cid: &Cid) -> Result<Bytes> {
    match identity(cid) {
        Some(bytes) => Ok(bytes),
        None => source.block(cid),
    }
}

/// The length of [`block_of`]; the bytes are not read.
pub fn len_of(source: &(impl Source + ?Sized), cid: &Cid) -> Result<u64> {
    match identity(cid) {
        Some(bytes) => Ok(bytes.len() as u64),
        None => source.len(cid)?.ok_or_else(|| not_here(cid)),
    }
}

/// What a source answers that does not give a block, for whatever reason.
pub fn not_here(cid: &Cid) -> Error {
    Error::new(ErrorKind::NotFound, "the block is not provided here").with("cid", cid)
}

/// A source whose identity CIDs are read from themselves.
struct WithIdentity<'a, S: ?Sized>(&'a S);

impl<S: BlockSource + ?Sized> BlockSource for WithIdentity<'_, S> {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        block_of(self.0, cid)
    }
}
