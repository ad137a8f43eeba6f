//! Tags of objects and buckets.

use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::Id;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeleteObjectTaggingInput, DeleteObjectTaggingOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access::{self, Access};
use crate::body::upload::to_the_end;
use crate::convert::tags::{self, Of, Tags};
use crate::convert::{key, version};
use crate::error::{OrS3, plain};
use crate::service::Service;

/// GetObjectTagging.
pub(crate) async fn get(
    service: &Service,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    key::check(&input.key)?;
    let key = input.key.as_bytes();
    let info = service.namespace.head_version(&access.caller(), &input.bucket, key, version).await.or_s3()?;
    let version_id = version::shown(access.bucket()?, info.meta.version);
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tags::to_xml(&info.meta.tags), version_id }))
}

/// PutObjectTagging.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    let tags = tags::from_xml(input.tagging.tag_set, Of::Object)?;
    let version_id = set(service, &access, input.bucket, input.key, version, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

/// DeleteObjectTagging.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let version = version::parse(input.version_id.as_deref())?;
    let version_id = set(service, &access, input.bucket, input.key, version, Tags::new()).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
}

/// The version that has the tags now, as it is shown.
async fn set(
    service: &Service,
    access: &Access,
    bucket: String,
    key: String,
    version: Option<Id>,
    tags: Tags,
) -> S3Result<Option<String>> {
    key::check(&key)?;
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    let set = to_the_end(async move { namespace.set_tags(&caller, &bucket, key.as_bytes(), version, tags).await });
    let version = set.await?;
    Ok(version::shown(access.bucket()?, version))
}

/// GetBucketTagging: `NoSuchTagSet` if there are none.
pub(crate) async fn get_bucket(
    _: &Service,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let access = access::of(&request)?;
    let bucket: &BucketInfo = access.bucket()?;
    if bucket.tags.is_empty() {
        return Err(plain(S3ErrorCode::NoSuchTagSet));
    }
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tags::to_xml(&bucket.tags) }))
}

/// PutBucketTagging.
pub(crate) async fn put_bucket(
    service: &Service,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let access = access::of(&request)?;
    let tags = tags::from_xml(request.input.tagging.tag_set, Of::Bucket)?;
    set_bucket(service, &access, request.input.bucket, tags).await?;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

/// DeleteBucketTagging.
pub(crate) async fn delete_bucket(
    service: &Service,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let access = access::of(&request)?;
    set_bucket(service, &access, request.input.bucket, Tags::new()).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}

async fn set_bucket(service: &Service, access: &Access, bucket: String, tags: Tags) -> S3Result<()> {
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    to_the_end(async move { namespace.set_bucket_tags(&caller, &bucket, tags).await }).await
}
