//! The worker that applies lifecycle rules.
//!
//! It walks as a listing does, a batch of rows in memory at a time, and decides each case once more under the bucket's
//! lock: what was written meanwhile stays. Half of the time is left to others. A round that a stop or crash cuts off
//! begins anew with the next start, at another bucket: what went is not met again.

use std::time::Instant;

use super::stats::count;
use super::{Calendar, DOCUMENT, Lifecycle, Subject, Swept};
use crate::error::{ErrorKind, Result};
use crate::meta::kept::VersionRow;
use crate::meta::record::Op;
use crate::meta::rows::{BucketRow, FileRow, NodeRow, RowValue, UploadRow};
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::namespace::engine::Engine;
use crate::namespace::inode::Holder;
use crate::namespace::list_versions::{Current, KeptRows};
use crate::namespace::node::read_node;
use crate::namespace::notices::Event;
use crate::namespace::path::find_key;
use crate::namespace::txn::{Committed, Rows};
use crate::types::{Caller, Id, Timestamp};
use crate::worker::Stop;

/// Who deletes, as the log's records say it.
pub const PRINCIPAL: &str = "lifecycle";
/// Keys and versions between two pauses.
const TURN: u32 = 512;
/// Uploads read at a time.
const BATCH: usize = 256;

/// One bucket's turn.
struct Sweep<'a> {
    engine: &'a Engine,
    name: &'a str,
    bucket: &'a BucketRow,
    rules: &'a Lifecycle,
    calendar: Calendar,
    now: Timestamp,
    caller: Caller,
    stop: &'a Stop,
    turn: u32,
    begun: Instant,
}

fn subject<'a>(key: &'a [u8], file: &'a FileRow) -> Subject<'a> {
    Subject { key, size: file.content.size, tags: &file.meta.tags }
}

/// Whether a node still is what was looked at.
fn is_same(node: &NodeRow, seen: &FileRow) -> bool {
    node.file().is_some_and(|file| !file.live && file.meta == seen.meta && file.content == seen.content)
}

impl Engine {
    /// Applies all buckets' rules once.
    pub(in crate::namespace) fn sweep_lifecycles(&self, stop: &Stop) -> Result<()> {
        let mut buckets = Vec::new();
        self.each_bucket(|name, row| {
            if row.settings.documents.contains_key(DOCUMENT) {
                buckets.push(name.to_owned());
            }
            Ok(())
        })?;
        let first = usize::from(Id::random().0[0]) % buckets.len().max(1);
        buckets.rotate_left(first);
        let mut failed = Ok(());
        for name in buckets {
            match self.sweep_lifecycle(&name, stop) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NoSuchBucket => {}
                // One bucket's damage is not another one's.
                Err(error) => failed = Err(error.with("bucket", &name)),
            }
        }
        failed
    }

    /// One bucket. True if told to stop.
    fn sweep_lifecycle(&self, name: &str, stop: &Stop) -> Result<bool> {
        let bucket = self.bucket_row(name)?;
        let Some(text) = bucket.settings.documents.get(DOCUMENT) else { return Ok(false) };
        let rules = Lifecycle::read(text)?;
        let mut sweep = Sweep {
            engine: self,
            name,
            bucket: &bucket,
            rules: &rules,
            calendar: self.config.lifecycle_calendar(),
            now: self.now(),
            caller: Caller::worker(PRINCIPAL),
            stop,
            turn: 0,
            begun: Instant::now(),
        };
        for prefix in rules.prefixes(|rule| rule.expiration.is_some() || rule.noncurrent.is_some()) {
            if sweep.versions(prefix.as_bytes())? {
                return Ok(true);
            }
        }
        for prefix in rules.prefixes(|rule| rule.abort_uploads.is_some()) {
            if sweep.uploads(prefix.as_bytes())? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Sweep<'_> {
    /// After each thing looked at: rests now and then. True if told to stop.
    fn paced(&mut self) -> Result<bool> {
        count(&self.engine.lifecycle.looked_at);
        self.turn += 1;
        if self.turn < TURN {
            return Ok(false);
        }
        self.turn = 0;
        // No further ahead of the disk than this.
        self.engine.meta.durable_blocking(self.engine.meta.head())?;
        let stopped = self.stop.wait(self.begun.elapsed());
        self.begun = Instant::now();
        Ok(stopped)
    }

    /// All versions of keys with a prefix.
    fn versions(&mut self, prefix: &[u8]) -> Result<bool> {
        let mut current = Current::new(self.engine, self.bucket, prefix)?;
        let mut kept = KeptRows::new(self.engine, self.bucket.id, prefix);
        loop {
            let Some(key) = [current.key()?, kept.key()?].into_iter().flatten().min() else { return Ok(false) };
            if !key.starts_with(prefix) {
                return Ok(false);
            }
            // When the version was made that replaced the next older one.
            let mut newer = None;
            let present = current.take_with_holder(&key)?;
            if let Some((_, node)) = &present {
                newer = node.file().map(|file| file.meta.last_modified);
            }
            let (mut marker, mut old, mut left) = (None, 0, false);
            while let Some(row) = kept.take_of(&key)? {
                let made = row.made;
                match newer {
                    None => marker = Some(row),
                    Some(since) => {
                        left |= !self.kept(&key, &row, since, old)?;
                        old += 1;
                    }
                }
                newer = Some(made);
                if self.paced()? {
                    return Ok(true);
                }
            }
            if let Some(marker) = marker.filter(|row| row.node.is_none() && !left)
                && self.rules.marker_due(&key, marker.made, self.now, self.calendar)
                && self.remove(&key, &marker, true)?
            {
                count(&self.engine.lifecycle.markers);
            }
            // Last: the rows that this makes are not to be met above.
            if let Some((holder, node)) = present {
                self.current(&key, &holder, &node)?;
                if self.paced()? {
                    return Ok(true);
                }
            }
        }
    }

    /// A current version.
    fn current(&self, key: &[u8], holder: &Holder, node: &NodeRow) -> Result<()> {
        let Some(file) = node.file().filter(|file| !file.live) else { return Ok(()) };
        let due = self.rules.expires(&subject(key, file), file.meta.last_modified, self.calendar);
        if due.is_none_or(|(at, _)| at > self.now.secs) {
            return Ok(());
        }
        let expired = self.engine.commit(&self.caller(), self.bucket.id, Op::Delete, |txn| {
            // A directory that somebody made at the mount is no object that anybody put.
            if matches!(holder, Holder::Marker(_)) && read_node(txn, holder)?.is_none() {
                return Ok(false);
            }
            let found = find_key(txn, self.bucket.id, self.bucket.profile, key)?;
            let Some(found) = found.filter(|(_, node)| is_same(node, file)) else { return Ok(false) };
            match txn.delete_current(self.name, key, found)? {
                Some(marker) => txn.tell(Event::ExpiredMarked, key, None, Some(marker))?,
                None => txn.tell(Event::Expired, key, None, None)?,
            }
            Ok(true)
        });
        if self.went(expired)? {
            count(&self.engine.lifecycle.objects);
        }
        Ok(())
    }

    /// A version that is not current, or a delete marker below another version. True if it is gone.
    fn kept(&self, key: &[u8], row: &VersionRow, since: Timestamp, newer: u32) -> Result<bool> {
        let file = row.node.as_ref().and_then(|node| node.file());
        let subject = file.map(|file| subject(key, file));
        if !self.rules.noncurrent_due(key, subject.as_ref(), since, newer, self.now, self.calendar) {
            return Ok(false);
        }
        let gone = self.remove(key, row, false)?;
        if gone {
            count(&self.engine.lifecycle.versions);
        }
        Ok(gone)
    }

    /// Deletes what the bucket keeps in this row, if that is still so, and if it is (or is not) what hides the key.
    fn remove(&self, key: &[u8], row: &VersionRow, hides: bool) -> Result<bool> {
        let removed = self.engine.commit(&self.caller(), self.bucket.id, Op::Delete, |txn| {
            let Some((row_key, now)) = self.engine.find_kept(self.bucket.id, key, row.version)? else {
                return Ok(false);
            };
            let newest = self.engine.newest_kept(self.bucket.id, key, None)?.is_some_and(|(first, _)| first == row_key);
            let is_top = newest && find_key(txn, self.bucket.id, self.bucket.profile, key)?.is_none();
            if now != *row || is_top != hides {
                return Ok(false);
            }
            txn.check_unlocked(key, row.version)?;
            txn.delete_version(self.bucket, self.name, key, row.version)?;
            txn.tell(Event::Expired, key, None, Some(row.version))?;
            Ok(true)
        });
        self.went(removed)
    }

    /// Uploads of keys with a prefix.
    fn uploads(&mut self, prefix: &[u8]) -> Result<bool> {
        let all = [schema::upload_prefix(self.bucket.id).as_slice(), prefix].concat();
        let (mut from, end) = (all.clone(), schema::prefix_end(&all));
        loop {
            let rows = self.engine.meta.range(&from, &end, BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(false) };
            from = [last.as_slice(), b"\0"].concat();
            for (row_key, value) in &rows {
                let (key, upload) = schema::parse_upload(row_key)?;
                let begun = UploadRow::decode(value)?.created;
                if self.rules.upload_due(key, begun, self.now, self.calendar) {
                    let ended = self.engine.commit(&self.caller(), self.bucket.id, Op::Multipart, |txn| {
                        let there = txn.row::<UploadRow>(row_key)?.is_some();
                        if there {
                            txn.end_upload(key, upload)?;
                        }
                        Ok(there)
                    });
                    if self.went(ended)? {
                        count(&self.engine.lifecycle.uploads);
                    }
                }
                if self.paced()? {
                    return Ok(true);
                }
            }
        }
    }

    fn caller(&self) -> Caller {
        // Each commit has an identity of its own.
        Caller { request: Id::random(), ..self.caller.clone() }
    }

    /// Ends a commit; what is locked stays and is no failure.
    fn went(&self, committed: Result<Committed<bool>>) -> Result<bool> {
        match committed {
            Ok(committed) => Ok(self.engine.sequenced(&self.caller, committed)),
            Err(error) if error.kind() == ErrorKind::ObjectLocked => {
                count(&self.engine.lifecycle.locked);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Namespace {
    /// Applies all buckets' lifecycle rules now. Blocking.
    pub fn apply_lifecycles(&self) -> Result<()> {
        self.0.sweep_lifecycles(&Stop::default())
    }

    /// What lifecycle rules did since the start.
    pub fn lifecycle_swept(&self) -> Swept {
        self.0.lifecycle.so_far()
    }
}
