//! Live files: which inodes have one, when each is to be published, and what their handles read.
//!
//! Lock order: an inode's `open`, then a stream's lock. A publish holds `open`, so a writer that opens meanwhile waits
//! for it; `stat` and reads never do.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::{Condvar, Mutex};

use super::inode::Inode;
use super::local::LocalStat;
use crate::chunk::{LiveFile, ObjectReader};
use crate::types::{Ino, Seq, Timestamp};

/// Where an open inode's bytes are.
#[derive(Clone)]
pub(super) enum Data {
    /// Nowhere yet: no handle, and no live file.
    None,
    /// Published content.
    Sealed(Arc<ObjectReader>),
    /// A live file.
    Live(Arc<LiveFile>),
    /// A live file that is just becoming sealed content (no handle is open): how it looks meanwhile, and the mtime that
    /// the row had then (another one was set since, and holds).
    Sealing(LocalStat, Timestamp),
}

/// What opening and releasing keep of an inode.
#[derive(Default)]
pub(super) struct OpenState {
    /// Open handles.
    pub(super) handles: u32,
    /// Handles open for writing.
    pub(super) writers: u32,
    /// Of these, handles that have not been flushed since they last wrote: LIST does not wait for such a file.
    pub(super) unflushed: u32,
    /// The one file that the kernel may read and write directly, chosen at the first open (ruling 11).
    pub(super) backing: Option<Arc<File>>,
    /// The content that `backing` is, if it is sealed.
    pub(super) backed: Option<[u8; 32]>,
    /// Operations on the open file that ended: flushes, syncs, truncations (ruling 20).
    pub(super) ended: u64,
    /// The last publish that left the live file in place: its size and mtime then, when, and how long it took.
    pub(super) copied: Option<Copied>,
}

/// A publish by copy.
pub(super) struct Copied {
    pub(super) size: u64,
    pub(super) mtime: crate::types::Timestamp,
    pub(super) ended: u64,
    pub(super) at: Instant,
    pub(super) took: Duration,
}

/// All inodes with a live file, and when each is due to be published.
pub(super) struct LiveTable {
    began: Instant,
    most_waiting: usize,
    map: DashMap<Ino, Arc<Inode>>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Live files that go once the log is durable up to a record: the one that published their bytes, or took their
    /// inode's last name away. Held while one is discarded, so that a new writer finds it there or gone.
    pub(super) discards: Mutex<HashMap<Ino, Seq>>,
    /// Files that were closed after writing: durable within the commit interval (S14).
    pub(super) closed: Mutex<HashSet<Ino>>,
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Instant, Ino)>,
    when: HashMap<Ino, Instant>,
    stopped: bool,
    /// Until when the publisher sleeps; none while it is awake.
    asleep: Option<Instant>,
}

/// What is due is due at the end of one of these: a publisher that slept between any two files would cost each its waking.
const TICK: Duration = Duration::from_millis(20);

/// How long the publisher sleeps with nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// With more live files than this waiting, the earliest is published at once: each holds a descriptor. A quarter of what
/// this process may have, in these bounds.
const MOST_WAITING: std::ops::RangeInclusive<u64> = 64..=4096;

fn most_waiting() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    (limit.unwrap_or(u64::MAX) / 4).clamp(*MOST_WAITING.start(), *MOST_WAITING.end()) as usize
}

impl Default for LiveTable {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            most_waiting: most_waiting(),
            map: DashMap::new(),
            queue: Mutex::default(),
            wake: Condvar::new(),
            discards: Mutex::default(),
            closed: Mutex::default(),
        }
    }
}

impl LiveTable {
    /// The inode behind a live file.
    pub(super) fn get(&self, ino: Ino) -> Option<Arc<Inode>> {
        self.map.get(&ino).map(|inode| Arc::clone(&inode))
    }

    /// An inode has a live file now. True if it had none.
    pub(super) fn insert(&self, inode: &Arc<Inode>) -> bool {
        self.map.insert(inode.ino, Arc::clone(inode)).is_none()
    }

    /// An inode has no live file any more. True if it had one.
    pub(super) fn remove(&self, ino: Ino) -> bool {
        let mut queue = self.queue.lock();
        if let Some(at) = queue.when.remove(&ino) {
            queue.due.remove(&(at, ino));
        }
        drop(queue);
        self.map.remove(&ino).is_some()
    }

    /// All inodes with a live file.
    pub(super) fn all(&self) -> Vec<Arc<Inode>> {
        self.map.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    /// Has an inode published at `at` or a moment later, instead of whenever it was due before.
    pub(super) fn schedule(&self, ino: Ino, at: Instant) {
        let at = self.tick(at);
        let mut queue = self.queue.lock();
        if let Some(before) = queue.when.insert(ino, at) {
            queue.due.remove(&(before, ino));
        }
        queue.due.insert((at, ino));
        // What is due later than the publisher wakes by itself needs no waking: that would cost each close a thread's.
        if queue.asleep.is_some_and(|until| at < until) || queue.due.len() > self.most_waiting {
            self.wake.notify_one();
        }
    }

    /// The end of the tick that `at` is in: files that are closed one after the other fall due together.
    fn tick(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.began).as_micros();
        let ticks = since.div_ceil(TICK.as_micros()).min(u128::from(u32::MAX)) as u32;
        self.began.checked_add(TICK * ticks).map_or(at, |tick| tick.max(at))
    }

    /// Waits for the next inode that is due; none when stopped.
    pub(super) fn next_due(&self) -> Option<Ino> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return None;
            }
            match queue.due.first().copied() {
                Some((at, ino)) if at <= Instant::now() || queue.due.len() > self.most_waiting => {
                    queue.due.remove(&(at, ino));
                    queue.when.remove(&ino);
                    return Some(ino);
                }
                first => {
                    let until = first.map_or_else(|| Instant::now() + IDLE, |(at, _)| at);
                    queue.asleep = Some(until);
                    self.wake.wait_until(&mut queue, until);
                    queue.asleep = None;
                }
            }
        }
    }

    /// Ends [`Self::next_due`] for good.
    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(1800);

    fn asleep(table: &LiveTable) -> bool {
        table.queue.lock().asleep.is_some()
    }

    #[test]
    fn who_sleeps_for_a_later_one_is_woken_by_an_earlier_one_and_by_too_many() {
        let table = LiveTable::default();
        std::thread::scope(|scope| {
            let publisher = scope.spawn(|| std::iter::from_fn(|| table.next_due()).take(3).collect::<Vec<_>>());
            let when_asleep = |ino: u64, at: Instant| {
                while !asleep(&table) {
                    std::thread::yield_now();
                }
                table.schedule(Ino(ino), at);
            };
            // It sleeps with nothing to do, then until the first of many is due.
            when_asleep(1, Instant::now());
            when_asleep(2, Instant::now() + LATER);
            when_asleep(3, Instant::now());
            for ino in 4..4 + table.most_waiting as u64 {
                when_asleep(ino, Instant::now() + 2 * LATER);
            }
            assert_eq!(publisher.join().unwrap(), [Ino(1), Ino(3), Ino(2)]);
        });
        table.stop();
        assert_eq!(table.next_due(), None);
    }
}
