//! A bucket's public access block.

use hyper::StatusCode;
use pinfold_store::iam::AccessBlock;
use pinfold_store::iam::bucket::document;
use s3s::dto::{
    DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput,
    PublicAccessBlockConfiguration, PutPublicAccessBlockInput, PutPublicAccessBlockOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::{not_set, set_document, to_json};
use crate::access;
use crate::error::custom;
use crate::service::Service;

/// GetPublicAccessBlock.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let access = access::of(&request)?;
    let Some(block) = access.rules()?.block else {
        let error = custom("NoSuchPublicAccessBlockConfiguration", StatusCode::NOT_FOUND);
        return Err(not_set(error, &access.bucket()?.name));
    };
    Ok(S3Response::new(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            block_public_policy: Some(block.block_public_policy),
            ignore_public_acls: Some(block.ignore_public_acls),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        }),
    }))
}

/// PutPublicAccessBlock: what is not named is off.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let access = access::of(&request)?;
    let sent = request.input.public_access_block_configuration;
    let block = AccessBlock {
        block_public_acls: sent.block_public_acls.unwrap_or_default(),
        ignore_public_acls: sent.ignore_public_acls.unwrap_or_default(),
        block_public_policy: sent.block_public_policy.unwrap_or_default(),
        restrict_public_buckets: sent.restrict_public_buckets.unwrap_or_default(),
    };
    set_document(service, &access, document::BLOCK, Some(to_json(&block)?)).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

/// DeletePublicAccessBlock.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    let access = access::of(&request)?;
    set_document(service, &access, document::BLOCK, None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
}
