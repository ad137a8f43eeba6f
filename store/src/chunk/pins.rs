//! Who needs a digest right now: writers before their commit, and open readers. Also the locks that make "look it up
//! and hold it" and "nobody holds it, forget it" exclude each other.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};

const SHARDS: usize = 256;
/// Beyond this many digests waiting for the collector it is told to look at everything instead.
const MOST_HINTS: usize = 1 << 20;

/// A SHA-256 digest.
pub(super) type Digest32 = [u8; 32];

/// The table of pins, and the queue of digests that may have become garbage.
pub(super) struct Pins {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    hints: Mutex<VecDeque<Digest32>>,
    sweep_wanted: AtomicBool,
}

type Shard = HashMap<Digest32, Entry>;

#[derive(Default)]
struct Entry {
    pins: u32,
    /// The collector came by and went away: it must be told when the last pin goes.
    passed_over: bool,
}

impl Pins {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hints: Mutex::default(),
            sweep_wanted: AtomicBool::new(false),
        })
    }

    /// Locks what concerns `digest`. At most one such lock is held by a thread at any time.
    pub(super) fn lock(self: &Arc<Self>, digest: &Digest32) -> Locked<'_> {
        let shard = self.hasher.hash_one(digest) as usize % SHARDS;
        Locked { pins: self, digest: *digest, shard: self.shards[shard].lock() }
    }

    /// Holds `digest`, whether or not anything is stored under it.
    pub(super) fn pin(self: &Arc<Self>, digest: &Digest32) -> TempPin {
        self.lock(digest).pin()
    }

    /// Queues a digest for the collector.
    pub(super) fn hint(&self, digest: Digest32) {
        let mut hints = self.hints.lock();
        if hints.len() < MOST_HINTS {
            hints.push_back(digest);
        } else {
            self.want_sweep();
        }
    }

    /// The queue, oldest first, up to `most`.
    pub(super) fn take_hints(&self, most: usize) -> Vec<Digest32> {
        let mut hints = self.hints.lock();
        let most = most.min(hints.len());
        hints.drain(..most).collect()
    }

    pub(super) fn hints_waiting(&self) -> usize {
        self.hints.lock().len()
    }

    /// Has the collector look at everything once.
    pub(super) fn want_sweep(&self) {
        self.sweep_wanted.store(true, Ordering::Release);
    }

    /// Whether a look at everything was asked for since the last call.
    pub(super) fn take_sweep_wanted(&self) -> bool {
        self.sweep_wanted.swap(false, Ordering::AcqRel)
    }

    #[cfg(test)]
    pub(super) fn pinned(&self) -> usize {
        self.shards.iter().map(|s| s.lock().len()).sum()
    }
}

/// The lock on one digest.
pub(super) struct Locked<'a> {
    pins: &'a Arc<Pins>,
    digest: Digest32,
    shard: MutexGuard<'a, Shard>,
}

impl Locked<'_> {
    /// Holds the digest.
    pub(super) fn pin(&mut self) -> TempPin {
        self.shard.entry(self.digest).or_default().pins += 1;
        TempPin { pins: self.pins.clone(), digest: self.digest, hint: true }
    }

    /// For the collector: whether somebody holds the digest. If so it will be hinted again when the last lets go.
    pub(super) fn is_pinned(&mut self) -> bool {
        match self.shard.get_mut(&self.digest) {
            Some(entry) => {
                entry.passed_over = true;
                true
            }
            None => false,
        }
    }
}

/// Keeps what a digest names from being collected while it lives.
///
/// A writer gets one with what it stored and drops it after the commit that names the digest, by
/// [`TempPin::committed`]; dropped in any other way, the collector looks whether the bytes are needed at all.
#[must_use = "what it pins may be collected once it is dropped"]
pub struct TempPin {
    pins: Arc<Pins>,
    digest: Digest32,
    hint: bool,
}

impl TempPin {
    /// The digest that is held.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Lets go, after a commit that names the digest has become visible to [`crate::chunk::Roots`].
    pub fn committed(mut self) {
        self.hint = false;
    }

    /// A pin of a reader: letting go is no news to the collector, unless it asked.
    pub(super) fn quiet(mut self) -> Self {
        self.hint = false;
        self
    }
}

impl Clone for TempPin {
    fn clone(&self) -> Self {
        let pin = self.pins.pin(&self.digest);
        if self.hint { pin } else { pin.quiet() }
    }
}

impl Drop for TempPin {
    fn drop(&mut self) {
        let mut locked = self.pins.lock(&self.digest);
        let mut hint = self.hint;
        if let Some(entry) = locked.shard.get_mut(&self.digest) {
            entry.pins -= 1;
            if entry.pins == 0 {
                hint |= entry.passed_over;
                locked.shard.remove(&self.digest);
            } else {
                // The last one to go hints.
                entry.passed_over |= hint;
                hint = false;
            }
        }
        drop(locked);
        if hint {
            self.pins.hint(self.digest);
        }
    }
}

impl std::fmt::Debug for TempPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TempPin({})", hex::encode(self.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pin_hints_if_a_commit_failed_or_the_collector_came_by() {
        let pins = Pins::new();
        let digest = [1; 32];
        pins.pin(&digest).committed();
        assert_eq!(pins.take_hints(9), Vec::<Digest32>::new());

        let (a, b) = (pins.pin(&digest), pins.pin(&digest));
        drop(a);
        assert_eq!(pins.hints_waiting(), 0, "another pin is left");
        b.committed();
        assert_eq!(pins.take_hints(9), [digest]);

        let reader = pins.pin(&digest).quiet();
        assert!(pins.lock(&digest).is_pinned());
        let other = reader.clone();
        drop(reader);
        assert_eq!(pins.hints_waiting(), 0);
        drop(other);
        assert_eq!(pins.take_hints(9), [digest]);
        assert!(!pins.lock(&digest).is_pinned());
        assert_eq!(pins.pinned(), 0);
    }
}
