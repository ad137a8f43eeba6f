//! The one API of both doors.  (STUB bodies on this commit: signatures are the contract, the engine follows.)
#![allow(unused_variables, clippy::unused_async)]

pub mod mount_types;
pub mod s3_types;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::{ObjectReader, ObjectWriter, Stored, WriterOptions};
use crate::error::Result;
use crate::meta::rows::PosixHints;
use crate::types::{BucketName, Caller, Id, Ino, Timestamp};
use mount_types::{DirEntry, FsStat, Invalidate, Name, OpenMode, RenameMode, SetAttr, Special, Stat, XattrMode};
use s3_types::{
    BucketInfo, CompleteRequest, CopyRequest, CreateUpload, DeleteOutcome, ListPage, ListRequest, ObjectInfo,
    PartSummary, Precondition, PutRequest, ReadVerdict, UploadInfo, UploadPage,
};

/// An account. Roles are VersityGW's: `admin` may do everything, `userplus` may create buckets, `user` may not.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Access key: also the canonical id.
    pub access: String,
    /// Secret key.
    pub secret: String,
    /// Role.
    pub role: Role,
    /// POSIX owner of what it puts.
    pub uid: u32,
    /// POSIX group of what it puts.
    pub gid: u32,
}

/// What an account may do in general.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Role {
    /// Everything.
    Admin,
    /// Own buckets, and may create buckets.
    UserPlus,
    /// Own buckets only.
    User,
}

/// The namespace. Cheap to clone; two of them can live in one process.
#[derive(Clone)]
pub struct Namespace(Arc<()>);

/// An open file. Dropping it without [`Namespace::release`] counts as releasing it.
pub struct FileHandle(());

impl FileHandle {
    /// The inode.
    pub fn ino(&self) -> Ino {
        stub()
    }
    /// How it was opened.
    pub fn mode(&self) -> OpenMode {
        stub()
    }
    /// The local file that holds exactly this inode's bytes, readable (and writable, if this inode was first opened
    /// for writing), if the kernel may read and write it directly. The answer is the same for all opens of the inode
    /// until its last release (a kernel allows one backing file an inode).
    pub fn passthrough(&self) -> Option<Arc<File>> {
        stub()
    }
}

fn stub() -> ! {
    panic!("stub")
}

// ---- S3 side: async, returns when durable.
impl Namespace {
    /// Creates a bucket. AlreadyExists carries the context `owner`.
    pub async fn create_bucket(
        &self,
        caller: &Caller,
        name: &BucketName,
        region: Option<String>,
    ) -> Result<BucketInfo> {
        stub()
    }
    /// NoSuchBucket if there is none.
    pub fn bucket(&self, name: &str) -> Result<BucketInfo> {
        stub()
    }
    /// All buckets by name.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        stub()
    }
    /// Deletes an empty bucket, else NotEmpty.
    pub async fn delete_bucket(&self, caller: &Caller, name: &str) -> Result<()> {
        stub()
    }
    /// Replaces a bucket's tags.
    pub async fn set_bucket_tags(&self, caller: &Caller, name: &str, tags: Vec<(String, String)>) -> Result<()> {
        stub()
    }

    /// A writer for an object's or part's bytes in this bucket's profile. Blocking: use it from a blocking thread,
    /// except for bodies of which `size_hint` says at most 64 KiB.
    pub fn writer(&self, bucket: &str, options: WriterOptions) -> Result<ObjectWriter> {
        stub()
    }
    /// Names stored content: PutObject.
    pub async fn put(&self, caller: &Caller, bucket: &str, key: &[u8], request: PutRequest) -> Result<ObjectInfo> {
        stub()
    }
    /// HEAD. A file with unpublished writes is published first (S6).
    pub async fn head(&self, caller: &Caller, bucket: &str, key: &[u8]) -> Result<ObjectInfo> {
        stub()
    }
    /// GET: the object and a reader of exactly that content.
    pub async fn get(&self, caller: &Caller, bucket: &str, key: &[u8]) -> Result<(ObjectInfo, ObjectReader)> {
        stub()
    }
    /// DELETE. Deleting what is not there is not an error. PreconditionFailed if a condition does not hold.
    pub async fn delete(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        precondition: Precondition,
    ) -> Result<DeleteOutcome> {
        stub()
    }
    /// CopyObject: no bytes move.
    pub async fn copy(
        &self,
        caller: &Caller,
        source: (&str, &[u8]),
        destination: (&str, &[u8]),
        request: CopyRequest,
    ) -> Result<ObjectInfo> {
        stub()
    }
    /// Replaces an object's tags (an empty list deletes them).
    pub async fn set_tags(&self, caller: &Caller, bucket: &str, key: &[u8], tags: Vec<(String, String)>) -> Result<()> {
        stub()
    }
    /// A page of the listing.
    pub async fn list(&self, caller: &Caller, bucket: &str, request: ListRequest) -> Result<ListPage> {
        stub()
    }

    /// CreateMultipartUpload.
    pub async fn create_upload(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        request: CreateUpload,
    ) -> Result<UploadInfo> {
        stub()
    }
    /// An upload in progress; NoSuchUpload if key and id do not name one.
    pub fn upload(&self, bucket: &str, key: &[u8], upload: Id) -> Result<UploadInfo> {
        stub()
    }
    /// UploadPart: names stored content as part `number` (1 to 10,000).
    pub async fn put_part(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        upload: Id,
        number: u32,
        content: Stored,
        checksum: Option<crate::meta::rows::Checksum>,
    ) -> Result<PartSummary> {
        stub()
    }
    /// Parts after `after`, at most `max`; the flag says whether there are more.
    pub fn parts(
        &self,
        bucket: &str,
        key: &[u8],
        upload: Id,
        after: u32,
        max: usize,
    ) -> Result<(Vec<PartSummary>, bool)> {
        stub()
    }
    /// Uploads after the marker (key, id).
    pub fn uploads(
        &self,
        bucket: &str,
        prefix: &[u8],
        delimiter: &[u8],
        after: Option<(Vec<u8>, Option<Id>)>,
        max: usize,
    ) -> Result<UploadPage> {
        stub()
    }
    /// CompleteMultipartUpload. May take long for odd part sizes.
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        upload: Id,
        request: CompleteRequest,
    ) -> Result<ObjectInfo> {
        stub()
    }
    /// AbortMultipartUpload.
    pub async fn abort_upload(&self, caller: &Caller, bucket: &str, key: &[u8], upload: Id) -> Result<()> {
        stub()
    }

    /// The account of an access key.
    pub fn account(&self, access: &str) -> Result<Option<Account>> {
        stub()
    }
    /// All accounts by access key (the root account is not among them).
    pub fn accounts(&self) -> Result<Vec<Account>> {
        stub()
    }
    /// Creates (AlreadyExists) or, with `replace`, updates an account.
    pub async fn set_account(&self, caller: &Caller, account: Account, replace: bool) -> Result<()> {
        stub()
    }
    /// Deletes an account; NotFound.
    pub async fn delete_account(&self, caller: &Caller, access: &str) -> Result<()> {
        stub()
    }
}

// ---- Mount side: answers on the caller's thread; acknowledged when sequenced (ruling 2).
impl Namespace {
    /// Stat of a mount's root: the namespace root (empty path), a bucket, or a prefix in a bucket (components).
    /// The inode stays known until it is forgotten.
    pub fn mount_root(&self, path: &[&[u8]]) -> Result<Stat> {
        stub()
    }
    /// Looks a name up and makes its inode known (one more lookup count).
    pub fn lookup(&self, parent: Ino, name: Name<'_>) -> Result<Stat> {
        stub()
    }
    /// The kernel forgot `count` lookups of an inode.
    pub fn forget(&self, ino: Ino, count: u64) {
        stub()
    }
    /// Parent of a directory (`..`); the root's is itself.
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        stub()
    }
    /// `stat` of a known inode.
    pub fn getattr(&self, ino: Ino) -> Result<Stat> {
        stub()
    }
    /// `chmod`, `chown`, `truncate`, `utimensat`.
    pub fn setattr(&self, caller: &Caller, ino: Ino, set: SetAttr) -> Result<Stat> {
        stub()
    }
    /// `open` with `O_CREAT` of a name that is not there (AlreadyExists if it is). One more lookup count.
    pub fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: Name<'_>,
        mode: u32,
        open: OpenMode,
    ) -> Result<(Stat, Arc<FileHandle>)> {
        stub()
    }
    /// `mknod`. One more lookup count.
    pub fn mknod(&self, caller: &Caller, parent: Ino, name: Name<'_>, mode: u32, what: Special) -> Result<Stat> {
        stub()
    }
    /// `mkdir`. One more lookup count. In the namespace root: CreateBucket (a bad name is InvalidArgument).
    pub fn mkdir(&self, caller: &Caller, parent: Ino, name: Name<'_>, mode: u32) -> Result<Stat> {
        stub()
    }
    /// `symlink`. One more lookup count.
    pub fn symlink(&self, caller: &Caller, parent: Ino, name: Name<'_>, target: &[u8]) -> Result<Stat> {
        stub()
    }
    /// `link`. One more lookup count. CrossesBuckets between buckets.
    pub fn link(&self, caller: &Caller, ino: Ino, parent: Ino, name: Name<'_>) -> Result<Stat> {
        stub()
    }
    /// `readlink`.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        stub()
    }
    /// `unlink`.
    pub fn unlink(&self, caller: &Caller, parent: Ino, name: Name<'_>) -> Result<()> {
        stub()
    }
    /// `rmdir`. In the namespace root: DeleteBucket.
    pub fn rmdir(&self, caller: &Caller, parent: Ino, name: Name<'_>) -> Result<()> {
        stub()
    }
    /// `renameat2`.
    pub fn rename(
        &self,
        caller: &Caller,
        parent: Ino,
        name: Name<'_>,
        new_parent: Ino,
        new_name: Name<'_>,
        mode: RenameMode,
    ) -> Result<()> {
        stub()
    }
    /// Opens a known inode.
    pub fn open(&self, caller: &Caller, ino: Ino, open: OpenMode) -> Result<Arc<FileHandle>> {
        stub()
    }
    /// Reads up to `len` bytes; fewer only at the end of the file.
    pub fn read(&self, handle: &FileHandle, offset: u64, len: usize) -> Result<Bytes> {
        stub()
    }
    /// Writes all of `data` at `offset` (at the end for an appending handle).
    pub fn write(&self, handle: &FileHandle, offset: u64, data: &[u8]) -> Result<()> {
        stub()
    }
    /// `close` of one descriptor: what was written becomes visible to the other door (ruling 20).
    pub fn flush(&self, handle: &FileHandle) -> Result<()> {
        stub()
    }
    /// Last close of a handle: publishing follows.
    pub fn release(&self, handle: &Arc<FileHandle>) -> Result<()> {
        stub()
    }
    /// `fsync`, `fdatasync`: durable when it returns (S14).
    pub fn fsync(&self, handle: &FileHandle, data_only: bool) -> Result<()> {
        stub()
    }
    /// `fsync` of a directory, `syncfs`: everything sequenced so far is durable when it returns.
    pub fn sync_names(&self) -> Result<()> {
        stub()
    }
    /// `fallocate` with Linux's mode bits (`FALLOC_FL_*`); Unsupported for a mode that the local disk cannot do.
    pub fn fallocate(&self, handle: &FileHandle, offset: u64, len: u64, mode: i32) -> Result<()> {
        stub()
    }
    /// `lseek` with `SEEK_DATA` (`data`) or `SEEK_HOLE`; `None` is ENXIO.
    pub fn seek_data_or_hole(&self, handle: &FileHandle, offset: u64, data: bool) -> Result<Option<u64>> {
        stub()
    }
    /// `copy_file_range`: bytes copied.
    pub fn copy_range(
        &self,
        from: &FileHandle,
        from_offset: u64,
        to: &FileHandle,
        to_offset: u64,
        len: u64,
    ) -> Result<u64> {
        stub()
    }
    /// Entries of a directory after `after` (a cookie; none begins), at most `limit`, without `.` and `..`.
    /// Lookup counts do not change: a caller that hands entries to the kernel as looked up calls [`Self::remember`].
    pub fn readdir(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Result<Vec<DirEntry>> {
        stub()
    }
    /// One more lookup count of an entry that `readdir` returned (readdirplus). NotFound if it is gone meanwhile.
    pub fn remember(&self, parent: Ino, entry: &DirEntry) -> Result<()> {
        stub()
    }
    /// A directory was opened (a process may hold it): an implicit one stays readable until `closedir` (ruling 24).
    pub fn opendir(&self, ino: Ino) -> Result<()> {
        stub()
    }
    /// The counterpart.
    pub fn closedir(&self, ino: Ino) {
        stub()
    }
    /// An extended attribute: stored ones, `user.s3.*` and `user.pinfold.*` (S11). NoAttribute.
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        stub()
    }
    /// Names of the extended attributes.
    pub fn listxattr(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        stub()
    }
    /// Sets one.
    pub fn setxattr(&self, caller: &Caller, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        stub()
    }
    /// Removes one; NoAttribute.
    pub fn removexattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Result<()> {
        stub()
    }
    /// Room on the data disk.
    pub fn statfs(&self) -> Result<FsStat> {
        stub()
    }
    /// Registers a mount for invalidations. The answer goes into [`Caller::mount`] of that mount's
    /// operations, so that it is not told of what it did itself, and to [`Self::unsubscribe`].
    pub fn subscribe(&self, mount: Arc<dyn Invalidate>) -> u64 {
        stub()
    }
    /// The counterpart.
    pub fn unsubscribe(&self, id: u64) {
        stub()
    }
    /// Publishes every written file; returns when all that could be is durable (clean unmount, shutdown).
    pub fn publish_all(&self) -> Result<()> {
        stub()
    }
}

/// Evaluates conditional headers of a read (GET, HEAD, copy source) against an object.
pub fn check_read(precondition: &Precondition, etag: &str, last_modified: Timestamp) -> ReadVerdict {
    stub()
}

#[allow(unused)]
fn unused(_: PosixHints) {}
