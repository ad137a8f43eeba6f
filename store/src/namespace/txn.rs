//! One commit: decided at the log's head under the bucket's stream lock, then appended as one record (ruling 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::engine::Engine;
use super::inode::Place;
use super::mount_types::Stale;
use crate::error::Result;
use crate::meta::record::{InlineBlock, Op, Record, Replaced};
use crate::meta::rows::{BucketRow, RowValue};
use crate::meta::schema;
use crate::types::{Caller, DirId, Id, Ino, Seq, Timestamp};

/// Reads rows as of the log's head.
pub(super) trait Rows {
    /// The row's value.
    fn row<T: RowValue>(&self, key: &[u8]) -> Result<Option<T>>;
}

impl Rows for Engine {
    fn row<T: RowValue>(&self, key: &[u8]) -> Result<Option<T>> {
        self.meta.get(key)?.map(|bytes| T::decode(&bytes)).transpose()
    }
}

/// What a stream's lock guards.
#[derive(Default)]
pub(super) struct StreamState {
    seq: Option<Seq>,
}

/// A commit in the making.
pub(super) struct Txn<'a> {
    pub(super) engine: &'a Engine,
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    pub(super) bucket: Id,
    /// The number that its record gets in the stream.
    pub(super) seq: Seq,
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    blocks: Vec<InlineBlock>,
    stale: Vec<Stale>,
    places: Vec<(Ino, Place)>,
    adopted: Vec<(Ino, Place)>,
    released: Vec<[u8; 32]>,
    /// Notices so far.
    notices: u8,
    pub(super) replaced: Option<Replaced>,
}

/// A commit that is sequenced and visible, not yet durable.
#[must_use]
pub(super) struct Committed<T> {
    pub(super) value: T,
    pub(super) seq: Seq,
    stale: Vec<Stale>,
    /// Inodes that lost their last name and have a live file.
    orphans: Vec<Ino>,
}

impl Rows for Txn<'_> {
    fn row<T: RowValue>(&self, key: &[u8]) -> Result<Option<T>> {
        match self.rows.get(key) {
            Some(pending) => pending.as_deref().map(T::decode).transpose(),
            None => self.engine.row(key),
        }
    }
}

impl<'a> Txn<'a> {
    /// Sets a row.
    pub(super) fn put<T: RowValue>(&mut self, key: Vec<u8>, value: &T) -> Result<()> {
        let bytes = value.encode()?;
        self.rows.insert(key, Some(bytes));
        Ok(())
    }

    /// Sets a row without a value.
    pub(super) fn mark(&mut self, key: Vec<u8>) {
        self.rows.insert(key, Some(Vec::new()));
    }

    /// Sets a row to raw bytes.
    pub(super) fn put_raw(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.insert(key, Some(value));
    }

    /// Deletes a row.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.rows.insert(key, None);
    }

    /// The number of the next notice of this record.
    pub(super) fn next_notice(&mut self) -> u8 {
        self.notices = self.notices.wrapping_add(1);
        self.notices
    }

    /// A small body that travels in the record.
    pub(super) fn carry(&mut self, block: Option<InlineBlock>) {
        self.blocks.extend(block);
    }

    /// After the commit the name's cached entry is stale, and so are the directory's attributes.
    pub(super) fn stale_entry(&mut self, parent: Ino, name: &[u8]) {
        if self.engine.inodes.knows(parent) {
            self.stale.push(Stale::Entry { parent, name: name.to_vec() });
            self.stale.push(Stale::Inode { ino: parent, data: false });
        }
    }

    /// After the commit the inode's attributes (and pages, with `data`) are stale.
    pub(super) fn stale_inode(&mut self, ino: Ino, data: bool) {
        if self.engine.inodes.knows(ino) {
            self.stale.push(Stale::Inode { ino, data });
        }
    }

    /// After the commit the inode is there.
    pub(super) fn moved(&mut self, ino: Ino, place: Place) {
        self.places.push((ino, place));
    }

    /// After the commit the inode is known, with one more lookup.
    pub(super) fn adopted(&mut self, ino: Ino, place: Place) {
        self.adopted.push((ino, place));
    }

    /// This content lost a holder.
    pub(super) fn released(&mut self, digest: [u8; 32]) {
        self.released.push(digest);
    }

    /// Whether a directory has no entries, this commit's own changes included.
    pub(super) fn is_empty_dir(&self, dir: DirId) -> Result<bool> {
        let prefix = schema::entries(dir);
        let end = schema::prefix_end(&prefix);
        if self.rows.range(prefix.clone()..end.clone()).any(|(_, value)| value.is_some()) {
            return Ok(false);
        }
        // An entry that was there the last time is there the next time, mostly. Where it is gone the next one behind it is
        // looked for: whoever deletes many in order does not pay for a look past all that are gone, each time.
        let known = self.engine.witnesses.get(dir).filter(|key| key.starts_with(&prefix));
        if let Some(key) = &known
            && self.has_row(key)?
        {
            return Ok(false);
        }
        let middle = known.unwrap_or_else(|| prefix.clone());
        let found = match self.first_kept(middle.clone(), &end)? {
            None => self.first_kept(prefix, &middle)?,
            found => found,
        };
        let empty = found.is_none();
        self.engine.witnesses.set(dir, found);
        Ok(empty)
    }

    fn has_row(&self, key: &[u8]) -> Result<bool> {
        match self.rows.get(key) {
            Some(pending) => Ok(pending.is_some()),
            None => Ok(self.engine.meta.get(key)?.is_some()),
        }
    }

    /// The key of the first row of a range that this commit does not delete.
    fn first_kept(&self, mut from: Vec<u8>, end: &[u8]) -> Result<Option<Vec<u8>>> {
        while let Some((key, _)) = self.engine.meta.first(&from, end)? {
            if !matches!(self.rows.get(&key), Some(None)) {
                return Ok(Some(key));
            }
            from = key;
            from.push(0);
        }
        Ok(None)
    }
}

/// A stream's lock, held.
pub(super) struct StreamGuard<'a>(MutexGuard<'a, StreamState>);

impl Engine {
    fn stream(&self, stream: Id) -> Arc<Mutex<StreamState>> {
        Arc::clone(&self.streams.entry(stream).or_default())
    }

    /// Runs `decide` under the stream's lock and appends what it changed as one record. A closure that changes
    /// nothing makes no record; the answer's `seq` is then the log's head, so that waiting on it waits for whatever the
    /// closure saw.
    pub(super) fn commit<T>(
        &self,
        caller: &Caller,
        stream: Id,
        op: Op,
        decide: impl FnOnce(&mut Txn<'_>) -> Result<T>,
    ) -> Result<Committed<T>> {
        let lock = self.stream(stream);
        let mut guard = StreamGuard(lock.lock());
        self.commit_locked(&mut guard, caller, stream, op, decide)
    }

    /// Runs `read` under the stream's lock: places and rows agree there.
    pub(super) fn locked<T>(&self, stream: Id, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let lock = self.stream(stream);
        let _guard = lock.lock();
        read()
    }

    /// Holds two streams' locks (the system stream first) over `run`.
    pub(super) fn with_system_lock<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let lock = self.stream(crate::meta::record::SYSTEM_STREAM);
        let _guard = lock.lock();
        run()
    }

    fn commit_locked<T>(
        &self,
        state: &mut StreamGuard<'_>,
        caller: &Caller,
        stream: Id,
        op: Op,
        decide: impl FnOnce(&mut Txn<'_>) -> Result<T>,
    ) -> Result<Committed<T>> {
        let now = self.clock.now();
        let stream_key = schema::stream_position(stream);
        let last = match state.0.seq {
            Some(seq) => seq,
            None => self.meta.get(&stream_key)?.map_or(0, |v| decode_seq(&v)),
        };
        let mut txn = Txn {
            engine: self,
            caller,
            now,
            bucket: stream,
            seq: last + 1,
            rows: BTreeMap::new(),
            blocks: Vec::new(),
            stale: Vec::new(),
            places: Vec::new(),
            adopted: Vec::new(),
            released: Vec::new(),
            notices: 0,
            replaced: None,
        };
        let value = decide(&mut txn)?;
        let Txn { mut rows, blocks, stale, places, adopted, released, replaced, .. } = txn;
        let seq = if rows.is_empty() {
            self.meta.head()
        } else {
            self.charge(stream, op, &mut rows)?;
            self.intend(stream, last + 1, now, &mut rows)?;
            let mut record = Record::new(stream, caller, now, op);
            record.stream_seq = last + 1;
            record.replaced = replaced;
            // A commit that ends its stream has deleted the position.
            let ended = rows.contains_key(&stream_key);
            record.rows = rows.into_iter().collect();
            if !ended {
                record.rows.push((stream_key, Some((last + 1).to_be_bytes().to_vec())));
            }
            record.blocks = blocks;
            self.keep_orphans(&places)?;
            let changed_bucket = record.rows.iter().find(|(key, _)| schema::is_bucket(key));
            let changed_bucket = changed_bucket
                .map(|(key, row)| {
                    let row = row.as_deref().map(BucketRow::decode).transpose()?;
                    Result::Ok((String::from_utf8_lossy(&key[1..]).into_owned(), row))
                })
                .transpose()?;
            let seq = self.meta.commit(record).inspect_err(|_| self.unkeep_orphans(&places))?;
            if let Some((name, row)) = changed_bucket {
                self.buckets.changed();
                match row {
                    Some(row) => {
                        self.keeping.note(&row);
                        self.quotas.note(&row);
                        self.notifying.note(&name, &row);
                    }
                    None => {
                        self.keeping.forget(stream);
                        self.quotas.forget(stream);
                        self.notifying.forget(stream);
                    }
                }
            }
            state.0.seq = Some(last + 1);
            seq
        };
        let mut orphans = Vec::new();
        for (ino, place) in places {
            if matches!(place, Place::Orphan { .. }) && self.lives.get(ino).is_some() {
                orphans.push(ino);
            }
            self.inodes.set_place(ino, place);
        }
        for (ino, place) in adopted {
            self.inodes.reference(ino, place);
        }
        for digest in released {
            self.chunks.release_hint(&digest);
        }
        Ok(Committed { value, seq, stale, orphans })
    }

    /// The mount's end of a commit: other mounts are told, nobody waits (ruling 2).
    pub(super) fn sequenced<T>(&self, caller: &Caller, committed: Committed<T>) -> T {
        self.drop_orphans(&committed.orphans);
        self.mounts.tell(caller, &committed.stale);
        committed.value
    }

    /// Live files of inodes that lost their last name go, unless somebody holds or knows them.
    fn drop_orphans(&self, orphans: &[Ino]) {
        for ino in orphans {
            if let Some(inode) = self.lives.get(*ino) {
                self.drop_orphan(&inode);
            }
        }
    }

    /// S3's end of a commit: mounts have been told and the record is durable when it returns (S6, S14).
    pub(super) async fn acknowledged<T>(&self, caller: &Caller, committed: Committed<T>) -> Result<T> {
        self.drop_orphans(&committed.orphans);
        if !committed.stale.is_empty() && !self.mounts.is_empty() {
            // A kernel that has to be told may make us wait: not on a runtime thread that others need.
            Self::blocking(|| self.mounts.tell(caller, &committed.stale));
        }
        self.meta.durable(committed.seq).await?;
        Ok(committed.value)
    }
}

fn decode_seq(value: &[u8]) -> Seq {
    value.try_into().map_or(0, u64::from_be_bytes)
}
