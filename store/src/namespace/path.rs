//! From keys to directories and names (S1, S2): a key is split at every `/`; the part after the last one names the
//! object, an empty one names the marker of the directory before it. Nothing is collapsed or normalised.

use super::inode::{Holder, Place};
use super::node::{dir_row, find_dir, find_node, fresh_attr, implied_marker, read_node};
use super::txn::{Rows, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::rows::{DirRow, EntryRow, NodeRow};
use crate::meta::schema;
use crate::types::{DirId, Id, Ino, MAX_KEY_LEN};
use crate::unixfs::Profile;

/// Permission bits of a directory that a key implies.
const IMPLICIT_DIR_MODE: u32 = 0o755;

/// A key, split.
pub(super) struct KeyPath<'k> {
    /// Names of the directories, from the bucket's root down; each may be empty, `.` or `..`.
    pub(super) dirs: Vec<&'k [u8]>,
    /// The object's name; none for the marker of the last directory.
    pub(super) name: Option<&'k [u8]>,
}

impl<'k> KeyPath<'k> {
    /// Splits a key. InvalidArgument for an empty key or one with NUL.
    pub(super) fn parse(key: &'k [u8]) -> Result<Self> {
        if key.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a key has at least one byte"));
        }
        if key.contains(&0) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a key has no NUL byte"));
        }
        let mut dirs: Vec<_> = key.split(|b| *b == b'/').collect();
        let name = dirs.pop().filter(|name| !name.is_empty());
        Ok(Self { dirs, name })
    }

    /// Splits a key that is to be created: NameTooLong over 1,024 bytes (S10), NotUtf8 if it is not UTF-8.
    pub(super) fn parse_new(key: &'k [u8]) -> Result<Self> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::new(ErrorKind::NameTooLong, "a key has at most 1,024 bytes")
                .with("bytes", key.len())
                .with("maximum", MAX_KEY_LEN));
        }
        if std::str::from_utf8(key).is_err() {
            return Err(Error::new(ErrorKind::NotUtf8, "a key is UTF-8"));
        }
        Self::parse(key)
    }
}

/// The directory that a key's object is in, if all of the path is there.
pub(super) fn walk(rows: &impl Rows, bucket: Id, dirs: &[&[u8]]) -> Result<Option<DirId>> {
    let mut at = bucket;
    for name in dirs {
        match find_dir(rows, at, name)? {
            Some((id, _)) => at = id,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The object of a key, and the row that holds it. An explicit directory without a marker answers an implied one.
pub(super) fn find_key(
    rows: &impl Rows,
    bucket: Id,
    profile: Profile,
    key: &[u8],
) -> Result<Option<(Holder, NodeRow)>> {
    let path = KeyPath::parse(key)?;
    let Some(dir) = walk(rows, bucket, &path.dirs)? else { return Ok(None) };
    match path.name {
        Some(name) => Ok(find_node(rows, dir, name)?.filter(|(_, node)| node.file().is_some())),
        None if dir == bucket => Ok(None),
        None => {
            let holder = Holder::Marker(dir);
            if let Some(node) = read_node(rows, &holder)? {
                return Ok(Some((holder, node)));
            }
            let row = dir_row(rows, dir)?;
            Ok(row.explicit.then(|| (holder, implied_marker(&row, profile))))
        }
    }
}

impl Txn<'_> {
    /// The directory of a key that is to be created; what is missing on the way becomes an implicit directory.
    pub(super) fn make_dirs(&mut self, dirs: &[&[u8]]) -> Result<DirId> {
        let mut at = self.bucket;
        for name in dirs {
            at = match find_dir(self, at, name)? {
                Some((id, _)) => id,
                None => {
                    let ino = self.engine.inos.next(self.engine)?;
                    let (uid, gid) = (self.caller.uid, self.caller.gid);
                    let attr = fresh_attr(ino, IMPLICIT_DIR_MODE, uid, gid, self.now);
                    self.make_dir(at, name, attr, false)?.0
                }
            };
        }
        Ok(at)
    }

    /// Makes a directory under a name that is free.
    pub(super) fn make_dir(
        &mut self,
        parent: DirId,
        name: &[u8],
        attr: crate::meta::rows::Attr,
        explicit: bool,
    ) -> Result<(DirId, DirRow)> {
        let id = Id::random();
        let row = DirRow {
            attr,
            bucket: self.bucket,
            parent: Some(parent),
            name: name.to_vec(),
            explicit,
            marker: None,
            subdirs: 0,
            xattrs: Vec::new(),
        };
        self.put(schema::dir(id), &row)?;
        self.put(schema::entry(parent, name, true), &EntryRow::Dir { id, ino: attr.ino })?;
        let above = self.touch_dir(parent, 1, false)?;
        self.stale_entry(above.attr.ino, name);
        Ok((id, row))
    }

    /// Removes a directory's rows; whoever holds it keeps an unlinked directory (ruling 24).
    pub(super) fn drop_dir(&mut self, id: DirId, row: DirRow) -> Result<Option<(DirId, Ino)>> {
        let Some(parent) = row.parent else {
            return Err(Error::new(ErrorKind::Internal, "a bucket's root is not removed as a directory"));
        };
        if let Some(marker) = row.marker.clone() {
            self.unname(&Holder::Marker(id), *marker, None)?;
        }
        self.delete(schema::dir(id));
        self.delete(schema::entry(parent, &row.name, true));
        let above = self.touch_dir(parent, -1, false)?;
        self.stale_entry(above.attr.ino, &row.name);
        let ino = row.attr.ino;
        self.stale_inode(ino, false);
        let mut row = row;
        row.marker = None;
        self.moved(ino, Place::OrphanDir { row: Box::new(row) });
        Ok(Some((parent, above.attr.ino)))
    }

    /// After a key was deleted over S3: implicit directories that have nothing left go, upwards (S3).
    pub(super) fn prune(&mut self, mut dir: DirId) -> Result<()> {
        loop {
            let row = dir_row(self, dir)?;
            if row.explicit || row.marker.is_some() || !self.is_empty_dir(dir)? {
                return Ok(());
            }
            let Some(parent) = row.parent else { return Ok(()) };
            self.drop_dir(dir, row)?;
            dir = parent;
        }
    }
}
