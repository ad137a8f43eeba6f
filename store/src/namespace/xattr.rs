//! Extended attributes (S11): stored ones, `user.s3.*` (S3's metadata, writable) and `user.pinfold.*` (read-only).

use super::Namespace;
use super::engine::Engine;
use super::inode::{Inode, Place};
use super::lookup::Loaded;
use super::mount_types::XattrMode;
use super::node::dir_row;
use super::s3_limits;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{FileRow, NodeKind, NodeRow, Xattrs};
use crate::meta::schema;
use crate::types::{Caller, Ino};

const META: &[u8] = b"user.s3.meta.";
const TAG: &[u8] = b"user.s3.tag.";
const CONTENT_TYPE: &[u8] = b"user.s3.content-type";
const READ_ONLY: &[u8] = b"user.pinfold.";
/// Linux's limits.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 64 << 10;
/// All stored attributes of an inode together: they live in its row.
const MAX_TOTAL: usize = 256 << 10;

fn no_attribute(name: &[u8]) -> Error {
    Error::new(ErrorKind::NoAttribute, "no such attribute").with("name", String::from_utf8_lossy(name))
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|e| Error::new(ErrorKind::InvalidArgument, "S3 metadata is UTF-8").caused_by(e))
}

/// Which kind of attribute a name is.
enum Kind<'n> {
    Meta(&'n [u8]),
    Tag(&'n [u8]),
    ContentType,
    ReadOnly,
    Stored,
}

fn kind(name: &[u8]) -> Result<Kind<'_>> {
    if name.len() > MAX_NAME {
        return Err(Error::new(ErrorKind::InvalidArgument, "an attribute's name has at most 255 bytes"));
    }
    if [b"user.".as_slice(), b"trusted.", b"security."].contains(&name) {
        return Err(Error::new(ErrorKind::InvalidArgument, "an attribute has a name behind its class"));
    }
    if let Some(rest) = name.strip_prefix(META) {
        return Ok(Kind::Meta(rest));
    }
    if let Some(rest) = name.strip_prefix(TAG) {
        return Ok(Kind::Tag(rest));
    }
    if name == CONTENT_TYPE {
        return Ok(Kind::ContentType);
    }
    if name.starts_with(READ_ONLY) {
        return Ok(Kind::ReadOnly);
    }
    if [b"user.".as_slice(), b"trusted.", b"security."].iter().any(|prefix| name.starts_with(prefix)) {
        return Ok(Kind::Stored);
    }
    Err(Error::new(ErrorKind::Unsupported, "attributes of this class are not kept")
        .with("name", String::from_utf8_lossy(name)))
}

fn get_stored(xattrs: &Xattrs, name: &[u8]) -> Result<Vec<u8>> {
    let found = xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name));
    found.map(|at| xattrs[at].1.clone()).map_err(|_| no_attribute(name))
}

fn set_pair(pairs: &mut Vec<(String, String)>, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
    let (name_text, value) = (text(name)?, text(value)?);
    match (pairs.iter_mut().find(|(n, _)| *n == name_text), mode) {
        (Some(_), XattrMode::Create) => Err(Error::new(ErrorKind::AlreadyExists, "the attribute exists")),
        (None, XattrMode::Replace) => Err(no_attribute(name)),
        (Some(pair), _) => {
            pair.1 = value;
            Ok(())
        }
        (None, _) => {
            pairs.push((name_text, value));
            Ok(())
        }
    }
}

/// What no header and no tag can be; it would be an object that S3 could not have.
fn invalid(what: &'static str, name: &[u8]) -> Error {
    Error::new(ErrorKind::InvalidArgument, what).with("name", String::from_utf8_lossy(name))
}

fn set_metadata(user: &mut Vec<(String, String)>, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
    if !s3_limits::is_metadata_name(&text(name)?) || !s3_limits::is_metadata_value(&text(value)?) {
        return Err(invalid("S3 metadata has a lower-case header's name and a value in one line", name));
    }
    let before = s3_limits::metadata_size(user);
    set_pair(user, name, value, mode)?;
    let size = s3_limits::metadata_size(user);
    // Where more came before there was this limit, it may become less.
    if size > before.max(s3_limits::MAX_USER_METADATA) {
        return Err(Error::new(ErrorKind::NoSpace, "S3 metadata has at most 2 KiB together").with("bytes", size));
    }
    Ok(())
}

fn set_tag(tags: &mut Vec<(String, String)>, key: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
    let key_text = text(key)?;
    if !s3_limits::is_tag_key(&key_text)
        || s3_limits::is_system_tag(&key_text)
        || !s3_limits::is_tag_value(&text(value)?)
    {
        return Err(invalid("this is no key or value that a tag of S3 can have", key));
    }
    let before = tags.len();
    set_pair(tags, key, value, mode)?;
    if tags.len() > before.max(s3_limits::MAX_OBJECT_TAGS) {
        return Err(Error::new(ErrorKind::NoSpace, "an object has at most 10 tags"));
    }
    Ok(())
}

fn set_content_type(file: &mut FileRow, value: &[u8], mode: XattrMode) -> Result<()> {
    let value = text(value)?;
    if !s3_limits::is_header_value(&value) || value.len() > s3_limits::MAX_HEADER {
        return Err(invalid("a content type is one line of ASCII of at most 2 KiB", CONTENT_TYPE));
    }
    let slot = &mut file.meta.headers.content_type;
    match (&slot, mode) {
        (Some(_), XattrMode::Create) => return Err(Error::new(ErrorKind::AlreadyExists, "the attribute exists")),
        (None, XattrMode::Replace) => return Err(no_attribute(CONTENT_TYPE)),
        _ => *slot = Some(value),
    }
    Ok(())
}

fn set_stored(xattrs: &mut Xattrs, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
    match (xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name)), mode) {
        (Ok(_), XattrMode::Create) => return Err(Error::new(ErrorKind::AlreadyExists, "the attribute exists")),
        (Err(_), XattrMode::Replace) => return Err(no_attribute(name)),
        (Ok(at), _) => xattrs[at].1 = value.to_vec(),
        (Err(at), _) => xattrs.insert(at, (name.to_vec(), value.to_vec())),
    }
    if xattrs.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() > MAX_TOTAL {
        return Err(Error::new(ErrorKind::NoSpace, "an inode's attributes have at most 256 KiB together"));
    }
    Ok(())
}

fn remove_stored(xattrs: &mut Xattrs, name: &[u8]) -> Result<()> {
    let at = xattrs.binary_search_by(|(n, _)| n.as_slice().cmp(name)).map_err(|_| no_attribute(name))?;
    xattrs.remove(at);
    Ok(())
}

fn object(node: &mut NodeRow) -> Result<&mut FileRow> {
    node.file_mut().ok_or_else(|| Error::new(ErrorKind::NotPermitted, "only an object has S3 metadata"))
}

impl Engine {
    fn read_only(&self, inode: &Inode, name: &[u8]) -> Result<Vec<u8>> {
        // What these say is of published content.
        self.publish_now(inode.ino)?;
        let node = match self.load(inode)? {
            Loaded::Node(node) => node,
            Loaded::Dir(_) => return Err(no_attribute(name)),
        };
        let file = node.file().ok_or_else(|| no_attribute(name))?;
        match &name[READ_ONLY.len()..] {
            b"cid" => Ok(file.content.root.to_string().into_bytes()),
            b"etag" => Ok(file.meta.etag.0.clone().into_bytes()),
            b"version" if file.meta.version == crate::types::Id::default() => Ok(b"null".to_vec()),
            b"version" => Ok(file.meta.version.to_string().into_bytes()),
            b"pins" => match self.pin_view(&file.content.root)? {
                Some(view) => Ok(view.text().into_bytes()),
                // This node alone holds it.
                None => Ok(b"0 unpinned".to_vec()),
            },
            b"pin-error" => match self.pin_view(&file.content.root)?.and_then(|view| view.error) {
                Some(error) => Ok(error.into_bytes()),
                None => Err(no_attribute(name)),
            },
            b"local" => Ok(file.content.size.to_string().into_bytes()),
            _ => Err(no_attribute(name)),
        }
    }

    fn update_dir_xattrs(
        &self,
        caller: &Caller,
        inode: &Inode,
        change: impl FnOnce(&mut Xattrs) -> Result<()>,
    ) -> Result<()> {
        let bucket = inode.place.read().bucket();
        let updated = self.commit(caller, bucket, Op::SetAttr, |txn| {
            let place = inode.place.read().clone();
            match place {
                Place::Dir { id, .. } => {
                    let mut row = dir_row(txn, id)?;
                    change(&mut row.xattrs)?;
                    row.attr.ctime = txn.now;
                    row.explicit = true;
                    txn.stale_inode(inode.ino, false);
                    txn.put(schema::dir(id), &row)
                }
                Place::OrphanDir { mut row } => {
                    change(&mut row.xattrs)?;
                    txn.moved(inode.ino, Place::OrphanDir { row });
                    Ok(())
                }
                _ => Err(Error::new(ErrorKind::NotADirectory, "not a directory")),
            }
        })?;
        self.sequenced(caller, updated);
        Ok(())
    }
}

impl Namespace {
    /// An extended attribute: stored ones, `user.s3.*` and `user.pinfold.*` (S11). NoAttribute.
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        let kind = kind(name)?;
        let inode = self.0.inode(ino)?;
        if let Kind::ReadOnly = kind {
            return self.0.read_only(&inode, name);
        }
        let node = match self.0.load(&inode)? {
            Loaded::Dir(row) => return get_stored(&row.xattrs, name),
            Loaded::Node(node) => node,
        };
        let pair = |pairs: &[(String, String)], wanted: &[u8]| {
            let found = pairs.iter().find(|(n, _)| n.as_bytes() == wanted);
            found.map(|(_, value)| value.clone().into_bytes()).ok_or_else(|| no_attribute(name))
        };
        let file = node.file();
        match kind {
            Kind::Meta(wanted) => pair(file.map_or(&[], |file| &file.meta.headers.user), wanted),
            Kind::Tag(wanted) => pair(file.map_or(&[], |file| &file.meta.tags), wanted),
            Kind::ContentType => file
                .and_then(|file| file.meta.headers.content_type.clone())
                .map(String::into_bytes)
                .ok_or_else(|| no_attribute(name)),
            _ => get_stored(&node.xattrs, name),
        }
    }

    /// Names of the extended attributes. Those of `user.pinfold.*` are not among them: who copies a file copies the
    /// attributes that are listed (`rsync -X`, `cp --preserve=xattr`, `mv`), and would fail to set what is read-only.
    pub fn listxattr(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        let inode = self.0.inode(ino)?;
        let node = match self.0.load(&inode)? {
            Loaded::Dir(row) => return Ok(row.xattrs.into_iter().map(|(name, _)| name).collect()),
            Loaded::Node(node) => node,
        };
        let mut names: Vec<Vec<u8>> = node.xattrs.iter().map(|(name, _)| name.clone()).collect();
        // A symbolic link has none of class `user` for a kernel, though it is an object.
        if let NodeKind::File(file) = &node.kind {
            let prefixed = |prefix: &[u8], name: &str| [prefix, name.as_bytes()].concat();
            names.extend(file.meta.headers.user.iter().map(|(name, _)| prefixed(META, name)));
            names.extend(file.meta.tags.iter().map(|(name, _)| prefixed(TAG, name)));
            names.extend(file.meta.headers.content_type.iter().map(|_| CONTENT_TYPE.to_vec()));
        }
        // S3 takes longer names than Linux.
        names.retain(|name| name.len() <= MAX_NAME);
        Ok(names)
    }

    /// Sets one. NotPermitted for a read-only one; of S3's, InvalidArgument for what no object can have there, NoSpace for
    /// what does not fit beside the others (`s3_limits`).
    pub fn setxattr(&self, caller: &Caller, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        if value.len() > MAX_VALUE {
            return Err(
                Error::new(ErrorKind::TooLarge, "an attribute's value has at most 64 KiB").with("bytes", value.len())
            );
        }
        let kind = kind(name)?;
        let inode = self.0.inode(ino)?;
        if matches!(kind, Kind::ReadOnly) {
            return Err(Error::new(ErrorKind::NotPermitted, "the attribute is read-only"));
        }
        if matches!(self.0.load(&inode)?, Loaded::Dir(_)) {
            if !matches!(kind, Kind::Stored) {
                return Err(Error::new(ErrorKind::NotPermitted, "only an object has S3 metadata"));
            }
            return self.0.update_dir_xattrs(caller, &inode, |xattrs| set_stored(xattrs, name, value, mode));
        }
        self.0.update_node(caller, &inode, |node, now| {
            node.attr.ctime = now;
            match kind {
                Kind::Meta(key) => set_metadata(&mut object(node)?.meta.headers.user, key, value, mode),
                Kind::Tag(key) => set_tag(&mut object(node)?.meta.tags, key, value, mode),
                Kind::ContentType => set_content_type(object(node)?, value, mode),
                _ => set_stored(&mut node.xattrs, name, value, mode),
            }
        })?;
        Ok(())
    }

    /// Removes one; NoAttribute.
    pub fn removexattr(&self, caller: &Caller, ino: Ino, name: &[u8]) -> Result<()> {
        let kind = kind(name)?;
        let inode = self.0.inode(ino)?;
        if matches!(kind, Kind::ReadOnly) {
            return Err(Error::new(ErrorKind::NotPermitted, "the attribute is read-only"));
        }
        if matches!(self.0.load(&inode)?, Loaded::Dir(_)) {
            return self.0.update_dir_xattrs(caller, &inode, |xattrs| remove_stored(xattrs, name));
        }
        let remove_pair = |pairs: &mut Vec<(String, String)>, key: &[u8]| {
            let at = pairs.iter().position(|(n, _)| n.as_bytes() == key).ok_or_else(|| no_attribute(name))?;
            pairs.remove(at);
            Ok(())
        };
        self.0.update_node(caller, &inode, |node, now| {
            node.attr.ctime = now;
            match kind {
                Kind::Meta(key) => remove_pair(&mut object(node)?.meta.headers.user, key),
                Kind::Tag(key) => remove_pair(&mut object(node)?.meta.tags, key),
                Kind::ContentType => {
                    let file = object(node)?;
                    file.meta.headers.content_type.take().map(|_| ()).ok_or_else(|| no_attribute(name))
                }
                _ => remove_stored(&mut node.xattrs, name),
            }
        })?;
        Ok(())
    }
}
