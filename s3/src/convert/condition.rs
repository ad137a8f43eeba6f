//! Conditional headers. Entity tags are read from the raw headers: s3s takes a list of tags for one tag.

use http::HeaderMap;
use pinfold_store::namespace::s3_types::{ETagMatch, Precondition};
use pinfold_store::types::Timestamp;

use s3s::{S3ErrorCode, S3Result};

use super::time::parse_http_date;
use crate::error::{plain, with_detail};

/// `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` of a read.
pub(crate) fn of_read(headers: &HeaderMap) -> Precondition {
    Precondition {
        if_match: tags(headers, "if-match"),
        if_none_match: tags(headers, "if-none-match"),
        if_modified_since: date(headers, "if-modified-since"),
        if_unmodified_since: date(headers, "if-unmodified-since"),
        ..Precondition::default()
    }
}

/// `If-Match` and `If-None-Match` of a write. S3 knows no dates there, and `If-None-Match` only with `*`
/// and alone.
pub(crate) fn of_write(headers: &HeaderMap) -> S3Result<Precondition> {
    let if_none_match = tags(headers, "if-none-match");
    let both = if_none_match.is_some() && headers.contains_key("if-match");
    if both || matches!(if_none_match, Some(ETagMatch::Tags(_))) {
        return Err(with_detail(plain(S3ErrorCode::NotImplemented), "Header", "If-None-Match"));
    }
    Ok(Precondition { if_match: tags(headers, "if-match"), if_none_match, ..Precondition::default() })
}

/// `x-amz-copy-source-if-*`.
pub(crate) fn of_copy_source(headers: &HeaderMap) -> Precondition {
    Precondition {
        if_match: tags(headers, "x-amz-copy-source-if-match"),
        if_none_match: tags(headers, "x-amz-copy-source-if-none-match"),
        if_modified_since: date(headers, "x-amz-copy-source-if-modified-since"),
        if_unmodified_since: date(headers, "x-amz-copy-source-if-unmodified-since"),
        ..Precondition::default()
    }
}

/// `x-amz-rename-source-if-*`.
pub(crate) fn of_rename_source(headers: &HeaderMap) -> Precondition {
    Precondition {
        if_match: tags(headers, "x-amz-rename-source-if-match"),
        if_none_match: tags(headers, "x-amz-rename-source-if-none-match"),
        if_modified_since: date(headers, "x-amz-rename-source-if-modified-since"),
        if_unmodified_since: date(headers, "x-amz-rename-source-if-unmodified-since"),
        ..Precondition::default()
    }
}

/// `If-Range`: whether a `Range` beside it holds. The tag must be this one, a date exactly the object's; what is neither
/// holds for nothing, and the answer is the whole object.
pub(crate) fn range_holds(headers: &HeaderMap, etag: &str, modified: Timestamp) -> bool {
    let Some(value) = headers.get("if-range") else { return true };
    let Ok(text) = value.to_str() else { return false };
    match parse_http_date(text) {
        Some(date) => date.secs == modified.secs,
        None => !text.trim().starts_with("W/") && bare(text) == etag,
    }
}

/// Whether there is any condition.
pub(crate) fn is_any(precondition: &Precondition) -> bool {
    *precondition != Precondition::default()
}

fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    parse_http_date(headers.get(name)?.to_str().ok()?)
}

fn tags(headers: &HeaderMap, name: &str) -> Option<ETagMatch> {
    let mut all = Vec::new();
    let mut any = false;
    for value in headers.get_all(name) {
        let text = value.to_str().ok()?;
        for tag in text.split(',') {
            match tag.trim() {
                "" => {}
                "*" => any = true,
                tag => all.push(bare(tag).to_owned()),
            }
        }
    }
    if any {
        return Some(ETagMatch::Any);
    }
    (!all.is_empty()).then_some(ETagMatch::Tags(all))
}

/// A tag without `W/` and quotes. Our tags are strong and S3's clients leave the quotes out at will.
pub(crate) fn bare(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn list(tags: &[&str]) -> Option<ETagMatch> {
        Some(ETagMatch::Tags(tags.iter().map(|t| (*t).to_owned()).collect()))
    }

    #[test]
    fn tags_in_all_their_forms() {
        let of = |v: &str| of_read(&headers(&[("if-none-match", v)])).if_none_match;
        assert_eq!(of("*"), Some(ETagMatch::Any));
        assert_eq!(of("\"abc\""), list(&["abc"]));
        assert_eq!(of("abc-2"), list(&["abc-2"]));
        assert_eq!(of("W/\"abc\", \"def\" ,ghi"), list(&["abc", "def", "ghi"]));
        assert_eq!(of("\"a\", *"), Some(ETagMatch::Any));
        assert_eq!(of(" "), None);
    }

    #[test]
    fn a_range_holds_for_one_state_of_an_object() {
        let modified = Timestamp { secs: 784_111_777, nanos: 5 };
        let holds = |v: &str| range_holds(&headers(&[("if-range", v)]), "abc", modified);
        assert!(range_holds(&HeaderMap::new(), "abc", modified));
        assert!(holds("\"abc\"") && holds("abc") && holds("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(!holds("\"abd\"") && !holds("W/\"abc\"") && !holds("Sun, 06 Nov 1994 08:49:38 GMT") && !holds(""));
    }

    #[test]
    fn writes_know_no_dates() {
        let map = headers(&[("if-match", "x"), ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(of_write(&map).unwrap(), Precondition { if_match: list(&["x"]), ..Precondition::default() });
        assert_eq!(of_read(&map).if_unmodified_since, Some(Timestamp { secs: 784_111_777, nanos: 0 }));
        assert!(is_any(&of_write(&map).unwrap()));
        assert!(!is_any(&of_write(&HeaderMap::new()).unwrap()));
    }
}
