//! Conditional headers, with HTTP's precedence (RFC 9110 §13.2.2) as S3 applies them.

use super::s3_types::{ETagMatch, Precondition, ReadVerdict};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Timestamp;

fn matches(condition: &ETagMatch, etag: &str) -> bool {
    match condition {
        ETagMatch::Any => true,
        ETagMatch::Tags(tags) => tags.iter().any(|tag| tag == etag),
    }
}

/// HTTP dates have whole seconds, so a later fraction of the same second counts as not modified.
fn modified_since(last_modified: Timestamp, since: Timestamp) -> bool {
    last_modified.secs > since.secs
}

/// Evaluates conditional headers of a read (GET, HEAD, copy source) against an object.
pub fn check_read(precondition: &Precondition, etag: &str, last_modified: Timestamp) -> ReadVerdict {
    match (&precondition.if_match, precondition.if_unmodified_since) {
        (Some(condition), _) if !matches(condition, etag) => return ReadVerdict::Failed,
        (None, Some(since)) if modified_since(last_modified, since) => return ReadVerdict::Failed,
        _ => {}
    }
    match (&precondition.if_none_match, precondition.if_modified_since) {
        (Some(condition), _) if matches(condition, etag) => ReadVerdict::NotModified,
        (None, Some(since)) if !modified_since(last_modified, since) => ReadVerdict::NotModified,
        _ => ReadVerdict::Proceed,
    }
}

/// Evaluates conditional headers of a write against what the name holds at the log's head (`None`: nothing).
/// NotFound for If-Match on a name that holds nothing, as AWS answers; else PreconditionFailed.
pub(super) fn check_write(precondition: &Precondition, current: Option<(&str, Timestamp, u64)>) -> Result<()> {
    let failed = |condition: &'static str| {
        Err(Error::new(ErrorKind::PreconditionFailed, "at least one of the preconditions did not hold")
            .with("condition", condition))
    };
    match (&precondition.if_match, current) {
        (Some(_), None) => {
            return Err(Error::new(ErrorKind::NotFound, "the key that If-Match names does not exist"));
        }
        (Some(condition), Some((etag, _, _))) if !matches(condition, etag) => return failed("If-Match"),
        _ => {}
    }
    if let (Some(condition), Some((etag, _, _))) = (&precondition.if_none_match, current)
        && matches(condition, etag)
    {
        return failed("If-None-Match");
    }
    if let (Some(size), Some((_, _, current))) = (precondition.if_size, current)
        && size != current
    {
        return failed("x-amz-if-match-size");
    }
    if let (Some(time), Some((_, current, _))) = (precondition.if_last_modified, current)
        && time.secs != current.secs
    {
        return failed("x-amz-if-match-last-modified-time");
    }
    Ok(())
}

impl Precondition {
    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp { secs, nanos: 5 }
    }

    fn tag(tag: &str) -> Option<ETagMatch> {
        Some(ETagMatch::Tags(vec![tag.to_owned()]))
    }

    #[test]
    fn a_matching_tag_outranks_the_dates() {
        let condition =
            Precondition { if_match: tag("a"), if_unmodified_since: Some(at(1)), ..Precondition::default() };
        assert_eq!(check_read(&condition, "a", at(9)), ReadVerdict::Proceed);
        assert_eq!(check_read(&condition, "b", at(0)), ReadVerdict::Failed);
        let condition =
            Precondition { if_none_match: tag("a"), if_modified_since: Some(at(9)), ..Precondition::default() };
        assert_eq!(check_read(&condition, "b", at(1)), ReadVerdict::Proceed);
        assert_eq!(check_read(&condition, "a", at(99)), ReadVerdict::NotModified);
    }

    #[test]
    fn a_write_is_decided_by_what_is_there() {
        let create = Precondition { if_none_match: Some(ETagMatch::Any), ..Precondition::default() };
        assert!(check_write(&create, None).is_ok());
        let error = check_write(&create, Some(("a", at(1), 1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
        let replace = Precondition { if_match: tag("a"), ..Precondition::default() };
        assert!(check_write(&replace, Some(("a", at(1), 1))).is_ok());
        assert_eq!(check_write(&replace, None).unwrap_err().kind(), ErrorKind::NotFound);
        let sized = Precondition { if_size: Some(2), ..Precondition::default() };
        assert_eq!(check_write(&sized, Some(("a", at(1), 1))).unwrap_err().kind(), ErrorKind::PreconditionFailed);
    }
}
