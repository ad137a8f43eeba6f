//! One request as AWS's server access logs have it: 26 fields with single spaces between them, `-` for what is empty,
//! URI, referrer and user agent in quotes.
//!
//! Not as AWS has it: signatures and session tokens of presigned URLs are left out, a quote or control character that a
//! client sent is percent-encoded (AWS's readers split at quotes), and whether a list was needed is not told.

use std::sync::Arc;

use hyper::Method;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Target, names};
use crate::accesslog::Record;
use crate::convert::key::url_encode;

const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
/// Parameters whose values are secrets for as long as a presigned URL lives.
const SECRET: [&str; 2] = ["X-Amz-Signature=", "X-Amz-Security-Token="];

/// A key that DeleteObjects was asked to remove.
#[derive(Clone, Debug)]
pub(crate) struct Removed {
    /// The key.
    pub(crate) key: String,
    /// The version, if one was named.
    pub(crate) version: String,
    /// The error's code; none if it is gone.
    pub(crate) error: Option<(u16, String)>,
}

/// What a bucket's log tells of a request.
pub(crate) struct Entry {
    /// Where the log goes.
    pub(crate) target: Arc<Target>,
    /// What all logs tell.
    pub(crate) record: Record,
    /// When the request came.
    pub(crate) time: OffsetDateTime,
    /// The operation's S3 name.
    pub(crate) operation: &'static str,
    /// The request's method.
    pub(crate) method: Method,
    /// `HTTP/1.1` …
    pub(crate) version: String,
    /// The host that was asked.
    pub(crate) host: String,
    /// `AuthHeader`, `QueryString`, or empty.
    pub(crate) signed: &'static str,
    /// The answer's status.
    pub(crate) status: u16,
    /// A website was asked.
    pub(crate) of_site: bool,
    /// The keys of a DeleteObjects.
    pub(crate) removed: Vec<Removed>,
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escaped(text, |c| c.is_control() || c.is_whitespace()) }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "\"-\"".to_owned() } else { format!("\"{}\"", escaped(text, |c| c.is_control() || c == '"')) }
}

fn escaped(text: &str, bad: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if bad(c) {
            out.push_str(&url_encode(c.encode_utf8(&mut [0; 4]).as_bytes()));
        } else {
            out.push(c);
        }
    }
    out
}

fn number(n: u64) -> String {
    if n == 0 { "-".to_owned() } else { n.to_string() }
}

/// A request's target without what a presigned URL must not tell.
fn without_secrets(uri: &str) -> String {
    let Some((path, query)) = uri.split_once('?') else { return uri.to_owned() };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match SECRET.iter().find(|name| pair.starts_with(**name)) {
            Some(name) => format!("{name}REDACTED"),
            None => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

impl Entry {
    /// Its lines: the request's own, and one for each key of a DeleteObjects.
    pub(super) fn lines(&self) -> Vec<String> {
        let record = &self.record;
        let error = (self.status, record.error_code.as_str());
        let operation = names::name(self.operation, &self.method, self.of_site);
        let mut lines = vec![self.line(&operation, &record.key, &record.version_id, error, record.bytes_sent)];
        lines.extend(self.removed.iter().map(|removed| {
            let error = removed.error.as_ref().map_or((204, ""), |(status, code)| (*status, code.as_str()));
            self.line("BATCH.DELETE.OBJECT", &removed.key, &removed.version, error, 0)
        }));
        lines
    }

    fn line(&self, operation: &str, key: &str, version: &str, (status, code): (u16, &str), sent: u64) -> String {
        let record = &self.record;
        let uri = format!("{} {} {}", self.method, without_secrets(&record.request_uri), self.version);
        [
            or_dash(&record.bucket_owner),
            or_dash(&record.bucket),
            format!("[{}]", self.time.format(TIME).unwrap_or_default()),
            or_dash(&record.remote_ip),
            or_dash(&record.requester),
            or_dash(&record.request_id),
            operation.to_owned(),
            or_dash(&url_encode(key.as_bytes())),
            quoted(&uri),
            status.to_string(),
            or_dash(code),
            number(sent),
            number(record.object_size),
            record.total_time.to_string(),
            record.turn_around_time.to_string(),
            quoted(&record.referer),
            quoted(&record.user_agent),
            or_dash(version),
            or_dash(&record.host_id),
            if self.signed.is_empty() { "-" } else { "SigV4" }.to_owned(),
            or_dash(&record.cipher_suite),
            or_dash(self.signed),
            or_dash(&self.host),
            or_dash(&record.tls_version),
            "-".to_owned(),
            "-".to_owned(),
        ]
        .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(record: Record) -> Entry {
        Entry {
            target: Arc::new(Target::simple("src", "logs", "")),
            record,
            time: OffsetDateTime::from_unix_timestamp(1_549_411_238).unwrap(),
            operation: "GetObject",
            method: Method::GET,
            version: "HTTP/1.1".to_owned(),
            host: "src.s3.test".to_owned(),
            signed: "AuthHeader",
            status: 200,
            of_site: false,
            removed: Vec::new(),
        }
    }

    #[test]
    fn a_line_is_as_aws_writes_it() {
        let record = Record {
            bucket_owner: "ann".to_owned(),
            bucket: "src".to_owned(),
            remote_ip: "192.0.2.3".to_owned(),
            requester: "bob".to_owned(),
            request_id: "3E57".to_owned(),
            key: "a b".to_owned(),
            request_uri: "/src/a%20b?X-Amz-Signature=5ec7e7&x=1".to_owned(),
            bytes_sent: 113,
            total_time: 7,
            turn_around_time: 5,
            user_agent: "S3 \"Console\"/0.4\n".to_owned(),
            host_id: "s9lz".to_owned(),
            tls_version: "TLSv1.2".to_owned(),
            ..Record::default()
        };
        let mut told = entry(record);
        let expected = "ann src [06/Feb/2019:00:00:38 +0000] 192.0.2.3 bob 3E57 REST.GET.OBJECT a%20b \
                        \"GET /src/a%20b?X-Amz-Signature=REDACTED&x=1 HTTP/1.1\" 200 - 113 - 7 5 \"-\" \
                        \"S3 %22Console%22/0.4%0A\" - s9lz SigV4 - AuthHeader src.s3.test TLSv1.2 - -";
        assert_eq!(told.lines(), [expected]);
        told.signed = "";
        assert!(told.lines()[0].contains(" - s9lz - - - src.s3.test"), "nobody signed");
        told.removed = vec![
            Removed { key: "x".to_owned(), version: "v1".to_owned(), error: None },
            Removed { key: "y".to_owned(), version: String::new(), error: Some((403, "AccessDenied".to_owned())) },
        ];
        let lines = told.lines();
        assert!(
            lines[1].contains(" BATCH.DELETE.OBJECT x \"GET") && lines[1].contains("\" 204 - - - 7 5"),
            "{lines:?}"
        );
        assert!(lines[1].contains(" v1 s9lz "), "{lines:?}");
        assert!(lines[2].contains("\" 403 AccessDenied - - 7 5"), "{lines:?}");
    }
}
