//! Buckets: list, create, head, delete, and what can be asked of one.

use std::collections::BTreeMap;

use hyper::{HeaderMap, StatusCode};
use pinfold_store::ErrorKind;
use pinfold_store::iam::action::LIST_ALL_BUCKETS;
use pinfold_store::iam::bucket::document;
use pinfold_store::iam::{Decision, Ownership, Permission};
use pinfold_store::meta::rows::{BucketSettings, ObjectLock, Versioning};
use pinfold_store::namespace::Account;
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::{BucketName, Caller};
use pinfold_store::unixfs::Profile;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{acl, owner, to_json, with_headers};
use crate::access;
use crate::body::upload::to_the_end;
use crate::convert::tags::NewBucketTags;
use crate::convert::{headers, key, output, time};
use crate::error::{OrS3, bad_argument, from_store, invalid_argument, plain};
use crate::service::Service;
use crate::wants::GRANTS;

/// The region whose buckets have no location constraint.
const DEFAULT_REGION: &str = "us-east-1";
const MAX_BUCKETS: usize = 10_000;

fn region(service: &Service, bucket: &BucketInfo) -> String {
    bucket.region.clone().unwrap_or_else(|| service.region.clone())
}

/// ListBuckets: an account's own buckets; all for administrators and for those whose policies allow it.
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
    let all = access.decide(LIST_ALL_BUCKETS, "arn:aws:s3:::*") == Decision::Allow;
    let mine = |b: &BucketInfo| all || b.owner == access.account.access;
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
    headers::refuse_unsupported(&without_lists(&request.headers))?;
    let tags = request.extensions.get::<NewBucketTags>().map(|NewBucketTags(tags)| tags.clone()).unwrap_or_default();
    let input = request.input;
    let name = BucketName::new(input.bucket).map_err(|_| plain(S3ErrorCode::InvalidBucketName))?;
    let ownership = input.object_ownership.as_ref().map(|o| o.as_str());
    let documents = documents(service, &request.headers, ownership).await?;
    let constraint = input.create_bucket_configuration.and_then(|c| c.location_constraint);
    let asked = constraint.as_ref().map(BucketLocationConstraint::as_str).filter(|c| !c.is_empty());
    // us-east-1 is named by naming nothing, as on AWS.
    if asked.is_some_and(|r| r != service.region || r == DEFAULT_REGION) {
        return Err(plain(S3ErrorCode::InvalidLocationConstraint));
    }
    let (namespace, caller) = (service.namespace.clone(), owned_by(access.caller(), access.owner.as_ref()));
    let owner = caller.principal.clone();
    let (bucket, region) = (name.clone(), asked.map(str::to_owned));
    let mut settings = BucketSettings { documents, ..BucketSettings::default() };
    if input.object_lock_enabled_for_bucket.unwrap_or_default() {
        settings.object_lock = Some(ObjectLock::default());
        if service.versioning {
            settings.versioning = Versioning::Enabled;
        }
    }
    let profile = Profile::default();
    let made = to_the_end(async move {
        Ok(namespace.create_bucket_tagged(&caller, &bucket, region, profile, settings, tags).await)
    })
    .await?;
    if let Err(e) = made {
        let mine = e.kind() == ErrorKind::AlreadyExists && e.context("owner") == Some(&owner);
        return Err(if mine { plain(S3ErrorCode::BucketAlreadyOwnedByYou) } else { from_store(e) });
    }
    let mut sent = HeaderMap::new();
    output::set(&mut sent, "x-amz-bucket-arn", Some(&format!("arn:aws:s3:::{name}")));
    Ok(with_headers(CreateBucketOutput { location: Some(format!("/{name}")) }, sent))
}

/// A bucket that an administrator makes for somebody is as if that one had made it.
fn owned_by(caller: Caller, owner: Option<&Account>) -> Caller {
    match owner {
        Some(owner) => Caller { principal: owner.access.clone(), uid: owner.uid, gid: owner.gid, ..caller },
        None => caller,
    }
}

/// The headers without those about lists, which buckets take and objects do not.
fn without_lists(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove("x-amz-acl");
    for name in GRANTS {
        headers.remove(name);
    }
    headers
}

/// What a new bucket's headers say about access.
async fn documents(
    service: &Service,
    headers: &HeaderMap,
    ownership: Option<&str>,
) -> S3Result<BTreeMap<String, String>> {
    let lists = acl::Sent::read(headers)?;
    let list = lists.list(service, headers).await?;
    let private = lists.canned.as_deref() == Some("private");
    let ownership = match ownership.filter(|name| !name.is_empty()) {
        Some(name) => Ownership::parse(name).ok_or_else(|| {
            let message = format!("Invalid x-amz-object-ownership header: {name}");
            bad_argument("x-amz-object-ownership", "", message)
        })?,
        None if private => Ownership::BucketOwnerPreferred,
        None => Ownership::default(),
    };
    if !ownership.has_lists() && !private && !lists.is_nothing() {
        let mut error = plain(S3ErrorCode::InvalidBucketAclWithObjectOwnership);
        error.set_status_code(StatusCode::BAD_REQUEST);
        return Err(error);
    }
    let mut documents = BTreeMap::new();
    if ownership.has_lists() {
        documents.insert(document::OWNERSHIP.to_owned(), ownership.stored().to_owned());
    }
    if !list.grants.is_empty() {
        documents.insert(document::ACL.to_owned(), to_json(&list)?);
    }
    Ok(documents)
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

/// The bucket of a copy's source, if the key may be read.
pub(crate) fn source(
    service: &Service,
    access: &access::Access,
    name: &str,
    key: &str,
    version: Option<&str>,
) -> S3Result<BucketInfo> {
    let bucket = service.namespace.bucket(name).or_s3()?;
    let action = if version.is_some_and(|v| !v.is_empty()) { "s3:GetObjectVersion" } else { "s3:GetObject" };
    access.may(&bucket, key, action, Some(Permission::Read))?;
    Ok(bucket)
}
