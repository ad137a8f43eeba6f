//! One line: made, and looked at.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Event, Head};
use crate::error::{Error, ErrorKind, Result};

/// Longest field of a client's choice, in bytes: a key and a bucket's name fit.
const MAX_FIELD: usize = 4096;

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    prev: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// What ties a line to the others.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) prev: String,
    pub(super) hash: String,
}

fn cut(text: &mut String) {
    if text.len() > MAX_FIELD {
        let mut at = MAX_FIELD;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push('…');
    }
}

/// The line after `head`, with its end, and the head that it becomes.
pub(super) fn make(head: &Head, mut event: Event) -> Result<(String, Head)> {
    if event.time.is_empty() {
        event.time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    }
    for field in
        [&mut event.who, &mut event.from, &mut event.bucket, &mut event.key, &mut event.target, &mut event.note]
    {
        cut(field);
    }
    let line = Line { seq: head.seq + 1, prev: &head.hash, event: &event };
    let mut text = serde_json::to_string(&line)
        .map_err(|e| Error::new(ErrorKind::Internal, "an audit line cannot be written as JSON").caused_by(e))?;
    text.pop();
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    text.push_str(&format!(",\"hash\":\"{hash}\"}}\n"));
    Ok((text, Head { seq: head.seq + 1, hash }))
}

/// Reads a line without its end; what is wrong with it by itself, if anything.
pub(super) fn read(line: &[u8]) -> std::result::Result<Link, &'static str> {
    let Ok(text) = std::str::from_utf8(line) else { return Err("it is no text") };
    let Ok(link) = serde_json::from_str::<Link>(text) else { return Err("it is no line of an audit log") };
    let tail = format!(",\"hash\":\"{}\"}}", link.hash);
    let Some(covered) = text.strip_suffix(&tail) else { return Err("its hash is not at its end") };
    if hex::encode(Sha256::digest(covered.as_bytes())) != link.hash {
        return Err("it was changed: its hash is another");
    }
    Ok(link)
}
