//! Rows of records that are committed and not applied yet, in memory before the replica: read-your-writes without
//! waiting for any disk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};

use super::record::Record;
use super::{Row, RowChange};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Seq;

/// A row change inside a record that is kept alive by it.
type Place = (Arc<Record>, usize);

#[derive(Default)]
struct Rows {
    /// The latest change of each key.
    rows: BTreeMap<Vec<u8>, Place>,
    /// Where each small body is, by digest.
    blocks: HashMap<[u8; 32], Place>,
    /// Records that are not applied, in order.
    pending: VecDeque<Arc<Record>>,
    /// Last record that is in here or was.
    head: Seq,
}

/// How the applier fares.
#[derive(Default)]
struct Gate {
    /// Why nothing leaves the overlay any more.
    ended: Option<Error>,
    /// Why nothing leaves it for now.
    stalled: Option<Error>,
    applied: Seq,
}

/// The overlay. Its locks are held for memory work only.
pub(super) struct Overlay {
    rows: RwLock<Rows>,
    bytes: AtomicUsize,
    limit: usize,
    gate: Mutex<Gate>,
    changed: Condvar,
}

/// A part of the overlay, copied: the state at `head` is these changes over a replica that has applied no more than
/// `head`.
pub(super) struct Slice {
    pub(super) head: Seq,
    pub(super) changes: Vec<RowChange>,
    /// There are more changes behind these, and these alone give as many rows as were asked for.
    pub(super) cut: bool,
}

/// Memory that a record takes here, roughly: bytes of its rows and bodies, and the map's own.
fn weight(record: &Record) -> usize {
    const PER_ROW: usize = 120;
    let rows: usize = record.rows.iter().map(|(k, v)| 2 * k.len() + v.as_ref().map_or(0, Vec::len) + PER_ROW).sum();
    let blocks: usize = record.blocks.iter().map(|b| b.bytes.len() + PER_ROW).sum();
    rows + blocks + 300
}

/// The SHA-256 digest that names a small body.
fn digest(block: &super::record::InlineBlock) -> Option<[u8; 32]> {
    block.cid.hash().digest().try_into().ok()
}

impl Overlay {
    /// An empty overlay over a replica that has applied everything up to `applied`.
    pub(super) fn new(applied: Seq, limit: usize) -> Self {
        Self {
            rows: RwLock::new(Rows { head: applied, ..Rows::default() }),
            bytes: AtomicUsize::new(0),
            limit,
            gate: Mutex::new(Gate { applied, ..Gate::default() }),
            changed: Condvar::new(),
        }
    }

    /// Takes in the record that follows. The caller keeps the order.
    pub(super) fn insert(&self, record: Arc<Record>) {
        let before = self.bytes.fetch_add(weight(&record), Ordering::Relaxed);
        let mut inner = self.rows.write();
        for (n, (key, _)) in record.rows.iter().enumerate() {
            inner.rows.insert(key.clone(), (record.clone(), n));
        }
        for (n, block) in record.blocks.iter().enumerate() {
            if let Some(digest) = digest(block) {
                inner.blocks.insert(digest, (record.clone(), n));
            }
        }
        inner.head = record.seq;
        inner.pending.push_back(record);
        drop(inner);
        if before <= self.limit / 2 && self.is_crowded() {
            // Under the lock, so that an applier on its way to sleep hears it.
            let _gate = self.gate.lock();
            self.changed.notify_all();
        }
    }

    /// The latest change of `key`, if it is not applied yet: `Some(None)` for a deletion.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.rows.read().rows.get(key).map(|(record, n)| record.rows[*n].1.clone())
    }

    /// The body that this digest names, if its record is not applied yet.
    pub(super) fn block(&self, digest: &[u8; 32]) -> Option<Bytes> {
        let inner = self.rows.read();
        let (record, n) = inner.blocks.get(digest)?;
        Some(record.blocks[*n].bytes.clone())
    }

    /// The changes with `start <= key < end`, as far as they are needed for `limit` rows.
    pub(super) fn slice(&self, start: &[u8], end: &[u8], limit: usize) -> Slice {
        let inner = self.rows.read();
        let mut slice = Slice { head: inner.head, changes: Vec::new(), cut: false };
        if start >= end {
            return slice;
        }
        let mut live = 0;
        for (key, (record, n)) in inner.rows.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))) {
            if live >= limit {
                slice.cut = true;
                break;
            }
            let value = &record.rows[*n].1;
            live += usize::from(value.is_some());
            slice.changes.push((key.clone(), value.clone()));
        }
        slice
    }

    /// The last row with `start <= key < end` over `below`, which answers for the replica. No record comes in or is
    /// forgotten meanwhile.
    pub(super) fn last(
        &self,
        start: &[u8],
        end: &[u8],
        below: impl Fn(&[u8], &[u8]) -> Result<Option<Row>>,
    ) -> Result<Option<Row>> {
        let inner = self.rows.read();
        let mut end = end.to_vec();
        loop {
            if start >= end.as_slice() {
                return Ok(None);
            }
            let stored = below(start, &end)?;
            let bounds = (Bound::Included(start), Bound::Excluded(end.as_slice()));
            match (inner.rows.range::<[u8], _>(bounds).next_back(), stored) {
                (None, stored) => return Ok(stored),
                (Some((key, _)), Some(stored)) if stored.0 > *key => return Ok(Some(stored)),
                (Some((key, (record, n))), _) => match &record.rows[*n].1 {
                    Some(value) => return Ok(Some((key.clone(), value.clone()))),
                    // Deleted, and so is what the replica may still have under this key: look below it.
                    None => end = key.clone(),
                },
            }
        }
    }

    /// The first row with `start <= key < end` over `below`, which answers for the replica with that many rows at most. Costs
    /// a look at each change before that row, and copies none. No record comes in or is forgotten meanwhile.
    pub(super) fn first(
        &self,
        start: &[u8],
        end: &[u8],
        below: impl Fn(&[u8], &[u8], usize) -> Result<Vec<Row>>,
    ) -> Result<Option<Row>> {
        const FEW: usize = 2;
        const MANY: usize = 256;
        let inner = self.rows.read();
        let (mut from, mut chunk) = (start.to_vec(), FEW);
        while from.as_slice() < end {
            let stored = below(&from, end, chunk)?;
            let bounds = (Bound::Included(from.as_slice()), Bound::Excluded(end));
            let mut changes = inner.rows.range::<[u8], _>(bounds).peekable();
            let live = |(key, (record, n)): (&Vec<u8>, &Place)| Some((key.clone(), record.rows[*n].1.clone()?));
            let next = (stored.len() == chunk).then(|| stored.last().map(|(key, _)| [key.as_slice(), &[0]].concat()));
            for row in stored {
                let mut hidden = false;
                while let Some(change) = changes.next_if(|(key, _)| **key <= row.0) {
                    hidden = *change.0 == row.0;
                    if let Some(row) = live(change) {
                        return Ok(Some(row));
                    }
                }
                if !hidden {
                    return Ok(Some(row));
                }
            }
            match next.flatten() {
                Some(next) => (from, chunk) = (next, MANY),
                None => return Ok(changes.find_map(live)),
            }
        }
        Ok(None)
    }

    /// Whether no change with `start <= key < end` waits to be applied.
    pub(super) fn is_clear(&self, start: &[u8], end: &[u8]) -> bool {
        let inner = self.rows.read();
        start >= end || inner.rows.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))).next().is_none()
    }

    /// The next records to apply: in order, none above `durable`, together about `max_bytes`.
    pub(super) fn pending(&self, durable: Seq, max_bytes: usize) -> Vec<Arc<Record>> {
        let inner = self.rows.read();
        let mut bytes = 0;
        let mut out = Vec::new();
        for record in inner.pending.iter().take_while(|r| r.seq <= durable) {
            bytes += weight(record);
            if bytes > max_bytes && !out.is_empty() {
                break;
            }
            out.push(record.clone());
        }
        out
    }

    /// Forgets what the replica now has: changes and bodies of records up to `applied`, unless a later one
    /// replaced them.
    pub(super) fn forget(&self, applied: Seq) {
        let mut freed = 0;
        while self.forget_some(applied, &mut freed) {}
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
        {
            let mut gate = self.gate.lock();
            gate.applied = applied;
            gate.stalled = None;
        }
        self.changed.notify_all();
    }

    /// Forgets a few records, so that nobody waits long for the rows; adds up the bytes that they took. False if there are
    /// no more.
    fn forget_some(&self, applied: Seq, freed: &mut usize) -> bool {
        const SOME: usize = 16;
        let mut gone = Vec::with_capacity(SOME);
        let mut inner = self.rows.write();
        while gone.len() < SOME && inner.pending.front().is_some_and(|r| r.seq <= applied) {
            let Some(record) = inner.pending.pop_front() else { break };
            *freed += weight(&record);
            for (key, _) in &record.rows {
                if inner.rows.get(key).is_some_and(|(r, _)| r.seq <= applied) {
                    inner.rows.remove(key);
                }
            }
            for digest in record.blocks.iter().filter_map(digest) {
                if inner.blocks.get(&digest).is_some_and(|(r, _)| r.seq <= applied) {
                    inner.blocks.remove(&digest);
                }
            }
            // Freed when nobody waits for the lock.
            gone.push(record);
        }
        drop(inner);
        gone.len() == SOME
    }

    /// Whether it is time to apply, without waiting for company.
    fn is_crowded(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.limit / 2
    }

    /// Waits until it is crowded, the applier is to end, or `time` has passed.
    pub(super) fn wait_crowded(&self, time: Duration, ending: impl Fn() -> bool) {
        let until = Instant::now() + time;
        let mut gate = self.gate.lock();
        while !self.is_crowded() && !ending() {
            if self.changed.wait_until(&mut gate, until).timed_out() {
                return;
            }
        }
    }

    /// Waits until the applier is to end or `time` has passed.
    pub(super) fn wait(&self, time: Duration, ending: impl Fn() -> bool) {
        let until = Instant::now() + time;
        let mut gate = self.gate.lock();
        while !ending() && !self.changed.wait_until(&mut gate, until).timed_out() {}
    }

    /// The last record that is in here or was: what readers see.
    pub(super) fn head(&self) -> Seq {
        self.rows.read().head
    }

    /// Wakes everybody who waits, to look again.
    pub(super) fn wake(&self) {
        let _gate = self.gate.lock();
        self.changed.notify_all();
    }

    /// Whether another record fits.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.limit
    }

    /// Waits until another record fits; an error if that will not be soon.
    pub(super) fn wait_room(&self) -> Result<()> {
        let mut gate = self.gate.lock();
        loop {
            if let Some(error) = &gate.ended {
                return Err(error.clone());
            }
            if self.has_room() {
                return Ok(());
            }
            if let Some(error) = &gate.stalled {
                return Err(error.clone());
            }
            self.changed.wait(&mut gate);
        }
    }

    /// Waits until everything up to `seq` is applied.
    pub(super) fn wait_applied(&self, seq: Seq) -> Result<()> {
        let mut gate = self.gate.lock();
        loop {
            if gate.applied >= seq {
                return Ok(());
            }
            if let Some(error) = &gate.ended {
                return Err(error.clone());
            }
            self.changed.wait(&mut gate);
        }
    }

    /// What the replica has applied.
    pub(super) fn applied(&self) -> Seq {
        self.gate.lock().applied
    }

    /// Nothing leaves for now, because of `error`: whoever finds no room gets it instead of waiting. True if that is
    /// news.
    pub(super) fn stall(&self, error: &Error) -> bool {
        let news = self.gate.lock().stalled.replace(error.clone()).is_none();
        self.changed.notify_all();
        news
    }

    /// The applier has ended: nothing will leave any more.
    pub(super) fn end(&self, cause: Option<Error>) {
        let error = Error::new(ErrorKind::Unavailable, "metadata is no longer applied");
        self.gate.lock().ended = Some(match cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        });
        self.changed.notify_all();
    }

    /// Records and bytes held.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.rows.read().pending.len(), self.bytes.load(Ordering::Relaxed))
    }
}
