//! Versions (S3's): what a bucket keeps of replaced and deleted objects.
//!
//! The current version lies where it would without versioning, in its name's entry: both doors find it at no extra cost.
//! What is replaced or deleted becomes a row under the bucket and its whole key, the newest first. A version's id begins
//! with the stream's sequence number of the commit that made it, so that its row is found by one seek: a row's order is
//! that of the commit that *displaced* it (twice its sequence number; a delete marker, which nothing has to displace, comes
//! right above what it hides).

use super::engine::Engine;
use super::inode::Holder;
use super::keeping::Kept;
use super::lookup::{Found, find};
use super::mount_types::Name;
use super::node::{dir_row, find_node, read_node};
use super::notices::Event;
use super::path::{KeyPath, find_key, walk};
use super::s3_types::DeleteOutcome;
use super::txn::{Rows, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::kept::VersionRow;
use crate::meta::rows::{BucketRow, NodeRow, RowValue, Versioning};
use crate::meta::schema;
use crate::types::{DirId, Id, Seq};

/// The null version.
pub(super) const NULL: Id = Id([0; 16]);
/// Rows of one key read at a time.
const FEW: usize = 64;

/// A version made by the commit with this number of the stream.
fn made_by(seq: Seq) -> Id {
    let mut id = Id::random();
    id.0[..8].copy_from_slice(&seq.to_be_bytes());
    id
}

/// The stream's number of the commit that made a version.
fn maker(version: Id) -> Seq {
    let mut seq = [0; 8];
    seq.copy_from_slice(&version.0[..8]);
    Seq::from_be_bytes(seq)
}

/// NoSuchVersion.
pub(super) fn no_such_version(key: &[u8], version: Id) -> Error {
    Error::new(ErrorKind::NoSuchVersion, "the version does not exist")
        .with("key", String::from_utf8_lossy(key))
        .with("version", version)
}

/// The whole key of a name. A directory's own key ends in `/`.
pub(super) fn key_of(rows: &impl Rows, dir: DirId, name: &[u8]) -> Result<Vec<u8>> {
    let mut parts = vec![name.to_vec()];
    let mut at = dir;
    loop {
        let row = dir_row(rows, at)?;
        let Some(parent) = row.parent else { break };
        parts.push(row.name);
        at = parent;
    }
    parts.reverse();
    Ok(parts.join(&b'/'))
}

impl Engine {
    /// The newest row that a bucket keeps of a key, if any, from `from` on (a row key).
    pub(super) fn newest_kept(
        &self,
        bucket: Id,
        key: &[u8],
        from: Option<Vec<u8>>,
    ) -> Result<Option<(Vec<u8>, VersionRow)>> {
        let prefix = schema::versions_of(bucket, key);
        let end = schema::prefix_end(&prefix);
        let found = self.meta.first(&from.unwrap_or(prefix), &end)?;
        found.map(|(row_key, value)| Ok((row_key, VersionRow::decode(&value)?))).transpose()
    }

    /// The row of a version that is not the current one.
    pub(super) fn find_kept(&self, bucket: Id, key: &[u8], version: Id) -> Result<Option<(Vec<u8>, VersionRow)>> {
        let prefix = schema::versions_of(bucket, key);
        if version != NULL {
            let Some(order) = maker(version).checked_mul(2) else { return Ok(None) };
            // The oldest row that came after the version was made.
            let found = self.meta.last(&prefix, &schema::version(bucket, key, order))?;
            let Some((row_key, value)) = found else { return Ok(None) };
            let row = VersionRow::decode(&value)?;
            return Ok((row.version == version).then_some((row_key, row)));
        }
        let (mut from, end) = (prefix.clone(), schema::prefix_end(&prefix));
        loop {
            let rows = self.meta.range(&from, &end, FEW)?;
            for (row_key, value) in &rows {
                let row = VersionRow::decode(value)?;
                if row.version == NULL {
                    return Ok(Some((row_key.clone(), row)));
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == FEW => from = [last.as_slice(), b"\0"].concat(),
                _ => return Ok(None),
            }
        }
    }

    /// Publishes what a name of the mount stands for, so that it can be kept.
    pub(super) fn publish_name(&self, dir: DirId, name: Name<'_>) -> Result<()> {
        if let Some(Found::Node(_, node)) = find(self, dir, name)?
            && node.file().is_some_and(|file| file.live)
        {
            self.publish_now(node.attr.ino)?;
        }
        Ok(())
    }

    /// The delete marker that hides a key which is not there.
    pub(super) fn hiding_marker(&self, bucket: Id, key: &[u8]) -> Result<Option<VersionRow>> {
        if !self.keeping.of(bucket).versions() {
            return Ok(None);
        }
        Ok(self.newest_kept(bucket, key, None)?.map(|(_, row)| row).filter(|row| row.node.is_none()))
    }
}

impl Txn<'_> {
    /// What this commit's bucket keeps.
    pub(super) fn kept(&self) -> Kept {
        self.engine.keeping.of(self.bucket)
    }

    /// The id of a version that this commit makes.
    pub(super) fn new_version(&self) -> Id {
        if self.kept().versioning == Versioning::Enabled { made_by(self.seq) } else { NULL }
    }

    /// An object is about to be replaced or deleted: where the bucket keeps such, it becomes a version that is not the
    /// current one.
    pub(super) fn keep_version(&mut self, key: &[u8], node: &NodeRow) -> Result<()> {
        let Some(file) = node.file() else { return Ok(()) };
        match self.kept().versioning {
            // The null version is replaced by the next one, or gone.
            Versioning::Off => return self.lose_null(key),
            Versioning::Suspended if file.meta.version == NULL => return self.lose_null(key),
            // A file of the mount that nothing was published of yet.
            _ if file.live && file.content.size == 0 && file.meta.version == NULL => return Ok(()),
            _ => {}
        }
        let mut node = node.clone();
        node.nlink = 1;
        if let Some(file) = node.file_mut() {
            file.live = false;
        }
        self.put_kept(key, 2 * self.seq, file.meta.version, Some(node))
    }

    fn lose_null(&mut self, key: &[u8]) -> Result<()> {
        self.check_unlocked(key, NULL)?;
        self.unlock(key, NULL)
    }

    fn put_kept(&mut self, key: &[u8], order: u64, version: Id, node: Option<NodeRow>) -> Result<()> {
        let row_key = schema::version(self.bucket, key, order);
        let mut made = self.now;
        if let Some(file) = node.as_ref().and_then(NodeRow::file) {
            made = file.meta.last_modified;
            let needs = file.content.needs()?;
            self.hold(&needs, &row_key);
        }
        self.put(row_key, &VersionRow { version, made, node: node.map(Box::new) })
    }

    /// Replaces the tags of a version that is not the current one.
    pub(super) fn tag_kept(&mut self, key: &[u8], version: Id, tags: Vec<(String, String)>) -> Result<Id> {
        let found = self.engine.find_kept(self.bucket, key, version)?;
        let (row_key, mut row) = found.ok_or_else(|| no_such_version(key, version))?;
        match row.node.as_mut().and_then(|node| node.file_mut()) {
            Some(file) => file.meta.tags = tags,
            None => {
                let error = Error::new(ErrorKind::MethodNotAllowed, "a delete marker has no tags");
                return Err(error.with("marker", version));
            }
        }
        self.put(row_key, &row)?;
        Ok(version)
    }

    /// A row that a bucket keeps goes, and what it holds.
    fn drop_kept(&mut self, row_key: Vec<u8>, row: &VersionRow) -> Result<()> {
        if let Some(file) = row.node.as_ref().and_then(|node| node.file()) {
            self.let_go(&file.content.needs()?, &row_key);
        }
        let key = schema::parse_version(&row_key)?.to_vec();
        self.unlock(&key, row.version)?;
        self.delete(row_key);
        Ok(())
    }

    /// A new version of a key is about to be made, in the place of `old` if that is there.
    pub(super) fn make_room(&mut self, key: &[u8], old: Option<&NodeRow>) -> Result<()> {
        if let Some(old) = old {
            self.keep_version(key, old)?;
        }
        self.replace_null(key)
    }

    /// A null version is about to be made: one that is kept goes.
    fn replace_null(&mut self, key: &[u8]) -> Result<()> {
        if self.kept().versioning == Versioning::Suspended
            && let Some((row_key, row)) = self.engine.find_kept(self.bucket, key, NULL)?
        {
            self.drop_kept(row_key, &row)?;
        }
        Ok(())
    }

    /// Hides a key whose object was taken away by this commit, where the bucket keeps versions. The marker's version.
    pub(super) fn mark_deleted(&mut self, key: &[u8]) -> Result<Option<Id>> {
        if !self.kept().versions() {
            return Ok(None);
        }
        self.replace_null(key)?;
        let version = self.new_version();
        self.put_kept(key, 2 * self.seq + 1, version, None)?;
        Ok(Some(version))
    }

    /// An object of the mount is about to lose its key: as a DELETE over S3 would do it, where the bucket keeps versions.
    pub(super) fn leave_key(&mut self, dir: DirId, name: Name<'_>, node: &NodeRow) -> Result<()> {
        if self.kept() != Kept::default() && node.file().is_some() {
            let key = key_of(self, dir, name.bytes)?;
            self.keep_version(&key, node)?;
            self.mark_deleted(&key)?;
        }
        Ok(())
    }

    /// Tells that an object of the mount lost its key.
    pub(super) fn tell_left(&mut self, dir: DirId, name: Name<'_>, node: &NodeRow) -> Result<()> {
        if self.tells() && node.file().is_some() {
            let key = key_of(self, dir, name.bytes)?;
            let event = if self.kept().versions() { Event::Marked } else { Event::Removed };
            self.tell(event, &key, None, None)?;
        }
        Ok(())
    }

    /// A file was written at the mount: what it held before is kept as a version, where the bucket keeps versions and the
    /// file has one name. The version that it has from now on.
    pub(super) fn displace(&mut self, holder: &Holder, old: &NodeRow) -> Result<Id> {
        let unchanged = old.file().map_or(NULL, |file| file.meta.version);
        if self.kept() == Kept::default() {
            return Ok(unchanged);
        }
        let key = match holder {
            Holder::Entry { dir, name } => key_of(self, *dir, name)?,
            Holder::Marker(dir) => key_of(self, *dir, b"")?,
            Holder::Shared(_) => return Ok(unchanged),
        };
        self.make_room(&key, Some(old))?;
        let version = self.new_version();
        self.lock_new(&key, version, None)?;
        Ok(version)
    }

    /// An object of the mount is about to be replaced at its key.
    pub(super) fn replace_key(&mut self, dir: DirId, name: Name<'_>, node: &NodeRow) -> Result<()> {
        if self.kept() != Kept::default() && node.file().is_some() {
            let key = key_of(self, dir, name.bytes)?;
            self.make_room(&key, Some(node))?;
        }
        Ok(())
    }

    /// Deletes the current object of a key as DELETE does: for good, or hidden by a marker. The marker's version.
    pub(super) fn delete_current(&mut self, bucket: &str, key: &[u8], found: (Holder, NodeRow)) -> Result<Option<Id>> {
        let (holder, node) = found;
        self.keep_version(key, &node)?;
        self.take_key(bucket, key, &holder, node)?;
        self.mark_deleted(key)
    }

    /// Takes the current object of a key away for good.
    pub(super) fn take_key(&mut self, bucket: &str, key: &[u8], holder: &Holder, node: NodeRow) -> Result<()> {
        let path = KeyPath::parse(key)?;
        let dir = walk(self, self.bucket, &path.dirs)?.ok_or_else(|| super::object::no_such_key(bucket, key))?;
        self.note_replaced(&node);
        match path.name {
            Some(name) => {
                self.unname(holder, node, Some((dir, name)))?;
                if !matches!(holder, Holder::Entry { .. }) {
                    self.delete(schema::entry(dir, name, false));
                }
                let parent = self.touch_dir(dir, 0, false)?;
                self.stale_entry(parent.attr.ino, name);
            }
            None => {
                if read_node(self, holder)?.is_some() {
                    self.unname(holder, node, None)?;
                }
                let mut above = self.touch_dir(dir, 0, false)?;
                above.explicit = false;
                self.put(schema::dir(dir), &above)?;
                self.stale_entry(above.attr.ino, b"");
            }
        }
        self.prune(dir)
    }

    /// Deletes one version for good; what is then the newest becomes the current one.
    pub(super) fn delete_version(
        &mut self,
        bucket: &BucketRow,
        name: &str,
        key: &[u8],
        version: Id,
    ) -> Result<DeleteOutcome> {
        let current = find_key(self, bucket.id, bucket.profile, key)?;
        let outcome = |marker| DeleteOutcome { existed: true, version: Some(version), marker };
        if let Some((holder, node)) = current {
            if node.file().is_some_and(|file| file.meta.version == version) {
                self.unlock(key, version)?;
                self.take_key(name, key, &holder, node)?;
                self.promote(key, None)?;
                return Ok(outcome(false));
            }
            return match self.engine.find_kept(bucket.id, key, version)? {
                Some((row_key, row)) => {
                    self.drop_kept(row_key, &row)?;
                    Ok(outcome(row.node.is_none()))
                }
                None => Ok(DeleteOutcome { existed: false, version: Some(version), marker: false }),
            };
        }
        let Some((row_key, row)) = self.engine.find_kept(bucket.id, key, version)? else {
            return Ok(DeleteOutcome { existed: false, version: Some(version), marker: false });
        };
        let newest = self.engine.newest_kept(bucket.id, key, None)?.is_some_and(|(newest, _)| newest == row_key);
        self.drop_kept(row_key.clone(), &row)?;
        if newest {
            self.promote(key, Some(row_key))?;
        }
        Ok(outcome(row.node.is_none()))
    }

    /// The newest version that is kept of a key becomes the current one, unless it is a delete marker. `gone` was the newest
    /// before.
    fn promote(&mut self, key: &[u8], gone: Option<Vec<u8>>) -> Result<()> {
        let from = gone.map(|row_key| [row_key.as_slice(), b"\0"].concat());
        let Some((row_key, row)) = self.engine.newest_kept(self.bucket, key, from)? else { return Ok(()) };
        let Some(mut node) = row.node else { return Ok(()) };
        if let Some(file) = node.file() {
            for digest in file.content.needs()? {
                self.delete(schema::held(&digest, &row_key));
            }
        }
        self.delete(row_key);
        // A kernel may still know the inode that it was, without a name.
        node.attr.ino = self.engine.inos.next(self.engine)?;
        node.attr.ctime = self.now;
        let path = KeyPath::parse(key)?;
        let dir = self.make_dirs(&path.dirs)?;
        let holder = match path.name {
            Some(name) if find_node(self, dir, name)?.is_some() => {
                return Err(Error::new(ErrorKind::Internal, "a version would take the place of another object"));
            }
            Some(name) => Holder::Entry { dir, name: name.to_vec() },
            None => Holder::Marker(dir),
        };
        self.put_node(&holder, None, &node)?;
        let parent = self.touch_dir(dir, 0, path.name.is_none())?;
        self.stale_entry(parent.attr.ino, path.name.unwrap_or_default());
        Ok(())
    }
}
