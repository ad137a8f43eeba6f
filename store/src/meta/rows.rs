//! Values of the replica's logged rows. Each is stored as a version byte and postcard's encoding of the struct;
//! a changed struct gets a new version and its old form stays readable (fixtures in `meta/tests`).

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::bucket_row::{
    BucketEncryption, BucketRow, BucketSettings, DefaultRetention, EncryptionMode, ObjectLock, RetentionMode,
    RetentionTime, Versioning,
};
use super::kept::LockRow;
use super::seal::{Seal, UploadSeal};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Cid, DirId, ETag, Id, Ino, Timestamp};
use crate::unixfs::Profile;

/// A value of a logged row.
pub trait RowValue: Serialize + DeserializeOwned {
    /// The version that is written. All before it are read.
    const VERSION: u8 = 1;

    /// The value as stored.
    fn encode(&self) -> Result<Vec<u8>> {
        postcard::to_extend(self, vec![Self::VERSION])
            .map_err(|e| Error::new(ErrorKind::Internal, "a row cannot be encoded").caused_by(e))
    }

    /// Reads a stored value; Corrupt if it is none or of a version that this program does not know.
    fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&version, rest)) if (1..=Self::VERSION).contains(&version) => {
                let mut row: Self = Self::decode_old(version, rest)
                    .unwrap_or_else(|| postcard::from_bytes(rest))
                    .map_err(|e| Error::corrupt("a metadata row cannot be read").caused_by(e))?;
                row.upgrade(version);
                Ok(row)
            }
            Some((version, _)) => Err(Error::corrupt("a metadata row has an unknown version").with("version", version)),
            None => Err(Error::corrupt("a metadata row is empty")),
        }
    }

    /// Reads a row of version `from` that has other fields; `None` if it has the same.
    fn decode_old(_from: u8, _bytes: &[u8]) -> Option<postcard::Result<Self>> {
        None
    }

    /// Gives what was read from a row of version `from` the meaning that it had there.
    fn upgrade(&mut self, _from: u8) {}
}

/// POSIX attributes that every inode has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attr {
    /// Stable inode number.
    pub ino: Ino,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the bytes.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Creation.
    pub btime: Timestamp,
}

/// What a name in a directory stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EntryRow {
    /// A directory; everything else about it is in its [`DirRow`].
    Dir {
        /// Its identity.
        id: DirId,
        /// Its inode number.
        ino: Ino,
    },
    /// A file or special file with this one name.
    Node(Box<NodeRow>),
    /// One of several names of an inode that has a [`NodeRow`] of its own.
    Shared(Ino),
}

/// Extended attributes as set at the mount (`user.*`, `trusted.*`, `security.*`), sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DirRow {
    /// Attributes.
    pub attr: Attr,
    /// The bucket it belongs to.
    pub bucket: Id,
    /// The directory it is in; none for a bucket's root.
    pub parent: Option<DirId>,
    /// Its name there (raw key bytes, without the `/`); the bucket's name for a bucket's root.
    pub name: Vec<u8>,
    /// Made by `mkdir` or by putting `dir/`: stays when its last key goes (S3).
    pub explicit: bool,
    /// The object `dir/`, if one was put over S3 (metadata, perhaps content: `%@self` on the mount).
    pub marker: Option<Box<NodeRow>>,
    /// Number of directories in it (for `st_nlink`).
    pub subdirs: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// A file, symlink or special file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeRow {
    /// Attributes.
    pub attr: Attr,
    /// Number of names.
    pub nlink: u32,
    /// What it is.
    pub kind: NodeKind,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// What kind of inode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NodeKind {
    /// A regular file: an object.
    File(FileRow),
    /// A symbolic link: an object whose bytes are the target (S10).
    Symlink(FileRow, Vec<u8>),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device with its device number.
    CharDevice(u32),
    /// A block device with its device number.
    BlockDevice(u32),
}

/// An object's content and S3 metadata.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRow {
    /// The last published content.
    pub content: Content,
    /// S3's side.
    pub meta: ObjectMeta,
    /// A live file holds newer bytes than `content` (its row is `L`).
    pub live: bool,
}

/// Where an object's bytes are: the root of their DAG.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// How it is sealed; none is plain. (Its stored form: `meta::seal`.)
    pub seal: Option<Arc<Seal>>,
    /// Profile of the DAG.
    pub profile: Profile,
    /// Root CID: of the bytes as they are stored.
    pub root: Cid,
    /// Size in bytes, sealed or plain.
    pub size: u64,
    /// Number of chunks.
    pub leaves: u64,
}

/// Whether a checksum covers the whole object or is composed of its parts' checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChecksumType {
    /// Of the whole object.
    FullObject,
    /// Of the parts' checksums.
    Composite,
}

/// A checksum as the client asked for it; `value` is base64 as S3 sends it (a composite one ends in `-N`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checksum {
    /// `CRC32`, `CRC32C`, `CRC64NVME`, `SHA1` or `SHA256`.
    pub algorithm: String,
    /// Base64.
    pub value: String,
    /// What it covers.
    pub kind: ChecksumType,
}

/// Size and checksum of one part of a completed multipart upload (for `partNumber` reads and GetObjectAttributes).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartInfo {
    /// Part number.
    pub number: u32,
    /// Size in bytes.
    pub size: u64,
    /// Checksum, if the upload had an algorithm.
    pub checksum: Option<Checksum>,
}

/// S3's side of an object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// Entity tag, never older than the content.
    pub etag: ETag,
    /// When this content was committed.
    pub last_modified: Timestamp,
    /// Version identity; the null version in an unversioned bucket.
    pub version: Id,
    /// Headers and user metadata.
    pub headers: ObjectHeaders,
    /// Object tags.
    pub tags: Vec<(String, String)>,
    /// Checksum, if one was sent or asked for.
    pub checksum: Option<Checksum>,
    /// Parts, if it was a multipart upload.
    pub parts: Vec<PartInfo>,
    /// Which of `x-amz-meta-mode|uid|gid|mtime` a GET returns.
    pub posix_shown: PosixShown,
}

/// Headers that travel with an object.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ObjectHeaders {
    /// `Content-Type`; none means `binary/octet-stream`.
    pub content_type: Option<String>,
    /// `Content-Encoding` (without `aws-chunked`).
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
    /// `x-amz-storage-class`, as sent; none means STANDARD.
    pub storage_class: Option<String>,
    /// `x-amz-meta-*` without the prefix, lower case, in the order sent.
    pub user: Vec<(String, String)>,
}

/// A live file: a file open for writing, or written and not yet published.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LiveRow {
    /// The bucket's stream.
    pub bucket: Id,
    /// Key of the row that holds the inode (an entry, a shared node or a directory's marker).
    pub holder: Vec<u8>,
}

/// A multipart upload in progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UploadRow {
    /// When it was created.
    pub created: Timestamp,
    /// Who created it.
    pub initiator: String,
    /// Headers of the object to be.
    pub headers: ObjectHeaders,
    /// Tags of the object to be.
    pub tags: Vec<(String, String)>,
    /// Checksum algorithm and type, if the client named one.
    pub checksum: Option<(String, ChecksumType)>,
    /// POSIX attributes sent as `x-amz-meta-*` (S11).
    pub posix: PosixHints,
    /// Profile of the bucket at creation.
    pub profile: Profile,
    /// Retention and legal hold of the object to be (from version 2 on).
    pub lock: Option<LockRow>,
    /// What its parts are sealed with (from version 3 on).
    pub seal: Option<UploadSeal>,
}

/// An upload's row of versions 1 and 2; the second has the lock behind it.
#[derive(Deserialize)]
struct UploadRowV1 {
    created: Timestamp,
    initiator: String,
    headers: ObjectHeaders,
    tags: Vec<(String, String)>,
    checksum: Option<(String, ChecksumType)>,
    posix: PosixHints,
    profile: Profile,
}

/// POSIX attributes sent with a PUT (S11); `None` where not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PosixHints {
    /// Permission bits, or a whole `st_mode`.
    pub mode: Option<u32>,
    /// Owner (obeyed from admins only).
    pub uid: Option<u32>,
    /// Group (obeyed from admins only).
    pub gid: Option<u32>,
    /// Modification time.
    pub mtime: Option<Timestamp>,
}

/// Which of an object's POSIX attributes S3 returns, each by itself: the client sent it or the mount changed it (S11).
/// Stored as a byte, from the lowest bit on: mode, uid, gid, mtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct PosixShown {
    /// `x-amz-meta-mode`.
    pub mode: bool,
    /// `x-amz-meta-uid`.
    pub uid: bool,
    /// `x-amz-meta-gid`.
    pub gid: bool,
    /// `x-amz-meta-mtime`.
    pub mtime: bool,
}

impl PosixShown {
    /// All of them: the mount made it.
    pub const ALL: Self = Self { mode: true, uid: true, gid: true, mtime: true };

    /// Those that were sent.
    pub fn sent(hints: &PosixHints) -> Self {
        Self {
            mode: hints.mode.is_some(),
            uid: hints.uid.is_some(),
            gid: hints.gid.is_some(),
            mtime: hints.mtime.is_some(),
        }
    }
}

impl From<PosixShown> for u8 {
    fn from(shown: PosixShown) -> Self {
        let bits = [shown.mode, shown.uid, shown.gid, shown.mtime];
        bits.into_iter().rev().fold(0, |byte, bit| byte << 1 | Self::from(bit))
    }
}

impl TryFrom<u8> for PosixShown {
    type Error = &'static str;

    fn try_from(byte: u8) -> std::result::Result<Self, Self::Error> {
        let bit = |n: u8| byte >> n & 1 == 1;
        match byte {
            0..16 => Ok(Self { mode: bit(0), uid: bit(1), gid: bit(2), mtime: bit(3) }),
            _ => Err("there are four POSIX attributes"),
        }
    }
}

/// One uploaded part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartRow {
    /// Its content.
    pub content: Content,
    /// Its ETag (MD5).
    pub etag: ETag,
    /// When it was uploaded.
    pub last_modified: Timestamp,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

impl RowValue for EntryRow {
    const VERSION: u8 = 2;
    fn upgrade(&mut self, from: u8) {
        if let Self::Node(node) = self {
            node.upgrade(from);
        }
    }
}
impl RowValue for DirRow {
    const VERSION: u8 = 2;
    fn upgrade(&mut self, from: u8) {
        if let Some(marker) = &mut self.marker {
            marker.upgrade(from);
        }
    }
}
impl RowValue for NodeRow {
    const VERSION: u8 = 2;
    fn upgrade(&mut self, from: u8) {
        // Version 1 had one truth value for all four.
        if let Some(file) = self.file_mut().filter(|file| from == 1 && file.meta.posix_shown != PosixShown::default()) {
            file.meta.posix_shown = PosixShown::ALL;
        }
    }
}
impl RowValue for LiveRow {}
impl RowValue for UploadRow {
    const VERSION: u8 = 3;
    fn decode_old(from: u8, bytes: &[u8]) -> Option<postcard::Result<Self>> {
        let old = || -> postcard::Result<Self> {
            let (old, rest) = postcard::take_from_bytes::<UploadRowV1>(bytes)?;
            let lock = if from == 1 { None } else { postcard::from_bytes(rest)? };
            let UploadRowV1 { created, initiator, headers, tags, checksum, posix, profile } = old;
            Ok(Self { created, initiator, headers, tags, checksum, posix, profile, lock, seal: None })
        };
        (from < 3).then(old)
    }
}
impl RowValue for PartRow {}

impl NodeRow {
    /// The object side, if this inode is one (a file or a symlink).
    pub fn file(&self) -> Option<&FileRow> {
        match &self.kind {
            NodeKind::File(file) | NodeKind::Symlink(file, _) => Some(file),
            _ => None,
        }
    }

    /// The object side, if this inode is one (a file or a symlink).
    pub fn file_mut(&mut self) -> Option<&mut FileRow> {
        match &mut self.kind {
            NodeKind::File(file) | NodeKind::Symlink(file, _) => Some(file),
            _ => None,
        }
    }
}
