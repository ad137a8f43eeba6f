//! `/s3/BUCKET/KEY?…`: S3 as the account that has signed in, streamed both ways.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use pinfold_s3::insider::{Insider, Known};

use crate::admin::error::ApiError;

/// What a browser may want an object for: bytes for the console's scripts, a picture or sound in its pages, a file to save.
const USES: [&str; 5] = ["empty", "image", "audio", "video", "document"];

/// Passes a request on.
pub async fn pass(door: &Insider, known: Known, mut head: Parts, body: Incoming) -> Result<Response<Body>, ApiError> {
    let refused = |status, why: &str| Err(ApiError::new(status, why));
    // OPTIONS would be answered with what the bucket tells other origins, PATCH is VersityGW's admin API.
    if !matches!(head.method, Method::GET | Method::HEAD | Method::PUT | Method::POST | Method::DELETE) {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "this is none of the methods that S3 is asked by here");
    }
    let wanted_for = head.headers.get("sec-fetch-dest").map(|value| value.to_str().unwrap_or("?").to_owned());
    // An object must not become a script, a style or a frame of the console's page.
    if wanted_for.as_deref().is_some_and(|wanted_for| !USES.contains(&wanted_for)) {
        return refused(StatusCode::FORBIDDEN, "an object is no part of a page");
    }
    let Some(target) = target(&head.uri) else {
        return refused(StatusCode::BAD_REQUEST, "this names no bucket and no key");
    };
    head.uri = target;
    let mut answer = door.call(known, Request::from_parts(head, body)).await.map(Body::new);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Opened by itself it is saved, not shown: it may be a page.
    if !matches!(wanted_for.as_deref(), Some("empty" | "image" | "audio" | "video")) {
        let saved = headers.get(header::CONTENT_DISPOSITION).is_some_and(|v| v.as_bytes().starts_with(b"attachment"));
        if !saved {
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
    }
    Ok(answer)
}

/// The target without `/s3`.
fn target(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?.as_str().strip_prefix("/s3").filter(|rest| rest.starts_with('/'))?;
    target.parse::<PathAndQuery>().ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::target;

    #[test]
    fn targets_are_kept_as_they_are_written() {
        for (from, to) in [("/s3/", "/"), ("/s3/b/a%2Fb//c?x=%20", "/b/a%2Fb//c?x=%20"), ("http://h:1/s3/b?y", "/b?y")]
        {
            assert_eq!(target(&from.parse().unwrap()).unwrap().to_string(), to);
        }
        assert!(target(&"/s3x".parse().unwrap()).is_none());
    }
}
