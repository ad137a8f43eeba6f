//! Room on the disk for the replica's own writes. An engine that meets a full disk is lost until the next start, and with
//! it all reads; so it sets room aside beforehand where its files allow that ([`MetaStore::room`]), and commits that
//! make the metadata grow are refused while there is less than enough. Those that give space back are let through
//! longer: a full disk is emptied by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::MetaStore;
use super::record::{Op, Record};
use crate::error::{Error, ErrorKind, Result};

/// What an engine sets aside, in bytes.
pub(super) const ASIDE: u64 = 64 << 20;
/// With less than this nothing is committed that grows.
const TO_GROW: u64 = 48 << 20;
/// With less than this nothing is committed at all. What is queued for the replica, and what the engine writes more than
/// it is given, must still fit.
const AT_ALL: u64 = 16 << 20;
/// How often a full disk is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the engine was last known to have.
pub(super) struct Room {
    left: AtomicU64,
    looked: Mutex<Instant>,
}

impl Room {
    pub(super) fn new(store: &dyn MetaStore) -> Self {
        let room = Self { left: AtomicU64::new(u64::MAX), looked: Mutex::new(Instant::now()) };
        room.look(store);
        room
    }

    /// Asks the engine; after each run of writes.
    pub(super) fn look(&self, store: &dyn MetaStore) {
        match store.room() {
            Ok(left) => {
                let before = self.left.swap(left, Ordering::Relaxed);
                if left < TO_GROW && before >= TO_GROW {
                    tracing::warn!(left, "the disk is full: only commits that give space back are accepted");
                } else if left >= TO_GROW && before < TO_GROW {
                    tracing::info!(left, "the disk has room again: commits are accepted");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot tell how much room the metadata has"),
        }
    }

    /// NoSpace if `record` should not be committed now.
    pub(super) fn admit(&self, record: &Record, store: &dyn MetaStore) -> Result<()> {
        if self.left.load(Ordering::Relaxed) >= TO_GROW {
            return Ok(());
        }
        let now = Instant::now();
        let due = {
            let mut looked = self.looked.lock();
            let due = now.duration_since(*looked) >= LOOK_AGAIN;
            if due {
                *looked = now;
            }
            due
        };
        if due {
            self.look(store);
        }
        let left = self.left.load(Ordering::Relaxed);
        let needed = if gives_back(record) { AT_ALL } else { TO_GROW };
        if left >= needed {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSpace, "the disk has no room for more metadata")
            .with("left", left)
            .with("needed", needed))
    }
}

/// Whether a commit makes room, or only names what lies on this disk already.
fn gives_back(record: &Record) -> bool {
    match record.op {
        Op::Delete | Op::DeleteBucket | Op::Unlink | Op::Rmdir | Op::Publish | Op::System => true,
        // An abort, and what follows on it.
        Op::Multipart => record.rows.iter().any(|(_, value)| value.is_none()),
        _ => false,
    }
}
