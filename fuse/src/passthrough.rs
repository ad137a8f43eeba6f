//! Which inodes the kernel reads and writes by itself (ruling 11).
//!
//! The kernel's rule: all opens of an inode go through one backing file, or none does; a mixture fails with EIO, and so
//! do two backing files. The choice is made at an inode's first open and holds until its last release. Entries here are
//! made after the store opened a handle and go before the store releases it, so all opens that share an entry are open
//! in the store at once, which answers the same for all of them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::{DashMap, Entry};
use fuser::BackingId;
use pinfold_store::types::Ino;

/// The open inodes of a mount and how each is served. `T` is the kernel's handle on a backing file.
pub(crate) struct Backings<T = BackingId> {
    enabled: AtomicBool,
    open: DashMap<Ino, Open<T>>,
}

/// What an open is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    /// Writing.
    pub(crate) writes: bool,
    /// Running it as a program.
    pub(crate) runs: bool,
}

struct Open<T> {
    opens: u64,
    /// Those of them that may write.
    writers: u64,
    /// Those of them by which it runs.
    runs: u64,
    /// `None`: the daemon serves it.
    backing: Option<Arc<T>>,
}

impl<T> Backings<T> {
    /// No inode is open; passthrough is off until [`Self::enable`].
    pub(crate) fn new() -> Self {
        Self { enabled: AtomicBool::new(false), open: DashMap::new() }
    }

    /// Passthrough was negotiated.
    pub(crate) fn enable(&self) {
        self.enabled.store(true, Ordering::Relaxed);
    }

    /// Whether passthrough is tried at all.
    pub(crate) fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Gives passthrough up for good, with the one line that says why.
    pub(crate) fn disable(&self, why: &io::Error) {
        if self.enabled.swap(false, Ordering::Relaxed) {
            tracing::warn!(error = %why, "passthrough does not work on the data disk; the daemon serves all files");
        }
    }

    /// Counts one more open of `ino`. `file` is what would back it, `register` makes the kernel's handle on it.
    /// `None` means that the daemon serves this open.
    pub(crate) fn join(
        &self,
        ino: Ino,
        used: Use,
        file: Option<&File>,
        register: impl FnOnce(&File) -> io::Result<T>,
    ) -> Option<Arc<T>> {
        match self.open.entry(ino) {
            Entry::Occupied(mut open) => {
                let open = open.get_mut();
                open.opens += 1;
                open.writers += u64::from(used.writes);
                open.runs += u64::from(used.runs);
                open.backing.clone()
            }
            Entry::Vacant(vacant) => {
                let backing = file.filter(|_| self.enabled()).and_then(|file| match register(file) {
                    Ok(backing) => Some(Arc::new(backing)),
                    Err(error) => {
                        self.refused(ino, &error);
                        None
                    }
                });
                vacant.insert(Open {
                    opens: 1,
                    writers: u64::from(used.writes),
                    runs: u64::from(used.runs),
                    backing: backing.clone(),
                });
                backing
            }
        }
    }

    /// Whether the kernel may be writing `ino` by itself now.
    pub(crate) fn written_by_kernel(&self, ino: Ino) -> bool {
        self.open.get(&ino).is_some_and(|open| open.backing.is_some() && open.writers > 0)
    }

    /// Whether `ino` runs as a program.
    pub(crate) fn runs(&self, ino: Ino) -> bool {
        self.open.get(&ino).is_some_and(|open| open.runs > 0)
    }

    /// Counts one open less, `used` as it joined. The last one lets go of the backing file.
    pub(crate) fn leave(&self, ino: Ino, used: Use) {
        if let Entry::Occupied(mut entry) = self.open.entry(ino) {
            let open = entry.get_mut();
            open.opens -= 1;
            open.writers -= u64::from(used.writes);
            open.runs -= u64::from(used.runs);
            if open.opens == 0 {
                entry.remove();
            }
        }
    }

    /// Lets go of everything: the mount has ended.
    pub(crate) fn clear(&self) {
        self.open.clear();
    }

    fn refused(&self, ino: Ino, error: &io::Error) {
        match error.raw_os_error() {
            // Out of descriptors or memory: this file now, others later.
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                tracing::warn!(%ino, %error, "no backing file for the kernel; the daemon serves this file");
            }
            // A disk that cannot (a stacked file system), or a right that is missing: that stays so.
            _ => self.disable(error),
        }
    }
}

/// Tries passthrough on a nameless file in `dir`. The kernel keeps that empty file until the mount ends.
pub(crate) fn probe(device: impl std::os::fd::AsFd, dir: &Path) -> io::Result<()> {
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(dir, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    BackingId::create_raw(device, &file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const A: Ino = Ino(5);
    const READ: Use = Use { writes: false, runs: false };
    const WRITE: Use = Use { writes: true, runs: false };
    const RUN: Use = Use { writes: false, runs: true };

    fn file() -> File {
        tempfile::tempfile().unwrap()
    }

    fn enabled() -> Backings<u32> {
        let backings = Backings::new();
        backings.enable();
        backings
    }

    #[test]
    fn all_opens_of_an_inode_share_one_backing_until_the_last_release() {
        let backings = enabled();
        let next = Cell::new(1);
        let register = |_: &File| {
            next.set(next.get() + 1);
            Ok(next.get())
        };
        let file = file();
        let first = backings.join(A, READ, Some(&file), register).unwrap();
        assert!(!backings.written_by_kernel(A));
        let second = backings.join(A, WRITE, Some(&file), register).unwrap();
        // Even one of which the store says otherwise.
        let third = backings.join(A, READ, None, register).unwrap();
        assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third));
        assert!(backings.written_by_kernel(A));
        backings.leave(A, WRITE);
        assert!(!backings.written_by_kernel(A));
        backings.leave(A, READ);
        let fourth = backings.join(A, WRITE, Some(&file), register).unwrap();
        assert!(Arc::ptr_eq(&first, &fourth));
        backings.leave(A, READ);
        backings.leave(A, WRITE);
        assert!(!backings.written_by_kernel(A));
        let fresh = backings.join(A, WRITE, Some(&file), register).unwrap();
        assert_ne!(*first, *fresh);
    }

    #[test]
    fn an_inode_that_the_daemon_serves_stays_with_it() {
        let backings = enabled();
        let file = file();
        assert!(backings.join(A, WRITE, None, |_| Ok(1)).is_none());
        assert!(backings.join(A, WRITE, Some(&file), |_| Ok(1)).is_none());
        assert!(!backings.written_by_kernel(A));
        backings.leave(A, WRITE);
        backings.leave(A, WRITE);
        assert!(backings.join(A, WRITE, Some(&file), |_| Ok(1)).is_some());
    }

    #[test]
    fn a_disk_that_cannot_is_tried_once_and_a_full_table_again() {
        let file = file();
        let fails = |errno| move |_: &File| Err(io::Error::from_raw_os_error(errno));
        let backings = enabled();
        assert!(backings.join(A, READ, Some(&file), fails(libc::EMFILE)).is_none());
        assert!(backings.enabled());
        backings.leave(A, READ);
        assert!(backings.join(A, READ, Some(&file), fails(libc::ELOOP)).is_none());
        backings.leave(A, READ);
        assert!(backings.join(A, READ, Some(&file), |_| panic!("tried again")).is_none());
    }

    #[test]
    fn programs_that_run_are_known() {
        let backings = Backings::<u32>::new();
        backings.join(A, RUN, None, |_| Ok(1));
        backings.join(A, READ, None, |_| Ok(1));
        assert!(backings.runs(A));
        backings.leave(A, RUN);
        assert!(!backings.runs(A));
    }

    #[test]
    fn off_means_off() {
        let backings = Backings::<u32>::new();
        assert!(backings.join(A, WRITE, Some(&file()), |_| panic!("tried")).is_none());
    }
}
