//! Reading, writing and dropping inodes within a commit, together with the rows that follow from them: who holds which
//! content (`I`), which live file belongs to whom (`L`), how many names an inode has.

use super::ROOT_DIR;
use super::inode::{Holder, Place};
use super::mount_types::{FileKind, Stat};
use super::txn::{Rows, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Replaced;
use crate::meta::rows::{
    Attr, Content, DirRow, EntryRow, FileRow, LiveRow, NodeKind, NodeRow, ObjectHeaders, ObjectMeta, PosixShown,
};
use crate::meta::schema;
use crate::types::{DirId, ETag, Id, Ino, Timestamp};
use crate::unixfs::{Profile, digest_of, raw_cid};

/// MD5 of nothing.
pub(super) const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// Content type of a directory's key, as AWS's console makes it.
pub(super) const DIRECTORY_TYPE: &str = "application/x-directory";
/// Content type of a symlink's object (S10).
pub(super) const SYMLINK_TYPE: &str = "inode/symlink";

/// Fresh attributes of something made now.
pub(super) fn fresh_attr(ino: Ino, mode: u32, uid: u32, gid: u32, now: Timestamp) -> Attr {
    Attr { ino, mode: mode & 0o7777, uid, gid, atime: now, mtime: now, ctime: now, btime: now }
}

/// The content of an empty object.
pub(super) fn empty_content(profile: Profile) -> Content {
    Content { seal: None, profile, root: raw_cid(b""), size: 0, leaves: 1 }
}

/// S3's side of an object without anything special.
pub(super) fn plain_meta(etag: String, now: Timestamp) -> ObjectMeta {
    ObjectMeta {
        etag: ETag(etag),
        last_modified: now,
        version: Id::default(),
        headers: ObjectHeaders::default(),
        tags: Vec::new(),
        checksum: None,
        parts: Vec::new(),
        posix_shown: PosixShown::default(),
    }
}

/// ETag of content published by the mount (S12): the multipart form, which no client takes for an MD5.
pub(super) fn published_etag(content: &Content) -> Result<String> {
    let digest = digest_of(&content.root)?;
    Ok(format!("{}-{}", hex::encode(&digest[..16]), content.leaves))
}

/// The inode behind `dir/` where the directory is explicit but no object was put there.
pub(super) fn implied_marker(dir: &DirRow, profile: Profile) -> NodeRow {
    let mut meta = plain_meta(EMPTY_MD5.to_owned(), dir.attr.mtime);
    meta.headers.content_type = Some(DIRECTORY_TYPE.to_owned());
    NodeRow {
        attr: dir.attr,
        nlink: 1,
        kind: NodeKind::File(FileRow { content: empty_content(profile), meta, live: false }),
        xattrs: Vec::new(),
    }
}

/// The node in a row, if the row is there and holds one.
pub(super) fn read_node(rows: &impl Rows, holder: &Holder) -> Result<Option<NodeRow>> {
    Ok(match holder {
        Holder::Entry { .. } => match rows.row::<EntryRow>(&holder.key())? {
            Some(EntryRow::Node(node)) => Some(*node),
            _ => None,
        },
        Holder::Shared(_) => rows.row::<NodeRow>(&holder.key())?,
        Holder::Marker(_) => rows.row::<DirRow>(&holder.key())?.and_then(|dir| dir.marker.map(|m| *m)),
    })
}

/// The object named `name` in `dir` (not the directory of that name), and which row holds it.
pub(super) fn find_node(rows: &impl Rows, dir: DirId, name: &[u8]) -> Result<Option<(Holder, NodeRow)>> {
    match rows.row::<EntryRow>(&schema::entry(dir, name, false))? {
        None => Ok(None),
        Some(EntryRow::Node(node)) => Ok(Some((Holder::Entry { dir, name: name.to_vec() }, *node))),
        Some(EntryRow::Shared(ino)) => {
            let holder = Holder::Shared(ino);
            let node = rows
                .row::<NodeRow>(&holder.key())?
                .ok_or_else(|| Error::corrupt("an entry names an inode that is not there").with("inode", ino))?;
            Ok(Some((holder, node)))
        }
        Some(EntryRow::Dir { .. }) => Err(Error::corrupt("an object's entry holds a directory")),
    }
}

/// The directory named `name` in `dir`.
pub(super) fn find_dir(rows: &impl Rows, dir: DirId, name: &[u8]) -> Result<Option<(DirId, Ino)>> {
    match rows.row::<EntryRow>(&schema::entry(dir, name, true))? {
        None => Ok(None),
        Some(EntryRow::Dir { id, ino }) => Ok(Some((id, ino))),
        Some(_) => Err(Error::corrupt("a directory's entry holds an object")),
    }
}

/// A directory's row, which must be there: NotFound where it was removed meanwhile.
pub(super) fn dir_row(rows: &impl Rows, dir: DirId) -> Result<DirRow> {
    rows.row(&schema::dir(dir))?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the directory is gone").with("directory", dir))
}

impl Txn<'_> {
    /// The row of this key needs contents.
    pub(super) fn hold(&mut self, digests: &[[u8; 32]], key: &[u8]) {
        for digest in digests {
            self.mark(schema::held(digest, key));
        }
    }

    /// The row of this key needs contents no more.
    pub(super) fn let_go(&mut self, digests: &[[u8; 32]], key: &[u8]) {
        for digest in digests {
            self.delete(schema::held(digest, key));
            self.released(*digest);
        }
    }

    /// Writes a node into its row, with what follows from it. `old` is what the row held before, of the same inode.
    pub(super) fn put_node(&mut self, holder: &Holder, old: Option<&NodeRow>, new: &NodeRow) -> Result<()> {
        let key = holder.key();
        let old_file = old.and_then(NodeRow::file);
        let new_file = new.file();
        let old_needs = old_file.map(|f| f.content.needs()).transpose()?.unwrap_or_default();
        let new_needs = new_file.map(|f| f.content.needs()).transpose()?.unwrap_or_default();
        if old_needs != new_needs {
            self.let_go(&old_needs, &key);
            self.hold(&new_needs, &key);
        }
        match (old_file.is_some_and(|f| f.live), new_file.is_some_and(|f| f.live)) {
            (false, true) => {
                let bucket = self.bucket;
                self.put(schema::live(new.attr.ino), &LiveRow { bucket, holder: key.clone() })?;
            }
            (true, false) => self.delete(schema::live(new.attr.ino)),
            _ => {}
        }
        match holder {
            Holder::Entry { .. } => self.put(key, &EntryRow::Node(Box::new(new.clone()))),
            Holder::Shared(_) => self.put(key, new),
            Holder::Marker(dir) => {
                let mut row = dir_row(self, *dir)?;
                row.marker = Some(Box::new(new.clone()));
                self.put(key, &row)
            }
        }
    }

    /// Removes a node's row, with what follows from it. The inode itself goes on, if anything knows it, as `place`.
    pub(super) fn take_node(&mut self, holder: &Holder, node: &NodeRow) -> Result<()> {
        let key = holder.key();
        if let Some(file) = node.file() {
            self.let_go(&file.content.needs()?, &key);
            if file.live {
                self.delete(schema::live(node.attr.ino));
            }
        }
        match holder {
            Holder::Marker(dir) => {
                let mut row = dir_row(self, *dir)?;
                row.marker = None;
                self.put(key, &row)
            }
            _ => {
                self.delete(key);
                Ok(())
            }
        }
    }

    /// One name of an inode goes: the inode too, if it was the last (then whoever holds it open keeps an orphan).
    /// `entry` is the name's own row where the holder is another ([`Holder::Shared`]).
    pub(super) fn unname(&mut self, holder: &Holder, mut node: NodeRow, entry: Option<(DirId, &[u8])>) -> Result<()> {
        node.attr.ctime = self.now;
        if let Holder::Shared(_) = holder {
            if let Some((dir, name)) = entry {
                self.delete(schema::entry(dir, name, false));
            }
            if node.nlink > 1 {
                let old = node.clone();
                node.nlink -= 1;
                self.stale_inode(node.attr.ino, false);
                return self.put_node(holder, Some(&old), &node);
            }
        }
        self.take_node(holder, &node)?;
        node.nlink = 0;
        let ino = node.attr.ino;
        self.stale_inode(ino, false);
        let bucket = self.bucket;
        self.moved(ino, Place::Orphan { node: Box::new(node), bucket });
        Ok(())
    }

    /// Remembers what a name held before it was replaced or removed, for the change feed.
    pub(super) fn note_replaced(&mut self, node: &NodeRow) {
        if let Some(file) = node.file() {
            self.replaced =
                Some(Replaced { version: file.meta.version, size: file.content.size, etag: file.meta.etag.0.clone() });
        }
    }

    /// A child came or went: the directory's times, its number of subdirectories, and whether it is explicit now.
    pub(super) fn touch_dir(&mut self, dir: DirId, subdirs: i64, make_explicit: bool) -> Result<DirRow> {
        let mut row = dir_row(self, dir)?;
        row.attr.mtime = self.now;
        row.attr.ctime = self.now;
        row.subdirs = row.subdirs.saturating_add_signed(subdirs);
        row.explicit |= make_explicit;
        self.put(schema::dir(dir), &row)?;
        Ok(row)
    }
}

/// `stat` of a node by its row alone.
pub(super) fn stat_node(node: &NodeRow) -> Stat {
    let (kind, size, rdev) = match &node.kind {
        NodeKind::File(file) => (FileKind::File, file.content.size, 0),
        NodeKind::Symlink(_, target) => (FileKind::Symlink, target.len() as u64, 0),
        NodeKind::Fifo => (FileKind::Fifo, 0, 0),
        NodeKind::Socket => (FileKind::Socket, 0, 0),
        NodeKind::CharDevice(rdev) => (FileKind::CharDevice, 0, *rdev),
        NodeKind::BlockDevice(rdev) => (FileKind::BlockDevice, 0, *rdev),
    };
    stat(&node.attr, kind, size, node.nlink, rdev)
}

/// `stat` of a directory.
pub(super) fn stat_dir(dir: &DirRow) -> Stat {
    let nlink = u32::try_from(dir.subdirs).unwrap_or(u32::MAX).saturating_add(2);
    stat(&dir.attr, FileKind::Directory, 4096, nlink, 0)
}

fn stat(attr: &Attr, kind: FileKind, size: u64, nlink: u32, rdev: u32) -> Stat {
    Stat {
        ino: attr.ino,
        kind,
        size,
        blocks: size.div_ceil(512),
        mode: attr.mode,
        nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev,
        atime: attr.atime,
        mtime: attr.mtime,
        ctime: attr.ctime,
        btime: attr.btime,
    }
}

/// `st_mode` with the file type, for the S3 side.
pub(super) fn full_mode(node: &NodeRow) -> u32 {
    let kind = match node.kind {
        NodeKind::File(_) => libc::S_IFREG,
        NodeKind::Symlink(..) => libc::S_IFLNK,
        NodeKind::Fifo => libc::S_IFIFO,
        NodeKind::Socket => libc::S_IFSOCK,
        NodeKind::CharDevice(_) => libc::S_IFCHR,
        NodeKind::BlockDevice(_) => libc::S_IFBLK,
    };
    kind | node.attr.mode
}

/// Whether a directory id is the namespace's root, which holds buckets instead of entries.
pub(super) fn is_root(dir: DirId) -> bool {
    dir == ROOT_DIR
}
