//! From a root to a file's bytes: a walk over the leaves of a byte range.
//!
//! It reads every valid UnixFS file, whoever made it: raw leaves or not, any layout, any width.

use std::ops::Range;

use bytes::Bytes;
use cid::Cid;

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::block::{DAG_PB, RAW};
use crate::unixfs::dagpb::Node;
use crate::unixfs::data::{Data, Kind};

/// Where blocks come from.
pub trait BlockSource {
    /// The block that `cid` names, already checked against it. NotFound when it is nowhere.
    fn block(&self, cid: &Cid) -> Result<Bytes>;
}

impl<S: BlockSource + ?Sized> BlockSource for &S {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        (**self).block(cid)
    }
}

impl<S: BlockSource + ?Sized> BlockSource for std::sync::Arc<S> {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        (**self).block(cid)
    }
}

/// Deeper trees than this are refused: a balanced one of 2^64 bytes has 7 levels at 1024 links, 9 at 174.
const MAX_DEPTH: usize = 64;

/// A piece of a file that lies in one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafRef {
    /// The block: raw, or dag-pb with the bytes inside.
    pub cid: Cid,
    /// Where the piece begins in the file.
    pub offset: u64,
    /// Its length, at least 1.
    pub size: u64,
    /// The piece's bytes when the walk had to read them anyway (dag-pb leaves, a bare raw root); else the raw block
    /// that `cid` names *is* the piece.
    pub inline: Option<Bytes>,
}

/// A file, opened for reading by its root.
pub struct FileReader<S> {
    source: S,
    root: Cid,
    top: Opened,
}

impl<S: BlockSource> FileReader<S> {
    /// Reads the root's block. IsADirectory for a directory, InvalidArgument for a symbolic link or an unknown
    /// codec, Corrupt for a damaged node, and what the source answers.
    pub fn open(source: S, root: &Cid) -> Result<Self> {
        let top = open_node(&source, root)?;
        Ok(Self { source, root: *root, top })
    }

    /// The file's length in bytes.
    pub fn size(&self) -> u64 {
        self.top.size
    }

    /// Permissions and time of change, where the root carries them.
    pub fn data(&self) -> Option<&Data> {
        self.top.data.as_ref()
    }

    /// The pieces, in order, that hold at least one byte of `range`; inner nodes are read as the walk meets them.
    /// After an error the walk is over.
    pub fn leaves(&self, range: Range<u64>) -> Leaves<'_, S> {
        let range = range.start..range.end.min(self.top.size);
        let mut leaves = Leaves { source: &self.source, range, pending: Vec::new(), depth: 0 };
        if !leaves.range.is_empty() {
            leaves.expand(&self.root, 0, &self.top);
        }
        leaves
    }

    /// Hands the file's bytes in `offset .. offset + len`, cut at its end, to `sink` in order, block by block.
    pub fn read_range(&self, offset: u64, len: u64, sink: &mut dyn FnMut(Bytes) -> Result<()>) -> Result<()> {
        let range = offset..offset.saturating_add(len).min(self.top.size);
        for leaf in self.leaves(range.clone()) {
            let leaf = leaf?;
            let bytes = match leaf.inline {
                Some(bytes) => bytes,
                None => raw_leaf(&self.source, &leaf.cid, leaf.size)?,
            };
            let from = range.start.saturating_sub(leaf.offset);
            let to = leaf.size.min(range.end - leaf.offset);
            // Within the piece, whose length is that of `bytes`: it fits usize.
            sink(bytes.slice(from as usize..to as usize))?;
        }
        Ok(())
    }
}

/// The pieces of the file `root` that hold at least one byte of `range`. Opens it as [`FileReader::open`] does.
pub fn leaves_in_range(source: &dyn BlockSource, root: &Cid, range: Range<u64>) -> Result<Vec<LeafRef>> {
    FileReader::open(source, root)?.leaves(range).collect()
}

/// Hands the bytes `offset .. offset + len` of the file `root`, cut at its end, to `sink` in order.
pub fn read_range(
    source: &dyn BlockSource,
    root: &Cid,
    offset: u64,
    len: u64,
    sink: &mut dyn FnMut(Bytes) -> Result<()>,
) -> Result<()> {
    FileReader::open(source, root)?.read_range(offset, len, sink)
}

/// The walk of [`FileReader::leaves`]. Holds one path of the tree: the links not yet visited, a level at a time.
pub struct Leaves<'a, S> {
    source: &'a S,
    range: Range<u64>,
    /// What is still to visit, the next one last.
    pending: Vec<Step>,
    depth: usize,
}

enum Step {
    /// The bytes inside a dag-pb node.
    Inline(LeafRef),
    /// A child at this offset that holds so many bytes.
    Child { cid: Cid, offset: u64, size: u64 },
    /// All children of a node have been visited.
    Up,
}

impl<S: BlockSource> Leaves<'_, S> {
    fn expand(&mut self, cid: &Cid, offset: u64, node: &Opened) {
        self.depth += 1;
        self.pending.push(Step::Up);
        let begin = self.pending.len();
        let inside = |at: u64, size: u64, range: &Range<u64>| size > 0 && at < range.end && at + size > range.start;
        let mut at = offset;
        let size = node.inline.len() as u64;
        if inside(at, size, &self.range) {
            self.pending.push(Step::Inline(LeafRef { cid: *cid, offset: at, size, inline: Some(node.inline.clone()) }));
        }
        at += size;
        for &(cid, size) in &node.children {
            if inside(at, size, &self.range) {
                self.pending.push(Step::Child { cid, offset: at, size });
            }
            at += size;
        }
        self.pending[begin..].reverse();
    }

    fn step(&mut self) -> Result<Option<LeafRef>> {
        while let Some(step) = self.pending.pop() {
            match step {
                Step::Up => self.depth -= 1,
                Step::Inline(leaf) => return Ok(Some(leaf)),
                Step::Child { cid, offset, size } if cid.codec() == RAW => {
                    return Ok(Some(LeafRef { cid, offset, size, inline: None }));
                }
                Step::Child { cid, offset, size } => {
                    if self.depth >= MAX_DEPTH {
                        return Err(Error::corrupt("unixfs: file's tree is too deep").with("cid", cid));
                    }
                    let node = open_node(self.source, &cid)?;
                    if node.size != size {
                        return Err(Error::corrupt("unixfs: a node holds another size than its parent says")
                            .with("cid", cid)
                            .with("parent", size)
                            .with("node", node.size));
                    }
                    self.expand(&cid, offset, &node);
                }
            }
        }
        Ok(None)
    }
}

impl<S: BlockSource> Iterator for Leaves<'_, S> {
    type Item = Result<LeafRef>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if let Some(Err(_)) = item {
            self.pending.clear();
        }
        item
    }
}

/// A node of a file, checked: `size` is the sum of the rest, and does not overflow.
struct Opened {
    inline: Bytes,
    children: Vec<(Cid, u64)>,
    size: u64,
    data: Option<Data>,
}

fn open_node(source: &impl BlockSource, cid: &Cid) -> Result<Opened> {
    let codec = cid.codec();
    if codec != RAW && codec != DAG_PB {
        return Err(Error::new(ErrorKind::InvalidArgument, "unixfs: neither raw nor dag-pb").with("cid", cid));
    }
    let block = source.block(cid)?;
    if codec == RAW {
        return Ok(Opened { size: block.len() as u64, inline: block, children: Vec::new(), data: None });
    }
    open_dag_pb(&block).map_err(|e| e.with("cid", cid))
}

fn open_dag_pb(block: &Bytes) -> Result<Opened> {
    let node = Node::parse(block)?;
    let Some(bytes) = &node.data else { return Err(Error::corrupt("unixfs: node without data")) };
    let mut data = Data::parse(bytes)?;
    match data.kind {
        Kind::File | Kind::Raw => {}
        Kind::Directory | Kind::HamtShard => {
            return Err(Error::new(ErrorKind::IsADirectory, "unixfs: a directory, not a file"));
        }
        Kind::Symlink | Kind::Metadata => {
            return Err(Error::new(ErrorKind::InvalidArgument, "unixfs: not a file"));
        }
    }
    if data.blocksizes.len() != node.links.len() {
        return Err(Error::corrupt("unixfs: not one block size a link"));
    }
    let inline = data.data.take().unwrap_or_default();
    let size = data
        .blocksizes
        .iter()
        .try_fold(inline.len() as u64, |sum, &size| sum.checked_add(size))
        .ok_or_else(|| Error::corrupt("unixfs: file over 2^64 bytes"))?;
    if data.filesize.is_some_and(|stated| stated != size) {
        return Err(Error::corrupt("unixfs: a node's size is not the sum of its parts"));
    }
    let children = node.links.iter().map(|link| link.cid).zip(std::mem::take(&mut data.blocksizes)).collect();
    Ok(Opened { inline, children, size, data: Some(data) })
}

fn raw_leaf(source: &impl BlockSource, cid: &Cid, size: u64) -> Result<Bytes> {
    let bytes = source.block(cid)?;
    if bytes.len() as u64 == size {
        Ok(bytes)
    } else {
        Err(Error::corrupt("unixfs: a leaf has another length than its parent says")
            .with("cid", cid)
            .with("parent", size)
            .with("leaf", bytes.len()))
    }
}
