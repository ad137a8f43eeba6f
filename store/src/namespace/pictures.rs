//! The nodes of directories whose CIDs were computed last, kept in memory for who fetches them: a directory's DAG is a
//! picture of one moment, made anew when asked for, and not stored. A bound on their bytes and number makes the oldest go.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::types::Id;
use crate::unixfs::{Block, digest_of};

/// Bytes of all nodes, and of one directory's.
const MOST_BYTES: usize = 64 << 20;
/// Directories.
const MOST: usize = 256;

/// Nodes of one directory in the making. Past [`MOST_BYTES`] it holds nothing.
#[derive(Default)]
pub(super) struct Nodes {
    blocks: HashMap<[u8; 32], Bytes>,
    bytes: usize,
}

impl Nodes {
    /// Takes a node.
    pub(super) fn add(&mut self, block: &Block) {
        let Ok(digest) = digest_of(&block.cid) else { return };
        self.bytes = self.bytes.saturating_add(block.bytes.len());
        if self.bytes <= MOST_BYTES {
            self.blocks.insert(digest, block.bytes.clone());
        } else {
            self.blocks = HashMap::new();
        }
    }
}

struct Picture {
    bucket: Id,
    nodes: Nodes,
}

/// The pictures, the oldest first.
#[derive(Default)]
pub(super) struct Pictures(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    pictures: VecDeque<Picture>,
    bytes: usize,
}

impl Pictures {
    /// Keeps a directory's nodes, the oldest others no longer.
    pub(super) fn keep(&self, bucket: Id, nodes: Nodes) {
        if nodes.blocks.is_empty() {
            return;
        }
        let mut shelf = self.0.lock();
        shelf.bytes += nodes.bytes;
        shelf.pictures.push_back(Picture { bucket, nodes });
        while shelf.bytes > MOST_BYTES || shelf.pictures.len() > MOST {
            let Some(oldest) = shelf.pictures.pop_front() else { break };
            shelf.bytes -= oldest.nodes.bytes;
        }
    }

    /// A node, and the buckets of the directories that have it.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<(Bytes, Vec<Id>)> {
        let shelf = self.0.lock();
        let found = shelf.pictures.iter().filter_map(|p| Some((p.nodes.blocks.get(digest)?, p.bucket)));
        let (bytes, buckets): (Vec<&Bytes>, Vec<Id>) = found.unzip();
        Some((bytes.first().map(|bytes| Bytes::clone(bytes))?, buckets))
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, MOST_BYTES, Nodes, Pictures};
    use crate::types::Id;
    use crate::unixfs::{Block, digest_of};

    fn nodes(blocks: &[Block]) -> Nodes {
        let mut nodes = Nodes::default();
        blocks.iter().for_each(|block| nodes.add(block));
        nodes
    }

    #[test]
    fn the_oldest_go_and_what_is_too_large_is_not_kept() {
        let pictures = Pictures::default();
        let block = |n: u32| Block::raw(n.to_be_bytes().to_vec());
        let find = |n: u32| pictures.find(&digest_of(&block(n).cid).unwrap());
        for n in 0..=MOST as u32 {
            pictures.keep(Id::random(), nodes(&[block(n)]));
        }
        assert!(find(0).is_none() && find(1).is_some());
        let (one, two) = (Id::random(), Id::random());
        pictures.keep(one, nodes(&[block(7000)]));
        pictures.keep(two, nodes(&[block(7000), block(7001)]));
        assert_eq!(find(7000).unwrap().1, [one, two]);

        let half = Block::raw(vec![1; MOST_BYTES / 2 + 1]);
        pictures.keep(one, nodes(std::slice::from_ref(&half)));
        assert!(find(7000).is_some());
        pictures.keep(one, nodes(&[half.clone(), Block::raw(vec![2; MOST_BYTES / 2])]));
        assert!(find(7000).is_some(), "too large to be kept at all");
        pictures.keep(one, nodes(&[Block::raw(vec![3; MOST_BYTES / 2])]));
        assert!(find(7000).is_none() && pictures.find(&digest_of(&half.cid).unwrap()).is_none());
    }
}
