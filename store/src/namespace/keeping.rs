//! Which buckets keep versions or lock objects: asked at every change of a name, so in memory. Most buckets do neither.

use dashmap::DashMap;

use crate::meta::rows::{BucketEncryption, BucketRow, DefaultRetention, Versioning};
use crate::types::Id;

/// What a bucket keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kept {
    /// Whether it keeps versions.
    pub(super) versioning: Versioning,
    /// Whether its versions can be locked.
    pub(super) locks: bool,
    /// Retention of new versions that name none.
    pub(super) retention: Option<DefaultRetention>,
    /// How new content is encrypted.
    pub(super) encryption: Option<BucketEncryption>,
}

impl Kept {
    /// Whether replaced and deleted objects are kept, or once were.
    pub(super) fn versions(&self) -> bool {
        self.versioning != Versioning::Off
    }
}

/// The buckets that keep something, by id. Exact under the bucket's stream lock.
#[derive(Default)]
pub(super) struct Keeping(DashMap<Id, Kept>);

impl Keeping {
    /// What a bucket keeps.
    pub(super) fn of(&self, bucket: Id) -> Kept {
        self.0.get(&bucket).map_or_else(Kept::default, |kept| *kept)
    }

    /// Takes over what a bucket's row says.
    pub(super) fn note(&self, row: &BucketRow) {
        let lock = row.settings.object_lock.as_ref();
        let kept = Kept {
            versioning: row.settings.versioning,
            locks: lock.is_some(),
            retention: lock.and_then(|lock| lock.default),
            encryption: row.settings.encryption,
        };
        if kept == Kept::default() {
            self.0.remove(&row.id);
        } else {
            self.0.insert(row.id, kept);
        }
    }

    /// The bucket is gone.
    pub(super) fn forget(&self, bucket: Id) {
        self.0.remove(&bucket);
    }
}
