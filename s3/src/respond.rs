//! Finishing an answer: what AWS says in every one (request ids, `Server`) and in every error (`Message`, `Resource`,
//! `RequestId`, `HostId`), which s3s leaves out.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{HeaderMap, Method, StatusCode};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode};

use crate::checksum::wire;
use crate::convert::key::percent_decode;
use crate::convert::output;
use crate::convert::range::BAD_PART_NUMBER;
use crate::convert::time::{iso_after, iso_now};
use crate::error::{DETAIL, custom, from_failure, message, plain};
use crate::guard::{OF_NOTHING, form_pairs};
use crate::scope::Scope;

/// What an answer needs to know of its request.
pub(crate) struct About<'a> {
    /// The request's state.
    pub(crate) scope: &'a Scope,
    /// Its method.
    pub(crate) method: &'a Method,
    /// Its path as sent.
    pub(crate) path: &'a str,
    /// Its query as sent.
    pub(crate) query: &'a str,
    /// This host's name.
    pub(crate) host_id: &'a str,
    /// The largest XML body.
    pub(crate) max_xml: u64,
    /// When it was sent, as it says itself.
    pub(crate) date: Option<HeaderValue>,
    /// The digest that its body is to have, or how it comes.
    pub(crate) payload: Option<HeaderValue>,
}

impl About<'_> {
    fn request_id(&self) -> String {
        request_id(self.scope)
    }

    /// The signature covers a body that is not empty.
    fn promised_a_body(&self) -> bool {
        self.payload.as_ref().is_some_and(|digest| digest.len() == 64 && digest.as_bytes() != OF_NOTHING.as_bytes())
    }

    fn extended_id(&self) -> String {
        extended_id(self.scope, self.host_id)
    }
}

/// A request's id as it is shown.
pub(crate) fn request_id(scope: &Scope) -> String {
    scope.id.to_string().to_uppercase()
}

/// And with this host's name.
pub(crate) fn extended_id(scope: &Scope, host_id: &str) -> String {
    STANDARD.encode(format!("{host_id}:{}", scope.id))
}

/// An error as an answer.
pub(crate) fn error(error: S3Error) -> HttpResponse {
    error.to_http_response().unwrap_or_else(|_| {
        let mut plain = HttpResponse::default();
        *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

/// Completes an answer of s3s (or of [`error`]).
pub(crate) fn finish(mut answer: HttpResponse, about: &About<'_>) -> HttpResponse {
    if answer.status().is_client_error() || answer.status().is_server_error() {
        answer = finish_error(answer, about);
    } else if *about.method == Method::HEAD
        && answer.status() == StatusCode::OK
        && answer.headers().contains_key(CONTENT_RANGE)
    {
        // s3s knows 206 for GET only.
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    match about.scope.operation() {
        "GetObjectAttributes" if answer.status() == StatusCode::OK => answer = without_quotes(answer),
        // s3s says 200.
        "PutBucketTagging" if answer.status() == StatusCode::OK => *answer.status_mut() = StatusCode::NO_CONTENT,
        _ => {}
    }
    if answer.status() == StatusCode::NOT_MODIFIED {
        about.scope.note(|facts| facts.code = Some("NotModified".to_owned()));
        *answer.body_mut() = Body::empty();
        answer.headers_mut().remove(CONTENT_TYPE);
    }
    add_ids(answer.headers_mut(), about);
    answer
}

/// An answer of s3s with checksums by their own names (`checksum::wire`).
pub(crate) fn with_checksum_names(mut answer: HttpResponse, operation: &str) -> HttpResponse {
    const IN_XML: [&str; 5] =
        ["CompleteMultipartUpload", "CopyObject", "GetObjectAttributes", "ListParts", "UploadPartCopy"];
    wire::headers(answer.headers_mut());
    // Of other operations the body may be an object's.
    if !IN_XML.contains(&operation) {
        return answer;
    }
    let xml = answer.body().bytes().and_then(|xml| wire::answer(std::str::from_utf8(&xml).ok()?));
    if let Some(xml) = xml {
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::from(xml);
    }
    answer
}

/// Completes an answer of a website, whose body may be anything.
pub(crate) fn finish_page(mut answer: HttpResponse, about: &About<'_>) -> HttpResponse {
    answer.headers_mut().remove(DETAIL);
    add_ids(answer.headers_mut(), about);
    answer
}

/// Headers of every answer.
pub(crate) fn add_ids(headers: &mut HeaderMap, about: &About<'_>) {
    if !about.scope.shows_cid() {
        output::hide_cid(headers);
    }
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set("x-amz-request-id", about.request_id());
    set("x-amz-id-2", about.extended_id());
    headers.insert(SERVER, HeaderValue::from_static("Pinfold"));
}

/// GetObjectAttributes is the one answer whose ETag has no quotes, which s3s does not know.
fn without_quotes(mut answer: HttpResponse) -> HttpResponse {
    let xml = answer.body().bytes().and_then(|xml| String::from_utf8(xml.to_vec()).ok());
    if let Some(xml) = xml {
        let bare = xml.replacen("<ETag>\"", "<ETag>", 1).replacen("\"</ETag>", "</ETag>", 1);
        *answer.body_mut() = Body::from(bare);
    }
    answer
}

fn finish_error(mut answer: HttpResponse, about: &About<'_>) -> HttpResponse {
    let details = take_details(answer.headers_mut());
    let Some(xml) = answer.body().bytes() else { return answer };
    let Ok(text) = std::str::from_utf8(&xml) else { return answer };
    if let Some(failed) = failed_body(text, about) {
        return finish_error(error(failed), about);
    }
    about.scope.note(|facts| facts.code = code(text).map(str::to_owned));
    if *about.method == Method::HEAD {
        // An answer to HEAD has no body; AWS says no more than the status.
        *answer.body_mut() = Body::empty();
        answer.headers_mut().remove(CONTENT_LENGTH);
    } else if let Some(complete) = complete(text, &details, about) {
        *answer.body_mut() = Body::from(Bytes::from(complete));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    }
    answer
}

/// The code of an error document.
fn code(xml: &str) -> Option<&str> {
    let (_, rest) = xml.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

/// What `error::with_detail` put into the headers.
fn take_details(headers: &mut HeaderMap) -> Vec<(String, String)> {
    let details = details(headers);
    headers.remove(DETAIL);
    details
}

/// The same, left there.
pub(crate) fn details(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut details = Vec::new();
    for value in headers.get_all(DETAIL) {
        if let Some((name, value)) = value.to_str().ok().and_then(|d| d.split_once('=')) {
            details.push((name.to_owned(), percent_decode(value, false).unwrap_or_default()));
        }
    }
    details
}

/// s3s answers `InternalError` without a message if it cannot read an XML body to its end. Whose fault that was is
/// known here: it was too long, the body's own reader noticed, or, if all bytes came, they were not the signed ones.
fn failed_body(xml: &str, about: &About<'_>) -> Option<S3Error> {
    let scope = about.scope;
    let nothing_came = scope.received() == 0 && !about.promised_a_body();
    if !xml.contains("<Code>InternalError</Code>") || xml.contains("<Message>") || nothing_came {
        return None;
    }
    if scope.received() > about.max_xml {
        return Some(plain(S3ErrorCode::MaxMessageLengthExceeded));
    }
    let mismatch = || custom("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST);
    Some(scope.failure().map_or_else(mismatch, |failure| from_failure(&failure)))
}

/// Codes whose s3s message is s3s's own wording.
const REWORDED: [S3ErrorCode; 8] = [
    S3ErrorCode::SignatureDoesNotMatch,
    S3ErrorCode::RequestTimeTooSkewed,
    S3ErrorCode::InvalidAccessKeyId,
    S3ErrorCode::InvalidBucketName,
    S3ErrorCode::InvalidURI,
    S3ErrorCode::KeyTooLongError,
    S3ErrorCode::MalformedXML,
    S3ErrorCode::MissingContentLength,
];

/// The error document with everything AWS puts into one. The document is s3s's own serialisation: its shape is known.
fn complete(xml: &str, details: &[(String, String)], about: &About<'_>) -> Option<String> {
    let code_end = xml.find("</Code>")?;
    let code_start = xml.find("<Code>")? + "<Code>".len();
    let code = xml.get(code_start..code_end)?;
    let after_code = code_end + "</Code>".len();
    let end = xml.rfind("</Error>")?;
    let rest = xml.get(after_code..end)?;
    let rest = &rest.replace("<Message>Request has expired</Message>", "<Message>Request has expired.</Message>");
    let reword = !rest.contains("<Message>") || REWORDED.iter().any(|c| c.as_str() == code);
    let mut out = String::with_capacity(xml.len() + 256);
    out.push_str(xml.get(..after_code)?);
    match message(code).filter(|_| reword) {
        Some(text) => push_element(&mut out, "Message", text),
        None if code == "InvalidArgument" && push_argument(&mut out, rest).is_some() => {}
        // It may quote the request, and s3s writes every character as it is.
        None if rest.contains("<Message>") => out.extend(rest.chars().map(of_xml)),
        None => push_element(&mut out, "Message", code),
    }
    for (name, value) in details {
        push_element(&mut out, name, value);
    }
    if code == "AccessDenied" && rest.contains("Request has expired") {
        push_expiry(&mut out, about);
    }
    if code == "RequestTimeTooSkewed" {
        push_times(&mut out, about);
    }
    push_element(&mut out, "Resource", about.path);
    push_element(&mut out, "RequestId", &about.request_id());
    push_element(&mut out, "HostId", &about.extended_id());
    out.push_str(xml.get(end..)?);
    Some(out)
}

/// What s3s says of an argument that it cannot read, as AWS says it. `None` for any other message.
fn push_argument(out: &mut String, rest: &str) -> Option<()> {
    let (text, _) = rest.strip_prefix("<Message>")?.split_once("</Message>")?;
    let what = text.strip_prefix("invalid query: ").or_else(|| text.strip_prefix("invalid header: "))?;
    let (name, value) = what.split_once(": ")?;
    let message = match name {
        "partNumber" => BAD_PART_NUMBER.to_owned(),
        "part-number-marker" => {
            format!("Provided {} not an integer or within integer range", value.trim_matches('"').replace("&quot;", ""))
        }
        "x-amz-object-lock-retain-until-date" => "The retain until date must be provided in ISO 8601 format".to_owned(),
        "x-amz-copy-source" => "Copy Source must mention the source bucket and key: sourcebucket/sourcekey".to_owned(),
        _ if name.starts_with("max-") => format!("Provided {name} not an integer or within integer range"),
        _ => format!("Invalid value for {name}"),
    };
    push_element(out, "Message", &message);
    push_element(out, "ArgumentName", name);
    // It is XML already.
    let _ = write!(out, "<ArgumentValue>{}</ArgumentValue>", value.trim_matches('"').replace("&quot;", ""));
    Some(())
}

/// When a presigned URL ended, and what time it is.
fn push_expiry(out: &mut String, about: &About<'_>) {
    let text = |wanted: &str| form_pairs(about.query).find(|(name, _)| name == wanted).map(|(_, value)| value);
    let (Some(seconds), Some(date)) = (text("X-Amz-Expires"), text("X-Amz-Date")) else { return };
    push_element(out, "X-Amz-Expires", &seconds);
    if let Some(end) = seconds.parse().ok().and_then(|seconds| iso_after(&date, seconds)) {
        push_element(out, "Expires", &end);
    }
    push_element(out, "ServerTime", &iso_now());
}

/// How far a clock may be off: s3s's own bound.
const MAX_SKEW_MILLISECONDS: u32 = 900_000;

/// The two times that are too far apart.
fn push_times(out: &mut String, about: &About<'_>) {
    if let Some(date) = about.date.as_ref().and_then(|d| d.to_str().ok()) {
        push_element(out, "RequestTime", date);
    }
    push_element(out, "ServerTime", &iso_now());
    push_element(out, "MaxAllowedSkewMilliseconds", &MAX_SKEW_MILLISECONDS.to_string());
}

/// Appends an element of XML.
pub(crate) fn push_element(out: &mut String, name: &str, value: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(of_xml(c)),
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// The character, or a sign in its place if XML 1.0 (2.2) cannot hold it at all.
fn of_xml(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => c,
        '\u{FFFE}' | '\u{FFFF}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::BodyFailure;

    fn about(scope: &Scope) -> About<'_> {
        About {
            scope,
            method: &Method::POST,
            path: "/b/k",
            query: "",
            host_id: "h1",
            max_xml: 1000,
            date: None,
            payload: None,
        }
    }

    fn text(error_: S3Error, method: Method, scope: &Scope) -> (StatusCode, String) {
        let about = About { method: &method, path: "/b/a&b", ..about(scope) };
        let answer = finish(error(error_), &about);
        assert!(answer.headers().contains_key("x-amz-request-id") && answer.headers().contains_key("x-amz-id-2"));
        let body = answer.body().bytes().unwrap();
        (answer.status(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn errors_carry_what_aws_says() {
        let scope = Scope::new();
        let (status, body) = text(S3Error::new(S3ErrorCode::NoSuchKey), Method::GET, &scope);
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body.contains("<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"), "{body}");
        assert!(body.contains("<Resource>/b/a&amp;b</Resource>"), "{body}");
        assert!(body.contains(&format!("<RequestId>{}</RequestId>", scope.id.to_string().to_uppercase())), "{body}");
        assert!(body.ends_with("</HostId></Error>"), "{body}");
    }

    #[test]
    fn a_message_holds_only_what_xml_can() {
        let odd = S3Error::with_message(S3ErrorCode::MalformedPolicy, "Unknown field a\u{fffe}b\u{1}c\td");
        let (_, body) = text(odd, Method::PUT, &Scope::new());
        assert!(body.contains("<Message>Unknown field a\u{fffd}b\u{fffd}c\td</Message>"), "{body}");
    }

    #[test]
    fn attributes_have_a_bare_etag() {
        let scope = Scope::new();
        scope.set_operation("GetObjectAttributes");
        let about = About { method: &Method::GET, ..about(&scope) };
        let xml = "<R><ETag>\"abc\"</ETag></R>".to_owned();
        let answer = finish(HttpResponse::new(Body::from(xml)), &about);
        assert_eq!(answer.body().bytes().unwrap(), "<R><ETag>abc</ETag></R>");
    }

    #[test]
    fn details_become_elements() {
        let scope = Scope::new();
        let named = crate::error::bad_argument("max-keys", "<5>", "no");
        let (_, body) = text(named, Method::GET, &scope);
        assert!(
            body.contains("<ArgumentName>max-keys</ArgumentName><ArgumentValue>&lt;5&gt;</ArgumentValue>"),
            "{body}"
        );
        let about = About {
            scope: &scope,
            method: &Method::GET,
            path: "/",
            query: "",
            host_id: "h1",
            max_xml: 1000,
            date: None,
            payload: None,
        };
        let answer = finish(error(crate::error::bad_argument("a", "b", "no")), &about);
        assert!(!answer.headers().contains_key(DETAIL));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/xml");
    }

    #[test]
    fn own_messages_stay_and_s3s_wording_goes() {
        let scope = Scope::new();
        let own = S3Error::with_message(S3ErrorCode::InvalidArgument, "this <one>");
        assert!(text(own, Method::GET, &scope).1.contains("<Message>this &lt;one&gt;</Message>"));
        let s3s = S3Error::with_message(S3ErrorCode::RequestTimeTooSkewed, "request time is too far");
        assert!(text(s3s, Method::GET, &scope).1.contains("current time is too large"));
    }

    #[test]
    fn head_and_304_have_no_body() {
        let scope = Scope::new();
        assert_eq!(text(S3Error::new(S3ErrorCode::NoSuchKey), Method::HEAD, &scope).1, "");
        assert_eq!(text(S3Error::new(S3ErrorCode::NotModified), Method::GET, &scope).1, "");
    }

    #[test]
    fn a_body_that_failed_is_the_clients_fault() {
        let scope = Scope::new();
        assert_eq!(text(S3Error::new(S3ErrorCode::InternalError), Method::POST, &scope).0.as_u16(), 500);
        let digest = HeaderValue::from_static("fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9");
        let cut = About { payload: Some(digest), ..about(&scope) };
        let answer = finish(error(S3Error::new(S3ErrorCode::InternalError)), &cut);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "of a body that never came");
        scope.count_received(1);
        let (status, body) = text(S3Error::new(S3ErrorCode::InternalError), Method::POST, &scope);
        assert!(status == StatusCode::BAD_REQUEST && body.contains("XAmzContentSHA256Mismatch"), "{body}");
        scope.fail(BodyFailure::Md5);
        let (_, body) = text(S3Error::new(S3ErrorCode::InternalError), Method::POST, &scope);
        assert!(body.contains("BadDigest"), "{body}");
        let long = Scope::new();
        long.count_received(1001);
        let (_, body) = text(S3Error::new(S3ErrorCode::InternalError), Method::POST, &long);
        assert!(body.contains("MaxMessageLengthExceeded"), "{body}");
        let real = crate::error::plain(S3ErrorCode::InternalError);
        assert_eq!(text(real, Method::POST, &scope).0.as_u16(), 500);
    }
}
