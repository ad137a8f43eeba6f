//! Blocks and their names: CIDv1, SHA-256, codec raw or dag-pb.

use bytes::Bytes;
use cid::Cid;
use multihash::Multihash;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::unixfs::dagpb::Node;
use crate::unixfs::data::Data;

/// Multicodec of raw blocks.
pub const RAW: u64 = 0x55;
/// Multicodec of dag-pb blocks.
pub const DAG_PB: u64 = 0x70;
/// Multihash code of SHA-256.
pub const SHA2_256: u64 = 0x12;

/// A block that belongs in the block store: its bytes and the CID that they have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The name of `bytes`.
    pub cid: Cid,
    /// The whole block.
    pub bytes: Bytes,
}

impl Block {
    /// Names `bytes` as a dag-pb block.
    pub fn dag_pb(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { cid: cid_of_digest(DAG_PB, Sha256::digest(&bytes).into()), bytes }
    }

    /// The block of a symbolic link to `target`.
    pub fn symlink(target: impl Into<Bytes>) -> Self {
        let data = Data::symlink(target).encode();
        Self::dag_pb(Node { links: Vec::new(), data: Some(data.into()) }.encode())
    }

    /// Names `bytes` as a raw block.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { cid: raw_cid(&bytes), bytes }
    }
}

/// CIDv1 of `bytes` as a raw block.
pub fn raw_cid(bytes: &[u8]) -> Cid {
    cid_of_digest(RAW, Sha256::digest(bytes).into())
}

/// CIDv1 of a block with this codec ([`RAW`], [`DAG_PB`]) and SHA-256 digest.
pub fn cid_of_digest(codec: u64, digest: [u8; 32]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, &digest).expect("32 bytes are less than a multihash's 64");
    Cid::new_v1(codec, hash)
}

/// The SHA-256 digest in `cid`. Unsupported when the CID has another hash or a cut digest.
pub fn digest_of(cid: &Cid) -> Result<[u8; 32]> {
    let hash = cid.hash();
    match <[u8; 32]>::try_from(hash.digest()) {
        Ok(digest) if hash.code() == SHA2_256 => Ok(digest),
        _ => Err(Error::new(ErrorKind::Unsupported, "not a CID with a whole sha2-256 digest").with("cid", cid)),
    }
}

/// Checks that `bytes` are the block that `cid` names. Corrupt when they are not; Unsupported as [`digest_of`].
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<()> {
    let expected = digest_of(cid)?;
    if <[u8; 32]>::from(Sha256::digest(bytes)) == expected {
        Ok(())
    } else {
        Err(Error::corrupt("block does not match its CID").with("cid", cid).with("bytes", bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names() {
        // The raw empty block, as printed by `ipfs add --cid-version=1` of an empty file.
        assert_eq!(raw_cid(b"").to_string(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        assert_eq!(Block::raw(&b""[..]).cid, raw_cid(b""));
        assert_eq!(
            Block::dag_pb(&b"\x0a\x02\x08\x01"[..]).cid.to_string(),
            "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
        );
    }

    #[test]
    fn verify_takes_the_bytes_and_nothing_else() {
        let cid = raw_cid(b"one");
        verify(&cid, b"one").unwrap();
        let error = verify(&cid, b"onf").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.context("cid"), Some(cid.to_string().as_str()));
        let v0: Cid = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn".parse().unwrap();
        verify(&v0, b"\x0a\x02\x08\x01").unwrap();
    }

    #[test]
    fn other_hashes_are_refused() {
        let cid = raw_cid(b"one");
        assert_eq!(digest_of(&cid).unwrap(), <[u8; 32]>::from(Sha256::digest(b"one")));
        for hash in [Multihash::wrap(0, b"one").unwrap(), Multihash::wrap(SHA2_256, &[1; 20]).unwrap()] {
            let other = Cid::new_v1(RAW, hash);
            assert_eq!(digest_of(&other).unwrap_err().kind(), ErrorKind::Unsupported);
            assert_eq!(verify(&other, b"one").unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}
