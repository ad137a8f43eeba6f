//! The mount's look at names: lookup, forget, stat, readdir.

use std::sync::Arc;

use super::engine::Engine;
use super::inode::{Holder, Inode, Place};
use super::live::Data;
use super::local;
use super::mount_types::{DirEntry, FileKind, Form, Name, Stat};
use super::node::{dir_row, find_dir, find_node, is_root, read_node, stat_dir, stat_node};
use super::txn::Rows;
use super::{Namespace, ROOT_DIR};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::SYSTEM_STREAM;
use crate::meta::rows::{BucketRow, DirRow, EntryRow, NodeRow, RowValue};
use crate::meta::schema;
use crate::types::{DirId, Id, Ino};

/// How often a row is read again that says of a live file what is over.
const STALE_RETRIES: usize = 64;

/// A row that names a live file which is not there any more: it was read just before the file was published.
fn is_stale(node: &NodeRow, inode: Option<&Inode>) -> bool {
    let live = |inode: &Inode| matches!(&*inode.data.read(), Data::Live(_) | Data::Sealing(..));
    node.file().is_some_and(|file| file.live) && !inode.is_some_and(live)
}

/// A known inode's row.
#[allow(clippy::large_enum_variant)] // lives on the stack for one call
pub(super) enum Loaded {
    /// A directory.
    Dir(DirRow),
    /// Anything else.
    Node(NodeRow),
}

/// What a name in a directory stands for.
#[allow(clippy::large_enum_variant)] // lives on the stack for one call
pub(super) enum Found {
    /// A directory.
    Dir {
        /// Its id.
        id: DirId,
        /// Its inode.
        ino: Ino,
    },
    /// Anything else.
    Node(Holder, NodeRow),
}

impl Found {
    pub(super) fn ino(&self) -> Ino {
        match self {
            Self::Dir { ino, .. } => *ino,
            Self::Node(_, node) => node.attr.ino,
        }
    }

    fn place(&self, bucket: Id) -> Place {
        match self {
            Self::Dir { id, .. } => Place::Dir { id: *id, bucket },
            Self::Node(holder, _) => Place::Held { holder: holder.clone(), bucket },
        }
    }
}

/// What a name in a directory (not the namespace root) stands for, by its form (S2).
pub(super) fn find(rows: &impl Rows, dir: DirId, name: Name<'_>) -> Result<Option<Found>> {
    let node = |found: Option<(Holder, NodeRow)>| found.map(|(holder, node)| Found::Node(holder, node));
    match name.form {
        Form::Plain => match find_dir(rows, dir, name.bytes)? {
            Some((id, ino)) => Ok(Some(Found::Dir { id, ino })),
            None => Ok(node(find_node(rows, dir, name.bytes)?)),
        },
        Form::Object => Ok(node(find_node(rows, dir, name.bytes)?)),
        Form::Marker => {
            let holder = Holder::Marker(dir);
            let marker = read_node(rows, &holder)?.filter(shown_marker);
            Ok(node(marker.map(|marker| (holder, marker))))
        }
    }
}

/// A marker is a file on the mount only if it has bytes.
pub(super) fn shown_marker(marker: &NodeRow) -> bool {
    marker.file().is_some_and(|file| file.content.size > 0 || file.live)
}

/// ENOENT in the store's words.
pub(super) fn no_entry(name: Name<'_>) -> Error {
    Error::new(ErrorKind::NotFound, "no such file or directory").with("name", String::from_utf8_lossy(name.bytes))
}

impl Engine {
    /// A known inode; NotFound for a number that no lookup gave out.
    pub(super) fn inode(&self, ino: Ino) -> Result<Arc<Inode>> {
        self.inodes.get(ino).ok_or_else(|| Error::new(ErrorKind::NotFound, "the inode is not known").with("inode", ino))
    }

    /// The directory behind an inode and its bucket. NotFound for a removed directory, NotADirectory for a file.
    pub(super) fn dir_place(&self, ino: Ino) -> Result<(DirId, Id)> {
        match &*self.inode(ino)?.place.read() {
            Place::Dir { id, bucket } => Ok((*id, *bucket)),
            Place::OrphanDir { .. } => {
                Err(Error::new(ErrorKind::NotFound, "the directory was removed").with("inode", ino))
            }
            _ => Err(Error::new(ErrorKind::NotADirectory, "not a directory").with("inode", ino)),
        }
    }

    fn try_load(&self, inode: &Inode) -> Result<Option<Loaded>> {
        let place = inode.place.read().clone();
        Ok(match place {
            Place::Dir { id, .. } => self.row::<DirRow>(&schema::dir(id))?.map(Loaded::Dir),
            Place::Held { holder, .. } => {
                read_node(self, &holder)?.filter(|node| node.attr.ino == inode.ino).map(Loaded::Node)
            }
            Place::Orphan { node, .. } => Some(Loaded::Node(*node)),
            Place::OrphanDir { row } => Some(Loaded::Dir(*row)),
        })
    }

    /// The row of a known inode.
    pub(super) fn load(&self, inode: &Inode) -> Result<Loaded> {
        if let Some(loaded) = self.try_load(inode)? {
            return Ok(loaded);
        }
        // Its row moved under our eyes: under the stream's lock place and row agree.
        let bucket = inode.place.read().bucket();
        self.locked(bucket, || self.try_load(inode))?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the inode is gone").with("inode", inode.ino))
    }

    /// The row of a known inode that is not a directory.
    pub(super) fn load_node(&self, inode: &Inode) -> Result<NodeRow> {
        match self.load(inode)? {
            Loaded::Node(node) => Ok(node),
            Loaded::Dir(_) => Err(Error::new(ErrorKind::IsADirectory, "is a directory").with("inode", inode.ino)),
        }
    }

    /// `stat` of a known inode, with a live file's own size and times.
    pub(super) fn stat(&self, inode: &Inode) -> Result<Stat> {
        for _ in 0..STALE_RETRIES {
            match self.load(inode)? {
                Loaded::Node(node) if is_stale(&node, Some(inode)) => std::thread::yield_now(),
                loaded => return Self::stat_loaded(inode, loaded),
            }
        }
        Self::stat_loaded(inode, self.load(inode)?)
    }

    fn stat_loaded(inode: &Inode, loaded: Loaded) -> Result<Stat> {
        match loaded {
            Loaded::Dir(row) if matches!(&*inode.place.read(), Place::OrphanDir { .. }) => {
                Ok(Stat { nlink: 0, ..stat_dir(&row) })
            }
            Loaded::Dir(row) => Ok(stat_dir(&row)),
            Loaded::Node(node) => Self::stat_live(inode, &node),
        }
    }

    /// `stat` of a node, with a live file's own size and times where there is one.
    pub(super) fn stat_live(inode: &Inode, node: &NodeRow) -> Result<Stat> {
        let mut stat = stat_node(node);
        let live = match &*inode.data.read() {
            Data::Live(file) => Some(local::stat(file)?),
            Data::Sealing(live, of_row) if *of_row == node.attr.mtime => Some(*live),
            Data::Sealing(live, _) => Some(local::LocalStat { mtime: node.attr.mtime, ..*live }),
            _ => None,
        };
        if let Some(live) = live {
            stat.size = live.size;
            stat.blocks = live.blocks;
            if live.mtime != node.attr.mtime {
                // Written since the times were last set.
                stat.mtime = live.mtime;
                stat.ctime = node.attr.ctime.max(live.mtime);
            }
        }
        Ok(stat)
    }

    fn stat_found(&self, found: &Found) -> Result<Stat> {
        match found {
            Found::Dir { id, .. } => Ok(stat_dir(&dir_row(self, *id)?)),
            Found::Node(holder, node) => {
                let mut node = node.clone();
                for _ in 0..STALE_RETRIES {
                    if !is_stale(&node, self.inodes.get(node.attr.ino).as_deref()) {
                        break;
                    }
                    match read_node(self, holder)? {
                        Some(now) if now.attr.ino == node.attr.ino => node = now,
                        // Renamed or removed since: as it was found.
                        _ => break,
                    }
                }
                match self.inodes.get(node.attr.ino) {
                    Some(inode) => Self::stat_live(&inode, &node),
                    None => Ok(stat_node(&node)),
                }
            }
        }
    }

    fn find_bucket(&self, name: &[u8]) -> Result<Option<(Id, DirRow)>> {
        let Ok(name) = std::str::from_utf8(name) else { return Ok(None) };
        let Some(bucket) = self.row::<BucketRow>(&schema::bucket(name))? else { return Ok(None) };
        Ok(self.row::<DirRow>(&schema::dir(bucket.id))?.map(|row| (bucket.id, row)))
    }
}

impl Namespace {
    /// Stat of a mount's root: the namespace root (empty path), a bucket, or a prefix in a bucket (components).
    /// The inode stays known until it is forgotten.
    pub fn mount_root(&self, path: &[&[u8]]) -> Result<Stat> {
        let root = self.root_row()?;
        self.0.inodes.reference(Ino::ROOT, Place::Dir { id: ROOT_DIR, bucket: SYSTEM_STREAM });
        let mut stat = stat_dir(&root);
        for name in path {
            let next = self.lookup(stat.ino, Name::plain(name));
            self.forget(stat.ino, 1);
            stat = next?;
            if stat.kind != FileKind::Directory {
                self.forget(stat.ino, 1);
                return Err(Error::new(ErrorKind::NotADirectory, "a mount shows a bucket or a directory")
                    .with("name", String::from_utf8_lossy(name)));
            }
        }
        Ok(stat)
    }

    /// Looks a name up and makes its inode known (one more lookup count).
    pub fn lookup(&self, parent: Ino, name: Name<'_>) -> Result<Stat> {
        let (dir, bucket) = self.0.dir_place(parent)?;
        if is_root(dir) {
            let (id, row) = self.0.find_bucket(name.bytes)?.ok_or_else(|| no_entry(name))?;
            self.0.inodes.reference(row.attr.ino, Place::Dir { id, bucket: id });
            return Ok(stat_dir(&row));
        }
        // Under the lock no rename comes between the row and the inode's place.
        self.0.locked(bucket, || {
            let found = find(&*self.0, dir, name)?.ok_or_else(|| no_entry(name))?;
            let stat = self.0.stat_found(&found)?;
            self.0.inodes.reference(found.ino(), found.place(bucket));
            Ok(stat)
        })
    }

    /// The kernel forgot `count` lookups of an inode.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.0.dereference(ino, count);
    }

    /// Parent of a directory (`..`); the root's is itself.
    pub fn parent(&self, ino: Ino) -> Result<Ino> {
        match self.0.load(&*self.0.inode(ino)?)? {
            Loaded::Dir(row) => match row.parent {
                Some(parent) => Ok(self.0.row::<DirRow>(&schema::dir(parent))?.map_or(Ino::ROOT, |row| row.attr.ino)),
                None => Ok(Ino::ROOT),
            },
            Loaded::Node(_) => Err(Error::new(ErrorKind::NotADirectory, "not a directory").with("inode", ino)),
        }
    }

    /// `stat` of a known inode.
    pub fn getattr(&self, ino: Ino) -> Result<Stat> {
        let inode = self.0.inode(ino)?;
        self.0.stat(&inode)
    }

    /// Entries of a directory after `after` (a cookie; none begins), at most `limit`, without `.` and `..`.
    /// Lookup counts do not change: a caller that hands entries to the kernel as looked up calls [`Self::remember`].
    pub fn readdir(&self, ino: Ino, after: Option<&[u8]>, limit: usize) -> Result<Vec<DirEntry>> {
        let (dir, _) = match self.0.dir_place(ino) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.0.inodes.knows(ino) => return Ok(Vec::new()),
            place => place?,
        };
        if is_root(dir) {
            return self.read_root(after, limit);
        }
        let prefix = schema::entries(dir);
        let end = schema::prefix_end(&prefix);
        let mut entries = Vec::new();
        // The marker's own cookie is empty and sorts before every row's.
        if after.is_none()
            && let Some(marker) = read_node(&*self.0, &Holder::Marker(dir))?.filter(shown_marker)
        {
            let found = Found::Node(Holder::Marker(dir), marker);
            let stat = self.0.stat_found(&found)?;
            entries.push(DirEntry { name: Vec::new(), form: Form::Marker, stat, cookie: Vec::new() });
        }
        let mut start = match after {
            None | Some([]) => prefix.clone(),
            Some(cookie) => [prefix.as_slice(), cookie, b"\0"].concat(),
        };
        while entries.len() < limit {
            let rows = self.0.meta.range(&start, &end, limit - entries.len())?;
            let Some((last, _)) = rows.last() else { break };
            start = [last.as_slice(), b"\0"].concat();
            for (key, value) in &rows {
                let (_, name, is_dir) = schema::parse_entry(key)?;
                let (found, form) = match EntryRow::decode(value)? {
                    EntryRow::Dir { id, ino } if is_dir => (Found::Dir { id, ino }, Form::Plain),
                    _ => match find_node(&*self.0, dir, name)? {
                        Some((holder, node)) => {
                            let hidden = find_dir(&*self.0, dir, name)?.is_some();
                            (Found::Node(holder, node), if hidden { Form::Object } else { Form::Plain })
                        }
                        None => continue,
                    },
                };
                match self.0.stat_found(&found) {
                    Ok(stat) => {
                        let cookie = key[prefix.len()..].to_vec();
                        entries.push(DirEntry { name: name.to_vec(), form, stat, cookie });
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(entries)
    }

    fn read_root(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<DirEntry>> {
        let prefix = schema::bucket("");
        let start = match after {
            None => prefix.clone(),
            Some(cookie) => [prefix.as_slice(), cookie, b"\0"].concat(),
        };
        let mut entries = Vec::new();
        for (key, value) in self.0.meta.range(&start, &schema::prefix_end(&prefix), limit)? {
            let name = key[prefix.len()..].to_vec();
            let Some(row) = self.0.row::<DirRow>(&schema::dir(BucketRow::decode(&value)?.id))? else { continue };
            entries.push(DirEntry { cookie: name.clone(), name, form: Form::Plain, stat: stat_dir(&row) });
        }
        Ok(entries)
    }

    /// One more lookup count of an entry that `readdir` returned (readdirplus). NotFound if it is gone meanwhile.
    pub fn remember(&self, parent: Ino, entry: &DirEntry) -> Result<()> {
        let stat = self.lookup(parent, Name { bytes: &entry.name, form: entry.form })?;
        if stat.ino != entry.stat.ino {
            self.forget(stat.ino, 1);
            return Err(no_entry(Name { bytes: &entry.name, form: entry.form }));
        }
        Ok(())
    }

    /// A directory was opened (a process may hold it): a removed one stays known until `closedir` (ruling 24).
    pub fn opendir(&self, ino: Ino) -> Result<()> {
        let inode = self.0.inode(ino)?;
        let place = inode.place.read().clone();
        self.0.inodes.reference(ino, place);
        Ok(())
    }

    /// The counterpart.
    pub fn closedir(&self, ino: Ino) {
        self.0.dereference(ino, 1);
    }
}
