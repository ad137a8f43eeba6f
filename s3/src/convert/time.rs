//! Times: the store's, s3s's and HTTP's.

use std::time::SystemTime;

use pinfold_store::types::Timestamp;

/// The store's time as s3s's.
pub(crate) fn to_s3(t: Timestamp) -> s3s::dto::Timestamp {
    SystemTime::from(t).into()
}

/// s3s's time as the store's.
pub(crate) fn from_s3(t: &s3s::dto::Timestamp) -> Timestamp {
    let t: time::OffsetDateTime = t.clone().into();
    Timestamp { secs: t.unix_timestamp(), nanos: t.nanosecond() }
}

const HTTP_DATE: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// `Sun, 06 Nov 1994 08:49:37 GMT`; `None` for a time that HTTP cannot say.
pub(crate) fn http_date(t: Timestamp) -> Option<String> {
    time::OffsetDateTime::from_unix_timestamp(t.secs).ok()?.format(HTTP_DATE).ok()
}

const ISO: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// `1994-11-06T08:49:37Z`; `None` for a time that has no such form.
pub(crate) fn iso(t: Timestamp) -> Option<String> {
    time::OffsetDateTime::from_unix_timestamp(t.secs).ok()?.format(ISO).ok()
}

const ISO_MILLIS: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// `1994-11-06T08:49:37.123Z`; empty for a time that has no such form.
pub(crate) fn iso_millis(t: Timestamp) -> String {
    let whole = time::OffsetDateTime::from_unix_timestamp(t.secs).ok();
    let exact = whole.and_then(|whole| whole.replace_nanosecond(t.nanos).ok());
    exact.and_then(|exact| exact.format(ISO_MILLIS).ok()).unwrap_or_default()
}

/// `1994-11-06T08:49:37Z` of now.
pub(crate) fn iso_now() -> String {
    time::OffsetDateTime::now_utc().format(ISO).unwrap_or_default()
}

const STAMP: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");

/// Reads `19941106T084937Z`.
pub(crate) fn parse_stamp(text: &str) -> Option<time::OffsetDateTime> {
    Some(time::PrimitiveDateTime::parse(text, STAMP).ok()?.assume_utc())
}

/// `1994-11-06T08:49:37Z`, so many seconds after `19941106T084937Z`.
pub(crate) fn iso_after(stamp: &str, seconds: i64) -> Option<String> {
    parse_stamp(stamp)?.checked_add(time::Duration::seconds(seconds))?.format(ISO).ok()
}

/// Reads an HTTP date (the IMF form, which all S3 clients send); `None` if it is none.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let t = time::PrimitiveDateTime::parse(text.trim(), HTTP_DATE).ok()?.assume_utc();
    Some(Timestamp { secs: t.unix_timestamp(), nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_go_both_ways() {
        let t = Timestamp { secs: 784_111_777, nanos: 5 };
        assert_eq!(http_date(t).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp { secs: 784_111_777, nanos: 0 }));
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(http_date(Timestamp { secs: i64::MAX, nanos: 0 }), None);
        assert_eq!(from_s3(&to_s3(t)), t);
    }
}
