//! Open files.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use fuser::{BackingId, Errno, FopenFlags, INodeNo, OpenAccMode, OpenFlags, Request, WriteFlags};
use pinfold_store::namespace::FileHandle;
use pinfold_store::namespace::mount_types::{FileKind, OpenMode, SetAttr};
use pinfold_store::types::{Caller, Ino};

use crate::attr::Entry;
use crate::door::Door;
use crate::errno::{Failure, Outcome};
use crate::passthrough::Use;
use crate::privilege;

/// The most that one `copy_file_range` copies: a bound on how long it takes. Callers go on where it ended.
const COPY_AT_ONCE: u64 = 64 << 20;

/// The kernel's mark of an open to run a program (`__FMODE_EXEC` in its include/linux/fs.h; not among libc's).
const EXEC: i32 = 0x20;

/// Handles by the number that the kernel knows them by.
pub(crate) struct Handles<T> {
    next: AtomicU64,
    open: DashMap<u64, Arc<T>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), open: DashMap::new() }
    }
}

impl<T> Handles<T> {
    /// Gives a handle its number.
    pub(crate) fn insert(&self, handle: T) -> fuser::FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.insert(number, Arc::new(handle));
        fuser::FileHandle(number)
    }

    /// The handle of a number.
    pub(crate) fn get(&self, number: fuser::FileHandle) -> Outcome<Arc<T>> {
        self.open.get(&number.0).map(|handle| Arc::clone(&handle)).ok_or(Failure::Door(Errno::EBADF))
    }

    /// Takes a handle out.
    pub(crate) fn remove(&self, number: fuser::FileHandle) -> Outcome<Arc<T>> {
        self.open.remove(&number.0).map(|(_, handle)| handle).ok_or(Failure::Door(Errno::EBADF))
    }

    /// Takes all handles out.
    pub(crate) fn take_all(&self) -> Vec<Arc<T>> {
        let all = self.open.iter().map(|handle| Arc::clone(handle.value())).collect();
        self.open.clear();
        all
    }
}

/// An open file of this mount.
pub(crate) struct OpenFile {
    /// The store's handle.
    pub(crate) handle: Arc<FileHandle>,
    /// What it was opened for.
    used: Use,
    /// The kernel writes it by itself: the daemon hears of nothing until flush.
    kernel_writes: bool,
}

/// What answers an open.
pub(crate) struct Opened {
    /// The handle's number.
    pub(crate) number: fuser::FileHandle,
    /// The backing file, if the kernel serves it.
    pub(crate) backing: Option<Arc<BackingId>>,
    /// Flags for the answer.
    pub(crate) flags: FopenFlags,
}

/// How a file is opened, from the flags of `open`.
///
/// `append` stays unset: the kernel sends each write with its offset, and holds the inode's lock from finding the end
/// to the answer. Were the handle an appending one, pages of a shared mapping, which the kernel writes back through any
/// handle, would go to the end too. `sync` stays unset: after an `O_SYNC` write the kernel sends FSYNC by itself.
fn open_mode(flags: i32) -> OpenMode {
    let access = OpenFlags(flags).acc_mode();
    OpenMode {
        read: access != OpenAccMode::O_WRONLY,
        write: access != OpenAccMode::O_RDONLY,
        append: false,
        truncate: flags & libc::O_TRUNC != 0,
        sync: false,
    }
}

/// Whether writes through a descriptor of these flags are to be durable when they return.
pub(crate) fn is_sync(flags: i32) -> bool {
    // O_SYNC includes O_DSYNC's bit.
    flags & libc::O_DSYNC != 0
}

impl Door {
    /// `open`.
    pub(crate) fn open(
        &self,
        caller: &Caller,
        number: INodeNo,
        flags: OpenFlags,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Outcome<Opened> {
        let ino = self.numbers.to_store(number);
        let mode = open_mode(flags.0);
        // The kernel looks whether a program runs before it asks for an open for writing, but after one for reading
        // that truncates.
        if mode.truncate && !mode.write && self.backings.runs(ino) {
            return Err(Errno::ETXTBSY.into());
        }
        let handle = self.namespace.open_file(caller, ino, mode)?;
        if mode.truncate && privilege::clears(caller.uid) {
            self.clear_privileges(caller, ino)?;
        }
        let used = Use { writes: mode.write, runs: flags.0 & EXEC != 0 };
        let opened = self.serve(handle, used, register);
        if opened.backing.is_some() && mode.write {
            self.drop_attributes(ino);
        }
        Ok(opened)
    }

    /// `open` with `O_CREAT` of a name that is not there.
    pub(crate) fn create(
        &self,
        caller: Caller,
        parent: INodeNo,
        shown: &[u8],
        mode: u32,
        flags: i32,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Outcome<(Entry, Opened)> {
        let new = self.new_name(caller, parent, shown, mode, false)?;
        let open = open_mode(flags);
        let (stat, handle) = match self.namespace.create(&new.caller, new.parent, new.name, new.mode, open) {
            Ok(created) => created,
            // The other door was faster. ESTALE makes the kernel look the name up again and open what is there.
            Err(error) if error.kind() == pinfold_store::ErrorKind::AlreadyExists && flags & libc::O_EXCL == 0 => {
                return Err(Errno::ESTALE.into());
            }
            Err(error) => return Err(error.into()),
        };
        self.other_form_changed(new.parent, new.name.bytes, new.name.form);
        let opened = self.serve(handle, Use { writes: open.write, runs: false }, register);
        // One time goes for name and attributes; only a store through a mapping of this new file can make its
        // attributes old before its first flush drops them.
        let attr_ttl = self.company.ttls().attr;
        Ok((Entry { attr_ttl, ..self.entry(&stat, new.name.form) }, opened))
    }

    /// Decides who serves an open file, and numbers it.
    fn serve(
        &self,
        handle: Arc<FileHandle>,
        used: Use,
        register: impl FnOnce(&File) -> io::Result<BackingId>,
    ) -> Opened {
        let ino = handle.ino();
        let file = if self.backings.enabled() { handle.passthrough() } else { None };
        let backing = self.backings.join(ino, used, file.as_deref(), register);
        let kernel_writes = backing.is_some() && used.writes;
        let mut flags = FopenFlags::empty();
        if backing.is_some() {
            self.meters.passthrough_opens.increment(1);
            if kernel_writes {
                self.company.known.pages_grow_old(ino);
            }
        } else {
            self.meters.daemon_opens.increment(1);
            // Pages are those of this inode, and its bytes change only through this kernel, which keeps its pages
            // right, through another mount, of which it is told, or past its pages, which is remembered.
            if self.company.keep_cache() && self.company.known.may_keep_pages(ino) {
                flags |= FopenFlags::FOPEN_KEEP_CACHE;
            }
        }
        Opened { number: self.files.insert(OpenFile { handle, used, kernel_writes }), backing, flags }
    }

    /// Before an `O_SYNC` open of a file that the kernel writes is answered: its writes sync the bytes, and nobody will
    /// ask the daemon to sync the name. If that fails the open is undone: the kernel does not release what it was told
    /// has failed.
    pub(crate) fn sync_name(&self, opened: Opened) -> Outcome<Opened> {
        let file = self.files.get(opened.number)?;
        if let Err(error) = self.namespace.fsync(&file.handle, false) {
            let file = self.release(opened.number)?;
            self.release_waiting(&file)?;
            return Err(error.into());
        }
        Ok(opened)
    }

    /// `read`.
    pub(crate) fn read(&self, number: fuser::FileHandle, offset: u64, size: u32) -> Outcome<Bytes> {
        let file = self.files.get(number)?;
        Ok(self.namespace.read(&file.handle, offset, size as usize)?)
    }

    /// `write`: all of it, or an error.
    pub(crate) fn write(
        &self,
        request: &Request,
        number: fuser::FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
    ) -> Outcome<u32> {
        let file = self.files.get(number)?;
        self.namespace.write(&file.handle, offset, data)?;
        if flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            self.clear_privileges(&self.caller(request), file.handle.ino())?;
        }
        u32::try_from(data.len()).map_err(|_| Errno::EINVAL.into())
    }

    /// `close` of a descriptor.
    pub(crate) fn flush(&self, number: fuser::FileHandle) -> Outcome<()> {
        let file = self.files.get(number)?;
        self.namespace.flush(&file.handle)?;
        self.written_by_kernel(&file);
        Ok(())
    }

    /// Last close of a handle. To be called before the waiting part, [`Self::release_waiting`], so that an open that
    /// comes next finds the backing file gone.
    pub(crate) fn release(&self, number: fuser::FileHandle) -> Outcome<Arc<OpenFile>> {
        let file = self.files.remove(number)?;
        self.backings.leave(file.handle.ino(), file.used);
        Ok(file)
    }

    /// The other part of `release` where it is short; false where it may take long and is [`Self::release_waiting`]'s.
    pub(crate) fn release_at_once(&self, file: &OpenFile) -> Outcome<bool> {
        Ok(self.namespace.release_at_once(&file.handle)?)
    }

    /// The part of `release` that may publish.
    pub(crate) fn release_waiting(&self, file: &OpenFile) -> Outcome<()> {
        Ok(self.namespace.release(&file.handle)?)
    }

    /// `fsync`.
    pub(crate) fn fsync(&self, number: fuser::FileHandle, data_only: bool) -> Outcome<()> {
        let file = self.files.get(number)?;
        self.namespace.fsync(&file.handle, data_only)?;
        self.written_by_kernel(&file);
        Ok(())
    }

    /// `fallocate`.
    pub(crate) fn fallocate(&self, number: fuser::FileHandle, offset: u64, len: u64, mode: i32) -> Outcome<()> {
        let file = self.files.get(number)?;
        Ok(self.namespace.fallocate(&file.handle, offset, len, mode)?)
    }

    /// `lseek` with `SEEK_DATA` or `SEEK_HOLE`.
    pub(crate) fn lseek(&self, number: fuser::FileHandle, offset: i64, whence: i32) -> Outcome<i64> {
        let data = match whence {
            libc::SEEK_DATA => true,
            libc::SEEK_HOLE => false,
            _ => return Err(Errno::EINVAL.into()),
        };
        let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
        let file = self.files.get(number)?;
        let found = self.namespace.seek_data_or_hole(&file.handle, from, data)?.ok_or(Errno::ENXIO)?;
        i64::try_from(found).map_err(|_| Errno::EOVERFLOW.into())
    }

    /// `copy_file_range`: the bytes that were copied, fewer than asked for if that is much.
    pub(crate) fn copy_range(
        &self,
        (from, from_offset): (fuser::FileHandle, u64),
        (to, to_offset): (fuser::FileHandle, u64),
        len: u64,
    ) -> Outcome<u32> {
        let (from, to) = (self.files.get(from)?, self.files.get(to)?);
        let len = len.min(COPY_AT_ONCE);
        let copied = self.namespace.copy_range(&from.handle, from_offset, &to.handle, to_offset, len)?;
        u32::try_from(copied).map_err(|_| Errno::EOVERFLOW.into())
    }

    /// Clears what a change of the content clears, see [`privilege`].
    pub(crate) fn clear_privileges(&self, caller: &Caller, ino: Ino) -> Outcome<()> {
        let stat = self.namespace.getattr(ino)?;
        let cleared = privilege::after_write(stat.mode);
        if stat.kind != FileKind::Directory && cleared != stat.mode {
            let set = SetAttr { mode: Some(cleared), ..SetAttr::default() };
            self.namespace.setattr(caller, ino, set)?;
            self.drop_attributes(ino);
        }
        Ok(())
    }

    fn written_by_kernel(&self, file: &OpenFile) {
        if file.kernel_writes {
            self.drop_attributes(file.handle.ino());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_open() {
        let mode = open_mode(libc::O_RDWR | libc::O_TRUNC | libc::O_APPEND | libc::O_SYNC);
        assert_eq!(mode, OpenMode { read: true, write: true, append: false, truncate: true, sync: false });
        assert!(open_mode(libc::O_RDONLY).read && !open_mode(libc::O_RDONLY).write);
        assert!(!open_mode(libc::O_WRONLY).read && open_mode(libc::O_WRONLY).write);
        assert!(is_sync(libc::O_SYNC) && is_sync(libc::O_DSYNC) && !is_sync(libc::O_APPEND));
    }

    #[test]
    fn numbers_of_handles_are_not_used_again() {
        let handles = Handles::default();
        let first = handles.insert(1);
        assert_eq!(*handles.get(first).unwrap(), 1);
        assert_eq!(*handles.remove(first).unwrap(), 1);
        assert!(matches!(handles.get(first), Err(Failure::Door(Errno::EBADF))));
        let second = handles.insert(2);
        assert_ne!(first, second);
        assert_eq!(handles.take_all().len(), 1);
        assert!(handles.remove(second).is_err());
    }
}
