//! One shard of a sharded directory: what its block says, and which slot a name has in it.
//!
//! A name's hash is taken apart from its most significant bit, `bits` a level. A shard's slots are numbered by that;
//! a link's name begins with its slot in upper-case hex, and goes on with the entry's name if it is one, or stops if
//! the slot is a shard of the next level.

use bytes::Bytes;
use cid::Cid;

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::block::Block;
use crate::unixfs::dagpb::{Link, Node};
use crate::unixfs::data::{Data, Kind};
use crate::unixfs::murmur3::murmur3_x64_64;

/// Multihash code of the hash function that all shards use.
const MURMUR3_X64_64: u64 = 0x22;

/// A place in the directory: the hash of a name, read `bits` at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub hash: u64,
    pub bits: u32,
}

impl Position {
    pub fn of(name: &str, bits: u32) -> Self {
        Self { hash: murmur3_x64_64(name.as_bytes()), bits }
    }

    /// The slot at this level; None below the last, where the hash has no bits left.
    pub fn slot(self, level: u32) -> Option<u32> {
        let end = (level + 1) * self.bits;
        (end <= u64::BITS).then(|| (self.hash >> (u64::BITS - end)) as u32 & ((1 << self.bits) - 1))
    }

    /// How many levels from the root both share.
    pub fn common_levels(self, other: Self) -> u32 {
        (self.hash ^ other.hash).leading_zeros() / self.bits
    }
}

/// Letters that a slot's number takes in a link's name.
fn prefix_len(bits: u32) -> usize {
    bits.div_ceil(4) as usize
}

/// A shard in the making: links in the order of their slots.
#[derive(Default)]
pub(super) struct ShardBuilder {
    links: Vec<Link>,
    bitfield: Vec<u8>,
    below: u64,
}

/// A finished shard.
pub(super) struct BuiltShard {
    pub block: Block,
    /// The shard's block and everything below it.
    pub tsize: u64,
}

impl ShardBuilder {
    /// Fills the slot with an entry (`name` not empty) or with a shard of the next level (`name` empty). Slots come
    /// in ascending order.
    pub fn add(&mut self, slot: u32, name: &str, cid: Cid, tsize: u64, bits: u32) -> Result<()> {
        if self.bitfield.is_empty() {
            self.bitfield = vec![0; (1usize << bits) / 8];
        }
        let last = self.bitfield.len() - 1;
        self.bitfield[last - slot as usize / 8] |= 1 << (slot % 8);
        self.below = self.below.checked_add(tsize).ok_or_else(directory_too_large)?;
        let name = format!("{slot:0width$X}{name}", width = prefix_len(bits));
        self.links.push(Link { cid, name: Some(name), tsize: Some(tsize) });
        Ok(())
    }

    /// The shard's block.
    pub fn finish(self, bits: u32) -> Result<BuiltShard> {
        let first = self.bitfield.iter().position(|&b| b != 0).unwrap_or(self.bitfield.len());
        let data = Data {
            kind: Kind::HamtShard,
            data: Some(Bytes::copy_from_slice(&self.bitfield[first..])),
            hash_type: Some(MURMUR3_X64_64),
            fanout: Some(1 << bits),
            ..Data::default()
        };
        let block = Block::dag_pb(Node { links: self.links, data: Some(data.encode().into()) }.encode());
        let tsize = self.below.checked_add(block.bytes.len() as u64).ok_or_else(directory_too_large)?;
        Ok(BuiltShard { block, tsize })
    }
}

pub(super) fn directory_too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "directory's DAG over 2^64 bytes")
}

/// A shard that was read and checked.
pub(super) struct Shard {
    /// log2 of the fanout.
    pub bits: u32,
    /// Links by ascending slot.
    pub links: Vec<ShardLink>,
}

/// A link of a shard.
#[derive(Clone)]
pub(super) struct ShardLink {
    pub slot: u32,
    /// The entry's name, empty for a shard of the next level.
    pub name: String,
    pub cid: Cid,
    pub tsize: u64,
}

impl Shard {
    /// Checks a node with UnixFS data of a shard. Unsupported for another hash function, Corrupt where fanout,
    /// bitfield and links do not agree.
    pub fn parse(node: Node, data: &Data) -> Result<Self> {
        if data.hash_type != Some(MURMUR3_X64_64) {
            return Err(Error::new(ErrorKind::Unsupported, "unixfs: directory sharded by an unknown hash function"));
        }
        let bits = match data.fanout {
            // The bounds that Kubo keeps.
            Some(fanout @ 8..=1024) if fanout.is_power_of_two() => fanout.trailing_zeros(),
            _ => return Err(Error::corrupt("unixfs: shard's fanout is not a power of two in 8 to 1024")),
        };
        let bitfield = data.data.as_deref().unwrap_or_default();
        if bitfield.len() > (1 << bits) / 8 {
            return Err(Error::corrupt("unixfs: shard's bitfield is longer than its fanout"));
        }
        let slots = bitfield
            .iter()
            .rev()
            .zip(0u32..)
            .flat_map(|(&byte, i)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| 8 * i + bit));
        let ones: u32 = bitfield.iter().map(|b| b.count_ones()).sum();
        if ones as usize != node.links.len() {
            return Err(Error::corrupt("unixfs: shard's bitfield and links differ in number"));
        }
        let links = node.links.into_iter().zip(slots).map(|(link, slot)| parse_link(link, slot, bits));
        Ok(Self { bits, links: links.collect::<Result<_>>()? })
    }

    /// The link in this slot.
    pub fn find(&self, slot: u32) -> Option<&ShardLink> {
        self.links.binary_search_by_key(&slot, |l| l.slot).ok().map(|i| &self.links[i])
    }
}

fn parse_link(link: Link, slot: u32, bits: u32) -> Result<ShardLink> {
    let mut name = link.name.unwrap_or_default();
    let len = prefix_len(bits);
    let bad = || Error::corrupt("unixfs: a shard's link does not begin with its slot").with("slot", slot);
    let prefix = name.get(..len).ok_or_else(bad)?;
    if prefix != format!("{slot:0len$X}") {
        return Err(bad());
    }
    name.drain(..len);
    Ok(ShardLink { slot, name, cid: link.cid, tsize: link.tsize.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_from_the_top_bits() {
        let at = |hash, bits| Position { hash, bits };
        let eight = at(0x0123_4567_89ab_cdef, 8);
        assert_eq!(
            (eight.slot(0), eight.slot(1), eight.slot(7), eight.slot(8)),
            (Some(1), Some(0x23), Some(0xef), None)
        );
        // Levels need not end at bytes: 5 bits give 12 levels and 4 bits left over.
        let five = at(0b10000_01111_11111 << 49, 5);
        assert_eq!(
            (five.slot(0), five.slot(1), five.slot(2), five.slot(11), five.slot(12)),
            (Some(16), Some(15), Some(31), Some(0), None)
        );
        assert_eq!(eight.common_levels(at(0x0123_4500_0000_0000, 8)), 3);
        assert_eq!(eight.common_levels(eight), 8);
    }

    fn shard(slots: &[u32], bits: u32) -> (Node, Data) {
        let cid = crate::unixfs::raw_cid(b"x");
        let mut builder = ShardBuilder::default();
        for &slot in slots {
            builder.add(slot, "name", cid, 1, bits).unwrap();
        }
        let block = builder.finish(bits).unwrap().block;
        let node = Node::parse(&block.bytes).unwrap();
        let data = Data::parse(node.data.as_ref().unwrap()).unwrap();
        (node, data)
    }

    #[test]
    fn shards_go_there_and_back() {
        for (slots, bits) in [(&[0, 1, 7, 8, 255][..], 8), (&[9], 8), (&[0, 1023], 10), (&[3], 3)] {
            let (node, data) = shard(slots, bits);
            let shard = Shard::parse(node, &data).unwrap();
            assert_eq!(shard.bits, bits);
            assert_eq!(shard.links.iter().map(|l| l.slot).collect::<Vec<_>>(), slots);
            assert!(shard.links.iter().all(|l| l.name == "name"));
            assert!(slots.iter().all(|&s| shard.find(s).is_some()));
            assert!(shard.find(2).is_none());
        }
        // Leading zero bytes of the bitfield are not written.
        assert_eq!(shard(&[9], 8).1.data.unwrap().len(), 2);
    }

    #[test]
    fn shards_that_contradict_themselves_are_refused() {
        type Spoil = fn(&mut Node, &mut Data);
        let spoils: [(Spoil, ErrorKind); 9] = [
            (|_, d| d.hash_type = Some(0x12), ErrorKind::Unsupported),
            (|_, d| d.fanout = None, ErrorKind::Corrupt),
            (|_, d| d.fanout = Some(200), ErrorKind::Corrupt),
            (|_, d| d.fanout = Some(1 << 40), ErrorKind::Corrupt),
            (|_, d| d.data = Some(vec![0; 33].into()), ErrorKind::Corrupt),
            (|_, d| d.data = None, ErrorKind::Corrupt),
            (|n, _| drop(n.links.pop()), ErrorKind::Corrupt),
            (|n, _| n.links[0].name = Some("02name".into()), ErrorKind::Corrupt),
            (|n, _| n.links[0].name = Some("\u{20ac}".into()), ErrorKind::Corrupt),
        ];
        for (i, (spoil, kind)) in spoils.into_iter().enumerate() {
            let (mut node, mut data) = shard(&[1, 200], 8);
            spoil(&mut node, &mut data);
            let error = Shard::parse(node, &data).err().unwrap_or_else(|| panic!("case {i}"));
            assert_eq!(error.kind(), kind, "case {i}: {error}");
        }
    }
}
