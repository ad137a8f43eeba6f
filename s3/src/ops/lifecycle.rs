//! PutBucketLifecycleConfiguration, GetBucketLifecycleConfiguration, DeleteBucketLifecycle.

use pinfold_store::namespace::lifecycle::DOCUMENT;
use s3s::dto::{
    DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::document::missing;
use super::{set_document, to_json};
use crate::access;
use crate::error::plain;
use crate::lifecycle;
use crate::service::Service;

/// PutBucketLifecycleConfiguration.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let access = access::of(&request)?;
    let sent = request.input.lifecycle_configuration.ok_or_else(|| plain(S3ErrorCode::MalformedXML))?;
    let rules = lifecycle::from_s3(sent)?;
    set_document(service, &access, DOCUMENT, Some(to_json(&rules)?)).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

/// GetBucketLifecycleConfiguration.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let access = access::of(&request)?;
    let Some(rules) = lifecycle::of(access.bucket()?)? else {
        let message = "The lifecycle configuration does not exist";
        return Err(missing("NoSuchLifecycleConfiguration", message, &request.input.bucket));
    };
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(lifecycle::to_s3(rules)),
        ..GetBucketLifecycleConfigurationOutput::default()
    }))
}

/// DeleteBucketLifecycle.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let access = access::of(&request)?;
    set_document(service, &access, DOCUMENT, None).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}
