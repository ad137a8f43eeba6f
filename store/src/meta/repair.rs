//! Carrying out what `pinfold fsck` proposed. Everything that is taken away is kept aside; every step can be
//! interrupted, and fsck then proposes the rest.

use std::path::{Path, PathBuf};

use super::apply::applied_row;
use super::checkpoint::{self, Writer};
use super::config::MetaConfig;
use super::convert::for_each_chunk;
use super::cursors::Cursors;
use super::fsck::{Findings, Remedy, fsck};
use super::layout::Layout;
use super::log::verify::cut;
use super::log::{CommitLog, JournalOptions, LocalJournal, sync_dir};
use super::progress::Progress;
use super::schema;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Seq;

/// What a repair did.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// Files and folders that were put aside.
    pub aside: Vec<PathBuf>,
    /// The first record that is lost, if any is known to be.
    pub lost_from: Option<Seq>,
    /// The last of them.
    pub lost_to: Option<Seq>,
}

/// Looks again and carries out `remedy`; InvalidArgument if that is not what the findings call for.
pub fn repair(config: &MetaConfig, remedy: Remedy, progress: &dyn Progress) -> Result<Repaired> {
    let layout = Layout::new(&config.dir);
    let findings = fsck(config, progress)?;
    if findings.remedy() != Some(remedy) {
        return Err(Error::new(ErrorKind::InvalidArgument, "this repair does not fit what is wrong"));
    }
    match remedy {
        Remedy::Start => Ok(Repaired::default()),
        Remedy::RemoveCheckpoint => remove_checkpoint(&layout),
        Remedy::CutLog => cut_log(&layout, &findings),
        Remedy::NewLogFromReplica => new_log_from_replica(config, &layout, &findings, progress),
        Remedy::NewLogFromCheckpoint => new_log_from_checkpoint(config, &layout, &findings),
    }
}

/// The records that a log which ends at `kept` has lost.
fn lost(findings: &Findings, kept: Seq) -> Repaired {
    let last_known = findings.log.as_ref().map_or(0, |log| log.last_known).max(findings.highest_cursor);
    match last_known > kept {
        true => Repaired { lost_from: Some(kept + 1), lost_to: Some(last_known), ..Repaired::default() },
        false => Repaired::default(),
    }
}

fn remove_checkpoint(layout: &Layout) -> Result<Repaired> {
    let dir = layout.checkpoints();
    let mut aside = Vec::new();
    if let Some((_, path)) = checkpoint::newest(&dir)? {
        let kept = path.with_extension("damaged");
        std::fs::rename(&path, &kept).and_then(|()| sync_dir(&dir)).at("cannot put the checkpoint aside")?;
        aside.push(kept);
    }
    Ok(Repaired { aside, ..Repaired::default() })
}

fn cut_log(layout: &Layout, findings: &Findings) -> Result<Repaired> {
    let Some((log, damage)) = findings.log.as_ref().and_then(|log| Some((log, log.damage.as_ref()?))) else {
        return Err(Error::new(ErrorKind::InvalidArgument, "the log is not damaged"));
    };
    let mut done = lost(findings, log.head);
    if findings.applied().is_none_or(|applied| applied > log.head) {
        // First, because it may show what is cut off, and the next start would refuse it.
        done.aside.extend(layout.set_replica_aside()?);
    }
    Cursors::open(layout.cursors())?.clamp(log.head)?;
    done.aside.push(cut(&layout.log(), damage)?);
    Ok(done)
}

/// The number after which a new log begins: no number that anybody may have seen is used again.
fn last_number(findings: &Findings, state: Seq) -> Seq {
    state.max(findings.log.as_ref().map_or(0, |log| log.last_known)).max(findings.highest_cursor)
}

fn new_log_from_replica(
    config: &MetaConfig,
    layout: &Layout,
    findings: &Findings,
    progress: &dyn Progress,
) -> Result<Repaired> {
    let Some(Ok(replica)) = &findings.replica else {
        return Err(Error::new(ErrorKind::InvalidArgument, "there is no replica that can be used"));
    };
    let last = last_number(findings, replica.applied);
    let mut done = lost(findings, replica.applied);
    let store = replica.engine.open(&layout.replica().join("data"), &config.engine_options())?;
    // First what a rebuild needs, then the new log, last the replica's position: interrupted anywhere, what is there
    // is either still the old log, or enough for the new one.
    let mut writer = Writer::begin(&layout.checkpoints(), last)?;
    let mut rows = 0;
    for_each_chunk(&*store, |chunk| {
        for (key, value) in chunk.iter().filter(|(key, _)| schema::is_logged(key)) {
            writer.push(key, value)?;
        }
        rows += chunk.len() as u64;
        progress.report("checkpoint from the replica (rows)", rows, Some(replica.rows));
        Ok(())
    })?;
    writer.finish(last, progress, &|| Ok(()))?;
    done.aside.extend(begin_log(config, layout, last + 1)?);
    store.apply(&[applied_row(last)])?;
    store.flush()?;
    Ok(done)
}

fn new_log_from_checkpoint(config: &MetaConfig, layout: &Layout, findings: &Findings) -> Result<Repaired> {
    let Some(Ok(info)) = &findings.checkpoint else {
        return Err(Error::new(ErrorKind::InvalidArgument, "there is no checkpoint that can be used"));
    };
    let mut done = lost(findings, info.ended);
    done.aside.extend(layout.set_replica_aside()?);
    Cursors::open(layout.cursors())?.clamp(info.ended)?;
    done.aside.extend(begin_log(config, layout, info.ended + 1)?);
    Ok(done)
}

/// Puts the old log aside and begins one with record `first`.
fn begin_log(config: &MetaConfig, layout: &Layout, first: Seq) -> Result<Option<PathBuf>> {
    let aside = put_aside(&config.dir, &layout.log())?;
    let options = JournalOptions { segment_bytes: config.segment_bytes, first, ..JournalOptions::default() };
    let (log, _) = LocalJournal::open(&layout.log(), options)?;
    log.close()?;
    Ok(aside)
}

fn put_aside(dir: &Path, log: &Path) -> Result<Option<PathBuf>> {
    if !log.exists() {
        return Ok(None);
    }
    let aside = (1..).map(|n| dir.join(format!("log.damaged-{n}"))).find(|p| !p.exists());
    if let Some(aside) = &aside {
        std::fs::rename(log, aside).and_then(|()| sync_dir(dir)).at("cannot put the damaged log aside")?;
    }
    Ok(aside)
}
