//! An engine without a disk, for tests.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use crate::error::Result;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};

/// Rows in memory.
#[derive(Default)]
pub(super) struct MemoryStore {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// BTreeMap panics on a range that is upside down, so its end is never before its start.
fn bounds<'a>(start: &'a [u8], end: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(start), Bound::Excluded(end.max(start)))
}

impl MetaStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.read().get(key).cloned())
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        let rows = self.rows.read();
        Ok(rows.range::<[u8], _>(bounds(start, end)).take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let rows = self.rows.read();
        Ok(rows.range::<[u8], _>(bounds(start, end)).next_back().map(|(k, v)| (k.clone(), v.clone())))
    }

    fn apply(&self, batch: &[RowChange]) -> Result<()> {
        let mut rows = self.rows.write();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn room(&self) -> Result<u64> {
        Ok(u64::MAX)
    }

    fn stats(&self) -> Result<StoreStats> {
        Ok(StoreStats { disk_bytes: 0, rows: Some(self.rows.read().len() as u64) })
    }

    fn engine(&self) -> &'static str {
        "memory"
    }
}
