//! redb 4: a copy-on-write B-tree in one file.

use std::io::ErrorKind as ErrorKindIo;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use super::EngineOptions;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::log::sync_dir;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};

const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");

/// One table.
pub(super) struct RedbStore {
    db: Database,
    path: PathBuf,
}

impl RedbStore {
    pub(super) fn open(dir: &Path, options: &EngineOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).at("cannot make the replica's folder")?;
        let path = dir.join("rows.redb");
        let db = Builder::new().set_cache_size(options.cache_bytes as usize).create(&path).map_err(translate)?;
        let store = Self { db, path };
        // The table has to exist before it is read.
        store.apply(&[])?;
        store.flush()?;
        sync_dir(dir).at("cannot sync the replica's folder")?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent).at("cannot sync the folder above the replica")?;
        }
        Ok(store)
    }

    fn read<T>(
        &self,
        f: impl FnOnce(&redb::ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, redb::StorageError>,
    ) -> Result<T> {
        let transaction = self.db.begin_read().map_err(translate)?;
        let table = transaction.open_table(ROWS).map_err(translate)?;
        f(&table).map_err(translate)
    }
}

fn translate(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(e) if matches!(e.kind(), ErrorKindIo::InvalidData | ErrorKindIo::UnexpectedEof) => {
            Error::corrupt("redb's file is none of its own").caused_by(e)
        }
        redb::Error::Io(e) => Error::io("redb cannot read or write", e),
        e @ redb::Error::DatabaseAlreadyOpen => {
            Error::new(ErrorKind::Busy, "another process has the replica open").caused_by(e)
        }
        e @ redb::Error::PreviousIo => Error::new(ErrorKind::Io, "redb has failed before").caused_by(e),
        other => Error::corrupt("redb's database is damaged").caused_by(other),
    }
}

impl MetaStore for RedbStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(|table| Ok(table.get(key)?.map(|v| v.value().to_vec())))
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        if start >= end {
            return Ok(Vec::new());
        }
        self.read(|table| {
            let rows = table.range::<&[u8]>(start..end)?;
            rows.take(limit).map(|row| row.map(|(k, v)| (k.value().to_vec(), v.value().to_vec()))).collect()
        })
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        if start >= end {
            return Ok(None);
        }
        self.read(|table| {
            let last = table.range::<&[u8]>(start..end)?.next_back().transpose()?;
            Ok(last.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())))
        })
    }

    fn apply(&self, changes: &[RowChange]) -> Result<()> {
        let mut transaction = self.db.begin_write().map_err(translate)?;
        transaction.set_durability(Durability::None).map_err(translate)?;
        {
            let mut table = transaction.open_table(ROWS).map_err(translate)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()).map_err(translate)?,
                    None => table.remove(key.as_slice()).map_err(translate)?,
                };
            }
        }
        transaction.commit().map_err(translate)
    }

    fn flush(&self) -> Result<()> {
        // An empty transaction that is durable makes all before it durable.
        let mut transaction = self.db.begin_write().map_err(translate)?;
        transaction.set_durability(Durability::Immediate).map_err(translate)?;
        transaction.commit().map_err(translate)
    }

    fn stats(&self) -> Result<StoreStats> {
        let rows = self.read(|table| table.len())?;
        let disk_bytes = std::fs::metadata(&self.path).at("cannot read the replica's size")?.len();
        Ok(StoreStats { disk_bytes, rows: Some(rows) })
    }

    fn engine(&self) -> &'static str {
        "redb"
    }
}
