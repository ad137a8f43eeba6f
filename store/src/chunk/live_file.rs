//! One live file, and the mark in its mode that says what a crash leaves of it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::chunk::health::{DirSync, Health};
use crate::crypto::LiveCipher;
use crate::error::{Error, IoContext, Result};
use crate::types::Ino;

/// Mode of a live file whose bytes were durable when it got this mode: a crash leaves at least what was synced last.
pub(super) const KEPT: u32 = 0o600;
/// Mode of a live file that is whole for as long as the kernel's memory is: closed, or copied from sealed content, and not
/// synced yet. After a power cut what was published last holds.
pub(super) const UNSYNCED: u32 = 0o1600;
/// Mode of a live file that begins empty in the place of older content, until what it holds is worth keeping: after any
/// crash the older content holds. The marks are on the file itself, so that they need no record.
pub(super) const DRAFT: u32 = 0o700;
/// The bits that tell the three apart.
const MARK: u32 = 0o7777;

/// What a crash leaves of a live file: its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Draft,
    Unsynced,
    /// As `Unsynced`, since before a sync of the whole disk began.
    Settling,
    Kept,
}

impl Mark {
    pub(super) fn of(meta: &fs::Metadata) -> Self {
        match meta.mode() & MARK {
            DRAFT => Self::Draft,
            UNSYNCED => Self::Unsynced,
            _ => Self::Kept,
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::Draft => DRAFT,
            Self::Unsynced | Self::Settling => UNSYNCED,
            Self::Kept => KEPT,
        }
    }
}

/// An inode's live file, open for reading and writing.
pub struct LiveFile {
    ino: Ino,
    path: PathBuf,
    file: Arc<File>,
    /// What seals it, in a bucket that is encrypted.
    cipher: Option<LiveCipher>,
    /// Whether its name is durable.
    named: AtomicBool,
    /// As its mode is, durably so for [`Mark::Kept`]. Never held while a disk is waited for.
    mark: Mutex<Mark>,
    /// Held while the mark is made durable: a `close` does not wait for that.
    syncing: Mutex<()>,
    health: Arc<Health>,
    dirs: Arc<DirSync>,
}

impl LiveFile {
    /// Its name may be older than this, but whether it is durable nobody knows.
    pub(super) fn new(
        ino: Ino,
        path: PathBuf,
        file: File,
        mark: Mark,
        health: Arc<Health>,
        dirs: Arc<DirSync>,
    ) -> Self {
        let (named, mark, syncing) = (AtomicBool::new(false), Mutex::new(mark), Mutex::default());
        Self { ino, path, file: Arc::new(file), cipher: None, named, mark, syncing, health, dirs }
    }

    /// It is sealed: what its file has is not what it holds.
    pub(super) fn sealed_by(mut self, cipher: LiveCipher) -> Self {
        self.cipher = Some(cipher);
        self
    }

    /// What seals it: its file is then nobody else's to read or write.
    pub fn cipher(&self) -> Option<&LiveCipher> {
        self.cipher.as_ref()
    }

    /// Reads up to `len` bytes; fewer only at the end of the file.
    pub fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        if let Some(cipher) = &self.cipher {
            return cipher.read(&self.file, offset, len);
        }
        let mut buffer = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("a live file cannot be read", error)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }

    /// Writes all of `data`.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        match &self.cipher {
            Some(cipher) => cipher.write(&self.file, offset, data),
            None => self.file.write_all_at(data, offset).at("a live file cannot be written"),
        }
    }

    /// Cuts or extends it.
    pub fn set_len(&self, len: u64) -> Result<()> {
        match &self.cipher {
            Some(cipher) => cipher.set_len(&self.file, len),
            None => self.file.set_len(len).at("a live file cannot be cut or extended"),
        }
    }

    /// The inode it belongs to.
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// The open file: for the kernel's passthrough, or for positioned reads and writes.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where it lies, to be opened once more with a caller's access mode (ruling 11).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes now.
    pub fn size(&self) -> Result<u64> {
        let len = self.metadata()?.len();
        Ok(if self.cipher.is_some() { LiveCipher::plain_len(len) } else { len })
    }

    /// Its attributes now: length, blocks and times are those of the data.
    pub fn metadata(&self) -> Result<fs::Metadata> {
        self.file.metadata().at("looking at a live file")
    }

    /// Makes what was written durable, and the file findable after a crash. After an error nothing more is written
    /// (Unavailable).
    pub fn sync_data(&self) -> Result<()> {
        if !self.sync_mark()? {
            self.health.sync_data(&self.file, "live: syncing")?;
        }
        if !self.named.load(Ordering::Acquire) {
            if let Some(dir) = self.path.parent() {
                self.dirs.sync(dir)?;
            }
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes bytes and mark durable. False if the mark was already.
    fn sync_mark(&self) -> Result<bool> {
        if self.mark() == Mark::Kept {
            return Ok(false);
        }
        let _alone = self.syncing.lock();
        if self.mark() == Mark::Kept {
            return Ok(false);
        }
        // Bytes before mark: anybody's sync may make the mark durable, and then it has to be true.
        self.health.write_out(&self.file, "live: writing out")?;
        self.set_mode(Mark::Kept)?;
        // The mode is no data.
        self.health.sync_all(&self.file, "live: syncing")?;
        *self.mark.lock() = Mark::Kept;
        Ok(true)
    }

    fn mark(&self) -> Mark {
        *self.mark.lock()
    }

    fn set_mode(&self, mark: Mark) -> Result<()> {
        self.file.set_permissions(Permissions::from_mode(mark.mode())).at("marking a live file")
    }

    /// Whether a crash now would bring back what was there before it.
    pub fn is_draft(&self) -> bool {
        self.mark() == Mark::Draft
    }

    /// Whether it was closed, or copied, and a power cut now would bring back what was published before it.
    pub fn is_unsynced(&self) -> bool {
        matches!(self.mark(), Mark::Unsynced | Mark::Settling)
    }

    /// What it holds now is stored elsewhere too, and after a crash that is taken up until [`Self::keep`].
    pub fn begin_anew(&self) -> Result<()> {
        let _alone = self.syncing.lock();
        self.set_mode(Mark::Draft)?;
        *self.mark.lock() = Mark::Draft;
        Ok(())
    }

    /// From now on what it holds is taken up after a crash of the node, and after a power cut once it was synced: it was
    /// closed, or is written to in place.
    pub fn keep(&self) -> Result<()> {
        if self.mark() != Mark::Draft {
            return Ok(());
        }
        // Whoever syncs it meanwhile vouches for more.
        let Some(_alone) = self.syncing.try_lock() else { return Ok(()) };
        if self.mark() == Mark::Draft {
            self.set_mode(Mark::Unsynced)?;
            *self.mark.lock() = Mark::Unsynced;
        }
        Ok(())
    }

    /// The whole disk is about to be synced ([`crate::chunk::ChunkStore::sync_live`]); [`Self::mark_synced`] comes after it, and one
    /// more such sync makes the marks durable.
    pub fn about_to_sync(&self) {
        let mut mark = self.mark.lock();
        if *mark == Mark::Unsynced {
            *mark = Mark::Settling;
        }
    }

    /// The whole disk was synced: what the file held when that began is durable, and its mark may say so. False for a file
    /// that was closed only since.
    pub fn mark_synced(&self) -> Result<bool> {
        // In memory it stays as it is: who syncs the file before the mark is durable must not rely on it.
        let mark = self.mark();
        if mark == Mark::Settling {
            self.set_mode(Mark::Kept)?;
        }
        Ok(mark != Mark::Unsynced)
    }
}

impl std::fmt::Debug for LiveFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LiveFile({})", self.ino)
    }
}
