//! PutBucketCors, GetBucketCors, DeleteBucketCors.

use s3s::dto::{
    CORSConfiguration, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::document;
use crate::access;
use crate::cors::{self, DOCUMENT};
use crate::service::Service;

/// PutBucketCors.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let access = access::of(&request)?;
    let rules = request.input.cors_configuration;
    cors::check(&rules)?;
    document::put(service, &access, DOCUMENT, Some(&rules)).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

/// GetBucketCors.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let access = access::of(&request)?;
    let Some(rules) = document::get::<CORSConfiguration>(&access, DOCUMENT)? else {
        let message = "The CORS configuration does not exist";
        return Err(document::missing("NoSuchCORSConfiguration", message, &request.input.bucket));
    };
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(rules.cors_rules) }))
}

/// DeleteBucketCors.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let access = access::of(&request)?;
    document::put::<CORSConfiguration>(service, &access, DOCUMENT, None).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}
