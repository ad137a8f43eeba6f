//! Sealed files in the kernel's hands: lending them for passthrough, and making one a live file again (ruling 11).

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunk::index::{Kind, ObjectRow, Stamp, encode, object_key};
use crate::chunk::live_file::LiveFile;
use crate::chunk::pins::TempPin;
use crate::chunk::reader::ObjectReader;
use crate::chunk::store::Inner;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Cid, Id, Ino};
use crate::unixfs;

/// Which content files the kernel has for which inode. A file is lent to one inode at a time: when it becomes that
/// inode's live file, nobody else reads what is then written to it.
#[derive(Default)]
pub(super) struct Lent(Mutex<HashMap<u64, (Ino, u32)>>);

impl Lent {
    /// `None` if another inode has it.
    fn lend(self: &Arc<Self>, id: u64, to: Ino) -> Option<Loan> {
        let mut lent = self.0.lock();
        let (ino, count) = lent.entry(id).or_insert((to, 0));
        if *ino != to {
            return None;
        }
        *count += 1;
        Some(Loan { lent: self.clone(), id })
    }
}

struct Loan {
    lent: Arc<Lent>,
    id: u64,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut lent = self.lent.0.lock();
        if let Some((_, count)) = lent.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                lent.remove(&self.id);
            }
        }
    }
}

/// A content file that is as it was sealed. Collection spares it while this lives.
pub struct SealedFile {
    /// Open for reading.
    pub file: Arc<File>,
    /// Where it lies.
    pub path: PathBuf,
    /// The file's id: equal ids are the same content.
    pub id: u64,
    _loan: Option<Loan>,
    _pin: TempPin,
}

impl std::fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Inner {
    /// A sealed content file, lent to an inode if one is given.
    pub(super) fn sealed_file(&self, root: &Cid, lend_to: Option<Ino>) -> Result<Option<SealedFile>> {
        let digest = unixfs::digest_of(root)?;
        let pin = self.pins.pin(&digest).quiet();
        let Some(row) = self.index.object(&digest)? else { return Ok(None) };
        // Lent before it is opened: nobody makes it a live file in between.
        let loan = match lend_to.map(|ino| self.lent.lend(row.id, ino)) {
            Some(None) => return Ok(None),
            loan => loan.flatten(),
        };
        let Some(file) = self.open_sealed(&row)? else { return Ok(None) };
        // Who has it under another name (a live file being sealed, parts of an upload) lets go of it soon.
        if file.metadata().at("looking at a content file")?.nlink() > 1 {
            return Ok(None);
        }
        let path = self.layout.content_file(row.id, &row.root);
        Ok(Some(SealedFile { file: Arc::new(file), path, id: row.id, _loan: loan, _pin: pin }))
    }

    /// The object's content file, if it has one that looks as it did when it was sealed (ruling 13). The caller holds a
    /// pin on it.
    pub(super) fn open_sealed(&self, row: &ObjectRow) -> Result<Option<File>> {
        if row.kind != Kind::Whole {
            return Ok(None);
        }
        let file = match File::open(self.layout.content_file(row.id, &row.root)) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).at("opening a content file"),
        };
        let stamp = || file.metadata().at("looking at a content file").map(|meta| Some(Stamp::of(&meta)));
        if row.stamp == stamp()? {
            return Ok(Some(file));
        }
        let row = {
            // It may be losing another name just now.
            let _locked = self.pins.lock(&row.root);
            match self.index.object(&row.root)?.filter(|now| now.id == row.id) {
                Some(now) if now.stamp == stamp()? => return Ok(Some(file)),
                Some(now) => now,
                None => return Ok(None),
            }
        };
        Ok(self.reseal(&row, &file)?.then_some(file))
    }

    /// Makes the content file of `root` the live file of `ino`, whose readers may have it open by passthrough; the object
    /// keeps its content in a new file.
    pub(super) fn unseal(self: &Arc<Self>, root: &Cid, ino: Ino) -> Result<LiveFile> {
        self.health.check()?;
        let digest = unixfs::digest_of(root)?;
        let _pin = self.pins.pin(&digest).quiet();
        let Some(row) = self.index.object(&digest)?.filter(|row| row.kind == Kind::Whole) else {
            return Err(
                Error::new(ErrorKind::Unsupported, "an object has no content file of its own").with("cid", root)
            );
        };
        let live_path = self.layout.live_file(ino);
        if live_path.exists() {
            return Err(Error::new(ErrorKind::AlreadyExists, "an inode has a live file already").with("inode", ino));
        }
        let _loan = self.lent.lend(row.id, ino).ok_or_else(|| {
            Error::new(ErrorKind::Busy, "another inode reads this content file by itself").with("inode", ino)
        })?;
        let reader = ObjectReader::open(self, root, row.size)?;
        // Held open all along: every reader in this process goes through this handle.
        let handle = self
            .content
            .open(&row)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "an object's content file is gone").with("cid", root))?;
        let path = self.layout.content_file(row.id, &row.root);
        if fs::metadata(&path).at("looking at a content file")?.nlink() > 1 {
            return Err(Error::new(ErrorKind::Busy, "a content file has another name").with("cid", root));
        }
        let copy = self.layout.tmp_file()?;
        if !self.reflink(&reader, &copy)? {
            self.space.admit(row.disk)?;
            self.copy_checked(&reader, &copy.file)?;
        }
        copy.file.set_permissions(Permissions::from_mode(0o400)).at("sealing a content file")?;
        self.health.sync_data(&copy.file, "unseal: syncing the copy")?;
        // The old file gets a second name, which a crash sweeps away; then the copy takes its first one in one step.
        let kept = self.layout.tmp.join(Id::random().to_string());
        fs::hard_link(&path, &kept).at("keeping a content file")?;
        self.health.step("unseal: linked, not replaced")?;
        let taken = (|| {
            copy.rename(&path)?;
            let sealed = File::open(&path).at("opening a content file")?;
            handle.swap_file(Arc::new(sealed));
            self.content.swapped();
            self.dirs.sync(&self.layout.fan(row.id))?;
            self.health.step("unseal: replaced, not recorded")?;
            self.record_copy(&row)?;
            fs::set_permissions(&kept, Permissions::from_mode(0o600)).at("opening a content file for writing")?;
            fs::rename(&kept, &live_path).at("naming a live file")
        })();
        if let Err(e) = taken {
            // Without it the old file's bytes are still those of the object.
            let _ = fs::remove_file(&kept);
            return Err(e);
        }
        self.open_live(ino)
    }

    /// Writes down what the object's new file looks like.
    fn record_copy(&self, before: &ObjectRow) -> Result<()> {
        let _locked = self.pins.lock(&before.root);
        let Some(mut row) = self.index.object(&before.root)?.filter(|row| row.id == before.id) else { return Ok(()) };
        self.measure(&mut row, before.leaves > 1)?;
        self.index.apply(&[(object_key(&row.root), Some(encode(&row)?))])?;
        self.totals.remove(before.disk);
        self.totals.add(row.disk);
        Ok(())
    }
}
