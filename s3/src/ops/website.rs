//! PutBucketWebsite, GetBucketWebsite, DeleteBucketWebsite.

use s3s::dto::{
    DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, GetBucketWebsiteInput, GetBucketWebsiteOutput,
    PutBucketWebsiteInput, PutBucketWebsiteOutput, WebsiteConfiguration,
};
use s3s::{S3Request, S3Response, S3Result};

use super::document;
use crate::access;
use crate::service::Service;
use crate::website::{self, DOCUMENT};

/// PutBucketWebsite.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketWebsiteInput>,
) -> S3Result<S3Response<PutBucketWebsiteOutput>> {
    let access = access::of(&request)?;
    let site = request.input.website_configuration;
    website::check(&site, access.scope.received())?;
    document::put(service, &access, DOCUMENT, Some(&site)).await?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

/// GetBucketWebsite.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketWebsiteInput>,
) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
    let access = access::of(&request)?;
    let Some(site) = document::get::<WebsiteConfiguration>(&access, DOCUMENT)? else {
        return Err(website::missing(&request.input.bucket));
    };
    Ok(S3Response::new(GetBucketWebsiteOutput {
        error_document: site.error_document,
        index_document: site.index_document,
        redirect_all_requests_to: site.redirect_all_requests_to,
        routing_rules: site.routing_rules,
    }))
}

/// DeleteBucketWebsite.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> S3Result<S3Response<DeleteBucketWebsiteOutput>> {
    let access = access::of(&request)?;
    document::put::<WebsiteConfiguration>(service, &access, DOCUMENT, None).await?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput::default()))
}
