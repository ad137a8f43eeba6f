//! Objects: PUT, HEAD, GET, DELETE and tags, each decided in one commit.

use bytes::Bytes;

use super::Namespace;
use super::condition::check_write;
use super::engine::Engine;
use super::inode::Holder;
use super::names::MAX_TARGET_LEN;
use super::node::{DIRECTORY_TYPE, SYMLINK_TYPE, find_node, fresh_attr, full_mode, read_node};
use super::notices::Event;
use super::path::{KeyPath, find_key, walk};
use super::s3_types::{DeleteOutcome, ObjectInfo, Precondition, PutMeta, PutRequest};
use super::sealing::{content_of, customer_etag};
use super::txn::Txn;
use super::version::no_such_version;
use crate::chunk::{ObjectReader, ObjectWriter, WriteOptions};
use crate::crypto::CustomerKey;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::kept::VersionRow;
use crate::meta::record::{InlineBlock, Op};
use crate::meta::rows::{BucketRow, Content, FileRow, NodeKind, NodeRow, ObjectMeta, PartInfo, PosixShown};
use crate::meta::schema;
use crate::meta::seal::SealKey;
use crate::types::{Caller, ETag, Id, MAX_OBJECT_SIZE, Timestamp};

/// Permission bits of an object put over S3 without `x-amz-meta-mode`.
const OBJECT_MODE: u32 = 0o644;
/// How often a read looks again when what it found is replaced or collected under its hands.
const READ_RETRIES: usize = 32;

/// An object to be named: its content, ETag and metadata, whatever way they came.
pub(super) struct NewObject {
    pub(super) content: Content,
    pub(super) etag: ETag,
    pub(super) meta: PutMeta,
    pub(super) parts: Vec<PartInfo>,
    /// The target, if it is a symlink (S10).
    pub(super) symlink: Option<Vec<u8>>,
}

/// HEAD's view of a node.
pub(super) fn object_info(key: Vec<u8>, node: &NodeRow) -> Result<ObjectInfo> {
    let file = node.file().ok_or_else(|| Error::new(ErrorKind::NotFound, "a special file is not an object"))?;
    Ok(ObjectInfo {
        key,
        size: file.content.size,
        cid: file.content.root,
        seal: file.content.seal.clone(),
        leaves: file.content.leaves,
        meta: file.meta.clone(),
        mode: full_mode(node),
        uid: node.attr.uid,
        gid: node.attr.gid,
        mtime: node.attr.mtime,
        ino: node.attr.ino,
        symlink: matches!(node.kind, NodeKind::Symlink(..)),
    })
}

/// NoSuchKey in the store's words.
pub(super) fn no_such_key(bucket: &str, key: &[u8]) -> Error {
    Error::new(ErrorKind::NotFound, "the key does not exist")
        .with("bucket", bucket)
        .with("key", String::from_utf8_lossy(key))
}

impl Txn<'_> {
    /// Puts an object under a key: a new inode that replaces what the name holds (S7), keeping its mode, owner and
    /// POSIX-only attributes. Directories on the way are made.
    pub(super) fn put_object(&mut self, key: &[u8], object: NewObject, precondition: &Precondition) -> Result<NodeRow> {
        let path = KeyPath::parse_new(key)?;
        let bucket = self.bucket;
        // Decide before anything is made: a failed condition must not leave directories behind.
        let old = match walk(self, bucket, &path.dirs)? {
            None => None,
            Some(dir) => match path.name {
                Some(name) => find_node(self, dir, name)?,
                None => read_node(self, &Holder::Marker(dir))?.map(|node| (Holder::Marker(dir), node)),
            },
        };
        let current = old.as_ref().and_then(|(_, node)| node.file());
        check_write(precondition, current.map(|f| (f.meta.etag.0.as_str(), f.meta.last_modified, f.content.size)))?;
        if path.name.is_none() && path.dirs.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a key names an object"));
        }

        let dir = self.make_dirs(&path.dirs)?;
        let ino = self.engine.inos.next(self.engine)?;
        let lock = object.meta.lock;
        let node = self.new_node(ino, old.as_ref().map(|(_, node)| node), object, path.name.is_none());
        if let Some((_, old)) = &old {
            self.note_replaced(old);
        }
        self.make_room(key, old.as_ref().map(|(_, node)| node))?;
        if let Some(file) = node.file() {
            self.lock_new(key, file.meta.version, lock)?;
        }
        match path.name {
            Some(name) => {
                if let Some((holder, old)) = old {
                    self.unname(&holder, old, Some((dir, name)))?;
                }
                self.put_node(&Holder::Entry { dir, name: name.to_vec() }, None, &node)?;
                let parent = self.touch_dir(dir, 0, false)?;
                self.stale_entry(parent.attr.ino, name);
            }
            None => {
                if let Some((holder, old)) = old {
                    self.unname(&holder, old, None)?;
                }
                let mut row = self.touch_dir(dir, 0, true)?;
                if let Some(mode) = object_mode(&node) {
                    row.attr.mode = mode;
                    self.put(schema::dir(dir), &row)?;
                }
                self.put_node(&Holder::Marker(dir), None, &node)?;
                self.stale_entry(row.attr.ino, b"");
                self.stale_inode(row.attr.ino, false);
            }
        }
        Ok(node)
    }

    fn new_node(&self, ino: crate::types::Ino, old: Option<&NodeRow>, object: NewObject, marker: bool) -> NodeRow {
        let posix = object.meta.posix;
        let owner = |sent: Option<u32>, old: Option<u32>, own: u32| match sent {
            Some(id) if self.caller.admin => id,
            _ => old.unwrap_or(own),
        };
        let mode = match posix.mode {
            Some(mode) if self.caller.admin => mode & 0o7777,
            // Nobody but an administrator makes a set-user-id program over S3 (ruling 22).
            Some(mode) => mode & 0o777,
            None => match old {
                // New bytes in somebody's set-user-id program: as write(2), it takes the bits off.
                Some(old) if !self.caller.admin && !marker => old.attr.mode & 0o777,
                Some(old) => old.attr.mode,
                None if marker => 0o755,
                None => OBJECT_MODE,
            },
        };
        let mut attr = fresh_attr(
            ino,
            mode,
            owner(posix.uid, old.map(|o| o.attr.uid), self.caller.uid),
            owner(posix.gid, old.map(|o| o.attr.gid), self.caller.gid),
            self.now,
        );
        attr.mtime = posix.mtime.unwrap_or(self.now);
        let mut headers = object.meta.headers;
        if marker && headers.content_type.is_none() {
            headers.content_type = Some(DIRECTORY_TYPE.to_owned());
        }
        let meta = ObjectMeta {
            etag: object.etag,
            last_modified: self.now,
            version: self.new_version(),
            headers,
            tags: object.meta.tags,
            checksum: object.meta.checksum,
            parts: object.parts,
            posix_shown: PosixShown::sent(&posix),
        };
        let file = FileRow { content: object.content, meta, live: false };
        NodeRow {
            attr,
            nlink: 1,
            kind: match object.symlink {
                Some(target) if !marker => NodeKind::Symlink(file, target),
                _ => NodeKind::File(file),
            },
            xattrs: old.map(|old| old.xattrs.clone()).unwrap_or_default(),
        }
    }
}

/// What a PUT of type `inode/symlink` points to, as the mount shows it and as a backup brings it back (S10).
fn symlink_target(meta: &PutMeta, body: Option<&Bytes>) -> Option<Vec<u8>> {
    let is_symlink = meta.headers.content_type.as_deref() == Some(SYMLINK_TYPE);
    let target = body.filter(|_| is_symlink)?;
    ((1..=MAX_TARGET_LEN).contains(&target.len()) && !target.contains(&0)).then(|| target.to_vec())
}

/// The mode that a marker's `x-amz-meta-mode` gives to its directory.
fn object_mode(node: &NodeRow) -> Option<u32> {
    node.file().filter(|file| file.meta.posix_shown.mode).map(|_| node.attr.mode)
}

impl Engine {
    /// The object of a key with nothing unpublished (S6): a live file is published first, with bounded retries.
    pub(super) fn published(&self, bucket: &BucketRow, name: &str, key: &[u8]) -> Result<(Holder, NodeRow)> {
        let mut found = None;
        for _ in 0..READ_RETRIES {
            let (holder, node) =
                find_key(self, bucket.id, bucket.profile, key)?.ok_or_else(|| no_such_key(name, key))?;
            if !node.file().is_some_and(|file| file.live) {
                found = Some((holder, node));
                break;
            }
            if !self.publish_now(node.attr.ino)? {
                // Nothing left to publish: perhaps because somebody else just did, after this row was read, or because
                // the name stands for another file by now.
                match find_key(self, bucket.id, bucket.profile, key)? {
                    Some((holder, now)) if now.attr.ino == node.attr.ino => {
                        found = Some((holder, now));
                        break;
                    }
                    _ => {}
                }
            }
        }
        // What S3 has shown, a crash does not take back.
        self.meta.durable_blocking(self.meta.head())?;
        if let Some(found) = found {
            return Ok(found);
        }
        // Else somebody writes faster than we publish: the last published state is served (ruling 20).
        find_key(self, bucket.id, bucket.profile, key)?.ok_or_else(|| no_such_key(name, key))
    }

    /// A small body's plain bytes, where the node can open it.
    fn plain_body(&self, content: &Content, body: Option<&InlineBlock>) -> Result<Option<Bytes>> {
        match (body, content.seal.as_deref().map(|seal| &seal.key)) {
            (None, _) | (_, Some(SealKey::Customer { .. })) => Ok(None),
            (Some(body), None) => Ok(Some(body.bytes.clone())),
            (Some(body), Some(names)) => {
                let key = self.content_key(names, None)?;
                self.chunks.open_inline(body, content, &key).map(Some)
            }
        }
    }

    /// Publishes what a key holds, so that a condition on its ETag can be decided (ruling 7).
    pub(super) fn publish_for_condition(&self, bucket: &BucketRow, key: &[u8]) -> Result<()> {
        if let Some((_, node)) = find_key(self, bucket.id, bucket.profile, key)?
            && node.file().is_some_and(|file| file.live)
        {
            Engine::blocking(|| self.publish_now(node.attr.ino))?;
        }
        Ok(())
    }
}

impl Namespace {
    /// A writer for an object's bytes in this bucket's profile, sealed as the bucket's are. Blocking: use it from a blocking thread,
    /// except for bodies of which `size_hint` says at most `inline_max`.
    pub fn writer(&self, bucket: &str, options: WriteOptions) -> Result<ObjectWriter> {
        let sealing = self.0.default_sealing(self.0.bucket_row(bucket)?.id)?;
        self.writer_sealed(bucket, options, sealing)
    }

    /// Names stored content: PutObject.
    pub async fn put(&self, caller: &Caller, bucket: &str, key: &[u8], request: PutRequest) -> Result<ObjectInfo> {
        let row = self.0.bucket_row(bucket)?;
        if request.content.size > MAX_OBJECT_SIZE {
            return Err(
                Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB").with("bytes", request.content.size)
            );
        }
        if !request.precondition.is_empty() || self.0.keeping.of(row.id).versions() {
            self.0.publish_for_condition(&row, key)?;
        }
        let PutRequest { content: mut stored, etag, meta, precondition } = request;
        let content = content_of(&stored, row.profile);
        let etag = customer_etag(&content)?.unwrap_or(etag);
        let inline = stored.inline.take();
        let symlink = symlink_target(&meta, self.0.plain_body(&content, inline.as_ref())?.as_ref());
        let object = NewObject { content, etag, meta, parts: Vec::new(), symlink };
        let put = self.0.commit(caller, row.id, Op::Put, |txn| {
            txn.carry(inline);
            let node = txn.put_object(key, object, &precondition)?;
            txn.tell(Event::Put, key, node.file(), None)?;
            Ok(node)
        })?;
        // The row holds the content from here on.
        stored.committed();
        let node = self.0.acknowledged(caller, put).await?;
        object_info(key.to_vec(), &node)
    }

    /// HEAD. A file with unpublished writes is published first (S6). NotFound carries the context `marker` where a delete
    /// marker hides the key.
    pub async fn head(&self, caller: &Caller, bucket: &str, key: &[u8]) -> Result<ObjectInfo> {
        self.head_version(caller, bucket, key, None).await
    }

    /// HEAD of a version; none is the current one. NoSuchVersion, MethodNotAllowed for a delete marker (with the context
    /// `marker` and `made`).
    pub async fn head_version(
        &self,
        _caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
    ) -> Result<ObjectInfo> {
        let row = self.0.bucket_row(bucket)?;
        let node = self.read_version(&row, bucket, key, version)?;
        object_info(key.to_vec(), &node)
    }

    /// GET: the object and a reader of exactly that content.
    pub async fn get(&self, caller: &Caller, bucket: &str, key: &[u8]) -> Result<(ObjectInfo, ObjectReader)> {
        self.get_version(caller, bucket, key, None).await
    }

    /// GET of a version; none is the current one. Errors as [`Self::head_version`].
    pub async fn get_version(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
    ) -> Result<(ObjectInfo, ObjectReader)> {
        self.get_with_key(caller, bucket, key, version, None).await
    }

    /// As [`Self::get_version`], by a client that brings a key. Errors also as [`super::check_customer`].
    pub async fn get_with_key(
        &self,
        _caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
        customer: Option<&CustomerKey>,
    ) -> Result<(ObjectInfo, ObjectReader)> {
        let row = self.0.bucket_row(bucket)?;
        let mut tries = 0;
        loop {
            let node = self.read_version(&row, bucket, key, version)?;
            let info = object_info(key.to_vec(), &node)?;
            let Some(file) = node.file() else { return Err(no_such_key(bucket, key)) };
            match self.0.reader(&file.content, customer) {
                Ok(reader) => return Ok((info, reader)),
                // Replaced and collected between the two look-ups.
                Err(error) if error.kind() == ErrorKind::NotFound && tries < READ_RETRIES => tries += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(Error::corrupt("the object's content is not in the store").with("cid", info.cid));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A look-up that takes the blocking path only where something has to be published.
    fn read_published(&self, row: &BucketRow, bucket: &str, key: &[u8]) -> Result<(Holder, NodeRow)> {
        let Some((holder, node)) = find_key(&*self.0, row.id, row.profile, key)? else {
            let missing = no_such_key(bucket, key);
            return Err(match self.0.hiding_marker(row.id, key)? {
                Some(marker) => missing.with("marker", marker.version),
                None => missing,
            });
        };
        if node.file().is_some_and(|file| file.live) {
            return Engine::blocking(|| self.0.published(row, bucket, key));
        }
        Ok((holder, node))
    }

    /// A version of a key; none is the current one.
    pub(super) fn read_version(
        &self,
        row: &BucketRow,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
    ) -> Result<NodeRow> {
        let Some(version) = version else { return Ok(self.read_published(row, bucket, key)?.1) };
        if find_key(&*self.0, row.id, row.profile, key)?.is_some() {
            let (_, node) = self.read_published(row, bucket, key)?;
            if node.file().is_some_and(|file| file.meta.version == version) {
                return Ok(node);
            }
        }
        match self.0.find_kept(row.id, key, version)? {
            None => Err(no_such_version(key, version)),
            Some((_, VersionRow { node: Some(node), .. })) => Ok(*node),
            Some((_, VersionRow { made, .. })) => {
                Err(Error::new(ErrorKind::MethodNotAllowed, "the version is a delete marker")
                    .with("key", String::from_utf8_lossy(key))
                    .with("marker", version)
                    .with("made", made.secs))
            }
        }
    }

    /// DELETE of one version, for good; what is then the newest is the current one, unless it is a delete marker. ObjectLocked
    /// if it must stay. Deleting what is not there is not an error.
    pub async fn delete_version(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Id,
    ) -> Result<DeleteOutcome> {
        let row = self.0.bucket_row(bucket)?;
        self.0.publish_for_condition(&row, key)?;
        let deleted = self.0.commit(caller, row.id, Op::Delete, |txn| {
            txn.check_unlocked(key, version)?;
            let outcome = txn.delete_version(&row, bucket, key, version)?;
            if outcome.existed {
                txn.tell(Event::Removed, key, None, Some(version))?;
            }
            Ok(outcome)
        })?;
        self.0.acknowledged(caller, deleted).await
    }

    /// DELETE of a key: its object goes or, where the bucket keeps versions, a delete marker hides it. Deleting what is not
    /// there is not an error. PreconditionFailed if a condition does not hold.
    pub async fn delete(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        precondition: Precondition,
    ) -> Result<DeleteOutcome> {
        let row = self.0.bucket_row(bucket)?;
        if !precondition.is_empty() || self.0.keeping.of(row.id).versions() {
            self.0.publish_for_condition(&row, key)?;
        }
        let deleted = self.0.commit(caller, row.id, Op::Delete, |txn| {
            let found = find_key(txn, row.id, row.profile, key)?;
            let current = found.as_ref().and_then(|(_, node)| node.file());
            check_write(
                &precondition,
                current.map(|f| (f.meta.etag.0.as_str(), f.meta.last_modified, f.content.size)),
            )?;
            let existed = found.is_some();
            let version = match found {
                Some(found) => txn.delete_current(bucket, key, found)?,
                None => txn.mark_deleted(key)?,
            };
            match version {
                Some(marker) => txn.tell(Event::Marked, key, None, Some(marker))?,
                None if existed => txn.tell(Event::Removed, key, None, None)?,
                None => {}
            }
            Ok(DeleteOutcome { existed, version, marker: version.is_some() })
        })?;
        self.0.acknowledged(caller, deleted).await
    }

    /// Replaces the tags of an object, or of a version of it (an empty list deletes them). The version.
    pub async fn set_tags(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        version: Option<Id>,
        tags: Vec<(String, String)>,
    ) -> Result<Id> {
        let row = self.0.bucket_row(bucket)?;
        let set = self.0.commit(caller, row.id, Op::SetAttr, |txn| {
            txn.tell(if tags.is_empty() { Event::Untagged } else { Event::Tagged }, key, None, version)?;
            let current = find_key(txn, row.id, row.profile, key)?;
            let is_meant =
                |node: &NodeRow| node.file().is_some_and(|file| version.is_none_or(|v| v == file.meta.version));
            let (holder, old) = match (current.filter(|(_, node)| is_meant(node)), version) {
                (Some(current), _) => current,
                (None, Some(version)) => return txn.tag_kept(key, version, tags),
                (None, None) => return Err(no_such_key(bucket, key)),
            };
            let stored = read_node(txn, &holder)?;
            let mut node = old;
            if stored.is_none() {
                // The implied marker of an explicit directory becomes an inode of its own.
                node.attr.ino = txn.engine.inos.next(txn.engine)?;
            }
            node.attr.ctime = txn.now;
            let mut version = Id::default();
            if let Some(file) = node.file_mut() {
                file.meta.tags = tags;
                version = file.meta.version;
            }
            txn.stale_inode(node.attr.ino, false);
            txn.put_node(&holder, stored.as_ref(), &node)?;
            Ok(version)
        })?;
        self.0.acknowledged(caller, set).await
    }
}

/// Now, for callers outside a commit.
impl Engine {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
