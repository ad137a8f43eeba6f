//! From `CID/a/b` to the block that it ends at, with the blocks that prove the way.

use std::cell::RefCell;

use bytes::Bytes;

use super::{WithIdentity, block_of};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::{BlockSource, DirectoryReader};

/// Most directories on a path.
const MOST_SEGMENTS: usize = 256;
/// Most blocks that are read on a path: a directory may be a HAMT of several levels.
const MOST_BLOCKS: usize = 1024;

/// Where a path ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The end.
    pub cid: Cid,
    /// The blocks read on the way, the end's own not among them, in their order.
    pub way: Vec<Cid>,
    /// What each name of the path stands for.
    pub names: Vec<Cid>,
}

/// Follows `segments` from `root` through UnixFS directories, plain or sharded. NotFound if a name or a block is not there;
/// TooLarge for a path too long to follow; Corrupt for a damaged directory.
pub fn resolve(source: &(impl BlockSource + ?Sized), root: &Cid, segments: &[String]) -> Result<Resolved> {
    if segments.len() > MOST_SEGMENTS {
        return Err(Error::new(ErrorKind::TooLarge, "the path has too many names").with("names", segments.len()));
    }
    let recorder = Recorder { source: WithIdentity(source), way: RefCell::default() };
    let mut cid = *root;
    let mut names = Vec::with_capacity(segments.len());
    for segment in segments {
        let directory = DirectoryReader::open(&recorder, &cid).map_err(|e| match e.kind() {
            // A name below a file names nothing.
            ErrorKind::NotADirectory => Error::new(ErrorKind::NotFound, "the path goes through what is no directory")
                .with("cid", cid)
                .caused_by(e),
            _ => e,
        })?;
        let entry = directory.lookup(segment)?;
        let entry = entry.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the directory has no such name").with("cid", cid).with("name", segment)
        })?;
        cid = entry.cid;
        names.push(cid);
        if recorder.way.borrow().len() > MOST_BLOCKS {
            return Err(Error::new(ErrorKind::TooLarge, "the path leads through too many blocks"));
        }
    }
    if segments.is_empty() {
        // The root must be there even if it is not read for anything else.
        block_of(source, root)?;
    }
    Ok(Resolved { cid, way: recorder.way.into_inner(), names })
}

/// Notes which blocks are read.
struct Recorder<S> {
    source: S,
    way: RefCell<Vec<Cid>>,
}

impl<S: BlockSource> BlockSource for Recorder<S> {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        let bytes = self.source.block(cid)?;
        self.way.borrow_mut().push(*cid);
        Ok(bytes)
    }
}
