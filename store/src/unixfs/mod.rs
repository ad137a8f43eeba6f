//! UnixFS in dag-pb: from bytes to CIDs and back.
//!
//! A file is a tree of SHA-256-named blocks; which tree, and so which CID, is a [`Profile`]'s matter. Writing:
//! [`raw_cid`] or [`hash_file_range`] name the chunks, [`DagBuilder`] makes the nodes above them. Reading:
//! [`FileReader`] walks the tree over a byte range, taking blocks from any [`BlockSource`].
//!
//! A directory is a plain node, or a HAMT of shards when that would be large: [`DirectoryBuilder`] makes either,
//! [`DirectoryReader`] reads both.
//!
//! Parsing trusts nobody: any bytes give a value or an error of kind Corrupt, never a panic, and neither depth nor
//! memory is in the bytes' hand.

mod block;
mod builder;
mod dagpb;
mod data;
mod directory;
mod directory_reader;
mod hamt;
mod hash_sort;
mod murmur3;
mod parallel;
mod profile;
mod reader;
mod wire;

pub use block::{Block, DAG_PB, RAW, SHA2_256, cid_of_digest, digest_of, raw_cid, verify};
pub use builder::{DagBuilder, Leaf, Root, Sink};
pub use dagpb::{Link, Node};
pub use data::{Data, Kind};
pub use directory::{DirectoryBuilder, DirectoryRoot, Entry};
pub use directory_reader::{DirectoryReader, Entries};
pub use parallel::{hash_file_range, hash_parallel};
pub use profile::{DirectoryMeasure, Geometry, Profile};
pub use reader::{BlockSource, FileReader, LeafRef, Leaves, leaves_in_range, read_range};
