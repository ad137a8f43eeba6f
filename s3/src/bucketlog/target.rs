//! Where a bucket's log goes: its configuration, and the keys of log objects.

use pinfold_store::namespace::s3_types::BucketInfo;
use s3s::dto::{BucketLoggingStatus, LoggingEnabled, PartitionDateSource};
use s3s::{S3ErrorCode, S3Result};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

use crate::error::{fail, invalid_argument, plain};
use crate::ops::document;

/// The time in a log object's key.
const STAMP: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]-[hour]-[minute]-[second]");
const FOLDER: &[BorrowedFormatItem<'static>] = format_description!("[year]/[month]/[day]");
/// The longest prefix: what follows in the longest key has room.
const LONGEST_PREFIX: usize = 800;

/// The form of log objects' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Simple,
    /// By account, region, bucket and day of the delivery.
    ByDelivery,
    /// The same, by the day of the requests.
    ByEvent,
}

/// Where one bucket's log goes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The bucket that is logged.
    pub(super) source: String,
    /// Its owner, who must be the target's.
    pub(crate) owner: String,
    /// Its region, if it names one.
    region: Option<String>,
    /// The bucket that gets the log.
    pub(super) bucket: String,
    prefix: String,
    form: Form,
}

impl Target {
    /// As a bucket's document says it; `None` if there is to be no log.
    pub(super) fn read(bucket: &BucketInfo, text: &str) -> S3Result<Option<Self>> {
        let Some(to) = document::read::<BucketLoggingStatus>(text)?.logging_enabled else { return Ok(None) };
        Ok(Some(Self {
            source: bucket.name.clone(),
            owner: bucket.owner.clone(),
            region: bucket.region.clone(),
            form: form(&to),
            bucket: to.target_bucket,
            prefix: to.target_prefix,
        }))
    }

    /// Its objects have requests of one day each.
    pub(super) fn by_day_of_event(&self) -> bool {
        self.form == Form::ByEvent
    }

    /// The key of an object that is put `now` with requests of `day`; `region` is that of buckets that name none.
    pub(super) fn key(&self, now: OffsetDateTime, day: Option<Date>, region: &str, unique: u64) -> String {
        let time = day.map_or(now, |day| day.with_time(Time::MIDNIGHT).assume_utc());
        let name = format!("{}-{unique:016X}", time.format(STAMP).unwrap_or_default());
        if self.form == Form::Simple {
            return format!("{}{name}", self.prefix);
        }
        let region = self.region.as_deref().unwrap_or(region);
        let folder = time.format(FOLDER).unwrap_or_default();
        format!("{}{}/{region}/{}/{folder}/{name}", self.prefix, self.owner, self.source)
    }

    #[cfg(test)]
    pub(super) fn simple(source: &str, bucket: &str, prefix: &str) -> Self {
        Self {
            source: source.to_owned(),
            owner: "ann".to_owned(),
            region: None,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            form: Form::Simple,
        }
    }

    #[cfg(test)]
    pub(super) fn by_event_day(source: &str, bucket: &str) -> Self {
        Self { form: Form::ByEvent, ..Self::simple(source, bucket, "p/") }
    }
}

fn form(to: &LoggingEnabled) -> Form {
    let partitioned = to.target_object_key_format.as_ref().and_then(|format| format.partitioned_prefix.as_ref());
    match partitioned.map(|by| by.partition_date_source.as_ref().map(PartitionDateSource::as_str)) {
        None => Form::Simple,
        Some(Some(PartitionDateSource::EVENT_TIME)) => Form::ByEvent,
        Some(_) => Form::ByDelivery,
    }
}

/// Refuses what AWS refuses of a configuration by itself; and grants, which nothing here could keep.
pub(crate) fn check(to: &LoggingEnabled, target: &BucketInfo, has_lists: bool) -> S3Result<()> {
    if to.target_prefix.len() > LONGEST_PREFIX || to.target_prefix.contains('\0') {
        return Err(invalid_argument(format!("The target prefix may have {LONGEST_PREFIX} bytes and no NUL.")));
    }
    if let Some(format) = &to.target_object_key_format {
        let source = format.partitioned_prefix.as_ref().and_then(|by| by.partition_date_source.as_ref());
        let known = source.is_none_or(|source| {
            [PartitionDateSource::EVENT_TIME, PartitionDateSource::DELIVERY_TIME].contains(&source.as_str())
        });
        if !known || format.partitioned_prefix.is_some() == format.simple_prefix.is_some() {
            return Err(plain(S3ErrorCode::MalformedXML));
        }
    }
    if to.target_grants.as_ref().is_some_and(|grants| !grants.is_empty()) {
        return Err(match has_lists {
            false => plain(S3ErrorCode::Custom("AccessControlListNotSupported".into())),
            true => fail(
                S3ErrorCode::NotImplemented,
                format!("Objects of the bucket {} have no access control lists that could grant", target.name),
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn keys_are_as_aws_makes_them() {
        let now = datetime!(2026-11-23 21:05:09.5 UTC);
        let simple = Target::simple("src", "logs", "p/");
        assert_eq!(simple.key(now, None, "eu-1", 0xabc), "p/2026-11-23-21-05-09-0000000000000ABC");
        let delivery = Target { form: Form::ByDelivery, ..Target::simple("src", "logs", "p/") };
        let expected = "p/ann/eu-1/src/2026/11/23/2026-11-23-21-05-09-0000000000000001";
        assert_eq!(delivery.key(now, None, "eu-1", 1), expected);
        let event = Target { region: Some("eu-2".to_owned()), ..Target::by_event_day("src", "logs") };
        let expected = "p/ann/eu-2/src/2026/11/22/2026-11-22-00-00-00-FFFFFFFFFFFFFFFF";
        assert_eq!(event.key(now, Some(date!(2026 - 11 - 22)), "eu-1", u64::MAX), expected);
    }
}
