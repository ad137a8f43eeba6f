//! The blocks of a DAG in depth-first order, one at a time.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;

use super::{ByteRange, Resolved, block_of, identity};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::{BlockSource, DAG_PB, Data, Kind, Node};

/// Which blocks below the end of the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Its own only.
    Block,
    /// Those to read a file, or a range of it, or to list a directory.
    Entity(Option<ByteRange>),
    /// All.
    All,
}

/// What a walk may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels below the end of the path.
    pub depth: usize,
    /// Links that are still to be followed; about 100 bytes each.
    pub links: usize,
    /// Different blocks that are remembered where none is to come twice; about 16 bytes each.
    pub remembered: usize,
    /// Blocks in all.
    pub blocks: u64,
}

impl Limits {
    /// Enough for a file of 5 TiB (5.2 million blocks, three levels) and for directories in directories.
    pub const DEFAULT: Self = Self { depth: 512, links: 1 << 16, remembered: 1 << 20, blocks: 1 << 23 };
}

/// The walk. An error ends it.
pub struct Walk<S> {
    source: S,
    limits: Limits,
    way: VecDeque<Cid>,
    /// What is still to visit, the next one last.
    stack: Vec<Step>,
    seen: Option<Seen>,
    blocks: u64,
}

/// A block to visit.
struct Step {
    cid: Cid,
    depth: usize,
    how: How,
}

/// What of a block's links is to be followed.
#[derive(Clone, Copy)]
enum How {
    /// Nothing.
    Alone,
    /// Everything.
    All,
    /// What the block turns out to need.
    Entity(Option<ByteRange>),
    /// Of a file that begins here, what lies in a range of it.
    Slice { begin: u64, end: u64 },
    /// Of a sharded directory, the shards.
    Shards,
}

impl<S: BlockSource> Walk<S> {
    /// A walk over the way and then, as `scope` says, over what is at its end. Without `dups` no block comes twice.
    pub fn new(source: S, to: Resolved, scope: Scope, dups: bool, limits: Limits) -> Self {
        let how = match scope {
            Scope::Block => How::Alone,
            Scope::Entity(range) => How::Entity(range),
            Scope::All => How::All,
        };
        let seen = (!dups).then(Seen::default);
        Self { source, limits, way: to.way.into(), stack: vec![Step { cid: to.cid, depth: 0, how }], seen, blocks: 0 }
    }

    /// The next block, with the CID that it is linked by. NotFound if the source does not give it, Corrupt if its links
    /// cannot be read, TooLarge when a limit is reached. Blocks that are in their CIDs are left out.
    pub fn step(&mut self) -> Result<Option<(Cid, Bytes)>> {
        let stepped = self.advance();
        if stepped.is_err() {
            self.way.clear();
            self.stack.clear();
        }
        stepped
    }

    fn advance(&mut self) -> Result<Option<(Cid, Bytes)>> {
        loop {
            let step = match self.way.pop_front() {
                Some(cid) => Step { cid, depth: 0, how: How::Alone },
                None => match self.stack.pop() {
                    Some(step) => step,
                    None => return Ok(None),
                },
            };
            let fresh = self.is_fresh(&step.cid)?;
            // Of a file's node that comes twice another part may be wanted the second time.
            if !fresh && !matches!(step.how, How::Slice { .. }) {
                continue;
            }
            if self.blocks == self.limits.blocks {
                return Err(too_large("the DAG has too many blocks"));
            }
            self.blocks += 1;
            let bytes = block_of(&self.source, &step.cid)?;
            self.follow(&step, &bytes).map_err(|e| e.with("cid", step.cid))?;
            if fresh && identity(&step.cid).is_none() {
                return Ok(Some((step.cid, bytes)));
            }
        }
    }

    fn is_fresh(&mut self, cid: &Cid) -> Result<bool> {
        let Some(seen) = &mut self.seen else { return Ok(true) };
        if seen.digests.len() == self.limits.remembered && !seen.has(cid) {
            return Err(too_large("the DAG has too many blocks to leave out those that come twice"));
        }
        Ok(seen.put(cid))
    }

    /// Puts what is below a block, and wanted, on the stack.
    fn follow(&mut self, step: &Step, bytes: &Bytes) -> Result<()> {
        if step.cid.codec() != DAG_PB || matches!(step.how, How::Alone) {
            return Ok(());
        }
        let node = Node::parse(bytes)?;
        let links = match step.how {
            How::Alone => Vec::new(),
            How::All => node.links.iter().map(|link| (link.cid, How::All)).collect(),
            How::Entity(range) => entity(&node, range)?,
            How::Slice { begin, end } => slice(&node, begin, end)?,
            How::Shards => shards(&node)?,
        };
        if !links.is_empty() && step.depth == self.limits.depth {
            return Err(too_large("the DAG is too deep"));
        }
        if self.stack.len() + links.len() > self.limits.links {
            return Err(too_large("the DAG is too wide"));
        }
        let depth = step.depth + 1;
        self.stack.extend(links.into_iter().rev().map(|(cid, how)| Step { cid, depth, how }));
        Ok(())
    }
}

fn too_large(message: &'static str) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}

fn data_of(node: &Node) -> Result<Data> {
    node.data.as_ref().ok_or_else(|| Error::corrupt("unixfs: node without data")).and_then(Data::parse)
}

/// The links that are needed to read or list what a node is. What is not UnixFS is its block alone.
fn entity(node: &Node, range: Option<ByteRange>) -> Result<Vec<(Cid, How)>> {
    let Ok(data) = data_of(node) else { return Ok(Vec::new()) };
    match (data.kind, range) {
        (Kind::HamtShard, _) => shards(node),
        (Kind::File | Kind::Raw, None) => Ok(node.links.iter().map(|link| (link.cid, How::All)).collect()),
        (Kind::File | Kind::Raw, Some(range)) => {
            let parts = parts(node, &data)?;
            let size = parts.last().map_or(inline(&data), |(_, end)| *end);
            let range = range.within(size);
            slice(node, range.start, range.end)
        }
        _ => Ok(Vec::new()),
    }
}

/// The links of a file's node that hold a byte of `begin .. end`.
fn slice(node: &Node, begin: u64, end: u64) -> Result<Vec<(Cid, How)>> {
    let parts = parts(node, &data_of(node)?)?;
    let wanted = node.links.iter().zip(parts).filter(|(_, (from, to))| *from < end && *to > begin && begin < end);
    let below = |from: u64| How::Slice { begin: begin.saturating_sub(from), end: end - from };
    Ok(wanted.map(|(link, (from, _))| (link.cid, below(from))).collect())
}

fn inline(data: &Data) -> u64 {
    data.data.as_ref().map_or(0, Bytes::len) as u64
}

/// Where the part behind each link of a file's node begins and ends.
fn parts(node: &Node, data: &Data) -> Result<Vec<(u64, u64)>> {
    if data.blocksizes.len() != node.links.len() {
        return Err(Error::corrupt("unixfs: not one block size a link"));
    }
    let mut at = inline(data);
    let mut parts = Vec::with_capacity(node.links.len());
    for size in &data.blocksizes {
        let end = at.checked_add(*size).ok_or_else(|| Error::corrupt("unixfs: file over 2^64 bytes"))?;
        parts.push((at, end));
        at = end;
    }
    Ok(parts)
}

/// The links of a shard that are shards: those whose name is a slot's number and nothing else.
fn shards(node: &Node) -> Result<Vec<(Cid, How)>> {
    let fanout = data_of(node)?.fanout.filter(|f| (8..=1024).contains(f) && f.is_power_of_two());
    let fanout = fanout.ok_or_else(|| Error::corrupt("unixfs: a shard without a usable fanout"))?;
    let prefix = fanout.trailing_zeros().div_ceil(4) as usize;
    let below = node.links.iter().filter(|link| link.name.as_ref().is_none_or(|name| name.len() == prefix));
    Ok(below.map(|link| (link.cid, How::Shards)).collect())
}

/// Blocks that have come: 64 bits of a keyed hash of each digest, so that nobody can make two of them meet.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    digests: HashSet<u64>,
}

impl Seen {
    fn name(&self, cid: &Cid) -> u64 {
        self.hasher.hash_one((cid.codec(), cid.hash().digest()))
    }

    fn has(&self, cid: &Cid) -> bool {
        self.digests.contains(&self.name(cid))
    }

    /// Whether it is new.
    fn put(&mut self, cid: &Cid) -> bool {
        let name = self.name(cid);
        self.digests.insert(name)
    }
}
