//! What `pinfold fsck` found: lines for people, one object for programs.

use std::path::PathBuf;

use pinfold_store::meta::{Findings, Remedy};
use serde::Serialize;

/// Everything a run found and did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The metadata, after the repair if there was one.
    #[serde(flatten)]
    pub metadata: Metadata,
    /// The repair.
    pub repaired: Option<Repaired>,
    /// The contents, with `--verify`.
    pub contents: Option<Contents>,
}

/// Log, checkpoint, replica. What is absent or cannot be read is null.
#[derive(Debug, Default, Serialize)]
pub struct Metadata {
    log: Option<Log>,
    checkpoint: Option<Checkpoint>,
    replica: Option<Replica>,
    problems: Vec<Problem>,
    /// What helps against the problems.
    remedy: Option<&'static str>,
    /// The next start mends all of it by itself.
    mends_itself: bool,
}

#[derive(Debug, Serialize)]
struct Log {
    first: u64,
    head: u64,
    files: usize,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    began: u64,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Replica {
    engine: &'static str,
    applied: u64,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    file: Option<PathBuf>,
    /// Bytes from the file's beginning.
    position: Option<u64>,
}

/// What a repair did.
#[derive(Debug, Serialize)]
pub struct Repaired {
    /// What was taken away and kept.
    pub kept_aside: Vec<PathBuf>,
    /// First record that is lost.
    pub lost_from: Option<u64>,
    /// Last record that is lost.
    pub lost_to: Option<u64>,
}

/// What reading everything showed.
#[derive(Debug, Default, Serialize)]
pub struct Contents {
    /// Blocks read.
    pub blocks: u64,
    /// Bytes of these.
    pub block_bytes: u64,
    /// Of these, how many do not match their CID.
    pub damaged_blocks: u64,
    /// Objects read.
    pub objects: u64,
    /// Bytes of these.
    pub object_bytes: u64,
    /// Of these, how many cannot be read to the end.
    pub damaged_objects: u64,
    /// The first of the damages, in sentences.
    pub damages: Vec<String>,
}

impl Metadata {
    /// Of what was found.
    pub fn of(findings: &Findings) -> Self {
        let problems = findings.problems().into_iter();
        let problems = problems.map(|p| Problem { what: p.what, file: p.file, position: p.position }).collect();
        let log = findings.log.as_ref();
        let checkpoint = findings.checkpoint.as_ref().and_then(|found| found.as_ref().ok());
        let replica = findings.replica.as_ref().and_then(|found| found.as_ref().ok());
        Self {
            log: log.map(|log| Log { first: log.first, head: log.head, files: log.segments.len() }),
            checkpoint: checkpoint.map(|found| Checkpoint { began: found.began, rows: found.rows }),
            replica: replica.map(|found| Replica {
                engine: found.engine.name(),
                applied: found.applied,
                rows: found.rows,
            }),
            problems,
            remedy: findings.remedy().map(advice),
            mends_itself: findings.remedy() == Some(Remedy::Start),
        }
    }
}

/// What was found, in lines for people.
pub fn describe(findings: &Findings) -> String {
    let mut lines = Vec::new();
    if let Some(log) = &findings.log {
        let files = if log.segments.len() == 1 { "file" } else { "files" };
        let records = if log.head < log.first {
            format!("no records; the next is {}", log.first)
        } else {
            format!("records {} to {}", log.first, log.head)
        };
        lines.push(format!("log: {records}, in {} {files}", log.segments.len()));
    }
    if let Some(Ok(checkpoint)) = &findings.checkpoint {
        lines.push(format!("checkpoint: up to record {}, {} rows", checkpoint.began, checkpoint.rows));
    }
    match &findings.replica {
        Some(Ok(replica)) => {
            lines.push(format!("replica: {}, up to record {}, {} rows", replica.engine, replica.applied, replica.rows));
        }
        Some(Err(_)) => {}
        None => lines.push("replica: none; the next start makes it from checkpoint and log".to_owned()),
    }
    let problems = findings.problems();
    for problem in &problems {
        let file = problem.file.as_ref().map(|file| format!(" ({}", file.display())).unwrap_or_default();
        let position = problem.position.map(|at| format!(", byte {at}")).unwrap_or_default();
        let end = if file.is_empty() { "" } else { ")" };
        lines.push(format!("PROBLEM: {}{file}{position}{end}", problem.what));
    }
    lines.push(match (problems.is_empty(), findings.remedy()) {
        (true, _) => "the metadata is in order".to_owned(),
        (false, Some(remedy)) => format!("what helps: {}", advice(remedy)),
        (false, None) => "nothing here helps: restore a backup".to_owned(),
    });
    lines.join("\n")
}

fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Start => "the next start mends this by itself",
        Remedy::NewLogFromReplica => {
            "pinfold fsck --repair: begins a new log with what the replica has, and keeps the old log aside"
        }
        Remedy::NewLogFromCheckpoint => {
            "pinfold fsck --repair --accept-loss: begins a new log with what the checkpoint has; what was committed after \
             it is LOST, the old log is kept aside"
        }
        Remedy::CutLog => {
            "pinfold fsck --repair --accept-loss: cuts the log at the damage; what was committed after it is LOST, the rest \
             is kept aside"
        }
        Remedy::RemoveCheckpoint => "pinfold fsck --repair: puts the checkpoint aside; the node makes a new one",
    }
}
