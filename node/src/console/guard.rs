//! What keeps other sites' pages out, and what the console's own pages may do.
//!
//! A session's cookie is `SameSite=Strict`, but another port of this host is the same site. So each request must come from
//! the console's own origin, as far as the browser says where it comes from, and one that may change something must bear a header
//! that no other origin can make a browser send.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::admin::error::ApiError;

/// The header of all requests but GET and HEAD; any value.
pub const CHANGES: HeaderName = HeaderName::from_static("x-pinfold-console");

/// Nothing but this server's own files: no script, style or image of elsewhere, none within the page; no frame around it.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
/// An object is somebody's bytes, not a page of the console's: shown by itself it may do nothing.
const DATA_POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// Refuses what another origin's page sent.
pub fn check(head: &Parts) -> Result<(), ApiError> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    // `none`: typed, or a bookmark.
    if !site.is_none_or(|site| matches!(site, "same-origin" | "none")) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "this comes from another site's page"));
    }
    if head.headers.contains_key(header::ORIGIN) {
        let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        let host = text("host").or_else(|| head.uri.authority().map(|authority| authority.as_str()));
        if origin.is_none() || origin != host {
            return Err(ApiError::new(StatusCode::FORBIDDEN, "this comes from another origin's page"));
        }
    }
    if !matches!(head.method, Method::GET | Method::HEAD) && !head.headers.contains_key(CHANGES) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "the header x-pinfold-console is missing"));
    }
    Ok(())
}

/// A cookie's value.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// What every answer says to the browser.
pub fn finish(answer: &mut Response<Body>, data: bool) {
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, if data { DATA_POLICY } else { POLICY });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::{check, cookie};
    use axum::http::{HeaderMap, Request};

    fn allowed(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/api/users").header("host", "node:9002");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn other_origins_are_refused() {
        assert!(allowed("GET", &[]));
        assert!(allowed("GET", &[("sec-fetch-site", "same-origin"), ("origin", "http://node:9002")]));
        assert!(allowed("GET", &[("sec-fetch-site", "none")]));
        for site in ["same-site", "cross-site", ""] {
            assert!(!allowed("GET", &[("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["http://node:9000", "null", "https://evil.example", "http://node"] {
            assert!(!allowed("GET", &[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn changes_need_the_header() {
        for method in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"] {
            assert!(!allowed(method, &[]), "{method}");
            assert!(allowed(method, &[("x-pinfold-console", "1")]), "{method}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=1; xsession=2;session=3".parse().unwrap());
        headers.append("cookie", "b=4".parse().unwrap());
        assert_eq!(cookie(&headers, "session").as_deref(), Some("3"));
        assert_eq!(cookie(&headers, "b").as_deref(), Some("4"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
