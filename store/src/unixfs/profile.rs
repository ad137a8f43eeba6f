//! Profiles: the named sets of numbers that decide which CID given bytes get (IPIP-499).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Which numbers make a file's and a directory's CIDs. Stored with every object: the discriminants never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Default)]
pub enum Profile {
    /// `unixfs-v1-2025` (IPIP-499): 1 MiB chunks, 1024 links, directories sharded by the size of their block.
    #[default]
    V1_2025 = 0,
    /// `kubo-classic-v1`: what `ipfs add --cid-version=1 --raw-leaves` does on a default Kubo: 256 KiB chunks,
    /// 174 links, directories sharded by the sum of name and CID lengths.
    KuboClassicV1 = 1,
}

/// The numbers of a profile. Tests use smaller ones, to meet every boundary in few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of every leaf but the last. At least 1.
    pub chunk_size: usize,
    /// Most links of an inner node of a file. At least 2.
    pub max_links: usize,
    /// How a directory's size is measured to decide whether it is sharded.
    pub directory_measure: DirectoryMeasure,
    /// A directory measuring more than this is sharded (HAMT).
    pub directory_limit: usize,
    /// log2 of a shard's fanout: 1 to 10.
    pub shard_bits: u32,
}

/// What is compared with [`Geometry::directory_limit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectoryMeasure {
    /// Bytes of the plain directory's whole block.
    BlockBytes,
    /// Sum of the lengths of names and binary CIDs.
    LinkBytes,
}

impl Profile {
    /// Every profile, the default first.
    pub const ALL: [Self; 2] = [Self::V1_2025, Self::KuboClassicV1];

    /// The profile's numbers.
    pub fn geometry(self) -> Geometry {
        let (chunk_size, max_links, directory_measure) = match self {
            Self::V1_2025 => (1 << 20, 1024, DirectoryMeasure::BlockBytes),
            Self::KuboClassicV1 => (256 << 10, 174, DirectoryMeasure::LinkBytes),
        };
        Geometry { chunk_size, max_links, directory_measure, directory_limit: 256 << 10, shard_bits: 8 }
    }

    /// Bytes of every leaf but the last.
    pub fn chunk_size(self) -> usize {
        self.geometry().chunk_size
    }

    /// Most links of an inner node of a file.
    pub fn max_links(self) -> usize {
        self.geometry().max_links
    }

    /// The name used in configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2025 => "unixfs-v1-2025",
            Self::KuboClassicV1 => "kubo-classic-v1",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == s).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::InvalidArgument, "unknown profile").with("value", s).with("known", known)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for profile in Profile::ALL {
            assert_eq!(profile.name().parse::<Profile>().unwrap(), profile);
        }
        let error = "unixfs-v0".parse::<Profile>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("kubo-classic-v1"), "{error}");
    }

    #[test]
    fn stored_form_is_stable() {
        assert_eq!(postcard::to_stdvec(&Profile::V1_2025).unwrap(), [0]);
        assert_eq!(postcard::to_stdvec(&Profile::KuboClassicV1).unwrap(), [1]);
    }
}
