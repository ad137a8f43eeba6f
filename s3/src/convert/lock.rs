//! Object lock in headers and documents.

use http::HeaderMap;
use pinfold_store::meta::kept::{LockRow, Retention};
use pinfold_store::meta::rows::{RetentionMode, Versioning};
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::{Caller, Timestamp};
use s3s::S3Result;

use super::{output, time};
use crate::access::Access;
use crate::error::{bad_argument, invalid_request};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";
/// Lifts what is under governance, for those who may.
pub(crate) const BYPASS: &str = "x-amz-bypass-governance-retention";

/// S3's word for a mode.
pub(crate) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// The counterpart.
pub(crate) fn parse_mode(text: &str) -> Option<RetentionMode> {
    match text {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// A moment in ISO 8601.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    use ::time::OffsetDateTime;
    use ::time::format_description::well_known::Iso8601;
    let time = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok()?;
    Some(Timestamp { secs: time.unix_timestamp(), nanos: time.nanosecond() })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

/// The lock that a PUT, a copy or a new upload asks for.
pub(crate) fn read(headers: &HeaderMap, bucket: &BucketInfo) -> S3Result<Option<LockRow>> {
    let (mode, until, hold) = (text(headers, MODE), text(headers, UNTIL), text(headers, HOLD));
    const BOTH: &str = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied.";
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(_), None) => return Err(bad_argument(UNTIL, "", BOTH)),
        (None, Some(_)) => return Err(bad_argument(MODE, "", BOTH)),
        (Some(mode), Some(until)) => {
            let Some(end) = parse_time(until) else {
                return Err(bad_argument(UNTIL, until, "The retain until date must be provided in ISO 8601 format"));
            };
            if end <= Timestamp::from(std::time::SystemTime::now()) {
                return Err(bad_argument(UNTIL, until, "The retain until date must be in the future!"));
            }
            let Some(mode) = parse_mode(mode) else {
                return Err(bad_argument(MODE, mode, "Unknown wormMode directive."));
            };
            Some(Retention { mode, until: end })
        }
    };
    let legal_hold = match hold {
        None => None,
        Some("ON") => Some(true),
        Some("OFF") => Some(false),
        Some(other) => return Err(bad_argument(HOLD, other, "Legal Hold must be either of 'ON' or 'OFF'")),
    };
    if retention.is_none() && legal_hold.is_none() {
        return Ok(None);
    }
    if bucket.settings.object_lock.is_none() {
        return Err(invalid_request("Bucket is missing ObjectLockConfiguration"));
    }
    Ok(Some(LockRow { retention, legal_hold }))
}

const LIFT: &str = "s3:BypassGovernanceRetention";

/// Whether a request lifts what is under governance on a key: it says so, and the account may.
pub(crate) fn may_bypass(headers: &HeaderMap, access: &Access, key: &str) -> S3Result<bool> {
    let asked = text(headers, BYPASS).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(asked && access.may(access.bucket()?, key, LIFT, None).is_ok())
}

/// The caller of a DELETE.
pub(crate) fn deleter(headers: &HeaderMap, access: &Access, key: &str) -> S3Result<Caller> {
    Ok(Caller { bypass_governance: may_bypass(headers, access, key)?, ..access.caller() })
}

/// The caller of a request that puts an object. In a bucket that keeps no versions it would take a locked one away, and
/// there is no header to say that it should: the policy has to allow that in so many words, as VersityGW has it.
pub(crate) fn putter(access: &Access, key: &str) -> S3Result<Caller> {
    let bucket = access.bucket()?;
    let locked = bucket.settings.object_lock.is_some() && bucket.settings.versioning == Versioning::Off;
    let bypass_governance = locked && access.is_granted(bucket, key, LIFT)?;
    Ok(Caller { bypass_governance, ..access.caller() })
}

/// Shows a version's lock on an answer to GET or HEAD.
pub(crate) fn set(map: &mut HeaderMap, lock: &LockRow) {
    if let Some(retention) = lock.retention {
        output::set(map, MODE, Some(mode_name(retention.mode)));
        output::set(map, UNTIL, time::iso(retention.until).as_deref());
    }
    if let Some(hold) = lock.legal_hold {
        output::set(map, HOLD, Some(if hold { "ON" } else { "OFF" }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_clients_write_them() {
        let at = |secs, nanos| Some(Timestamp { secs, nanos });
        assert_eq!(parse_time("2030-01-02T03:04:05Z"), at(1_893_553_445, 0));
        assert_eq!(parse_time("2030-01-02T03:04:05.25+01:00"), at(1_893_549_845, 250_000_000));
        for bad in ["", "tomorrow", "2030-13-01T00:00:00Z", "1893553445"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }
}
