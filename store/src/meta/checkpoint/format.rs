//! Bytes of a checkpoint. All numbers are little-endian, all checksums CRC-32C.
//!
//! ```text
//! checkpoint = header (64) · block … · end (64)
//! header     = "pinfoldC" · version u32 · 0 u32 · began u64 · 0 (36) · crc u32
//! block      = length u32 · rows u32 · crc u32 · rows × ( key length u32 · value length u32 · key · value )
//! end        = "pinfoldE" · 0 u64 · began u64 · ended u64 · rows u64 · bytes u64 · 0 (8) · chain u32 · crc u32
//! ```
//!
//! Keys ascend strictly over the whole file. A block's checksum covers its length, its row count and its rows;
//! `chain` is the checksum of all blocks' checksums in order, `bytes` the sum of the lengths of keys and values.

use crate::error::{Error, Result};
use crate::meta::Row;
use crate::types::Seq;

/// First bytes of a checkpoint.
pub const MAGIC: &[u8; 8] = b"pinfoldC";
/// First bytes of its end.
pub const END_MAGIC: &[u8; 8] = b"pinfoldE";
/// Version of the format.
pub const VERSION: u32 = 1;
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

/// Reads a header; returns the position at which the scan began.
pub fn decode_header(bytes: &[u8; FRAME]) -> Result<Seq> {
    if &bytes[..8] != MAGIC || !is_closed(bytes) {
        return Err(Error::corrupt("the header of a checkpoint is damaged"));
    }
    let version = u32_at(bytes, 8);
    if version != VERSION {
        return Err(Error::corrupt("a checkpoint has an unknown version").with("version", version));
    }
    Ok(u64_at(bytes, 16))
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

    /// Empties it; returns its header and rows as stored, and its checksum.
    pub fn take(&mut self) -> ([u8; BLOCK_HEADER], Vec<u8>, u32) {
        let bytes = std::mem::take(&mut self.bytes);
        let rows = std::mem::take(&mut self.rows);
        let mut header = [0; BLOCK_HEADER];
        header[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&rows.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..8]), &bytes);
        header[8..].copy_from_slice(&crc.to_le_bytes());
        (header, bytes, crc)
    }
}

/// Length of a block's rows, by its header.
pub fn block_length(header: &[u8; BLOCK_HEADER]) -> usize {
    u32_at(header, 0) as usize
}

/// Reads a block's rows; with them its checksum. `None` if it is damaged.
pub fn decode_block(header: &[u8; BLOCK_HEADER], mut bytes: &[u8]) -> Option<(Vec<Row>, u32)> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..8]), bytes);
    if crc != u32_at(header, 8) {
        return None;
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
