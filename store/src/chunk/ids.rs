//! Numbers of content files and slabs: they only grow and none is given out twice, crash or not, so that a stale row of
//! the index can never mean another file.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunk::index::{Index, MARK, NEXT_ID, encode};
use crate::error::Result;

/// Ids set aside at a time: one row for so many files.
const BLOCK: u64 = 256;

/// Gives out ids and knows which are still being written.
pub(super) struct Ids {
    index: Index,
    state: Mutex<State>,
}

struct State {
    next: u64,
    ceiling: u64,
    active: BTreeSet<u64>,
}

impl Ids {
    /// Goes on above `next` and above what the index says was given out.
    pub(super) fn open(index: Index, next: u64) -> Result<Arc<Self>> {
        let next = next.max(index.number(NEXT_ID)?).max(1);
        Ok(Arc::new(Self { index, state: Mutex::new(State { next, ceiling: next, active: BTreeSet::new() }) }))
    }

    /// A new id, which counts as being written until the guard is dropped.
    pub(super) fn allocate(self: &Arc<Self>) -> Result<IdGuard> {
        let mut state = self.state.lock();
        if state.next == state.ceiling {
            let ceiling = state.ceiling + BLOCK;
            let mark = state.active.first().copied().unwrap_or(state.next);
            // The mark goes along: what a crash leaves to look at is about one block of ids.
            self.index.apply(&[(NEXT_ID.to_vec(), Some(encode(&ceiling)?)), (MARK.to_vec(), Some(encode(&mark)?))])?;
            state.ceiling = ceiling;
        }
        let id = state.next;
        state.next += 1;
        state.active.insert(id);
        Ok(IdGuard { ids: self.clone(), id, keep: false })
    }

    /// Whether the file `id` is being written.
    pub(super) fn is_active(&self, id: u64) -> bool {
        self.state.lock().active.contains(&id)
    }

    /// Whether every id below `id` was given out, and its file is finished.
    pub(super) fn is_past(&self, id: u64) -> bool {
        let state = self.state.lock();
        state.active.first().copied().unwrap_or(state.next) >= id
    }

    /// Writes down that every file which is not being written is indexed.
    pub(super) fn write_mark(&self) -> Result<()> {
        let state = self.state.lock();
        let mark = state.active.first().copied().unwrap_or(state.next);
        self.index.apply(&[(MARK.to_vec(), Some(encode(&mark)?))])
    }
}

/// An id whose file is being written.
pub(super) struct IdGuard {
    ids: Arc<Ids>,
    pub(super) id: u64,
    keep: bool,
}

impl IdGuard {
    /// Keeps the id among those that the next start looks at: its file is in place, its rows may not be.
    pub(super) fn leave_to_recovery(mut self) {
        self.keep = true;
    }
}

impl Drop for IdGuard {
    fn drop(&mut self) {
        if !self.keep {
            self.ids.state.lock().active.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::tests::index_double::IndexDouble;

    #[test]
    fn no_id_is_given_twice_and_the_mark_waits_for_the_slowest() {
        let index = Index(Arc::new(IndexDouble::default()));
        let ids = Ids::open(index.clone(), 1).unwrap();
        let slow = ids.allocate().unwrap();
        let many: Vec<u64> = (0..3 * BLOCK).map(|_| ids.allocate().unwrap().id).collect();
        assert!(many.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(index.number(MARK).unwrap(), slow.id);
        assert!(ids.is_active(slow.id) && !ids.is_active(many[0]));
        assert!(!ids.is_past(many[0]) && ids.is_past(slow.id));
        let next = Ids::open(index.clone(), 1).unwrap().allocate().unwrap().id;
        assert!(next > *many.last().unwrap(), "also after a crash");
        drop(slow);
        ids.write_mark().unwrap();
        assert_eq!(index.number(MARK).unwrap(), many.last().unwrap() + 1);
        ids.allocate().unwrap().leave_to_recovery();
        ids.allocate().unwrap();
        ids.write_mark().unwrap();
        assert_eq!(index.number(MARK).unwrap(), many.last().unwrap() + 1);
    }
}
