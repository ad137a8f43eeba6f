//! Sidecars: which leaves an object has and the dag-pb nodes above them. Written as a stream while the object is
//! hashed, read at random: neither needs memory in proportion to the object.
//!
//! ```text
//! header   "PFINDEX1" kind:u8 0 0 0 chunk_size:u32 file:u64 base:u64 upload:16 crc32c:u32   52 bytes
//! record   "L" count:u32 count × digest:32 crc32c:u32          leaves
//!          "Z" count:u64 crc32c:u32                            so many whole chunks of zeros
//!          "N" codec:u8 digest:32 length:u32 bytes crc32c:u32  a node
//! footer   "F" codec:u8 root:32 size:u64 leaves:u64 sections:u32
//!          sections × { tag:u8 first leaf:u64 count:u64 offset:u64 } crc32c:u32
//! trailer  footer offset:u64 "PFINDEND"                                                  16 bytes
//! ```
//! Numbers are little-endian; each checksum covers what is before it in its record. Sections list the `L` and `Z`
//! records; a section's offset is that of its tag.

// over 500 lines because the writer and the reader of one file format belong beside each other.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::chunk::index::{Kind, Slice};
use crate::chunk::pins::Digest32;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Cid, Id, MAX_OBJECT_SIZE};
use crate::unixfs::{self, Block, Root, cid_of_digest};

const MAGIC: &[u8; 8] = b"PFINDEX1";
const END: &[u8; 8] = b"PFINDEND";
const HEADER: usize = 52;
const TRAILER: usize = 16;
const FOOTER_FIXED: usize = 1 + 1 + 32 + 8 + 8 + 4;
const SECTION: usize = 25;
/// Bytes of an `N` record before the node.
const NODE_HEADER: usize = 38;
/// Leaves in one section.
const SECTION_LEAVES: usize = 8192;
/// Shorter runs of zero chunks are listed as leaves, which bounds the number of sections.
const MIN_ZERO_RUN: u64 = 64;
/// Bytes collected before a write.
const WRITE_BUFFER: usize = 256 << 10;
/// More sections than 5 TiB of the smallest chunks can have make no sidecar.
const MAX_SECTIONS: usize = 1 << 20;

/// Writes a sidecar, in the order of the object's leaves.
pub(super) struct SidecarWriter {
    file: File,
    at: u64,
    buffer: Vec<u8>,
    digests: Vec<u8>,
    zero: Digest32,
    /// Whole zero chunks seen after `digests`.
    zeros: u64,
    leaves: u64,
    sections: Vec<Section>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Section {
    zeros: bool,
    first: u64,
    count: u64,
    offset: u64,
}

impl SidecarWriter {
    /// Begins a sidecar in the empty `file`; `zero` is the digest of a whole chunk of zeros.
    pub(super) fn new(file: File, kind: Kind, chunk_size: u32, zero: Digest32) -> Self {
        let buffer = header(kind, chunk_size, None);
        Self { file, at: 0, buffer, digests: Vec::new(), zero, zeros: 0, leaves: 0, sections: Vec::new() }
    }

    /// The next leaf. One with the digest of a whole chunk of zeros is taken as such.
    pub(super) fn leaf(&mut self, digest: &Digest32) -> Result<()> {
        if *digest == self.zero {
            return self.zero_leaves(1);
        }
        self.settle_zeros()?;
        self.digests.extend_from_slice(digest);
        self.leaves += 1;
        if self.digests.len() >= SECTION_LEAVES * 32 { self.write_digests() } else { Ok(()) }
    }

    /// The next `count` leaves are whole chunks of zeros.
    pub(super) fn zero_leaves(&mut self, count: u64) -> Result<()> {
        self.zeros += count;
        self.leaves += count;
        Ok(())
    }

    /// A node of the DAG.
    pub(super) fn node(&mut self, block: &Block) -> Result<()> {
        let codec = u8::try_from(block.cid.codec()).map_err(|_| internal("a node's codec does not fit a sidecar"))?;
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(&[b'N', codec]);
        self.buffer.extend_from_slice(&unixfs::digest_of(&block.cid)?);
        self.buffer.extend_from_slice(&(block.bytes.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&block.bytes);
        self.seal(begin)
    }

    /// Leaves so far.
    pub(super) fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Ends the sidecar. The file is not synced.
    pub(super) fn finish(mut self, root: &Root) -> Result<File> {
        if root.leaves != self.leaves {
            return Err(internal("a sidecar has other leaves than its root"));
        }
        self.settle_zeros()?;
        self.write_digests()?;
        let offset = self.at + self.buffer.len() as u64;
        let begin = self.buffer.len();
        let codec = u8::try_from(root.cid.codec()).map_err(|_| internal("a root's codec does not fit a sidecar"))?;
        self.buffer.extend_from_slice(&[b'F', codec]);
        self.buffer.extend_from_slice(&unixfs::digest_of(&root.cid)?);
        self.buffer.extend_from_slice(&root.size.to_le_bytes());
        self.buffer.extend_from_slice(&root.leaves.to_le_bytes());
        self.buffer.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        for section in &self.sections {
            self.buffer.push(if section.zeros { b'Z' } else { b'L' });
            for number in [section.first, section.count, section.offset] {
                self.buffer.extend_from_slice(&number.to_le_bytes());
            }
        }
        let crc = crc32c::crc32c(&self.buffer[begin..]);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        self.buffer.extend_from_slice(&offset.to_le_bytes());
        self.buffer.extend_from_slice(END);
        self.flush()?;
        Ok(self.file)
    }

    /// Writes pending zeros down: a long run as a section of its own.
    fn settle_zeros(&mut self) -> Result<()> {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros >= MIN_ZERO_RUN {
            self.write_digests_before(zeros)?;
            let offset = self.at + self.buffer.len() as u64;
            self.sections.push(Section { zeros: true, first: self.leaves - zeros, count: zeros, offset });
            let begin = self.buffer.len();
            self.buffer.push(b'Z');
            self.buffer.extend_from_slice(&zeros.to_le_bytes());
            return self.seal(begin);
        }
        for left in (0..zeros).rev() {
            self.digests.extend_from_slice(&self.zero);
            if self.digests.len() >= SECTION_LEAVES * 32 {
                self.write_digests_before(left)?;
            }
        }
        Ok(())
    }

    fn write_digests(&mut self) -> Result<()> {
        self.write_digests_before(0)
    }

    /// Writes the collected digests, which are followed by `after` leaves already counted.
    fn write_digests_before(&mut self, after: u64) -> Result<()> {
        if self.digests.is_empty() {
            return Ok(());
        }
        let count = (self.digests.len() / 32) as u64;
        let offset = self.at + self.buffer.len() as u64;
        self.sections.push(Section { zeros: false, first: self.leaves - after - count, count, offset });
        let begin = self.buffer.len();
        self.buffer.push(b'L');
        self.buffer.extend_from_slice(&(count as u32).to_le_bytes());
        self.buffer.append(&mut self.digests);
        self.seal(begin)
    }

    /// Puts the checksum behind the record that begins at `begin`.
    fn seal(&mut self, begin: usize) -> Result<()> {
        let crc = crc32c::crc32c(&self.buffer[begin..]);
        self.buffer.extend_from_slice(&crc.to_le_bytes());
        if self.buffer.len() >= WRITE_BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.at).at("writing a sidecar")?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn header(kind: Kind, chunk_size: u32, slice: Option<Slice>) -> Vec<u8> {
    let slice = slice.unwrap_or(Slice { file: 0, base: 0, upload: Id::default() });
    let mut header = Vec::with_capacity(4096);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[kind_code(kind), 0, 0, 0]);
    header.extend_from_slice(&chunk_size.to_le_bytes());
    header.extend_from_slice(&slice.file.to_le_bytes());
    header.extend_from_slice(&slice.base.to_le_bytes());
    header.extend_from_slice(slice.upload.as_bytes());
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header
}

/// Changes what kind of object a sidecar that is not yet part of the store describes.
pub(super) fn write_kind(file: &File, kind: Kind, chunk_size: u32, slice: Option<Slice>) -> Result<()> {
    file.write_all_at(&header(kind, chunk_size, slice), 0).at("writing a sidecar")
}

/// A leaf of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LeafInfo {
    /// Position among the leaves.
    pub(super) number: u64,
    pub(super) digest: Digest32,
    /// Position in the object.
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// A run of an object's leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Run {
    Leaf(LeafInfo),
    /// So many whole chunks of zeros from this position in the object.
    Zeros {
        offset: u64,
        count: u64,
    },
}

/// A node's name and where it lies in the sidecar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodeInfo {
    pub(super) cid: Cid,
    pub(super) digest: Digest32,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// An open sidecar: the list of sections is in memory, the rest is read as needed.
pub(super) struct Sidecar {
    file: File,
    pub(super) kind: Kind,
    pub(super) slice: Option<Slice>,
    pub(super) chunk_size: u32,
    pub(super) root: Root,
    pub(super) disk: u64,
    zero: Digest32,
    sections: Vec<Section>,
    records_end: u64,
}

impl Sidecar {
    /// Opens a finished sidecar; Corrupt names what is wrong with it.
    pub(super) fn open(file: File, zero_of: &dyn Fn(u32) -> Digest32) -> Result<Self> {
        let len = file.metadata().at("looking at a sidecar")?.len();
        if len < (HEADER + TRAILER) as u64 {
            return Err(corrupt("too short"));
        }
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).at("reading a sidecar")?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, len - TRAILER as u64).at("reading a sidecar")?;
        if &header[..8] != MAGIC || &trailer[8..] != END || !ends_with_crc(&header) {
            return Err(corrupt("not a finished sidecar"));
        }
        let kind = match header[8] {
            0 => Kind::Whole,
            1 => Kind::Scattered,
            2 => Kind::Slice,
            _ => return Err(corrupt("unknown kind of object")),
        };
        let chunk_size = le32(&header[12..]);
        let upload = Id(header[32..48].try_into().map_err(|_| corrupt("damaged header"))?);
        let slice = Slice { file: le64(&header[16..]), base: le64(&header[24..]), upload };
        let footer_at = le64(&trailer);
        let footer_len = (len - TRAILER as u64).saturating_sub(footer_at);
        let most = (FOOTER_FIXED + MAX_SECTIONS * SECTION + 4) as u64;
        if footer_at < HEADER as u64 || footer_len < (FOOTER_FIXED + 4) as u64 || footer_len > most || chunk_size == 0 {
            return Err(corrupt("no footer where the trailer says"));
        }
        let mut footer = vec![0; footer_len as usize];
        file.read_exact_at(&mut footer, footer_at).at("reading a sidecar")?;
        if footer[0] != b'F' || !ends_with_crc(&footer) {
            return Err(corrupt("damaged footer"));
        }
        let digest = Digest32::try_from(&footer[2..34]).map_err(|_| corrupt("damaged footer"))?;
        let (size, leaves) = (le64(&footer[34..]), le64(&footer[42..]));
        if le32(&footer[50..]) as usize * SECTION + FOOTER_FIXED + 4 != footer.len() {
            return Err(corrupt("another number of sections than stated"));
        }
        let table = &footer[FOOTER_FIXED..footer.len() - 4];
        let sections = read_sections(table, leaves, footer_at)?;
        if size > MAX_OBJECT_SIZE || size.div_ceil(u64::from(chunk_size)) != leaves {
            return Err(corrupt("size and number of leaves differ"));
        }
        let cid = cid_of_digest(u64::from(footer[1]), digest);
        let slice = (kind == Kind::Slice).then_some(slice);
        let root = Root { cid, size, leaves, tsize: 0 };
        Ok(Self {
            file,
            kind,
            slice,
            chunk_size,
            root,
            disk: len,
            zero: zero_of(chunk_size),
            sections,
            records_end: footer_at,
        })
    }

    /// The leaf at this position; `None` beyond the end.
    pub(super) fn leaf(&self, number: u64) -> Result<Option<LeafInfo>> {
        if number >= self.root.leaves {
            return Ok(None);
        }
        let at = self.sections.partition_point(|s| s.first + s.count <= number);
        let section = self.sections.get(at).ok_or_else(|| corrupt("a leaf is in no section"))?;
        let mut digest = self.zero;
        if !section.zeros {
            self.file
                .read_exact_at(&mut digest, section.offset + 5 + (number - section.first) * 32)
                .at("reading a sidecar")?;
        }
        Ok(Some(self.info(number, digest)))
    }

    /// Whether the leaf is a whole chunk of zeros.
    pub(super) fn is_zero(&self, leaf: &LeafInfo) -> bool {
        leaf.digest == self.zero
    }

    fn info(&self, number: u64, digest: Digest32) -> LeafInfo {
        let offset = number * u64::from(self.chunk_size);
        let size = (self.root.size - offset).min(u64::from(self.chunk_size)) as u32;
        LeafInfo { number, digest, offset, size }
    }

    /// All leaves in order, long runs of zeros together.
    pub(super) fn for_each_leaf(&self, sink: &mut dyn FnMut(Run) -> Result<()>) -> Result<()> {
        for section in &self.sections {
            if section.zeros {
                sink(Run::Zeros { offset: section.first * u64::from(self.chunk_size), count: section.count })?;
                continue;
            }
            let mut record = vec![0; 5 + section.count as usize * 32 + 4];
            self.file.read_exact_at(&mut record, section.offset).at("reading a sidecar")?;
            if record[0] != b'L' || u64::from(le32(&record[1..])) != section.count || !ends_with_crc(&record) {
                return Err(corrupt("damaged list of leaves"));
            }
            for (k, digest) in record[5..record.len() - 4].chunks_exact(32).enumerate() {
                let digest = Digest32::try_from(digest).map_err(|_| corrupt("damaged list of leaves"))?;
                let leaf = self.info(section.first + k as u64, digest);
                if digest == self.zero {
                    sink(Run::Zeros { offset: leaf.offset, count: 1 })?;
                } else {
                    sink(Run::Leaf(leaf))?;
                }
            }
        }
        Ok(())
    }

    /// All nodes, in the order in which they were made: children before parents.
    pub(super) fn for_each_node(&self, sink: &mut dyn FnMut(NodeInfo) -> Result<()>) -> Result<()> {
        let mut at = HEADER as u64;
        let mut head = [0; NODE_HEADER];
        while at < self.records_end {
            let have = (self.records_end - at).min(NODE_HEADER as u64) as usize;
            self.file.read_exact_at(&mut head[..have], at).at("reading a sidecar")?;
            let len = match head[0] {
                b'L' if have >= 5 => 5 + u64::from(le32(&head[1..])) * 32,
                b'Z' => 9,
                b'N' if have == NODE_HEADER => {
                    let len = le32(&head[34..]);
                    let digest = Digest32::try_from(&head[2..34]).map_err(|_| corrupt("damaged node"))?;
                    let cid = cid_of_digest(u64::from(head[1]), digest);
                    sink(NodeInfo { cid, digest, offset: at + NODE_HEADER as u64, len })?;
                    NODE_HEADER as u64 + u64::from(len)
                }
                _ => return Err(corrupt("unknown record")),
            };
            at += len + 4;
        }
        if at == self.records_end { Ok(()) } else { Err(corrupt("a record runs over the end")) }
    }

    /// Bytes within the sidecar, unchecked: a node by its place.
    pub(super) fn bytes(&self, offset: u64, len: u32) -> Result<Bytes> {
        if offset.saturating_add(u64::from(len)) > self.disk {
            return Err(corrupt("a node lies beyond the end"));
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, offset).at("reading a sidecar")?;
        Ok(bytes.into())
    }
}

fn read_sections(table: &[u8], leaves: u64, end: u64) -> Result<Vec<Section>> {
    let mut next = 0u64;
    let mut sections = Vec::with_capacity(table.len() / SECTION);
    for entry in table.chunks_exact(SECTION) {
        let section = Section {
            zeros: match entry[0] {
                b'Z' => true,
                b'L' => false,
                _ => return Err(corrupt("unknown section")),
            },
            first: le64(&entry[1..]),
            count: le64(&entry[9..]),
            offset: le64(&entry[17..]),
        };
        let in_file = section.zeros
            || section.count <= SECTION_LEAVES as u64 && section.offset.saturating_add(section.count * 32 + 9) <= end;
        next = match next.checked_add(section.count) {
            Some(n) if section.first == next && section.count > 0 && in_file => n,
            _ => return Err(corrupt("sections out of order")),
        };
        sections.push(section);
    }
    if next == leaves { Ok(sections) } else { Err(corrupt("sections do not cover the leaves")) }
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Whole => 0,
        Kind::Scattered => 1,
        Kind::Slice => 2,
    }
}

fn ends_with_crc(bytes: &[u8]) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(data, crc)| crc32c::crc32c(data) == u32::from_le_bytes(*crc))
}

/// The first 4 bytes as a number; the caller has checked that they are there.
fn le32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

fn le64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

fn corrupt(what: &'static str) -> Error {
    Error::corrupt("a sidecar cannot be read").with("reason", what)
}

fn internal(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unixfs::{DagBuilder, Leaf, Profile, digest_of};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    fn zero_of(chunk: u32) -> Digest32 {
        digest_of(&crate::unixfs::raw_cid(&vec![0; chunk as usize])).unwrap()
    }

    /// Leaves by number: `None` is a whole chunk of zeros.
    fn build(leaves: &[Option<u64>], tail: u64) -> (File, Root, Vec<Block>) {
        let profile = Profile::KuboClassicV1;
        let chunk = profile.chunk_size() as u64;
        let zero = zero_of(chunk as u32);
        let mut writer = SidecarWriter::new(tempfile::tempfile().unwrap(), Kind::Whole, chunk as u32, zero);
        let mut dag = DagBuilder::new(profile);
        let mut nodes = Vec::new();
        for (k, leaf) in leaves.iter().enumerate() {
            let last = k + 1 == leaves.len();
            let mut sink = |b: Block| {
                nodes.push(b);
                Ok(())
            };
            match leaf {
                None => {
                    writer.zero_leaves(1).unwrap();
                    dag.push_zeros(1, &mut sink).unwrap();
                }
                Some(n) => {
                    let cid = crate::unixfs::raw_cid(&n.to_be_bytes());
                    writer.leaf(&digest_of(&cid).unwrap()).unwrap();
                    dag.push(Leaf { cid, size: if last { tail } else { chunk } }, &mut sink).unwrap();
                }
            }
            std::mem::take(&mut nodes).iter().for_each(|n| writer.node(n).unwrap());
        }
        let root = dag
            .finish(&mut |b| {
                nodes.push(b);
                Ok(())
            })
            .unwrap();
        nodes.iter().for_each(|n| writer.node(n).unwrap());
        (writer.finish(&root).unwrap(), root, nodes)
    }

    fn expand(sidecar: &Sidecar) -> Vec<(u64, Digest32, u32)> {
        let mut out = Vec::new();
        let chunk = u64::from(sidecar.chunk_size);
        sidecar
            .for_each_leaf(&mut |run| {
                match run {
                    Run::Leaf(l) => out.push((l.offset, l.digest, l.size)),
                    Run::Zeros { offset, count } => {
                        (0..count).for_each(|k| out.push((offset + k * chunk, sidecar.zero, chunk as u32)));
                    }
                }
                Ok(())
            })
            .unwrap();
        out
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn leaves_and_nodes_come_back(
            runs in prop::collection::vec((any::<bool>(), 1..300usize), 1..12),
            tail in 1..=262_144u64,
        ) {
            let mut leaves = Vec::new();
            for (zero, count) in runs {
                for _ in 0..count {
                    leaves.push((!zero).then_some(leaves.len() as u64));
                }
            }
            let (file, root, _) = build(&leaves, tail);
            let sidecar = Sidecar::open(file, &zero_of).unwrap();
            prop_assert_eq!((sidecar.root.cid, sidecar.root.size, sidecar.root.leaves), (root.cid, root.size, root.leaves));
            let all = expand(&sidecar);
            prop_assert_eq!(all.len(), leaves.len());
            for (k, leaf) in leaves.iter().enumerate() {
                let digest = leaf.map_or(sidecar.zero, |n| digest_of(&crate::unixfs::raw_cid(&n.to_be_bytes())).unwrap());
                let one = sidecar.leaf(k as u64).unwrap().unwrap();
                prop_assert_eq!((one.offset, one.digest, one.size), all[k]);
                prop_assert_eq!(one.digest, digest);
            }
            prop_assert_eq!(sidecar.leaf(leaves.len() as u64).unwrap(), None);
            let mut last = None;
            sidecar.for_each_node(&mut |node| {
                let bytes = sidecar.bytes(node.offset, node.len).unwrap();
                crate::unixfs::verify(&node.cid, &bytes).unwrap();
                last = Some(node.cid);
                Ok(())
            }).unwrap();
            if leaves.len() > 1 {
                prop_assert_eq!(last, Some(root.cid));
            }
        }

        #[test]
        fn damaged_sidecars_are_refused_or_read_without_a_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            garbage in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let leaves: Vec<_> = (0..200).map(|k| (!(20..120).contains(&k)).then_some(k)).collect();
            let (file, _, _) = build(&leaves, 5);
            let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            let mut cases = vec![garbage, bytes[..cut.index(bytes.len())].to_vec()];
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= value;
            }
            cases.push(bytes);
            for case in cases {
                let file = tempfile::tempfile().unwrap();
                file.write_all_at(&case, 0).unwrap();
                let Ok(sidecar) = Sidecar::open(file, &zero_of) else { continue };
                let _ = sidecar.for_each_leaf(&mut |_| Ok(()));
                let _ = sidecar.for_each_node(&mut |n| sidecar.bytes(n.offset, n.len).map(|_| ()));
                (0..sidecar.root.leaves.min(300)).for_each(|k| drop(sidecar.leaf(k)));
            }
        }
    }

    #[test]
    fn ruling19_five_tebibytes_of_zeros_are_a_small_file() {
        let profile = Profile::V1_2025;
        let leaves = 5u64 << 20;
        let mut writer = SidecarWriter::new(tempfile::tempfile().unwrap(), Kind::Whole, 1 << 20, zero_of(1 << 20));
        let mut dag = DagBuilder::new(profile);
        writer.zero_leaves(leaves).unwrap();
        dag.push_zeros(leaves, &mut |b| writer.node(&b)).unwrap();
        let root = dag.finish(&mut |b| writer.node(&b)).unwrap();
        let file = writer.finish(&root).unwrap();
        assert!(file.metadata().unwrap().len() < 1 << 20);
        let sidecar = Sidecar::open(file, &zero_of).unwrap();
        assert_eq!(sidecar.root.size, 5 << 40);
        assert!(sidecar.is_zero(&sidecar.leaf(leaves - 1).unwrap().unwrap()));
    }
}
