//! A bucket's default encryption.

use pinfold_store::meta::rows::EncryptionMode;
use s3s::dto::{
    DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    PutBucketEncryptionInput, PutBucketEncryptionOutput, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::document;
use crate::access::{self, Access};
use crate::body::upload::to_the_end;
use crate::error::plain;
use crate::service::Service;

fn mode(access: &Access) -> S3Result<EncryptionMode> {
    Ok(access.bucket()?.settings.encryption.unwrap_or_default().mode)
}

async fn set(service: &Service, access: &Access, mode: EncryptionMode) -> S3Result<()> {
    let (namespace, caller, bucket) = (service.namespace.clone(), access.caller(), access.bucket()?.name.clone());
    to_the_end(async move { namespace.set_bucket_encryption(&caller, &bucket, mode).await }).await
}

/// GetBucketEncryption. Both modes that encrypt are S3's AES256.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let access = access::of(&request)?;
    if mode(&access)? == EncryptionMode::None {
        return Err(document::missing(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
            &request.input.bucket,
        ));
    }
    let default = ServerSideEncryptionByDefault {
        kms_master_key_id: None,
        sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
    };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(default),
        bucket_key_enabled: Some(false),
    };
    let server_side_encryption_configuration = Some(ServerSideEncryptionConfiguration { rules: vec![rule] });
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration }))
}

/// PutBucketEncryption: one rule, AES256. A bucket whose objects have keys of their own goes on with those.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let access = access::of(&request)?;
    let [rule] = request.input.server_side_encryption_configuration.rules.as_slice() else {
        return Err(plain(S3ErrorCode::MalformedXML));
    };
    let default = rule.apply_server_side_encryption_by_default.as_ref();
    match default.map(|default| default.sse_algorithm.as_str()) {
        Some(ServerSideEncryption::AES256) => {}
        Some(ServerSideEncryption::AWS_KMS | ServerSideEncryption::AWS_KMS_DSSE) => {
            return Err(plain(S3ErrorCode::NotImplemented));
        }
        _ => return Err(plain(S3ErrorCode::MalformedXML)),
    }
    if default.is_some_and(|default| default.kms_master_key_id.is_some()) {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    if mode(&access)? == EncryptionMode::None {
        set(service, &access, EncryptionMode::Bucket).await?;
    }
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// DeleteBucketEncryption: what is stored stays encrypted, what comes is not.
pub(crate) async fn delete(
    service: &Service,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    let access = access::of(&request)?;
    if mode(&access)? != EncryptionMode::None {
        set(service, &access, EncryptionMode::None).await?;
    }
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}
