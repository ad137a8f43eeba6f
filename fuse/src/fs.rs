//! The kernel's requests, each handed to the door in a line or two.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo, IoctlFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use pinfold_store::namespace::mount_types::MAX_NAME_LEN;

use crate::attr::{Entry, GENERATION};
use crate::door::Door;
use crate::entry::Setting;
use crate::errno::Outcome;
use crate::handle::{Opened, is_sync};
use crate::metrics::Op;
use crate::session::{Wanted, negotiate};
use crate::xattr;

/// Block size of `statfs`.
const BLOCK: u64 = 4096;

/// The file system that fuser calls.
pub(crate) struct Fs {
    /// The door.
    pub(crate) door: Arc<Door>,
    /// What to ask the kernel for.
    pub(crate) wanted: Wanted,
}

impl Fs {
    fn entry(&self, op: Op, reply: ReplyEntry, operation: impl FnOnce() -> Outcome<Entry>) {
        match self.door.run(op, operation) {
            Ok(entry) => entry.send(reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn empty(&self, op: Op, reply: ReplyEmpty, operation: impl FnOnce() -> Outcome<()>) {
        match self.door.run(op, operation) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn waiting(&self, op: Op, reply: ReplyEmpty, operation: impl FnOnce(&Door) -> Outcome<()> + Send + 'static) {
        self.door.run_waiting(op, operation, |result| match result {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        });
    }
}

fn opened(reply: ReplyOpen, opened: &Opened) {
    match &opened.backing {
        Some(backing) => reply.opened_passthrough(opened.number, opened.flags, backing),
        None => reply.opened(opened.number, opened.flags),
    }
}

fn created(reply: ReplyCreate, entry: &Entry, opened: &Opened) {
    let ttl = entry.entry_ttl.min(entry.attr_ttl);
    match &opened.backing {
        Some(backing) => {
            reply.created_passthrough(&ttl, &entry.attr, GENERATION, opened.number, opened.flags, backing);
        }
        None => reply.created(&ttl, &entry.attr, GENERATION, opened.number, opened.flags),
    }
}

impl Filesystem for Fs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if negotiate(config, self.wanted) {
            self.door.backings.enable();
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(Op::Lookup, reply, || self.door.lookup(parent, name.as_bytes()));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.door.forget(ino, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.door.run(Op::Getattr, || self.door.getattr(ino)) {
            Ok(entry) => entry.send_attr(reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        req: &Request,
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
        let setting = Setting { mode, uid, gid, size, atime, mtime };
        match self.door.run(Op::Setattr, || self.door.setattr(&self.door.caller(req), ino, setting)) {
            Ok(entry) => entry.send_attr(reply),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.door.run(Op::Readlink, || self.door.readlink(ino)) {
            Ok(target) => reply.data(&target),
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
        let caller = self.door.caller(req);
        self.entry(Op::Mknod, reply, || self.door.mknod(caller, parent, name.as_bytes(), mode, rdev));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let caller = self.door.caller(req);
        self.entry(Op::Mkdir, reply, || self.door.mkdir(caller, parent, name.as_bytes(), mode));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(Op::Unlink, reply, || self.door.unlink(&self.door.caller(req), parent, name.as_bytes()));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(Op::Rmdir, reply, || self.door.rmdir(&self.door.caller(req), parent, name.as_bytes()));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let caller = self.door.caller(req);
        let target = target.as_os_str().as_bytes();
        self.entry(Op::Symlink, reply, || self.door.symlink(caller, parent, link_name.as_bytes(), target));
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent, name.as_bytes()), (newparent, newname.as_bytes()));
        if flags.is_empty() && self.door.rename_waits(from, to) {
            let (caller, name, newname) = (self.door.caller(req), name.to_owned(), newname.to_owned());
            return self.waiting(Op::Rename, reply, move |door| {
                door.rename(&caller, (parent, name.as_bytes()), (newparent, newname.as_bytes()), flags)
            });
        }
        self.empty(Op::Rename, reply, || self.door.rename(&self.door.caller(req), from, to, flags));
    }

    fn link(&self, req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let caller = self.door.caller(req);
        self.entry(Op::Link, reply, || self.door.link(caller, ino, newparent, newname.as_bytes()));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let register = |file: &std::fs::File| reply.open_backing(file);
        match self.door.run(Op::Open, || self.door.open(&self.door.caller(req), ino, flags, register)) {
            Err(errno) => reply.error(errno),
            Ok(file) if file.backing.is_some() && is_sync(flags.0) => self.door.run_waiting(
                Op::Fsync,
                |door| door.sync_name(file),
                |file| match file {
                    Ok(file) => opened(reply, &file),
                    Err(errno) => reply.error(errno),
                },
            ),
            Ok(file) => opened(reply, &file),
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
        let caller = self.door.caller(req);
        let register = |file: &std::fs::File| reply.open_backing(file);
        let made =
            self.door.run(Op::Create, || self.door.create(caller, parent, name.as_bytes(), mode, flags, register));
        match made {
            Err(errno) => reply.error(errno),
            Ok((entry, file)) if file.backing.is_some() && is_sync(flags) => self.door.run_waiting(
                Op::Fsync,
                move |door| match door.sync_name(file) {
                    Ok(file) => Ok((entry, file)),
                    Err(failure) => {
                        door.forget(entry.attr.ino, 1);
                        Err(failure)
                    }
                },
                |made| match made {
                    Ok((entry, file)) => created(reply, &entry, &file),
                    Err(errno) => reply.error(errno),
                },
            ),
            Ok((entry, file)) => created(reply, &entry, &file),
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
        match self.door.run(Op::Read, || self.door.read(fh, offset, size)) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.door.run(Op::Write, || self.door.write(req, fh, offset, data, write_flags)) {
            Ok(written) => reply.written(written),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        self.empty(Op::Flush, reply, || self.door.flush(fh));
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
        // Most have nothing to wait for, and then no other thread is woken.
        match self.door.release(fh).and_then(|file| Ok((self.door.release_at_once(&file)?, file))) {
            Ok((false, file)) => self.waiting(Op::Release, reply, move |door| door.release_waiting(&file)),
            done => self.empty(Op::Release, reply, || done.map(drop)),
        }
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        self.waiting(Op::Fsync, reply, move |door| door.fsync(fh, datasync));
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.door.run(Op::Opendir, || self.door.opendir(ino)) {
            // Not FOPEN_CACHE_DIR: the kernel would not drop its listing for a new name that it never looked up.
            Ok(number) => reply.opened(number, fuser::FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.door.run(Op::Readdir, || self.door.readdir(fh, offset, &mut reply)) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        match self.door.run(Op::Readdirplus, || self.door.readdirplus(fh, offset, &mut reply)) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.empty(Op::Releasedir, reply, || self.door.releasedir(fh));
    }

    fn fsyncdir(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.waiting(Op::Fsyncdir, reply, |door| Ok(door.namespace.sync_names()?));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.door.run(Op::Statfs, || Ok(self.door.namespace.statfs()?)) {
            Ok(s) => reply.statfs(
                s.total / BLOCK,
                s.free / BLOCK,
                s.available / BLOCK,
                s.files,
                s.files_free,
                BLOCK as u32,
                MAX_NAME_LEN as u32,
                BLOCK as u32,
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let caller = self.door.caller(req);
        self.empty(Op::Setxattr, reply, || self.door.setxattr(&caller, ino, name.as_bytes(), value, flags));
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.door.run(Op::Getxattr, || self.door.getxattr(ino, name.as_bytes()));
        xattr::send(reply, value, size);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.door.run(Op::Listxattr, || self.door.listxattr(&self.door.caller(req), ino));
        xattr::send(reply, names, size);
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.empty(Op::Removexattr, reply, || self.door.removexattr(&self.door.caller(req), ino, name.as_bytes()));
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
        self.empty(Op::Fallocate, reply, || self.door.fallocate(fh, offset, length, mode));
    }

    fn lseek(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        match self.door.run(Op::Lseek, || self.door.lseek(fh, offset, whence)) {
            Ok(offset) => reply.offset(offset),
            Err(errno) => reply.error(errno),
        }
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        // Programs ask of many a file whether it is a terminal: no line in the log for each.
        self.door.meters.ended(Op::Ioctl, Instant::now(), Some(Errno::ENOTTY));
        reply.error(Errno::ENOTTY);
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        self.door.run_waiting(
            Op::CopyRange,
            move |door| door.copy_range((fh_in, offset_in), (fh_out, offset_out), len),
            |copied| match copied {
                Ok(copied) => reply.written(copied),
                Err(errno) => reply.error(errno),
            },
        );
    }
}
