//! Bringing durable records into the replica, in order, each as often as it takes: records are after-images, and the
//! applied position goes in with the last of their rows.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::record::{InlineBlock, Record};
use super::{MetaStore, RowChange, schema};
use crate::error::{Error, Result};
use crate::types::Seq;

/// Takes the small bodies that travelled inside records.
pub trait BlockSink: Send + Sync {
    /// Stores `blocks`; durable when it returns. Called before the rows of their records are applied, from the
    /// applier's thread and at start; the same blocks may come again.
    fn store_blocks(&self, blocks: &[InlineBlock]) -> Result<()>;
}

/// A replica and how far it is.
pub(super) struct Replica {
    pub(super) store: Arc<dyn MetaStore>,
    /// Highest record of which the replica may show something. Written before the first of its rows goes in.
    applying: AtomicU64,
    /// Held exclusively while a batch goes in: a reader that holds it shared sees a replica that stands still.
    pub(super) still: RwLock<()>,
}

impl Replica {
    /// A replica of which everything up to `applied` is known to be there.
    pub(super) fn new(store: Arc<dyn MetaStore>, applied: Seq) -> Self {
        Self { store, applying: AtomicU64::new(applied), still: RwLock::new(()) }
    }

    /// The highest record of which the replica may show something.
    pub(super) fn shows(&self) -> Seq {
        self.applying.load(Ordering::SeqCst)
    }

    /// Whether a read that has just ended can have seen nothing of a record above `seq`.
    pub(super) fn shows_at_most(&self, seq: Seq) -> bool {
        self.shows() <= seq
    }

    /// Applies `records`, which follow on `applied`, and makes them durable. Returns the new applied position. Their
    /// small bodies are stored already ([`store_bodies`]).
    ///
    /// Of each key only the last change is written: what is made and removed within a run costs next to nothing. In between
    /// the replica may have a part of a record; readers have the overlay above it, and after a crash the records are
    /// applied again, since the position comes with the last batch.
    pub(super) fn apply<R: Borrow<Record>>(&self, records: &[R], applied: Seq) -> Result<Seq> {
        let mut changes: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let mut position = applied;
        for record in records.iter().map(Borrow::borrow) {
            if record.seq != position + 1 {
                return Err(Error::corrupt("a log record does not follow on the one before")
                    .with("record", record.seq)
                    .with("before", position));
            }
            check_rows(record)?;
            changes.extend(record.rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref())));
            position = record.seq;
        }
        if position == applied {
            return Ok(position);
        }
        self.applying.store(position, Ordering::SeqCst);
        let most = self.store.batch_keys();
        let mut batch: Vec<RowChange> = Vec::with_capacity(most.min(changes.len() + 1));
        for (key, value) in changes {
            if batch.len() == most {
                self.write(&batch)?;
                batch.clear();
            }
            batch.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        }
        if batch.len() == most {
            self.write(&batch)?;
            batch.clear();
        }
        batch.push(applied_row(position));
        self.write(&batch)?;
        self.store.flush()?;
        Ok(position)
    }

    fn write(&self, batch: &[RowChange]) -> Result<()> {
        let _still = self.still.write();
        self.store.apply(batch)
    }
}

/// Hands the small bodies of `records` to whoever keeps them.
pub(super) fn store_bodies<R: Borrow<Record>>(records: &[R], sink: &dyn BlockSink) -> Result<()> {
    let blocks: Vec<InlineBlock> = records.iter().flat_map(|r| r.borrow().blocks.iter().cloned()).collect();
    if blocks.is_empty() { Ok(()) } else { sink.store_blocks(&blocks) }
}

/// The row that says how far a replica is.
pub(super) fn applied_row(position: Seq) -> RowChange {
    (schema::APPLIED.to_vec(), Some(position.to_be_bytes().to_vec()))
}

/// How far a replica is; `None` if it was never completely built.
pub(super) fn applied_position(store: &dyn MetaStore) -> Result<Option<Seq>> {
    match store.get(schema::APPLIED)? {
        None => Ok(None),
        Some(bytes) => match bytes.as_slice().try_into() {
            Ok(bytes) => Ok(Some(Seq::from_be_bytes(bytes))),
            Err(_) => Err(Error::corrupt("the replica's applied position cannot be read")),
        },
    }
}

/// A record holds logged rows only: local ones belong to this host.
fn check_rows(record: &Record) -> Result<()> {
    match record.rows.iter().find(|(key, _)| !schema::is_logged(key)) {
        None => Ok(()),
        Some((key, _)) => Err(Error::corrupt("a log record changes a local row")
            .with("record", record.seq)
            .with("key", hex::encode(key))),
    }
}
