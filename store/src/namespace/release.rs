//! The last close of a handle, and what follows for the inode.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Namespace;
use super::engine::Engine;
use super::handle::FileHandle;
use super::inode::Inode;
use super::live::{Data, OpenState};
use super::local;
use super::mount_types::OpenMode;
use super::orphan::is_orphan;
use crate::error::Result;

/// A closed file that fits into a record is published after this long: it saves the file a sync of its own.
const SMALL_AFTER: Duration = Duration::from_millis(100);

impl Engine {
    /// Releases one handle; at the last one of a written file publishing follows.
    pub(super) fn release(&self, inode: &Arc<Inode>, mode: OpenMode, flushed: bool) -> Result<()> {
        self.release_locked(inode, inode.open.lock(), mode, flushed)
    }

    fn release_locked(
        &self,
        inode: &Arc<Inode>,
        mut open: MutexGuard<'_, OpenState>,
        mode: OpenMode,
        flushed: bool,
    ) -> Result<()> {
        open.handles -= 1;
        if mode.write {
            open.writers -= 1;
            if !flushed {
                open.unflushed -= 1;
            }
            inode.released.notify_all();
        }
        let last = open.handles == 0;
        if last {
            open.backing = None;
            if let Some(digest) = open.backed.take() {
                self.backed.remove_if(&digest, |_, ino| *ino == inode.ino);
            }
        }
        let data = inode.data.read().clone();
        let result = match data {
            // It goes with the inode's last reference.
            Data::Live(_) if is_orphan(inode) => Ok(()),
            Data::Live(live) if open.writers == 0 => {
                let small = last && local::stat(&live)?.size <= self.config.inline_max as u64;
                // Not at once: a program that makes many and takes them away again, as compilers do, waits for none.
                let after = if small { SMALL_AFTER.min(self.config.publish_after) } else { self.config.publish_after };
                self.lives.schedule(inode.ino, Instant::now() + after);
                Ok(())
            }
            Data::Sealed(_) if last => {
                *inode.data.write() = Data::None;
                Ok(())
            }
            _ => Ok(()),
        };
        drop(open);
        self.dereference(inode.ino, 1);
        result
    }
}

impl Namespace {
    /// Last close of a handle: publishing follows.
    pub fn release(&self, handle: &Arc<FileHandle>) -> Result<()> {
        if handle.released.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Its descriptor would look like a writer that is left.
        handle.passthrough.lock().take();
        self.0.release(&handle.inode, handle.mode, handle.flushed.load(Ordering::Acquire))
    }

    /// As [`Self::release`] where that does not wait for somebody who publishes. False if nothing was done: then it is
    /// `release`'s, on a thread that may wait.
    pub fn release_at_once(&self, handle: &Arc<FileHandle>) -> Result<bool> {
        let Some(open) = handle.inode.open.try_lock() else { return Ok(false) };
        if !handle.released.swap(true, Ordering::AcqRel) {
            handle.passthrough.lock().take();
            self.0.release_locked(&handle.inode, open, handle.mode, handle.flushed.load(Ordering::Acquire))?;
        }
        Ok(true)
    }
}
