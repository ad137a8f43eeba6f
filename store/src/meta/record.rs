//! Commit records: everything that one operation changes, as physical after-images (absolute values), so that
//! applying a record twice is applying it once and a fuzzy checkpoint can be replayed over (ruling 4).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::RowChange;
use crate::error::{Error, Result};
use crate::types::{Caller, Cid, Door, Id, Seq, Timestamp};

/// Version byte of the encoded record. Older forms are kept as fixtures.
const VERSION: u8 = 1;

/// The stream of accounts and the bucket list; every other stream is a bucket's [`Id`].
pub const SYSTEM_STREAM: Id = Id([0; 16]);

/// What kind of operation a record is, for the change feed and the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Op {
    /// CreateBucket, or `mkdir` in the namespace root.
    CreateBucket,
    /// DeleteBucket, or `rmdir` in the namespace root.
    DeleteBucket,
    /// An object's content was replaced as a whole: PutObject, CopyObject, CompleteMultipartUpload.
    Put,
    /// An object was deleted.
    Delete,
    /// A written file got its CID.
    Publish,
    /// A file was opened for writing and has a live file now.
    OpenLive,
    /// A name was made: create, mknod, symlink.
    Create,
    /// A directory was made.
    Mkdir,
    /// A name was removed.
    Unlink,
    /// A directory was removed.
    Rmdir,
    /// A name was moved.
    Rename,
    /// A hard link was made.
    Link,
    /// Attributes, extended attributes, tags or other metadata changed.
    SetAttr,
    /// A multipart upload began, got a part, or ended.
    Multipart,
    /// An account changed.
    Account,
    /// Bookkeeping: inode number blocks and the like.
    System,
}

/// What stood under a name before it was replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replaced {
    /// Its version.
    pub version: Id,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: String,
}

/// A small body that travels inside the record: one sync in all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InlineBlock {
    /// The block's CID.
    pub cid: Cid,
    /// The bytes that the CID names.
    #[serde(serialize_with = "as_bytes", deserialize_with = "from_bytes")]
    pub bytes: Bytes,
}

/// One commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Position in the log; given by the log when it is appended.
    pub seq: Seq,
    /// The stream it belongs to: a bucket, or [`SYSTEM_STREAM`].
    pub stream: Id,
    /// Position in the stream.
    pub stream_seq: Seq,
    /// The request that made it.
    pub request: Id,
    /// Who asked.
    pub principal: String,
    /// By which door.
    pub door: Door,
    /// When, by this host's clock; orders nothing.
    pub time: Timestamp,
    /// What kind of operation.
    pub op: Op,
    /// What it replaced.
    pub replaced: Option<Replaced>,
    /// Rows after the operation; `None` deletes.
    #[serde(serialize_with = "rows_as_bytes")]
    pub rows: Vec<RowChange>,
    /// Small bodies.
    pub blocks: Vec<InlineBlock>,
}

fn as_bytes<S: serde::Serializer>(bytes: &Bytes, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

fn from_bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Bytes, D::Error> {
    serde_bytes::ByteBuf::deserialize(deserializer).map(|bytes| bytes.into_vec().into())
}

/// As serde would do it, but each key and value in one piece instead of byte by byte.
fn rows_as_bytes<S: serde::Serializer>(rows: &[RowChange], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let bytes = serde_bytes::Bytes::new;
    serializer.collect_seq(rows.iter().map(|(key, value)| (bytes(key), value.as_deref().map(bytes))))
}

impl Record {
    /// An empty record by `caller`, to be filled with rows.
    pub fn new(stream: Id, caller: &Caller, time: Timestamp, op: Op) -> Self {
        Self {
            seq: 0,
            stream,
            stream_seq: 0,
            request: caller.request,
            principal: caller.principal.clone(),
            door: caller.door,
            time,
            op,
            replaced: None,
            rows: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// The record as stored: a version byte, then the fields in postcard's encoding.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.encoded_len()?);
        self.encode_to(&mut out)?;
        Ok(out)
    }

    /// Bytes that [`Record::encode`] gives. Copies nothing.
    pub fn encoded_len(&self) -> Result<usize> {
        postcard::serialize_with_flavor(self, postcard::ser_flavors::Size::default())
            .map(|len| 1 + len)
            .map_err(cannot_encode)
    }

    /// Appends the record as stored.
    pub fn encode_to(&self, out: &mut Vec<u8>) -> Result<()> {
        let mut buffer = std::mem::take(out);
        buffer.push(VERSION);
        *out = postcard::to_extend(self, buffer).map_err(cannot_encode)?;
        Ok(())
    }

    /// Reads a stored record; Corrupt if it is none, or of a version this program does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|e| Error::corrupt("a log record cannot be read").caused_by(e))
            }
            Some((version, _)) => Err(Error::corrupt("a log record has an unknown version").with("version", version)),
            None => Err(Error::corrupt("a log record is empty")),
        }
    }
}

fn cannot_encode(cause: postcard::Error) -> Error {
    Error::new(crate::ErrorKind::Internal, "a record cannot be encoded").caused_by(cause)
}
