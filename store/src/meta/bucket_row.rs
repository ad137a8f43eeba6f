//! A bucket's row: what it is, and all that is set for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::RowValue;
use crate::types::{Id, Timestamp};
use crate::unixfs::Profile;

/// A bucket. Its id is also its stream's and its root directory's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BucketRow {
    /// Identity.
    pub id: Id,
    /// When it was created.
    pub created: Timestamp,
    /// Access key of the account that owns it.
    pub owner: String,
    /// UnixFS profile of its objects.
    pub profile: Profile,
    /// Region named at creation.
    pub region: Option<String>,
    /// Bucket tags.
    pub tags: Vec<(String, String)>,
    /// What else is set for it (from version 2 on).
    pub settings: Arc<BucketSettings>,
}

/// What a bucket is set to. Every request reads it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BucketSettings {
    /// Whether replaced and deleted objects are kept.
    pub versioning: Versioning,
    /// Object lock, once it was enabled: for good.
    pub object_lock: Option<ObjectLock>,
    /// Documents as they were accepted, by the name of S3's subresource (`policy`, `cors`, `acl` …) or of our own (`quota`).
    pub documents: BTreeMap<String, String>,
    /// How new objects are encrypted (from version 3 on).
    pub encryption: Option<BucketEncryption>,
}

/// How a bucket's new objects are encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BucketEncryption {
    /// Unless the request says otherwise.
    pub mode: EncryptionMode,
    /// Its key, once it has one: id among the node's keys.
    pub key: Option<Id>,
}

/// A bucket's mode of encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum EncryptionMode {
    /// None: CIDs are those of the bytes, for everybody.
    #[default]
    None,
    /// Under the bucket's key: equal chunks in the bucket are stored once.
    Bucket,
    /// Each object under a random key of its own.
    Object,
}

/// A bucket's versioning state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Versioning {
    /// Never enabled.
    #[default]
    Off,
    /// Each PUT makes a version, a DELETE a delete marker.
    Enabled,
    /// What is kept stays; PUT and DELETE make or replace the null version.
    Suspended,
}

/// What object lock does in a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ObjectLock {
    /// Retention of new objects that name none.
    pub default: Option<DefaultRetention>,
}

/// A bucket's default retention.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// Who may lift it.
    pub mode: RetentionMode,
    /// How long.
    pub time: RetentionTime,
}

/// S3's two periods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RetentionTime {
    /// Of 24 hours.
    Days(u32),
    /// Of the calendar.
    Years(u32),
}

/// Who may lift a retention before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// A bucket's row of version 1.
#[derive(Deserialize)]
struct BucketRowV1 {
    id: Id,
    created: Timestamp,
    owner: String,
    profile: Profile,
    region: Option<String>,
    tags: Vec<(String, String)>,
}

/// A bucket's row of version 2.
#[derive(Deserialize)]
struct BucketRowV2 {
    before: BucketRowV1,
    versioning: Versioning,
    object_lock: Option<ObjectLock>,
    documents: BTreeMap<String, String>,
}

impl RowValue for BucketRow {
    const VERSION: u8 = 3;
    fn decode_old(from: u8, bytes: &[u8]) -> Option<postcard::Result<Self>> {
        let row = |before: BucketRowV1, settings: BucketSettings| {
            let BucketRowV1 { id, created, owner, profile, region, tags } = before;
            Self { id, created, owner, profile, region, tags, settings: Arc::new(settings) }
        };
        match from {
            1 => Some(postcard::from_bytes(bytes).map(|before| row(before, BucketSettings::default()))),
            2 => Some(postcard::from_bytes(bytes).map(|BucketRowV2 { before, versioning, object_lock, documents }| {
                row(before, BucketSettings { versioning, object_lock, documents, encryption: None })
            })),
            _ => None,
        }
    }
}
