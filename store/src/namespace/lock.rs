//! Object lock (S13, ruling 23): retention and legal hold bind versions, at both doors.

use super::Namespace;
use super::engine::Engine;
use super::inode::{Holder, Inode, Place};
use super::path::find_key;
use super::txn::{Rows, Txn};
use super::version::{NULL, key_of, no_such_version};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::kept::{LockRow, Retention};
use crate::meta::record::Op;
use crate::meta::rows::{BucketRow, DefaultRetention, RetentionTime, RowValue};
use crate::meta::schema;
use crate::types::{Caller, Id, Timestamp};

/// Rows read at a time.
const FEW: usize = 256;

/// When a default retention that begins now ends.
fn ends(default: DefaultRetention, now: Timestamp) -> Retention {
    const DAY: i64 = 24 * 60 * 60;
    let secs = match default.time {
        RetentionTime::Days(days) => now.secs + i64::from(days) * DAY,
        RetentionTime::Years(years) => now.secs.saturating_add(years_from(now.secs, years)),
    };
    Retention { mode: default.mode, until: Timestamp { secs, nanos: now.nanos } }
}

/// Seconds of so many calendar years from a moment on (the 29th of February ends on the 28th).
fn years_from(secs: i64, years: u32) -> i64 {
    let Ok(now) = time::OffsetDateTime::from_unix_timestamp(secs) else { return 0 };
    let year = now.year().saturating_add(i32::try_from(years).unwrap_or(i32::MAX)).min(9999);
    let then = now.replace_year(year).or_else(|_| now.replace_day(28).and_then(|day| day.replace_year(year)));
    then.map_or(0, |then| then.unix_timestamp() - secs)
}

fn locked(key: &[u8]) -> Error {
    Error::new(ErrorKind::ObjectLocked, "the version is locked").with("key", String::from_utf8_lossy(key))
}

impl Engine {
    /// ObjectLocked if what an inode holds must not be written over: it is locked, and its bucket keeps no versions.
    pub(super) fn check_writable(&self, inode: &Inode) -> Result<()> {
        let bucket = inode.place.read().bucket();
        let kept = self.keeping.of(bucket);
        if !kept.locks || kept.versions() {
            return Ok(());
        }
        let place = inode.place.read().clone();
        let Place::Held { holder: Holder::Entry { dir, name }, .. } = place else { return Ok(()) };
        let key = key_of(self, dir, &name)?;
        if self.lock_of(bucket, &key, NULL)?.holds(self.now(), false) {
            return Err(locked(&key));
        }
        Ok(())
    }

    /// The lock of a version.
    pub(super) fn lock_of(&self, bucket: Id, key: &[u8], version: Id) -> Result<LockRow> {
        Ok(self.row(&schema::lock(bucket, key, version))?.unwrap_or_default())
    }

    /// The version that `version` means: the current one if it is none.
    fn version_of(&self, row: &BucketRow, name: &str, key: &[u8], version: Option<Id>) -> Result<Id> {
        let current = find_key(self, row.id, row.profile, key)?.and_then(|(_, node)| Some(node.file()?.meta.version));
        match (version, current) {
            (None, Some(current)) => Ok(current),
            (None, None) => Err(super::object::no_such_key(name, key)),
            (Some(version), Some(current)) if version == current => Ok(version),
            (Some(version), _) => match self.find_kept(row.id, key, version)? {
                Some((_, kept)) if kept.node.is_some() => Ok(version),
                Some(_) => {
                    Err(Error::new(ErrorKind::MethodNotAllowed, "a delete marker has no lock").with("version", version))
                }
                None => Err(no_such_version(key, version)),
            },
        }
    }
}

impl Txn<'_> {
    /// The lock of a version that this commit makes: what was asked for, or the bucket's default.
    pub(super) fn lock_new(&mut self, key: &[u8], version: Id, asked: Option<LockRow>) -> Result<()> {
        let kept = self.kept();
        if !kept.locks {
            return Ok(());
        }
        let mut lock = asked.unwrap_or_default();
        if lock.retention.is_none() {
            lock.retention = kept.retention.map(|default| ends(default, self.now));
        }
        if lock != LockRow::default() {
            self.put(schema::lock(self.bucket, key, version), &lock)?;
        }
        Ok(())
    }

    /// A version goes, and its lock with it.
    pub(super) fn unlock(&mut self, key: &[u8], version: Id) -> Result<()> {
        if self.kept().locks {
            self.delete(schema::lock(self.bucket, key, version));
        }
        Ok(())
    }

    /// ObjectLocked if the version must stay.
    pub(super) fn check_unlocked(&self, key: &[u8], version: Id) -> Result<()> {
        let bypass = self.caller.bypass_governance;
        if self.kept().locks && self.engine.lock_of(self.bucket, key, version)?.holds(self.now, bypass) {
            return Err(locked(key));
        }
        Ok(())
    }

    /// ObjectLocked if a version of any key that begins with `prefix` must stay: nobody may give it another key.
    pub(super) fn check_unlocked_below(&self, prefix: &[u8]) -> Result<()> {
        if !self.kept().locks {
            return Ok(());
        }
        let mut from = schema::locks(self.bucket, prefix);
        let end = schema::prefix_end(&from);
        loop {
            let rows = self.engine.meta.range(&from, &end, FEW)?;
            for (_, value) in &rows {
                if LockRow::decode(value)?.holds(self.now, false) {
                    return Err(locked(prefix));
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == FEW => from = [last.as_slice(), b"\0"].concat(),
                _ => return Ok(()),
            }
        }
    }
}

impl Namespace {
    /// The lock of a version that is known to be there, in the bucket with this id.
    pub fn lock(&self, bucket: Id, key: &[u8], version: Id) -> Result<LockRow> {
        self.0.lock_of(bucket, key, version)
    }

    /// Changes a version's lock. `change` sees it as of the log's head, with the present time, and may refuse.
    pub async fn change_lock(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
        change: impl FnOnce(&mut LockRow, Timestamp) -> Result<()>,
    ) -> Result<Id> {
        let row = self.0.bucket_row(bucket)?;
        let changed = self.0.commit(caller, row.id, Op::SetAttr, |txn| {
            let version = txn.engine.version_of(&row, bucket, key, version)?;
            let row_key = schema::lock(txn.bucket, key, version);
            let mut lock: LockRow = txn.row(&row_key)?.unwrap_or_default();
            change(&mut lock, txn.now)?;
            txn.put(row_key, &lock)?;
            Ok(version)
        })?;
        self.0.acknowledged(caller, changed).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::rows::RetentionMode;

    #[test]
    fn a_default_retention_ends_after_days_or_calendar_years() {
        let at = |secs| Timestamp { secs, nanos: 5 };
        let until = |time, secs| ends(DefaultRetention { mode: RetentionMode::Compliance, time }, at(secs)).until;
        assert_eq!(until(RetentionTime::Days(2), 10), at(10 + 2 * 86_400));
        // 2024-02-29T00:00:00Z and 2025-02-28T00:00:00Z
        assert_eq!(until(RetentionTime::Years(1), 1_709_164_800), at(1_740_700_800));
        assert_eq!(until(RetentionTime::Years(4), 1_709_164_800), at(1_835_395_200));
    }

    #[test]
    fn who_may_bypass_what() {
        let now = Timestamp { secs: 100, nanos: 0 };
        let lock = |mode, secs| LockRow {
            retention: Some(Retention { mode, until: Timestamp { secs, nanos: 0 } }),
            legal_hold: None,
        };
        let (governance, compliance) = (RetentionMode::Governance, RetentionMode::Compliance);
        assert!(lock(governance, 101).holds(now, false) && !lock(governance, 101).holds(now, true));
        assert!(lock(compliance, 101).holds(now, true) && !lock(compliance, 100).holds(now, false));
        let held = LockRow { retention: None, legal_hold: Some(true) };
        assert!(held.holds(now, true));
        assert!(!LockRow { legal_hold: Some(false), ..held }.holds(now, false));
    }
}
