//! What the object side of the namespace takes and gives: requests and answers in the store's own words (no S3 type).

use std::sync::Arc;

use crate::chunk::{Sealing, Stored};
use crate::crypto::CustomerKey;
use crate::meta::kept::LockRow;
use crate::meta::rows::{BucketSettings, Checksum, ChecksumType, ObjectHeaders, ObjectMeta, PosixHints};
use crate::meta::seal::{Seal, SealKey};
use crate::types::{Cid, ETag, Id, Ino, Timestamp};
use crate::unixfs::Profile;

/// A bucket as the doors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Identity (also the stream's).
    pub id: Id,
    /// Name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Access key of its owner.
    pub owner: String,
    /// UnixFS profile of new objects.
    pub profile: Profile,
    /// Region named at creation.
    pub region: Option<String>,
    /// Bucket tags.
    pub tags: Vec<(String, String)>,
    /// Versioning, object lock and the documents set for it.
    pub settings: Arc<BucketSettings>,
}

/// An object as HEAD and GET show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The key (raw bytes; UTF-8 when it came over S3).
    pub key: Vec<u8>,
    /// Size in bytes.
    pub size: u64,
    /// Root CID: of the bytes as they are stored.
    pub cid: Cid,
    /// How they are sealed; none is plain.
    pub seal: Option<Arc<Seal>>,
    /// Number of chunks.
    pub leaves: u64,
    /// ETag, times, headers, tags, checksums, parts.
    pub meta: ObjectMeta,
    /// `st_mode` with the file type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// POSIX modification time.
    pub mtime: Timestamp,
    /// Inode number.
    pub ino: Ino,
    /// A symlink (content type `inode/symlink`).
    pub symlink: bool,
}

impl ObjectInfo {
    /// The POSIX attributes that S3 returns (S11).
    pub fn shown_posix(&self) -> PosixHints {
        let shown = self.meta.posix_shown;
        PosixHints {
            mode: shown.mode.then_some(self.mode),
            uid: shown.uid.then_some(self.uid),
            gid: shown.gid.then_some(self.gid),
            mtime: shown.mtime.then_some(self.mtime),
        }
    }
}

/// A list of entity tags in a conditional header: `*` or tags (without quotes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ETagMatch {
    /// `*`
    Any,
    /// One of these.
    Tags(Vec<String>),
}

/// Conditional headers, decided at the log's head for writes. All that are given must hold, with HTTP's precedence
/// (If-Match over If-Unmodified-Since, If-None-Match over If-Modified-Since).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// `If-Match`.
    pub if_match: Option<ETagMatch>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagMatch>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
    /// Conditional delete: `x-amz-if-match-size`.
    pub if_size: Option<u64>,
    /// Conditional delete: `x-amz-if-match-last-modified-time`.
    pub if_last_modified: Option<Timestamp>,
}

/// The verdict of a precondition on a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadVerdict {
    /// Go on.
    Proceed,
    /// 304: If-None-Match or If-Modified-Since says the client has it.
    NotModified,
    /// 412.
    Failed,
}

/// A new object's metadata. Content comes separately, from a [`crate::chunk::ObjectWriter`].
#[derive(Clone, Debug, Default)]
pub struct PutMeta {
    /// Headers and user metadata (without the `x-amz-meta-mode|uid|gid|mtime` that went to `posix`).
    pub headers: ObjectHeaders,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Verified checksum to keep.
    pub checksum: Option<Checksum>,
    /// POSIX attributes sent (S11).
    pub posix: PosixHints,
    /// Retention and legal hold; what is not named is the bucket's default. Only where the bucket has object lock.
    pub lock: Option<LockRow>,
}

/// PutObject: content that is stored already, to be named.
pub struct PutRequest {
    /// The stored content.
    pub content: Stored,
    /// Its ETag: the MD5 of the body in hex.
    pub etag: ETag,
    /// Metadata.
    pub meta: PutMeta,
    /// Conditions.
    pub precondition: Precondition,
}

/// What CopyObject does with metadata and tags.
#[derive(Clone, Debug, Default)]
pub struct CopyRequest {
    /// What seals the copy; none is plain. (The door asks `Namespace::sealing`.)
    pub sealing: Option<Sealing>,
    /// The client's key of the source.
    pub source_customer: Option<CustomerKey>,
    /// Conditions on the source.
    pub source_precondition: Precondition,
    /// Conditions on the destination.
    pub precondition: Precondition,
    /// The version of the source; none is the current one.
    pub source_version: Option<Id>,
    /// Retention and legal hold of the new object.
    pub lock: Option<LockRow>,
    /// `x-amz-metadata-directive: REPLACE` with these; none copies the source's.
    pub replace_meta: Option<(ObjectHeaders, PosixHints)>,
    /// `x-amz-tagging-directive: REPLACE` with these; none copies the source's.
    pub replace_tags: Option<Vec<(String, String)>>,
}

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// There was an object, or the version that was named.
    pub existed: bool,
    /// The delete marker that was made, or the version that was deleted, in a bucket that keeps versions.
    pub version: Option<Id>,
    /// That is a delete marker.
    pub marker: bool,
}

/// A delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerInfo {
    /// The key that it hides.
    pub key: Vec<u8>,
    /// Its version.
    pub version: Id,
    /// When it was made.
    pub made: Timestamp,
}

/// A page of ListObjectVersions.
#[derive(Clone, Debug, Default)]
pub struct VersionsRequest {
    /// Only keys with this prefix.
    pub prefix: Vec<u8>,
    /// Keys with this string after the prefix are rolled up; empty is none.
    pub delimiter: Vec<u8>,
    /// Only what comes after this key, or after this version of it.
    pub after: Option<(Vec<u8>, Option<Id>)>,
    /// At most this many versions, markers and prefixes together.
    pub max: usize,
}

/// One row of ListObjectVersions. The flag says whether it is the key's latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionItem {
    /// An object.
    Object(Box<ObjectInfo>, bool),
    /// A delete marker.
    Marker(MarkerInfo, bool),
    /// A rolled-up prefix (with its delimiter).
    Prefix(Vec<u8>),
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct VersionPage {
    /// By key, of each key the newest first.
    pub items: Vec<VersionItem>,
    /// There is more after the last item.
    pub truncated: bool,
}

/// A page of a listing, V1 or V2.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only keys with this prefix.
    pub prefix: Vec<u8>,
    /// Keys with this string after the prefix are rolled up; empty is none.
    pub delimiter: Vec<u8>,
    /// Only keys (and rolled-up prefixes) greater than this. A value that is itself a rolled-up prefix skips
    /// everything below it.
    pub after: Vec<u8>,
    /// At most this many keys and prefixes together.
    pub max: usize,
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListItem {
    /// A key.
    Object(Box<ObjectInfo>),
    /// A rolled-up prefix (with its delimiter).
    Prefix(Vec<u8>),
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// In byte order of keys and prefixes.
    pub items: Vec<ListItem>,
    /// There is more after the last item; go on with `after` = the last item's key or prefix.
    pub truncated: bool,
}

/// CreateMultipartUpload.
#[derive(Clone, Debug, Default)]
pub struct CreateUpload {
    /// What seals the parts; none is plain.
    pub sealing: Option<Sealing>,
    /// Metadata of the object to be.
    pub meta: PutMeta,
    /// Checksum algorithm and type.
    pub checksum: Option<(String, ChecksumType)>,
}

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// What seals its parts; none is plain.
    pub seal: Option<SealKey>,
    /// The key.
    pub key: Vec<u8>,
    /// Its id.
    pub id: Id,
    /// When it was created.
    pub created: Timestamp,
    /// Access key of who created it.
    pub initiator: String,
    /// Checksum algorithm and type.
    pub checksum: Option<(String, ChecksumType)>,
    /// Storage class as sent.
    pub storage_class: Option<String>,
}

/// An uploaded part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSummary {
    /// 1 to 10,000.
    pub number: u32,
    /// Size in bytes.
    pub size: u64,
    /// MD5 in hex.
    pub etag: ETag,
    /// When it was uploaded.
    pub last_modified: Timestamp,
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// One line of CompleteMultipartUpload's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletePart {
    /// Part number.
    pub number: u32,
    /// ETag as the client says it (without quotes).
    pub etag: String,
    /// Checksum value (base64) as the client says it.
    pub checksum: Option<String>,
}

/// CompleteMultipartUpload.
#[derive(Clone, Debug, Default)]
pub struct CompleteRequest {
    /// The parts, in ascending order.
    pub parts: Vec<CompletePart>,
    /// Conditions.
    pub precondition: Precondition,
    /// `x-amz-mp-object-size`: must equal the sum.
    pub expected_size: Option<u64>,
    /// Checksum of the whole object, composed by the door from the parts' (see [`super::Namespace::parts`]) and
    /// compared there with what the client says.
    pub checksum: Option<Checksum>,
}

/// A page of ListMultipartUploads.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// Uploads by key, then by id.
    pub uploads: Vec<UploadInfo>,
    /// Rolled-up prefixes.
    pub prefixes: Vec<Vec<u8>>,
    /// There is more.
    pub truncated: bool,
}
