//! Building a replica anew, and the marks that tell how far that has come.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::MetaStore;
use super::apply::applied_row;
use super::checkpoint::{info, load, newest};
use super::config::MetaConfig;
use super::engine::EngineKind;
use super::layout::{Layout, UNINDEXED};
use super::log::{Recovered, sync_dir};
use super::progress::Progress;
use crate::error::{Error, IoContext, Result};
use crate::types::Seq;

/// Builds a replica from the last checkpoint; the log's tail follows at [`Prepared::start`].
pub(super) fn build(
    config: &MetaConfig,
    layout: &Layout,
    recovered: &Recovered,
    progress: &dyn Progress,
) -> Result<(Arc<dyn MetaStore>, Seq)> {
    let checkpoints = layout.checkpoints();
    let usable = match newest(&checkpoints)? {
        // Says by its very name what the log must have.
        Some((began, path)) => check_fit(began, began, recovered).and_then(|()| {
            let info = info(&path)?;
            check_fit(info.began, info.ended, recovered)?;
            build_from(config, layout, Some(&path), progress)
        }),
        None if recovered.first == 1 => return build_from(config, layout, None, progress),
        None => Err(does_not_fit("the log's begin is gone and there is no checkpoint", recovered)),
    };
    match usable {
        // Only ever for a damaged file: a log that does not fit to a whole checkpoint has lost something.
        Err(error) if error.context("checkpoint").is_some() && recovered.first == 1 => {
            tracing::error!(%error, "the checkpoint is damaged; replaying the whole commit log");
            build_from(config, layout, None, progress)
        }
        Err(error) if error.context("checkpoint").is_some() && error.context("help").is_none() => {
            Err(error.with("help", HELP))
        }
        other => other,
    }
}

const HELP: &str = "`pinfold fsck` says what is there and what can be done with it";

fn does_not_fit(message: &'static str, recovered: &Recovered) -> Error {
    Error::corrupt("the replica cannot be rebuilt")
        .with("because", message)
        .with("log begins at", recovered.first)
        .with("log ends at", recovered.head)
        .with("help", HELP)
}

/// Whether the log completes a checkpoint whose scan went from `began` to `ended`.
fn check_fit(began: Seq, ended: Seq, recovered: &Recovered) -> Result<()> {
    if began + 1 < recovered.first {
        return Err(does_not_fit("records between the checkpoint and the log are missing", recovered)
            .with("checkpoint began at", began));
    }
    if ended > recovered.head {
        return Err(does_not_fit("the checkpoint has seen records that the log does not have", recovered)
            .with("checkpoint ended at", ended));
    }
    Ok(())
}

fn build_from(
    config: &MetaConfig,
    layout: &Layout,
    checkpoint: Option<&Path>,
    progress: &dyn Progress,
) -> Result<(Arc<dyn MetaStore>, Seq)> {
    let replica = layout.replica();
    remove_folder(&replica)?;
    let store = config.engine.open(&replica.join("data"), &config.engine_options())?;
    let began = match checkpoint {
        Some(path) => load(path, &*store, progress)?.began,
        None => 0,
    };
    store.apply(&[applied_row(began)])?;
    store.flush()?;
    if config.engine != EngineKind::Memory {
        std::fs::File::create(replica.join(UNINDEXED)).and_then(|f| f.sync_all()).at("cannot mark the new replica")?;
        name_engine(&replica, config.engine)?;
    }
    remove_file(&layout.mark())?;
    Ok((store, began))
}

/// Carries the marks in a replica's folder over to another.
pub(super) fn copy_marks(from: &Path, to: &Path) -> Result<()> {
    if from.join(UNINDEXED).exists() {
        std::fs::File::create(to.join(UNINDEXED)).and_then(|f| f.sync_all()).at("cannot mark the new replica")?;
    }
    Ok(())
}

pub(super) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| path.parent().map_or(Ok(()), sync_dir)).at("cannot remove a mark of the replica"),
    }
}

pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove an unfinished replica", e)),
        _ => Ok(()),
    }
}

/// Says in the replica's folder which engine made it; the last step of building one.
pub(super) fn name_engine(replica: &Path, engine: EngineKind) -> Result<()> {
    let write = || {
        let temp = replica.join("engine.tmp");
        std::fs::write(&temp, engine.name())?;
        std::fs::File::open(&temp)?.sync_all()?;
        std::fs::rename(&temp, replica.join("engine"))?;
        sync_dir(replica)?;
        replica.parent().map_or(Ok(()), sync_dir)
    };
    write().at("cannot name the replica's engine")
}
