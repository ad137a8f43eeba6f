//! What goes over the admin socket, as JSON: shared by the daemon and the commands, so that they cannot drift.

use serde::{Deserialize, Serialize};

use crate::config::value::MountSpec;
use crate::credentials::Secret;

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since it was ready.
    pub uptime_seconds: u64,
    /// `starting`, `serving` or `stopping`, or why it is not well.
    pub state: String,
    /// Data directory.
    pub data: String,
    /// URL of the S3 endpoint, if there is one.
    pub s3: Option<String>,
    /// Address of health and metrics, if there is one.
    pub admin: Option<String>,
    /// URL of the web console, if there is one.
    #[serde(default)]
    pub console: Option<String>,
    /// Engine of the metadata replica.
    pub engine: String,
    /// Number of buckets.
    pub buckets: u64,
    /// Bytes of the data disk: all, and what may still be written (free less the reserve).
    pub disk_total: u64,
    /// See `disk_total`.
    pub disk_available: u64,
    /// The mounts.
    pub mounts: Vec<Mount>,
}

/// A mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Mount point.
    pub dir: String,
    /// Bucket it shows; none shows all.
    pub bucket: Option<String>,
    /// Directory of the bucket it shows; empty shows all of it.
    pub prefix: String,
    /// It refuses writes.
    pub read_only: bool,
    /// The kernel reads and writes whole local files by itself. In a request it means nothing.
    #[serde(default)]
    pub passthrough: bool,
}

impl From<&MountSpec> for Mount {
    fn from(spec: &MountSpec) -> Self {
        Self {
            dir: spec.dir.display().to_string(),
            bucket: spec.bucket.clone(),
            prefix: spec.prefix.clone(),
            read_only: spec.read_only,
            passthrough: false,
        }
    }
}

impl From<Mount> for MountSpec {
    fn from(mount: Mount) -> Self {
        Self {
            dir: mount.dir.into(),
            bucket: mount.bucket,
            prefix: mount.prefix.trim_matches('/').to_owned(),
            read_only: mount.read_only,
        }
    }
}

/// `POST /v1/mounts/remove`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unmount {
    /// Mount point.
    pub dir: String,
}

/// A bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Name.
    pub name: String,
    /// When it was created, RFC 3339 in UTC.
    pub created: String,
    /// Access key of its owner.
    pub owner: String,
    /// UnixFS profile.
    pub profile: String,
    /// Region named at creation.
    pub region: Option<String>,
    /// How new objects are encrypted.
    #[serde(default)]
    pub encryption: EncryptionMode,
}

/// How a bucket's new objects are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncryptionMode {
    /// Not at all.
    #[default]
    None,
    /// Under the bucket's key.
    Bucket,
    /// Each under a key of its own.
    Object,
}

/// `PUT /v1/buckets/{name}/encryption`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BucketEncryption {
    /// The mode.
    pub mode: EncryptionMode,
}

/// Answer of `POST /v1/buckets/{name}/destroy-key`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DestroyedKey {
    /// The bucket.
    pub bucket: String,
    /// Id of the key that is gone.
    pub key: String,
}

/// `POST /v1/keys/rotate`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RotateKeys {
    /// Make a new master key and put it first in its file; else the file is read as it is.
    pub make: bool,
}

/// What became of the bucket keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotatedKeys {
    /// Name of the master key that wraps them all now.
    pub master: String,
    /// Keys that were wrapped anew.
    pub rewrapped: u64,
    /// Keys that it had wrapped already.
    pub current: u64,
}

/// `GET /v1/buckets/NAME/quota`: what a bucket may use and uses. Nothing is counted where there is no quota.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes it may use; none is no limit.
    pub bytes: Option<u64>,
    /// Objects and versions it may have; none is no limit.
    pub objects: Option<u64>,
    /// Bytes it uses.
    pub used_bytes: Option<u64>,
    /// Objects and versions it has.
    pub used_objects: Option<u64>,
}

/// `GET` and `PUT /v1/buckets/NAME/provide`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provide {
    /// Its blocks go out to IPFS.
    pub open: bool,
}

/// `PUT /v1/buckets/NAME/quota`. Neither is no quota.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetQuota {
    /// Bytes; none is no limit.
    pub bytes: Option<u64>,
    /// Objects and versions; none is no limit.
    pub objects: Option<u64>,
}

/// `POST /v1/buckets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateBucket {
    /// Name.
    pub name: String,
    /// Access key of the owner; none is the root account.
    pub owner: Option<String>,
    /// UnixFS profile; none is the default one.
    #[serde(default)]
    pub profile: Option<String>,
}

/// Role of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Own buckets, and may create buckets.
    UserPlus,
    /// Own buckets only.
    User,
}

/// An account, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Access key.
    pub access: String,
    /// Role.
    pub role: Role,
    /// POSIX owner of what it puts.
    pub uid: u32,
    /// POSIX group of what it puts.
    pub gid: u32,
    /// Project of what it puts.
    #[serde(default)]
    pub project: u32,
}

/// `POST /v1/users`.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreateUser {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Its secret key.
    pub secret: Secret,
}

/// `POST /v1/import/users`.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImportUsers {
    /// The accounts.
    pub users: Vec<CreateUser>,
    /// Those that are there already are replaced.
    pub replace: bool,
}

/// What became of imported accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImportedUsers {
    /// New ones.
    pub created: Vec<String>,
    /// Those that were replaced.
    pub replaced: Vec<String>,
    /// Those that were there and were left as they are.
    pub kept: Vec<String>,
}

/// `PUT /v1/users/{access}/secret`.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewSecret {
    /// The secret key.
    pub secret: Secret,
}

/// `GET /v1/object?bucket=…&key=…`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectName {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// `GET /v1/cid?bucket=…&directory=…`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectoryName {
    /// Bucket.
    pub bucket: String,
    /// Directory in it; empty is the bucket itself.
    #[serde(default)]
    pub directory: String,
}

/// A pin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pin {
    /// Its root.
    pub cid: String,
    /// `queued`, `pinning`, `pinned`, `failing` or `overdue`.
    pub state: String,
    /// Peers that held it when they were asked last.
    pub pinned: u32,
    /// Peers that are to; 0 if nobody was asked.
    pub of: u32,
    /// Tries in a row without success.
    pub attempts: u32,
    /// Why it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it is wanted (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_since: Option<String>,
    /// The name that the cluster was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Peers at least, as the cluster was told; -1 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_min: Option<i32>,
    /// Peers at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_max: Option<i32>,
    /// Who asked for it, beside the objects that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

/// Some pins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pins {
    /// These.
    pub pins: Vec<Pin>,
    /// Where the others begin; none if there are none.
    pub next: Option<String>,
}

/// Pins that are asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddPins {
    /// At most 1000.
    pub pins: Vec<AddPin>,
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddPin {
    /// Its root.
    pub cid: String,
    /// `critical`, `normal` (the default) or `background`.
    #[serde(default)]
    pub class: Option<String>,
    /// A name.
    #[serde(default)]
    pub name: Option<String>,
    /// Peers at least; -1, the default, is all.
    #[serde(default)]
    pub replication_min: Option<i32>,
    /// Peers at most.
    #[serde(default)]
    pub replication_max: Option<i32>,
}

/// Pins that are given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovePins {
    /// At most 1000.
    pub cids: Vec<String>,
}

/// How many pins were asked for, or given back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PinCount {
    /// So many.
    pub pins: u64,
}

/// What came of a file of pins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PinBatch {
    /// Pins asked for.
    pub asked: u64,
    /// Pins given back.
    pub given_back: u64,
}

/// The DAG of a directory and all below it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectoryCid {
    /// Root CID.
    pub cid: String,
    /// Files and symbolic links in it.
    pub files: u64,
    /// Directories in it, itself not counted.
    pub directories: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of all blocks, as often as they are linked.
    pub dag_bytes: u64,
    /// FIFOs, sockets and devices, which UnixFS has no word for.
    pub left_out: u64,
}

/// An object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Object {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Root CID.
    pub cid: String,
    /// Number of chunks.
    pub chunks: u64,
    /// ETag without quotes.
    pub etag: String,
    /// When this content was committed, RFC 3339 in UTC.
    pub last_modified: String,
    /// Content type.
    pub content_type: String,
    /// `st_mode` in octal.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// POSIX modification time, RFC 3339 in UTC.
    pub mtime: String,
    /// Inode number.
    pub ino: u64,
    /// User metadata (`x-amz-meta-*` without the prefix).
    pub metadata: Vec<(String, String)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// `POST /v1/meta/checkpoint`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Sequence number that the checkpoint reaches.
    pub sequence: u64,
}

/// `GET /v1/audit/verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditVerified {
    /// Files read.
    pub files: u64,
    /// Good lines before the first bad one.
    pub lines: u64,
    /// Number of the first line.
    pub first: u64,
    /// Number of the last good line.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// Bytes behind it of a line without an end.
    pub unfinished: u64,
    /// What is wrong first, with file and line.
    pub problem: Option<String>,
}

impl From<pinfold_store::audit::Verified> for AuditVerified {
    fn from(found: pinfold_store::audit::Verified) -> Self {
        let problem = found.problem.map(|p| match p.line {
            0 => format!("{}: {}", p.file.display(), p.what),
            line => format!("{} line {line}: {}", p.file.display(), p.what),
        });
        let (seq, hash) = (found.head.seq, found.head.hash);
        let (files, lines, first, unfinished) = (found.files, found.lines, found.first, found.unfinished);
        Self { files, lines, first, seq, hash, unfinished, problem }
    }
}

/// What every failed request answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The message.
    pub error: String,
}
