//! ListObjectVersions: the current objects of a bucket and the versions that it keeps, merged in the order of keys, of each
//! key the newest first.

use std::collections::VecDeque;

use super::Namespace;
use super::engine::Engine;
use super::inode::Holder;
use super::list::{is_rolled_up, roll_up};
use super::object::object_info;
use super::s3_types::{MarkerInfo, VersionItem, VersionPage, VersionsRequest};
use super::walk::{KeyWalk, Step};
use crate::error::Result;
use crate::meta::kept::VersionRow;
use crate::meta::rows::{BucketRow, NodeRow, RowValue};
use crate::meta::schema;
use crate::types::{Caller, Id};

/// Rows read at a time.
const BATCH: usize = 256;

/// The kept versions of a bucket, in order.
pub(super) struct KeptRows<'a> {
    engine: &'a Engine,
    bucket: Id,
    next: Vec<u8>,
    read: VecDeque<(Vec<u8>, VersionRow)>,
    exhausted: bool,
}

impl<'a> KeptRows<'a> {
    pub(super) fn new(engine: &'a Engine, bucket: Id, from: &[u8]) -> Self {
        let mut rows = Self { engine, bucket, next: Vec::new(), read: VecDeque::new(), exhausted: false };
        rows.seek(from);
        rows
    }

    fn seek(&mut self, key: &[u8]) {
        self.next = [schema::versions(self.bucket).as_slice(), key].concat();
        self.read.clear();
        self.exhausted = false;
    }

    fn fill(&mut self) -> Result<()> {
        if self.read.is_empty() && !self.exhausted {
            let end = schema::prefix_end(&schema::versions(self.bucket));
            let rows = self.engine.meta.range(&self.next, &end, BATCH)?;
            self.exhausted = rows.len() < BATCH;
            if let Some((last, _)) = rows.last() {
                self.next = [last.as_slice(), b"\0"].concat();
            }
            for (row_key, value) in rows {
                self.read.push_back((schema::parse_version(&row_key)?.to_vec(), VersionRow::decode(&value)?));
            }
        }
        Ok(())
    }

    pub(super) fn key(&mut self) -> Result<Option<Vec<u8>>> {
        self.fill()?;
        Ok(self.read.front().map(|(key, _)| key.clone()))
    }

    pub(super) fn take_of(&mut self, key: &[u8]) -> Result<Option<VersionRow>> {
        self.fill()?;
        match self.read.front() {
            Some((found, _)) if found == key => Ok(self.read.pop_front().map(|(_, row)| row)),
            _ => Ok(None),
        }
    }
}

/// The current objects of a bucket, in order.
pub(super) struct Current<'a> {
    walk: KeyWalk<'a>,
    ahead: Option<(Vec<u8>, Holder, NodeRow)>,
}

impl<'a> Current<'a> {
    pub(super) fn new(engine: &'a Engine, bucket: &BucketRow, from: &[u8]) -> Result<Self> {
        Ok(Self { walk: KeyWalk::new(engine, bucket.id, bucket.profile, from)?, ahead: None })
    }

    fn fill(&mut self) -> Result<()> {
        while self.ahead.is_none() {
            match self.walk.next()? {
                None => return Ok(()),
                Some(Step::Directory { path, id }) => self.walk.descend(id, path),
                Some(Step::Object { key, holder, node }) => self.ahead = Some((key, holder, *node)),
            }
        }
        Ok(())
    }

    pub(super) fn key(&mut self) -> Result<Option<Vec<u8>>> {
        self.fill()?;
        Ok(self.ahead.as_ref().map(|(key, ..)| key.clone()))
    }

    pub(super) fn take_with_holder(&mut self, key: &[u8]) -> Result<Option<(Holder, NodeRow)>> {
        self.fill()?;
        Ok(self.ahead.take_if(|(found, ..)| found == key).map(|(_, holder, node)| (holder, node)))
    }

    fn take_of(&mut self, key: &[u8]) -> Result<Option<NodeRow>> {
        Ok(self.take_with_holder(key)?.map(|(_, node)| node))
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.ahead = None;
        self.walk.seek(key)
    }
}

impl Engine {
    fn version_page(&self, bucket: &BucketRow, request: &VersionsRequest) -> Result<VersionPage> {
        let mut page = VersionPage::default();
        let VersionsRequest { prefix, delimiter, after, max } = request;
        if *max == 0 {
            return Ok(page);
        }
        // The key at which the last page ended, and the version of it that was its last.
        let (mut resumed, first) = match after {
            None => (None, prefix.clone()),
            Some((key, Some(version))) => (Some((key.clone(), *version)), key.clone().max(prefix.clone())),
            Some((key, None)) if is_rolled_up(key, prefix, delimiter) => (None, schema::prefix_end(key)),
            Some((key, None)) => (None, [key.as_slice(), b"\x01"].concat().max(prefix.clone())),
        };
        let mut current = Current::new(self, bucket, &first)?;
        let mut kept = KeptRows::new(self, bucket.id, &first);
        loop {
            let Some(key) = [current.key()?, kept.key()?].into_iter().flatten().min() else { return Ok(page) };
            if !key.starts_with(prefix) {
                return Ok(page);
            }
            if let Some(common) = roll_up(&key, prefix, delimiter) {
                if page.items.len() == *max {
                    page.truncated = true;
                    return Ok(page);
                }
                page.items.push(VersionItem::Prefix(common.to_vec()));
                let next = schema::prefix_end(common);
                current.seek(&next)?;
                kept.seek(&next);
                continue;
            }
            let mut skip = resumed.take_if(|(from, _)| *from == key).map(|(_, version)| version);
            let mut newest = true;
            if let Some(node) = current.take_of(&key)? {
                newest = false;
                let info = object_info(key.clone(), &node)?;
                match skip {
                    Some(version) if version == info.meta.version => skip = None,
                    Some(_) => {}
                    None if page.items.len() == *max => {
                        page.truncated = true;
                        return Ok(page);
                    }
                    None => page.items.push(VersionItem::Object(Box::new(info), true)),
                }
            }
            while let Some(row) = kept.take_of(&key)? {
                let latest = std::mem::take(&mut newest) && row.node.is_none();
                match skip {
                    Some(version) if version == row.version => skip = None,
                    Some(_) => {}
                    None if page.items.len() == *max => {
                        page.truncated = true;
                        return Ok(page);
                    }
                    None => page.items.push(match row.node {
                        Some(node) => VersionItem::Object(Box::new(object_info(key.clone(), &node)?), latest),
                        None => VersionItem::Marker(
                            MarkerInfo { key: key.clone(), version: row.version, made: row.made },
                            latest,
                        ),
                    }),
                }
            }
        }
    }
}

impl Namespace {
    /// A page of the versions that a bucket has.
    pub async fn list_versions(&self, _caller: &Caller, bucket: &str, request: VersionsRequest) -> Result<VersionPage> {
        let row = self.0.bucket_row(bucket)?;
        Engine::blocking(|| self.0.version_page(&row, &request))
    }
}
