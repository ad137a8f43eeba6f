//! DeleteObject, DeleteObjects.

use futures::StreamExt;
use pinfold_store::iam::Permission;
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{ETagMatch, Precondition};
use pinfold_store::types::Caller;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access;
use crate::body::upload::to_the_end;
use crate::convert::{condition, headers, key, time};
use crate::error::{invalid_request, message, plain};
use crate::service::Service;

/// Most keys of one DeleteObjects.
const MAX_KEYS: usize = 1000;
/// Deletes of one request that wait for their commit at once: enough to share syncs.
const AT_ONCE: usize = 32;

/// DeleteObject, plain or under a condition.
pub(crate) async fn one(
    service: &Service,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let access = access::of(&request)?;
    let precondition = Precondition {
        if_match: condition::of_read(&request.headers).if_match,
        if_size: request.input.if_match_size.and_then(|n| u64::try_from(n).ok()),
        if_last_modified: request.input.if_match_last_modified_time.as_ref().map(time::from_s3),
        ..Precondition::default()
    };
    headers::check_version(request.input.version_id.as_deref())?;
    key::check(&request.input.key)?;
    let (namespace, bucket, key) = (service.namespace.clone(), request.input.bucket, request.input.key);
    delete(namespace, access.caller(), bucket, key, precondition).await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

async fn delete(
    namespace: Namespace,
    caller: Caller,
    bucket: String,
    key: String,
    precondition: Precondition,
) -> S3Result<()> {
    to_the_end(async move { namespace.delete(&caller, &bucket, key.as_bytes(), precondition).await }).await?;
    Ok(())
}

/// DeleteObjects. (That the body matches its `Content-MD5` or checksum was checked while it arrived; `door` also asks
/// that there is one.)
pub(crate) async fn many(
    service: &Service,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let access = access::of(&request)?;
    let checked = request.headers.contains_key("content-md5")
        || request
            .headers
            .keys()
            .any(|n| n.as_str().starts_with("x-amz-checksum-") && n.as_str() != "x-amz-checksum-algorithm");
    if !checked {
        return Err(invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*"));
    }
    let (objects, quiet) = (request.input.delete.objects, request.input.delete.quiet.unwrap_or(false));
    if objects.is_empty() || objects.len() > MAX_KEYS {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    let allowed = |object: &ObjectIdentifier| -> S3Result<()> {
        let versioned = object.version_id.as_ref().is_some_and(|v| !v.is_empty());
        let action = if versioned { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        access.may(access.bucket()?, &object.key, action, Some(Permission::Write))
    };
    let results: Vec<(ObjectIdentifier, S3Result<()>)> = futures::stream::iter(objects)
        .map(|object| {
            let (namespace, bucket) = (service.namespace.clone(), request.input.bucket.clone());
            let (caller, allowed) = (access.caller_of_many(), allowed(&object));
            async move {
                let result = match allowed {
                    Ok(()) => one_of_many(namespace, caller, bucket, &object).await,
                    Err(refused) => Err(refused),
                };
                (object, result)
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut answer = DeleteObjectsOutput { deleted: Some(Vec::new()), errors: Some(Vec::new()), request_charged: None };
    for (object, result) in results {
        match result {
            Ok(()) if quiet => {}
            Ok(()) => {
                let deleted = DeletedObject { key: Some(object.key), ..DeletedObject::default() };
                answer.deleted.get_or_insert_default().push(deleted);
            }
            Err(e) => {
                let text = e.message().or_else(|| message(e.code().as_str())).unwrap_or_default().to_owned();
                answer.errors.get_or_insert_default().push(Error {
                    code: Some(e.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: Some(text),
                    version_id: object.version_id,
                });
            }
        }
    }
    Ok(S3Response::new(answer))
}

async fn one_of_many(namespace: Namespace, caller: Caller, bucket: String, object: &ObjectIdentifier) -> S3Result<()> {
    headers::check_version(object.version_id.as_deref())?;
    key::check(&object.key)?;
    let precondition = Precondition {
        if_match: object.e_tag.as_ref().map(|tag| match tag.value() {
            "*" => ETagMatch::Any,
            tag => ETagMatch::Tags(vec![tag.to_owned()]),
        }),
        if_size: object.size.and_then(|n| u64::try_from(n).ok()),
        if_last_modified: object.last_modified_time.as_ref().map(time::from_s3),
        ..Precondition::default()
    };
    delete(namespace, caller, bucket, object.key.clone(), precondition).await
}
