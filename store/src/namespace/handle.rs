//! Open files: open, read, write, flush, fsync, release, and what moves bytes within and between them.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::Namespace;
use super::engine::Engine;
use super::inode::{Inode, Place};
use super::live::{Data, OpenState};
use super::local;
use super::mount_types::{FileKind, OpenMode};
use super::orphan::{is_orphan, stale};
use crate::chunk::LiveFile;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Content, NodeKind, NodeRow};
use crate::types::{Caller, Id, Ino, MAX_OBJECT_SIZE};
use crate::unixfs::digest_of;

/// How often an open looks again when the content it found was replaced and collected meanwhile.
const OPEN_RETRIES: usize = 4;

/// An open file. It counts as open until it is released or dropped.
pub struct FileHandle {
    pub(super) namespace: Namespace,
    pub(super) inode: Arc<Inode>,
    pub(super) mode: OpenMode,
    /// Flushed since it last wrote.
    pub(super) flushed: AtomicBool,
    pub(super) released: AtomicBool,
    pub(super) passthrough: Mutex<Option<Arc<File>>>,
}

impl FileHandle {
    /// The inode.
    pub fn ino(&self) -> Ino {
        self.inode.ino
    }

    /// How it was opened.
    pub fn mode(&self) -> OpenMode {
        self.mode
    }

    /// The local file that holds exactly this inode's bytes, which the kernel may read (and write, where this inode
    /// has a live file) directly. The answer is the same for all opens of the inode until its last release (a kernel
    /// allows one backing file an inode).
    pub fn passthrough(&self) -> Option<Arc<File>> {
        self.passthrough.lock().clone()
    }

    fn writable(&self) -> Result<Arc<LiveFile>> {
        match &*self.inode.data.read() {
            Data::Live(file) if self.mode.write => Ok(Arc::clone(file)),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "the file is not open for writing")),
        }
    }

    /// Counts this handle's writer as busy again after a `flush` (a descriptor that was passed on). Flag and count change
    /// under one lock, so that a `flush` on another thread finds both.
    fn write_goes_on(&self) {
        if self.flushed.load(Ordering::Acquire) {
            let mut open = self.inode.open.lock();
            if self.flushed.swap(false, Ordering::AcqRel) {
                open.unflushed += 1;
            }
        }
    }
}

impl Drop for FileHandle {
    fn drop(&mut self) {
        self.passthrough.lock().take();
        if !self.released.swap(true, Ordering::AcqRel)
            && let Err(error) = self.namespace.0.release(&self.inode, self.mode, self.flushed.load(Ordering::Acquire))
        {
            tracing::error!(inode = %self.inode.ino, %error, "a file could not be released");
        }
    }
}

/// A live file that is there already, emptied if asked for: what was open before goes on with it.
fn reuse(live: Arc<LiveFile>, truncate: bool) -> Result<Arc<LiveFile>> {
    if truncate {
        live.set_len(0)?;
    }
    Ok(live)
}

fn not_a_file(kind: FileKind) -> Error {
    match kind {
        FileKind::Directory => Error::new(ErrorKind::IsADirectory, "is a directory"),
        _ => Error::new(ErrorKind::InvalidArgument, "not a regular file"),
    }
}

impl Engine {
    /// The published content of an inode, held by a reader.
    fn sealed(&self, inode: &Inode) -> Result<Data> {
        let mut tries = 0;
        loop {
            let node = self.load_node(inode)?;
            let content = match &node.kind {
                NodeKind::File(file) => &file.content,
                _ => return Err(not_a_file(FileKind::Fifo)),
            };
            match self.reader(content, None) {
                Ok(reader) => return Ok(Data::Sealed(Arc::new(reader))),
                Err(error) if error.kind() == ErrorKind::NotFound && is_orphan(inode) => return Err(stale(inode)),
                Err(error) if error.kind() == ErrorKind::NotFound && tries < OPEN_RETRIES => tries += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(Error::corrupt("the file's content is not in the store").with("cid", content.root));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives an inode a live file, if it has none: empty, cloned from its content, or the content's own file where a
    /// kernel reads that directly (ruling 11).
    pub(super) fn make_live(
        &self,
        caller: &Caller,
        inode: &Arc<Inode>,
        open: &mut OpenState,
        truncate: bool,
    ) -> Result<Arc<LiveFile>> {
        self.check_writable(inode)?;
        let current = inode.data.read().clone();
        if let Data::Live(live) = current {
            if !truncate || open.writers > 0 || live.is_draft() {
                return reuse(live, truncate);
            }
            // What was closed and is not published yet is what a crash has to bring back, until the new content is
            // closed (S14).
            drop(live);
            self.publish_locked(inode, open)?;
            if let Data::Live(live) = &*inode.data.read() {
                // Somebody reads it: a copy was published.
                self.meta.durable_blocking(self.meta.head())?;
                live.begin_anew()?;
                return reuse(Arc::clone(live), truncate);
            }
        }
        let node = self.load_node(inode)?;
        let NodeKind::File(file) = &node.kind else { return Err(not_a_file(FileKind::Fifo)) };
        let (content, size) = (file.content.clone(), file.content.size);
        // Before anything changes: who has no key for what is there does not write either.
        let sealed = self.live_key(inode.place.read().bucket(), Some(&content))?;
        let left = self.lives.discards.lock().remove(&inode.ino);
        let take_up = left.is_some() && !truncate && open.backing.is_none();
        if let Some(seq) = left.filter(|_| !take_up) {
            self.meta.durable_blocking(seq)?;
            self.chunks.discard_live(inode.ino)?;
        }
        let live = if open.backing.is_some() {
            let live = self.chunks.unseal(&content.root, inode.ino)?;
            if truncate {
                live.begin_anew()?;
            }
            live
        } else if take_up {
            // The live file that was just published, with the same bytes, waits for the log: it is taken up again.
            self.chunks.open_live(inode.ino)?
        } else if truncate || size == 0 {
            self.new_live(inode.place.read().bucket(), inode.ino, Some(&content))?
        } else {
            let cloned = match sealed {
                Some(key) => {
                    self.reader(&content, None).and_then(|from| self.chunks.clone_to_sealed_live(inode.ino, &from, key))
                }
                None => self.chunks.clone_to_live(inode.ino, &content.root, size),
            };
            cloned.map_err(|error| match error.kind() {
                ErrorKind::NotFound if is_orphan(inode) => stale(inode),
                _ => error,
            })?
        };
        if truncate {
            live.set_len(0)?;
        }
        if !truncate || size == 0 {
            // Until somebody writes, the file's times are the inode's.
            local::set_times(live.file(), node.attr.atime, node.attr.mtime)?;
        }
        let live = Arc::new(live);
        if let Err(error) = self.log_live(caller, inode) {
            self.chunks.discard_live(inode.ino)?;
            return Err(error);
        }
        self.set_live(inode, Arc::clone(&live));
        Ok(live)
    }

    /// An empty live file, sealed where its bucket or the content before it is.
    pub(super) fn new_live(&self, bucket: Id, ino: Ino, before: Option<&Content>) -> Result<LiveFile> {
        match self.live_key(bucket, before)? {
            Some(key) => self.chunks.create_sealed_live(ino, key),
            None => self.chunks.create_live(ino),
        }
    }

    /// Says in the log that an inode has a live file: `fsync` then needs no record of its own (ruling 2).
    fn log_live(&self, caller: &Caller, inode: &Inode) -> Result<()> {
        let bucket = inode.place.read().bucket();
        let logged = self.commit(caller, bucket, Op::OpenLive, |txn| {
            let place = inode.place.read().clone();
            match place {
                Place::Held { holder, .. } => {
                    let old = super::node::read_node(txn, &holder)?
                        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the inode is gone").with("inode", inode.ino))?;
                    let mut new = old.clone();
                    if let Some(file) = new.file_mut() {
                        file.live = true;
                    }
                    txn.put_node(&holder, Some(&old), &new)
                }
                // Without a name there is nothing to recover.
                _ => Ok(()),
            }
        })?;
        self.sequenced(caller, logged);
        Ok(())
    }

    /// An inode's handles use this live file from now on.
    pub(super) fn set_live(&self, inode: &Arc<Inode>, live: Arc<LiveFile>) {
        *inode.data.write() = Data::Live(live);
        if self.lives.insert(inode) {
            let place = inode.place.read().clone();
            self.inodes.reference(inode.ino, place);
            self.lives.schedule(inode.ino, Instant::now() + self.config.publish_at_most);
        }
    }

    /// An inode has no live file any more.
    pub(super) fn clear_live(&self, inode: &Inode, next: Data) {
        *inode.data.write() = next;
        if self.lives.remove(inode.ino) {
            self.dereference(inode.ino, 1);
        }
    }

    /// Chooses the file that the kernel may use directly, at an inode's first open.
    fn choose_backing(&self, inode: &Inode, open: &mut OpenState) -> Result<()> {
        if open.handles > 0 {
            return Ok(());
        }
        open.backing = match &*inode.data.read() {
            // What is sealed is read and written by the daemon alone.
            Data::Live(live) => live.cipher().is_none().then(|| Arc::clone(live.file())),
            Data::Sealed(reader) if reader.is_sealed() => None,
            Data::Sealed(reader) => {
                let digest = digest_of(reader.root())?;
                match self.chunks.sealed_file(reader.root())? {
                    // A kernel uses a content file for one inode at a time: another may turn it into its live file.
                    Some(file) if *self.backed.entry(digest).or_insert(inode.ino) == inode.ino => {
                        open.backed = Some(digest);
                        Some(file.file)
                    }
                    _ => None,
                }
            }
            Data::None | Data::Sealing(..) => None,
        };
        Ok(())
    }
}

impl Namespace {
    fn handle(
        &self,
        inode: &Arc<Inode>,
        mut open: MutexGuard<'_, OpenState>,
        mode: OpenMode,
    ) -> Result<Arc<FileHandle>> {
        self.0.choose_backing(inode, &mut open)?;
        open.handles += 1;
        if mode.write {
            open.writers += 1;
            open.unflushed += 1;
        }
        let passthrough = open.backing.clone();
        drop(open);
        let place = inode.place.read().clone();
        self.0.inodes.reference(inode.ino, place);
        Ok(Arc::new(FileHandle {
            namespace: self.clone(),
            inode: Arc::clone(inode),
            mode,
            flushed: AtomicBool::new(false),
            released: AtomicBool::new(false),
            passthrough: Mutex::new(passthrough),
        }))
    }

    /// Opens a known inode.
    pub fn open_file(&self, caller: &Caller, ino: Ino, mode: OpenMode) -> Result<Arc<FileHandle>> {
        let inode = self.0.inode(ino)?;
        let kind = self.0.stat(&inode)?.kind;
        if kind != FileKind::File {
            return Err(not_a_file(kind));
        }
        if mode.write && !mode.truncate {
            // What a kernel writes by itself cannot be refused later (ruling 18).
            self.0.chunks.check_room(0)?;
        }
        let mut open = inode.open.lock();
        if mode.truncate {
            inode.wait_for_writers(&mut open);
        }
        if mode.write || mode.truncate {
            self.0.make_live(caller, &inode, &mut open, mode.truncate)?;
        } else if matches!(&*inode.data.read(), Data::None) {
            let sealed = self.0.sealed(&inode)?;
            *inode.data.write() = sealed;
        }
        self.handle(&inode, open, mode)
    }

    /// Opens an inode that `create` just made with its live file.
    pub(super) fn adopt_live(&self, ino: Ino, live: Arc<LiveFile>, mode: OpenMode) -> Result<Arc<FileHandle>> {
        let inode = self.0.inode(ino)?;
        let open = inode.open.lock();
        self.0.set_live(&inode, live);
        self.handle(&inode, open, mode)
    }

    /// Reads up to `len` bytes; fewer only at the end of the file.
    pub fn read(&self, handle: &FileHandle, offset: u64, len: usize) -> Result<Bytes> {
        let data = handle.inode.data.read().clone();
        match data {
            Data::Live(file) => Ok(file.read(offset, len)?.into()),
            Data::Sealed(reader) => reader.read_at(offset, len),
            Data::None | Data::Sealing(..) => Err(Error::new(ErrorKind::Internal, "an open file has no bytes")),
        }
    }

    /// Writes all of `data` at `offset` (at the end for an appending handle).
    pub fn write(&self, handle: &FileHandle, offset: u64, data: &[u8]) -> Result<()> {
        let file = handle.writable()?;
        handle.write_goes_on();
        // Appending writers must not overwrite each other between asking for the end and writing there.
        let appending = handle.mode.append.then(|| handle.inode.open.lock());
        let offset = if handle.mode.append { file.size()? } else { offset };
        check_end(offset, data.len() as u64)?;
        self.0.chunks.check_room(data.len() as u64)?;
        file.write(offset, data)?;
        drop(appending);
        if handle.mode.sync { self.fsync(handle, true) } else { Ok(()) }
    }

    /// `close` of one descriptor: what was written becomes visible to the other door (ruling 20).
    pub fn flush(&self, handle: &FileHandle) -> Result<()> {
        if !handle.mode.write {
            return Ok(());
        }
        {
            let mut open = handle.inode.open.lock();
            if !handle.flushed.swap(true, Ordering::AcqRel) {
                open.unflushed -= 1;
            }
            open.ended += 1;
        }
        if let Data::Live(live) = &*handle.inode.data.read() {
            live.keep()?;
        }
        self.0.lives.closed.lock().insert(handle.ino());
        Ok(())
    }

    /// `fsync`, `fdatasync`: durable when it returns (S14). Both sync the live file's bytes and size, then the log up
    /// to its head: the inode's last record is below it.
    pub fn fsync(&self, handle: &FileHandle, _data_only: bool) -> Result<()> {
        let data = handle.inode.data.read().clone();
        if let Data::Live(file) = data {
            file.sync_data()?;
            handle.inode.open.lock().ended += 1;
        }
        self.0.meta.durable_blocking(self.0.meta.head())
    }

    /// `fsync` of a directory, `syncfs`: everything sequenced so far is durable when it returns.
    pub fn sync_names(&self) -> Result<()> {
        self.0.meta.durable_blocking(self.0.meta.head())
    }

    /// `fallocate` with Linux's mode bits (`FALLOC_FL_*`); Unsupported for a mode that the local disk cannot do.
    pub fn fallocate(&self, handle: &FileHandle, offset: u64, len: u64, mode: i32) -> Result<()> {
        let file = handle.writable()?;
        check_end(offset, len)?;
        if mode & libc::FALLOC_FL_PUNCH_HOLE == 0 {
            self.0.chunks.check_room(len)?;
        }
        local::allocate(&file, offset, len, mode)
    }

    /// `lseek` with `SEEK_DATA` (`data`) or `SEEK_HOLE`; `None` is ENXIO.
    pub fn seek_data_or_hole(&self, handle: &FileHandle, offset: u64, data: bool) -> Result<Option<u64>> {
        let source = handle.inode.data.read().clone();
        match source {
            Data::Live(file) => local::seek(&file, offset, data),
            Data::Sealed(reader) if reader.is_sealed() => Ok(local::seek_solid(reader.size(), offset, data)),
            Data::Sealed(reader) => match self.0.chunks.sealed_file(reader.root())? {
                Some(sealed) => local::seek_file(&sealed.file, offset, data),
                None => Ok(local::seek_solid(reader.size(), offset, data)),
            },
            Data::None | Data::Sealing(..) => Ok(None),
        }
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
        let target = to.writable()?;
        check_end(to_offset, len)?;
        self.0.chunks.check_room(len)?;
        to.write_goes_on();
        let source = from.inode.data.read().clone();
        if let Data::Live(source) = &source
            && source.cipher().or(target.cipher()).is_none()
        {
            return local::copy(source.file(), from_offset, target.file(), to_offset, len);
        }
        // Published content is verified on its way.
        let mut copied = 0;
        while copied < len {
            let piece = self.read(from, from_offset + copied, (len - copied).min(1 << 20) as usize)?;
            if piece.is_empty() {
                break;
            }
            target.write(to_offset + copied, &piece)?;
            copied += piece.len() as u64;
        }
        Ok(copied)
    }
}

/// Beyond 5 TiB is EFBIG.
fn check_end(offset: u64, len: u64) -> Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= MAX_OBJECT_SIZE => Ok(()),
        _ => Err(Error::new(ErrorKind::TooLarge, "a file has at most 5 TiB").with("offset", offset)),
    }
}

/// Whether a node is a regular file.
pub(super) fn is_file(node: &NodeRow) -> bool {
    matches!(node.kind, NodeKind::File(_))
}
