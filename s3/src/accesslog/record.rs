//! One request as VersityGW 1.8.0 logs it (its package `s3log`): 26 fields with single spaces between them, 18 for the
//! admin API, JSON for the webhook. Kept from it: the full name of the month, a successful status that is always 200,
//! `-` for what is empty, a user agent without quotes, and the fields that never change.
//!
//! Not kept: what would let a client write lines of its own (control characters are percent-encoded), the local time
//! zone (times are UTC), the byte counts of 0 for what is streamed, and in the admin's log the status of 0 and the whole
//! error document in the place of its code.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[day]/[month repr:long]/[year]:[hour]:[minute]:[second] +0000");

/// What a log tells of a request. Empty is "not known".
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub(crate) bucket_owner: String,
    pub(crate) bucket: String,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) time: Time,
    #[serde(rename = "RemoteIP")]
    pub(crate) remote_ip: String,
    pub(crate) requester: String,
    #[serde(rename = "RequestID")]
    pub(crate) request_id: String,
    pub(crate) operation: String,
    pub(crate) key: String,
    #[serde(rename = "RequestURI")]
    pub(crate) request_uri: String,
    pub(crate) http_status: u16,
    pub(crate) error_code: String,
    pub(crate) bytes_sent: u64,
    pub(crate) object_size: u64,
    /// Milliseconds to the answer's last byte.
    pub(crate) total_time: u64,
    /// Milliseconds to the answer's head.
    pub(crate) turn_around_time: u64,
    pub(crate) referer: String,
    pub(crate) user_agent: String,
    #[serde(rename = "VersionID")]
    pub(crate) version_id: String,
    #[serde(rename = "HostID")]
    pub(crate) host_id: String,
    pub(crate) signature_version: &'static str,
    pub(crate) cipher_suite: String,
    pub(crate) authentication_type: &'static str,
    pub(crate) host_header: String,
    #[serde(rename = "TLSVersion")]
    pub(crate) tls_version: String,
    #[serde(rename = "AccessPointARN")]
    pub(crate) access_point_arn: String,
    pub(crate) acl_required: &'static str,
}

/// When a line was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) OffsetDateTime);

impl Default for Time {
    fn default() -> Self {
        Self(OffsetDateTime::UNIX_EPOCH)
    }
}

fn rfc3339<S: serde::Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.0.format(&Rfc3339).unwrap_or_default())
}

/// The field, or a dash.
fn or_dash(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

impl Record {
    fn stamp(&self) -> String {
        format!("[{}]", self.time.0.format(TIME).unwrap_or_default())
    }

    /// A line of the access log, without its end.
    pub(crate) fn line(&self) -> String {
        [
            or_dash(&self.bucket_owner),
            or_dash(&self.bucket),
            self.stamp(),
            or_dash(&self.remote_ip),
            or_dash(&self.requester),
            or_dash(&self.request_id),
            or_dash(&self.operation),
            or_dash(&self.key),
            or_dash(&self.request_uri),
            self.http_status.to_string(),
            or_dash(&self.error_code),
            self.bytes_sent.to_string(),
            self.object_size.to_string(),
            self.total_time.to_string(),
            self.turn_around_time.to_string(),
            or_dash(&self.referer),
            or_dash(&self.user_agent),
            or_dash(&self.version_id),
            or_dash(&self.host_id),
            self.signature_version.to_owned(),
            or_dash(&self.cipher_suite),
            self.authentication_type.to_owned(),
            or_dash(&self.host_header),
            or_dash(&self.tls_version),
            or_dash(&self.access_point_arn),
            self.acl_required.to_owned(),
        ]
        .join(" ")
    }

    /// A line of the admin log, without its end.
    pub(crate) fn admin_line(&self) -> String {
        [
            self.stamp(),
            or_dash(&self.remote_ip),
            or_dash(&self.requester),
            or_dash(&self.request_id),
            or_dash(&self.operation),
            or_dash(&self.request_uri),
            self.http_status.to_string(),
            or_dash(&self.error_code),
            self.bytes_sent.to_string(),
            self.total_time.to_string(),
            self.turn_around_time.to_string(),
            or_dash(&self.referer),
            or_dash(&self.user_agent),
            or_dash(&self.host_id),
            self.signature_version.to_owned(),
            or_dash(&self.cipher_suite),
            self.authentication_type.to_owned(),
            or_dash(&self.tls_version),
        ]
        .join(" ")
    }

    /// What the webhook gets. The requester has a dash there, too; all else may be empty.
    pub(crate) fn json(&self) -> String {
        let requester = or_dash(&self.requester);
        serde_json::to_string(&Self { requester, ..self.clone() }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let nasty = "a\nb\r\0\u{85}c d".to_owned();
        let record = Record {
            bucket: nasty.clone(),
            key: nasty.clone(),
            user_agent: nasty.clone(),
            request_uri: nasty.clone(),
            error_code: nasty,
            signature_version: "SigV4",
            authentication_type: "AuthHeader",
            acl_required: "Yes",
            ..Record::default()
        };
        for line in [record.line(), record.admin_line()] {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.contains("a%0Ab%0D%00%C2%85c d"), "{line}");
        }
        assert!(record.line().starts_with("- a%0Ab%0D%00%C2%85c d [01/January/1970:00:00:00 +0000] - - - - "));
        let json: serde_json::Value = serde_json::from_str(&record.json()).unwrap();
        assert_eq!((json["Key"].as_str(), json["Requester"].as_str()), (Some("a\nb\r\0\u{85}c d"), Some("-")));
        assert_eq!(json["Time"], "1970-01-01T00:00:00Z");
    }
}
