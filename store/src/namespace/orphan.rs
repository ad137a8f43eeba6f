//! Inodes without a name: a kernel that looked one up may still open it, so its bytes stay until nobody knows it.

use std::time::Instant;

use super::engine::Engine;
use super::inode::{Inode, Place};
use super::live::{Data, OpenState};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Ino;

pub(super) fn is_orphan(inode: &Inode) -> bool {
    matches!(&*inode.place.read(), Place::Orphan { .. })
}

/// Between a kernel's lookup and its open the name went to another inode, or away, and the bytes with it.
pub(super) fn stale(inode: &Inode) -> Error {
    Error::new(ErrorKind::Stale, "the file was removed before it was opened").with("inode", inode.ino)
}

impl Engine {
    /// A kernel that has looked an inode up may still open it when its last name is gone.
    pub(super) fn keep_orphans(&self, places: &[(Ino, Place)]) -> Result<()> {
        for (ino, place) in places {
            if let Place::Orphan { node, .. } = place
                && let Some(file) = node.file()
            {
                self.inodes.keep(*ino, file.content.needs()?);
            }
        }
        Ok(())
    }

    /// The counterpart, where the commit failed.
    pub(super) fn unkeep_orphans(&self, places: &[(Ino, Place)]) {
        for (ino, place) in places {
            let named = self.inodes.get(*ino).is_some_and(|inode| !is_orphan(&inode));
            if matches!(place, Place::Orphan { .. }) && named {
                self.inodes.unkeep_known(*ino);
            }
        }
    }

    /// Lets go of a live file once everything up to now is durable: until then a crash brings back a name, or a row
    /// without its new content, that needs it.
    pub(super) fn discard_later(&self, inode: &Inode) {
        self.lives.discards.lock().insert(inode.ino, self.meta.head());
        self.clear_live(inode, Data::None);
    }

    /// Discards the live files whose records are durable; with `all`, makes them durable first.
    pub(super) fn discard_durable(&self, all: bool) -> Result<()> {
        if all {
            self.meta.durable_blocking(self.meta.head())?;
        }
        let durable = self.meta.durable_position();
        let due: Vec<Ino> =
            self.lives.discards.lock().iter().filter(|(_, seq)| **seq <= durable).map(|(ino, _)| *ino).collect();
        for ino in due {
            let mut discards = self.lives.discards.lock();
            // A writer may have taken it up meanwhile.
            if discards.get(&ino).is_some_and(|seq| *seq <= durable) {
                self.chunks.discard_live(ino)?;
                discards.remove(&ino);
            }
        }
        Ok(())
    }

    /// Drops references of an inode. Who is the last to know an inode without a name lets go of its bytes.
    pub(super) fn dereference(&self, ino: Ino, count: u64) {
        let (left, unneeded) = self.inodes.dereference(ino, count);
        for digest in unneeded {
            self.chunks.release_hint(&digest);
        }
        // One is the live file's own.
        if left == 1
            && let Some(inode) = self.lives.get(ino)
            && is_orphan(&inode)
        {
            self.drop_orphan(&inode);
        }
    }

    /// An inode without a name whose live file may be unneeded.
    pub(super) fn drop_orphan(&self, inode: &Inode) {
        match inode.open.try_lock() {
            Some(open) => self.drop_unknown_live(inode, &open),
            // Not waited for here; who has it may publish for long.
            None => self.lives.schedule(inode.ino, Instant::now()),
        }
    }

    /// The live file of an inode without a name goes, unless somebody holds it open or a kernel knows the inode.
    pub(super) fn drop_unknown_live(&self, inode: &Inode, open: &OpenState) {
        let live = matches!(&*inode.data.read(), Data::Live(_));
        if live && open.handles == 0 && self.inodes.references(inode.ino) <= 1 && is_orphan(inode) {
            self.discard_later(inode);
        }
    }
}
