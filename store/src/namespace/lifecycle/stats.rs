//! What the lifecycle worker did since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went by lifecycle rules since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Current versions, deleted or hidden.
    pub objects: u64,
    /// Versions that were not current.
    pub versions: u64,
    /// Delete markers that hid nothing.
    pub markers: u64,
    /// Uploads that were not completed.
    pub uploads: u64,
    /// What was due and is locked (each time it was met).
    pub locked: u64,
    /// Keys and versions looked at.
    pub looked_at: u64,
}

/// Counts as it goes.
#[derive(Default)]
pub(in crate::namespace) struct Tally {
    pub(super) objects: AtomicU64,
    pub(super) versions: AtomicU64,
    pub(super) markers: AtomicU64,
    pub(super) uploads: AtomicU64,
    pub(super) locked: AtomicU64,
    pub(super) looked_at: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// So far.
    pub(in crate::namespace) fn so_far(&self) -> Swept {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Swept {
            objects: read(&self.objects),
            versions: read(&self.versions),
            markers: read(&self.markers),
            uploads: read(&self.uploads),
            locked: read(&self.locked),
            looked_at: read(&self.looked_at),
        }
    }
}
