//! Bytes of a checkpoint. All numbers are little-endian, all checksums CRC-32C.
//!
//! ```text
//! checkpoint = header (64) · block … · end (64)
//! header     = "pinfoldC" · version u32 · 0 u32 · began u64 · 0 (36) · crc u32
//! block      = length u32 · rows u32 · crc u32 · packed
//! packed     = unpacked length u32 · LZ4 block of rows × ( key length u32 · value length u32 · key · value )
//! end        = "pinfoldE" · 0 u64 · began u64 · ended u64 · rows u64 · bytes u64 · 0 (8) · chain u32 · crc u32
//! ```
//!
//! Keys ascend strictly over the whole file. A block's checksum covers its length, its row count and what is packed;
//! in version 1, which is still read, nothing is packed and the rows follow as they are. `chain` is the checksum of all blocks' checksums in order, `bytes` the sum of the lengths of keys and values.

use crate::error::{Error, Result};
use crate::meta::Row;
use crate::meta::log::MAX_RECORD_BYTES;
use crate::types::Seq;

/// First bytes of a checkpoint.
pub const MAGIC: &[u8; 8] = b"pinfoldC";
/// First bytes of its end.
pub const END_MAGIC: &[u8; 8] = b"pinfoldE";
/// Version of the format that is written.
pub const VERSION: u32 = 2;
/// The oldest version that is read.
const OLDEST: u32 = 1;
/// No block unpacks to more, in bytes: it ends with the row that fills it, and no row is larger than a record.
const MAX_BLOCK: usize = 2 * MAX_RECORD_BYTES;
/// Length of header and end, in bytes.
pub const FRAME: usize = 64;
/// Length of a block's header, in bytes.
pub const BLOCK_HEADER: usize = 12;

/// The header as stored.
pub fn encode_header(began: Seq) -> [u8; FRAME] {
    let mut out = [0; FRAME];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&began.to_le_bytes());
    close(out)
}

/// Reads a header; returns the version and the position at which the scan began.
pub fn decode_header(bytes: &[u8; FRAME]) -> Result<(u32, Seq)> {
    if &bytes[..8] != MAGIC || !is_closed(bytes) {
        return Err(Error::corrupt("the header of a checkpoint is damaged"));
    }
    let version = u32_at(bytes, 8);
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Error::corrupt("a checkpoint has an unknown version").with("version", version));
    }
    Ok((version, u64_at(bytes, 16)))
}

/// The end of a checkpoint: what it must contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct End {
    /// Every record up to here is in it.
    pub began: Seq,
    /// No record behind this one is in it, not even in parts.
    pub ended: Seq,
    /// Rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Checksum of the blocks' checksums.
    pub chain: u32,
}

impl End {
    /// The end as stored.
    pub fn encode(&self) -> [u8; FRAME] {
        let mut out = [0; FRAME];
        out[..8].copy_from_slice(END_MAGIC);
        for (at, number) in [(16, self.began), (24, self.ended), (32, self.rows), (40, self.bytes)] {
            out[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        out[56..60].copy_from_slice(&self.chain.to_le_bytes());
        close(out)
    }

    /// Reads an end.
    pub fn decode(bytes: &[u8; FRAME]) -> Result<Self> {
        if &bytes[..8] != END_MAGIC || !is_closed(bytes) {
            return Err(Error::corrupt("the end of a checkpoint is damaged"));
        }
        let number = |at| u64_at(bytes, at);
        Ok(Self { began: number(16), ended: number(24), rows: number(32), bytes: number(40), chain: u32_at(bytes, 56) })
    }

    /// Counts a row in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += (key.len() + value.len()) as u64;
    }
}

/// A block of rows as it is being filled.
#[derive(Default)]
pub struct Block {
    rows: u32,
    bytes: Vec<u8>,
}

impl Block {
    /// Adds a row.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    /// Bytes of rows so far.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Empties it; returns its header and packed rows as stored, and its checksum.
    pub fn take(&mut self) -> ([u8; BLOCK_HEADER], Vec<u8>, u32) {
        let bytes = lz4_flex::block::compress_prepend_size(&self.bytes);
        self.bytes.clear();
        let rows = std::mem::take(&mut self.rows);
        let mut header = [0; BLOCK_HEADER];
        header[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&rows.to_le_bytes());
        let crc = crc32c_of(&header, &bytes);
        header[8..].copy_from_slice(&crc.to_le_bytes());
        (header, bytes, crc)
    }
}

/// Length of what is behind a block's header.
pub fn block_length(header: &[u8; BLOCK_HEADER]) -> usize {
    u32_at(header, 0) as usize
}

/// Reads a block's rows, in a checkpoint of this version; with them the block's checksum. `None` if it is damaged.
pub fn decode_block(version: u32, header: &[u8; BLOCK_HEADER], stored: &[u8]) -> Option<(Vec<Row>, u32)> {
    let crc = crc32c_of(header, stored);
    if crc != u32_at(header, 8) {
        return None;
    }
    let unpacked;
    let mut bytes = stored;
    if version > 1 {
        let (length, packed) = stored.split_at_checked(4)?;
        let length = u32_at(length, 0) as usize;
        unpacked = (length <= MAX_BLOCK).then(|| lz4_flex::block::decompress(packed, length).ok())??;
        bytes = &unpacked;
    }
    let mut rows = Vec::new();
    for _ in 0..u32_at(header, 4) {
        let (lengths, rest) = bytes.split_at_checked(8)?;
        let (key, rest) = rest.split_at_checked(u32_at(lengths, 0) as usize)?;
        let (value, rest) = rest.split_at_checked(u32_at(lengths, 4) as usize)?;
        rows.push((key.to_vec(), value.to_vec()));
        bytes = rest;
    }
    bytes.is_empty().then_some((rows, crc))
}

/// The checksum of a block: of its lengths and of what is stored.
fn crc32c_of(header: &[u8; BLOCK_HEADER], stored: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..8]), stored)
}

/// The checksum of all blocks' checksums, one more counted in.
pub fn chain(chain: u32, crc: u32) -> u32 {
    crc32c::crc32c_append(chain, &crc.to_le_bytes())
}

fn close(mut frame: [u8; FRAME]) -> [u8; FRAME] {
    let crc = crc32c::crc32c(&frame[..60]);
    frame[60..].copy_from_slice(&crc.to_le_bytes());
    frame
}

fn is_closed(frame: &[u8; FRAME]) -> bool {
    u32_at(frame, 60) == crc32c::crc32c(&frame[..60])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::{Block, crc32c_of, decode_block};

    #[test]
    fn rows_are_packed_and_older_blocks_are_read() {
        let rows = [(b"Ea".to_vec(), vec![7; 500]), (b"Eb".to_vec(), Vec::new())];
        let mut block = Block::default();
        rows.iter().for_each(|(key, value)| block.push(key, value));
        let plain = block.bytes.clone();
        let (header, packed, crc) = block.take();
        assert!(packed.len() < 100 && block.size() == 0);
        assert_eq!(decode_block(2, &header, &packed), Some((rows.to_vec(), crc)));
        assert_eq!(decode_block(2, &header, &packed[1..]), None);
        let (mut old, length) = (header, (plain.len() as u32).to_le_bytes());
        old[..4].copy_from_slice(&length);
        let crc = crc32c_of(&old, &plain);
        old[8..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_block(1, &old, &plain), Some((rows.to_vec(), crc)));
        // What cannot be unpacked is damage, not a panic, however good its checksum is.
        for stored in [b"".as_slice(), b"\0\0\0", b"\xff\xff\xff\xff\x10", b"\x05\0\0\0\xff\xff"] {
            let crc = crc32c_of(&old, stored);
            old[8..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(decode_block(2, &old, stored), None);
        }
    }
}
