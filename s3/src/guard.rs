//! What is refused before s3s looks at a request, because s3s 0.14.1 would let it through or word it differently:
//! SigV2 in all its forms, signatures for another region or service, presigned URLs valid for more than a week,
//! and `x-amz-*` headers that the signature does not cover.
//!
//! One region: the configured one (`us-east-1` unless set). AWS refuses the others per endpoint too, and a client
//! that signs for the wrong region is a client that is configured for another service.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::config::S3Config;
use crate::error::{bad_argument, fail, invalid_argument, invalid_request, plain, slow_down, with_detail};
use crate::identity::token;
use crate::session::is_temporary;
use crate::sts;

/// Services that signatures are for.
const S3: &str = "s3";
const STS: &str = "sts";

/// Bytes of all headers' names and values: S3's limit.
const MAX_FIELDS: usize = 8 * 1024;
/// Longest life of a presigned URL, in seconds: a week.
const MAX_EXPIRES: i64 = 7 * 24 * 3600;

/// Headers that AWS's own clients add after signing. None of them changes what a request does.
const MAY_BE_UNSIGNED: [&str; 2] = ["x-amz-content-sha256", "x-amz-user-agent"];

/// Checks one request's head.
pub(crate) fn check(head: &Parts, config: &S3Config) -> S3Result<()> {
    let region = config.region.as_str();
    check_head(head, config)?;
    let query = head.uri.query().unwrap_or_default();
    if token(head).is_some() && !is_temporary(&claimed(head, query)) {
        return Err(plain(S3ErrorCode::InvalidToken));
    }
    let authorization = single(&head.headers)?;
    let presigned = Presigned::read(query);
    match (authorization, presigned.is_some()) {
        (Some(_), true) => Err(invalid_argument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        )),
        (Some(value), false) => check_header(value, head, region),
        (None, _) => {
            refuse_v2_query(query)?;
            presigned.map_or(Ok(()), |p| p.check(&head.headers, region))
        }
    }
}

/// What is asked of any head.
pub(crate) fn check_head(head: &Parts, config: &S3Config) -> S3Result<()> {
    check_size(head, config.max_head_bytes)?;
    check_path(head.uri.path())
}

/// hyper reads heads into the buffer that it reads bodies into, which is larger than a head may be.
fn check_size(head: &Parts, limit: usize) -> S3Result<()> {
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if fields > MAX_FIELDS || fields + head.uri.path().len() + head.uri.query().map_or(0, str::len) > limit {
        let error = fail(
            S3ErrorCode::RequestHeaderSectionTooLarge,
            "Your request header section exceeds the maximum allowed size.",
        );
        return Err(with_detail(error, "MaxSizeAllowed", &MAX_FIELDS.to_string()));
    }
    Ok(())
}

/// s3s takes a `%` that begins no escape for itself, and then finds another signature than the client's.
fn check_path(path: &str) -> S3Result<()> {
    let mut escapes = path.split('%').skip(1);
    let whole =
        |escape: &str| escape.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if escapes.all(whole) { Ok(()) } else { Err(plain(S3ErrorCode::InvalidURI)) }
}

fn unsupported_mechanism() -> S3Error {
    invalid_request("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

fn single(headers: &HeaderMap) -> S3Result<Option<&str>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid_argument("Only one Authorization header is allowed"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(bad_argument("Authorization", "", "Unsupported Authorization Type")),
    }
}

fn refuse_v2_query(query: &str) -> S3Result<()> {
    let has = |name: &str| form_pairs(query).any(|(key, _)| key == name);
    if has("AWSAccessKeyId") || has("Signature") {
        return Err(unsupported_mechanism());
    }
    Ok(())
}

fn check_header(value: &str, head: &Parts, region: &str) -> S3Result<()> {
    let (headers, service) = (&head.headers, if sts::is_request(head) { STS } else { S3 });
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Err(bad_argument(
            "Authorization",
            value,
            "Authorization header is invalid -- one and only one ' ' (space) required.",
        ));
    };
    match scheme {
        "AWS4-HMAC-SHA256" => {}
        "AWS" => return Err(unsupported_mechanism()),
        other => return Err(bad_argument("Authorization", other, "Unsupported Authorization Type")),
    }
    let parts: Vec<&str> = rest.split(',').map(str::trim).collect();
    if parts.len() != 3 {
        return Err(malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature.",
        ));
    }
    let mut values = [""; 3];
    for part in parts {
        let place = match part.split_once('=') {
            None => return Err(malformed(&format!("the authorization component \"{part}\" is malformed."))),
            Some(("Credential", value)) => (0, value),
            Some(("SignedHeaders", value)) => (1, value),
            Some(("Signature", value)) => (2, value),
            Some(_) => continue,
        };
        values[place.0] = place.1;
    }
    let [credential, signed, _] = values;
    for (value, name) in values.into_iter().zip(["Credential", "SignedHeaders", "Signature"]) {
        if value.is_empty() {
            return Err(malformed(&format!("missing {name}.")));
        }
    }
    let date = check_credential(credential, region, service).map_err(|what| malformed_scope(&what, region))?;
    let said = headers.get("x-amz-date").and_then(|d| d.to_str().ok()).filter(|d| is_long_date(d));
    match said {
        None => {
            return Err(fail(
                S3ErrorCode::AccessDenied,
                "AWS authentication requires a valid Date or x-amz-date header.",
            ));
        }
        Some(said) if !said.starts_with(date) => {
            // Twice, as VersityGW says it: scripts compare.
            return Err(malformed(
                "The authorization header is malformed; Invalid credential date. Date is not the same as X-Amz-Date.",
            ));
        }
        Some(_) => {}
    }
    match headers.get("x-amz-content-sha256") {
        Some(payload) => check_payload(payload.as_bytes())?,
        // s3s reads the body for it.
        None if service == STS => {}
        None => return Err(invalid_request("Missing required header for this request: x-amz-content-sha256")),
    }
    check_signed(signed, headers)
}

/// `yyyyMMdd'T'HHmmss'Z'`, as far as its form goes.
fn is_long_date(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() == 16 && b[8] == b'T' && b[15] == b'Z' && b[..8].iter().chain(&b[9..15]).all(u8::is_ascii_digit)
}

/// The access key that a request says is its signer's; empty if it says none.
fn claimed(head: &Parts, query: &str) -> String {
    let header = head.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let in_header = header.and_then(|text| text.split_once("Credential=")).map(|(_, rest)| rest.to_owned());
    let in_query = || form_pairs(query).find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value);
    let credential = in_header.or_else(in_query).unwrap_or_default();
    credential.split('/').next().unwrap_or_default().to_owned()
}

/// s3s calls a bad value a wrong signature; AWS says what is wrong with it.
fn check_payload(value: &[u8]) -> S3Result<()> {
    let known = value == b"UNSIGNED-PAYLOAD" || value.starts_with(b"STREAMING-");
    if known || (value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit)) {
        return Ok(());
    }
    Err(bad_argument(
        "x-amz-content-sha256",
        &String::from_utf8_lossy(value),
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
         STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 \
         value.",
    ))
}

fn malformed(what: &str) -> S3Error {
    fail(S3ErrorCode::AuthorizationHeaderMalformed, format!("The authorization header is malformed; {what}"))
}

/// What is wrong with a credential.
struct ScopeError {
    what: String,
    region: bool,
}

fn malformed_scope(error: &ScopeError, region: &str) -> S3Error {
    let answer = malformed(&error.what);
    if error.region { with_detail(answer, "Region", region) } else { answer }
}

/// `ACCESS/YYYYMMDD/REGION/SERVICE/aws4_request`: its date.
fn check_credential<'a>(credential: &'a str, region: &str, wanted: &str) -> Result<&'a str, ScopeError> {
    let wrong = |what: String| Err(ScopeError { what, region: false });
    let parts: Vec<&str> = credential.split('/').collect();
    let [_, date, scope_region, service, terminal] = parts[..] else {
        return wrong(
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".to_owned(),
        );
    };
    // MinIO's clients sign a request for a session as one to S3.
    if service != wanted && service != S3 {
        return wrong(format!("incorrect service \"{service}\". This endpoint belongs to \"{wanted}\"."));
    }
    if terminal != "aws4_request" {
        return wrong(format!("incorrect terminal \"{terminal}\". This endpoint uses \"aws4_request\"."));
    }
    if date.len() != 8 || !date.bytes().all(|b| b.is_ascii_digit()) {
        return wrong(format!(
            "incorrect date format \"{date}\". This date in the credential must be in the format \"yyyyMMdd\"."
        ));
    }
    if scope_region != region {
        let what = format!("the region \"{scope_region}\" is wrong; expecting \"{region}\"");
        return Err(ScopeError { what, region: true });
    }
    Ok(date)
}

/// Every `x-amz-*` header that is there must be among the signed ones, and `host` too: else whoever sees a request
/// pass could change what it does.
fn check_signed(signed: &str, headers: &HeaderMap) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|s| s.eq_ignore_ascii_case(name));
    let matters = |name: &str| name.starts_with("x-amz-") && !MAY_BE_UNSIGNED.contains(&name) || name == "content-md5";
    let mut uncovered: Vec<&str> = headers.keys().map(|n| n.as_str()).filter(|n| matters(n) && !is_signed(n)).collect();
    uncovered.sort_unstable();
    if !is_signed("host") && !is_signed(":authority") {
        uncovered.push("host");
    }
    if !uncovered.is_empty() {
        let error = fail(S3ErrorCode::AccessDenied, "There were headers present in the request which were not signed");
        return Err(with_detail(error, "HeadersNotSigned", &uncovered.join(", ")));
    }
    Ok(())
}

/// The parameters of a presigned URL.
#[derive(Default)]
struct Presigned {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed: Option<String>,
    signature: Option<String>,
}

impl Presigned {
    /// `None` if the query has none of a presigned URL's parameters.
    fn read(query: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut any = false;
        for (key, value) in form_pairs(query) {
            let slot = match key.as_str() {
                "X-Amz-Algorithm" => &mut found.algorithm,
                "X-Amz-Credential" => &mut found.credential,
                "X-Amz-Date" => &mut found.date,
                "X-Amz-Expires" => &mut found.expires,
                "X-Amz-SignedHeaders" => &mut found.signed,
                "X-Amz-Signature" => &mut found.signature,
                _ => continue,
            };
            any = true;
            *slot = Some(value);
        }
        any.then_some(found)
    }

    fn check(self, headers: &HeaderMap, region: &str) -> S3Result<()> {
        let wrong = |what: &str| fail(S3ErrorCode::AuthorizationQueryParametersError, what.to_owned());
        let (Some(algorithm), Some(credential), Some(said), Some(expires), Some(signed), Some(_)) =
            (self.algorithm, self.credential, self.date, self.expires, self.signed, self.signature)
        else {
            return Err(wrong(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            ));
        };
        if algorithm == "AWS4-ECDSA-P256-SHA256" {
            return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
        }
        if algorithm != "AWS4-HMAC-SHA256" {
            return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""));
        }
        let date = check_credential(&credential, region, S3)
            .map_err(|e| wrong(&format!("Error parsing the X-Amz-Credential parameter; {}", e.what)))?;
        if !is_long_date(&said) {
            return Err(wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""));
        }
        if !said.starts_with(date) {
            return Err(wrong(&format!(
                "Invalid credential date \"{date}\". This date is not the same as X-Amz-Date: \"{}\".",
                &said[..8]
            )));
        }
        match expires.parse::<i64>() {
            Err(_) => return Err(wrong("X-Amz-Expires should be a number")),
            Ok(seconds) if seconds < 0 => return Err(wrong("X-Amz-Expires must be non-negative")),
            Ok(seconds) if seconds > MAX_EXPIRES => {
                return Err(wrong(
                    "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be \
                     less than 604800 seconds",
                ));
            }
            Ok(_) => {}
        }
        check_signed(&signed, headers)
    }
}

/// Decoded `key=value` pairs of a query; undecodable text stays as it is (s3s refuses it later).
pub(crate) fn form_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    crate::convert::key::percent_decode(text, true).unwrap_or_else(|| text.to_owned())
}

/// The refusal of a request whose head alone is already too much for this server.
pub(crate) fn too_busy() -> S3Error {
    slow_down(Duration::from_secs(1))
}

/// The SHA-256 of no bytes.
pub(crate) const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().method("GET").uri(uri).header("host", "localhost");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn code(uri: &str, headers: &[(&str, &str)]) -> String {
        match check(&head(uri, headers), &S3Config::default()) {
            Ok(()) => "ok".to_owned(),
            Err(e) => e.code().as_str().to_owned(),
        }
    }

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn v4(credential: &str, signed: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature=00")
    }

    fn with_auth<'a>(auth: &'a str, extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut all = vec![("authorization", auth), ("x-amz-date", "20260101T000000Z"), ("x-amz-content-sha256", SHA)];
        all.extend_from_slice(extra);
        all
    }

    #[test]
    fn sigv2_is_refused_in_every_form() {
        assert_eq!(code("/b/k", &[("authorization", "AWS AKID:c2ln")]), "InvalidRequest");
        assert_eq!(code("/b/k?AWSAccessKeyId=A&Expires=99999999999&Signature=x", &[]), "InvalidRequest");
        assert_eq!(code("/b/k?Signature=x", &[]), "InvalidRequest");
        assert_eq!(code("/b/k?Sign%61ture=x", &[]), "InvalidRequest");
    }

    #[test]
    fn header_signatures_are_for_this_region_and_service() {
        let good = v4("AK/20260101/us-east-1/s3/aws4_request", "host;x-amz-content-sha256;x-amz-date");
        assert_eq!(code("/b", &with_auth(&good, &[])), "ok");
        for credential in [
            "AK/20260101/eu-west-1/s3/aws4_request",
            "AK/20260101/us-east-1/sts/aws4_request",
            "AK/20260101/us-east-1/s3/aws5_request",
            "AK/2026011/us-east-1/s3/aws4_request",
            "AK/us-east-1/s3/aws4_request",
        ] {
            let auth = v4(credential, "host;x-amz-content-sha256;x-amz-date");
            assert_eq!(code("/b", &with_auth(&auth, &[])), "AuthorizationHeaderMalformed", "{credential}");
        }
        let slashes = v4("A/K/20260101/us-east-1/s3/aws4_request", "host;x-amz-content-sha256;x-amz-date");
        assert_eq!(code("/b", &with_auth(&slashes, &[])), "AuthorizationHeaderMalformed");
        let yesterday = v4("AK/20251231/us-east-1/s3/aws4_request", "host;x-amz-content-sha256;x-amz-date");
        assert_eq!(code("/b", &with_auth(&yesterday, &[])), "AuthorizationHeaderMalformed");
    }

    #[test]
    fn amz_headers_must_be_signed() {
        let auth = v4("AK/20260101/us-east-1/s3/aws4_request", "host;x-amz-content-sha256;x-amz-date");
        assert_eq!(code("/b/k", &with_auth(&auth, &[("x-amz-tagging", "a=b")])), "AccessDenied");
        assert_eq!(code("/b/k", &with_auth(&auth, &[("content-md5", "x")])), "AccessDenied");
        assert_eq!(code("/b/k", &with_auth(&auth, &[("content-type", "text/plain")])), "ok");
        let no_host = v4("AK/20260101/us-east-1/s3/aws4_request", "x-amz-content-sha256;x-amz-date");
        assert_eq!(code("/b/k", &with_auth(&no_host, &[])), "AccessDenied");
    }

    #[test]
    fn other_schemes_and_missing_pieces_are_named() {
        assert_eq!(code("/", &[("authorization", "Bearer x")]), "InvalidArgument");
        assert_eq!(code("/", &[("authorization", "nonsense")]), "InvalidArgument");
        assert_eq!(code("/", &[("authorization", "AWS4-HMAC-SHA256 Credential=x")]), "AuthorizationHeaderMalformed");
        let auth = v4("AK/20260101/us-east-1/s3/aws4_request", "host");
        assert_eq!(code("/", &[("authorization", auth.as_str())]), "AccessDenied");
        assert_eq!(
            code("/", &[("authorization", auth.as_str()), ("x-amz-date", "20260101T000000Z")]),
            "InvalidRequest"
        );
    }

    fn presigned(expires: &str, region: &str) -> String {
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2F{region}%2Fs3%2Faws4_request\
             &X-Amz-Date=20260101T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        )
    }

    #[test]
    fn presigned_urls_live_a_week_at_most_and_in_this_region() {
        assert_eq!(code(&presigned("604800", "us-east-1"), &[]), "ok");
        for uri in [
            presigned("604801", "us-east-1"),
            presigned("-1", "us-east-1"),
            presigned("soon", "us-east-1"),
            presigned("60", "eu-west-1"),
            "/b/k?X-Amz-Signature=00".to_owned(),
        ] {
            assert_eq!(code(&uri, &[]), "AuthorizationQueryParametersError", "{uri}");
        }
        let uri = presigned("60", "us-east-1");
        assert_eq!(code(&uri, &[("x-amz-copy-source", "b/other")]), "AccessDenied");
        assert_eq!(code(&uri, &[("authorization", "AWS4-HMAC-SHA256 x")]), "InvalidArgument");
    }

    #[test]
    fn tokens_are_of_temporary_keys() {
        assert_eq!(code("/b/k", &[("x-amz-security-token", "t")]), "InvalidToken");
        assert_eq!(code("/b/k?X-Amz-Security-Token=t", &[]), "InvalidToken");
        assert_eq!(code("/b/k", &[("x-amz-security-token", "")]), "ok");
        let uri = format!("{}&X-Amz-Security-Token=t", presigned("60", "us-east-1"));
        assert_eq!(code(&uri, &[]), "InvalidToken");
    }

    #[test]
    fn anonymous_requests_go_on_to_be_refused_by_access() {
        assert_eq!(code("/b/k", &[]), "ok");
    }

    #[test]
    fn heads_are_bounded() {
        let long = "v".repeat(MAX_FIELDS);
        assert_eq!(code("/b/k", &[("x-a", &long[..8000])]), "ok");
        assert_eq!(code("/b/k", &[("x-a", &long)]), "RequestHeaderSectionTooLarge");
        assert_eq!(code(&format!("/b/k?{}", "q".repeat(32 * 1024 - 8)), &[]), "RequestHeaderSectionTooLarge");
    }
}
