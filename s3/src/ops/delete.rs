//! DeleteObject, DeleteObjects.

use futures::StreamExt;
use hyper::StatusCode;
use pinfold_store::iam::Permission;
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::{DeleteOutcome, ETagMatch, Precondition};
use pinfold_store::types::{Caller, Id};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access;
use crate::body::upload::to_the_end;
use crate::bucketlog::{self, Removed};
use crate::convert::{condition, key, lock, time, version};
use crate::error::{invalid_request, message, plain};
use crate::route::NoObjects;
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
    let version = version::parse(request.input.version_id.as_deref())?;
    key::check(&request.input.key)?;
    let caller = lock::deleter(&request.headers, &access, &request.input.key)?;
    let (namespace, bucket, key) = (service.namespace.clone(), request.input.bucket, request.input.key);
    let outcome = delete(namespace, caller, bucket, key, version, precondition).await?;
    let of_bucket = access.bucket()?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: outcome.marker.then_some(true),
        version_id: outcome.version.and_then(|version| version::shown(of_bucket, version)),
        ..DeleteObjectOutput::default()
    }))
}

async fn delete(
    namespace: Namespace,
    caller: Caller,
    bucket: String,
    key: String,
    version: Option<Id>,
    precondition: Precondition,
) -> S3Result<DeleteOutcome> {
    to_the_end(async move {
        match version {
            None => namespace.delete(&caller, &bucket, key.as_bytes(), precondition).await,
            Some(version) => namespace.delete_version(&caller, &bucket, key.as_bytes(), version).await,
        }
    })
    .await
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
    let (mut objects, quiet) = (request.input.delete.objects, request.input.delete.quiet.unwrap_or(false));
    if request.extensions.get::<NoObjects>().is_some() {
        objects.clear();
    }
    if objects.len() > MAX_KEYS {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    let allowed = |object: &ObjectIdentifier| -> S3Result<()> {
        let versioned = object.version_id.as_ref().is_some_and(|v| !v.is_empty());
        let action = if versioned { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        access.may(access.bucket()?, &object.key, action, Some(Permission::Write))
    };
    let results: Vec<(ObjectIdentifier, S3Result<DeleteOutcome>)> = futures::stream::iter(objects)
        .map(|object| {
            let (namespace, bucket) = (service.namespace.clone(), request.input.bucket.clone());
            let bypass = lock::may_bypass(&request.headers, &access, &object.key);
            let allowed = allowed(&object);
            let caller = access.caller_of_many();
            async move {
                let allowed = allowed.and(bypass);
                let result = match allowed {
                    Ok(bypass_governance) => {
                        let caller = Caller { bypass_governance, ..caller };
                        one_of_many(namespace, caller, bucket, &object).await
                    }
                    Err(refused) => Err(refused),
                };
                (object, result)
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    if access.bucket()?.settings.documents.contains_key(bucketlog::DOCUMENT) {
        access.scope.note(|facts| facts.removed = results.iter().map(removed).collect());
    }
    let mut answer = DeleteObjectsOutput { deleted: Some(Vec::new()), errors: Some(Vec::new()), request_charged: None };
    for (object, result) in results {
        match result {
            Ok(_) if quiet => {}
            Ok(outcome) => {
                let marker = outcome.version.filter(|_| outcome.marker);
                let deleted = DeletedObject {
                    key: Some(object.key),
                    version_id: object.version_id,
                    delete_marker: outcome.version.map(|_| outcome.marker),
                    delete_marker_version_id: marker.map(version::show),
                };
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

/// What the bucket's log tells of one of many.
fn removed((object, result): &(ObjectIdentifier, S3Result<DeleteOutcome>)) -> Removed {
    let error = result.as_ref().err().map(|e| {
        (
            e.status_code().map_or(StatusCode::INTERNAL_SERVER_ERROR.as_u16(), |s| s.as_u16()),
            e.code().as_str().to_owned(),
        )
    });
    Removed { key: object.key.clone(), version: object.version_id.clone().unwrap_or_default(), error }
}

async fn one_of_many(
    namespace: Namespace,
    caller: Caller,
    bucket: String,
    object: &ObjectIdentifier,
) -> S3Result<DeleteOutcome> {
    let version = version::parse(object.version_id.as_deref())?;
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
    delete(namespace, caller, bucket, object.key.clone(), version, precondition).await
}
