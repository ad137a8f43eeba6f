//! A bare loopback: shows a directory again on a mount, with nothing in between. It is what a mount on fuser can cost at
//! the least, so that `tests/bench` can say what the namespace adds.
//!
//! `cargo run --release -p pinfold-fuse --example loopback -- SOURCE MOUNTPOINT`, as root; it ends when it is unmounted.
//!
//! It asks the kernel for what `session.rs` asks for (passthrough, readdirplus, parallel lookups, an hour's caching,
//! killpriv), has as many threads with a device of their own, and holds one `O_PATH` descriptor an inode, as libfuse's
//! example does. Backing files are shared by all opens of an inode, as the kernel demands.
//
// over 500 lines because it is one trait with forty calls of a few lines.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashmap::{DashMap, Entry};
use fuser::{
    BackingId, BsdFileFlags, Config, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, Session, SessionACL, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Gid, Mode, OFlags, RawDir, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
};

/// How long the kernel may answer from its caches: as a mount of Pinfold that is the only one.
const TTL: Duration = Duration::from_secs(3600);
/// As `session.rs`.
const FLAGS: [InitFlags; 7] = [
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_PASSTHROUGH,
];
/// Bytes of directory read at once.
const LISTING: usize = 32 << 10;
const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Inode {
    fd: OwnedFd,
    lookups: u64,
}

struct OpenFile {
    file: File,
    ino: u64,
}

struct Backing {
    id: Option<Arc<BackingId>>,
    opens: u64,
}

struct Loopback {
    root: Arc<OwnedFd>,
    inodes: DashMap<u64, Inode>,
    files: DashMap<u64, Arc<OpenFile>>,
    dirs: DashMap<u64, Arc<Mutex<OwnedFd>>>,
    backings: DashMap<u64, Backing>,
    next: AtomicU64,
}

type Done<T> = Result<T, Errno>;

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from(io::Error::from(error))
}

fn kind(mode: u32) -> FileType {
    match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::Directory => FileType::Directory,
        rustix::fs::FileType::Symlink => FileType::Symlink,
        rustix::fs::FileType::Fifo => FileType::NamedPipe,
        rustix::fs::FileType::Socket => FileType::Socket,
        rustix::fs::FileType::CharacterDevice => FileType::CharDevice,
        rustix::fs::FileType::BlockDevice => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

fn time(seconds: i64, nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds.max(0) as u64, nanoseconds as u32)
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() }
        }
    }
}

impl Loopback {
    fn attr(stat: &Stat) -> FileAttr {
        FileAttr {
            ino: INodeNo(stat.st_ino),
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            crtime: UNIX_EPOCH,
            kind: kind(stat.st_mode),
            perm: (stat.st_mode & 0o7777) as u16,
            nlink: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u32,
            blksize: 4096,
            flags: 0,
        }
    }

    /// Does something with an inode's descriptor.
    fn with<T>(&self, ino: INodeNo, work: impl FnOnce(&OwnedFd) -> rustix::io::Result<T>) -> Done<T> {
        if ino == INodeNo::ROOT {
            return work(&self.root).map_err(errno);
        }
        let inode = self.inodes.get(&ino.0).ok_or(Errno::ESTALE)?;
        work(&inode.fd).map_err(errno)
    }

    /// Another descriptor of an inode, opened for use.
    fn reopen(&self, ino: INodeNo, flags: OFlags) -> Done<OwnedFd> {
        self.with(ino, |fd| rustix::fs::openat(CWD, proc_path(fd), flags | OFlags::CLOEXEC, Mode::empty()))
    }

    fn stat(&self, ino: INodeNo) -> Done<FileAttr> {
        let mut attr = Self::attr(&self.with(ino, |fd| rustix::fs::statat(fd, c"", AtFlags::EMPTY_PATH))?);
        attr.ino = ino;
        Ok(attr)
    }

    /// Looks a name up and counts it.
    fn enter(&self, parent: INodeNo, name: &OsStr) -> Done<FileAttr> {
        let fd = self.with(parent, |dir| rustix::fs::openat(dir, name, PATH_ONLY, Mode::empty()))?;
        let attr = Self::attr(&rustix::fs::statat(&fd, c"", AtFlags::EMPTY_PATH).map_err(errno)?);
        match self.inodes.entry(attr.ino.0) {
            Entry::Occupied(mut known) => known.get_mut().lookups += 1,
            Entry::Vacant(new) => {
                new.insert(Inode { fd, lookups: 1 });
            }
        }
        Ok(attr)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers an open file and finds or makes what backs its inode.
    fn serve(
        &self,
        file: File,
        ino: u64,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> (FileHandle, Option<Arc<BackingId>>) {
        let id = match self.backings.entry(ino) {
            Entry::Occupied(mut known) => {
                known.get_mut().opens += 1;
                known.get().id.clone()
            }
            Entry::Vacant(new) => {
                let id = register(&file).ok().map(Arc::new);
                new.insert(Backing { id: id.clone(), opens: 1 });
                id
            }
        };
        let number = self.number();
        self.files.insert(number, Arc::new(OpenFile { file, ino }));
        (FileHandle(number), id)
    }

    fn file(&self, number: FileHandle) -> Done<Arc<OpenFile>> {
        self.files.get(&number.0).map(|file| Arc::clone(&file)).ok_or(Errno::EBADF)
    }

    /// Something new belongs to who made it.
    fn give(&self, request: &Request, parent: INodeNo, name: &OsStr) -> Done<FileAttr> {
        if request.uid() != 0 || request.gid() != 0 {
            let (uid, gid) = (Uid::from_raw(request.uid()), Gid::from_raw(request.gid()));
            self.with(parent, |dir| rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))?;
        }
        self.enter(parent, name)
    }

    /// Hands entries from `offset` on to `take` until it says that there is no more room.
    fn list(&self, handle: FileHandle, offset: u64, mut take: impl FnMut(u64, u64, u32, &OsStr) -> bool) -> Done<()> {
        let dir = self.dirs.get(&handle.0).map(|dir| Arc::clone(&dir)).ok_or(Errno::EBADF)?;
        let dir = dir.lock();
        rustix::fs::seek(&*dir, SeekFrom::Start(offset)).map_err(errno)?;
        let mut buffer = [MaybeUninit::uninit(); LISTING];
        let mut entries = RawDir::new(&*dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(errno)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if take(entry.next_entry_cookie(), entry.ino(), entry.file_type().as_raw_mode(), name) {
                break;
            }
        }
        Ok(())
    }

    fn change(&self, ino: INodeNo, set: &Changes) -> Done<FileAttr> {
        self.with(ino, |fd| {
            let path = proc_path(fd);
            if let Some(mode) = set.mode {
                rustix::fs::chmodat(CWD, &path, Mode::from_raw_mode(mode), AtFlags::empty())?;
            }
            if set.uid.is_some() || set.gid.is_some() {
                let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
                rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH)?;
            }
            if let Some(size) = set.size {
                let file = rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
                rustix::fs::ftruncate(file, size)?;
            }
            if set.atime.is_some() || set.mtime.is_some() {
                let times = Timestamps { last_access: timespec(set.atime), last_modification: timespec(set.mtime) };
                rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty())?;
            }
            Ok(())
        })?;
        self.stat(ino)
    }
}

struct Changes {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    atime: Option<TimeOrNow>,
    mtime: Option<TimeOrNow>,
}

fn proc_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn send_entry(reply: ReplyEntry, entry: Done<FileAttr>) {
    match entry {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn send_empty(reply: ReplyEmpty, done: Done<()>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn send_xattr(reply: ReplyXattr, room: u32, value: Done<Vec<u8>>) {
    match value {
        Ok(value) if room == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() <= room as usize => reply.data(&value),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(errno) => reply.error(errno),
    }
}

/// Flags for the file behind: what the kernel has done by itself stays out.
fn open_flags(flags: i32) -> OFlags {
    let dropped = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::APPEND;
    OFlags::from_bits_retain(flags as u32).difference(dropped) | OFlags::CLOEXEC
}

impl Filesystem for Loopback {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in FLAGS {
            config.add_capabilities(flag).map_err(|_| io::Error::other(format!("the kernel lacks {flag:?}")))?;
        }
        let _ = config.set_max_write(1 << 20);
        let _ = config.set_max_background(64);
        config.set_max_stack_depth(1).map_err(|_| io::Error::other("the kernel offers no passthrough"))?;
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.enter(parent, name) {
            // A name that is not there is remembered too.
            Err(error) if i32::from(error) == libc::ENOENT => {
                let absent = FileAttr { ino: INodeNo(0), ..attr_of_nothing() };
                reply.entry(&TTL, &absent, Generation(0));
            }
            entry => send_entry(reply, entry),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, count: u64) {
        if let Entry::Occupied(mut inode) = self.inodes.entry(ino.0) {
            inode.get_mut().lookups = inode.get().lookups.saturating_sub(count);
            if inode.get().lookups == 0 {
                inode.remove();
            }
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.stat(ino) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.change(ino, &Changes { mode, uid, gid, size, atime, mtime }) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.with(ino, |fd| rustix::fs::readlinkat(fd, c"", Vec::new())) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        let made =
            self.with(parent, |dir| rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(mode), rdev.into()));
        send_entry(reply, made.and_then(|()| self.give(req, parent, name)));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let made = self.with(parent, |dir| rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(mode)));
        send_entry(reply, made.and_then(|()| self.give(req, parent, name)));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        send_empty(reply, self.with(parent, |dir| rustix::fs::unlinkat(dir, name, AtFlags::empty())));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        send_empty(reply, self.with(parent, |dir| rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self.with(parent, |dir| rustix::fs::symlinkat(target, dir, name));
        send_entry(reply, made.and_then(|()| self.give(req, parent, name)));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        // Two descriptors at once: the second by its own, so that no two locks of the table are held together.
        let moved = self.reopen(to, OFlags::PATH | OFlags::DIRECTORY).and_then(|target| {
            self.with(parent, |source| rustix::fs::renameat_with(source, name, &target, new, flags))
        });
        send_empty(reply, moved);
    }

    fn link(&self, _req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.with(ino, |fd| Ok(proc_path(fd))).and_then(|path| {
            self.with(parent, |dir| rustix::fs::linkat(CWD, &path, dir, name, AtFlags::SYMLINK_FOLLOW))
        });
        send_entry(reply, linked.and_then(|()| self.enter(parent, name)));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.reopen(ino, open_flags(flags.0)) {
            Err(errno) => reply.error(errno),
            Ok(fd) => match self.serve(fd.into(), ino.0, |file| reply.open_backing(file)) {
                (number, Some(backing)) => reply.opened_passthrough(number, FopenFlags::empty(), &backing),
                (number, None) => reply.opened(number, FopenFlags::FOPEN_KEEP_CACHE),
            },
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let how = open_flags(flags) | OFlags::CREATE | OFlags::NOFOLLOW;
        let made = self
            .with(parent, |dir| rustix::fs::openat(dir, name, how, Mode::from_raw_mode(mode)))
            .and_then(|fd| Ok((fd, self.give(req, parent, name)?)));
        match made {
            Err(errno) => reply.error(errno),
            Ok((fd, attr)) => match self.serve(fd.into(), attr.ino.0, |file| reply.open_backing(file)) {
                (number, Some(backing)) => {
                    reply.created_passthrough(&TTL, &attr, Generation(0), number, FopenFlags::empty(), &backing);
                }
                (number, None) => reply.created(&TTL, &attr, Generation(0), number, FopenFlags::empty()),
            },
        }
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut buffer = vec![0; size as usize];
        match self.file(fh).and_then(|open| Ok(open.file.read_at(&mut buffer, offset)?)) {
            Ok(read) => reply.data(&buffer[..read]),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(fh).and_then(|open| Ok(open.file.write_at(data, offset)?)) {
            Ok(written) => reply.written(written as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        // A file system behind may have something to say at a close (a quota, a network): so as libfuse's example does.
        let closed = self.file(fh).and_then(|open| rustix::io::dup(&open.file).map_err(errno)).map(drop);
        send_empty(reply, closed);
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Some((_, open)) = self.files.remove(&fh.0)
            && let Entry::Occupied(mut backing) = self.backings.entry(open.ino)
        {
            backing.get_mut().opens -= 1;
            if backing.get().opens == 0 {
                backing.remove();
            }
        }
        reply.ok();
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let synced = self.file(fh).and_then(|open| {
            let done = if data_only { open.file.sync_data() } else { open.file.sync_all() };
            done.map_err(Errno::from)
        });
        send_empty(reply, synced);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.reopen(ino, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => {
                let number = self.number();
                self.dirs.insert(number, Arc::new(Mutex::new(dir)));
                reply.opened(FileHandle(number), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.list(fh, offset, |next, ino, mode, name| reply.add(INodeNo(ino), next, kind(mode), name));
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(&self, req: &Request, parent: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listed = self.list(fh, offset, |next, ino, mode, name| {
            let counted = name != "." && name != "..";
            let attr = if counted {
                match self.enter(parent, name) {
                    Ok(attr) => attr,
                    // It went meanwhile.
                    Err(_) => return false,
                }
            } else {
                FileAttr { ino: INodeNo(ino), kind: kind(mode), ..attr_of_nothing() }
            };
            let full = reply.add(attr.ino, next, name, &TTL, &attr, Generation(0));
            if full && counted {
                self.forget(req, attr.ino, 1);
            }
            full
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.dirs.remove(&fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let dir = self.dirs.get(&fh.0).map(|dir| Arc::clone(&dir)).ok_or(Errno::EBADF);
        send_empty(reply, dir.and_then(|dir| rustix::fs::fsync(&*dir.lock()).map_err(errno)));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match rustix::fs::fstatvfs(&*self.root) {
            Ok(s) => reply.statfs(
                s.f_blocks,
                s.f_bfree,
                s.f_bavail,
                s.f_files,
                s.f_ffree,
                s.f_bsize as u32,
                s.f_namemax as u32,
                s.f_frsize as u32,
            ),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let flags = XattrFlags::from_bits_retain(flags as u32);
        send_empty(reply, self.with(ino, |fd| rustix::fs::setxattr(proc_path(fd), name, value, flags)));
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.with(ino, |fd| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::getxattr(proc_path(fd), name, &mut value)?;
            value.truncate(length);
            Ok(value)
        });
        send_xattr(reply, size, value);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.with(ino, |fd| {
            let mut names = vec![0; 64 << 10];
            let length = rustix::fs::listxattr(proc_path(fd), &mut names)?;
            names.truncate(length);
            Ok(names)
        });
        send_xattr(reply, size, names);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        send_empty(reply, self.with(ino, |fd| rustix::fs::removexattr(proc_path(fd), name)));
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_retain(mode as u32);
        let done =
            self.file(fh).and_then(|open| rustix::fs::fallocate(&open.file, mode, offset, length).map_err(errno));
        send_empty(reply, done);
    }

    fn lseek(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let from = match whence {
            libc::SEEK_DATA => SeekFrom::Data(offset as u64),
            libc::SEEK_HOLE => SeekFrom::Hole(offset as u64),
            _ => return reply.error(Errno::EINVAL),
        };
        match self.file(fh).and_then(|open| rustix::fs::seek(&open.file, from).map_err(errno)) {
            Ok(found) => reply.offset(found as i64),
            Err(errno) => reply.error(errno),
        }
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        from: FileHandle,
        mut offset_in: u64,
        _ino_out: INodeNo,
        to: FileHandle,
        mut offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copied = self.file(from).and_then(|from| Ok((from, self.file(to)?))).and_then(|(from, to)| {
            let (at, into) = (Some(&mut offset_in), Some(&mut offset_out));
            rustix::fs::copy_file_range(&from.file, at, &to.file, into, len as usize).map_err(errno)
        });
        match copied {
            Ok(copied) => reply.written(copied as u32),
            Err(errno) => reply.error(errno),
        }
    }
}

fn attr_of_nothing() -> FileAttr {
    FileAttr {
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
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [source, mountpoint] = args.as_slice() else {
        return Err("usage: loopback SOURCE MOUNTPOINT".into());
    };
    // A descriptor for every inode that the kernel knows.
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
    rustix::process::umask(Mode::empty());
    let root =
        rustix::fs::openat(CWD, source.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let loopback = Loopback {
        root: Arc::new(root),
        inodes: DashMap::new(),
        files: DashMap::new(),
        dirs: DashMap::new(),
        backings: DashMap::new(),
        next: AtomicU64::new(1),
    };
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.n_threads = Some(std::thread::available_parallelism().map_or(2, usize::from).min(8));
    config.clone_fd = true;
    config.mount_options = vec![
        MountOption::FSName("loopback".to_owned()),
        MountOption::Subtype("loopback".to_owned()),
        MountOption::DefaultPermissions,
    ];
    Session::new(loopback, mountpoint, &config)?.run()?;
    Ok(())
}
