//! What belongs where: the list of a content's chunks, sealed as a whole, so that chunks cannot be left out, doubled,
//! exchanged or moved.
//!
//! Chunks are cut anew at the beginning of each segment: a multipart upload's parts, which were sealed before anybody knew what
//! they become, are the segments of the whole.

use super::content::{Frame, ManifestKey};
use crate::error::{Error, Result};

const VERSION: u8 = 1;
const HEAD: usize = 1 + 4 + 8 + 32 + 4;

/// The chunks of a content, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    chunk: u32,
    segments: Vec<Segment>,
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    start: u64,
    size: u64,
    /// Its first chunk.
    first: usize,
}

/// Where a chunk lies in its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The chunk's first byte.
    pub start: u64,
    /// Its length in bytes.
    pub len: usize,
    /// Its nonce and tag.
    pub frame: Frame,
}

impl Manifest {
    /// An empty one, of chunks of `chunk` bytes.
    pub fn new(chunk: u32) -> Self {
        Self { chunk, segments: Vec::new(), frames: Vec::new() }
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.start + last.size)
    }

    /// The next chunk, of `len` bytes: all but the last of a segment are whole.
    pub fn push(&mut self, frame: Frame, len: usize) {
        match self.segments.last_mut() {
            Some(last) if last.size.is_multiple_of(u64::from(self.chunk)) => last.size += len as u64,
            _ => self.segments.push(Segment { start: self.size(), size: len as u64, first: self.frames.len() }),
        }
        self.frames.push(frame);
    }

    /// Puts another content's chunks behind these.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        if other.chunk != self.chunk {
            return Err(Error::corrupt("parts of one upload are cut into chunks of different sizes"));
        }
        for segment in &other.segments {
            let count = segment.size.div_ceil(u64::from(self.chunk)) as usize;
            let frames = &other.frames[segment.first..segment.first + count];
            let (mut left, whole) = (segment.size, u64::from(self.chunk));
            for frame in frames {
                let len = left.min(whole);
                self.push(*frame, len as usize);
                left -= len;
            }
        }
        Ok(())
    }

    /// The chunk with the byte at `offset`; none at the end.
    pub fn at(&self, offset: u64) -> Option<Place> {
        let after = self.segments.partition_point(|segment| segment.start <= offset);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let within = offset - segment.start;
        if within >= segment.size {
            return None;
        }
        let (number, chunk) = (within / u64::from(self.chunk), u64::from(self.chunk));
        let len = (segment.size - number * chunk).min(chunk) as usize;
        let frame = *self.frames.get(segment.first + number as usize)?;
        Some(Place { start: segment.start + number * chunk, len, frame })
    }

    /// Sealed, bound to the content whose root has this digest.
    pub fn seal(&self, key: &ManifestKey, root: &[u8; 32]) -> Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(HEAD + self.segments.len() * 8 + self.frames.len() * Frame::LEN);
        plain.push(VERSION);
        plain.extend_from_slice(&self.chunk.to_le_bytes());
        plain.extend_from_slice(&self.size().to_le_bytes());
        plain.extend_from_slice(root);
        let count =
            u32::try_from(self.segments.len()).map_err(|_| Error::corrupt("a manifest of too many segments"))?;
        plain.extend_from_slice(&count.to_le_bytes());
        for segment in &self.segments {
            plain.extend_from_slice(&segment.size.to_le_bytes());
        }
        for frame in &self.frames {
            plain.extend_from_slice(&frame.nonce);
            plain.extend_from_slice(&frame.tag);
        }
        key.seal(&plain)
    }

    /// The counterpart. Corrupt if it was changed, sealed under another key or of another content.
    pub fn open(key: &ManifestKey, sealed: &[u8], root: &[u8; 32], size: u64) -> Result<Self> {
        let plain = key.open(sealed)?;
        let found = Self::parse(&plain, root).ok_or_else(|| Error::corrupt("a manifest is not its content's"))?;
        if found.size() == size { Ok(found) } else { Err(Error::corrupt("a manifest is of another size")) }
    }

    fn parse(plain: &[u8], root: &[u8; 32]) -> Option<Self> {
        let (head, rest) = plain.split_at_checked(HEAD)?;
        let number = |range: std::ops::Range<usize>| u32::from_le_bytes(head[range].try_into().unwrap_or_default());
        let (chunk, count) = (number(1..5), number(45..49) as usize);
        if head[0] != VERSION || &head[13..45] != root || chunk == 0 {
            return None;
        }
        let (sizes, frames) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut manifest = Self::new(chunk);
        let (mut start, mut first) = (0u64, 0);
        for size in sizes.as_chunks::<8>().0 {
            let size = u64::from_le_bytes(*size);
            manifest.segments.push(Segment { start, size, first });
            start = start.checked_add(size)?;
            first += size.div_ceil(u64::from(chunk)) as usize;
        }
        let (frames, tail) = frames.as_chunks::<{ Frame::LEN }>();
        if !tail.is_empty() || frames.len() != first || head[5..13] != start.to_le_bytes() {
            return None;
        }
        manifest.frames = frames
            .iter()
            .map(|frame| {
                let mut parsed = Frame { nonce: [0; 24], tag: [0; 16] };
                parsed.nonce.copy_from_slice(&frame[..24]);
                parsed.tag.copy_from_slice(&frame[24..]);
                parsed
            })
            .collect();
        Some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::master::Secret;
    use super::*;

    const CHUNK: u32 = 100;

    fn key(seed: u8) -> ManifestKey {
        ManifestKey::new(Secret::new([seed; 32]))
    }

    fn of(size: u64, seed: u8) -> Manifest {
        let mut manifest = Manifest::new(CHUNK);
        let mut left = size;
        while left > 0 {
            let len = left.min(u64::from(CHUNK));
            let mut nonce = [seed; 24];
            nonce[..8].copy_from_slice(&left.to_le_bytes());
            manifest.push(Frame { nonce, tag: [seed ^ 1; 16] }, len as usize);
            left -= len;
        }
        manifest
    }

    proptest! {
        #[test]
        fn every_byte_of_joined_parts_is_in_its_parts_chunk(sizes in proptest::collection::vec(0u64..450, 0..8)) {
            let mut whole = Manifest::new(CHUNK);
            let parts: Vec<_> = sizes.iter().enumerate().map(|(n, size)| of(*size, n as u8)).collect();
            for part in &parts {
                whole.append(part).unwrap();
            }
            let sealed = whole.seal(&key(1), &[9; 32]).unwrap();
            let whole = Manifest::open(&key(1), &sealed, &[9; 32], sizes.iter().sum()).unwrap();
            let mut base = 0;
            for (part, size) in parts.iter().zip(&sizes) {
                for offset in 0..*size {
                    let (inner, outer) = (part.at(offset).unwrap(), whole.at(base + offset).unwrap());
                    prop_assert_eq!(outer, Place { start: base + inner.start, ..inner });
                }
                base += size;
            }
            prop_assert_eq!(whole.at(base), None);
            // Whole parts leave no trace: the same bytes in one piece have the same manifest.
            if sizes.iter().all(|size| size % u64::from(CHUNK) == 0) {
                prop_assert!(whole.segments.len() <= 1);
            }
        }

        #[test]
        fn what_was_changed_or_is_anothers_does_not_open(size in 0u64..500, at: prop::sample::Index, bit in 0u8..8) {
            let manifest = of(size, 3);
            let sealed = manifest.seal(&key(1), &[9; 32]).unwrap();
            prop_assert!(Manifest::open(&key(2), &sealed, &[9; 32], size).is_err());
            prop_assert!(Manifest::open(&key(1), &sealed, &[8; 32], size).is_err());
            prop_assert!(Manifest::open(&key(1), &sealed, &[9; 32], size + 1).is_err());
            let mut damaged = sealed.clone();
            let n = at.index(sealed.len());
            damaged[n] ^= 1 << bit;
            prop_assert!(Manifest::open(&key(1), &damaged, &[9; 32], size).is_err());
            prop_assert!(Manifest::open(&key(1), &sealed[..n], &[9; 32], size).is_err());
        }

        #[test]
        fn nonsense_is_no_manifest(plain in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut plain = plain;
            if let Some(first) = plain.first_mut() { *first = VERSION; }
            let root: [u8; 32] = plain.get(13..45).map_or([0; 32], |r| r.try_into().unwrap());
            Manifest::parse(&plain, &root);
        }
    }
}
