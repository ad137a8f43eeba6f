//! fjall 3: an LSM tree with a journal. The second disk engine, chosen over redb 4 by measurement
//! (`examples/meta_engines.rs`, 1M rows of 260 bytes): a quarter of the processor time to write, half of the disk,
//! disk and open time that stay bounded under churn and after a crash; redb reads two to three times faster. The log
//! in front makes the rest alike: whatever a replica loses it gets from there.

use std::io;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{EngineOptions, free_bytes, is_damage};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::aside::Ballast;
use crate::meta::log::sync_dir;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};

/// Journals are replayed at open: 64 MiB keep that short (measured: 14.5 s with the default of 512 MiB).
const JOURNAL_BYTES: u64 = 64 << 20;

/// One keyspace.
pub(super) struct FjallStore {
    dir: PathBuf,
    ballast: Ballast,
    db: Database,
    rows: Keyspace,
}

impl FjallStore {
    pub(super) fn open(dir: &Path, options: &EngineOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).at("cannot make the replica's folder")?;
        // A start on a full disk needs it.
        let ballast = Ballast::released(&dir.join("ballast"))?;
        let db = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(translate)?;
        let rows = db.keyspace("rows", KeyspaceCreateOptions::default).map_err(translate)?;
        let store = Self { dir: dir.to_owned(), ballast, db, rows };
        store.flush()?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent).at("cannot sync the folder above the replica")?;
        }
        Ok(store)
    }
}

fn translate(error: fjall::Error) -> Error {
    match error {
        fjall::Error::Locked => Error::new(ErrorKind::Busy, "another process has the replica open"),
        fjall::Error::Poisoned => Error::new(ErrorKind::Io, "fjall has failed before and writes no more"),
        fjall::Error::Io(e) if !is_damage(&e) => Error::io("fjall cannot read or write", e),
        other => match io_cause(&other) {
            Some(e) if !is_damage(&e) => Error::io("fjall cannot read or write", e),
            _ => Error::corrupt("fjall's database is damaged").caused_by(other),
        },
    }
}

/// The I/O error that an error of the tree below came from.
fn io_cause(error: &fjall::Error) -> Option<io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(e) = error.downcast_ref::<io::Error>() {
            return Some(e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error));
        }
        cause = error.source();
    }
    None
}

fn row(guard: fjall::Guard) -> Result<Row> {
    let (key, value) = guard.into_inner().map_err(translate)?;
    Ok((key.to_vec(), value.to_vec()))
}

impl MetaStore for FjallStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if key.is_empty() {
            return Ok(None);
        }
        Ok(self.rows.get(key).map_err(translate)?.map(|v| v.to_vec()))
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        if start >= end {
            return Ok(Vec::new());
        }
        self.db.snapshot().range(&self.rows, start..end).take(limit).map(row).collect()
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        if start >= end {
            return Ok(None);
        }
        self.db.snapshot().range(&self.rows, start..end).next_back().map(row).transpose()
    }

    fn apply(&self, changes: &[RowChange]) -> Result<()> {
        let mut batch = self.db.batch();
        // One sequence number a batch: of two changes of a key only the last may go in.
        let mut last = std::collections::BTreeMap::new();
        for (key, value) in changes {
            last.insert(key, value);
        }
        for (key, value) in last {
            match value {
                Some(value) => batch.insert(&self.rows, key.as_slice(), value.as_slice()),
                None => batch.remove(&self.rows, key.as_slice()),
            }
        }
        batch.commit().map_err(translate)
    }

    fn flush(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncData).map_err(translate)
    }

    fn room(&self) -> Result<u64> {
        self.ballast.room(|| free_bytes(&self.dir))
    }

    fn stats(&self) -> Result<StoreStats> {
        Ok(StoreStats { disk_bytes: self.db.disk_space().map_err(translate)?, rows: None })
    }

    fn engine(&self) -> &'static str {
        "fjall"
    }
}
