//! Which blocks go out to IPFS, and from where: those of what a name or a kept version of an open bucket holds now.
//!
//! A block may be part of many objects: one of an open bucket is enough, since its bytes are out already. What no row holds
//! (a deleted object that still waits for the collector, the parts of an upload) stays in. Blocks of sealed content are
//! sealed: they go out as they are stored. Nodes of directories go out of what [`super::pictures`] keeps.

use std::sync::Arc;

use bytes::Bytes;

use super::Namespace;
use super::engine::Engine;
use super::txn::Rows;
use crate::error::{ErrorKind, Result};
use crate::ipfs::serve::{Source, not_here};
use crate::meta::rows::{BucketRow, DirRow};
use crate::meta::schema;
use crate::types::{Caller, Cid, Id};
use crate::unixfs::{self, BlockSource};

/// Name of the bucket's document that says whether its blocks go out; none means that they do.
const DOCUMENT: &str = "provide";
/// What the document says of a closed bucket.
const CLOSED: &str = "off";
/// Names of one content that are read at a time, and how often: more than so many names in closed buckets hide one in an open one.
const PAGE: usize = 64;
const PAGES: usize = 64;

/// The blocks of a namespace that may go out.
#[derive(Clone)]
pub struct Provided(Arc<Engine>);

impl Namespace {
    /// What may go out to IPFS.
    pub fn provided(&self) -> Provided {
        Provided(Arc::clone(&self.0))
    }

    /// Opens a bucket to IPFS, which it is from the start, or closes it.
    pub async fn set_bucket_provided(&self, caller: &Caller, name: &str, open: bool) -> Result<()> {
        let text = (!open).then(|| CLOSED.to_owned());
        self.set_bucket_document(caller, name, DOCUMENT, text).await.map(drop)
    }

    /// Whether a bucket's blocks go out.
    pub fn is_bucket_provided(&self, name: &str) -> Result<bool> {
        Ok(is_open(&self.0.bucket_row(name)?))
    }
}

fn is_open(bucket: &BucketRow) -> bool {
    bucket.settings.documents.get(DOCUMENT).is_none_or(|text| text != CLOSED)
}

impl Engine {
    /// Whether a row of an open bucket holds this content.
    fn is_let_out(&self, digest: &[u8; 32]) -> Result<bool> {
        let prefix = schema::held(digest, b"");
        let (mut start, end) = (prefix.clone(), schema::prefix_end(&prefix));
        for _ in 0..PAGES {
            let rows = self.meta.range(&start, &end, PAGE)?;
            for (key, _) in &rows {
                if self.is_open_holder(&key[prefix.len()..])? {
                    return Ok(true);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => start = [last.as_slice(), b"\0"].concat(),
                _ => break,
            }
        }
        Ok(false)
    }

    /// Whether the row of this key is one of an open bucket, and not of an upload.
    fn is_open_holder(&self, holder: &[u8]) -> Result<bool> {
        let bucket = match holder {
            [b'E' | b'D', rest @ ..] => {
                let dir = rest.first_chunk::<16>().map(|id| Id(*id));
                let row = dir.map(|dir| self.row::<DirRow>(&schema::dir(dir))).transpose()?.flatten();
                row.map(|dir| dir.bucket)
            }
            [b'W', rest @ ..] => rest.first_chunk::<16>().map(|id| Id(*id)),
            // An inode with several names does not say where they are: it goes out where no bucket is closed.
            [b'N', ..] => return self.has_no_closed_bucket(),
            _ => None,
        };
        bucket.map_or(Ok(false), |bucket| self.is_open_bucket(bucket))
    }

    fn is_open_bucket(&self, id: Id) -> Result<bool> {
        let Some(root) = self.row::<DirRow>(&schema::dir(id))? else { return Ok(false) };
        let name = String::from_utf8_lossy(&root.name);
        match self.bucket_row(&name) {
            Ok(row) => Ok(row.id == id && is_open(&row)),
            Err(e) if e.kind() == ErrorKind::NoSuchBucket => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn has_no_closed_bucket(&self) -> Result<bool> {
        let mut all_open = true;
        self.each_bucket(|_, row| {
            all_open &= is_open(&row);
            Ok(())
        })?;
        Ok(all_open)
    }

    /// A directory's node that was made for an open bucket's CID.
    fn of_picture(&self, digest: &[u8; 32]) -> Result<Option<Bytes>> {
        let Some((bytes, buckets)) = self.pictures.find(digest) else { return Ok(None) };
        for bucket in buckets {
            if self.is_open_bucket(bucket)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Whether a block may go out, if it is here.
    fn may_go_out(&self, digest: &[u8; 32]) -> Result<bool> {
        // Everybody has zeros.
        if self.chunks.is_zeros(digest) {
            return Ok(true);
        }
        self.chunks.any_object_with(digest, &mut |root| self.is_let_out(root))
    }
}

impl BlockSource for Provided {
    /// NotFound also for a block that is here and must not go out. Corrupt if there are only damaged copies.
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        let Ok(digest) = unixfs::digest_of(cid) else { return Err(not_here(cid)) };
        if !self.0.may_go_out(&digest)? {
            return self.0.of_picture(&digest)?.ok_or_else(|| not_here(cid));
        }
        // Checked now, whatever was found good before: it goes out under its hash.
        self.0.chunks.block(cid)?.ok_or_else(|| not_here(cid))
    }
}

impl Source for Provided {
    fn len(&self, cid: &Cid) -> Result<Option<u64>> {
        let Ok(digest) = unixfs::digest_of(cid) else { return Ok(None) };
        match self.0.chunks.block_len(&digest)? {
            Some(len) if self.0.may_go_out(&digest)? => Ok(Some(len)),
            _ => Ok(self.0.of_picture(&digest)?.map(|bytes| bytes.len() as u64)),
        }
    }
}

impl std::fmt::Debug for Provided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provided")
    }
}
