//! Headers of an object: what a PUT, a copy or a new upload sends, checked; and what this server does not do, refused
//! rather than ignored.

use http::{HeaderMap, HeaderName};
use pinfold_store::meta::rows::{ObjectHeaders, PosixHints};
use pinfold_store::namespace::s3_limits::{MAX_USER_METADATA, is_metadata_value, metadata_size};
use s3s::dto::Metadata;
use s3s::{S3ErrorCode, S3Result};

use super::posix;
use crate::error::{fail, invalid_argument, plain};

const STORAGE_CLASSES: [&str; 11] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
];

/// Headers that imply something this server does not do yet. Ignoring one would be a lie: an object sent with a key
/// would be stored in the clear.
pub(crate) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    for name in headers.keys() {
        let name = name.as_str();
        // Of encryption, `sse` reads what is served; the rest are of a key management service.
        let kms = name.starts_with("x-amz-server-side-encryption-aws-kms")
            || matches!(
                name,
                "x-amz-server-side-encryption-context" | "x-amz-server-side-encryption-bucket-key-enabled"
            );
        if kms || matches!(name, "x-amz-write-offset-bytes" | "x-amz-rename-source") {
            return Err(plain(S3ErrorCode::NotImplemented));
        }
    }
    // Objects have no lists: as with VersityGW, what one would grant more is not granted (S3-COMPATIBILITY.md).
    match headers.get("x-amz-acl").map(|v| v.as_bytes()) {
        None | Some(b"" | b"private" | b"bucket-owner-full-control" | b"bucket-owner-read") => Ok(()),
        Some(b"public-read" | b"public-read-write" | b"authenticated-read" | b"aws-exec-read") => Ok(()),
        Some(_) => Err(invalid_argument("The canned ACL you provided is not valid")),
    }
}

/// The object's headers and POSIX attributes of a request.
pub(crate) fn read(headers: &HeaderMap, metadata: Option<Metadata>) -> S3Result<(ObjectHeaders, PosixHints)> {
    let text = |name: &str| -> S3Result<Option<String>> {
        match headers.get(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => match value.to_str() {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(invalid_argument(format!("The header '{name}' is not valid"))),
            },
        }
    };
    let mut user: Vec<(String, String)> = metadata.unwrap_or_default().into_iter().collect();
    user.sort();
    if metadata_size(&user) > MAX_USER_METADATA {
        return Err(plain(S3ErrorCode::MetadataTooLarge));
    }
    let posix = posix::take(&mut user);
    let website_redirect = text("x-amz-website-redirect-location")?;
    if website_redirect.as_deref().is_some_and(|l| !["/", "http://", "https://"].iter().any(|p| l.starts_with(p))) {
        let mut error = fail(
            S3ErrorCode::Custom("InvalidRedirectLocation".into()),
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        );
        error.set_status_code(hyper::StatusCode::BAD_REQUEST);
        return Err(error);
    }
    Ok((
        ObjectHeaders {
            content_type: text("content-type")?,
            content_encoding: text("content-encoding")?.and_then(|e| without_aws_chunked(&e)),
            content_language: text("content-language")?,
            content_disposition: text("content-disposition")?,
            cache_control: text("cache-control")?,
            expires: text("expires")?,
            website_redirect,
            storage_class: storage_class(headers)?,
            user,
        },
        posix,
    ))
}

/// `x-amz-storage-class`: one of AWS's names; `STANDARD` is none.
pub(crate) fn storage_class(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(value) = headers.get("x-amz-storage-class") else { return Ok(None) };
    match value.to_str() {
        Ok("" | "STANDARD") => Ok(None),
        Ok(class) if STORAGE_CLASSES.contains(&class) => Ok(Some(class.to_owned())),
        _ => Err(plain(S3ErrorCode::InvalidStorageClass)),
    }
}

/// `aws-chunked` says how the request is framed, not how the object is encoded.
fn without_aws_chunked(encoding: &str) -> Option<String> {
    let rest: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty() && !e.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!rest.is_empty()).then(|| rest.join(","))
}

/// Whether user metadata of this name can be a header (the mount's xattrs can name what HTTP cannot).
pub(crate) fn can_show(name: &str, value: &str) -> bool {
    HeaderName::from_bytes(format!("x-amz-meta-{name}").as_bytes()).is_ok() && is_metadata_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn content_headers_are_kept_as_sent() {
        let headers = map(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked, gzip"),
            ("expires", "whenever"),
            ("x-amz-storage-class", "STANDARD_IA"),
        ]);
        let (got, _) = read(&headers, None).unwrap();
        assert_eq!(got.content_type.as_deref(), Some("text/plain"));
        assert_eq!(got.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(got.expires.as_deref(), Some("whenever"));
        assert_eq!(got.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(read(&map(&[("content-encoding", "aws-chunked")]), None).unwrap().0.content_encoding, None);
        assert!(read(&map(&[("x-amz-storage-class", "COLD")]), None).is_err());
    }

    #[test]
    fn user_metadata_is_bounded() {
        let meta = |n: usize| Some(Metadata::from([("k".to_owned(), "v".repeat(n))]));
        assert!(read(&HeaderMap::new(), meta(2047)).is_ok());
        let too_large = read(&HeaderMap::new(), meta(2048)).unwrap_err();
        assert_eq!(too_large.code(), &S3ErrorCode::MetadataTooLarge);
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let code = |n: &'static str, v: &str| {
            refuse_unsupported(&map(&[(n, v)])).map_or_else(|e| e.code().as_str().to_owned(), |()| "ok".to_owned())
        };
        assert_eq!(code("x-amz-write-offset-bytes", "1"), "NotImplemented");
        assert_eq!(code("x-amz-acl", "private"), "ok");
        assert_eq!(code("x-amz-acl", "public-read"), "ok");
        assert_eq!(code("x-amz-acl", "everyone"), "InvalidArgument");
        assert_eq!(code("x-amz-grant-read", "id=x"), "ok");
    }
}
