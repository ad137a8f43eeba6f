//! Bytes of a log segment. All numbers are little-endian, all checksums CRC-32C.
//!
//! ```text
//! segment = header (64) · group … · seal · end of file      (the last one: · zeros up to the preallocated size)
//! header  = "pinfoldL" · version u32 · 0 u32 · first seq u64 · nonce (16) · 0 (20) · crc u32
//! group   = "PGRP" · kind u32 · length u32 · count u32 · first seq u64 · synced u64 · 0 u32 · crc u32   (40)
//!           · count × ( length u32 · crc u32 · record )
//! ```
//!
//! `synced` is the offset up to which this segment was durable when the group was written: damage below the highest
//! `synced` of any later group is damage, damage above it is a torn tail (ruling 3). A *mark* is a group without
//! records, written when the log falls idle or is closed, so that the last records are covered too; a *seal* is a
//! mark that ends the segment.
//!
//! Checksums of groups and records begin from the segment's random nonce. So bytes that a client put into a small
//! body can never pass for a group of this segment.

use crate::error::{Error, Result};
use crate::types::Seq;

/// First bytes of a segment.
pub const SEGMENT_MAGIC: &[u8; 8] = b"pinfoldL";
/// First bytes of a group.
pub const GROUP_MAGIC: &[u8; 4] = b"PGRP";
/// Version of the segment format.
pub const VERSION: u32 = 1;
/// Length of a segment's header, in bytes.
pub const SEGMENT_HEADER: usize = 64;
/// Length of a group's header, in bytes.
pub const GROUP_HEADER: usize = 40;
/// Length of a record's header, in bytes.
pub const RECORD_HEADER: usize = 8;

/// Header of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Sequence number of its first record.
    pub first: Seq,
    /// Random bytes that its checksums begin from.
    pub nonce: [u8; 16],
}

impl SegmentHeader {
    /// The header as stored.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.to_le_bytes());
        out[24..40].copy_from_slice(&self.nonce);
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a stored header; Corrupt if it is none, or of a version this program does not know.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self> {
        if &bytes[..8] != SEGMENT_MAGIC || u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
            return Err(Error::corrupt("the header of a log segment is damaged"));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(Error::corrupt("a log segment has an unknown version").with("version", version));
        }
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&bytes[24..40]);
        Ok(Self { first: u64_at(bytes, 16), nonce })
    }

    /// What the segment's other checksums begin from.
    pub fn seed(&self) -> u32 {
        crc32c::crc32c(&self.nonce)
    }
}

/// What a group is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// Records.
    Records,
    /// No records: everything before it was synced.
    Mark,
    /// No records: the segment ends here.
    Seal,
}

/// Header of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupHeader {
    /// What it is.
    pub kind: GroupKind,
    /// Bytes that follow.
    pub length: u32,
    /// Records that follow.
    pub count: u32,
    /// Number of its first record; of a mark or seal, the number that comes next.
    pub first: Seq,
    /// Offset in the segment up to which it was durable when this was written.
    pub synced: u64,
}

impl GroupHeader {
    /// The header as stored.
    pub fn encode(&self, seed: u32) -> [u8; GROUP_HEADER] {
        let kind: u32 = match self.kind {
            GroupKind::Records => 0,
            GroupKind::Mark => 1,
            GroupKind::Seal => 2,
        };
        let mut out = [0; GROUP_HEADER];
        out[..4].copy_from_slice(GROUP_MAGIC);
        out[4..8].copy_from_slice(&kind.to_le_bytes());
        out[8..12].copy_from_slice(&self.length.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.to_le_bytes());
        out[24..32].copy_from_slice(&self.synced.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &out[..36]);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a stored header; `None` if these bytes are not a group's header of the segment with this seed.
    pub fn decode(bytes: &[u8; GROUP_HEADER], seed: u32) -> Option<Self> {
        if &bytes[..4] != GROUP_MAGIC || u32_at(bytes, 36) != crc32c::crc32c_append(seed, &bytes[..36]) {
            return None;
        }
        let kind = match u32_at(bytes, 4) {
            0 => GroupKind::Records,
            1 => GroupKind::Mark,
            2 => GroupKind::Seal,
            _ => return None,
        };
        Some(Self {
            kind,
            length: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            first: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
        })
    }
}

/// Appends a record, which `encode` appends, with its header to a group's bytes.
pub fn push_record<E>(
    group: &mut Vec<u8>,
    seed: u32,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let at = group.len();
    group.extend_from_slice(&[0; RECORD_HEADER]);
    encode(group)?;
    let (header, record) = group[at..].split_at_mut(RECORD_HEADER);
    let length = (record.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &length), record);
    header[..4].copy_from_slice(&length);
    header[4..].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Takes the first record off a group's bytes; `None` if it is damaged.
pub fn take_record<'a>(group: &mut &'a [u8], seed: u32) -> Option<&'a [u8]> {
    let (header, rest) = group.split_at_checked(RECORD_HEADER)?;
    let length = u32_at(header, 0);
    let (record, rest) = rest.split_at_checked(length as usize)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &length.to_le_bytes()), record);
    if crc != u32_at(header, 4) {
        return None;
    }
    *group = rest;
    Some(record)
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
