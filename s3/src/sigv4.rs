//! Signature Version 4 over a whole request, for the few requests whose signature s3s cannot check (`longkey`): those
//! without a body. What is no well-formed signature, or one for another region or service, was refused by `guard`.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use ring::hmac;
use s3s::{S3ErrorCode, S3Result};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::address;
use crate::auth::Credentials;
use crate::convert::key::url_encode;
use crate::convert::time::parse_stamp;
use crate::error::{OrS3, fail, plain, with_detail};
use crate::guard::form_pairs;

/// How far a request's clock may be off, as in s3s.
const SKEW: Duration = Duration::minutes(15);

/// What a request says about its signature.
#[derive(Default)]
struct Claim {
    credential: String,
    stamp: String,
    signed: String,
    signature: String,
    payload: String,
    /// Seconds that a presigned URL is good for.
    expires: Option<i64>,
}

impl Claim {
    /// `None` for a request without a signature.
    fn read(head: &Parts) -> Option<Self> {
        let text = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let mut claim = Self::default();
        if let Some(value) = head.headers.get(AUTHORIZATION) {
            let (_, rest) = value.to_str().ok()?.split_once(' ')?;
            for (name, value) in rest.split(',').filter_map(|part| part.trim().split_once('=')) {
                match name {
                    "Credential" => claim.credential = value.to_owned(),
                    "SignedHeaders" => claim.signed = value.to_owned(),
                    "Signature" => claim.signature = value.to_owned(),
                    _ => {}
                }
            }
            claim.stamp = text("x-amz-date");
            claim.payload = text("x-amz-content-sha256");
            return Some(claim);
        }
        for (name, value) in form_pairs(head.uri.query().unwrap_or_default()) {
            match name.as_str() {
                "X-Amz-Credential" => claim.credential = value,
                "X-Amz-SignedHeaders" => claim.signed = value,
                "X-Amz-Signature" => claim.signature = value,
                "X-Amz-Date" => claim.stamp = value,
                "X-Amz-Expires" => claim.expires = value.parse().ok(),
                _ => {}
            }
        }
        claim.payload = "UNSIGNED-PAYLOAD".to_owned();
        claim.expires.is_some().then_some(claim)
    }

    fn check_time(&self, now: OffsetDateTime) -> S3Result<()> {
        let skewed = || plain(S3ErrorCode::RequestTimeTooSkewed);
        let said = parse_stamp(&self.stamp).ok_or_else(skewed)?;
        let age = now - said;
        match self.expires {
            None if age.abs() > SKEW => Err(skewed()),
            Some(_) if -age > SKEW => Err(skewed()),
            Some(seconds) if age > Duration::seconds(seconds) => {
                Err(fail(S3ErrorCode::AccessDenied, "Request has expired"))
            }
            _ => Ok(()),
        }
    }
}

/// Checks a request's signature and says whose it is. `path` is the decoded path.
pub(crate) async fn verify(
    head: &Parts,
    path: &str,
    accounts: &dyn Credentials,
    now: OffsetDateTime,
) -> S3Result<String> {
    let Some(claim) = Claim::read(head) else { return Err(plain(S3ErrorCode::AccessDenied)) };
    claim.check_time(now)?;
    let (access, scope) = claim.credential.split_once('/').unwrap_or_default();
    let Some(secret) = accounts.secret(access).await.or_s3()? else {
        return Err(with_detail(plain(S3ErrorCode::InvalidAccessKeyId), "AWSAccessKeyId", access));
    };
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    for part in scope.split('/') {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    let signature = hex::decode(&claim.signature).unwrap_or_default();
    // Some clients sign the path as they send it, with characters in it that S3 would encode.
    for path in [url_encode(path.as_bytes()), head.uri.path().to_owned()] {
        let canonical = canonical(head, &path, &claim);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            claim.stamp,
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        if hmac::verify(&key, text.as_bytes(), &signature).is_ok() {
            return Ok(access.to_owned());
        }
    }
    Err(plain(S3ErrorCode::SignatureDoesNotMatch))
}

fn canonical(head: &Parts, path: &str, claim: &Claim) -> String {
    let encode = |text: &str| url_encode(text.as_bytes()).replace('/', "%2F");
    let mut query: Vec<(String, String)> = form_pairs(head.uri.query().unwrap_or_default())
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    query.sort();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut names: Vec<String> = claim.signed.split(';').map(str::to_ascii_lowercase).collect();
    names.sort();
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", header(head, name))).collect();
    format!("{}\n{path}\n{}\n{headers}\n{}\n{}", head.method, query.join("&"), names.join(";"), claim.payload)
}

/// A header's values as they are signed: joined by commas, with single spaces. One that is not there is empty: nobody
/// signs such a one by accident.
fn header(head: &Parts, name: &str) -> String {
    if name == HOST.as_str() && !head.headers.contains_key(HOST) {
        return address::host(head).unwrap_or_default().to_owned();
    }
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    values(&head.headers, name).map(words).collect::<Vec<_>>().join(",")
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::example::{EXAMPLE, One};

    const SECONDS: i64 = 1_369_353_600;

    fn check(uri: &str, headers: &[(&str, &str)], at: i64) -> String {
        let mut request = hyper::Request::builder().uri(uri.replace("EXAMPLEID", EXAMPLE));
        for (name, value) in headers {
            request = request.header(*name, value.replace("EXAMPLEID", EXAMPLE));
        }
        let head = request.body(()).unwrap().into_parts().0;
        let now = OffsetDateTime::from_unix_timestamp(at).unwrap();
        let verified = futures::executor::block_on(verify(&head, head.uri.path(), &One, now));
        verified.unwrap_or_else(|e| e.code().as_str().to_owned())
    }

    /// "GET Object" of AWS's documentation of the Authorization header.
    #[test]
    fn a_header_as_aws_documents_it() {
        let auth = "AWS4-HMAC-SHA256 Credential=EXAMPLEID/20130524/us-east-1/s3/aws4_request,SignedHeaders=\
                    host;range;x-amz-content-sha256;x-amz-date,Signature=\
                    f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let with = |range: &str, auth: &str, at: i64| {
            let headers = [
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", range),
                ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                ("x-amz-date", "20130524T000000Z"),
                ("authorization", auth),
            ];
            check("/test.txt", &headers, at)
        };
        assert_eq!(with("bytes=0-9", auth, SECONDS), EXAMPLE);
        assert_eq!(with("bytes=0-8", auth, SECONDS), "SignatureDoesNotMatch");
        assert_eq!(with("bytes=0-9", &auth.replace("f0e8", "f0e9"), SECONDS), "SignatureDoesNotMatch");
        assert_eq!(with("bytes=0-9", &auth.replace("f0e8", "zz"), SECONDS), "SignatureDoesNotMatch");
        assert_eq!(with("bytes=0-9", &auth.replace("EXAMPLEID", "other"), SECONDS), "InvalidAccessKeyId");
        assert_eq!(with("bytes=0-9", auth, SECONDS + 901), "RequestTimeTooSkewed");
        assert_eq!(with("bytes=0-9", auth, SECONDS - 901), "RequestTimeTooSkewed");
    }

    /// The presigned URL of AWS's documentation of query parameters.
    #[test]
    fn a_presigned_url_as_aws_documents_it() {
        let uri = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=EXAMPLEID%2F20130524%2Fus-east-1%2Fs3%2F\
                   aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
                   aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let host = [("host", "examplebucket.s3.amazonaws.com")];
        assert_eq!(check(uri, &host, SECONDS + 86_400), EXAMPLE);
        assert_eq!(check(uri, &host, SECONDS + 86_401), "AccessDenied");
        assert_eq!(check(uri, &host, SECONDS - 901), "RequestTimeTooSkewed");
        assert_eq!(check(uri, &[("host", "other")], SECONDS), "SignatureDoesNotMatch");
        assert_eq!(check(&uri.replace("=86400", "=86401"), &host, SECONDS), "SignatureDoesNotMatch");
        assert_eq!(check("/test.txt", &host, SECONDS), "AccessDenied");
    }
}
