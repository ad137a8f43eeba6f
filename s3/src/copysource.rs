//! `x-amz-copy-source`, looked at before s3s does: AWS says what is wrong with one, and s3s takes it for nothing on a
//! request that is no copy.

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use hyper::Method;
use pinfold_store::types::BucketName;
use s3s::S3Result;

use crate::convert::key::percent_decode;
use crate::error::bad_argument;
use crate::guard::form_pairs;

pub(crate) const HEADER: &str = "x-amz-copy-source";

/// Refuses a source that names no object, and one on a request that copies nothing.
pub(crate) fn check(head: &Parts) -> S3Result<()> {
    let Some(value) = head.headers.get(HEADER) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let upload = || form_pairs(head.uri.query().unwrap_or_default()).any(|(name, _)| name == "uploadId");
    match head.method {
        Method::PUT => check_source(&text, &head.headers),
        Method::GET | Method::HEAD | Method::DELETE => Err(not_allowed(&text)),
        Method::POST if upload() => Err(not_allowed(&text)),
        _ => Ok(()),
    }
}

fn not_allowed(text: &str) -> s3s::S3Error {
    bad_argument(HEADER, text, "You can only specify a copy source header for copy requests.")
}

fn check_source(text: &str, headers: &HeaderMap) -> S3Result<()> {
    if text.starts_with("arn:") || headers.get_all(HEADER).iter().count() > 1 {
        return Ok(());
    }
    let path = text.split_once("?versionId=").map_or(text, |(path, _)| path);
    let Some(path) = percent_decode(path, false) else {
        return Err(bad_argument(HEADER, text, "Invalid copy source encoding"));
    };
    let (bucket, key) = path.strip_prefix('/').unwrap_or(&path).split_once('/').unwrap_or((&path, ""));
    if BucketName::new(bucket).is_err() {
        return Err(bad_argument(HEADER, text, "Invalid copy source bucket name"));
    }
    if key.is_empty() || key == "." || climbs(key) {
        return Err(bad_argument(HEADER, key, "Invalid copy source object key"));
    }
    Ok(())
}

/// Spells a space `%20` where the header has `+`; whether it had one. AWS and VersityGW decode the header as a form's
/// value, and clients encode it so (s5cmd); a plus itself comes as `%2B`.
pub(crate) fn spell_spaces(headers: &mut HeaderMap) -> bool {
    let Some(value) = headers.get(HEADER).filter(|value| value.as_bytes().contains(&b'+')) else { return false };
    if headers.get_all(HEADER).iter().count() > 1 {
        return false;
    }
    let spelled: Vec<&[u8]> = value.as_bytes().split(|byte| *byte == b'+').collect();
    let Ok(value) = HeaderValue::from_bytes(&spelled.join(&b"%20"[..])) else { return false };
    headers.insert(HEADER, value);
    true
}

/// Whether a key's `..` ever lead above its beginning: AWS takes relative elements that do not.
pub(crate) fn climbs(key: &str) -> bool {
    let mut depth = 0i64;
    key.split('/').filter(|part| !part.is_empty() && *part != ".").any(|part| {
        depth += if part == ".." { -1 } else { 1 };
        depth < 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(method: Method, uri: &str, source: &str) -> String {
        let request = hyper::Request::builder().method(method).uri(uri).header(HEADER, source).body(()).unwrap();
        let refused = check(&request.into_parts().0).err();
        refused.map_or("ok".to_owned(), |e| e.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn sources_are_read() {
        let put = |source: &str| message(Method::PUT, "/b/k", source);
        for good in ["bucket/k", "/bucket/k", "bucket%2Fk", "bucket/a/../b", "bucket/k?versionId=x", "bucket/a%3Fb"] {
            assert_eq!(put(good), "ok", "{good}");
        }
        for bad in ["bucket/%ZZ", "100%/foo", "bucket/%A/bar", "%", "bucket/%C3%", "bucket/%C3"] {
            assert_eq!(put(bad), "Invalid copy source encoding", "{bad}");
        }
        for bad in ["192.168.1.1/foo", "2001:0db8::1/x", "my-buc@k&()t/obj", "/"] {
            assert_eq!(put(bad), "Invalid copy source bucket name", "{bad}");
        }
        for bad in ["bucket", "bucket/", "bucket/.", "bucket/..", "bucket/../", "bucket/foo/ba/../../../r/baz"] {
            assert_eq!(put(bad), "Invalid copy source object key", "{bad}");
        }
    }

    #[test]
    fn only_copies_have_one() {
        for (method, uri) in
            [(Method::GET, "/b/k"), (Method::HEAD, "/b"), (Method::DELETE, "/b/k"), (Method::POST, "/b/k?uploadId=x")]
        {
            assert!(message(method, uri, "b/k").starts_with("You can only"));
        }
        assert_eq!(message(Method::POST, "/b?delete", "b/k"), "ok");
    }

    #[test]
    fn relative_elements() {
        assert!(!climbs("a/../b") && !climbs("a/b/../../c") && !climbs("..."));
        assert!(climbs("..") && climbs("../a") && climbs("a/../../b") && climbs("/../a"));
    }
}
