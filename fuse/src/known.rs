//! Inodes that the kernel knows: how many look-ups it holds of each, to give them back to the store when the mount ends
//! (the kernel forgets nothing then), and whose cached pages may be old.

use dashmap::{DashMap, Entry};
use pinfold_store::types::Ino;

/// The inodes that the kernel of one mount knows. As large as the kernel's own cache of inodes.
#[derive(Default)]
pub(crate) struct Known {
    inodes: DashMap<Ino, Inode>,
}

#[derive(Default)]
struct Inode {
    lookups: u64,
    /// Written past the kernel's page cache of this inode (by passthrough) since the daemon last served it.
    old_pages: bool,
}

impl Known {
    /// The kernel is told of `ino` once more.
    pub(crate) fn looked_up(&self, ino: Ino) {
        self.inodes.entry(ino).or_default().lookups += 1;
    }

    /// The kernel forgot `count` look-ups.
    pub(crate) fn forgotten(&self, ino: Ino, count: u64) {
        if let Entry::Occupied(mut inode) = self.inodes.entry(ino) {
            inode.get_mut().lookups = inode.get().lookups.saturating_sub(count);
            if inode.get().lookups == 0 {
                inode.remove();
            }
        }
    }

    /// Pages that the kernel may still hold of `ino` will be old.
    pub(crate) fn pages_grow_old(&self, ino: Ino) {
        if let Some(mut inode) = self.inodes.get_mut(&ino) {
            inode.old_pages = true;
        }
    }

    /// As [`Self::pages_grow_old`], of all that it knows.
    pub(crate) fn all_pages_grow_old(&self) {
        self.inodes.iter_mut().for_each(|mut inode| inode.old_pages = true);
    }

    /// Every inode that the kernel knows now.
    pub(crate) fn all(&self) -> Vec<Ino> {
        self.inodes.iter().map(|inode| *inode.key()).collect()
    }

    /// Whether the kernel may keep its pages of `ino` at the open that is answered now; an open that may not drops
    /// them, so the next may.
    pub(crate) fn may_keep_pages(&self, ino: Ino) -> bool {
        self.inodes.get_mut(&ino).is_some_and(|mut inode| !std::mem::take(&mut inode.old_pages))
    }

    /// Takes everything out: inode and look-ups.
    pub(crate) fn take_all(&self) -> Vec<(Ino, u64)> {
        let all = self.inodes.iter().map(|inode| (*inode.key(), inode.lookups)).collect();
        self.inodes.clear();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_are_counted_and_given_back() {
        let known = Known::default();
        known.looked_up(Ino(2));
        known.looked_up(Ino(2));
        known.looked_up(Ino(3));
        known.forgotten(Ino(2), 1);
        known.forgotten(Ino(3), 1);
        known.forgotten(Ino(4), 9);
        assert_eq!(known.take_all(), [(Ino(2), 1)]);
        assert_eq!(known.take_all(), []);
    }

    #[test]
    fn pages_are_dropped_once_after_writes_past_them() {
        let known = Known::default();
        known.looked_up(Ino(2));
        assert!(known.may_keep_pages(Ino(2)));
        known.pages_grow_old(Ino(2));
        assert!(!known.may_keep_pages(Ino(2)));
        assert!(known.may_keep_pages(Ino(2)));
        // An inode that the kernel was never told of has no pages worth keeping.
        assert!(!known.may_keep_pages(Ino(9)));
    }
}
