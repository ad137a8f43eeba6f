//! From entries to a directory's root: one plain node, or a HAMT of shards where that node would be too large.

use std::path::PathBuf;

use cid::Cid;

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::block::Block;
use crate::unixfs::builder::Sink;
use crate::unixfs::dagpb::{Link, Node};
use crate::unixfs::data::{Data, Kind};
use crate::unixfs::hamt::{Position, ShardBuilder, directory_too_large};
use crate::unixfs::hash_sort::HashSorter;
use crate::unixfs::profile::{DirectoryMeasure, Geometry, Profile};

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Root of the file, directory or symbolic link.
    pub cid: Cid,
    /// Bytes of all blocks below `cid`, its own included: [`Root::tsize`](crate::unixfs::Root::tsize),
    /// [`DirectoryRoot::tsize`], or the length of a lone block.
    pub tsize: u64,
}

/// A finished directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryRoot {
    /// The directory's CID.
    pub cid: Cid,
    /// Bytes of all blocks below, the directory's own included.
    pub tsize: u64,
    /// Number of entries.
    pub entries: u64,
    /// It is a HAMT.
    pub sharded: bool,
}

/// Collects a directory's entries, in any order, and makes its nodes.
///
/// Until it is known to be sharded it holds at most the profile's limit; from then on about 120 bytes an entry, or
/// with [`DirectoryBuilder::with_scratch`] a bounded number of bytes in all. Shards are made in one pass over the
/// entries in hash order, with one open shard a level.
pub struct DirectoryBuilder {
    geometry: Geometry,
    entries: u64,
    /// Size of the plain directory so far, by the profile's measure.
    measured: usize,
    scratch: Option<(PathBuf, usize)>,
    held: Held,
}

enum Held {
    Plain(Vec<Entry>),
    Sharded(HashSorter),
}

impl DirectoryBuilder {
    /// An empty directory of this profile.
    pub fn new(profile: Profile) -> Self {
        Self::with_geometry(profile.geometry())
    }

    /// An empty directory with numbers of one's own.
    pub fn with_geometry(geometry: Geometry) -> Self {
        assert!((3..=10).contains(&geometry.shard_bits), "a shard has 8 to 1024 slots");
        let measured = match geometry.directory_measure {
            DirectoryMeasure::BlockBytes => plain_node(Vec::new()).encode().len(),
            DirectoryMeasure::LinkBytes => 0,
        };
        Self { geometry, entries: 0, measured, scratch: None, held: Held::Plain(Vec::new()) }
    }

    /// Lets a sharded directory hold about `memory` bytes and sort the rest in an unnamed file in `folder`. Takes
    /// effect if called before the directory is so large.
    #[must_use]
    pub fn with_scratch(mut self, folder: impl Into<PathBuf>, memory: usize) -> Self {
        self.scratch = Some((folder.into(), memory));
        self
    }

    /// Adds an entry. InvalidArgument for a name that no path can hold: empty, `.`, `..`, with `/` or NUL. Fails as
    /// the scratch file does.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        check_name(&entry.name)
            .map_err(|rule| Error::new(ErrorKind::InvalidArgument, rule).with("name", entry.name.escape_debug()))?;
        self.entries += 1;
        match &mut self.held {
            Held::Sharded(sorter) => sorter.push(&entry),
            Held::Plain(entries) => {
                self.measured += measure(&entry, self.geometry.directory_measure);
                entries.push(entry);
                if self.measured > self.geometry.directory_limit {
                    let entries = std::mem::take(entries);
                    let mut sorter = HashSorter::new(self.scratch.take());
                    entries.iter().try_for_each(|e| sorter.push(e))?;
                    self.held = Held::Sharded(sorter);
                }
                Ok(())
            }
        }
    }

    /// Makes the nodes, hands each to the sink once, and names the directory. AlreadyExists when a name was added
    /// twice; Unsupported when two names of a sharded directory have the same 64-bit hash, which no HAMT can hold.
    pub fn finish(self, sink: &mut Sink<'_>) -> Result<DirectoryRoot> {
        let (entries, bits) = (self.entries, self.geometry.shard_bits);
        match self.held {
            Held::Plain(list) => finish_plain(list, sink),
            Held::Sharded(sorter) => {
                let mut tree = TreeBuilder { bits, open: vec![ShardBuilder::default()], last: None, sink };
                sorter.finish(&mut |hash, entry| tree.push(Position { hash, bits }, entry))?;
                let (cid, tsize) = tree.finish()?;
                Ok(DirectoryRoot { cid, tsize, entries, sharded: true })
            }
        }
    }
}

/// The rule that a name breaks, if it breaks one.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("unixfs: an entry has an empty name"),
        "." | ".." => Err("unixfs: an entry is named '.' or '..'"),
        _ if name.contains(['/', '\0']) => Err("unixfs: an entry has '/' or NUL in its name"),
        _ => Ok(()),
    }
}

fn link_of(entry: Entry) -> Link {
    Link { cid: entry.cid, name: Some(entry.name), tsize: Some(entry.tsize) }
}

fn plain_node(links: Vec<Link>) -> Node {
    let data = Data { kind: Kind::Directory, ..Data::default() };
    Node { links, data: Some(data.encode().into()) }
}

fn measure(entry: &Entry, measure: DirectoryMeasure) -> usize {
    match measure {
        DirectoryMeasure::BlockBytes => Link::encoded_len_of(&entry.cid, Some(entry.name.len()), Some(entry.tsize)),
        DirectoryMeasure::LinkBytes => entry.name.len() + entry.cid.encoded_len(),
    }
}

fn finish_plain(mut list: Vec<Entry>, sink: &mut Sink<'_>) -> Result<DirectoryRoot> {
    list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = list.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(given_twice(&pair[0].name));
    }
    let entries = list.len() as u64;
    let below = list.iter().try_fold(0u64, |sum, e| sum.checked_add(e.tsize)).ok_or_else(directory_too_large)?;
    let block = Block::dag_pb(plain_node(list.into_iter().map(link_of).collect()).encode());
    let tsize = below.checked_add(block.bytes.len() as u64).ok_or_else(directory_too_large)?;
    let cid = block.cid;
    sink(block)?;
    Ok(DirectoryRoot { cid, tsize, entries, sharded: false })
}

fn given_twice(name: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, "unixfs: a name was given twice").with("name", name.escape_debug())
}

/// Makes shards from entries in hash order: an entry lies one level below what its hash shares with the entry before
/// or after it, so that one entry of foresight is enough.
struct TreeBuilder<'a, 'b> {
    bits: u32,
    /// `open[k]` is the shard at level k on the path to `last`.
    open: Vec<ShardBuilder>,
    /// The entry that waits to see the next one, and the levels that it shares with the one before.
    last: Option<(Position, Entry, u32)>,
    sink: &'a mut Sink<'b>,
}

impl TreeBuilder<'_, '_> {
    fn push(&mut self, position: Position, entry: Entry) -> Result<()> {
        let mut common = 0;
        if let Some((before, last, _)) = &self.last {
            common = before.common_levels(position);
            if position.slot(common).is_none() {
                return Err(if last.name == entry.name {
                    given_twice(&entry.name)
                } else {
                    Error::new(ErrorKind::Unsupported, "unixfs: two names of a sharded directory have one hash")
                        .with("one", last.name.escape_debug())
                        .with("other", entry.name.escape_debug())
                });
            }
            self.settle(common)?;
        }
        self.last = Some((position, entry, common));
        Ok(())
    }

    /// Places the waiting entry, which shares `common` levels with the next, and closes the shards that it ends.
    fn settle(&mut self, common: u32) -> Result<()> {
        let Some((position, entry, before)) = self.last.take() else { return Ok(()) };
        let level = before.max(common);
        while self.open.len() <= level as usize {
            self.open.push(ShardBuilder::default());
        }
        self.add(position, level, &entry.name, entry.cid, entry.tsize)?;
        while self.open.len() > common as usize + 1 {
            let (cid, tsize) = self.close()?;
            self.add(position, self.open.len() as u32 - 1, "", cid, tsize)?;
        }
        Ok(())
    }

    /// Adds a link to the open shard at `level`, in the slot of `position`.
    fn add(&mut self, position: Position, level: u32, name: &str, cid: Cid, tsize: u64) -> Result<()> {
        match (position.slot(level), self.open.get_mut(level as usize)) {
            (Some(slot), Some(shard)) => shard.add(slot, name, cid, tsize, self.bits),
            // `push` has refused what would lie below the last level.
            _ => Err(Error::new(ErrorKind::Internal, "unixfs: a shard below the last level")),
        }
    }

    fn close(&mut self) -> Result<(Cid, u64)> {
        let built = self.open.pop().unwrap_or_default().finish(self.bits)?;
        let cid = built.block.cid;
        (self.sink)(built.block)?;
        Ok((cid, built.tsize))
    }

    fn finish(mut self) -> Result<(Cid, u64)> {
        self.settle(0)?;
        self.close()
    }
}
