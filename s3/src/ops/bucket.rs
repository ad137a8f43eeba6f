//! Buckets: list, create, head, delete, and what can be asked of one.

use http::HeaderMap;
use pinfold_store::ErrorKind;
use pinfold_store::meta::rows::{BucketSettings, ObjectLock, Versioning};
use pinfold_store::namespace::Role;
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::BucketName;
use pinfold_store::unixfs::Profile;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketAclInput, GetBucketAclOutput, GetBucketLocationInput, GetBucketLocationOutput, Grant, Grantee,
    HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Permission, Type,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{owner, with_headers};
use crate::access;
use crate::body::upload::to_the_end;
use crate::convert::tags::NewBucketTags;
use crate::convert::{headers, key, output, time};
use crate::error::{OrS3, fail, from_store, invalid_argument, plain};
use crate::service::Service;

/// The region whose buckets have no location constraint.
const DEFAULT_REGION: &str = "us-east-1";
const MAX_BUCKETS: usize = 10_000;

fn region(service: &Service, bucket: &BucketInfo) -> String {
    bucket.region.clone().unwrap_or_else(|| service.region.clone())
}

/// ListBuckets: an account's own buckets; all for administrators.
pub(crate) async fn list(
    service: &Service,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let limit = match input.max_buckets {
        None => MAX_BUCKETS,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=MAX_BUCKETS).contains(n))
            .ok_or_else(|| invalid_argument("Argument max-buckets must be an integer between 1 and 10000."))?,
    };
    let after = input.continuation_token.as_deref().map(key::parse_token).transpose()?.unwrap_or_default();
    let prefix = input.prefix.clone().unwrap_or_default();
    let mine = |b: &BucketInfo| access.account.role == Role::Admin || b.owner == access.account.access;
    let here = |b: &BucketInfo| input.bucket_region.as_ref().is_none_or(|r| *r == region(service, b));
    let mut found: Vec<BucketInfo> = service.namespace.buckets().or_s3()?;
    found.retain(|b| b.name.as_bytes() > after.as_slice() && b.name.starts_with(&prefix) && mine(b) && here(b));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|b| key::token(b.name.as_bytes()));
    let buckets = found
        .iter()
        .map(|b| Bucket {
            name: Some(b.name.clone()),
            creation_date: Some(time::to_s3(b.created)),
            bucket_region: Some(region(service, b)),
        })
        .collect();
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token: next,
        owner: Some(owner(&access.account.access)),
        prefix: input.prefix,
    }))
}

/// CreateBucket. The location constraint must be this endpoint's region (and is not there for us-east-1). Creating an own bucket again is
/// `BucketAlreadyOwnedByYou` (as everywhere on AWS but in us-east-1).
pub(crate) async fn create(
    service: &Service,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let access = access::of(&request)?;
    headers::refuse_unsupported(&request.headers)?;
    let tags = request.extensions.get::<NewBucketTags>().cloned();
    let input = request.input;
    let name = BucketName::new(input.bucket).map_err(|_| plain(S3ErrorCode::InvalidBucketName))?;
    if let Some(ownership) = input.object_ownership.as_ref().map(|o| o.as_str()) {
        match ownership {
            // What every bucket here is: no ACLs, all belongs to the bucket's owner.
            "BucketOwnerEnforced" => {}
            "BucketOwnerPreferred" | "ObjectWriter" => {
                return Err(plain(S3ErrorCode::NotImplemented));
            }
            other => return Err(invalid_argument(format!("Invalid x-amz-object-ownership header: {other}"))),
        }
    }
    let constraint = input.create_bucket_configuration.and_then(|c| c.location_constraint);
    let asked = constraint.as_ref().map(BucketLocationConstraint::as_str).filter(|c| !c.is_empty());
    // us-east-1 is named by naming nothing, as on AWS.
    if asked.is_some_and(|r| r != service.region || r == DEFAULT_REGION) {
        return Err(plain(S3ErrorCode::InvalidLocationConstraint));
    }
    let (namespace, caller) = (service.namespace.clone(), access.caller());
    let (bucket, region) = (name.clone(), asked.map(str::to_owned));
    let mut settings = BucketSettings::default();
    if input.object_lock_enabled_for_bucket.unwrap_or_default() {
        settings.object_lock = Some(ObjectLock::default());
        if service.versioning {
            settings.versioning = Versioning::Enabled;
        }
    }
    let profile = Profile::default();
    let made =
        to_the_end(async move { Ok(namespace.create_bucket_with(&caller, &bucket, region, profile, settings).await) })
            .await?;
    if let Err(e) = made {
        let mine = e.kind() == ErrorKind::AlreadyExists && e.context("owner") == Some(&access.account.access);
        return Err(if mine { plain(S3ErrorCode::BucketAlreadyOwnedByYou) } else { from_store(e) });
    }
    if let Some(NewBucketTags(tags)) = tags {
        let (namespace, caller, bucket) = (service.namespace.clone(), access.caller_of_many(), name.to_string());
        to_the_end(async move { namespace.set_bucket_tags(&caller, &bucket, tags).await }).await?;
    }
    let mut sent = HeaderMap::new();
    output::set(&mut sent, "x-amz-bucket-arn", Some(&format!("arn:aws:s3:::{name}")));
    Ok(with_headers(CreateBucketOutput { location: Some(format!("/{name}")) }, sent))
}

/// HeadBucket.
pub(crate) async fn head(
    service: &Service,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let access = access::of(&request)?;
    let region = region(service, access.bucket()?);
    Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(region), ..HeadBucketOutput::default() }))
}

/// DeleteBucket: an empty one.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let access = access::of(&request)?;
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), request.input.bucket);
    to_the_end(async move { namespace.delete_bucket(&caller, &bucket).await }).await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

/// GetBucketLocation: us-east-1 is the empty constraint, as on AWS.
pub(crate) async fn location(
    service: &Service,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let access = access::of(&request)?;
    let region = region(service, access.bucket()?);
    let location_constraint = (region != DEFAULT_REGION).then(|| BucketLocationConstraint::from(region));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

/// GetBucketAcl: what is true of every bucket here: its owner may do everything, nobody else anything.
pub(crate) async fn acl(
    _: &Service,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let access = access::of(&request)?;
    let access_key = &access.bucket()?.owner;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(vec![full_control(access_key)]),
        owner: Some(owner(access_key)),
    }))
}

/// PutBucketAcl and PutObjectAcl: ACLs are off, as they are in a bucket whose owner owns everything in it.
pub(crate) async fn put_acl<I, O>(_: &Service, _: S3Request<I>) -> S3Result<S3Response<O>> {
    Err(plain(S3ErrorCode::AccessControlListNotSupported))
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

/// The error of a bucket that a copy names as its source.
pub(crate) fn source(service: &Service, access: &access::Access, name: &str) -> S3Result<BucketInfo> {
    let bucket = service.namespace.bucket(name).or_s3()?;
    access.allow(&bucket).map_err(|_| fail(S3ErrorCode::AccessDenied, "Access Denied"))?;
    Ok(bucket)
}
