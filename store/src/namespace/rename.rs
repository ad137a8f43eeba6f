//! `renameat2`: one commit, whatever lies below (S5).

use std::sync::Arc;

use super::Namespace;
use super::inode::{Holder, Inode, Place};
use super::keeping::Kept;
use super::live::Data;
use super::lookup::{Found, find, no_entry};
use super::mount_types::{Form, MAX_NAME_LEN, Name, RenameMode};
use super::node::{dir_row, is_root};
use super::notices::Event;
use super::txn::Txn;
use super::version::key_of;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{EntryRow, NodeRow};
use crate::meta::schema;
use crate::types::{Caller, DirId, Ino};

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

impl Txn<'_> {
    /// InvalidArgument if `dir` is `moved` or lies below it.
    fn check_no_loop(&self, moved: DirId, dir: DirId) -> Result<()> {
        let mut at = Some(dir);
        while let Some(id) = at {
            if id == moved {
                return Err(invalid("a directory does not move into itself"));
            }
            at = dir_row(self, id)?.parent;
        }
        Ok(())
    }

    /// Takes an inode's name away from where it is; its other rows stay.
    pub(super) fn detach(&mut self, dir: DirId, name: &[u8], found: &Found) -> Result<()> {
        match found {
            Found::Dir { .. } => self.delete(schema::entry(dir, name, true)),
            Found::Node(Holder::Shared(_), _) => self.delete(schema::entry(dir, name, false)),
            Found::Node(holder, node) => self.take_node(holder, node)?,
        }
        Ok(())
    }

    /// Gives a detached inode a name.
    pub(super) fn attach(&mut self, dir: DirId, name: &[u8], found: &Found) -> Result<()> {
        let (bucket, now) = (self.bucket, self.now);
        match found {
            Found::Dir { id, ino } => {
                self.put(schema::entry(dir, name, true), &EntryRow::Dir { id: *id, ino: *ino })?;
                let mut row = dir_row(self, *id)?;
                row.parent = Some(dir);
                row.name = name.to_vec();
                row.attr.ctime = now;
                self.put(schema::dir(*id), &row)?;
                self.stale_inode(*ino, false);
            }
            Found::Node(holder @ Holder::Shared(ino), node) => {
                self.put(schema::entry(dir, name, false), &EntryRow::Shared(*ino))?;
                let changed = with_ctime(node, now);
                self.put_node(holder, Some(node), &changed)?;
                self.stale_inode(*ino, false);
            }
            Found::Node(_, node) => {
                let holder = Holder::Entry { dir, name: name.to_vec() };
                self.put_node(&holder, None, &with_ctime(node, now))?;
                self.moved(node.attr.ino, Place::Held { holder, bucket });
                self.stale_inode(node.attr.ino, false);
            }
        }
        Ok(())
    }

    /// Removes what a rename replaces.
    pub(super) fn replace(&mut self, dir: DirId, name: Name<'_>, source: &Found, target: Found) -> Result<()> {
        match (source, target) {
            (Found::Dir { .. }, Found::Dir { id, .. }) => {
                let row = dir_row(self, id)?;
                let marker = row.marker.as_ref().and_then(|m| m.file()).is_some_and(|file| file.content.size > 0);
                if marker || !self.is_empty_dir(id)? {
                    return Err(Error::new(ErrorKind::NotEmpty, "the target directory is not empty"));
                }
                self.drop_dir(id, row)?;
                Ok(())
            }
            (Found::Dir { .. }, Found::Node(..)) => {
                Err(Error::new(ErrorKind::NotADirectory, "a directory does not replace a file"))
            }
            (Found::Node(..), Found::Dir { .. }) => {
                Err(Error::new(ErrorKind::IsADirectory, "a file does not replace a directory"))
            }
            (Found::Node(..), Found::Node(holder, node)) => {
                self.note_replaced(&node);
                self.replace_key(dir, name, &node)?;
                self.unname(&holder, node, Some((dir, name.bytes)))
            }
        }
    }

    /// Before `source` moves, where the bucket keeps versions: its key keeps what it was, under a delete marker, and what
    /// moves is a new version. A directory takes its objects along, but none that is locked (ruling 23).
    pub(super) fn before_move(
        &mut self,
        dir: DirId,
        name: Name<'_>,
        source: &mut Found,
        exchanged: bool,
    ) -> Result<()> {
        if self.kept() == Kept::default() {
            return Ok(());
        }
        match source {
            Found::Dir { .. } => {
                let below = [key_of(self, dir, name.bytes)?.as_slice(), b"/"].concat();
                self.check_unlocked_below(&below)
            }
            Found::Node(_, node) => {
                if exchanged {
                    self.replace_key(dir, name, node)?;
                } else {
                    self.leave_key(dir, name, node)?;
                }
                let version = self.new_version();
                if let Some(file) = node.file_mut() {
                    file.meta.version = version;
                }
                Ok(())
            }
        }
    }

    /// A version that a move made is locked as the bucket says, like any new one.
    fn lock_moved(&mut self, to: DirId, new: Name<'_>, source: &Found) -> Result<()> {
        if let Found::Node(_, node) = source
            && let Some(file) = node.file()
            && self.kept().locks
        {
            let key = key_of(self, to, new.bytes)?;
            self.lock_new(&key, file.meta.version, None)?;
        }
        Ok(())
    }

    /// Tells of an object's new key. (A directory's objects are too many to tell of each.)
    fn tell_moved(&mut self, from: DirId, name: Name<'_>, to: DirId, new: Name<'_>, source: &Found) -> Result<()> {
        if let Found::Node(_, node) = source
            && self.tells()
        {
            self.tell_left(from, name, node)?;
            let key = key_of(self, to, new.bytes)?;
            self.tell(Event::Copy, &key, node.file(), None)?;
        }
        Ok(())
    }

    fn after_move(&mut self, dir: DirId, name: &[u8], subdirs: i64, special: bool) -> Result<()> {
        let row = self.touch_dir(dir, subdirs, special)?;
        self.stale_entry(row.attr.ino, name);
        self.keep_if_empty(dir, row)
    }
}

fn with_ctime(node: &NodeRow, now: crate::types::Timestamp) -> NodeRow {
    let mut node = node.clone();
    node.attr.ctime = now;
    node
}

fn is_dir(found: &Found) -> bool {
    matches!(found, Found::Dir { .. })
}

fn is_special(found: &Found) -> bool {
    matches!(found, Found::Node(_, node) if node.file().is_none())
}

/// Checks the new name.
fn target_name(name: Name<'_>, is_dir: bool) -> Result<()> {
    if name.bytes.len() > MAX_NAME_LEN {
        return Err(
            Error::new(ErrorKind::NameTooLong, "a name has at most 1,024 bytes").with("bytes", name.bytes.len())
        );
    }
    if std::str::from_utf8(name.bytes).is_err() {
        return Err(Error::new(ErrorKind::NotUtf8, "a name is UTF-8"));
    }
    // `%@empty` is a name for directories only: a key that ends in `/` is a directory's marker.
    if name.form == Form::Marker || (name.bytes.is_empty() && !is_dir) {
        return Err(invalid("not a name for a file"));
    }
    Ok(())
}

impl Namespace {
    /// Whether [`Self::rename`] would wait for a sync: a file that was closed and is not synced takes the place of another
    /// one. False for what it refuses.
    pub fn rename_waits(&self, parent: Ino, name: Name<'_>, new_parent: Ino, new_name: Name<'_>) -> bool {
        let waits = || -> Result<bool> {
            let ((from, _), (to, _)) = (self.0.dir_place(parent)?, self.0.dir_place(new_parent)?);
            Ok(self.unsynced_replacement(from, name, to, new_name)?.is_some())
        };
        waits().unwrap_or(false)
    }

    /// The file at `name`, if it was closed and not synced, and another is at `new_name`. Writing aside, closing and
    /// renaming without a sync is common: after a power cut the name must have the old content or the new (S14), so the
    /// new one has to be durable before the old one goes.
    fn unsynced_replacement(
        &self,
        from: DirId,
        name: Name<'_>,
        to: DirId,
        new_name: Name<'_>,
    ) -> Result<Option<Arc<Inode>>> {
        if is_root(from) || is_root(to) {
            return Ok(None);
        }
        let Some(source) = find(&*self.0, from, name)?.filter(|found| !is_dir(found)) else { return Ok(None) };
        let Some(inode) = self.0.lives.get(source.ino()) else { return Ok(None) };
        let Some(target) = find(&*self.0, to, new_name)? else { return Ok(None) };
        let unsynced = matches!(&*inode.data.read(), Data::Live(file) if file.is_unsynced());
        Ok((unsynced && target.ino() != source.ino()).then_some(inode))
    }

    /// `renameat2`. See [`Self::rename_waits`].
    pub fn rename(
        &self,
        caller: &Caller,
        parent: Ino,
        name: Name<'_>,
        new_parent: Ino,
        new_name: Name<'_>,
        mode: RenameMode,
    ) -> Result<()> {
        let (from, bucket) = self.0.dir_place(parent)?;
        let (to, to_bucket) = self.0.dir_place(new_parent)?;
        if is_root(from) && is_root(to) {
            return Err(Error::new(ErrorKind::NotPermitted, "a bucket is not renamed"));
        }
        if bucket != to_bucket {
            return Err(Error::new(ErrorKind::CrossesBuckets, "a rename stays in its bucket"));
        }
        if let (RenameMode::Replace, Some(inode)) = (mode, self.unsynced_replacement(from, name, to, new_name)?) {
            // No publish comes between, and none has to make a copy because of this.
            let _open = inode.open.lock();
            if let Data::Live(file) = inode.data.read().clone() {
                file.sync_data()?;
            }
        }
        if self.0.keeping.of(bucket).versions() {
            self.0.publish_name(from, name)?;
            self.0.publish_name(to, new_name)?;
        }
        let renamed = self.0.commit(caller, bucket, Op::Rename, |txn| {
            let mut source = find(txn, from, name)?.ok_or_else(|| no_entry(name))?;
            if name.form == Form::Marker {
                return Err(Error::new(ErrorKind::NotPermitted, "a directory's marker is not renamed"));
            }
            target_name(new_name, is_dir(&source))?;
            // A directory takes the plain name; an object that S3 put beside a directory is under its own form.
            let target = find(txn, to, new_name)?;
            if let Found::Dir { id, .. } = &source {
                txn.check_no_loop(*id, to)?;
            }
            match (&target, mode) {
                (Some(_), RenameMode::NoReplace) => {
                    return Err(Error::new(ErrorKind::AlreadyExists, "the target exists"));
                }
                (None, RenameMode::Exchange) => return Err(no_entry(new_name)),
                (Some(target), _) if target.ino() == source.ino() => return Ok(()),
                _ => {}
            }
            txn.before_move(from, name, &mut source, mode == RenameMode::Exchange)?;
            match (target, mode) {
                (Some(mut target), RenameMode::Exchange) => {
                    if let Found::Dir { id, .. } = &target {
                        txn.check_no_loop(*id, from)?;
                    }
                    txn.before_move(to, new_name, &mut target, true)?;
                    txn.detach(from, name.bytes, &source)?;
                    txn.detach(to, new_name.bytes, &target)?;
                    txn.attach(to, new_name.bytes, &source)?;
                    txn.attach(from, name.bytes, &target)?;
                    txn.lock_moved(to, new_name, &source)?;
                    txn.lock_moved(from, name, &target)?;
                    let change = i64::from(is_dir(&source)) - i64::from(is_dir(&target));
                    let change = if from == to { 0 } else { change };
                    txn.after_move(from, name.bytes, -change, is_special(&target))?;
                    txn.after_move(to, new_name.bytes, change, is_special(&source))?;
                }
                (target, _) => {
                    if let Some(target) = target {
                        txn.replace(to, new_name, &source, target)?;
                    }
                    txn.detach(from, name.bytes, &source)?;
                    txn.attach(to, new_name.bytes, &source)?;
                    txn.lock_moved(to, new_name, &source)?;
                    txn.tell_moved(from, name, to, new_name, &source)?;
                    let moved = i64::from(is_dir(&source));
                    txn.after_move(from, name.bytes, -moved, false)?;
                    txn.after_move(to, new_name.bytes, moved, is_special(&source))?;
                }
            }
            Ok(())
        })?;
        self.0.sequenced(caller, renamed);
        Ok(())
    }
}
