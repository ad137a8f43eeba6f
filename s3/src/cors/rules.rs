//! The rules themselves: read, checked, matched.

use http::HeaderName;
use s3s::dto::{CORSConfiguration, CORSRule};
use s3s::xml::{Deserialize, Deserializer};
use s3s::{S3ErrorCode, S3Result};

use crate::error::{internal, invalid_request, plain};

/// What a browser may be allowed.
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

/// Whether a method is one that a rule may have; they are case-sensitive.
pub(super) fn is_method(name: &str) -> bool {
    METHODS.contains(&name)
}

/// Whether a text can be a header's name.
pub(super) fn is_header(name: &str) -> bool {
    HeaderName::try_from(name).is_ok()
}

/// Refuses rules that S3 does not take.
pub(crate) fn check(configuration: &CORSConfiguration) -> S3Result<()> {
    if configuration.cors_rules.is_empty() {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    configuration.cors_rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &CORSRule) -> S3Result<()> {
    if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
        return Err(plain(S3ErrorCode::MalformedXML));
    }
    if let Some(origin) = rule.allowed_origins.iter().find(|o| o.matches('*').count() > 1) {
        return Err(invalid_request(format!("AllowedOrigin \"{origin}\" can not have more than one wildcard.")));
    }
    if let Some(method) = rule.allowed_methods.iter().find(|m| !is_method(m)) {
        return Err(invalid_request(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
        )));
    }
    let mut headers = rule.allowed_headers.iter().chain(&rule.expose_headers).flatten();
    if let Some(header) = headers.find(|h| !h.is_empty() && !is_header(h)) {
        return Err(invalid_request(format!("AllowedHeader \"{header}\" contains invalid character.")));
    }
    Ok(())
}

/// What a rule allows one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Any origin is meant, not this one.
    pub(super) any_origin: bool,
    pub(super) methods: Vec<String>,
    pub(super) expose: Vec<String>,
    pub(super) max_age: Option<i32>,
}

/// A bucket's rules.
pub(crate) struct Rules(Vec<CORSRule>);

impl Rules {
    /// Reads a document that [`check`] has accepted.
    pub(crate) fn read(text: &str) -> S3Result<Self> {
        let mut document = Deserializer::new(text.as_bytes());
        let read = CORSConfiguration::deserialize(&mut document);
        read.map(|read| Self(read.cors_rules)).map_err(|e| internal("a bucket's CORS rules cannot be read", e))
    }

    /// The first rule that allows it counts.
    pub(super) fn allow(&self, origin: &str, method: &str, headers: &[String]) -> Option<Allowed> {
        self.0.iter().find_map(|rule| {
            let matched = rule.allowed_origins.iter().find(|pattern| matches(pattern, origin))?;
            let covers = |header: &String| {
                let patterns = rule.allowed_headers.iter().flatten();
                patterns.map(|p| p.to_ascii_lowercase()).any(|p| matches(&p, &header.to_ascii_lowercase()))
            };
            let fits = rule.allowed_methods.iter().any(|m| m == method) && headers.iter().all(covers);
            fits.then(|| Allowed {
                any_origin: matched == "*",
                methods: rule.allowed_methods.clone(),
                expose: rule.expose_headers.clone().unwrap_or_default(),
                max_age: rule.max_age_seconds,
            })
        })
    }
}

/// Whether `text` is as a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "anything", true),
            ("http://a", "http://a", true),
            ("http://a", "http://ab", false),
            ("http://*", "https://a", false),
            ("http://*.a", "http://x.a", true),
            ("http://*.a", "http://x.b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("x-amz-*-*", "x-amz-meta-a", true),
            ("x-amz-*-*", "x-amz-meta", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    fn rules(inner: &str) -> Rules {
        Rules::read(&format!("<CORSConfiguration>{inner}</CORSConfiguration>")).unwrap()
    }

    #[test]
    fn the_first_rule_that_allows_it() {
        let rules = rules(
            "<CORSRule><AllowedOrigin>http://a</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
             <AllowedHeader>X-Amz-*</AllowedHeader><ExposeHeader>E</ExposeHeader><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule>\
             <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>",
        );
        let allow = |origin: &str, method: &str, headers: &[&str]| {
            let headers: Vec<String> = headers.iter().map(|h| (*h).to_owned()).collect();
            rules.allow(origin, method, &headers).map(|allowed| (allowed.any_origin, allowed.max_age))
        };
        assert_eq!(allow("http://a", "GET", &["x-amz-date"]), Some((false, Some(5))));
        assert_eq!(allow("http://a", "GET", &["x-amz-date", "date"]), None);
        assert_eq!(allow("http://b", "GET", &[]), None);
        assert_eq!(allow("http://b", "HEAD", &[]), Some((true, None)));
        assert_eq!(allow("http://b", "HEAD", &["date"]), None);
    }

    #[test]
    fn what_is_no_rule() {
        let with = |origin: &str, method: &str, header: &str| {
            let xml = format!(
                "<CORSRule><AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>\
                 <ExposeHeader>{header}</ExposeHeader></CORSRule>"
            );
            check(&CORSConfiguration { cors_rules: rules(&xml).0 }).map_err(|e| e.message().unwrap().to_owned())
        };
        let none = check(&CORSConfiguration { cors_rules: Vec::new() }).unwrap_err();
        assert_eq!(none.code(), &S3ErrorCode::MalformedXML);
        assert!(with("http://*.a", "GET", "x-b").is_ok());
        assert!(with("*a*", "GET", "").unwrap_err().contains("one wildcard"));
        assert!(with("*", "get", "").unwrap_err().ends_with("Unsupported method is get"));
        assert!(with("*", "GET", "a b").unwrap_err().contains("\"a b\" contains invalid character"));
    }
}
