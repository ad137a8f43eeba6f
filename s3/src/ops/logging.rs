//! PutBucketLogging, GetBucketLogging.

use pinfold_store::iam::{BucketRules, Permission};
use pinfold_store::{ErrorKind, Result};
use s3s::dto::{BucketLoggingStatus, LoggingEnabled};
use s3s::dto::{GetBucketLoggingInput, GetBucketLoggingOutput, PutBucketLoggingInput, PutBucketLoggingOutput};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::document;
use crate::access::{self, Access};
use crate::bucketlog::{self, DOCUMENT};
use crate::error::{OrS3, fail, with_detail};
use crate::service::Service;

/// PutBucketLogging. Without `LoggingEnabled` it ends the log.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketLoggingInput>,
) -> S3Result<S3Response<PutBucketLoggingOutput>> {
    let access = access::of(&request)?;
    let status = request.input.bucket_logging_status;
    match &status.logging_enabled {
        None => document::put::<BucketLoggingStatus>(service, &access, DOCUMENT, None).await?,
        Some(to) => {
            check(service, &access, to)?;
            document::put(service, &access, DOCUMENT, Some(&status)).await?;
            service.bucket_logs.begin();
        }
    }
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

/// GetBucketLogging: as it was sent; empty if there is no log.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketLoggingInput>,
) -> S3Result<S3Response<GetBucketLoggingOutput>> {
    let access = access::of(&request)?;
    let stored = document::get::<BucketLoggingStatus>(&access, DOCUMENT)?;
    Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled: stored.and_then(|stored| stored.logging_enabled) }))
}

fn check(service: &Service, access: &Access, to: &LoggingEnabled) -> S3Result<()> {
    let (bucket, name) = (access.bucket()?, to.target_bucket.as_str());
    let target = match service.namespace.bucket(name) {
        Err(e) if matches!(e.kind(), ErrorKind::NoSuchBucket | ErrorKind::InvalidArgument) => {
            return Err(refused("The target bucket for logging does not exist", name));
        }
        found => found.or_s3()?,
    };
    if target.owner != bucket.owner {
        return Err(refused("The owner for the bucket to be logged and the target bucket must be the same.", name));
    }
    if target.region != bucket.region {
        let error = fail(S3ErrorCode::CrossLocationLoggingProhibited, "Cross S3 location logging not allowed. ");
        return Err(with_detail(error, "TargetBucketLocation", target.region.as_deref().unwrap_or(&service.region)));
    }
    // AWS has its log service write, and asks the target's policy to let it. Here the node writes: whoever sends it there
    // must be somebody who could write there.
    let key = if to.target_prefix.is_empty() { "log" } else { &to.target_prefix };
    if access.may(&target, key, "s3:PutObject", Some(Permission::Write)).is_err() {
        return Err(refused(
            "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket",
            name,
        ));
    }
    let rules: Result<BucketRules> = BucketRules::read(&target.settings.documents);
    bucketlog::check(to, &target, rules.or_s3()?.ownership.has_lists())
}

fn refused(message: &'static str, target: &str) -> S3Error {
    with_detail(fail(S3ErrorCode::InvalidTargetBucketForLogging, message), "TargetBucket", target)
}
