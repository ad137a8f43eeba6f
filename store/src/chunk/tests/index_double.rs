//! A metadata store in memory that can lose a suffix of its changes, as a crash would make it.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::chunk::index::{self, SlabRow};
use crate::error::Result;
use crate::meta::{MetaStore, Row, RowChange, StoreStats};

#[derive(Default)]
pub(crate) struct IndexDouble(RwLock<State>);

#[derive(Default, Clone)]
struct State {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Changes since the last flush, and the rows at that time.
    recent: Vec<Vec<RowChange>>,
    flushed: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn change(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &[RowChange]) {
    for (key, value) in batch {
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

impl IndexDouble {
    /// How many batches a crash could take back now.
    pub(crate) fn unflushed(&self) -> usize {
        self.0.read().recent.len()
    }

    /// The store after a crash that left the first `kept` batches since the last flush.
    pub(crate) fn crashed(&self, kept: usize) -> Self {
        let state = self.0.read();
        let mut rows = state.flushed.clone();
        state.recent.iter().take(kept).for_each(|batch| change(&mut rows, batch));
        Self(RwLock::new(State { flushed: rows.clone(), rows, recent: Vec::new() }))
    }
}

impl IndexDouble {
    /// Ids of slabs and the lengths up to which they are indexed.
    pub(crate) fn slab_lengths(&self) -> Vec<(u64, u64)> {
        let state = self.0.read();
        let slabs = state.rows.range(b"fs".to_vec()..b"ft".to_vec());
        slabs
            .map(|(key, value)| {
                (u64::from_be_bytes(*key.last_chunk().unwrap()), index::decode::<SlabRow>(value).unwrap().len)
            })
            .collect()
    }
}

impl MetaStore for IndexDouble {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.read().rows.get(key).cloned())
    }

    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        let state = self.0.read();
        let range = state.rows.range(start.to_vec()..end.to_vec());
        Ok(range.take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let state = self.0.read();
        let mut range = state.rows.range(start.to_vec()..end.to_vec());
        Ok(range.next_back().map(|(k, v)| (k.clone(), v.clone())))
    }

    fn apply(&self, batch: &[RowChange]) -> Result<()> {
        assert!(batch.len() <= 100, "a batch of {} rows (ruling 6)", batch.len());
        let mut state = self.0.write();
        change(&mut state.rows, batch);
        state.recent.push(batch.to_vec());
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let mut state = self.0.write();
        state.flushed = state.rows.clone();
        state.recent.clear();
        Ok(())
    }

    fn room(&self) -> Result<u64> {
        Ok(u64::MAX)
    }

    fn stats(&self) -> Result<StoreStats> {
        Ok(StoreStats { disk_bytes: 0, rows: Some(self.0.read().rows.len() as u64) })
    }

    fn engine(&self) -> &'static str {
        "memory"
    }
}
