//! A bucket's policy: put, get, delete, and whether it is public.

use std::collections::HashMap;

use pinfold_store::iam::bucket::document;
use pinfold_store::iam::identity::role_of;
use pinfold_store::iam::validate;
use pinfold_store::meta::iam_row::RoleRow;
use s3s::dto::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, PolicyStatus, PutBucketPolicyInput, PutBucketPolicyOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::{not_set, set_document};
use crate::access::{self, Access};
use crate::error::{OrS3, fail, plain};
use crate::service::Service;

/// GetBucketPolicy: the document as it was sent.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let policy = Some(stored(&*access::of(&request)?)?);
    let mut answer = S3Response::new(GetBucketPolicyOutput { policy });
    answer.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(answer)
}

fn stored(access: &Access) -> S3Result<String> {
    let bucket = access.bucket()?;
    match bucket.settings.documents.get(document::POLICY) {
        Some(text) => Ok(text.clone()),
        None => Err(not_set(plain(S3ErrorCode::NoSuchBucketPolicy), &bucket.name)),
    }
}

/// PutBucketPolicy.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let access = access::of(&request)?;
    let text = request.input.policy;
    let mut known: HashMap<String, bool> = HashMap::new();
    let bucket = &access.bucket()?.name;
    let policy = loop {
        // Accounts may be far away: whoever is named and not known yet is looked up between two readings.
        let mut unknown = None;
        let exists = |name: &str| -> Result<bool, ()> {
            known.get(name).copied().ok_or_else(|| unknown = Some(name.to_owned()))
        };
        match validate::bucket_policy(&text, bucket, exists) {
            Ok(read) => break read.map_err(|wrong| fail(S3ErrorCode::MalformedPolicy, wrong.0))?,
            Err(()) => {
                let name = unknown.unwrap_or_default();
                let there = exists_somewhere(service, &name).await?;
                known.insert(name, there);
            }
        }
    };
    let blocked = access.rules()?.block.is_some_and(|block| block.block_public_policy);
    if blocked && policy.is_public() {
        return Err(plain(S3ErrorCode::AccessDenied));
    }
    set_document(service, &access, document::POLICY, Some(text)).await?;
    Ok(S3Response::new(PutBucketPolicyOutput::default()))
}

async fn exists_somewhere(service: &Service, name: &str) -> S3Result<bool> {
    match role_of(name) {
        Some(role) => service.namespace.iam::<RoleRow>(role).or_s3().map(|role| role.is_some()),
        None => service.accounts.find(name).await.or_s3().map(|account| account.is_some()),
    }
}

/// DeleteBucketPolicy; nothing to delete is fine.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    let access = access::of(&request)?;
    if access.bucket()?.settings.documents.contains_key(document::POLICY) {
        set_document(service, &access, document::POLICY, None).await?;
    }
    Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
}

/// GetBucketPolicyStatus.
pub(crate) async fn status(
    _: &Service,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let access = access::of(&request)?;
    stored(&access)?;
    let policy_status = Some(PolicyStatus { is_public: Some(access.rules()?.is_public()) });
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
}
