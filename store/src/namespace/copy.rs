//! CopyObject: a new name for content that is stored already. No bytes move, unless the buckets differ in profile.

use std::sync::Arc;

use super::Namespace;
use super::condition::check_read;
use super::engine::Engine;
use super::notices::Event;
use super::object::{NewObject, object_info};
use super::s3_types::{CopyRequest, ObjectInfo, PutMeta, ReadVerdict};
use crate::chunk::Stored;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Content, NodeKind};
use crate::types::Caller;
use crate::unixfs::Profile;

impl Namespace {
    /// CopyObject. PreconditionFailed if a condition on the source does not hold (a copy has no 304).
    pub async fn copy(
        &self,
        caller: &Caller,
        source: (&str, &[u8]),
        destination: (&str, &[u8]),
        request: CopyRequest,
    ) -> Result<ObjectInfo> {
        let from = self.0.bucket_row(source.0)?;
        let to = self.0.bucket_row(destination.0)?;
        let node = match request.source_version {
            None => Engine::blocking(|| self.0.published(&from, source.0, source.1))?.1,
            version => self.read_version(&from, source.0, source.1, version)?,
        };
        let info = object_info(source.1.to_vec(), &node)?;
        if check_read(&request.source_precondition, &info.meta.etag.0, info.meta.last_modified) != ReadVerdict::Proceed
        {
            return Err(Error::new(ErrorKind::PreconditionFailed, "a condition on the copy source did not hold"));
        }
        if !request.precondition.is_empty() || self.0.keeping.of(to.id).versions() {
            self.0.publish_for_condition(&to, destination.1)?;
        }
        // Keeps the content from collection until the new name holds it, even if the source goes meanwhile.
        let held = self.0.chunks.reader(&info.cid, info.size)?;
        let recut = self.recut(&info, from.profile, to.profile).await?;
        let (root, leaves) = recut.as_ref().map_or((info.cid, info.leaves), |stored| (stored.root, stored.leaves));
        let (headers, posix) = request.replace_meta.unwrap_or_else(|| (info.meta.headers.clone(), info.shown_posix()));
        let object = NewObject {
            content: Content { mode: 0, profile: to.profile, root, size: info.size, leaves },
            // A copy keeps its source's ETag: same bytes, and what a client compares.
            etag: info.meta.etag,
            meta: PutMeta {
                headers,
                tags: request.replace_tags.unwrap_or(info.meta.tags),
                checksum: info.meta.checksum,
                posix,
                lock: request.lock,
            },
            parts: info.meta.parts,
            symlink: match &node.kind {
                NodeKind::Symlink(_, target) => Some(target.clone()),
                _ => None,
            },
        };
        let copied = self.0.commit(caller, to.id, Op::Put, |txn| {
            let node = txn.put_object(destination.1, object, &request.precondition)?;
            txn.tell(Event::Copy, destination.1, node.file(), None)?;
            Ok(node)
        })?;
        drop((held, recut));
        let node = self.0.acknowledged(caller, copied).await?;
        object_info(destination.1.to_vec(), &node)
    }

    /// The object's bytes stored with the CID they have in the destination's profile (S18); none if it is the same.
    async fn recut(&self, info: &ObjectInfo, from: Profile, to: Profile) -> Result<Option<Stored>> {
        // One chunk is the same block in both, and such a block is all that can be inline.
        if from == to || info.size <= from.chunk_size().min(to.chunk_size()) as u64 {
            return Ok(None);
        }
        let (engine, content) = (Arc::clone(&self.0), [(info.cid, info.size)]);
        let stored = tokio::task::spawn_blocking(move || engine.chunks.concat(&content, to)).await;
        stored.map_err(|e| Error::new(ErrorKind::Internal, "a copy's bytes ended early").caused_by(e))?.map(Some)
    }
}
