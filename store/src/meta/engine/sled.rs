//! sled 0.34.7, with a guard for each of its known problems.
//!
//! - `flush` only calls `sync_file_range` (sled#1351, #1452): an own `fdatasync` of the database file follows it,
//!   after syncs of the blob files that sled never syncs. Measured: without, 14 of 20 power cuts lost or broke data.
//! - A file system on which that is not enough is refused: btrfs (copies on write), network file systems.
//! - It panics where it should answer an error, at open above all: every call is guarded, and the open runs on a
//!   thread of its own. A panic becomes Corrupt, and the replica is set aside and rebuilt.
//! - Its memory and its disk grow with trees and with large batches: one tree, batches of at most 100 keys (the
//!   applier splits runs), a cache of at least 256 MiB ([`MIN_CACHE_BYTES`]).
//! - Its iterators see half of a batch: a lock makes `range` and `apply` exclude each other.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};

use super::{EngineOptions, free_bytes, is_damage};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::aside::{Aside, give_back};
use crate::meta::log::sync_dir;
use crate::meta::room::ASIDE;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};

/// More keys than this in a batch make sled's memory grow far beyond its cache (measured: 9.5 GB against 0.5 GB).
const BATCH_KEYS: usize = 100;

/// With a smaller cache sled needs *more* memory, not less.
pub(super) const MIN_CACHE_BYTES: u64 = 256 << 20;

/// One sled tree and an own descriptor of its file.
pub(super) struct SledStore {
    db: sled::Db,
    /// sled's `db` file: what has to reach the disk.
    file: File,
    blobs: PathBuf,
    aside: Aside,
    /// Blob files that were synced already.
    synced_blobs: Mutex<HashSet<OsString>>,
    /// Readers of ranges against writers of batches.
    batches: RwLock<()>,
}

impl SledStore {
    pub(super) fn open(dir: &Path, options: &EngineOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).at("cannot make the replica's folder")?;
        refuse_file_system(dir)?;
        // A start on a full disk needs it: sled writes a snapshot of its page table.
        give_back(&dir.join("db"))?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes(options))
            // The flusher also does half of the garbage collection: never turn it off.
            .flush_every_ms(Some(500));
        let opening = std::thread::Builder::new()
            .name("sled-open".into())
            .spawn(move || config.open())
            .at("cannot start a thread to open sled")?;
        let db = match opening.join() {
            Ok(opened) => opened.map_err(translate)?,
            Err(_) => return Err(Error::corrupt("sled panicked while it opened its database")),
        };
        let file = File::options().read(true).write(true).open(dir.join("db")).at("cannot open sled's file")?;
        let store = Self {
            db,
            file,
            blobs: dir.join("blobs"),
            aside: Aside::new(ASIDE),
            synced_blobs: Mutex::default(),
            batches: RwLock::new(()),
        };
        store.flush()?;
        sync_dir(dir).at("cannot sync the replica's folder")?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent).at("cannot sync the folder above the replica")?;
        }
        Ok(store)
    }

    /// Large values get a file of their own in sled, which it leaves to the page cache.
    fn sync_blobs(&self) -> Result<()> {
        let mut present = HashSet::new();
        let mut synced = self.synced_blobs.lock();
        let mut new = false;
        for entry in std::fs::read_dir(&self.blobs).at("cannot list sled's blobs")? {
            let entry = entry.at("cannot list sled's blobs")?;
            let name = entry.file_name();
            if !synced.contains(&name) {
                match File::open(entry.path()).and_then(|f| f.sync_all()) {
                    // sled collects blobs in the background.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    other => other.at("cannot sync a blob of sled")?,
                }
                new = true;
            }
            present.insert(name);
        }
        if new {
            sync_dir(&self.blobs).at("cannot sync sled's blobs")?;
        }
        *synced = present;
        Ok(())
    }
}

/// The cache to ask for. A configured node refuses a smaller one; what opens sled for another reason (to convert it,
/// say) gets the least that works.
fn cache_bytes(options: &EngineOptions) -> u64 {
    if options.cache_bytes < MIN_CACHE_BYTES {
        tracing::debug!(
            asked = options.cache_bytes,
            cache = MIN_CACHE_BYTES,
            "sled gets the smallest cache it works with"
        );
    }
    options.cache_bytes.max(MIN_CACHE_BYTES)
}

/// File systems on which an fdatasync of sled's file is not known to be enough.
fn refuse_file_system(dir: &Path) -> Result<()> {
    const REFUSED: [(u32, &str); 14] = [
        (0x9123_683e, "btrfs"),
        (0x6969, "nfs"),
        (0x517b, "smb"),
        (0xff53_4d42, "cifs"),
        (0xfe53_4d42, "smb2"),
        (0x00c3_6400, "ceph"),
        (0x5346_414f, "afs"),
        (0x6b41_4653, "kafs"),
        (0x7375_7245, "coda"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "fuse"),
        (0x0bd0_0bd0, "lustre"),
        (0x0116_1970, "gfs2"),
        (0x7461_636f, "ocfs2"),
    ];
    let found = rustix::fs::statfs(dir).at("cannot tell the replica's file system")?.f_type as u32;
    match REFUSED.iter().find(|(magic, _)| *magic == found) {
        None => Ok(()),
        Some((_, name)) => Err(Error::new(
            ErrorKind::Unsupported,
            "sled keeps no promises on this file system: put the data directory on a local disk (ext4, xfs) or choose another metadata engine",
        )
        .with("file system", name)
        .with("dir", dir.display())),
    }
}

/// What a sled error means for us.
fn translate(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(e) if e.kind() == std::io::ErrorKind::Other && e.to_string().contains("lock") => {
            Error::new(ErrorKind::Busy, "another process has the replica open").caused_by(e)
        }
        sled::Error::Io(e) if is_damage(&e) => Error::corrupt("sled's files do not fit together").caused_by(e),
        sled::Error::Io(e) => Error::io("sled cannot read or write", e),
        other => Error::corrupt("sled's database is damaged").caused_by(other),
    }
}

/// Runs a call of sled; a panic in it is damage, not the end of the node.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(translate),
        Err(_) => Err(Error::corrupt("sled panicked")),
    }
}

impl MetaStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(guarded(|| self.db.get(key))?.map(|v| v.to_vec()))
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        if start >= end {
            return Ok(Vec::new());
        }
        let _whole = self.batches.read();
        guarded(|| {
            self.db.range(start..end).take(limit).map(|row| row.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect()
        })
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        if start >= end {
            return Ok(None);
        }
        let _whole = self.batches.read();
        guarded(|| self.db.range(start..end).next_back().transpose())
            .map(|row| row.map(|(k, v)| (k.to_vec(), v.to_vec())))
    }

    fn apply(&self, changes: &[RowChange]) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        let _whole = self.batches.write();
        guarded(|| self.db.apply_batch(batch))
    }

    fn flush(&self) -> Result<()> {
        guarded(|| self.db.flush())?;
        self.sync_blobs()?;
        rustix::fs::fdatasync(&self.file).at("cannot sync sled's file")
    }

    fn room(&self) -> Result<u64> {
        // All that sled writes while it is open, but for very large values, goes to the end of its one file.
        match self.aside.fill_up(&self.file)? {
            Some(left) => Ok(left),
            None => free_bytes(&self.blobs),
        }
    }

    fn stats(&self) -> Result<StoreStats> {
        // Counting rows is a scan of the tree in sled.
        Ok(StoreStats { disk_bytes: guarded(|| self.db.size_on_disk())?, rows: None })
    }

    fn engine(&self) -> &'static str {
        "sled"
    }

    fn batch_keys(&self) -> usize {
        BATCH_KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::{MIN_CACHE_BYTES, cache_bytes};
    use crate::meta::engine::EngineOptions;

    #[test]
    fn the_cache_is_never_smaller_than_sled_can_work_with() {
        for (asked, given) in [(0, MIN_CACHE_BYTES), (64 << 20, MIN_CACHE_BYTES), (1 << 30, 1 << 30)] {
            assert_eq!(cache_bytes(&EngineOptions { cache_bytes: asked }), given);
        }
        assert_eq!(EngineOptions::default().cache_bytes, MIN_CACHE_BYTES);
    }
}
