//! Whether a log is what was written: every line by itself, and all of them together.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Head, files, line};
use crate::error::{IoContext, Result};

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1; 0 for the file itself.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Files read.
    pub files: u64,
    /// Good lines before the first bad one.
    pub lines: u64,
    /// Number of the first line that is there; 0 of an empty log.
    pub first: u64,
    /// The last good line.
    pub head: Head,
    /// Bytes behind the last line's end: a line that is being written, or that a crash tore.
    pub unfinished: u64,
    /// What is wrong first.
    pub problem: Option<Problem>,
}

/// Reads all lines. `expected` is a line that must be in the log as it is (what a daemon or an operator remembers);
/// `archived` allows older files to be gone.
pub fn verify(dir: &Path, expected: Option<&Head>, archived: bool) -> Result<Verified> {
    let mut found = Verified { files: 0, lines: 0, first: 0, head: Head::none(), unfinished: 0, problem: None };
    let all = files(dir).at("the audit log's folder cannot be read")?;
    let mut seen = expected.is_none_or(|expected| *expected == Head::none());
    for (i, (named, path)) in all.iter().enumerate() {
        if i == 0 && *named > 1 {
            if !archived {
                let what = format!("lines 1 to {} are missing: the files before this one are gone", named - 1);
                found.problem = Some(Problem { file: path.clone(), line: 0, what });
                return Ok(found);
            }
            found.head.seq = named - 1;
        }
        found.files += 1;
        let mut reader = BufReader::new(File::open(path).at("an audit file cannot be opened")?);
        let (mut text, mut number) = (Vec::new(), 0);
        loop {
            text.clear();
            if reader.read_until(b'\n', &mut text).at("an audit file cannot be read")? == 0 {
                break;
            }
            number += 1;
            let bad = |what: String| Problem { file: path.clone(), line: number, what };
            let Some(whole) = text.strip_suffix(b"\n") else {
                if i + 1 < all.len() {
                    found.problem = Some(bad("it has no end, and is not the log's last".to_owned()));
                    return Ok(found);
                }
                found.unfinished = text.len() as u64;
                break;
            };
            let link = match line::read(whole) {
                Ok(link) => link,
                Err(what) => {
                    found.problem = Some(bad(what.to_owned()));
                    return Ok(found);
                }
            };
            // The first line of a log whose beginning is archived follows one that nobody can look at.
            let begins = found.lines == 0 && archived;
            if let Some(what) = misplaced(&link, &found.head, begins, (number == 1).then_some(*named)) {
                found.problem = Some(bad(what));
                return Ok(found);
            }
            if found.lines == 0 {
                found.first = link.seq;
            }
            found.lines += 1;
            found.head = Head { seq: link.seq, hash: link.hash };
            if let Some(expected) = expected.filter(|expected| expected.seq == link.seq) {
                if expected.hash != found.head.hash {
                    found.problem =
                        Some(bad("it is not the line that was written: another was put in its place".to_owned()));
                    return Ok(found);
                }
                seen = true;
            }
        }
    }
    if !seen {
        let last = all.last().map_or_else(|| dir.to_owned(), |(_, path)| path.clone());
        let wanted = expected.map_or(0, |e| e.seq);
        let what = format!("the log ends with line {}, and line {wanted} was written", found.head.seq);
        found.problem = Some(Problem { file: last, line: 0, what });
    }
    Ok(found)
}

/// Why a line is not where it belongs.
fn misplaced(link: &line::Link, before: &Head, begins: bool, named: Option<u64>) -> Option<String> {
    let expected = before.seq + 1;
    if let Some(named) = named.filter(|named| *named != link.seq) {
        return Some(format!("it has number {}, and the file's name says {named}", link.seq));
    }
    if link.seq > expected {
        return Some(format!(
            "it has number {}: lines from {expected} on were removed before it, or are elsewhere",
            link.seq
        ));
    }
    if link.seq < expected {
        return Some(format!("it has number {} where {expected} belongs: it was put here", link.seq));
    }
    if link.prev != before.hash && !begins {
        return Some("it does not follow the line before: that one was put in another's place".to_owned());
    }
    None
}
