//! `chmod`, `chown`, `truncate`, `utimensat`.

use std::sync::Arc;
use std::time::Instant;

use super::Namespace;
use super::engine::Engine;
use super::handle::is_file;
use super::inode::{Inode, Place};
use super::live::Data;
use super::local;
use super::mount_types::{SetAttr, SetTime, Stat};
use super::node::{dir_row, is_root, read_node};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Attr, NodeRow, PosixShown};
use crate::meta::schema;
use crate::types::{Caller, Ino, MAX_OBJECT_SIZE, Timestamp};

impl SetAttr {
    fn touches_attributes(&self) -> bool {
        self.mode.is_some() || self.uid.is_some() || self.gid.is_some() || self.atime.is_some() || self.mtime.is_some()
    }

    fn apply(&self, attr: &mut Attr, now: Timestamp) {
        let time = |set: SetTime| match set {
            SetTime::Now => now,
            SetTime::At(time) => time,
        };
        attr.mode = self.mode.map_or(attr.mode, |mode| mode & 0o7777);
        attr.uid = self.uid.unwrap_or(attr.uid);
        attr.gid = self.gid.unwrap_or(attr.gid);
        attr.atime = self.atime.map_or(attr.atime, time);
        attr.mtime = self.mtime.map_or(attr.mtime, time);
        attr.ctime = now;
    }
}

impl SetAttr {
    /// What the mount set or changed is returned over S3 (ruling 22).
    fn show(&self, shown: &mut PosixShown, before: &Attr, after: &Attr) {
        shown.mode |= self.mode.is_some() || before.mode != after.mode;
        shown.uid |= self.uid.is_some();
        shown.gid |= self.gid.is_some();
        shown.mtime |= self.mtime.is_some() || before.mtime != after.mtime;
    }
}

impl Engine {
    /// Changes the row of a known inode that is not a directory, wherever it is now.
    pub(super) fn update_node(
        &self,
        caller: &Caller,
        inode: &Inode,
        change: impl FnOnce(&mut NodeRow, Timestamp) -> Result<()>,
    ) -> Result<NodeRow> {
        let bucket = inode.place.read().bucket();
        let updated = self.commit(caller, bucket, Op::SetAttr, |txn| {
            let place = inode.place.read().clone();
            match place {
                Place::Held { holder, .. } => {
                    let old = read_node(txn, &holder)?
                        .filter(|node| node.attr.ino == inode.ino)
                        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the inode is gone").with("inode", inode.ino))?;
                    let mut new = old.clone();
                    change(&mut new, txn.now)?;
                    txn.put_node(&holder, Some(&old), &new)?;
                    txn.stale_inode(inode.ino, false);
                    Ok(new)
                }
                Place::Orphan { mut node, bucket } => {
                    change(&mut node, txn.now)?;
                    let changed = (*node).clone();
                    txn.moved(inode.ino, Place::Orphan { node, bucket });
                    Ok(changed)
                }
                _ => Err(Error::new(ErrorKind::IsADirectory, "is a directory")),
            }
        })?;
        Ok(self.sequenced(caller, updated))
    }

    fn set_dir_attr(&self, caller: &Caller, inode: &Inode, set: SetAttr) -> Result<()> {
        let bucket = inode.place.read().bucket();
        let updated = self.commit(caller, bucket, Op::SetAttr, |txn| {
            let place = inode.place.read().clone();
            match place {
                Place::Dir { id, .. } => {
                    let mut row = dir_row(txn, id)?;
                    set.apply(&mut row.attr, txn.now);
                    // What somebody gave attributes to is theirs to remove (ruling 24).
                    row.explicit |= !is_root(id);
                    txn.put(schema::dir(id), &row)?;
                    txn.stale_inode(inode.ino, false);
                }
                Place::OrphanDir { mut row } => {
                    set.apply(&mut row.attr, txn.now);
                    txn.moved(inode.ino, Place::OrphanDir { row });
                }
                _ => return Err(Error::new(ErrorKind::NotADirectory, "not a directory")),
            }
            Ok(())
        })?;
        self.sequenced(caller, updated);
        Ok(())
    }

    fn set_size(&self, caller: &Caller, inode: &Arc<Inode>, size: u64) -> Result<()> {
        if size > MAX_OBJECT_SIZE {
            return Err(Error::new(ErrorKind::TooLarge, "a file has at most 5 TiB").with("size", size));
        }
        let node = self.load_node(inode)?;
        if !is_file(&node) {
            return Err(Error::new(ErrorKind::InvalidArgument, "only a regular file has a size to set"));
        }
        let mut open = inode.open.lock();
        let live = self.make_live(caller, inode, &mut open, size == 0)?;
        live.set_len(size)?;
        // Changed in place: what it holds now is what there is.
        live.keep()?;
        let now = self.now();
        // Also where the size stays: POSIX marks the times of a successful truncate.
        local::set_times(live.file(), node.attr.atime, now)?;
        open.ended += 1;
        if open.writers == 0 {
            self.lives.schedule(inode.ino, Instant::now() + self.config.publish_after);
        }
        drop(open);
        self.update_node(caller, inode, |node, now| {
            node.attr.ctime = now;
            Ok(())
        })?;
        Ok(())
    }
}

impl Namespace {
    /// `chmod`, `chown`, `truncate`, `utimensat`.
    pub fn setattr(&self, caller: &Caller, ino: Ino, set: SetAttr) -> Result<Stat> {
        let inode = self.0.inode(ino)?;
        let is_dir = matches!(&*inode.place.read(), Place::Dir { .. } | Place::OrphanDir { .. });
        if is_dir {
            if set.size.is_some() {
                return Err(Error::new(ErrorKind::IsADirectory, "is a directory"));
            }
            if set.touches_attributes() {
                self.0.set_dir_attr(caller, &inode, set)?;
            }
            return self.0.stat(&inode);
        }
        if let Some(size) = set.size {
            self.0.set_size(caller, &inode, size)?;
        }
        if set.touches_attributes() {
            // A live file carries the times, so that what a kernel writes behind our back moves them on.
            let live = match &*inode.data.read() {
                Data::Live(live) => Some(Arc::clone(live)),
                _ => None,
            };
            let written = live.as_deref().map(local::stat).transpose()?;
            let node = self.0.update_node(caller, &inode, |node, now| {
                if let Some(written) = &written {
                    node.attr.mtime = written.mtime;
                }
                let before = node.attr;
                set.apply(&mut node.attr, now);
                let after = node.attr;
                if let Some(file) = node.file_mut() {
                    set.show(&mut file.meta.posix_shown, &before, &after);
                }
                Ok(())
            })?;
            if let (Some(live), true) = (&live, set.atime.is_some() || set.mtime.is_some()) {
                local::set_times(live.file(), node.attr.atime, node.attr.mtime)?;
            }
        }
        self.0.stat(&inode)
    }
}
