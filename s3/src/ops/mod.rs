//! The operations: each checks what AWS checks, translates, and calls the namespace.

pub(crate) mod access_block;
pub(crate) mod acl;
pub(crate) mod attributes;
pub(crate) mod bucket;
pub(crate) mod complete;
pub(crate) mod copy;
pub(crate) mod cors;
pub(crate) mod delete;
pub(crate) mod document;
pub(crate) mod encryption;
pub(crate) mod get;
pub(crate) mod head;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod logging;
pub(crate) mod multipart;
pub(crate) mod notification;
pub(crate) mod ownership;
pub(crate) mod policy;
pub(crate) mod put;
pub(crate) mod rename;
pub(crate) mod tagging;
pub(crate) mod versioning;
pub(crate) mod website;

use hyper::StatusCode;
use pinfold_store::meta::rows::BucketSettings;
use s3s::dto::{Grant, Grantee, Owner, Permission, Type};
use s3s::{S3Error, S3Response, S3Result};

use crate::access::Access;
use crate::body::upload::to_the_end;
use crate::error::{internal, with_detail};
use crate::service::Service;

/// An owner as S3 shows one: the access key is the canonical id and the name.
pub(crate) fn owner(access: &str) -> Owner {
    Owner { display_name: Some(access.to_owned()), id: Some(access.to_owned()) }
}

/// An answer with headers beside its output.
pub(crate) fn with_headers<T>(output: T, headers: http::HeaderMap) -> S3Response<T> {
    S3Response::with_headers(output, headers)
}

/// The grant of an owner.
pub(crate) fn full_control(access: &str) -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: Some(access.to_owned()),
            email_address: None,
            id: Some(access.to_owned()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}

/// Sets or removes a document of the bucket of the path.
pub(crate) async fn set_document(
    service: &Service,
    access: &Access,
    name: &'static str,
    text: Option<String>,
) -> S3Result<()> {
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), access.bucket()?.name.clone());
    to_the_end(async move { namespace.set_bucket_document(&caller, &bucket, name, text).await }).await?;
    Ok(())
}

/// Changes what the bucket of the path is set to.
pub(crate) async fn change_settings(
    service: &Service,
    access: &Access,
    change: impl FnOnce(&mut BucketSettings) + Send + 'static,
) -> S3Result<()> {
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), access.bucket()?.name.clone());
    to_the_end(async move {
        let set = namespace.change_bucket_settings(&caller, &bucket, |settings| {
            change(settings);
            Ok(())
        });
        set.await
    })
    .await
}

/// `404` of something that is not set for the bucket.
pub(crate) fn not_set(mut error: S3Error, bucket: &str) -> S3Error {
    error.set_status_code(StatusCode::NOT_FOUND);
    with_detail(error, "BucketName", bucket)
}

/// A document as it is stored.
pub(crate) fn to_json<T: serde::Serialize>(document: &T) -> S3Result<String> {
    serde_json::to_string(document).map_err(|e| internal("a document cannot be written", e))
}
