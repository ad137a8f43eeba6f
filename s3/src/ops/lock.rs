//! Object lock: a bucket's configuration, versions' retention and legal hold.

use pinfold_store::error::{Error, ErrorKind};
use pinfold_store::meta::kept::{LockRow, Retention};
use pinfold_store::meta::rows::{DefaultRetention, ObjectLock, RetentionMode, RetentionTime, Versioning};
use pinfold_store::types::Timestamp;
use s3s::dto::{
    DefaultRetention as DefaultRetentionXml, GetObjectLegalHoldInput, GetObjectLegalHoldOutput,
    GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, GetObjectRetentionInput,
    GetObjectRetentionOutput, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule, PutObjectLegalHoldInput,
    PutObjectLegalHoldOutput, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput,
    PutObjectRetentionInput, PutObjectRetentionOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::change_settings;
use crate::access::{self, Access};
use crate::body::upload::to_the_end;
use crate::convert::{key, lock, time, version};
use crate::error::{OrS3, bad_argument, custom, fail, invalid_request, plain};
use crate::service::Service;

/// Longest default retention.
const MOST_DAYS: i32 = 36_500;
const MOST_YEARS: i32 = 100;

fn malformed() -> s3s::S3Error {
    plain(S3ErrorCode::MalformedXML)
}

/// A default retention as the document says it.
fn default_retention(xml: &DefaultRetentionXml) -> S3Result<DefaultRetention> {
    let mode = xml.mode.as_ref().and_then(|mode| lock::parse_mode(mode.as_str())).ok_or_else(malformed)?;
    let bounded = |name: &'static str, given: i32, most: i32| match u32::try_from(given) {
        Ok(0) | Err(_) => {
            Err(bad_argument(name, &given.to_string(), "Default retention period must be a positive integer value."))
        }
        Ok(_) if given > most => Err(bad_argument(name, &given.to_string(), "Default retention period too large.")),
        Ok(n) => Ok(n),
    };
    let time = match (xml.days, xml.years) {
        (Some(days), None) => RetentionTime::Days(bounded("Days", days, MOST_DAYS)?),
        (None, Some(years)) => RetentionTime::Years(bounded("Years", years, MOST_YEARS)?),
        _ => return Err(malformed()),
    };
    Ok(DefaultRetention { mode, time })
}

/// PutObjectLockConfiguration.
pub(crate) async fn put_configuration(
    service: &Service,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let access = access::of(&request)?;
    let Some(asked) = request.input.object_lock_configuration else {
        return Err(plain(S3ErrorCode::MissingRequestBodyError));
    };
    if asked.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let rule = asked.rule.and_then(|rule| rule.default_retention);
    let default = rule.as_ref().map(default_retention).transpose()?;
    if service.versioning && access.bucket()?.settings.versioning != Versioning::Enabled {
        let mut error = fail(
            S3ErrorCode::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        );
        error.set_status_code(hyper::StatusCode::CONFLICT);
        return Err(error);
    }
    change_settings(service, &access, move |settings| settings.object_lock = Some(ObjectLock { default })).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

/// GetObjectLockConfiguration.
pub(crate) async fn get_configuration(
    _: &Service,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let access = access::of(&request)?;
    let Some(set) = &access.bucket()?.settings.object_lock else {
        return Err(custom("ObjectLockConfigurationNotFoundError", hyper::StatusCode::NOT_FOUND));
    };
    let rule = set.default.map(|default| {
        let (days, years) = match default.time {
            RetentionTime::Days(days) => (i32::try_from(days).ok(), None),
            RetentionTime::Years(years) => (None, i32::try_from(years).ok()),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(lock::mode_name(default.mode)));
        ObjectLockRule { default_retention: Some(DefaultRetentionXml { days, mode, years }) }
    });
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule,
        }),
    }))
}

fn require_lock(access: &Access) -> S3Result<()> {
    match access.bucket()?.settings.object_lock {
        Some(_) => Ok(()),
        None => Err(invalid_request("Bucket is missing Object Lock Configuration")),
    }
}

/// PutObjectRetention. A retention is made longer by whoever may set one; shorter, or of another mode, only from governance
/// and with the bypass.
pub(crate) async fn put_retention(
    service: &Service,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let access = access::of(&request)?;
    let bypass = lock::may_bypass(&request.headers, &access, &request.input.key)?;
    let input = request.input;
    key::check(&input.key)?;
    let version = version::parse(input.version_id.as_deref())?;
    let asked = input.retention.ok_or_else(malformed)?;
    let until = asked.retain_until_date.as_ref().map(time::from_s3);
    let retention = match (asked.mode.as_ref(), until) {
        // An empty document takes a retention away.
        (None, None) => None,
        (mode, Some(until)) => {
            if until <= Timestamp::from(std::time::SystemTime::now()) {
                let shown = time::iso(until).unwrap_or_default();
                const UNTIL: &str = "x-amz-object-lock-retain-until-date";
                return Err(bad_argument(UNTIL, &shown, "The retain until date must be in the future!"));
            }
            let mode = mode.and_then(|mode| lock::parse_mode(mode.as_str())).ok_or_else(malformed)?;
            Some(Retention { mode, until })
        }
        (Some(_), None) => return Err(malformed()),
    };
    // That the object is there is said before that the bucket has no lock.
    service.namespace.head_version(&access.caller(), &input.bucket, input.key.as_bytes(), version).await.or_s3()?;
    require_lock(&access)?;
    let (namespace, caller, bucket, key) = (service.namespace.clone(), access.caller(), input.bucket, input.key);
    to_the_end(async move {
        let change = |lock: &mut LockRow, now: Timestamp| {
            if let Some(old) = lock.retention.filter(|old| old.until > now) {
                let longer = retention.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
                let lifted = bypass && old.mode == RetentionMode::Governance;
                if !longer && !lifted {
                    return Err(Error::new(ErrorKind::ObjectLocked, "the version's retention is not made weaker"));
                }
            }
            lock.retention = retention;
            Ok(())
        };
        namespace.change_lock(&caller, &bucket, key.as_bytes(), version, change).await
    })
    .await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

fn no_lock() -> s3s::S3Error {
    custom("NoSuchObjectLockConfiguration", hyper::StatusCode::BAD_REQUEST)
}

/// GetObjectRetention.
pub(crate) async fn get_retention(
    service: &Service,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let row = read(service, &access, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let retention = row.retention.ok_or_else(no_lock)?;
    Ok(S3Response::new(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(lock::mode_name(retention.mode))),
            retain_until_date: Some(time::to_s3(retention.until)),
        }),
    }))
}

async fn read(service: &Service, access: &Access, bucket: &str, key: &str, version: Option<&str>) -> S3Result<LockRow> {
    key::check(key)?;
    let version = version::parse(version)?;
    let info = service.namespace.head_version(&access.caller(), bucket, key.as_bytes(), version).await.or_s3()?;
    require_lock(access)?;
    service.namespace.lock(access.bucket()?.id, key.as_bytes(), info.meta.version).or_s3()
}

/// PutObjectLegalHold.
pub(crate) async fn put_hold(
    service: &Service,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    key::check(&input.key)?;
    let version = version::parse(input.version_id.as_deref())?;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(malformed)?;
    let hold = match status.as_str() {
        ObjectLockLegalHoldStatus::ON => true,
        ObjectLockLegalHoldStatus::OFF => false,
        _ => return Err(malformed()),
    };
    service.namespace.head_version(&access.caller(), &input.bucket, input.key.as_bytes(), version).await.or_s3()?;
    require_lock(&access)?;
    let (namespace, caller, bucket, key) = (service.namespace.clone(), access.caller(), input.bucket, input.key);
    to_the_end(async move {
        let change = |lock: &mut LockRow, _: Timestamp| {
            lock.legal_hold = Some(hold);
            Ok(())
        };
        namespace.change_lock(&caller, &bucket, key.as_bytes(), version, change).await
    })
    .await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

/// GetObjectLegalHold.
pub(crate) async fn get_hold(
    service: &Service,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let access = access::of(&request)?;
    let input = request.input;
    let row = read(service, &access, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let hold = row.legal_hold.ok_or_else(no_lock)?;
    let status = if hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    Ok(S3Response::new(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold { status: Some(ObjectLockLegalHoldStatus::from_static(status)) }),
    }))
}
