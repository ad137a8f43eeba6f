//! Buckets: directories under the namespace root (S1).

use std::sync::Arc;

use super::Namespace;
use super::ROOT_DIR;
use super::engine::Engine;
use super::inode::Place;
use super::node::{dir_row, fresh_attr};
use super::s3_types::BucketInfo;
use super::txn::{Committed, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::iam::bucket::document;
use crate::meta::record::Op;
use crate::meta::rows::{BucketRow, BucketSettings, DirRow};
use crate::meta::{rows::RowValue, schema};
use crate::types::{BucketName, Caller, Id, Ino};
use crate::unixfs::Profile;

/// Permission bits of a bucket's directory.
const BUCKET_MODE: u32 = 0o755;

impl BucketInfo {
    pub(super) fn from_row(name: &str, row: BucketRow) -> Self {
        Self {
            id: row.id,
            name: name.to_owned(),
            created: row.created,
            owner: row.owner,
            profile: row.profile,
            region: row.region,
            tags: row.tags,
            settings: row.settings,
        }
    }
}

impl Engine {
    /// Creates a bucket with its root directory; sequenced, not yet durable.
    pub(super) fn make_bucket(
        &self,
        caller: &Caller,
        name: &BucketName,
        region: Option<String>,
        profile: Profile,
        settings: Arc<BucketSettings>,
        tags: Vec<(String, String)>,
        mode: u32,
    ) -> Result<Committed<(BucketInfo, DirRow)>> {
        let ino = self.inos.next(self)?;
        let id = Id::random();
        self.with_system_lock(|| {
            if let Some(row) = self.row::<BucketRow>(&schema::bucket(name.as_str()))? {
                return Err(Error::new(ErrorKind::AlreadyExists, "the bucket exists")
                    .with("bucket", name)
                    .with("owner", row.owner));
            }
            self.commit(caller, id, Op::CreateBucket, |txn| {
                let bucket = BucketRow {
                    id,
                    created: txn.now,
                    owner: caller.principal.clone(),
                    profile,
                    region,
                    tags,
                    settings,
                };
                let dir = DirRow {
                    attr: fresh_attr(ino, mode, caller.uid, caller.gid, txn.now),
                    bucket: id,
                    parent: None,
                    name: name.as_str().as_bytes().to_vec(),
                    explicit: true,
                    marker: None,
                    subdirs: 0,
                    xattrs: Vec::new(),
                };
                txn.put(schema::bucket(name.as_str()), &bucket)?;
                txn.put(schema::dir(id), &dir)?;
                txn.stale_entry(Ino::ROOT, name.as_str().as_bytes());
                Ok((BucketInfo::from_row(name.as_str(), bucket), dir))
            })
        })
    }

    /// Looks which buckets keep something, have a quota or tell of what happens, at a start.
    pub(super) fn note_keeping(&self) -> Result<()> {
        self.each_bucket(|name, row| {
            self.keeping.note(&row);
            self.quotas.note(&row);
            self.notifying.note(name, &row);
            Ok(())
        })
    }

    pub(super) fn each_bucket(&self, mut each: impl FnMut(&str, BucketRow) -> Result<()>) -> Result<()> {
        let prefix = schema::bucket("");
        let (mut start, end) = (prefix.clone(), schema::prefix_end(&prefix));
        loop {
            let rows = self.meta.range(&start, &end, 1000)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            start = [last.as_slice(), b"\0"].concat();
            for (key, value) in &rows {
                let name = std::str::from_utf8(&key[1..])
                    .map_err(|e| Error::corrupt("a bucket's name is not UTF-8").caused_by(e))?;
                each(name, BucketRow::decode(value)?)?;
            }
        }
    }

    /// Deletes an empty bucket; sequenced, not yet durable.
    pub(super) fn remove_bucket(&self, caller: &Caller, name: &str) -> Result<Committed<()>> {
        self.with_system_lock(|| {
            let row = self.bucket_row(name)?;
            self.commit(caller, row.id, Op::DeleteBucket, |txn| {
                let root = dir_row(txn, row.id)?;
                let kept = schema::versions(row.id);
                let has_versions = self.meta.first(&kept, &schema::prefix_end(&kept))?.is_some();
                if has_versions || !txn.is_empty_dir(row.id)? {
                    let versioned = has_versions || txn.kept().versions();
                    let what = if versioned { "the bucket has versions" } else { "the bucket is not empty" };
                    return Err(Error::new(ErrorKind::NotEmpty, what).with("bucket", name));
                }
                txn.end_uploads(row.id)?;
                txn.delete(schema::bucket(name));
                txn.delete(schema::dir(row.id));
                txn.delete(schema::stream_position(row.id));
                txn.delete(schema::unlisted(row.id));
                txn.delete(schema::usage(row.id));
                txn.stale_entry(Ino::ROOT, name.as_bytes());
                txn.moved(root.attr.ino, Place::OrphanDir { row: Box::new(root) });
                Ok(())
            })
        })
    }
}

impl Namespace {
    /// Creates a bucket with the default profile. AlreadyExists carries the context `owner`.
    pub async fn create_bucket(
        &self,
        caller: &Caller,
        name: &BucketName,
        region: Option<String>,
    ) -> Result<BucketInfo> {
        self.create_bucket_with_profile(caller, name, region, Profile::default()).await
    }

    /// As [`Namespace::create_bucket`], with the UnixFS profile that gives all its objects their CIDs, for good (S18).
    pub async fn create_bucket_with_profile(
        &self,
        caller: &Caller,
        name: &BucketName,
        region: Option<String>,
        profile: Profile,
    ) -> Result<BucketInfo> {
        self.create_bucket_tagged(caller, name, region, profile, BucketSettings::default(), Vec::new()).await
    }

    /// As [`Namespace::create_bucket_with_profile`], with settings and tags from the start.
    pub async fn create_bucket_tagged(
        &self,
        caller: &Caller,
        name: &BucketName,
        region: Option<String>,
        profile: Profile,
        settings: BucketSettings,
        tags: Vec<(String, String)>,
    ) -> Result<BucketInfo> {
        let made = self.0.make_bucket(caller, name, region, profile, Arc::new(settings), tags, BUCKET_MODE)?;
        Ok(self.0.acknowledged(caller, made).await?.0)
    }

    /// NoSuchBucket if there is none.
    pub fn bucket(&self, name: &str) -> Result<BucketInfo> {
        Ok(BucketInfo::from_row(name, self.0.bucket_row(name)?))
    }

    /// All buckets by name.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        let mut buckets = Vec::new();
        self.0.each_bucket(|name, row| {
            buckets.push(BucketInfo::from_row(name, row));
            Ok(())
        })?;
        Ok(buckets)
    }

    /// Deletes an empty bucket, else NotEmpty. Uploads in progress are aborted.
    pub async fn delete_bucket(&self, caller: &Caller, name: &str) -> Result<()> {
        let removed = self.0.remove_bucket(caller, name)?;
        self.0.acknowledged(caller, removed).await
    }

    /// Replaces a bucket's tags.
    pub async fn set_bucket_tags(&self, caller: &Caller, name: &str, tags: Vec<(String, String)>) -> Result<()> {
        self.change_bucket(caller, name, |row| {
            row.tags = tags;
            Ok(())
        })
        .await
    }

    /// Gives a bucket to another account. What the old owner allowed others by policy and list goes with him.
    pub async fn set_bucket_owner(&self, caller: &Caller, name: &str, owner: String) -> Result<()> {
        self.change_bucket(caller, name, |row| {
            row.owner = owner;
            if [document::POLICY, document::ACL].iter().any(|d| row.settings.documents.contains_key(*d)) {
                let settings = Arc::make_mut(&mut row.settings);
                settings.documents.retain(|name, _| name != document::POLICY && name != document::ACL);
            }
            Ok(())
        })
        .await
    }

    /// Changes what a bucket is set to. `change` sees the settings as of the log's head and may refuse.
    pub async fn change_bucket_settings(
        &self,
        caller: &Caller,
        name: &str,
        change: impl FnOnce(&mut BucketSettings) -> Result<()>,
    ) -> Result<()> {
        self.change_bucket(caller, name, |row| change(Arc::make_mut(&mut row.settings))).await
    }

    /// Sets or, with `None`, removes one of a bucket's documents. Returns whether there was one.
    pub async fn set_bucket_document(
        &self,
        caller: &Caller,
        name: &str,
        document: &str,
        text: Option<String>,
    ) -> Result<bool> {
        let mut old = None;
        self.change_bucket_settings(caller, name, |settings| {
            old = match text {
                Some(text) => settings.documents.insert(document.to_owned(), text),
                None => settings.documents.remove(document),
            };
            Ok(())
        })
        .await?;
        Ok(old.is_some())
    }

    async fn change_bucket(
        &self,
        caller: &Caller,
        name: &str,
        change: impl FnOnce(&mut BucketRow) -> Result<()>,
    ) -> Result<()> {
        let id = self.0.bucket_row(name)?.id;
        let changed = self.0.commit(caller, id, Op::SetAttr, |txn| {
            let mut row = txn.engine.bucket_row(name)?;
            change(&mut row)?;
            txn.put(schema::bucket(name), &row)
        })?;
        self.0.acknowledged(caller, changed).await
    }

    pub(super) fn root_row(&self) -> Result<DirRow> {
        dir_row(&*self.0, ROOT_DIR)
    }
}
