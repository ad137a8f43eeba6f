//! Bytes of an object as new content: parts that are copied, and copies with another checksum.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pinfold_store::chunk::{ObjectReader, Sealing, Stored, WriteOptions};
use pinfold_store::meta::rows::{Checksum, ChecksumType};
use pinfold_store::namespace::Namespace;
use pinfold_store::{Error, ErrorKind};
use s3s::S3Result;
use tokio_util::sync::CancellationToken;

use super::upload::{PartOf, blocking, writer};
use crate::checksum::{Algorithm, Hasher};

/// Bytes that are read at once.
const PIECE: u64 = 1024 * 1024;

/// Which bytes of the source.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: u64,
    /// Byte after the last.
    pub(crate) end: u64,
}

/// Stores a span of an object again, with its MD5 and a checksum. Stops when the client goes away.
pub(crate) async fn rewrite(
    namespace: &Namespace,
    bucket: &str,
    reader: ObjectReader,
    span: Span,
    algorithm: Algorithm,
    part: Option<PartOf>,
    sealing: Option<Sealing>,
) -> S3Result<(Stored, Checksum)> {
    let gone = CancellationToken::new();
    let _stop_with_the_request = gone.clone().drop_guard();
    let (namespace, bucket, reader) = (namespace.clone(), bucket.to_owned(), Arc::new(reader));
    let (stored, value) = blocking(move || {
        let options = WriteOptions { md5: true, size_hint: Some(span.end - span.start) };
        let mut writer = writer(&namespace, &bucket, options, part, sealing)?;
        let mut hasher = Hasher::new(algorithm);
        let mut offset = span.start;
        while offset < span.end {
            if gone.is_cancelled() {
                return Err(Error::new(ErrorKind::TimedOut, "the client of a copy went away"));
            }
            let piece = reader.read_at(offset, (span.end - offset).min(PIECE) as usize)?;
            if piece.is_empty() {
                return Err(Error::corrupt("an object is shorter than its size says"));
            }
            offset += piece.len() as u64;
            hasher.update(&piece);
            writer.write(&piece)?;
        }
        Ok((writer.finish()?, hasher.finish()))
    })
    .await?;
    let checksum = Checksum {
        algorithm: algorithm.name().to_owned(),
        value: STANDARD.encode(value),
        kind: ChecksumType::FullObject,
    };
    Ok((stored, checksum))
}
