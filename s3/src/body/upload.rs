//! A request's body to the store: hashed and written on blocking threads in batches, one batch ahead of the network.
//! A client that goes away leaves nothing: the writer is dropped with the request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use pinfold_store::Result;
use pinfold_store::chunk::{ObjectWriter, Sealing, Stored, WriteOptions};
use pinfold_store::meta::rows::Checksum;
use pinfold_store::namespace::Namespace;
use pinfold_store::types::Id;
use s3s::dto::StreamingBlob;
use s3s::{S3ErrorCode, S3Result, TrailingHeaders};
use tokio::task::JoinHandle;

use crate::checksum::{Plan, Running};
use crate::error::{OrS3, from_body, internal, plain, with_detail};
use crate::scope::Scope;

/// Bytes that are handed to a blocking thread at once. Two batches are in memory: one being written, one arriving.
const BATCH: usize = 512 * 1024;
/// Pieces that are handed over at once, however small: a client that sends bytes one by one gains nothing.
const BATCH_PIECES: usize = 1024;
/// Up to this many bytes a body is collected and stored in one go.
const SMALL: u64 = 64 * 1024;
/// Up to this many bytes storing touches no disk (the body travels in the commit record): no thread is needed.
const INLINE: u64 = 4 * 1024;
/// Largest body of one request: S3's limit.
pub(crate) const MAX_BODY: u64 = 5 << 30;

/// A body in the store, checked but not yet named.
pub(crate) struct Uploaded {
    /// The stored content.
    pub(crate) stored: Stored,
    /// Its MD5.
    pub(crate) md5: [u8; 16],
    /// Its checksum.
    pub(crate) checksum: Checksum,
    /// The checksum that the client sent, if any.
    pub(crate) sent: Option<Checksum>,
}

/// What a request promises about its body.
pub(crate) struct Expected {
    /// Its length; `None` if it bounds itself and nobody knows (a form's file).
    pub(crate) length: Option<u64>,
    /// `Content-MD5`, decoded.
    pub(crate) md5: Option<[u8; 16]>,
    /// Checksum to verify and keep.
    pub(crate) plan: Plan,
    /// Where a trailer's value appears once the body was read.
    pub(crate) trailers: Option<TrailingHeaders>,
    /// The part of an upload that it becomes.
    pub(crate) part: Option<PartOf>,
    /// What seals it; none is plain.
    pub(crate) sealing: Option<Sealing>,
}

/// A part of a multipart upload: its bytes go to its place in the upload's file.
#[derive(Clone, Copy)]
pub(crate) struct PartOf {
    /// The upload.
    pub(crate) upload: Id,
    /// From 1.
    pub(crate) number: u32,
}

/// A writer for a body that becomes an object, or a part.
pub(crate) fn writer(
    namespace: &Namespace,
    bucket: &str,
    options: WriteOptions,
    part: Option<PartOf>,
    sealing: Option<Sealing>,
) -> Result<ObjectWriter> {
    let mut writer = namespace.writer_sealed(bucket, options, sealing)?;
    if let Some(PartOf { upload, number }) = part {
        writer.as_part(upload, number);
    }
    Ok(writer)
}

/// Stores a body and verifies all that was promised.
pub(crate) async fn store(
    namespace: &Namespace,
    bucket: &str,
    body: Option<StreamingBlob>,
    expected: Expected,
    scope: &Scope,
) -> S3Result<Uploaded> {
    let options = WriteOptions { md5: true, size_hint: expected.length };
    let (stored, running) = match expected.length.filter(|length| *length <= SMALL) {
        Some(length) => small(namespace, bucket, body, options, &expected, length, scope).await?,
        None => large(namespace, bucket, body, options, &expected, scope).await?,
    };
    let Some(md5) = stored.md5 else { return Err(internal("a writer computed no MD5", "asked for")) };
    if let Some(said) = expected.md5.filter(|said| *said != md5) {
        let error = with_detail(plain(S3ErrorCode::BadDigest), "CalculatedDigest", &STANDARD.encode(md5));
        return Err(with_detail(error, "ExpectedDigest", &hex::encode(said)));
    }
    let verified = expected.plan.verify(running, expected.trailers.as_ref())?;
    Ok(Uploaded { stored, md5, checksum: verified.kept, sent: verified.sent })
}

async fn small(
    namespace: &Namespace,
    bucket: &str,
    body: Option<StreamingBlob>,
    options: WriteOptions,
    expected: &Expected,
    length: u64,
    scope: &Scope,
) -> S3Result<(Stored, Running)> {
    let mut running = expected.plan.start();
    let bytes = collect(body, length, scope).await?;
    running.update(&bytes);
    let writer = writer(namespace, bucket, options, expected.part, expected.sealing.clone()).or_s3()?;
    let write = move || -> Result<Stored> {
        let mut writer = writer;
        if !bytes.is_empty() {
            writer.write(&bytes)?;
        }
        writer.finish()
    };
    let stored = if length <= INLINE { write().or_s3()? } else { blocking(write).await? };
    Ok((stored, running))
}

async fn collect(body: Option<StreamingBlob>, length: u64, scope: &Scope) -> S3Result<Bytes> {
    let mut first = Bytes::new();
    let mut all: Option<BytesMut> = None;
    let mut seen = 0;
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|e| from_body(&e, scope))?;
            seen += piece.len() as u64;
            if seen > length {
                return Err(plain(S3ErrorCode::IncompleteBody));
            }
            match &mut all {
                Some(all) => all.extend_from_slice(&piece),
                None if first.is_empty() => first = piece,
                None => {
                    let mut both = BytesMut::with_capacity(length as usize);
                    both.extend_from_slice(&first);
                    both.extend_from_slice(&piece);
                    all = Some(both);
                }
            }
        }
    }
    if seen != length {
        return Err(plain(S3ErrorCode::IncompleteBody));
    }
    Ok(all.map_or(first, BytesMut::freeze))
}

/// The writer and the hashers: they move to a blocking thread with each batch, and back.
struct Sink {
    writer: ObjectWriter,
    running: Running,
}

impl Sink {
    fn write(mut self, batch: Vec<Bytes>) -> Result<Self> {
        for bytes in batch {
            self.running.update(&bytes);
            self.writer.write(&bytes)?;
        }
        Ok(self)
    }
}

async fn large(
    namespace: &Namespace,
    bucket: &str,
    body: Option<StreamingBlob>,
    options: WriteOptions,
    expected: &Expected,
    scope: &Scope,
) -> S3Result<(Stored, Running)> {
    let running = expected.plan.start();
    let (namespace, bucket, part) = (namespace.clone(), bucket.to_owned(), expected.part);
    let sealing = expected.sealing.clone();
    let mut writing: JoinHandle<Result<Sink>> = tokio::task::spawn_blocking(move || {
        let writer = writer(&namespace, &bucket, options, part, sealing)?;
        Ok(Sink { writer, running })
    });
    let mut batch = Vec::new();
    let (mut batched, mut seen) = (0, 0);
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|e| from_body(&e, scope))?;
            seen += piece.len() as u64;
            if seen > expected.length.unwrap_or(MAX_BODY) {
                return Err(plain(S3ErrorCode::IncompleteBody));
            }
            batched += piece.len();
            batch.push(piece);
            if batched >= BATCH || batch.len() >= BATCH_PIECES {
                let sink = done(writing).await?;
                let full = std::mem::take(&mut batch);
                batched = 0;
                writing = tokio::task::spawn_blocking(move || sink.write(full));
            }
        }
    }
    if expected.length.is_some_and(|length| seen != length) {
        return Err(plain(S3ErrorCode::IncompleteBody));
    }
    let sink = done(writing).await?;
    blocking(move || {
        let Sink { writer, running } = sink.write(batch)?;
        Ok((writer.finish()?, running))
    })
    .await
}

async fn done<T>(job: JoinHandle<Result<T>>) -> S3Result<T> {
    job.await.map_err(|e| internal("a write ended in a bug", e))?.or_s3()
}

/// Runs a piece of blocking work of the store.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> S3Result<T> {
    done(tokio::task::spawn_blocking(work)).await
}

/// Runs an operation of the namespace to its end even if the client goes away meanwhile: a commit is not to be
/// abandoned half way with its content already released.
pub(crate) async fn to_the_end<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> S3Result<T> {
    use tracing::Instrument;
    done(tokio::spawn(operation.in_current_span())).await
}
