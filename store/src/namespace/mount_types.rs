//! What the mount side of the namespace takes and gives: inodes and names in the store's own words (no FUSE type).

use crate::types::{Ino, Timestamp};

/// Which of the things under one name is meant. Escapes (S2) live in the mount's crate; here names are raw key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The directory if there is one, else the object: what the plain name shows.
    Plain,
    /// The object, although (or whether or not) a directory has the same name (`%@object:NAME`).
    Object,
    /// The content of the directory's own marker (`%@self`); the bytes are empty.
    Marker,
}

/// A name within a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    /// Raw key bytes of one component: may be empty, `.` or `..`, never holds `/` or NUL.
    pub bytes: &'a [u8],
    /// Which thing.
    pub form: Form,
}

impl<'a> Name<'a> {
    /// The plain name.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, form: Form::Plain }
    }
}

/// Kind of inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// FIFO.
    Fifo,
    /// Socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

/// `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Inode number.
    pub ino: Ino,
    /// Kind.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// 512-byte blocks.
    pub blocks: u64,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the bytes.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Creation.
    pub btime: Timestamp,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The store's clock.
    Now,
    /// This.
    At(Timestamp),
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size: truncates or extends.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenMode {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// Cut to nothing first.
    pub truncate: bool,
    /// Every write is durable when it returns (`O_SYNC`, `O_DSYNC`).
    pub sync: bool,
}

/// What `mknod` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A regular file.
    File,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice(u32),
    /// A block device.
    BlockDevice(u32),
}

/// How `rename` treats the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// Replace it.
    Replace,
    /// AlreadyExists if there is one.
    NoReplace,
    /// Swap the two.
    Exchange,
}

/// How `setxattr` treats an existing attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Create or replace.
    Set,
    /// AlreadyExists if it is there (`XATTR_CREATE`).
    Create,
    /// NoAttribute if it is not (`XATTR_REPLACE`).
    Replace,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Raw key bytes of the component.
    pub name: Vec<u8>,
    /// `Object` where a directory of the same name hides the plain name, `Marker` for the marker's content.
    pub form: Form,
    /// Attributes.
    pub stat: Stat,
    /// Where to go on after this entry: pass it as `after`. Stable under changes of the directory.
    pub cookie: Vec<u8>,
}

/// `statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsStat {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// Bytes that may still be written (free less the reserve).
    pub available: u64,
    /// Inodes in all (files that fit).
    pub files: u64,
    /// Inodes free.
    pub files_free: u64,
}

/// The longest file name, in bytes, that the mount takes.
pub const MAX_NAME_LEN: usize = 1024;

/// What a change at the other door makes stale in a kernel's caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The name `name` in the directory `parent` (raw bytes; all forms of it).
    Entry {
        /// The directory's inode.
        parent: Ino,
        /// Raw key bytes.
        name: Vec<u8>,
    },
    /// Attributes (and pages, if `data`) of an inode.
    Inode {
        /// The inode.
        ino: Ino,
        /// The pages too.
        data: bool,
    },
}

/// A mount that wants to know what became stale (S6, ruling 21). Called on the committing thread with no lock of the
/// store held. Must not call back into the namespace.
pub trait Invalidate: Send + Sync {
    /// Queues `stale` and, with `wait`, waits boundedly until the kernel has been told. Without it (the change came by
    /// another mount, whose threads must not wait) it only queues.
    fn invalidate(&self, stale: &[Stale], wait: bool);

    /// Another mount of the namespace came beside this one (`true`), or the last other one has gone. Called on the
    /// thread that starts or stops that mount, before it serves its first request and after its last: when this returns,
    /// nothing that a kernel kept so far may hide what the other mount does.
    fn company(&self, others: bool);
}
