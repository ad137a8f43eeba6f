//! Requests that S3 serves and s3s refuses because of a header: several byte ranges or a `Range` that is none (S3
//! answers with the whole object), dates of conditions that are none (HTTP says to ignore them), tags in a list
//! without quotes, metadata in several headers, copies from long keys or with `+` for a space, checksums in a
//! CompleteMultipartUpload of algorithms it does not know. s3s verifies the signature, then hands such a
//! request here; it goes on without the header, or with it put right, to a second s3s service that takes our word for
//! who signed.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::{Extensions, Uri};
use hyper::{Method, Request};
use s3s::dto::{Delete, ETagCondition, Range};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::xml::{Deserialize, Deserializer};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use crate::access::Verified;
use crate::address::Address;
use crate::checksum::wire;
use crate::convert::tags::NewBucketTags;
use crate::convert::{condition, time};
use crate::error::{internal, payload_mismatch};
use crate::guard::{OF_NOTHING, form_pairs};
use crate::{copysource, longkey, subresource};

const DATES: [&str; 4] = [
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
];
const TAGS: [&str; 4] = ["if-match", "if-none-match", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"];

/// The route for such requests.
pub(crate) struct Lenient {
    inner: Arc<S3Service>,
    max_xml: usize,
}

impl Lenient {
    /// `inner` must know no route, so that a request comes by at most once.
    pub(crate) fn new(inner: Arc<S3Service>, max_xml: usize) -> Self {
        Self { inner, max_xml }
    }

    /// A whole body of XML.
    async fn collect(&self, mut body: Body) -> S3Result<Bytes> {
        // `respond` says what was wrong with a body that cannot be read: it knows its scope.
        body.store_all_limited(self.max_xml).await.map_err(|_| S3Error::new(S3ErrorCode::InternalError))
    }
}

/// What `door` saw of a request that has to come this way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suspect {
    /// CompleteMultipartUpload, whose body may name checksums that s3s does not know.
    Parts,
    /// CreateBucket with a body, which may have tags.
    NewBucket,
    /// The signature covers a body of this digest, and there is none. (s3s notices when it reads the body, which is after
    /// it has looked for the bucket.)
    NoBody(String),
    /// DeleteObjects with a body that is too short for many keys, and may have none.
    Deletes,
    /// A request for a session, or about one: see `sts`.
    Sessions,
}

impl Suspect {
    pub(crate) fn of(head: &Parts, address: Option<&Address>, empty: bool) -> Option<Self> {
        let has = |wanted: &dyn Fn(&str) -> bool| {
            form_pairs(head.uri.query().unwrap_or_default()).any(|(name, _)| wanted(&name))
        };
        let digest = head.headers.get("x-amz-content-sha256").and_then(|v| v.to_str().ok()).filter(|v| v.len() == 64);
        match (&head.method, digest) {
            (&Method::PUT | &Method::POST, Some(digest)) if empty && digest != OF_NOTHING => {
                Some(Self::NoBody(digest.to_owned()))
            }
            (&Method::POST, _) if has(&|name| name == "uploadId") => Some(Self::Parts),
            (&Method::POST, _) if is_short(&head.headers) && has(&|name| name == "delete") => Some(Self::Deletes),
            (&Method::PUT, _) if !empty && address.is_some_and(Address::is_bucket) && !has(&subresource::is_known) => {
                Some(Self::NewBucket)
            }
            _ => None,
        }
    }
}

/// Bodies of DeleteObjects with fewer bytes than this are looked at.
const SHORT: u64 = 512;
/// What s3s gets in the place of a list without objects, which it refuses; `NoObjects` goes with it.
const ONE_OBJECT: &[u8] = b"<Delete><Object><Key>none</Key></Object></Delete>";

/// A DeleteObjects that names nothing: VersityGW (and so its clients) takes that for no error.
#[derive(Clone)]
pub(crate) struct NoObjects;

fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length < SHORT)
}

/// Whether a document is a list of objects to delete, and empty: with one object put to its end it would be a list of one.
fn has_no_objects(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_end();
    let Some(before) = text.strip_suffix("</Delete>").map(Cow::from).or_else(|| {
        let open = text.strip_suffix("/>")?;
        Some(Cow::from(format!("{open}>")))
    }) else {
        return false;
    };
    if text.contains("Object") || text.contains('\0') {
        return false;
    }
    let mended = format!("{before}<Object><Key>none</Key></Object></Delete>");
    let mut read = Deserializer::new(mended.as_bytes());
    Delete::deserialize(&mut read).is_ok_and(|list| list.objects.len() == 1) && read.expect_eof().is_ok()
}

/// Puts headers right that s3s would stumble over; whether there were any.
pub(crate) fn mend(headers: &mut HeaderMap) -> bool {
    let mut mended = false;
    let bad_range = |value: &http::HeaderValue| value.to_str().is_ok_and(|v| Range::parse(v).is_err());
    if headers.get(RANGE).is_some_and(bad_range) {
        headers.remove(RANGE);
        mended = true;
    }
    for name in DATES {
        let bad = |v: &http::HeaderValue| v.to_str().ok().and_then(time::parse_http_date).is_none();
        if headers.get(name).is_some_and(|v| !v.is_empty() && bad(v)) {
            headers.remove(name);
            mended = true;
        }
    }
    for name in TAGS {
        let Some(value) = headers.get(name) else { continue };
        if value.is_empty() || ETagCondition::parse_http_header(value.as_bytes()).is_ok() {
            continue;
        }
        let Ok(text) = value.to_str() else { continue };
        let quoted: Vec<String> =
            text.split(',').map(condition::bare).map(|t| format!("\"{}\"", t.replace('"', ""))).collect();
        if let Ok(value) = http::HeaderValue::try_from(quoted.join(", ")) {
            headers.insert(name, value);
            mended = true;
        }
    }
    mended | copysource::spell_spaces(headers) | join_metadata(headers)
}

/// User metadata that comes in several headers of one name is one value with commas, as HTTP has it.
fn join_metadata(headers: &mut HeaderMap) -> bool {
    let several =
        |name: &&HeaderName| name.as_str().starts_with("x-amz-meta-") && headers.get_all(*name).iter().count() > 1;
    let names: Vec<HeaderName> = headers.keys().filter(several).cloned().collect();
    for name in &names {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(|v| v.as_bytes()).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b","[..])) {
            headers.insert(name, joined);
        }
    }
    !names.is_empty()
}

#[async_trait::async_trait]
impl S3Route for Lenient {
    fn is_match(&self, _: &Method, _: &Uri, headers: &HeaderMap, extensions: &mut Extensions) -> bool {
        if extensions.get::<Suspect>().is_some() {
            return true;
        }
        let suspect = headers.len() != headers.keys_len()
            || headers.contains_key(RANGE)
            || headers.contains_key(copysource::HEADER)
            || DATES.iter().chain(&TAGS).any(|name| headers.contains_key(*name));
        suspect && (longkey::source(headers).is_some() || mend(&mut headers.clone()))
    }

    /// The inner pass asks.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let (mut tags, mut none) = (None, false);
        // Nothing is collected for somebody who may not be let in.
        let signed = request.credentials.is_some();
        let body = match request.extensions.get().filter(|s| signed || matches!(s, Suspect::NoBody(_))) {
            None => request.input,
            Some(Suspect::Sessions) => request.input,
            Some(Suspect::NoBody(digest)) => return Err(payload_mismatch(digest, Some(OF_NOTHING))),
            Some(Suspect::Parts) => {
                let bytes = self.collect(request.input).await?;
                match std::str::from_utf8(&bytes).map(wire::request) {
                    Ok(Cow::Owned(mended)) => Body::from(mended),
                    _ => Body::from(bytes),
                }
            }
            Some(Suspect::Deletes) => {
                let bytes = self.collect(request.input).await?;
                none = has_no_objects(&bytes);
                Body::from(if none { Bytes::from_static(ONE_OBJECT) } else { bytes })
            }
            Some(Suspect::NewBucket) => {
                let bytes = self.collect(request.input).await?;
                tags = NewBucketTags::read(&bytes)?;
                Body::from(bytes)
            }
        };
        let mut inner = Request::new(body);
        *inner.method_mut() = request.method;
        *inner.uri_mut() = without_signature(&request.uri)?;
        *inner.headers_mut() = request.headers;
        *inner.extensions_mut() = request.extensions;
        mend(inner.headers_mut());
        inner.headers_mut().remove(AUTHORIZATION);
        if let Some((short, key)) = longkey::source(inner.headers()) {
            inner.headers_mut().insert("x-amz-copy-source", short);
            inner.extensions_mut().insert(key);
        }
        inner.extensions_mut().insert(Verified(request.credentials.map(|c| c.access_key)));
        if none {
            inner.extensions_mut().insert(NoObjects);
        }
        if let Some(tags) = tags {
            inner.extensions_mut().insert(tags);
        }
        if let Some(trailers) = request.trailing_headers {
            inner.extensions_mut().insert(trailers);
        }
        let answer = self.inner.call(inner).await.map_err(|e| internal("an inner pass failed", format!("{e:?}")))?;
        let (head, body) = answer.into_parts();
        let mut answer = S3Response::with_headers(body, head.headers);
        answer.status = Some(head.status);
        answer.extensions = head.extensions;
        Ok(answer)
    }
}

/// The URI without a presigned URL's parameters: the inner service would ask for a signature it cannot check.
pub(crate) fn without_signature(uri: &Uri) -> S3Result<Uri> {
    let Some(query) = uri.query().filter(|q| q.contains("X-Amz-")) else { return Ok(uri.clone()) };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !matches!(
                name,
                "X-Amz-Algorithm"
                    | "X-Amz-Credential"
                    | "X-Amz-Date"
                    | "X-Amz-Expires"
                    | "X-Amz-SignedHeaders"
                    | "X-Amz-Signature"
                    | "X-Amz-Security-Token"
            )
        })
        .collect();
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().map_err(|e| internal("a path does not parse again", e))?);
    Uri::from_parts(parts).map_err(|e| internal("a URI does not parse again", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(name: &'static str, value: &str) -> Option<Option<String>> {
        let mut map = HeaderMap::new();
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        mend(&mut map).then(|| map.get(name).map(|v| v.to_str().unwrap().to_owned()))
    }

    #[test]
    fn only_what_s3s_refuses_is_touched() {
        assert_eq!(mended("range", "bytes=0-5"), None);
        assert_eq!(mended("range", "bytes=-5"), None);
        assert_eq!(mended("range", "bytes=0-1,3-4"), Some(None));
        assert_eq!(mended("range", "lines=1-2"), Some(None));
        assert_eq!(mended("range", "bytes=5-2"), Some(None));
        assert_eq!(mended("if-match", "\"a\", \"b\""), None);
        assert_eq!(mended("if-match", "abc"), None);
        assert_eq!(mended("if-match", "*"), None);
        assert_eq!(mended("if-match", "a, b"), Some(Some("\"a\", \"b\"".to_owned())));
        assert_eq!(mended("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(mended("if-modified-since", "yesterday"), Some(None));
        assert_eq!(mended("x-amz-copy-source", "b/a%20b%2Bc"), None);
        assert_eq!(mended("x-amz-copy-source", "b/a+b%2Bc"), Some(Some("b/a%20b%2Bc".to_owned())));
    }

    #[test]
    fn empty_lists_of_deletes_are_told() {
        for none in ["<Delete/>", "<Delete></Delete>", "<Delete xmlns=\"x\"><Quiet>true</Quiet></Delete>"] {
            assert!(has_no_objects(none.as_bytes()), "{none}");
        }
        for other in
            ["", "<Delete>", "<Other/>", "<Delete><Object><Key>k</Key></Object></Delete>", "<Delete/><Delete/", "x"]
                .into_iter()
                .chain([
                    "<Delete/><Delete/>",
                    "<Delete></Delete><Delete></Delete>",
                    "<Delete>\0</Delete>",
                    "<Delete>&x;</Delete>",
                ])
        {
            assert!(!has_no_objects(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn metadata_in_several_headers_is_one() {
        let mut map = HeaderMap::new();
        map.append("x-amz-meta-a", HeaderValue::from_static("1"));
        assert!(!mend(&mut map));
        map.append("x-amz-meta-a", HeaderValue::from_static("2"));
        assert!(mend(&mut map));
        assert_eq!(map.get_all("x-amz-meta-a").iter().collect::<Vec<_>>(), ["1,2"]);
    }

    #[test]
    fn signatures_leave_the_query() {
        let strip = |u: &str| without_signature(&u.parse().unwrap()).unwrap().to_string();
        assert_eq!(strip("/b/k?a=1"), "/b/k?a=1");
        assert_eq!(strip("/b/k?a=1&X-Amz-Signature=x&X-Amz-Date=y&b"), "/b/k?a=1&b");
        assert_eq!(strip("/b/k%20?X-Amz-Signature=x"), "/b/k%20");
    }
}
