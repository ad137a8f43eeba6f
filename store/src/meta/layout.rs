//! Where a node's metadata lies.

use std::path::PathBuf;

use super::log::sync_dir;
use crate::error::{IoContext, Result};

/// Name of the mark in a replica's folder.
pub(super) const UNINDEXED: &str = "unindexed";

/// Where things are.
///
/// ```text
/// log/                  segments
/// checkpoint/           the last checkpoint
/// replica/engine        the engine's name
/// replica/data/         the engine's files
/// replica/unindexed     a mark: local rows were lost and are not found again yet
/// replica.damaged-N/    a replica that was set aside
/// cursors               how far the log's consumers have come
/// rebuild-replica       a mark: build the replica anew at the next start
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout under `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The log's folder.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The checkpoints' folder.
    pub fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    /// The replica's folder.
    pub fn replica(&self) -> PathBuf {
        self.dir.join("replica")
    }

    pub(super) fn cursors(&self) -> PathBuf {
        self.dir.join("cursors")
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.dir.join("rebuild-replica")
    }

    /// Asks the next start to build the replica anew.
    pub(super) fn mark_damaged(&self) -> Result<()> {
        std::fs::File::create(self.mark())
            .and_then(|f| f.sync_all())
            .and_then(|()| sync_dir(&self.dir))
            .at("cannot write the mark for a rebuild")
    }

    /// Renames the replica's folder; returns the new name, `None` if there is no replica.
    pub(super) fn set_replica_aside(&self) -> Result<Option<PathBuf>> {
        let replica = self.replica();
        if !replica.exists() {
            return Ok(None);
        }
        for n in 1.. {
            let aside = self.dir.join(format!("replica.damaged-{n}"));
            if !aside.exists() {
                std::fs::rename(&replica, &aside)
                    .and_then(|()| sync_dir(&self.dir))
                    .at("cannot set the damaged replica aside")?;
                return Ok(Some(aside));
            }
        }
        Ok(None)
    }
}
