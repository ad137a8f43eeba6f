//! What a browser is told: in answer to a preflight request, and in the headers of any other.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use pinfold_store::namespace::Namespace;
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, S3Result};

use super::DOCUMENT;
use super::rules::{Allowed, Rules, is_header, is_method};
use crate::error::{OrS3, fail, with_detail};

/// Headers that a page may read whatever the rules say, as VersityGW has it.
#[derive(Clone, Copy)]
pub(crate) enum Expose {
    /// None but the rule's.
    Rule,
    /// The entity tag, in answer to a preflight request at the S3 endpoint.
    Preflight,
    /// Of any other request.
    Answer,
}

impl Expose {
    fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Rule => &[],
            Self::Preflight => &["ETag"],
            Self::Answer => &["ETag", "x-amz-storage-class"],
        }
    }
}

/// The part of a request that tells who asks.
pub(crate) struct Asker {
    origin: String,
    method: String,
    headers: Vec<String>,
}

impl Asker {
    /// Of any request but a preflight one; `None` without an origin.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(ORIGIN)?.to_str().ok().filter(|o| !o.is_empty())?.to_owned();
        let asked = text(headers, &ACCESS_CONTROL_REQUEST_METHOD).filter(|m| is_method(m));
        let method = asked.unwrap_or_else(|| method.as_str().to_owned());
        Some(Self { origin, method, headers: request_headers(headers).ok()? })
    }

    fn of_preflight(headers: &HeaderMap) -> S3Result<Self> {
        let Some(origin) = text(headers, &ORIGIN).filter(|o| !o.is_empty()) else {
            return Err(bad("Insufficient information. Origin request header needed."));
        };
        let method = text(headers, &ACCESS_CONTROL_REQUEST_METHOD).unwrap_or_default();
        if !is_method(&method) {
            return Err(bad(format!("Invalid Access-Control-Request-Method: {method}")));
        }
        Ok(Self { origin, method, headers: request_headers(headers)? })
    }

    /// Adds what the bucket's rules allow, if anything, to an answer.
    pub(crate) fn apply(&self, namespace: &Namespace, bucket: &str, answer: &mut HttpResponse) {
        let Ok(found) = namespace.bucket(bucket) else { return };
        let Some(Ok(rules)) = found.settings.documents.get(DOCUMENT).map(|text| Rules::read(text)) else { return };
        if let Some(allowed) = rules.allow(&self.origin, &self.method, &self.headers) {
            self.show(&allowed, Expose::Answer, answer.headers_mut());
        }
    }

    fn show(&self, allowed: &Allowed, expose: Expose, map: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| {
            if let Some(value) = HeaderValue::from_bytes(value.as_bytes()).ok().filter(|v| !v.is_empty()) {
                map.insert(name, value);
            }
        };
        set(ACCESS_CONTROL_ALLOW_ORIGIN, if allowed.any_origin { "*" } else { &self.origin });
        set(ACCESS_CONTROL_ALLOW_CREDENTIALS, if allowed.any_origin { "false" } else { "true" });
        set(ACCESS_CONTROL_ALLOW_METHODS, &allowed.methods.join(", "));
        set(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", ").to_ascii_lowercase());
        let mut shown = allowed.expose.clone();
        for name in expose.headers() {
            if !shown.iter().any(|s| s.eq_ignore_ascii_case(name)) {
                shown.push((*name).to_owned());
            }
        }
        set(ACCESS_CONTROL_EXPOSE_HEADERS, &shown.join(", "));
        set(ACCESS_CONTROL_MAX_AGE, &allowed.max_age.map(|n| n.to_string()).unwrap_or_default());
        set(VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }
}

/// Answers a preflight request to a bucket or what is in it.
pub(crate) fn preflight(
    namespace: &Namespace,
    bucket: &str,
    resource: &str,
    headers: &HeaderMap,
    expose: Expose,
) -> S3Result<HttpResponse> {
    let asker = Asker::of_preflight(headers)?;
    let found = namespace.bucket(bucket).or_s3()?;
    let Some(text) = found.settings.documents.get(DOCUMENT) else {
        return Err(forbidden("CORSResponse: CORS is not enabled for this bucket.", "BUCKET"));
    };
    let Some(allowed) = Rules::read(text)?.allow(&asker.origin, &asker.method, &asker.headers) else {
        return Err(forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request \
             method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the \
             resource's CORS spec.",
            resource,
        ));
    };
    let mut answer = HttpResponse::new(Body::empty());
    asker.show(&allowed, expose, answer.headers_mut());
    Ok(answer)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned())
}

fn request_headers(headers: &HeaderMap) -> S3Result<Vec<String>> {
    let Some(list) = text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).filter(|list| !list.is_empty()) else {
        return Ok(Vec::new());
    };
    let name = |text: &str| match text.trim() {
        name if is_header(name) => Ok(name.to_owned()),
        _ => Err(bad(format!("Access-Control-Request-Headers \"{text}\" contains invalid character."))),
    };
    list.split(',').map(name).collect()
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    with_status(fail(S3ErrorCode::Custom("BadRequest".into()), message), StatusCode::BAD_REQUEST)
}

fn forbidden(message: &'static str, resource: &str) -> S3Error {
    let error = with_status(fail(S3ErrorCode::Custom("AccessForbidden".into()), message), StatusCode::FORBIDDEN);
    with_detail(with_detail(error, "Method", "OPTIONS"), "ResourceType", resource)
}

fn with_status(mut error: S3Error, status: StatusCode) -> S3Error {
    error.set_status_code(status);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn problem(pairs: &[(&'static str, &str)]) -> String {
        Asker::of_preflight(&headers(pairs)).err().map_or("ok".to_owned(), |e| e.message().unwrap().to_owned())
    }

    #[test]
    fn preflight_requests_say_enough() {
        let (origin, method) = (("origin", "http://a"), ("access-control-request-method", "GET"));
        assert_eq!(problem(&[origin, method]), "ok");
        assert!(problem(&[method]).contains("Origin request header needed"));
        assert!(problem(&[origin, ("access-control-request-method", "get")]).ends_with(": get"));
        assert!(problem(&[origin]).contains("Invalid Access-Control-Request-Method"));
        let list = ("access-control-request-headers", "date, b d");
        assert!(problem(&[origin, method, list]).contains("\" b d\" contains invalid character"));
    }

    #[test]
    fn answers_show_what_is_allowed() {
        let asker = Asker::of(&Method::GET, &headers(&[("origin", "http://a")])).unwrap();
        assert!(Asker::of(&Method::GET, &HeaderMap::new()).is_none());
        let allowed = |any_origin| Allowed {
            any_origin,
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            expose: vec!["etag".to_owned()],
            max_age: Some(-1),
        };
        let mut map = HeaderMap::new();
        asker.show(&allowed(false), Expose::Answer, &mut map);
        assert_eq!(map[ACCESS_CONTROL_ALLOW_ORIGIN], "http://a");
        assert_eq!(map[ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
        assert_eq!(map[ACCESS_CONTROL_EXPOSE_HEADERS], "etag, x-amz-storage-class");
        assert_eq!(
            (&map[ACCESS_CONTROL_MAX_AGE], &map[ACCESS_CONTROL_ALLOW_CREDENTIALS]),
            (&HeaderValue::from_static("-1"), &HeaderValue::from_static("true"))
        );
        assert!(!map.contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
        asker.show(&allowed(true), Expose::Rule, &mut map);
        assert_eq!(map[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(map[ACCESS_CONTROL_ALLOW_CREDENTIALS], "false");
    }
}
