//! Quotas of buckets: so many bytes, so many objects.
//!
//! What a bucket uses is a row of its own, changed in the same record as what it counts: it is as durable as that, a crash
//! leaves no difference, and a start has nothing to count. Only buckets with a quota have the row; it is counted once, when
//! the first quota is set, under the bucket's lock (writes to it wait meanwhile). An operation adds the difference of
//! the few rows that it changes.
//!
//! Counted are current objects, versions and markers with bytes, each with its whole size (what they share is not
//! subtracted), a file with several names once; not counted are parts of uploads, and what was written at a mount and is not
//! published yet.

use std::collections::{BTreeMap, HashSet};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use super::Namespace;
use super::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::kept::VersionRow;
use crate::meta::record::Op;
use crate::meta::rows::{BucketRow, DirRow, EntryRow, NodeRow, RowValue};
use crate::meta::schema;
use crate::types::{Caller, DirId, Id, Ino};

/// Name of the bucket's document that holds the quota, in JSON.
pub const DOCUMENT: &str = "quota";
/// Rows read at a time.
const BATCH: usize = 1000;

/// What a bucket may use; none is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all objects and versions.
    pub bytes: Option<u64>,
    /// Number of all objects and versions.
    pub objects: Option<u64>,
}

/// What a bucket uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of all objects and versions.
    pub bytes: u64,
    /// Number of all objects and versions.
    pub objects: u64,
}

impl RowValue for Usage {}

impl Usage {
    fn of_node(node: &NodeRow) -> Self {
        node.file().map_or_else(Self::default, |file| Self { bytes: file.content.size, objects: 1 })
    }

    /// What one row stands for.
    fn of_row(key: &[u8], value: &[u8]) -> Result<Self> {
        Ok(match key.first() {
            Some(b'E') => match EntryRow::decode(value)? {
                EntryRow::Node(node) => Self::of_node(&node),
                EntryRow::Shared(_) => Self { bytes: 0, objects: 1 },
                EntryRow::Dir { .. } => Self::default(),
            },
            Some(b'N') => Self { objects: 0, ..Self::of_node(&NodeRow::decode(value)?) },
            Some(b'D') => DirRow::decode(value)?.marker.map_or_else(Self::default, |node| Self::of_node(&node)),
            Some(b'W') => VersionRow::decode(value)?.node.map_or_else(Self::default, |node| Self::of_node(&node)),
            _ => Self::default(),
        })
    }

    fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.objects += more.objects;
    }

    fn remove(&mut self, less: Self) {
        self.bytes = self.bytes.saturating_sub(less.bytes);
        self.objects = self.objects.saturating_sub(less.objects);
    }
}

impl Quota {
    /// QuotaExceeded if what grows grows beyond.
    fn check(&self, before: Usage, after: Usage) -> Result<()> {
        let over = |limit: Option<u64>, before: u64, after: u64| after > before && limit.is_some_and(|l| after > l);
        match over(self.bytes, before.bytes, after.bytes) || over(self.objects, before.objects, after.objects) {
            true => Err(exceeded()),
            false => Ok(()),
        }
    }
}

fn exceeded() -> Error {
    Error::new(ErrorKind::QuotaExceeded, "the bucket's quota is used up")
}

/// The buckets that have a quota, by id. Exact under the bucket's stream lock.
#[derive(Default)]
pub(super) struct Quotas(DashMap<Id, Quota>);

impl Quotas {
    pub(super) fn of(&self, bucket: Id) -> Option<Quota> {
        self.0.get(&bucket).map(|quota| *quota)
    }

    /// Takes over what a bucket's row says.
    pub(super) fn note(&self, row: &BucketRow) {
        let quota = row.settings.documents.get(DOCUMENT).map(|text| serde_json::from_str(text));
        match quota {
            None => drop(self.0.remove(&row.id)),
            Some(Ok(quota)) => drop(self.0.insert(row.id, quota)),
            // What it uses goes on being counted.
            Some(Err(error)) => {
                tracing::error!(bucket = %row.id, %error, "a bucket's quota cannot be read; it limits nothing");
                self.0.insert(row.id, Quota::default());
            }
        }
    }

    /// The bucket is gone.
    pub(super) fn forget(&self, bucket: Id) {
        self.0.remove(&bucket);
    }
}

impl Engine {
    fn usage_row(&self, bucket: Id) -> Result<Usage> {
        let row = self.meta.get(&schema::usage(bucket))?;
        row.map_or_else(|| Ok(Usage::default()), |value| Usage::decode(&value))
    }

    /// Counts what a commit changes, if its bucket has a quota. QuotaExceeded if an operation that may be refused would make
    /// it use more than that. (What the mount wrote is never refused when it is published: ruling 18.)
    pub(super) fn charge(&self, bucket: Id, op: Op, rows: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<()> {
        let Some(quota) = self.quotas.of(bucket) else { return Ok(()) };
        let (mut more, mut less) = (Usage::default(), Usage::default());
        for (key, value) in rows.iter().filter(|(key, _)| matches!(key.first(), Some(b'E' | b'N' | b'D' | b'W'))) {
            if let Some(value) = value {
                more.add(Usage::of_row(key, value)?);
            }
            if let Some(old) = self.meta.get(key)? {
                less.add(Usage::of_row(key, &old)?);
            }
        }
        let opens = matches!(op, Op::Create | Op::OpenLive);
        if more == less && !opens {
            return Ok(());
        }
        let before = self.usage_row(bucket)?;
        let mut after = before;
        after.add(more);
        after.remove(less);
        if matches!(op, Op::Put | Op::Create | Op::Link | Op::Rename) {
            quota.check(before, after)?;
        }
        if opens && quota.bytes.is_some_and(|limit| before.bytes >= limit) {
            return Err(exceeded());
        }
        if after != before {
            rows.insert(schema::usage(bucket), Some(after.encode()?));
        }
        Ok(())
    }

    /// Counts all of a bucket. Under its stream's lock, so that nothing changes meanwhile.
    pub(super) fn count(&self, bucket: Id) -> Result<Usage> {
        let mut usage = Usage::default();
        // Files with several names, which have a row of their own.
        let mut shared: HashSet<Ino> = HashSet::new();
        let mut dirs: Vec<DirId> = vec![bucket];
        while let Some(dir) = dirs.pop() {
            let key = schema::dir(dir);
            if let Some(value) = self.meta.get(&key)? {
                usage.add(Usage::of_row(&key, &value)?);
            }
            self.each_row(&schema::entries(dir), |key, value| {
                usage.add(Usage::of_row(key, value)?);
                match EntryRow::decode(value)? {
                    EntryRow::Dir { id, .. } => dirs.push(id),
                    EntryRow::Shared(ino) if shared.insert(ino) => {
                        let key = schema::node(ino);
                        if let Some(value) = self.meta.get(&key)? {
                            usage.add(Usage::of_row(&key, &value)?);
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        self.each_row(&schema::versions(bucket), |key, value| {
            usage.add(Usage::of_row(key, value)?);
            Ok(())
        })?;
        Ok(usage)
    }

    fn each_row(&self, prefix: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        let (mut from, end) = (prefix.to_vec(), schema::prefix_end(prefix));
        loop {
            let rows = self.meta.range(&from, &end, BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = [last.as_slice(), b"\0"].concat();
            for (key, value) in &rows {
                each(key, value)?;
            }
        }
    }
}

impl Namespace {
    /// A bucket's quota and what it uses; none if it has no quota.
    pub fn bucket_quota(&self, name: &str) -> Result<Option<(Quota, Usage)>> {
        let id = self.0.bucket_row(name)?.id;
        let Some(quota) = self.0.quotas.of(id) else { return Ok(None) };
        Ok(Some((quota, self.0.usage_row(id)?)))
    }

    /// Gives a bucket a quota, or takes it away. One that is used up already only keeps the bucket from growing. The
    /// first one counts what is there: writes to the bucket wait for that.
    pub async fn set_bucket_quota(&self, caller: &Caller, name: &str, quota: Option<Quota>) -> Result<()> {
        let quota = quota.filter(|quota| *quota != Quota::default());
        let text = quota.map(|quota| serde_json::to_string(&quota)).transpose();
        let text = text.map_err(|e| Error::new(ErrorKind::Internal, "a quota cannot be written").caused_by(e))?;
        let id = self.0.bucket_row(name)?.id;
        let set = Engine::blocking(|| {
            self.0.commit(caller, id, Op::SetAttr, |txn| {
                let mut row = txn.engine.bucket_row(name)?;
                let documents = &mut std::sync::Arc::make_mut(&mut row.settings).documents;
                match text {
                    None => {
                        documents.remove(DOCUMENT);
                        txn.delete(schema::usage(id));
                    }
                    Some(text) => {
                        if documents.insert(DOCUMENT.to_owned(), text).is_none() {
                            let usage = txn.engine.count(id)?;
                            txn.put(schema::usage(id), &usage)?;
                        }
                    }
                }
                txn.put(schema::bucket(name), &row)
            })
        })?;
        self.0.acknowledged(caller, set).await
    }
}
