//! Live files: what an inode that is open for writing has instead of sealed content. A live file is a whole local file,
//! so that the kernel can read and write it without the daemon.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{CWD, RenameFlags, SeekFrom, renameat_with};

use crate::chunk::index::{Stamp, encode, object_key};
use crate::chunk::layout::{Layout, SEALED, TmpFile, parse_hex_name};
use crate::chunk::live_file::{DRAFT, KEPT, LiveFile, Mark, UNSYNCED};
use crate::chunk::pins::Digest32;
use crate::chunk::pool::is_zero;
use crate::chunk::reader::ObjectReader;
use crate::chunk::store::Inner;
use crate::chunk::sys;
use crate::crypto::LiveCipher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Cid, Id, Ino};

/// Emptied files kept for the next new one.
const MOST_POOLED: usize = 64;
/// Bytes copied at a time.
const COPY: usize = 1 << 20;
/// What a file system can leave as a hole.
const PAGE: usize = 4096;
/// Emptied live files that nobody else has open.
pub(super) struct Pool {
    /// Whether the kernel tells when somebody has a file open or mapped: else nothing is pooled, since a leftover
    /// mapping of one user's file would show another's.
    usable: bool,
    paths: Mutex<Vec<PathBuf>>,
    next: AtomicU64,
}

impl Pool {
    /// Takes over what an earlier start left.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let probe = dir.join("probe");
        let usable = (|| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&probe)?;
            let reader = File::open(&probe)?;
            let seen = !sys::is_only_user(&file)?;
            drop(reader);
            Ok::<_, std::io::Error>(seen && sys::is_only_user(&file)?)
        })();
        let usable = usable.unwrap_or(false);
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir).at("reading the pool of live files")? {
            let path = entry.at("reading the pool of live files")?.path();
            let reusable = usable && path != probe && paths.len() < MOST_POOLED;
            if reusable && fs::metadata(&path).is_ok_and(|m| m.len() == 0 && m.nlink() == 1) {
                paths.push(path);
            } else {
                fs::remove_file(&path).at("removing a pooled live file")?;
            }
        }
        Ok(Self { usable, paths: Mutex::new(paths), next: AtomicU64::new(0) })
    }
}

impl Inner {
    fn live(&self, ino: Ino, path: PathBuf, file: File, mark: Mark) -> LiveFile {
        LiveFile::new(ino, path, file, mark, self.health.clone(), self.dirs.clone())
    }

    /// After a power cut: what rested upon the kernel's memory is gone, so that what was published last holds. Before
    /// anything is written under the present boot and mount.
    pub(super) fn forget_unsynced(layout: &Layout) -> Result<()> {
        for entry in fs::read_dir(&layout.live).at("reading the folder of live files")? {
            let entry = entry.at("reading the folder of live files")?;
            let meta = entry.metadata().at("looking at a live file")?;
            if meta.is_file() && Mark::of(&meta) == Mark::Unsynced {
                fs::set_permissions(entry.path(), Permissions::from_mode(DRAFT)).at("marking a live file")?;
            }
        }
        Ok(())
    }

    /// An empty live file for `ino`, a draft. AlreadyExists if it has one, NoSpace when the disk's reserve is reached.
    pub(super) fn create_live(&self, ino: Ino) -> Result<LiveFile> {
        self.health.check()?;
        self.space.admit(0)?;
        let path = self.layout.live_file(ino);
        loop {
            let Some(pooled) = self.live_pool.paths.lock().pop() else { break };
            match renameat_with(CWD, &pooled, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    let file = open_rw(&path).at("opening a live file")?;
                    return Ok(self.live(ino, path, file, Mark::Draft));
                }
                Err(rustix::io::Errno::EXIST) => {
                    self.live_pool.paths.lock().push(pooled);
                    return Err(exists(ino));
                }
                // Gone, or not supported here: make a new one.
                Err(_) => {}
            }
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(DRAFT).open(&path);
        let file = file.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => exists(ino),
            _ => Error::io("making a live file", e),
        })?;
        Ok(self.live(ino, path, file, Mark::Draft))
    }

    /// An empty live file for `ino` that is sealed, a draft. AlreadyExists if it has one.
    pub(super) fn create_sealed_live(&self, ino: Ino, id: Id) -> Result<LiveFile> {
        self.health.check()?;
        self.space.admit(0)?;
        if self.layout.live_file(ino).exists() {
            return Err(exists(ino));
        }
        let key = self.keys()?.get(id)?;
        let tmp = self.layout.tmp_file()?;
        let cipher = LiveCipher::create(&tmp.file, id, &key)?;
        self.name_sealed_live(ino, tmp, cipher, Mark::Draft)
    }

    /// A sealed live file for `ino` with what `reader` reads.
    pub(super) fn clone_to_sealed_live(&self, ino: Ino, reader: &ObjectReader, id: Id) -> Result<LiveFile> {
        self.health.check()?;
        self.space.admit(reader.size())?;
        if self.layout.live_file(ino).exists() {
            return Err(exists(ino));
        }
        let key = self.keys()?.get(id)?;
        let tmp = self.layout.tmp_file()?;
        let cipher = LiveCipher::create(&tmp.file, id, &key)?;
        reader.for_each_piece(&mut |offset, piece| cipher.write(&tmp.file, offset, piece))?;
        self.name_sealed_live(ino, tmp, cipher, Mark::Unsynced)
    }

    fn name_sealed_live(&self, ino: Ino, tmp: TmpFile, cipher: LiveCipher, mark: Mark) -> Result<LiveFile> {
        let path = self.layout.sealed_live_file(ino);
        let mode = if mark == Mark::Draft { DRAFT } else { UNSYNCED };
        tmp.file.set_permissions(Permissions::from_mode(mode)).at("marking a live file")?;
        match renameat_with(CWD, tmp.path(), CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(exists(ino)),
            Err(e) => return Err(e).at("naming a live file"),
        }
        let file = tmp.moved().at("keeping a live file open")?;
        Ok(self.live(ino, path, file, mark).sealed_by(cipher))
    }

    fn open_sealed_live(&self, ino: Ino, path: PathBuf) -> Result<LiveFile> {
        let file = open_rw(&path).at("opening a live file")?;
        let mark = Mark::of(&file.metadata().at("looking at a live file")?);
        let keys = self.keys()?;
        let cipher = LiveCipher::open(&file, &|id| keys.get(id)).map_err(|e| e.with("inode", ino))?;
        Ok(self.live(ino, path, file, mark).sealed_by(cipher))
    }

    /// A live file for `ino` that holds what `root` names: by reflink, or else a copy, every byte of it checked.
    /// Holes stay holes.
    pub(super) fn clone_to_live(self: &Arc<Self>, ino: Ino, root: &Cid, size: u64) -> Result<LiveFile> {
        self.health.check()?;
        let path = self.layout.live_file(ino);
        if path.exists() {
            return Err(exists(ino));
        }
        let reader = ObjectReader::open(self, root, size)?;
        let tmp = self.layout.tmp_file()?;
        if !self.reflink(&reader, &tmp)? {
            self.space.admit(size)?;
            self.copy_checked(&reader, &tmp.file)?;
        }
        // The copy is not durable: a power cut must not put it in the place of what it was copied from.
        tmp.file.set_permissions(Permissions::from_mode(UNSYNCED)).at("marking a live file")?;
        match renameat_with(CWD, tmp.path(), CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(exists(ino)),
            Err(e) => return Err(e).at("naming a live file"),
        }
        let file = tmp.moved().at("keeping a live file open")?;
        Ok(self.live(ino, path, file, Mark::Unsynced))
    }

    /// Shares a sealed content file's extents with `to`, where the disk can; only if the file is as it was sealed.
    pub(super) fn reflink(&self, reader: &ObjectReader, to: &TmpFile) -> Result<bool> {
        let Some(row) = self.index.object(&crate::unixfs::digest_of(reader.root())?)? else { return Ok(false) };
        let Some(sealed) = self.open_sealed(&row)? else { return Ok(false) };
        Ok(rustix::fs::ioctl_ficlone(&to.file, &sealed).is_ok())
    }

    /// Copies an object, checked, leaving holes where it has zeros.
    pub(super) fn copy_checked(&self, reader: &ObjectReader, to: &File) -> Result<()> {
        to.set_len(reader.size()).at("setting a copy's length")?;
        let mut buffer = self.pool.buffer(COPY);
        buffer.bytes.resize(COPY, 0);
        let mut offset = 0;
        while offset < reader.size() {
            let n = reader.read_into(offset, &mut buffer.bytes)?;
            write_sparse(to, &buffer.bytes[..n], offset)?;
            offset += n as u64;
        }
        Ok(())
    }

    /// The live file that `ino` has; NotFound if it has none.
    ///
    /// A file whose sealing was cut off by a crash is also a content file by now: it is copied first, so that writing to
    /// it changes no sealed bytes.
    pub(super) fn open_live(&self, ino: Ino) -> Result<LiveFile> {
        let path = self.layout.live_file(ino);
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let sealed = self.layout.sealed_live_file(ino);
                if sealed.exists() {
                    return self.open_sealed_live(ino, sealed);
                }
                return Err(Error::new(ErrorKind::NotFound, "an inode has no live file").with("inode", ino));
            }
            Err(e) => return Err(e).at("looking at a live file"),
        };
        let mark = if meta.nlink() == 1 { Mark::of(&meta) } else { Mark::Kept };
        if meta.nlink() > 1 {
            self.unshare_live(&path)?;
        } else if meta.mode() & 0o200 == 0 {
            fs::set_permissions(&path, Permissions::from_mode(KEPT)).at("opening a live file for writing")?;
        }
        let file = open_rw(&path).at("opening a live file")?;
        Ok(self.live(ino, path, file, mark))
    }

    fn unshare_live(&self, path: &Path) -> Result<()> {
        let from = File::open(path).at("opening a live file")?;
        let tmp = self.layout.tmp_file()?;
        if rustix::fs::ioctl_ficlone(&tmp.file, &from).is_err() {
            copy_sparse(&from, &tmp.file)?;
        }
        self.health.sync_data(&tmp.file, "live: syncing a copy")?;
        tmp.rename(path)?;
        self.dirs.sync(&self.layout.live)
    }

    /// Lets go of an inode's live file: after the commit that names its sealed content, or when its inode is gone.
    /// There need not be one.
    pub(super) fn discard_live(&self, ino: Ino) -> Result<()> {
        let path = self.layout.live_file(ino);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return match fs::remove_file(self.layout.sealed_live_file(ino)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("removing a live file"),
                    _ => Ok(()),
                };
            }
            Err(e) => return Err(e).at("opening a live file"),
        };
        let meta = file.metadata().at("looking at a live file")?;
        if meta.nlink() > 1 {
            let remove = || fs::remove_file(&path).at("removing a live file's name");
            return match self.sealing.lock().remove(&ino) {
                Some(root) => self.lose_name(&root, &file, remove),
                None => remove(),
            };
        }
        drop(file);
        if self.empty_into_pool(&path)? {
            return Ok(());
        }
        fs::remove_file(&path).at("removing a live file")
    }

    /// The content file of `root` loses its second name by `remove`, which changes its ctime: what it must look like is
    /// written anew, if it was as recorded. Whoever finds it changed looks again under the same lock.
    pub(super) fn lose_name(&self, root: &Digest32, file: &File, remove: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = || file.metadata().at("looking at a sealed file").map(|meta| Stamp::of(&meta));
        let _locked = self.pins.lock(root);
        let before = stamp()?;
        remove()?;
        match self.index.object(root)? {
            Some(mut row) if row.stamp == Some(before) => {
                row.stamp = Some(stamp()?);
                self.index.apply(&[(object_key(root), Some(encode(&row)?))])
            }
            _ => Ok(()),
        }
    }

    fn empty_into_pool(&self, path: &Path) -> Result<bool> {
        if !self.live_pool.usable || self.live_pool.paths.lock().len() >= MOST_POOLED {
            return Ok(false);
        }
        fs::set_permissions(path, Permissions::from_mode(DRAFT)).at("opening a live file for writing")?;
        let file = open_rw(path).at("opening a live file")?;
        // Somebody's mapping of it would show the next one's bytes.
        if !sys::is_only_user(&file).unwrap_or(false) {
            return Ok(false);
        }
        file.set_len(0).at("emptying a live file")?;
        let name = format!("{:016x}-{}", self.live_pool.next.fetch_add(1, Ordering::Relaxed), Id::random());
        let pooled = self.layout.pool.join(name);
        fs::rename(path, &pooled).at("pooling a live file")?;
        self.live_pool.paths.lock().push(pooled);
        Ok(true)
    }

    /// Makes all live files durable, and their names.
    pub(super) fn sync_live(&self) -> Result<()> {
        let dir = File::open(&self.layout.live).at("opening the folder of live files")?;
        self.health.sync_disk(&dir, "live: syncing all")
    }

    /// The inodes that have a live file.
    pub(super) fn list_live(&self) -> Result<Vec<Ino>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.layout.live).at("reading the folder of live files")? {
            let name = entry.at("reading the folder of live files")?.file_name();
            let number = name.to_str().map(|n| n.strip_suffix(SEALED).unwrap_or(n));
            match number.and_then(|n| parse_hex_name(n, "")) {
                Some(ino) => all.push(Ino(ino)),
                None => tracing::warn!(name = ?name, "a foreign file lies among the live files"),
            }
        }
        all.sort_unstable();
        Ok(all)
    }
}

fn exists(ino: Ino) -> Error {
    Error::new(ErrorKind::AlreadyExists, "an inode has a live file already").with("inode", ino)
}

fn open_rw(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Writes what is not zero of `bytes`, in whole pages: the rest stays a hole of the new file.
pub(super) fn write_sparse(file: &File, bytes: &[u8], offset: u64) -> Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let page = |at: usize| &bytes[at..(at + PAGE).min(bytes.len())];
        let begin = at;
        while at < bytes.len() && !is_zero(page(at)) {
            at += PAGE;
        }
        let end = at.min(bytes.len());
        if begin < end {
            file.write_all_at(&bytes[begin..end], offset + begin as u64).at("writing a copy")?;
        } else {
            at += PAGE;
        }
    }
    Ok(())
}

/// Copies a local file's data, not its holes.
pub(super) fn copy_sparse(from: &File, to: &File) -> Result<()> {
    let len = from.metadata().at("looking at a file to copy")?.len();
    to.set_len(len).at("setting a copy's length")?;
    let mut buffer = vec![0; COPY];
    let mut at = 0;
    while let Some((begin, end)) = next_data(from, at, len)? {
        at = begin;
        while at < end {
            let n = (end - at).min(COPY as u64) as usize;
            from.read_exact_at(&mut buffer[..n], at).at("reading a file to copy")?;
            to.write_all_at(&buffer[..n], at).at("writing a copy")?;
            at += n as u64;
        }
    }
    Ok(())
}

/// The next range at or after `at`, below `len`, that is not a hole. The file's own position is moved.
pub(super) fn next_data(file: &File, at: u64, len: u64) -> Result<Option<(u64, u64)>> {
    if at >= len {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(begin) if begin < len => {
            let end = rustix::fs::seek(file, SeekFrom::Hole(begin)).at("looking for a hole")?;
            Ok(Some((begin, end.min(len))))
        }
        Ok(_) | Err(rustix::io::Errno::NXIO) => Ok(None),
        // A file system that knows no holes.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some((at, len))),
        Err(e) => Err(e).at("looking for data"),
    }
}
