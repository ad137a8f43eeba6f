//! Attributes: the store's `stat` and the kernel's, and inode numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, Generation, INodeNo, ReplyAttr, ReplyEntry, TimeOrNow};
use pinfold_store::namespace::mount_types::{FileKind, SetTime, Stat};
use pinfold_store::types::{Ino, Timestamp};

/// Inode numbers never come back for another inode, so the kernel needs no generations.
pub(crate) const GENERATION: Generation = Generation(0);

/// The kernel calls a mount's root 1, whichever directory it is; every other number is the store's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    root: Ino,
}

impl Numbers {
    /// Numbers of a mount of `root`.
    pub(crate) fn new(root: Ino) -> Self {
        Self { root }
    }

    /// The store's number.
    pub(crate) fn to_store(self, number: INodeNo) -> Ino {
        if number == INodeNo::ROOT { self.root } else { Ino(number.0) }
    }

    /// The kernel's number. `None` for the namespace's root where the mount shows less: the kernel would take it for
    /// the mount's own root.
    pub(crate) fn to_kernel(self, ino: Ino) -> Option<INodeNo> {
        match ino {
            _ if ino == self.root => Some(INodeNo::ROOT),
            Ino::ROOT => None,
            Ino(number) => Some(INodeNo(number)),
        }
    }

    /// The kernel's attributes.
    pub(crate) fn attr(self, stat: &Stat) -> FileAttr {
        FileAttr {
            ino: self.to_kernel(stat.ino).unwrap_or(INodeNo::ROOT),
            size: stat.size,
            blocks: stat.blocks,
            atime: stat.atime.into(),
            mtime: stat.mtime.into(),
            ctime: stat.ctime.into(),
            crtime: stat.btime.into(),
            kind: kind(stat.kind),
            perm: (stat.mode & 0o7777) as u16,
            nlink: stat.nlink,
            uid: stat.uid,
            gid: stat.gid,
            rdev: stat.rdev,
            // The kernel caches pages by this unit; throughput comes from its read-ahead, not from here.
            blksize: 4096,
            flags: 0,
        }
    }
}

/// An answer to a look-up or a creation.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Attributes, with number 0 for a name that is known not to be there.
    pub(crate) attr: FileAttr,
    /// How long the attributes hold.
    pub(crate) attr_ttl: Duration,
    /// How long the name holds.
    pub(crate) entry_ttl: Duration,
}

impl Entry {
    /// A name that is not there, which the kernel may remember for `ttl`.
    pub(crate) fn absent(ttl: Duration) -> Self {
        let attr = FileAttr {
            ino: INodeNo(0),
            size: 0,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm: 0,
            nlink: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        Self { attr, attr_ttl: Duration::ZERO, entry_ttl: ttl }
    }

    /// Answers with it.
    pub(crate) fn send(&self, reply: ReplyEntry) {
        reply.entry_with_ttls(&self.attr_ttl, &self.entry_ttl, &self.attr, GENERATION);
    }

    /// Answers with its attributes alone.
    pub(crate) fn send_attr(&self, reply: ReplyAttr) {
        reply.attr(&self.attr_ttl, &self.attr);
    }
}

/// The kernel's word for a kind.
pub(crate) fn kind(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

/// The store's word for a time to set.
pub(crate) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(from_kernel(time)),
    }
}

/// A time as the kernel sent it. fuser 0.18 makes `1970 - (|seconds| + nanoseconds)` of a time before 1970, where
/// `1970 - |seconds| + nanoseconds` is meant: the parts are right, so they are put together again.
fn from_kernel(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(_) => time.into(),
        Err(before) => {
            let parts = before.duration();
            Timestamp {
                secs: 0_i64.checked_sub_unsigned(parts.as_secs()).unwrap_or(i64::MIN),
                nanos: parts.subsec_nanos(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_1_to_the_kernel_and_nothing_else_is() {
        let bucket = Numbers::new(Ino(40));
        assert_eq!(bucket.to_store(INodeNo(1)), Ino(40));
        assert_eq!(bucket.to_kernel(Ino(40)), Some(INodeNo(1)));
        assert_eq!(bucket.to_kernel(Ino::ROOT), None);
        assert_eq!(bucket.to_kernel(Ino(41)), Some(INodeNo(41)));
        let whole = Numbers::new(Ino::ROOT);
        assert_eq!(whole.to_kernel(Ino::ROOT), Some(INodeNo(1)));
        assert_eq!(whole.to_store(INodeNo(1)), Ino::ROOT);
    }

    #[test]
    fn times_before_1970_keep_their_fraction() {
        // What fuser 0.18 hands over for seconds -2 and 300 nanoseconds, see its time.rs.
        let handed = UNIX_EPOCH - Duration::new(2, 300);
        assert_eq!(from_kernel(handed), Timestamp { secs: -2, nanos: 300 });
        assert_eq!(from_kernel(UNIX_EPOCH - Duration::new(5, 0)), Timestamp { secs: -5, nanos: 0 });
        assert_eq!(from_kernel(UNIX_EPOCH + Duration::new(5, 7)), Timestamp { secs: 5, nanos: 7 });
    }

    #[test]
    fn attributes_carry_over() {
        let at = |secs| Timestamp { secs, nanos: 5 };
        let stat = Stat {
            ino: Ino(9),
            kind: FileKind::Fifo,
            size: 10,
            blocks: 3,
            mode: 0o6751,
            nlink: 2,
            uid: 4,
            gid: 5,
            rdev: 6,
            atime: at(1),
            mtime: at(-1),
            ctime: at(3),
            btime: at(4),
        };
        let attr = Numbers::new(Ino::ROOT).attr(&stat);
        assert_eq!((attr.ino.0, attr.size, attr.blocks, attr.nlink), (9, 10, 3, 2));
        assert_eq!((attr.perm, attr.uid, attr.gid, attr.rdev), (0o6751, 4, 5, 6));
        assert_eq!(attr.kind, FileType::NamedPipe);
        assert_eq!(attr.mtime, UNIX_EPOCH - Duration::from_nanos(999_999_995));
    }
}
