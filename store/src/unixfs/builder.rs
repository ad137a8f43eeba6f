//! From leaves to a file's root: the balanced layout.
//!
//! All leaves lie at the same depth, nodes are filled from the left, and a lone child at the right edge is still
//! wrapped, so that level-by-level grouping and Kubo's tree give the same CID. Only one open node a level is held.

use cid::Cid;

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::block::{Block, RAW, cid_of_digest, raw_cid};
use crate::unixfs::dagpb::{Link, Node};
use crate::unixfs::data::Data;
use crate::unixfs::profile::{Geometry, Profile};

/// A chunk of a file, as a raw block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// The raw block's CID.
    pub cid: Cid,
    /// Its length in bytes, at least 1.
    pub size: u64,
}

/// A finished file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root {
    /// The file's CID: that of its only leaf, of the raw empty block, or of the top node.
    pub cid: Cid,
    /// The file's length in bytes.
    pub size: u64,
    /// Number of leaves pushed, those of zeros included; 0 for an empty file.
    pub leaves: u64,
    /// Bytes of all blocks of the DAG, as often as they are linked: what a directory's link to this file carries.
    pub tsize: u64,
}

/// Where finished nodes go.
pub type Sink<'a> = dyn FnMut(Block) -> Result<()> + 'a;

/// Builds a file's inner nodes from its leaves, pushed in order, in memory of at most `max_links` links a level.
///
/// Every block that the root reaches is a leaf that was pushed, the [`DagBuilder::zero_leaf`], or goes to the sink: for
/// an empty file that is the raw empty block. Equal nodes may go to the sink more than once, memoised ones go once.
pub struct DagBuilder {
    geometry: Geometry,
    /// `levels[k]` holds the children, complete subtrees of height k, of the open node of height k+1:
    /// always fewer than `max_links`.
    levels: Vec<Vec<Child>>,
    /// `zeros[k]` is the complete subtree of height k whose bytes are all zero.
    zeros: Vec<Child>,
    size: u64,
    leaves: u64,
    /// A leaf shorter than a chunk has been pushed: nothing may follow.
    ended: bool,
}

#[derive(Clone, Copy)]
struct Child {
    cid: Cid,
    /// Bytes of the file below.
    size: u64,
    tsize: u64,
}

impl DagBuilder {
    /// An empty file of this profile.
    pub fn new(profile: Profile) -> Self {
        Self::with_geometry(profile.geometry())
    }

    /// An empty file with numbers of one's own.
    pub fn with_geometry(geometry: Geometry) -> Self {
        assert!(geometry.chunk_size >= 1 && geometry.max_links >= 2, "no tree has such a geometry");
        Self { geometry, levels: Vec::new(), zeros: Vec::new(), size: 0, leaves: 0, ended: false }
    }

    /// Bytes of all blocks of a file of `size` bytes, as often as they are linked ([`Root::tsize`]): which bytes the file has
    /// does not matter. TooLarge when those are over 2^64.
    pub fn tsize_of(profile: Profile, size: u64) -> Result<u64> {
        let mut dag = Self::new(profile);
        let chunk = profile.chunk_size() as u64;
        let any = cid_of_digest(RAW, [0; 32]);
        // Not those of zeros, whose names would cost a hash of a chunk; as long.
        dag.zeros.push(Child { cid: any, size: chunk, tsize: chunk });
        dag.push_zeros(size / chunk, &mut |_| Ok(()))?;
        if !size.is_multiple_of(chunk) {
            dag.push(Leaf { cid: any, size: size % chunk }, &mut |_| Ok(()))?;
        }
        Ok(dag.finish(&mut |_| Ok(()))?.tsize)
    }

    /// Appends a leaf. Every leaf but the last has exactly the profile's chunk size: InvalidArgument otherwise.
    /// Fails as the sink does; the builder is then of no more use.
    pub fn push(&mut self, leaf: Leaf, sink: &mut Sink<'_>) -> Result<()> {
        let chunk = self.geometry.chunk_size as u64;
        if self.ended || leaf.size == 0 || leaf.size > chunk {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "only a file's last leaf may be short, none empty or long",
            )
            .with("offset", self.size)
            .with("leaf", leaf.size)
            .with("chunk", chunk));
        }
        self.ended = leaf.size < chunk;
        self.grow(1, leaf.size)?;
        self.add(0, Child { cid: leaf.cid, size: leaf.size, tsize: leaf.size }, sink)
    }

    /// Appends `leaves` whole chunks of zeros. Costs a few nodes a level however many they are: complete subtrees
    /// of zeros are made once.
    pub fn push_zeros(&mut self, leaves: u64, sink: &mut Sink<'_>) -> Result<()> {
        let Some(size) = leaves.checked_mul(self.geometry.chunk_size as u64) else { return Err(too_large()) };
        if self.ended && leaves > 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "zeros pushed after a file's last leaf")
                .with("offset", self.size));
        }
        self.grow(leaves, size)?;
        let mut left = leaves;
        while left > 0 {
            let (height, leaves) = self.largest_fit(left);
            let child = self.zero_subtree(height, sink)?;
            self.add(height, child, sink)?;
            left -= leaves;
        }
        Ok(())
    }

    /// The whole chunk of zeros, which [`DagBuilder::push_zeros`] links.
    pub fn zero_leaf(&mut self) -> Leaf {
        let zero = self.zero_child();
        Leaf { cid: zero.cid, size: zero.size }
    }

    /// Bytes pushed so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Closes the open nodes and names the file.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<Root> {
        let mut height = 0;
        let top = loop {
            let Some(children) = self.levels.get(height) else {
                let empty = Block::raw(&b""[..]);
                let cid = empty.cid;
                sink(empty)?;
                break Child { cid, size: 0, tsize: 0 };
            };
            if height + 1 == self.levels.len() && children.len() == 1 {
                break children[0];
            }
            if !children.is_empty() {
                self.close(height, sink)?;
            }
            height += 1;
        };
        debug_assert_eq!(top.size, self.size);
        Ok(Root { cid: top.cid, size: self.size, leaves: self.leaves, tsize: top.tsize })
    }

    fn grow(&mut self, leaves: u64, size: u64) -> Result<()> {
        self.size = self.size.checked_add(size).ok_or_else(too_large)?;
        // Fewer leaves than bytes: cannot overflow either.
        self.leaves += leaves;
        Ok(())
    }

    /// Adds a complete subtree of this height, below which no node is open, and closes what it fills.
    fn add(&mut self, mut height: usize, child: Child, sink: &mut Sink<'_>) -> Result<()> {
        while self.levels.len() <= height {
            self.levels.push(Vec::new());
        }
        self.levels[height].push(child);
        while self.levels[height].len() == self.geometry.max_links {
            self.close(height, sink)?;
            height += 1;
        }
        Ok(())
    }

    /// Closes the open node over `levels[height]` and makes it a child one level up.
    fn close(&mut self, height: usize, sink: &mut Sink<'_>) -> Result<()> {
        let node = inner_node(&self.levels[height], sink)?;
        self.levels[height].clear();
        if self.levels.len() == height + 1 {
            self.levels.push(Vec::new());
        }
        self.levels[height + 1].push(node);
        Ok(())
    }

    /// The height and leaves of the largest complete subtree that fits here and has at most `left` leaves.
    fn largest_fit(&self, left: u64) -> (usize, u64) {
        let width = self.geometry.max_links as u64;
        let (mut height, mut leaves) = (0, 1u64);
        // An open node on a lower level must be filled first.
        while self.levels.get(height).is_none_or(Vec::is_empty) {
            match leaves.checked_mul(width) {
                Some(more) if more <= left => (height, leaves) = (height + 1, more),
                _ => break,
            }
        }
        (height, leaves)
    }

    fn zero_child(&mut self) -> Child {
        if let Some(&zero) = self.zeros.first() {
            return zero;
        }
        let size = self.geometry.chunk_size as u64;
        let zero = Child { cid: raw_cid(&vec![0; self.geometry.chunk_size]), size, tsize: size };
        self.zeros.push(zero);
        zero
    }

    fn zero_subtree(&mut self, height: usize, sink: &mut Sink<'_>) -> Result<Child> {
        let mut below = self.zero_child();
        for k in 1..=height {
            if let Some(&known) = self.zeros.get(k) {
                below = known;
                continue;
            }
            below = inner_node(&vec![below; self.geometry.max_links], sink)?;
            self.zeros.push(below);
        }
        Ok(below)
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "file's DAG over 2^64 bytes")
}

/// Makes the node over `children` and hands it to the sink.
fn inner_node(children: &[Child], sink: &mut Sink<'_>) -> Result<Child> {
    let size = children.iter().try_fold(0u64, |sum, c| sum.checked_add(c.size)).ok_or_else(too_large)?;
    let below = children.iter().try_fold(0u64, |sum, c| sum.checked_add(c.tsize)).ok_or_else(too_large)?;
    let data = Data::file_node(size, children.iter().map(|c| c.size).collect());
    let links = children.iter().map(|c| Link { cid: c.cid, name: Some(String::new()), tsize: Some(c.tsize) }).collect();
    let block = Block::dag_pb(Node { links, data: Some(data.encode().into()) }.encode());
    let tsize = below.checked_add(block.bytes.len() as u64).ok_or_else(too_large)?;
    let child = Child { cid: block.cid, size, tsize };
    sink(block)?;
    Ok(child)
}
