//! Checkpoints: all logged rows in one sorted, checksummed file. With the log's tail from where its scan began a
//! checkpoint gives the replica again (ruling 4: rows are after-images, so the scan may be fuzzy). It is what lets
//! old log segments go, what a replica is rebuilt from, and a backup.

pub mod format;
mod read;
mod write;

use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::types::Seq;

pub(super) use read::info;
pub use read::{Reader, load, verify};
pub(super) use write::Writer;

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".pck";

/// A checkpoint on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointInfo {
    /// The file.
    pub path: PathBuf,
    /// Every record up to here is in it.
    pub began: Seq,
    /// No record behind this one is in it: the log has to reach this far for the rows to fit together.
    pub ended: Seq,
    /// Rows.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Bytes of all keys and values.
    pub row_bytes: u64,
}

/// The checkpoint of `dir`: the newest one, if there are several. `None` if there is none. Only its two ends are
/// read; Corrupt if they are damaged.
pub fn latest(dir: &Path) -> Result<Option<CheckpointInfo>> {
    match newest(dir)? {
        Some((_, path)) => info(&path).map(Some),
        None => Ok(None),
    }
}

/// The newest checkpoint and the position in its name, unread.
pub(super) fn newest(dir: &Path) -> Result<Option<(Seq, PathBuf)>> {
    Ok(list(dir)?.pop())
}

/// All checkpoints, oldest first.
fn list(dir: &Path) -> Result<Vec<(Seq, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("cannot list the checkpoints")?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.at("cannot list the checkpoints")?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        let began = name.and_then(|n| n.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        if let Some(began) = began {
            found.push((began, path));
        }
    }
    found.sort();
    Ok(found)
}
