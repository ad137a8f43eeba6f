//! RenameObject: an object gets another key of its bucket, in one record. No bytes move, and nobody sees it at both keys
//! or at none.

use super::Namespace;
use super::condition::{check_read, check_write};
use super::inode::Holder;
use super::lookup::Found;
use super::mount_types::{Form, Name};
use super::node::find_node;
use super::notices::Event;
use super::object::no_such_key;
use super::path::{KeyPath, walk};
use super::s3_types::{Precondition, ReadVerdict};
use super::txn::Txn;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{BucketRow, NodeRow};
use crate::types::Caller;

fn refused(which: &'static str) -> Error {
    Error::new(ErrorKind::PreconditionFailed, "a condition of the rename did not hold").with("condition", which)
}

/// The object's own name, whatever else has it.
fn object(bytes: &[u8]) -> Name<'_> {
    Name { bytes, form: Form::Object }
}

impl Txn<'_> {
    fn object_at(&self, path: &KeyPath<'_>) -> Result<Option<(Holder, NodeRow)>> {
        let (Some(dir), Some(name)) = (walk(self, self.bucket, &path.dirs)?, path.name) else { return Ok(None) };
        Ok(find_node(self, dir, name)?.filter(|(_, node)| node.file().is_some()))
    }

    fn rename_object(
        &mut self,
        bucket: &str,
        (from_key, to_key): (&[u8], &[u8]),
        (source_condition, target_condition): (&Precondition, &Precondition),
    ) -> Result<()> {
        let (from, to) = (KeyPath::parse(from_key)?, KeyPath::parse_new(to_key)?);
        let (Some(from_name), Some(to_name)) = (from.name, to.name) else {
            return Err(Error::new(ErrorKind::InvalidArgument, "a key that ends in a slash is not renamed"));
        };
        let source = self.object_at(&from)?.ok_or_else(|| no_such_key(bucket, from_key))?;
        let file = source.1.file().ok_or_else(|| no_such_key(bucket, from_key))?;
        if check_read(source_condition, &file.meta.etag.0, file.meta.last_modified) != ReadVerdict::Proceed {
            return Err(refused("x-amz-rename-source-if-*"));
        }
        let target = self.object_at(&to)?;
        let current = target.as_ref().and_then(|(_, node)| node.file());
        check_write(target_condition, current.map(|f| (f.meta.etag.0.as_str(), f.meta.last_modified, f.content.size)))?;
        if let Some(current) = current
            && check_read(target_condition, &current.meta.etag.0, current.meta.last_modified) != ReadVerdict::Proceed
        {
            return Err(refused("If-*"));
        }
        if from_key == to_key {
            return Ok(());
        }
        let from_dir = walk(self, self.bucket, &from.dirs)?.ok_or_else(|| no_such_key(bucket, from_key))?;
        let to_dir = self.make_dirs(&to.dirs)?;
        let special = find_node(self, to_dir, to_name)?.is_some_and(|(_, node)| node.file().is_none());
        if special {
            return Err(Error::new(ErrorKind::InvalidArgument, "a special file of the mount has this name"));
        }
        let mut source = Found::Node(source.0, source.1);
        self.before_move(from_dir, object(from_name), &mut source, false)?;
        if let Some((holder, node)) = target {
            if node.attr.ino != source.ino() {
                self.replace(to_dir, object(to_name), &source, Found::Node(holder, node))?;
            } else {
                // Two names of one file: the one that is moved goes.
                self.unname(&holder, node, Some((to_dir, to_name)))?;
                if let Found::Node(holder, node) = &mut source
                    && let Some((now_at, now)) = find_node(self, from_dir, from_name)?
                {
                    (*holder, *node) = (now_at, now);
                }
            }
        }
        self.detach(from_dir, from_name, &source)?;
        self.attach(to_dir, to_name, &source)?;
        if let Found::Node(_, node) = &source
            && let Some(file) = node.file()
        {
            self.lock_new(to_key, file.meta.version, None)?;
            let event = if self.kept().versions() { Event::Marked } else { Event::Removed };
            self.tell(event, from_key, None, None)?;
            self.tell(Event::Copy, to_key, Some(file), None)?;
        }
        for (dir, name) in [(from_dir, from_name), (to_dir, to_name)] {
            let row = self.touch_dir(dir, 0, false)?;
            self.stale_entry(row.attr.ino, name);
        }
        self.prune(from_dir)
    }
}

impl Namespace {
    /// RenameObject: what `from` holds gets the key `to` in the same bucket, in place of what is there. Where the bucket
    /// keeps versions, `from` keeps its own under a delete marker, and what moves is a new version. NotFound,
    /// PreconditionFailed, ObjectLocked; InvalidArgument for keys that end in a slash.
    pub async fn rename_object(
        &self,
        caller: &Caller,
        bucket: &str,
        (from, to): (&[u8], &[u8]),
        (source, target): (Precondition, Precondition),
    ) -> Result<()> {
        let row: BucketRow = self.0.bucket_row(bucket)?;
        self.0.publish_for_condition(&row, from)?;
        self.0.publish_for_condition(&row, to)?;
        let renamed = self
            .0
            .commit(caller, row.id, Op::Rename, |txn| txn.rename_object(bucket, (from, to), (&source, &target)))?;
        self.0.acknowledged(caller, renamed).await
    }
}
