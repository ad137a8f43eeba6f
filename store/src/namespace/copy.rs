//! CopyObject: a new name for content that is stored already. No bytes move, unless the buckets differ in profile
//! or the copy is sealed with another key.

use std::sync::Arc;

use super::Namespace;
use super::condition::check_read;
use super::engine::Engine;
use super::notices::Event;
use super::object::{NewObject, object_info};
use super::s3_types::{CopyRequest, ObjectInfo, PutMeta, ReadVerdict};
use super::sealing::{content_of, customer_etag};
use crate::chunk::{ObjectReader, ObjectWriter, Sealing, Stored, WriteOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Content, NodeKind};
use crate::meta::seal::{Seal, SealKey};
use crate::types::{Caller, ETag};
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
        let Some(content) = node.file().map(|file| file.content.clone()) else {
            return Err(Error::new(ErrorKind::NotFound, "a special file is not an object"));
        };
        // Also keeps the content from collection until the new name holds it, even if the source goes meanwhile.
        let held = Arc::new(self.0.reader(&content, request.source_customer.as_ref())?);
        let target = (destination.0, from.profile, to.profile);
        let mut anew = self.stored_anew(&content, &held, target, request.sealing).await?;
        let (content, md5) = match &anew {
            Some(stored) => (content_of(stored, to.profile), stored.md5.filter(|_| is_customers(&content))),
            None => (Content { profile: to.profile, ..content }, None),
        };
        let inline = anew.as_mut().and_then(|stored| stored.inline.take());
        // A copy keeps its source's ETag: same bytes, and what a client compares. That of a client's key is none of the bytes.
        let own = md5.map(|md5| ETag(hex::encode(md5)));
        let etag = customer_etag(&content)?.or(own).unwrap_or_else(|| info.meta.etag.clone());
        let (headers, posix) = request.replace_meta.unwrap_or_else(|| (info.meta.headers.clone(), info.shown_posix()));
        let object = NewObject {
            content,
            etag,
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
            txn.carry(inline);
            let node = txn.put_object(destination.1, object, &request.precondition)?;
            txn.tell(Event::Copy, destination.1, node.file(), None)?;
            Ok(node)
        })?;
        if let Some(stored) = anew {
            stored.committed();
        }
        drop(held);
        let node = self.0.acknowledged(caller, copied).await?;
        object_info(destination.1.to_vec(), &node)
    }

    /// The copy's bytes, where they are not to be the source's own: under another key, or cut by another profile (S18).
    async fn stored_anew(
        &self,
        content: &Content,
        held: &Arc<ObjectReader>,
        (bucket, from, to): (&str, Profile, Profile),
        sealing: Option<Sealing>,
    ) -> Result<Option<Stored>> {
        if same_key(content, sealing.as_ref()) && from == to {
            return Ok(None);
        }
        let (engine, source) = (Arc::clone(&self.0), [(content.root, content.size)]);
        let stored = if sealing.is_none() && content.seal.is_none() {
            // One chunk is the same block in both, and such a block is all that can be inline.
            if content.size <= from.chunk_size().min(to.chunk_size()) as u64 {
                return Ok(None);
            }
            tokio::task::spawn_blocking(move || engine.chunks.concat(&source, to)).await
        } else {
            let options = WriteOptions { md5: true, size_hint: Some(content.size) };
            let (writer, reader) = (self.writer_sealed(bucket, options, sealing)?, Arc::clone(held));
            tokio::task::spawn_blocking(move || rewrite(&reader, writer)).await
        };
        stored.map_err(|e| Error::new(ErrorKind::Internal, "a copy's bytes ended early").caused_by(e))?.map(Some)
    }
}

/// Bytes that are read and written at a time.
const PIECE: usize = 1 << 20;

fn rewrite(reader: &ObjectReader, mut writer: ObjectWriter) -> Result<Stored> {
    let mut at = 0;
    while at < reader.size() {
        let piece = reader.read_at(at, PIECE)?;
        writer.write(&piece)?;
        at += piece.len() as u64;
    }
    writer.finish()
}

/// Whether what is stored is what would be stored: plain, or under the same bucket's key.
fn same_key(content: &Content, sealing: Option<&Sealing>) -> bool {
    match (content.seal.as_deref().map(|seal| &seal.key), sealing.map(|sealing| &sealing.names)) {
        (None, None) => true,
        (Some(SealKey::Bucket { key }), Some(SealKey::Bucket { key: other })) => key == other,
        _ => false,
    }
}

fn is_customers(content: &Content) -> bool {
    matches!(content.seal.as_deref(), Some(Seal { key: SealKey::Customer { .. }, .. }))
}
