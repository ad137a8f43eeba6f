//! The operations: each checks what AWS checks, translates, and calls the namespace.

pub(crate) mod attributes;
pub(crate) mod bucket;
pub(crate) mod complete;
pub(crate) mod copy;
pub(crate) mod cors;
pub(crate) mod delete;
pub(crate) mod document;
pub(crate) mod get;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod multipart;
pub(crate) mod put;
pub(crate) mod tagging;
pub(crate) mod versioning;
pub(crate) mod website;

use s3s::S3Response;
use s3s::dto::Owner;

/// An owner as S3 shows one: the access key is the canonical id and the name.
pub(crate) fn owner(access: &str) -> Owner {
    Owner { display_name: Some(access.to_owned()), id: Some(access.to_owned()) }
}

/// An answer with headers beside its output.
pub(crate) fn with_headers<T>(output: T, headers: http::HeaderMap) -> S3Response<T> {
    S3Response::with_headers(output, headers)
}
