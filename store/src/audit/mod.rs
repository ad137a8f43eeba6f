//! The audit log: who did what to accounts, rights and buckets, in files of JSON lines that are only appended to.
//!
//! Each line carries its own SHA-256 (`hash`, over all of the line before that field) and the line before's (`prev`), over
//! the ends of files too: what is removed, changed or put elsewhere shows ([`verify`]). What nobody can see from the files
//! alone is that lines are missing at the very end, or that somebody made all of them anew: the running daemon knows its
//! last line, and says it in its own log at start, at each new file and at its end, for who keeps it elsewhere.
//!
//! | field | what |
//! |---|---|
//! | `seq` | 1, 2, 3 …, over all files |
//! | `prev` | hash of the line before; zeros in the first |
//! | … | [`Event`] |
//! | `hash` | SHA-256 in hex of the line up to the comma before this field |

mod event;
mod line;
mod recover;
mod verify;
mod writer;

use std::path::{Path, PathBuf};

pub use event::{Event, Outcome};
pub use recover::Recovered;
pub use verify::{Problem, Verified, verify};
pub use writer::{AuditConfig, AuditLog};

/// Name of the folder within the data directory.
pub const FOLDER: &str = "audit";

/// The last line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 of a log without lines.
    pub seq: u64,
    /// Its hash in hex; zeros of a log without lines.
    pub hash: String,
}

impl Head {
    /// Before the first line.
    pub fn none() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// A file's path by the number of its first line.
fn file_of(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:020}.jsonl"))
}

/// The files of a log by the numbers of their first lines, ascending.
fn files(dir: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".jsonl"));
        if let Some(seq) = name.filter(|n| n.len() == 20).and_then(|n| n.parse().ok()) {
            found.push((seq, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
