//! Names made and removed at the mount: create, mknod, mkdir, symlink, link, unlink, rmdir.

use std::sync::Arc;

use super::Namespace;
use super::engine::Engine;
use super::handle::FileHandle;
use super::inode::{Holder, Place};
use super::local;
use super::lookup::{Found, find, no_entry};
use super::mount_types::{Form, MAX_NAME_LEN, Name, OpenMode, Special, Stat};
use super::node::{
    EMPTY_MD5, SYMLINK_TYPE, dir_row, empty_content, find_dir, find_node, fresh_attr, is_root, plain_meta,
    published_etag, read_node, stat_dir, stat_node,
};
use super::txn::{Rows, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::{InlineBlock, Op};
use crate::meta::rows::{BucketRow, Content, DirRow, EntryRow, FileRow, NodeKind, NodeRow, PosixShown};
use crate::meta::schema;
use crate::types::{BucketName, Caller, DirId, Id, Ino};
use crate::unixfs::{Profile, raw_cid};

/// The longest target of a symlink, in bytes (Linux's PATH_MAX less its NUL).
pub(super) const MAX_TARGET_LEN: usize = 4095;

/// Checks a name that is to be made in a directory.
fn new_name(name: Name<'_>) -> Result<()> {
    if name.form == Form::Marker {
        return Err(Error::new(ErrorKind::InvalidArgument, "a directory's marker is put over S3 only"));
    }
    if name.bytes.len() > MAX_NAME_LEN {
        return Err(
            Error::new(ErrorKind::NameTooLong, "a name has at most 1,024 bytes").with("bytes", name.bytes.len())
        );
    }
    if name.bytes.is_empty() || name.bytes.contains(&b'/') || name.bytes.contains(&0) {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a name for a file"));
    }
    if std::str::from_utf8(name.bytes).is_err() {
        return Err(Error::new(ErrorKind::NotUtf8, "a name is UTF-8"));
    }
    Ok(())
}

fn exists(name: Name<'_>) -> Error {
    Error::new(ErrorKind::AlreadyExists, "the name exists").with("name", String::from_utf8_lossy(name.bytes))
}

fn root_is_for_buckets() -> Error {
    Error::new(ErrorKind::NotPermitted, "the namespace root holds buckets only")
}

impl Txn<'_> {
    /// Whether a name can be made: for the plain form neither a directory nor an object may be there.
    fn check_free(&self, dir: DirId, name: Name<'_>) -> Result<()> {
        match find(self, dir, name)? {
            Some(_) => Err(exists(name)),
            None => Ok(()),
        }
    }

    /// Puts a fresh inode under a free name. What S3 does not list makes its directory explicit, so that a directory
    /// always has a key below it or is one.
    fn add_node(&mut self, dir: DirId, name: Name<'_>, node: &NodeRow) -> Result<()> {
        self.check_free(dir, name)?;
        let (holder, marker) = match name.form {
            // `%@self`: the bytes of the key `dir/`. A bucket's root has no such key.
            Form::Marker if dir != self.bucket && node.file().is_some() => (Holder::Marker(dir), true),
            _ => {
                new_name(name)?;
                (Holder::Entry { dir, name: name.bytes.to_vec() }, false)
            }
        };
        if let (true, Some(empty)) = (marker, read_node(self, &holder)?) {
            self.unname(&holder, empty, None)?;
        }
        let unlisted = node.file().is_none();
        if unlisted {
            self.mark(schema::unlisted(self.bucket));
        }
        let parent = self.touch_dir(dir, 0, marker || unlisted)?;
        self.put_node(&holder, None, node)?;
        self.stale_entry(parent.attr.ino, name.bytes);
        let bucket = self.bucket;
        self.adopted(node.attr.ino, Place::Held { holder, bucket });
        Ok(())
    }

    /// After the mount removed a directory's entry: its last one makes it explicit (S3).
    pub(super) fn keep_if_empty(&mut self, dir: DirId, row: DirRow) -> Result<()> {
        if !row.explicit && self.is_empty_dir(dir)? {
            self.put(schema::dir(dir), &DirRow { explicit: true, ..dir_row(self, dir)? })?;
        }
        Ok(())
    }
}

impl Engine {
    /// The directory behind an inode in which files can be made: not the namespace root.
    pub(super) fn file_dir(&self, parent: Ino) -> Result<(DirId, Id)> {
        let (dir, bucket) = self.dir_place(parent)?;
        if is_root(dir) {
            return Err(root_is_for_buckets());
        }
        Ok((dir, bucket))
    }

    /// UnixFS profile of a bucket by id.
    pub(super) fn profile_of(&self, bucket: Id) -> Result<Profile> {
        let root = dir_row(self, bucket)?;
        let name = String::from_utf8_lossy(&root.name).into_owned();
        Ok(self.row::<BucketRow>(&schema::bucket(&name))?.map(|row| row.profile).unwrap_or_default())
    }
}

impl Namespace {
    fn make_node(&self, caller: &Caller, parent: Ino, name: Name<'_>, mode: u32, kind: NodeKind) -> Result<NodeRow> {
        let (dir, bucket) = self.0.file_dir(parent)?;
        let ino = self.0.inos.next(&self.0)?;
        let made = self.0.commit(caller, bucket, Op::Create, |txn| {
            let attr = fresh_attr(ino, mode, caller.uid, caller.gid, txn.now);
            let node = NodeRow { attr, nlink: 1, kind, xattrs: Vec::new() };
            txn.add_node(dir, name, &node)?;
            Ok(node)
        })?;
        Ok(self.0.sequenced(caller, made))
    }

    fn empty_file(&self, parent: Ino) -> Result<FileRow> {
        let (_, bucket) = self.0.file_dir(parent)?;
        let mut meta = plain_meta(EMPTY_MD5.to_owned(), self.0.now());
        meta.posix_shown = PosixShown::ALL;
        let content = empty_content(self.0.profile_of(bucket)?);
        meta.etag.0 = published_etag(&content)?;
        Ok(FileRow { content, meta, live: false })
    }

    /// `open` with `O_CREAT` of a name that is not there (AlreadyExists if it is). One more lookup count.
    pub fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: Name<'_>,
        mode: u32,
        open: OpenMode,
    ) -> Result<(Stat, Arc<FileHandle>)> {
        let file = self.empty_file(parent)?;
        if !open.write {
            let node = self.make_node(caller, parent, name, mode, NodeKind::File(file))?;
            let handle = self.open_file(caller, node.attr.ino, open);
            return handle.map(|handle| (stat_node(&node), handle)).inspect_err(|_| self.forget(node.attr.ino, 1));
        }
        let (dir, bucket) = self.0.file_dir(parent)?;
        let ino = self.0.inos.next(&self.0)?;
        let live = Arc::new(self.0.new_live(bucket, ino, None)?);
        let file = FileRow { live: true, ..file };
        let made = self.0.commit(caller, bucket, Op::Create, |txn| {
            let attr = fresh_attr(ino, mode, caller.uid, caller.gid, txn.now);
            let node = NodeRow { attr, nlink: 1, kind: NodeKind::File(file), xattrs: Vec::new() };
            txn.add_node(dir, name, &node)?;
            Ok(node)
        });
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                drop(live);
                self.0.chunks.discard_live(ino)?;
                return Err(error);
            }
        };
        let node = self.0.sequenced(caller, made);
        local::set_times(live.file(), node.attr.atime, node.attr.mtime)?;
        let handle = self.adopt_live(ino, live, open)?;
        Ok((stat_node(&node), handle))
    }

    /// `mknod`. One more lookup count.
    pub fn mknod(&self, caller: &Caller, parent: Ino, name: Name<'_>, mode: u32, what: Special) -> Result<Stat> {
        let kind = match what {
            Special::File => NodeKind::File(self.empty_file(parent)?),
            Special::Fifo => NodeKind::Fifo,
            Special::Socket => NodeKind::Socket,
            Special::CharDevice(rdev) => NodeKind::CharDevice(rdev),
            Special::BlockDevice(rdev) => NodeKind::BlockDevice(rdev),
        };
        Ok(stat_node(&self.make_node(caller, parent, name, mode, kind)?))
    }

    /// `mkdir`. One more lookup count. In the namespace root: CreateBucket (a bad name is InvalidArgument).
    pub fn mkdir(&self, caller: &Caller, parent: Ino, name: Name<'_>, mode: u32) -> Result<Stat> {
        let (dir, bucket) = self.0.dir_place(parent)?;
        if is_root(dir) {
            let bad = |_| Error::new(ErrorKind::InvalidArgument, "not a bucket's name");
            let bucket = BucketName::new(std::str::from_utf8(name.bytes).map_err(bad)?)?;
            let (info, row) = self.0.audited(caller, "CreateBucket", bucket.as_str(), || {
                let (profile, settings) = (Profile::default(), Default::default());
                let made = self.0.make_bucket(caller, &bucket, None, profile, settings, Vec::new(), mode)?;
                Ok(self.0.sequenced(caller, made))
            })?;
            self.0.inodes.reference(row.attr.ino, Place::Dir { id: info.id, bucket: info.id });
            return Ok(stat_dir(&row));
        }
        let ino = self.0.inos.next(&self.0)?;
        let made = self.0.commit(caller, bucket, Op::Mkdir, |txn| {
            // `%@empty`, `%@dot` and `%@dotdot` may be made as directories: S3 has keys below such names.
            if !name.bytes.is_empty() {
                new_name(name)?;
            }
            dir_row(txn, dir)?;
            txn.check_free(dir, name)?;
            let attr = fresh_attr(ino, mode, caller.uid, caller.gid, txn.now);
            let (id, row) = txn.make_dir(dir, name.bytes, attr, true)?;
            txn.adopted(ino, Place::Dir { id, bucket });
            Ok(row)
        })?;
        Ok(stat_dir(&self.0.sequenced(caller, made)))
    }

    /// `symlink`. One more lookup count.
    pub fn symlink(&self, caller: &Caller, parent: Ino, name: Name<'_>, target: &[u8]) -> Result<Stat> {
        if target.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "a symlink's target has at least one byte"));
        }
        if target.len() > MAX_TARGET_LEN {
            return Err(
                Error::new(ErrorKind::NameTooLong, "a symlink's target is too long").with("bytes", target.len())
            );
        }
        let (dir, bucket) = self.0.file_dir(parent)?;
        let profile = self.0.profile_of(bucket)?;
        let ino = self.0.inos.next(&self.0)?;
        let cid = raw_cid(target);
        let content = Content { seal: None, profile, root: cid, size: target.len() as u64, leaves: 1 };
        let mut meta = plain_meta(published_etag(&content)?, self.0.now());
        meta.headers.content_type = Some(SYMLINK_TYPE.to_owned());
        meta.posix_shown = PosixShown::ALL;
        let made = self.0.commit(caller, bucket, Op::Create, |txn| {
            let attr = fresh_attr(ino, 0o777, caller.uid, caller.gid, txn.now);
            let kind = NodeKind::Symlink(FileRow { content, meta, live: false }, target.to_vec());
            let node = NodeRow { attr, nlink: 1, kind, xattrs: Vec::new() };
            txn.carry(Some(InlineBlock { cid, bytes: target.to_vec().into() }));
            txn.add_node(dir, name, &node)?;
            Ok(node)
        })?;
        Ok(stat_node(&self.0.sequenced(caller, made)))
    }

    /// `readlink`.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>> {
        match self.0.load_node(&*self.0.inode(ino)?)?.kind {
            NodeKind::Symlink(_, target) => Ok(target),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "not a symbolic link").with("inode", ino)),
        }
    }

    /// `link`. One more lookup count. CrossesBuckets between buckets.
    pub fn link(&self, caller: &Caller, ino: Ino, parent: Ino, name: Name<'_>) -> Result<Stat> {
        let (dir, bucket) = self.0.file_dir(parent)?;
        let inode = self.0.inode(ino)?;
        if inode.place.read().bucket() != bucket {
            return Err(Error::new(ErrorKind::CrossesBuckets, "a hard link stays in its bucket"));
        }
        let linked = self.0.commit(caller, bucket, Op::Link, |txn| {
            let place = inode.place.read().clone();
            let holder = match place {
                Place::Held { holder: Holder::Marker(_), .. } => {
                    return Err(Error::new(ErrorKind::NotPermitted, "a directory's marker has one name"));
                }
                Place::Held { holder, .. } => holder,
                Place::Dir { .. } => return Err(Error::new(ErrorKind::NotPermitted, "a directory has one name")),
                _ => return Err(no_entry(name)),
            };
            let mut node = read_node(txn, &holder)?.ok_or_else(|| no_entry(name))?;
            new_name(name)?;
            dir_row(txn, dir)?;
            txn.check_free(dir, name)?;
            if node.nlink >= 65_000 {
                return Err(Error::new(ErrorKind::TooMany, "an inode has at most 65,000 names"));
            }
            let shared = Holder::Shared(ino);
            let before = node.clone();
            node.nlink += 1;
            node.attr.ctime = txn.now;
            if let Holder::Entry { .. } = &holder {
                txn.take_node(&holder, &before)?;
                txn.put_node(&shared, None, &node)?;
                txn.put(holder.key(), &EntryRow::Shared(ino))?;
                txn.moved(ino, Place::Held { holder: shared.clone(), bucket });
            } else {
                txn.put_node(&shared, Some(&before), &node)?;
            }
            txn.put(schema::entry(dir, name.bytes, false), &EntryRow::Shared(ino))?;
            let above = txn.touch_dir(dir, 0, node.file().is_none())?;
            txn.stale_entry(above.attr.ino, name.bytes);
            txn.stale_inode(ino, false);
            txn.adopted(ino, Place::Held { holder: shared, bucket });
            Ok(node)
        })?;
        let node = self.0.sequenced(caller, linked);
        Engine::stat_live(&inode, &node)
    }

    /// `unlink`.
    pub fn unlink(&self, caller: &Caller, parent: Ino, name: Name<'_>) -> Result<()> {
        let (dir, bucket) = self.0.file_dir(parent)?;
        if self.0.keeping.of(bucket).versions() {
            // What was written last is to be kept.
            self.0.publish_name(dir, name)?;
        }
        let removed = self.0.commit(caller, bucket, Op::Unlink, |txn| {
            match find(txn, dir, name)?.ok_or_else(|| no_entry(name))? {
                Found::Dir { .. } => Err(Error::new(ErrorKind::IsADirectory, "is a directory")),
                Found::Node(holder, node) => {
                    txn.note_replaced(&node);
                    txn.leave_key(dir, name, &node)?;
                    txn.tell_left(dir, name, &node)?;
                    txn.unname(&holder, node, Some((dir, name.bytes)))?;
                    let above = txn.touch_dir(dir, 0, false)?;
                    txn.stale_entry(above.attr.ino, name.bytes);
                    txn.keep_if_empty(dir, above)
                }
            }
        })?;
        self.0.sequenced(caller, removed);
        Ok(())
    }

    /// `rmdir`. In the namespace root: DeleteBucket.
    pub fn rmdir(&self, caller: &Caller, parent: Ino, name: Name<'_>) -> Result<()> {
        let (dir, bucket) = self.0.dir_place(parent)?;
        if is_root(dir) {
            let text = std::str::from_utf8(name.bytes).map_err(|_| no_entry(name))?;
            return self.0.audited(caller, "DeleteBucket", text, || {
                let removed = self.0.remove_bucket(caller, text).map_err(|error| match error.kind() {
                    ErrorKind::NoSuchBucket => no_entry(name),
                    _ => error,
                })?;
                self.0.sequenced(caller, removed);
                Ok(())
            });
        }
        let removed = self.0.commit(caller, bucket, Op::Rmdir, |txn| {
            match find_dir(txn, dir, name.bytes)? {
                Some((id, _)) if name.form == Form::Plain => {
                    let row = dir_row(txn, id)?;
                    // A marker with bytes is a file in the directory (ruling 26).
                    let marker = row.marker.as_ref().and_then(|m| m.file()).is_some_and(|file| file.content.size > 0);
                    if marker || !txn.is_empty_dir(id)? {
                        return Err(Error::new(ErrorKind::NotEmpty, "the directory is not empty"));
                    }
                    txn.drop_dir(id, row)?;
                    let above = dir_row(txn, dir)?;
                    txn.keep_if_empty(dir, above)
                }
                _ if find_node(txn, dir, name.bytes)?.is_some() => {
                    Err(Error::new(ErrorKind::NotADirectory, "not a directory"))
                }
                _ => Err(no_entry(name)),
            }
        })?;
        self.0.sequenced(caller, removed);
        Ok(())
    }
}
