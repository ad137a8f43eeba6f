//! Opening a node's metadata: log first, then the replica, which is built anew where it is missing, damaged or too
//! old. What cannot be explained is refused, never guessed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::MetaStore;
use super::apply::{BlockSink, Replica, applied_position, store_bodies};
use super::build::{build, remove_file};
use super::config::{MetaConfig, Opened};
use super::engine::EngineKind;
use super::layout::{Layout, UNINDEXED};
use super::log::{CommitLog, JournalOptions, LocalJournal, READ_BYTES, Recovered};
use super::progress::Progress;
use super::replica::Metadata;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Seq;

/// Log and replica are open; records after the replica's position are not applied yet. Local rows can be read and
/// written already, so that whoever takes the small bodies can be built on [`Prepared::store`] before
/// [`Prepared::start`].
pub struct Prepared {
    config: MetaConfig,
    layout: Layout,
    log: Arc<LocalJournal>,
    store: Arc<dyn MetaStore>,
    applied: Seq,
    opened: Opened,
}

impl Prepared {
    /// Opens log and replica.
    ///
    /// Corrupt if the log is damaged (with segment, position, and what helps), or if log, checkpoint and replica do
    /// not fit together. A replica that is merely broken is set aside and rebuilt.
    pub fn open(config: MetaConfig, progress: &dyn Progress) -> Result<Self> {
        let layout = Layout::new(&config.dir);
        std::fs::create_dir_all(&config.dir).at("cannot make the metadata folder")?;
        refuse_missing_log(&layout)?;
        let options = JournalOptions {
            segment_bytes: config.segment_bytes,
            commit_interval: config.commit_interval,
            max_queued_bytes: config.max_queued_bytes,
            first: 1,
            faults: config.log_faults.clone(),
        };
        let (log, recovered) = LocalJournal::open(&layout.log(), options)?;
        let (store, applied, opened) = open_replica(&config, &layout, &recovered, progress)?;
        Ok(Self { config, layout, log: Arc::new(log), store, applied, opened })
    }

    /// The replica's database, for local rows.
    pub fn store(&self) -> &Arc<dyn MetaStore> {
        &self.store
    }

    /// What opening found; `replayed` is not known yet.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Applies the log's tail and begins to take commits. If the replica was rebuilt, the local rows have been found
    /// again by now: from the next start on they are taken for whole.
    pub fn start(mut self, sink: Arc<dyn BlockSink>, progress: &dyn Progress) -> Result<(Metadata, Opened)> {
        let replica = Replica::new(self.store, self.applied);
        let head = self.log.head();
        let total = head - self.applied;
        let from = self.applied;
        if total > 0 {
            let mut reader = self.log.read(self.applied + 1)?;
            while self.applied < head {
                let records = reader.next_batch(READ_BYTES)?;
                if records.is_empty() {
                    return Err(Error::corrupt("the log ends before its head").with("record", self.applied + 1));
                }
                store_bodies(&records, &*sink)?;
                self.applied = replica.apply(&records, self.applied)?;
                progress.report("replay of the commit log (records)", self.applied - from, Some(total));
            }
        }
        self.opened.replayed = total;
        remove_file(&self.layout.replica().join(UNINDEXED))?;
        let metadata = Metadata::start(&self.config, self.layout, self.log, replica, self.applied, sink)?;
        Ok((metadata, self.opened))
    }
}

/// A replica or checkpoint without a log means that the log was lost, not that everything begins anew.
fn refuse_missing_log(layout: &Layout) -> Result<()> {
    let is_empty = |dir: &Path| match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(Error::io("cannot list the metadata folder", e)),
    };
    let no_log = match std::fs::read_dir(layout.log()) {
        Ok(entries) => !entries.flatten().any(|e| e.path().extension().is_some_and(|e| e == "seg")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        Err(e) => return Err(Error::io("cannot list the log directory", e)),
    };
    if no_log && !(is_empty(&layout.replica())? && is_empty(&layout.checkpoints())?) {
        return Err(Error::corrupt("the commit log is gone though there is a replica or a checkpoint")
            .with("log", layout.log().display())
            .with(
                "help",
                "bring the log's segments back, or let `pinfold fsck --repair` begin a new log from the replica",
            ));
    }
    Ok(())
}

fn open_replica(
    config: &MetaConfig,
    layout: &Layout,
    recovered: &Recovered,
    progress: &dyn Progress,
) -> Result<(Arc<dyn MetaStore>, Seq, Opened)> {
    let mut opened = Opened { head: recovered.head, log_cut: recovered.cut.clone(), ..Opened::default() };
    match find_replica(config, layout)? {
        Found::Usable(store, applied) if applied > recovered.head => {
            drop(store);
            return Err(Error::corrupt(
                "the replica has applied records that the log does not have: the log has lost its end",
            )
            .with("applied", applied)
            .with("log ends at", recovered.head)
            .with("help", "`pinfold fsck --repair` can begin a new log from the replica"));
        }
        Found::Usable(store, applied) if applied + 1 >= recovered.first => {
            // Rebuilt at an earlier start that did not come to its end.
            opened.replica_rebuilt = layout.replica().join(UNINDEXED).exists();
            return Ok((store, applied, opened));
        }
        Found::Usable(store, applied) => {
            drop(store);
            tracing::warn!(
                applied,
                log_begins_at = recovered.first,
                "the replica is older than the log: rebuilding it"
            );
            opened.set_aside = layout.set_replica_aside()?;
        }
        Found::Damaged(error) => {
            opened.set_aside = layout.set_replica_aside()?;
            tracing::warn!(%error, set_aside = ?opened.set_aside, "the replica cannot be used: rebuilding it from checkpoint and log");
        }
        Found::Nothing => {}
    }
    opened.replica_rebuilt = true;
    let (store, applied) = build(config, layout, recovered, progress)?;
    Ok((store, applied, opened))
}

enum Found {
    Usable(Arc<dyn MetaStore>, Seq),
    Damaged(Error),
    Nothing,
}

fn find_replica(config: &MetaConfig, layout: &Layout) -> Result<Found> {
    let replica = layout.replica();
    if config.engine == EngineKind::Memory || !replica.exists() {
        return Ok(Found::Nothing);
    }
    if layout.mark().exists() {
        return Ok(Found::Damaged(Error::corrupt("the replica was found damaged before")));
    }
    match std::fs::read_to_string(replica.join("engine")) {
        // Never completely made.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return Ok(Found::Damaged(Error::corrupt("the file that names the replica's engine is damaged")));
        }
        Err(e) => return Err(Error::io("cannot read the replica's engine", e)),
        Ok(name) if name.trim().parse::<EngineKind>().is_err() => {
            return Ok(Found::Damaged(Error::corrupt("the file that names the replica's engine is damaged")));
        }
        Ok(name) if name.trim() != config.engine.name() => {
            return Err(Error::new(ErrorKind::InvalidArgument, "the replica was made by another metadata engine")
                .with("configured", config.engine)
                .with("found", name.trim())
                .with("help", "`pinfold meta convert` carries it over"));
        }
        Ok(_) => {}
    }
    let opened = config.engine.open(&replica.join("data"), &config.engine_options()).and_then(|store| {
        let applied = applied_position(&*store)?;
        Ok((store, applied))
    });
    match opened {
        Ok((store, Some(applied))) => Ok(Found::Usable(store, applied)),
        Ok((_, None)) => Ok(Found::Damaged(Error::corrupt("the replica was not completely built"))),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Found::Damaged(error)),
        Err(error) => Err(error),
    }
}
