//! Reading directories: looking a name up and walking the entries, plain or sharded, whoever made them.

use cid::Cid;

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::block::DAG_PB;
use crate::unixfs::dagpb::{Link, Node};
use crate::unixfs::data::{Data, Kind};
use crate::unixfs::directory::{Entry, check_name};
use crate::unixfs::hamt::{Position, Shard, ShardLink};
use crate::unixfs::reader::BlockSource;

/// A directory, opened for reading by its root.
pub struct DirectoryReader<S> {
    source: S,
    data: Data,
    top: Top,
}

enum Top {
    Plain(Vec<Link>),
    Sharded(Shard),
}

impl<S: BlockSource> DirectoryReader<S> {
    /// Reads the root's block. NotADirectory for anything else, Corrupt for a damaged node, and what the source
    /// answers.
    pub fn open(source: S, root: &Cid) -> Result<Self> {
        if root.codec() != DAG_PB {
            return Err(not_a_directory().with("cid", root));
        }
        let (node, data) = read_node(&source, root)?;
        let top = match data.kind {
            Kind::Directory => Top::Plain(node.links),
            Kind::HamtShard => Top::Sharded(Shard::parse(node, &data).map_err(|e| e.with("cid", root))?),
            _ => return Err(not_a_directory().with("cid", root)),
        };
        Ok(Self { source, data, top })
    }

    /// It is a HAMT.
    pub fn is_sharded(&self) -> bool {
        matches!(self.top, Top::Sharded(_))
    }

    /// Permissions and time of change, where the root carries them.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The entry of this name. Reads one shard a level.
    pub fn lookup(&self, name: &str) -> Result<Option<Entry>> {
        match &self.top {
            // Not searched by halves: a foreign node's order is not sure.
            Top::Plain(links) => links.iter().find(|l| l.name.as_deref() == Some(name)).map(plain_entry).transpose(),
            Top::Sharded(root) => {
                let position = Position::of(name, root.bits);
                let mut below;
                let mut shard = root;
                for level in 0.. {
                    let Some(slot) = position.slot(level) else { break };
                    let Some(link) = shard.find(slot) else { return Ok(None) };
                    if !link.name.is_empty() {
                        let found = (link.name == name).then(|| entry(link.name.clone(), link.cid, link.tsize));
                        return found.transpose();
                    }
                    below = read_shard(&self.source, &link.cid, root.bits)?;
                    shard = &below;
                }
                Err(too_deep())
            }
        }
    }

    /// All entries: by name if the directory is plain and well made, by hash if it is sharded. Shards are read as the
    /// walk meets them; one path of them is held. After an error the walk is over.
    pub fn entries(&self) -> Entries<'_, S> {
        let walk = match &self.top {
            Top::Plain(links) => Walk::Plain(links.iter()),
            Top::Sharded(shard) => Walk::Sharded { bits: shard.bits, path: vec![Level::of(shard.links.clone())] },
        };
        Entries { source: &self.source, walk: Some(walk) }
    }
}

/// The walk of [`DirectoryReader::entries`].
pub struct Entries<'a, S> {
    source: &'a S,
    walk: Option<Walk<'a>>,
}

enum Walk<'a> {
    Plain(std::slice::Iter<'a, Link>),
    /// The shards from the root to the present one.
    Sharded {
        bits: u32,
        path: Vec<Level>,
    },
}

/// A shard on the walk's path.
struct Level {
    left: std::vec::IntoIter<ShardLink>,
    /// The slot that the walk is in.
    slot: u32,
}

impl Level {
    fn of(links: Vec<ShardLink>) -> Self {
        Self { left: links.into_iter(), slot: 0 }
    }
}

impl<S: BlockSource> Iterator for Entries<'_, S> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.walk.as_mut()? {
            Walk::Plain(links) => links.next().map(plain_entry),
            Walk::Sharded { bits, path } => next_sharded(self.source, *bits, path).transpose(),
        };
        if !matches!(item, Some(Ok(_))) {
            self.walk = None;
        }
        item
    }
}

fn next_sharded(source: &impl BlockSource, bits: u32, path: &mut Vec<Level>) -> Result<Option<Entry>> {
    while let Some(level) = path.last_mut() {
        let Some(link) = level.left.next() else {
            path.pop();
            continue;
        };
        level.slot = link.slot;
        if link.name.is_empty() {
            // The next level needs bits of the hash that are still there.
            if (path.len() as u32 + 1) * bits > u64::BITS {
                return Err(too_deep().with("cid", link.cid));
            }
            path.push(Level::of(read_shard(source, &link.cid, bits)?.links));
            continue;
        }
        // What a walk shows, a look-up must find.
        let position = Position::of(&link.name, bits);
        if !path.iter().zip(0..).all(|(level, depth)| position.slot(depth) == Some(level.slot)) {
            return Err(Error::corrupt("unixfs: an entry lies in a shard where its hash does not lead")
                .with("name", link.name.escape_debug()));
        }
        return entry(link.name, link.cid, link.tsize).map(Some);
    }
    Ok(None)
}

fn plain_entry(link: &Link) -> Result<Entry> {
    entry(link.name.clone().unwrap_or_default(), link.cid, link.tsize.unwrap_or(0))
}

/// An entry, unless its name is one that would lead a reader astray.
fn entry(name: String, cid: Cid, tsize: u64) -> Result<Entry> {
    match check_name(&name) {
        Ok(()) => Ok(Entry { name, cid, tsize }),
        Err(rule) => Err(Error::corrupt(rule).with("name", name.escape_debug())),
    }
}

fn read_shard(source: &impl BlockSource, cid: &Cid, bits: u32) -> Result<Shard> {
    let named = |e: Error| e.with("cid", cid);
    let (node, data) = read_node(source, cid)?;
    if data.kind != Kind::HamtShard {
        return Err(named(Error::corrupt("unixfs: a shard links to something else")));
    }
    let shard = Shard::parse(node, &data).map_err(named)?;
    // Nobody writes them, and few of them could make a walk endless.
    if shard.links.is_empty() {
        return Err(named(Error::corrupt("unixfs: an empty shard below the root")));
    }
    if shard.bits != bits {
        return Err(named(Error::corrupt("unixfs: shards of one directory differ in fanout")));
    }
    Ok(shard)
}

fn read_node(source: &impl BlockSource, cid: &Cid) -> Result<(Node, Data)> {
    let parse = |block| {
        let node = Node::parse(&block)?;
        let data = node.data.as_ref().ok_or_else(|| Error::corrupt("unixfs: node without data"))?;
        let data = Data::parse(data)?;
        Ok((node, data))
    };
    parse(source.block(cid)?).map_err(|e: Error| e.with("cid", cid))
}

fn not_a_directory() -> Error {
    Error::new(ErrorKind::NotADirectory, "unixfs: not a directory")
}

fn too_deep() -> Error {
    Error::corrupt("unixfs: sharded directory deeper than its hash")
}
