//! Lifecycle rules: S3's form of them, AWS's checks, and the header that says when an object goes.

use std::collections::HashSet;

use http::HeaderMap;
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::lifecycle::{DOCUMENT, Expiration, Filter, Lifecycle, Noncurrent, Rule, Subject};
use pinfold_store::namespace::s3_types::{BucketInfo, ObjectInfo};
use pinfold_store::types::{Id, Timestamp};
use s3s::dto::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleAndOperator, LifecycleRuleFilter, NoncurrentVersionExpiration, Tag,
};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::convert::key::url_encode;
use crate::convert::tags::{self, Of};
use crate::convert::{output, time};
use crate::error::{OrS3, bad_argument, fail, invalid_argument, invalid_request, plain};

const MAX_RULES: usize = 1000;
const MAX_ID: usize = 255;
const MAX_KEPT: u32 = 100;
const DAY: i64 = 86_400;

fn malformed() -> S3Error {
    plain(S3ErrorCode::MalformedXML)
}

/// The rules that a client sends.
pub(crate) fn from_s3(configuration: BucketLifecycleConfiguration) -> S3Result<Lifecycle> {
    if configuration.rules.is_empty() || configuration.rules.len() > MAX_RULES {
        return Err(malformed());
    }
    let rules: Vec<Rule> = configuration.rules.into_iter().map(rule_from_s3).collect::<S3Result<_>>()?;
    let mut ids = HashSet::new();
    if !rules.iter().all(|rule| ids.insert(rule.id.as_str())) {
        return Err(invalid_argument("Rule ID must be unique. Found same ID for more than one rule"));
    }
    Ok(Lifecycle { rules })
}

fn rule_from_s3(rule: LifecycleRule) -> S3Result<Rule> {
    if rule.transitions.is_some_and(|t| !t.is_empty())
        || rule.noncurrent_version_transitions.is_some_and(|t| !t.is_empty())
    {
        let what =
            "Transition and NoncurrentVersionTransition are not offered by this server: it has one storage class";
        return Err(fail(S3ErrorCode::NotImplemented, what));
    }
    let id = rule.id.filter(|id| !id.is_empty()).unwrap_or_else(|| Id::random().to_string());
    if id.chars().count() > MAX_ID {
        return Err(invalid_argument("ID length should not exceed allowed limit of 255"));
    }
    let enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed()),
    };
    let (filter, plain_prefix) = match (rule.filter, rule.prefix) {
        (Some(filter), None) => (filter_from_s3(filter)?, false),
        (None, Some(prefix)) => (Filter { prefix, ..Filter::default() }, true),
        _ => return Err(malformed()),
    };
    let expiration = rule.expiration.map(expiration_from_s3).transpose()?;
    let noncurrent = rule.noncurrent_version_expiration.map(noncurrent_from_s3).transpose()?;
    let abort_uploads = rule.abort_incomplete_multipart_upload.map(abort_from_s3).transpose()?;
    if expiration.is_none() && noncurrent.is_none() && abort_uploads.is_none() {
        return Err(invalid_request("At least one action needs to be specified in a rule"));
    }
    for (given, action) in [
        (abort_uploads.is_some(), "AbortIncompleteMultipartUpload"),
        (matches!(expiration, Some(Expiration::Markers(_))), "ExpiredObjectDeleteMarker"),
    ] {
        if given && !filter.tags.is_empty() {
            return Err(invalid_request(format!("{action} cannot be specified with Tags.")));
        }
        if given && (filter.larger.is_some() || filter.smaller.is_some()) {
            return Err(invalid_request(format!("{action} cannot be specified with Object Size.")));
        }
    }
    Ok(Rule { id, enabled, filter, plain_prefix, expiration, noncurrent, abort_uploads })
}

fn filter_from_s3(filter: LifecycleRuleFilter) -> S3Result<Filter> {
    let LifecycleRuleFilter { and, object_size_greater_than: larger, object_size_less_than: smaller, prefix, tag } =
        filter;
    let single = [prefix.is_some(), tag.is_some(), larger.is_some(), smaller.is_some(), and.is_some()];
    if single.iter().filter(|given| **given).count() > 1 {
        return Err(malformed());
    }
    let (prefix, tags, larger, smaller) = match and {
        None => (prefix, tag.into_iter().collect(), larger, smaller),
        Some(and) => {
            let LifecycleRuleAndOperator { prefix, tags, object_size_greater_than, object_size_less_than } = and;
            let tags = tags.unwrap_or_default();
            let given = usize::from(prefix.is_some())
                + usize::from(object_size_greater_than.is_some())
                + usize::from(object_size_less_than.is_some())
                + tags.len();
            if given < 2 {
                return Err(malformed());
            }
            (prefix, tags, object_size_greater_than, object_size_less_than)
        }
    };
    let size = |name: &'static str, bytes: Option<i64>| match bytes.map(u64::try_from) {
        None => Ok(None),
        Some(Ok(bytes)) => Ok(Some(bytes)),
        Some(Err(_)) => Err(invalid_request(format!("'{name}' should be a non-negative integer"))),
    };
    let (larger, smaller) = (size("ObjectSizeGreaterThan", larger)?, size("ObjectSizeLessThan", smaller)?);
    if let (Some(larger), Some(smaller)) = (larger, smaller)
        && smaller <= larger
    {
        return Err(invalid_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'"));
    }
    let tags = tags::from_xml(tags, Of::Object)?;
    Ok(Filter { prefix: prefix.unwrap_or_default(), tags, larger, smaller })
}

fn positive(days: i32, name: &str, action: &str) -> S3Result<u32> {
    u32::try_from(days).ok().filter(|days| *days > 0).ok_or_else(|| {
        let what = format!("'{name}' for {action} action must be a positive integer");
        bad_argument("Days", &days.to_string(), what)
    })
}

fn expiration_from_s3(expiration: LifecycleExpiration) -> S3Result<Expiration> {
    let LifecycleExpiration { date, days, expired_object_delete_marker } = expiration;
    match (date, days, expired_object_delete_marker) {
        (None, Some(days), None) => Ok(Expiration::Days(positive(days, "Days", "Expiration")?)),
        (Some(date), None, None) => {
            let date = time::from_s3(&date);
            if date.nanos != 0 || date.secs % DAY != 0 {
                return Err(invalid_argument("'Date' must be at midnight GMT"));
            }
            Ok(Expiration::Date(date.secs))
        }
        (None, None, Some(wanted)) => Ok(Expiration::Markers(wanted)),
        _ => Err(malformed()),
    }
}

fn noncurrent_from_s3(noncurrent: NoncurrentVersionExpiration) -> S3Result<Noncurrent> {
    const ACTION: &str = "NoncurrentVersionExpiration";
    let days = positive(noncurrent.noncurrent_days.ok_or_else(malformed)?, "NoncurrentDays", ACTION)?;
    let keep = match noncurrent.newer_noncurrent_versions {
        None => None,
        Some(keep) => {
            let keep = positive(keep, "NewerNoncurrentVersions", ACTION)?;
            if keep > MAX_KEPT {
                return Err(invalid_argument(format!(
                    "'NewerNoncurrentVersions' for {ACTION} action must be at most {MAX_KEPT}"
                )));
            }
            Some(keep)
        }
    };
    Ok(Noncurrent { days, keep })
}

fn abort_from_s3(abort: AbortIncompleteMultipartUpload) -> S3Result<u32> {
    let days = abort.days_after_initiation.ok_or_else(malformed)?;
    positive(days, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
}

/// The rules as a client sees them.
pub(crate) fn to_s3(rules: Lifecycle) -> Vec<LifecycleRule> {
    rules.rules.into_iter().map(rule_to_s3).collect()
}

fn days(days: u32) -> Option<i32> {
    i32::try_from(days).ok()
}

fn rule_to_s3(rule: Rule) -> LifecycleRule {
    let expiration = rule.expiration.map(|expiration| match expiration {
        Expiration::Days(n) => LifecycleExpiration { days: days(n), ..Default::default() },
        Expiration::Date(secs) => {
            LifecycleExpiration { date: Some(time::to_s3(Timestamp { secs, nanos: 0 })), ..Default::default() }
        }
        Expiration::Markers(wanted) => {
            LifecycleExpiration { expired_object_delete_marker: Some(wanted), ..Default::default() }
        }
    });
    let noncurrent = rule.noncurrent.map(|noncurrent| NoncurrentVersionExpiration {
        newer_noncurrent_versions: noncurrent.keep.and_then(days),
        noncurrent_days: days(noncurrent.days),
    });
    let (filter, prefix) = match rule.plain_prefix {
        true => (None, Some(rule.filter.prefix)),
        false => (Some(filter_to_s3(rule.filter)), None),
    };
    LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort_uploads
            .map(|n| AbortIncompleteMultipartUpload { days_after_initiation: days(n) }),
        expiration,
        filter,
        id: Some(rule.id),
        noncurrent_version_expiration: noncurrent,
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(match rule.enabled {
            true => ExpirationStatus::ENABLED,
            false => ExpirationStatus::DISABLED,
        }),
        transitions: None,
    }
}

fn filter_to_s3(filter: Filter) -> LifecycleRuleFilter {
    let Filter { prefix, tags, larger, smaller } = filter;
    let mut tags: Vec<Tag> = tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    let size = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let (larger, smaller) = (size(larger), size(smaller));
    let others = tags.len() + usize::from(larger.is_some()) + usize::from(smaller.is_some());
    if others + usize::from(!prefix.is_empty()) > 1 {
        return LifecycleRuleFilter {
            and: Some(LifecycleRuleAndOperator {
                object_size_greater_than: larger,
                object_size_less_than: smaller,
                prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
                tags: Some(tags).filter(|tags| !tags.is_empty()),
            }),
            ..Default::default()
        };
    }
    LifecycleRuleFilter {
        and: None,
        object_size_greater_than: larger,
        object_size_less_than: smaller,
        prefix: (others == 0).then_some(prefix),
        tag: tags.pop(),
    }
}

/// A bucket's rules.
pub(crate) fn of(bucket: &BucketInfo) -> S3Result<Option<Lifecycle>> {
    bucket.settings.documents.get(DOCUMENT).map(|text| Lifecycle::read(text).or_s3()).transpose()
}

/// Adds `x-amz-expiration` to an answer that shows or makes a current version, where a rule says when it goes.
pub(crate) fn set(map: &mut HeaderMap, namespace: &Namespace, bucket: &BucketInfo, info: &ObjectInfo) -> S3Result<()> {
    let Some(rules) = of(bucket)? else { return Ok(()) };
    let subject = Subject { key: &info.key, size: info.size, tags: &info.meta.tags };
    let calendar = namespace.config().lifecycle_calendar();
    if let Some((secs, rule)) = rules.expires(&subject, info.meta.last_modified, calendar)
        && let Some(date) = time::http_date(Timestamp { secs, nanos: 0 })
    {
        let rule = url_encode(rule.as_bytes());
        output::set(map, "x-amz-expiration", Some(&format!("expiry-date=\"{date}\", rule-id=\"{rule}\"")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};

    use super::*;

    fn read(rules: &str) -> Result<Lifecycle, String> {
        let xml = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        let parsed = BucketLifecycleConfiguration::deserialize(&mut Deserializer::new(xml.as_bytes())).unwrap();
        from_s3(parsed).map_err(|e| format!("{}: {}", e.code().as_str(), e.message().unwrap_or_default()))
    }

    fn rule(inner: &str) -> String {
        format!("<Rule><ID>r</ID><Status>Enabled</Status>{inner}</Rule>")
    }

    #[test]
    fn what_is_read_is_shown() {
        let days = "<Expiration><Days>3</Days></Expiration>";
        for inner in [
            format!("<Prefix>a</Prefix>{days}"),
            format!("<Filter><Prefix></Prefix></Filter>{days}"),
            format!("<Filter><Prefix>a/</Prefix></Filter>{days}"),
            format!("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>{days}"),
            format!("<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>{days}"),
            format!(
                "<Filter><And><ObjectSizeLessThan>9</ObjectSizeLessThan><Prefix>p</Prefix>\
                 <Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>{days}"
            ),
            "<Filter><Prefix></Prefix></Filter><Expiration><Date>2030-01-02T00:00:00Z</Date></Expiration>".to_owned(),
            "<Filter><Prefix></Prefix></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
             </Expiration><NoncurrentVersionExpiration><NewerNoncurrentVersions>2</NewerNoncurrentVersions>\
             <NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration><AbortIncompleteMultipartUpload>\
             <DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
                .to_owned(),
        ] {
            let rules = read(&rule(&inner)).unwrap();
            let stored = Lifecycle::read(&crate::ops::to_json(&rules).unwrap()).unwrap();
            let mut xml = Vec::new();
            let shown = BucketLifecycleConfiguration { rules: to_s3(stored) };
            shown.serialize(&mut Serializer::new(&mut xml)).unwrap();
            let again = BucketLifecycleConfiguration::deserialize(&mut Deserializer::new(&xml)).unwrap();
            assert_eq!(again, shown, "{inner}");
            let said = format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rule(&inner));
            let said = BucketLifecycleConfiguration::deserialize(&mut Deserializer::new(said.as_bytes())).unwrap();
            assert_eq!(said, shown, "{inner}");
        }
    }

    #[test]
    fn what_is_no_rule() {
        let all = "<Filter><Prefix></Prefix></Filter>";
        let days = "<Expiration><Days>3</Days></Expiration>";
        let tagged = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
        let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                     </AbortIncompleteMultipartUpload>";
        for (inner, expected) in [
            (days.to_owned(), "MalformedXML"),
            (format!("{all}<Prefix>a</Prefix>{days}"), "MalformedXML"),
            (all.to_owned(), "InvalidRequest: At least one action needs to be specified in a rule"),
            (
                format!("{all}<Expiration><Days>0</Days></Expiration>"),
                "InvalidArgument: 'Days' for Expiration action must be a positive integer",
            ),
            (format!("{all}<Expiration><Days>1</Days><Date>2030-01-02T00:00:00Z</Date></Expiration>"), "MalformedXML"),
            (
                format!("{all}<Expiration><Date>2030-01-02T00:00:01Z</Date></Expiration>"),
                "InvalidArgument: 'Date' must be at midnight GMT",
            ),
            (
                format!("{all}<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
                "NotImplemented: Transition",
            ),
            (
                format!("{tagged}{abort}"),
                "InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with Tags.",
            ),
            (format!("<Filter><And><Prefix>a</Prefix></And></Filter>{days}"), "MalformedXML"),
            (
                format!(
                    "<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>\
                     <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>{days}"
                ),
                "InvalidRequest: 'ObjectSizeLessThan' has to be a value greater than",
            ),
            (
                format!(
                    "{all}<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"
                ),
                "InvalidArgument: 'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
            ),
        ] {
            let refused = read(&rule(&inner)).unwrap_err();
            assert!(refused.starts_with(expected), "{inner}: {refused}");
        }
        let good = rule(&format!("{all}{days}"));
        let twice = read(&format!("{good}{good}")).unwrap_err();
        assert!(twice.starts_with("InvalidArgument: Rule ID must be unique"), "{twice}");
        let none = from_s3(BucketLifecycleConfiguration { rules: Vec::new() }).unwrap_err();
        assert_eq!(none.code(), &S3ErrorCode::MalformedXML);
        assert!(read(&good.replace("Enabled", "enabled")).unwrap_err().starts_with("MalformedXML"));
        let long = good.replace("<ID>r", &format!("<ID>{}", "r".repeat(256)));
        assert_eq!(read(&long).unwrap_err(), "InvalidArgument: ID length should not exceed allowed limit of 255");
    }
}
