//! Notices of what happened to a bucket's objects, for whoever its configuration names (S3's bucket notifications).
//!
//! A notice is a row in the same record as what it tells of (an outbox): none is told of what a crash took back, none is
//! lost, and the log need not be kept for those who are not there. Whoever delivers takes them per target in the order of
//! their bucket's records, and removes them when they were taken: each is told at least once. The key stands in the
//! notice, since the directories that it led through may be gone when it is read.

mod outbox;

use std::sync::Arc;

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::meta::rows::{BucketRow, FileRow, RowValue};
use crate::namespace::txn::Txn;
use crate::types::{Door, Id, Timestamp};

/// Name of the bucket's document that holds its configuration, in JSON.
pub const DOCUMENT: &str = "notification";

/// A bucket's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Notifications {
    /// In the order in which they were given.
    pub rules: Vec<NotifyRule>,
}

/// Who is told of what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotifyRule {
    /// Its name.
    pub id: String,
    /// What the client takes the target for; it makes no difference here.
    pub kind: TargetKind,
    /// The target's name (an ARN).
    pub target: String,
    /// Names of events as S3 has them (`s3:ObjectCreated:*` …).
    pub events: Vec<String>,
    /// Keys that begin so.
    pub prefix: Option<String>,
    /// Keys that end so.
    pub suffix: Option<String>,
}

/// S3's kinds of target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TargetKind {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
    /// A function.
    Function,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The configuration was set: each target is told once.
    Test,
    /// PutObject, a form, or a file of the mount that was published.
    Put,
    /// CopyObject, or an object's new key.
    Copy,
    /// CompleteMultipartUpload.
    Complete,
    /// An object or version is gone.
    Removed,
    /// A delete marker hides an object.
    Marked,
    /// A lifecycle rule deleted an object or version.
    Expired,
    /// A lifecycle rule hid an object.
    ExpiredMarked,
    /// An object got tags.
    Tagged,
    /// An object lost its tags.
    Untagged,
}

impl Event {
    /// S3's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "s3:TestEvent",
            Self::Put => "s3:ObjectCreated:Put",
            Self::Copy => "s3:ObjectCreated:Copy",
            Self::Complete => "s3:ObjectCreated:CompleteMultipartUpload",
            Self::Removed => "s3:ObjectRemoved:Delete",
            Self::Marked => "s3:ObjectRemoved:DeleteMarkerCreated",
            Self::Expired => "s3:LifecycleExpiration:Delete",
            Self::ExpiredMarked => "s3:LifecycleExpiration:DeleteMarkerCreated",
            Self::Tagged => "s3:ObjectTagging:Put",
            Self::Untagged => "s3:ObjectTagging:Delete",
        }
    }
}

/// One notice to one target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// The rule by which it is told.
    pub rule: String,
    /// The bucket.
    pub bucket: String,
    /// Its owner.
    pub owner: String,
    /// The key; empty for a test.
    pub key: Vec<u8>,
    /// Size in bytes, of what was made.
    pub size: Option<u64>,
    /// ETag, of what was made.
    pub etag: Option<String>,
    /// The version that was made or deleted, where the bucket keeps versions.
    pub version: Option<Id>,
    /// Who did it.
    pub principal: String,
    /// By which door.
    pub door: Door,
    /// Which request.
    pub request: Id,
    /// When.
    pub time: Timestamp,
    /// Its place in the order of its bucket's records.
    pub sequence: u64,
}

impl RowValue for Notice {}

impl NotifyRule {
    fn fits(&self, event: Event, key: &[u8]) -> bool {
        let name = event.name();
        let named = |wanted: &String| match wanted.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == wanted,
        };
        self.events.iter().any(named)
            && self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_bytes()))
            && self.suffix.as_ref().is_none_or(|suffix| key.ends_with(suffix.as_bytes()))
    }
}

/// A bucket that tells.
pub(super) struct Telling {
    name: String,
    owner: String,
    rules: Vec<NotifyRule>,
}

/// The buckets that tell of anything, by id. Exact under the bucket's stream lock.
#[derive(Default)]
pub(super) struct Notifying(DashMap<Id, Arc<Telling>>);

impl Notifying {
    /// Takes over what a bucket's row says.
    pub(super) fn note(&self, name: &str, row: &BucketRow) {
        let read = row.settings.documents.get(DOCUMENT).map(|text| serde_json::from_str::<Notifications>(text));
        match read {
            Some(Ok(read)) if !read.rules.is_empty() => {
                let telling = Telling { name: name.to_owned(), owner: row.owner.clone(), rules: read.rules };
                self.0.insert(row.id, Arc::new(telling));
            }
            Some(Err(error)) => {
                tracing::error!(bucket = name, %error, "a bucket's notification configuration cannot be read");
                self.0.remove(&row.id);
            }
            _ => drop(self.0.remove(&row.id)),
        }
    }

    /// The bucket is gone. What it told before is still delivered.
    pub(super) fn forget(&self, bucket: Id) {
        self.0.remove(&bucket);
    }
}

impl Txn<'_> {
    /// Whether the bucket tells of anything: else a key need not be found out.
    pub(super) fn tells(&self) -> bool {
        self.engine.notifying.0.contains_key(&self.bucket)
    }

    /// Tells of something, if somebody wants to know.
    pub(super) fn tell(
        &mut self,
        event: Event,
        key: &[u8],
        made: Option<&FileRow>,
        version: Option<Id>,
    ) -> crate::Result<()> {
        if !self.tells() {
            return Ok(());
        }
        let Some(telling) = self.engine.notifying.0.get(&self.bucket).map(|found| Arc::clone(&found)) else {
            return Ok(());
        };
        let versions = self.kept().versions();
        for rule in telling.rules.iter().filter(|rule| rule.fits(event, key)) {
            let notice = Notice {
                event,
                rule: rule.id.clone(),
                bucket: telling.name.clone(),
                owner: telling.owner.clone(),
                key: key.to_vec(),
                size: made.map(|file| file.content.size),
                etag: made.map(|file| file.meta.etag.0.clone()),
                version: version.or(made.map(|file| file.meta.version)).filter(|_| versions),
                principal: self.caller.principal.clone(),
                door: self.caller.door,
                request: self.caller.request,
                time: self.now,
                sequence: self.seq,
            };
            self.post(&rule.target, &notice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_fit_by_event_and_key() {
        let rule = |events: &[&str], prefix: Option<&str>, suffix: Option<&str>| NotifyRule {
            id: "r".to_owned(),
            kind: TargetKind::Queue,
            target: "t".to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
            suffix: suffix.map(str::to_owned),
        };
        let all = rule(&["s3:ObjectCreated:*"], None, None);
        assert!(all.fits(Event::Put, b"k") && all.fits(Event::Complete, b"k") && !all.fits(Event::Removed, b"k"));
        let one = rule(&["s3:ObjectRemoved:Delete", "s3:ObjectTagging:*"], Some("a/"), Some(".jpg"));
        assert!(one.fits(Event::Removed, b"a/x.jpg") && one.fits(Event::Untagged, b"a/.jpg"));
        assert!(!one.fits(Event::Marked, b"a/x.jpg") && !one.fits(Event::Removed, b"b/x.jpg"));
        assert!(!one.fits(Event::Removed, b"a/x.png"));
    }
}
