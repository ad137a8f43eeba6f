//! The form of a slab: a header, then frames, each a block with its name in front.
//!
//! ```text
//! slab   "PFSLAB1\n" id:u64                                             16 bytes
//! frame  "PFs1" codec:u8 0 0 0 length:u32 digest:32 crc32c:u32 bytes    48 bytes + length
//! ```
//! Numbers are little-endian; the checksum covers the 44 bytes before it; the bytes are covered by the digest. A frame
//! never changes; the bytes of one that nothing needs may become a hole.

use crate::chunk::pins::Digest32;
use crate::unixfs::{SHA2_256, cid_of_digest};
use cid::Cid;

/// Bytes before the first frame.
pub(super) const SLAB_HEADER: u64 = 16;
/// Bytes before a frame's payload.
pub(super) const FRAME_HEADER: usize = 48;
/// The longest payload: the longest block is a chunk of 1 MiB, and other peers' blocks may be 2 MiB.
pub(super) const MAX_PAYLOAD: u32 = 2 << 20;

const SLAB_MAGIC: &[u8; 8] = b"PFSLAB1\n";
pub(super) const FRAME_MAGIC: &[u8; 4] = b"PFs1";

/// The first bytes of slab `id`.
pub(super) fn slab_header(id: u64) -> [u8; SLAB_HEADER as usize] {
    let mut header = [0; SLAB_HEADER as usize];
    header[..8].copy_from_slice(SLAB_MAGIC);
    header[8..].copy_from_slice(&id.to_le_bytes());
    header
}

/// Whether these are the first bytes of slab `id`.
pub(super) fn is_slab_header(bytes: &[u8], id: u64) -> bool {
    bytes.get(..SLAB_HEADER as usize) == Some(&slab_header(id))
}

/// What stands before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameHeader {
    pub(super) digest: Digest32,
    pub(super) len: u32,
    codec: u8,
}

impl FrameHeader {
    /// For the block `digest` of `len` bytes; `None` for a codec that has no place in the header.
    pub(super) fn new(cid: &Cid, digest: Digest32, len: u32) -> Option<Self> {
        let codec = u8::try_from(cid.codec()).ok().filter(|c| *c < 0x80)?;
        (cid.hash().code() == SHA2_256 && len <= MAX_PAYLOAD).then_some(Self { digest, len, codec })
    }

    /// The block's CID.
    pub(super) fn cid(&self) -> Cid {
        cid_of_digest(u64::from(self.codec), self.digest)
    }

    /// Length of the whole frame.
    pub(super) fn frame_len(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.len)
    }

    pub(super) fn encode(&self) -> [u8; FRAME_HEADER] {
        let mut out = [0; FRAME_HEADER];
        out[..4].copy_from_slice(FRAME_MAGIC);
        out[4] = self.codec;
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out[12..44].copy_from_slice(&self.digest);
        let crc = crc32c::crc32c(&out[..44]);
        out[44..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` if these bytes are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<FRAME_HEADER>()?;
        let crc = u32::from_le_bytes(*bytes.last_chunk()?);
        if &bytes[..4] != FRAME_MAGIC || bytes[5..8] != [0; 3] || crc32c::crc32c(&bytes[..44]) != crc {
            return None;
        }
        let len = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
        let codec = bytes[4];
        (len <= MAX_PAYLOAD && codec < 0x80).then_some(Self { digest: bytes[12..44].try_into().ok()?, len, codec })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unixfs::raw_cid;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn the_form_is_fixed() {
        let cid = raw_cid(b"");
        let header = FrameHeader::new(&cid, crate::unixfs::digest_of(&cid).unwrap(), 0).unwrap();
        assert_eq!(
            hex::encode(header.encode()),
            "50467331550000000000000\
             0e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                .to_owned()
                + &hex::encode(crc32c::crc32c(&header.encode()[..44]).to_le_bytes())
        );
        assert_eq!(header.cid(), cid);
        assert_eq!(slab_header(258), *b"PFSLAB1\n\x02\x01\0\0\0\0\0\0");
        assert!(FrameHeader::new(&cid, [0; 32], MAX_PAYLOAD + 1).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = FrameHeader::parse(&bytes);
            let _ = is_slab_header(&bytes, 1);
        }

        #[test]
        fn any_flipped_bit_is_seen(digest: [u8; 32], len in 0..=MAX_PAYLOAD, bit in 0..FRAME_HEADER * 8) {
            let header = FrameHeader { digest, len, codec: 0x55 };
            let mut bytes = header.encode();
            prop_assert_eq!(FrameHeader::parse(&bytes), Some(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FrameHeader::parse(&bytes).is_none());
        }
    }
}
