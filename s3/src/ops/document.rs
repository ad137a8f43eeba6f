//! Documents of a bucket: kept as they were accepted, shown as they are kept.

use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::{not_set, set_document};
use crate::access::Access;
use crate::error::{fail, internal};
use crate::service::Service;

/// Keeps a document under a name, or removes it.
pub(super) async fn put<T: Serialize>(
    service: &Service,
    access: &Access,
    name: &'static str,
    document: Option<&T>,
) -> S3Result<()> {
    let text = document.map(write).transpose()?;
    set_document(service, access, name, text).await
}

/// The document of a name, if there is one.
pub(super) fn get<T: for<'xml> Deserialize<'xml>>(access: &Access, name: &str) -> S3Result<Option<T>> {
    access.bucket()?.settings.documents.get(name).map(|text| read(text)).transpose()
}

fn write<T: Serialize>(document: &T) -> S3Result<String> {
    let mut text = Vec::new();
    document.serialize(&mut Serializer::new(&mut text)).map_err(|e| internal("a document cannot be written", e))?;
    String::from_utf8(text).map_err(|e| internal("a document is no text", e))
}

/// Reads a document that was kept.
pub(crate) fn read<T: for<'xml> Deserialize<'xml>>(text: &str) -> S3Result<T> {
    T::deserialize(&mut Deserializer::new(text.as_bytes()))
        .map_err(|e| internal("a bucket's document cannot be read", e))
}

/// `404` of a document that is not there.
pub(crate) fn missing(code: &'static str, message: &'static str, bucket: &str) -> S3Error {
    not_set(fail(S3ErrorCode::Custom(code.into()), message), bucket)
}
