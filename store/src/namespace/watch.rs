//! Telling mounts what became stale (S6, ruling 21): on the commit path, with no lock of the engine held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::mount_types::{Invalidate, Stale};
use crate::types::{Caller, Door};

/// The mounts of this namespace.
#[derive(Default)]
pub(super) struct Mounts {
    next: AtomicU64,
    /// Held while mounts are told who is there, so that they hear it in order.
    changing: Mutex<()>,
    list: RwLock<Vec<(u64, Arc<dyn Invalidate>)>>,
}

impl Mounts {
    /// Registers a mount; ids begin at 1, 0 means "no mount".
    pub(super) fn add(&self, mount: Arc<dyn Invalidate>) -> u64 {
        let _changing = self.changing.lock();
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.list.write().push((id, mount));
        let mounts = self.list.read().clone();
        if mounts.len() > 1 {
            mounts.iter().for_each(|(_, mount)| mount.company(true));
        }
        id
    }

    pub(super) fn remove(&self, id: u64) {
        let _changing = self.changing.lock();
        self.list.write().retain(|(other, _)| *other != id);
        let mounts = self.list.read().clone();
        if let [(_, last)] = mounts.as_slice() {
            last.company(false);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.read().is_empty()
    }

    /// Tells every mount but the caller's own. A mount's thread must never wait for a kernel, not even for another
    /// mount's (ruling 21): only callers from other doors wait, boundedly.
    pub(super) fn tell(&self, caller: &Caller, stale: &[Stale]) {
        if stale.is_empty() {
            return;
        }
        let mounts: Vec<_> = self.list.read().iter().filter(|(id, _)| *id != caller.mount).cloned().collect();
        for (_, mount) in mounts {
            mount.invalidate(stale, caller.door != Door::Mount);
        }
    }
}
