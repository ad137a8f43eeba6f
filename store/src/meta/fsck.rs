//! What `pinfold fsck` finds in the metadata of a node that does not run, and what can be done about it.

use std::path::PathBuf;

use super::apply::applied_position;
use super::checkpoint::{self, CheckpointInfo};
use super::config::MetaConfig;
use super::engine::EngineKind;
use super::layout::Layout;
use super::log::verify::{LogReport, verify};
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::types::Seq;

/// A replica all of whose rows can be read.
#[derive(Clone, Debug)]
pub struct ReplicaReport {
    /// Its engine.
    pub engine: EngineKind,
    /// The last record that it has.
    pub applied: Seq,
    /// Rows, local ones too.
    pub rows: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What, in a sentence.
    pub what: String,
    /// The file.
    pub file: Option<PathBuf>,
    /// Where in the file, in bytes.
    pub position: Option<u64>,
}

/// What helps. Only the operator decides for one that may lose something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// The next start does what is needed by itself: cuts a torn tail, rebuilds the replica.
    Start,
    /// Begin a new log with what the replica has; the old log is kept aside.
    NewLogFromReplica,
    /// Begin a new log with what the checkpoint has; the old log is kept aside, commits behind it are lost.
    NewLogFromCheckpoint,
    /// Cut the log at the damage; the rest is kept aside, its commits are lost.
    CutLog,
    /// Remove the checkpoint; the node makes a new one from its replica or from the whole log.
    RemoveCheckpoint,
}

/// What is there.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The log; `None` if there is none.
    pub log: Option<LogReport>,
    /// The checkpoint, or how it is damaged; `None` if there is none.
    pub checkpoint: Option<Result<CheckpointInfo, Error>>,
    /// The replica, or why it cannot be used; `None` if there is none.
    pub replica: Option<Result<ReplicaReport, Error>>,
    /// The highest cursor of a consumer.
    pub highest_cursor: Seq,
}

/// Looks at everything and changes nothing. Busy while a node runs on it.
pub fn fsck(config: &MetaConfig, progress: &dyn Progress) -> Result<Findings> {
    let layout = Layout::new(&config.dir);
    let log = verify(&layout.log(), progress)?;
    let newest = checkpoint::newest(&layout.checkpoints())?;
    let checkpoint = newest.map(|(_, path)| checkpoint::verify(&path, progress));
    let replica = check_replica(config, &layout, progress)?;
    let highest_cursor = super::cursors::Cursors::open(layout.cursors())?.highest();
    Ok(Findings { log, checkpoint, replica, highest_cursor })
}

/// The engine whose replica is in the folder.
pub(super) fn engine_of(layout: &Layout) -> Result<Option<EngineKind>> {
    match std::fs::read_to_string(layout.replica().join("engine")) {
        Ok(name) => name.trim().parse().map(Some),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("cannot read the replica's engine", e)),
    }
}

fn check_replica(
    config: &MetaConfig,
    layout: &Layout,
    progress: &dyn Progress,
) -> Result<Option<Result<ReplicaReport, Error>>> {
    let Some(engine) = engine_of(layout)? else { return Ok(None) };
    if layout.mark().exists() {
        return Ok(Some(Err(Error::corrupt("the replica was found damaged while the node ran"))));
    }
    let read = || {
        let store = engine.open(&layout.replica().join("data"), &config.engine_options())?;
        let Some(applied) = applied_position(&*store)? else {
            return Err(Error::corrupt("the replica was not completely built"));
        };
        let mut rows = 0;
        super::convert::for_each_chunk(&*store, |chunk| {
            rows += chunk.len() as u64;
            progress.report("verification of the replica (rows)", rows, None);
            Ok(())
        })?;
        Ok(ReplicaReport { engine, applied, rows })
    };
    Ok(Some(read()))
}

impl Findings {
    /// Everything that is wrong.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |what: String, file, position| problems.push(Problem { what, file, position });
        match &self.log {
            None if self.checkpoint.is_some() || self.replica.is_some() => {
                add("the commit log is gone".into(), None, None);
            }
            None => {}
            Some(log) => {
                if let Some(damage) = &log.damage {
                    let lost = log.last_known.saturating_sub(log.head);
                    add(
                        format!(
                            "the commit log is damaged behind record {}: {} ({lost} records at least are behind it)",
                            log.head, damage.what
                        ),
                        Some(damage.segment.clone()),
                        Some(damage.position),
                    );
                }
                if let Some(torn) = &log.torn {
                    let what =
                        format!("the commit log has a torn tail of {} bytes behind record {}", torn.bytes, log.head);
                    add(what, Some(torn.segment.clone()), Some(torn.at));
                }
                if let Some(ahead) = self.applied().filter(|applied| *applied > log.last_known) {
                    add(
                        format!("the replica has records up to {ahead}, the commit log only up to {}", log.last_known),
                        None,
                        None,
                    );
                }
            }
        }
        if let Some(Err(error)) = &self.checkpoint {
            let position = error.context("position").and_then(|p| p.parse().ok());
            add(
                format!("the checkpoint cannot be used: {error}"),
                error.context("checkpoint").map(PathBuf::from),
                position,
            );
        }
        if let Some(Err(error)) = &self.replica {
            add(format!("the replica cannot be used: {error}"), None, None);
        }
        if self.applied().is_none() && !self.rebuilds() && self.log.is_some() {
            add("the replica cannot be rebuilt: log and checkpoint do not complete each other".into(), None, None);
        }
        problems
    }

    /// The remedy that loses least; `None` if nothing is wrong, or nothing helps.
    pub fn remedy(&self) -> Option<Remedy> {
        let checkpoint = self.checkpoint.as_ref().and_then(|c| c.as_ref().ok());
        let from_checkpoint = checkpoint.filter(|c| c.began == c.ended).map(|_| Remedy::NewLogFromCheckpoint);
        let Some(log) = &self.log else {
            return match self.applied() {
                Some(_) => Some(Remedy::NewLogFromReplica),
                None => from_checkpoint,
            };
        };
        match self.applied() {
            Some(applied) if applied > log.last_known => return Some(Remedy::NewLogFromReplica),
            // The replica has everything that the log before the damage has, if not more.
            Some(applied) if log.damage.is_some() && applied >= log.head => return Some(Remedy::NewLogFromReplica),
            // Less, but the log has the rest.
            Some(applied) if log.damage.is_some() && applied + 1 >= log.first => return Some(Remedy::CutLog),
            _ => {}
        }
        if log.damage.is_some() {
            return if self.rebuilds() { Some(Remedy::CutLog) } else { from_checkpoint };
        }
        if self.applied().is_none() && !self.rebuilds() {
            return from_checkpoint;
        }
        if matches!(self.checkpoint, Some(Err(_))) {
            return Some(Remedy::RemoveCheckpoint);
        }
        (log.torn.is_some() || matches!(self.replica, Some(Err(_)))).then_some(Remedy::Start)
    }

    /// What a usable replica has.
    pub(super) fn applied(&self) -> Option<Seq> {
        self.replica.as_ref().and_then(|r| r.as_ref().ok()).map(|r| r.applied)
    }

    /// Whether the replica can be thrown away: log and checkpoint have everything.
    pub(super) fn can_rebuild(&self) -> bool {
        let log_is_whole = match &self.log {
            Some(log) => log.damage.is_none() && self.applied().is_none_or(|applied| applied <= log.last_known),
            None => self.checkpoint.is_none() && self.replica.is_none(),
        };
        log_is_whole && (self.log.is_none() || self.rebuilds())
    }

    /// Whether the log up to its damage and the checkpoint together give a replica.
    fn rebuilds(&self) -> bool {
        match (&self.log, &self.checkpoint) {
            (None, _) => false,
            (Some(log), Some(Ok(c))) => c.began + 1 >= log.first && c.ended <= log.head,
            (Some(log), _) => log.first == 1,
        }
    }
}
