//! The block index: where each digest lies on this host. Rows of the replica's store with lower-case prefixes, made
//! only from what the files themselves say, so that they can be rebuilt.
//!
//! | key | value | meaning |
//! |---|---|---|
//! | `b` digest, id (8) | [`Place`] | the block lies in the content file, sidecar or slab `id` |
//! | `c` root digest | [`ObjectRow`] | the object of this root is whole on this host |
//! | `fc` id (8) | root digest (32) | content file or sidecar `id` belongs to the object of this root |
//! | `fd` id (8) | [`ObjectRow`] with the root | content file `id` is being taken apart by the collector |
//! | `fs` id (8) | [`SlabRow`] | slab `id` |
//! | `fp` file id (8), id (8) | empty | the part `id` is a slice of the upload file |
//! | `fu` upload (16) | [`super::upload::UploadRow`] | the file of an upload that is not completed |
//! | `fj` file id (8) | root digest (32) | the upload file has become this object's content file |
//! | `fm` | id (8) | every content file with a smaller id is indexed |
//! | `fn` | id (8) | ids from here on were never given out |
//! | `ft` | [`Totals`] | sums at the last clean stop |
//! | `r` digest, id (8) | empty | the scattered object `id` needs this block |
//!
//! A lost suffix of changes (a crash) is made good by [`super::recover`]; so nothing here waits for a flush, except the
//! collector before it destroys bytes.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chunk::pins::Digest32;
use crate::chunk::upload::UploadRow;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::schema::prefix_end;
use crate::meta::{MetaStore, RowChange};
use crate::types::Id;

/// Version byte of every value. Older forms are kept as fixtures.
const VERSION: u8 = 1;
/// Most rows of one batch that need not be atomic (ruling 6).
const BATCH: usize = 96;
/// Rows read at a time.
pub(super) const PAGE: usize = 512;

/// Where a block lies within its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// A slice of a content file.
    Leaf { offset: u64, len: u32 },
    /// A dag-pb node within a sidecar.
    Node { offset: u64, len: u32 },
    /// The payload of a frame of a slab.
    Slab { offset: u64, len: u32 },
}

/// How an object's bytes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    /// One content file from offset 0.
    Whole,
    /// Only a sidecar: the leaves lie in slabs and other objects' content files.
    Scattered,
    /// A sidecar, and a slice of an upload file.
    Slice,
}

impl Kind {
    /// Whether the object's bytes lie one behind the other in a file.
    pub(super) fn has_bytes(self) -> bool {
        self != Self::Scattered
    }

    /// Which of two equal objects is kept: a file that the kernel can read by itself is best, a passing one worst.
    pub(super) fn worth(self) -> u8 {
        match self {
            Self::Slice => 0,
            Self::Scattered => 1,
            Self::Whole => 2,
        }
    }
}

/// Where a part lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Slice {
    /// The upload file.
    pub(super) file: u64,
    /// Where in it the part begins.
    pub(super) base: u64,
    /// The upload.
    pub(super) upload: Id,
}

/// What a sealed file must still look like (ruling 13).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) mtime: (i64, i64),
    pub(super) ctime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            inode: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// An object that is whole on this host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ObjectRow {
    pub(super) root: Digest32,
    pub(super) id: u64,
    pub(super) kind: Kind,
    /// Multicodec of the root.
    pub(super) codec: u64,
    pub(super) size: u64,
    pub(super) leaves: u64,
    pub(super) chunk_size: u32,
    /// Bytes on disk, the sidecar's included.
    pub(super) disk: u64,
    /// Of [`Kind::Whole`] only; `None` also for a file that is known to be damaged.
    pub(super) stamp: Option<Stamp>,
    /// Of [`Kind::Slice`] only.
    pub(super) slice: Option<Slice>,
}

/// A slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct SlabRow {
    /// Frames up to here are indexed.
    pub(super) len: u64,
    /// Bytes of frames that the index names, headers included.
    pub(super) live: u64,
}

/// Sums over all objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) objects: u64,
    pub(super) disk: u64,
}

pub(super) const MARK: &[u8] = b"fm";
pub(super) const NEXT_ID: &[u8] = b"fn";
pub(super) const TOTALS: &[u8] = b"ft";

fn key(prefix: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + parts.iter().map(|p| p.len()).sum::<usize>());
    key.extend_from_slice(prefix);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(super) fn block_key(digest: &Digest32, id: u64) -> Vec<u8> {
    key(b"b", &[digest, &id.to_be_bytes()])
}

pub(super) fn object_key(root: &Digest32) -> Vec<u8> {
    key(b"c", &[root])
}

pub(super) fn owner_key(id: u64) -> Vec<u8> {
    key(b"fc", &[&id.to_be_bytes()])
}

pub(super) fn dying_key(id: u64) -> Vec<u8> {
    key(b"fd", &[&id.to_be_bytes()])
}

pub(super) fn slab_key(id: u64) -> Vec<u8> {
    key(b"fs", &[&id.to_be_bytes()])
}

pub(super) fn slice_key(file: u64, id: u64) -> Vec<u8> {
    key(b"fp", &[&file.to_be_bytes(), &id.to_be_bytes()])
}

pub(super) fn upload_key(upload: &Id) -> Vec<u8> {
    key(b"fu", &[upload.as_bytes()])
}

pub(super) fn joined_key(file: u64) -> Vec<u8> {
    key(b"fj", &[&file.to_be_bytes()])
}

pub(super) fn need_key(digest: &Digest32, id: u64) -> Vec<u8> {
    key(b"r", &[digest, &id.to_be_bytes()])
}

/// A value as stored.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![VERSION])
        .map_err(|e| Error::new(ErrorKind::Internal, "a row of the block index cannot be encoded").caused_by(e))
}

/// Reads a stored value.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest)
            .map_err(|e| Error::corrupt("a row of the block index cannot be read").caused_by(e)),
        Some((version, _)) => {
            Err(Error::corrupt("a row of the block index has an unknown version").with("version", version))
        }
        None => Err(Error::corrupt("a row of the block index is empty")),
    }
}

/// The last eight bytes of a key: the id.
pub(super) fn id_of(key: &[u8]) -> Result<u64> {
    key.last_chunk::<8>().map(|id| u64::from_be_bytes(*id)).ok_or_else(bad_key)
}

fn bad_key() -> Error {
    Error::corrupt("a key of the block index is too short")
}

/// The digest and id in the key of a `b` or `r` row.
pub(super) fn split_key(key: &[u8]) -> Result<(Digest32, u64)> {
    match key.get(1..33).and_then(|d| Digest32::try_from(d).ok()) {
        Some(digest) if key.len() == 41 => Ok((digest, id_of(key)?)),
        _ => Err(bad_key()),
    }
}

/// Takes keys and values.
type RowSink<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// The index over its store.
#[derive(Clone)]
pub(super) struct Index(pub(super) Arc<dyn MetaStore>);

impl Index {
    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        self.0.get(key)?.map(|v| decode(&v)).transpose()
    }

    /// Where `digest` lies: ids and places.
    pub(super) fn places(&self, digest: &Digest32) -> Result<Vec<(u64, Place)>> {
        let prefix = key(b"b", &[digest]);
        let rows = self.0.range(&prefix, &prefix_end(&prefix), PAGE)?;
        rows.iter().map(|(k, v)| Ok((id_of(k)?, decode(v)?))).collect()
    }

    /// The first of [`Self::places`]: the end of the range is not looked for.
    pub(super) fn first_place(&self, digest: &Digest32) -> Result<Option<(u64, Place)>> {
        let prefix = key(b"b", &[digest]);
        let rows = self.0.range(&prefix, &prefix_end(&prefix), 1)?;
        rows.first().map(|(k, v)| Ok((id_of(k)?, decode(v)?))).transpose()
    }

    /// The place of `digest` in the file `id`.
    pub(super) fn place(&self, digest: &Digest32, id: u64) -> Result<Option<Place>> {
        self.get(&block_key(digest, id))
    }

    pub(super) fn object(&self, root: &Digest32) -> Result<Option<ObjectRow>> {
        self.get(&object_key(root))
    }

    /// The object that file `id` belongs to, if it does.
    pub(super) fn owner(&self, id: u64) -> Result<Option<Digest32>> {
        self.get(&owner_key(id))
    }

    pub(super) fn dying(&self, id: u64) -> Result<Option<ObjectRow>> {
        self.get(&dying_key(id))
    }

    /// Ids, from `from` on, of parts that are said to lie in an upload file: at most `most`.
    pub(super) fn slices(&self, file: u64, from: u64, most: usize) -> Result<Vec<u64>> {
        let rows = self.0.range(&slice_key(file, from), &prefix_end(&key(b"fp", &[&file.to_be_bytes()])), most)?;
        rows.iter().map(|(k, _)| id_of(k)).collect()
    }

    /// Whether the part `id` is said to lie in an upload file.
    pub(super) fn has_slice(&self, file: u64, id: u64) -> Result<bool> {
        Ok(self.0.get(&slice_key(file, id))?.is_some())
    }

    pub(super) fn upload(&self, upload: &Id) -> Result<Option<UploadRow>> {
        self.get(&upload_key(upload))
    }

    /// The object that an upload file has become.
    pub(super) fn joined(&self, file: u64) -> Result<Option<Digest32>> {
        self.get(&joined_key(file))
    }

    pub(super) fn number(&self, key: &[u8]) -> Result<u64> {
        Ok(self.get(key)?.unwrap_or(0))
    }

    pub(super) fn totals(&self) -> Result<Option<Totals>> {
        self.get(TOTALS)
    }

    /// Ids of the scattered objects that say they need `digest`.
    pub(super) fn needed_by(&self, digest: &Digest32) -> Result<Vec<u64>> {
        let prefix = key(b"r", &[digest]);
        let rows = self.0.range(&prefix, &prefix_end(&prefix), PAGE)?;
        rows.iter().map(|(k, _)| id_of(k)).collect()
    }

    /// Every row with `prefix` whose key is not below `from`, a page at a time, to `sink`.
    pub(super) fn scan(&self, prefix: &[u8], from: &[u8], sink: &mut RowSink<'_>) -> Result<()> {
        let end = prefix_end(prefix);
        let mut start = prefix.max(from).to_vec();
        loop {
            let rows = self.0.range(&start, &end, PAGE)?;
            for (k, v) in &rows {
                sink(k, v)?;
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => {
                    start.clone_from(last);
                    start.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Applies rows that must be there together.
    pub(super) fn apply(&self, rows: &[RowChange]) -> Result<()> {
        self.0.apply(rows)
    }

    /// Collects rows that need not be atomic.
    pub(super) fn steps(&self) -> Steps<'_> {
        Steps { index: self, rows: Vec::new() }
    }
}

/// Applies rows in small batches, in order.
pub(super) struct Steps<'a> {
    index: &'a Index,
    rows: Vec<RowChange>,
}

impl Steps<'_> {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.change((key, Some(value)))
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) -> Result<()> {
        self.change((key, None))
    }

    pub(super) fn change(&mut self, row: RowChange) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.index.apply(&rows) }
    }

    /// Applies what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_other_versions_and_damaged_ones_are_refused() {
        let row = SlabRow { len: 7, live: 3 };
        let good = encode(&row).unwrap();
        assert_eq!(good, [1, 7, 3], "the stored form is fixed");
        assert_eq!(decode::<SlabRow>(&good).unwrap(), row);
        for bad in [&[][..], &[2, 7, 3], &[1, 7], &[1]] {
            assert_eq!(decode::<SlabRow>(bad).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let key = block_key(&[9; 32], 5);
        assert_eq!(split_key(&key).unwrap(), ([9; 32], 5));
        assert!(split_key(&key[1..]).is_err());
    }

    #[test]
    fn stored_objects_keep_their_form() {
        let row = ObjectRow {
            root: [1; 32],
            id: 2,
            kind: Kind::Scattered,
            codec: 0x70,
            size: 4,
            leaves: 5,
            chunk_size: 6,
            disk: 7,
            stamp: Some(Stamp { inode: 8, size: 9, mtime: (10, 11), ctime: (-1, 12) }),
            slice: Some(Slice { file: 13, base: 14, upload: Id([15; 16]) }),
        };
        let mut expected = vec![1];
        expected.extend([1; 32]);
        expected.extend([2, 1, 0x70, 4, 5, 6, 7, 1, 8, 9, 20, 22, 1, 24, 1, 13, 14]);
        expected.extend([15; 16]);
        assert_eq!(encode(&row).unwrap(), expected);
        assert_eq!(encode(&Place::Slab { offset: 300, len: 1 }).unwrap(), [1, 2, 0xac, 2, 1]);
    }
}
