//! Signature Version 4, with the body left out of it as SDKs do over TLS, or in it.

use ring::{digest, hmac};
use time::OffsetDateTime;

const DATE: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year][month][day]");
const STAMP: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
/// The payload hash of a body that is not signed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The payload hash of no body.
pub(crate) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An account, with what signatures of one second share.
pub(crate) struct Signer {
    access: String,
    secret: String,
    second: i64,
    date: String,
    stamp: String,
    key: hmac::Key,
}

impl Signer {
    /// A signer of region us-east-1.
    pub(crate) fn new(access: &str, secret: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"");
        Self {
            access: access.to_owned(),
            secret: secret.to_owned(),
            second: 0,
            date: String::new(),
            stamp: String::new(),
            key,
        }
    }

    /// The headers `x-amz-date`, `x-amz-content-sha256` and `authorization` of a request, each with its line's end.
    pub(crate) fn headers(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        query: &str,
        payload: &str,
    ) -> Result<String, time::error::Format> {
        let now = OffsetDateTime::now_utc();
        if now.unix_timestamp() != self.second {
            self.second = now.unix_timestamp();
            self.stamp = now.format(STAMP)?;
            let date = now.format(DATE)?;
            if date != self.date {
                let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret).as_bytes());
                for part in [date.as_str(), "us-east-1", "s3", "aws4_request"] {
                    key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
                }
                (self.key, self.date) = (key, date);
            }
        }
        let (stamp, date) = (&self.stamp, &self.date);
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{stamp}\n\n\
             host;x-amz-content-sha256;x-amz-date\n{payload}"
        );
        let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let scope = format!("{date}/us-east-1/s3/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hash}");
        let signature = hex::encode(hmac::sign(&self.key, to_sign.as_bytes()));
        Ok(format!(
            "x-amz-date: {stamp}\r\nx-amz-content-sha256: {payload}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n",
            self.access
        ))
    }
}
