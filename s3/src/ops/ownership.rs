//! A bucket's ownership controls.

use hyper::StatusCode;
use pinfold_store::iam::Ownership;
use pinfold_store::iam::bucket::document;
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, GetBucketOwnershipControlsInput,
    GetBucketOwnershipControlsOutput, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{not_set, set_document};
use crate::access;
use crate::error::plain;
use crate::service::Service;

/// GetBucketOwnershipControls. A bucket that never had any is `BucketOwnerEnforced`.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let access = access::of(&request)?;
    let Some(name) = access.rules()?.ownership.as_str() else {
        return Err(not_set(plain(S3ErrorCode::OwnershipControlsNotFoundError), &access.bucket()?.name));
    };
    let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from(name.to_owned()) }];
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }))
}

/// PutBucketOwnershipControls: one rule. Lists that give something must go before they can be switched off.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let access = access::of(&request)?;
    let ownership = match request.input.ownership_controls.rules.as_slice() {
        [rule] => Ownership::parse(rule.object_ownership.as_str()),
        _ => None,
    };
    let ownership = ownership.ok_or_else(|| plain(S3ErrorCode::MalformedXML))?;
    if !ownership.has_lists() && !access.rules()?.acl.grants.is_empty() {
        let mut error = plain(S3ErrorCode::InvalidBucketAclWithObjectOwnership);
        error.set_status_code(StatusCode::BAD_REQUEST);
        return Err(error);
    }
    set_document(service, &access, document::OWNERSHIP, Some(ownership.stored().to_owned())).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

/// DeleteBucketOwnershipControls.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let access = access::of(&request)?;
    set_document(service, &access, document::OWNERSHIP, Some(Ownership::Deleted.stored().to_owned())).await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
}
