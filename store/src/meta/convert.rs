//! Carrying a replica over to another engine, and building one anew, while no node runs.

use std::path::Path;

use rustix::fs::{CWD, RenameFlags};

use super::apply::applied_position;
use super::build::{copy_marks, name_engine, remove_folder};
use super::config::{MetaConfig, Opened};
use super::engine::EngineKind;
use super::fsck::{engine_of, fsck};
use super::layout::Layout;
use super::log::{lock_dir, sync_dir};
use super::open::Prepared;
use super::progress::Progress;
use super::{MetaStore, Row, RowChange};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Rows read at a time.
const CHUNK: usize = 1000;
/// Chunks between two flushes.
const FLUSH_EVERY: usize = 10;

/// Shows all rows of `store` in order, in chunks.
pub(super) fn for_each_chunk(store: &dyn MetaStore, mut show: impl FnMut(&[Row]) -> Result<()>) -> Result<()> {
    let mut from = Vec::new();
    loop {
        let rows = store.range(&from, &[0xff; 64], CHUNK)?;
        show(&rows)?;
        match rows.last() {
            Some((key, _)) if rows.len() == CHUNK => from = [key.as_slice(), &[0]].concat(),
            _ => return Ok(()),
        }
    }
}

/// Number of rows and a checksum of all of them in order.
fn fingerprint(
    store: &dyn MetaStore,
    task: &'static str,
    total: Option<u64>,
    progress: &dyn Progress,
) -> Result<(u64, u32)> {
    let (mut rows, mut crc) = (0, 0);
    for_each_chunk(store, |chunk| {
        for (key, value) in chunk {
            for part in [key, value] {
                crc = crc32c::crc32c_append(crc, &(part.len() as u64).to_le_bytes());
                crc = crc32c::crc32c_append(crc, part);
            }
        }
        rows += chunk.len() as u64;
        progress.report(task, rows, total);
        Ok(())
    })?;
    Ok((rows, crc))
}

/// Copies the replica below `config.dir` into engine `to`, local rows too, compares both, and lets the copy take its
/// place. Returns the number of rows. `config.engine` does not matter. Busy while a node runs on it.
pub fn convert(config: &MetaConfig, to: EngineKind, progress: &dyn Progress) -> Result<u64> {
    let layout = Layout::new(&config.dir);
    let Some(from) = engine_of(&layout)? else {
        return Err(
            Error::new(ErrorKind::NotFound, "there is no replica to convert").with("dir", layout.replica().display())
        );
    };
    if from == to || to == EngineKind::Memory {
        return Err(Error::new(ErrorKind::InvalidArgument, "the replica cannot be converted to this engine")
            .with("from", from)
            .with("to", to));
    }
    let _lock = lock_dir(&layout.log())?;
    let made = config.dir.join("replica.converting");
    remove_folder(&made)?;
    let rows = {
        let source = from.open(&layout.replica().join("data"), &config.engine_options())?;
        if applied_position(&*source)?.is_none() {
            return Err(Error::corrupt("the replica was not completely built: rebuild it instead"));
        }
        let (rows, crc) = fingerprint(&*source, "reading the replica (rows)", None, progress)?;
        let target = to.open(&made.join("data"), &config.engine_options())?;
        copy(&*source, &*target, rows, progress)?;
        if fingerprint(&*target, "comparing the copy (rows)", Some(rows), progress)? != (rows, crc) {
            return Err(Error::corrupt("the converted replica differs from the old one"));
        }
        rows
    };
    copy_marks(&layout.replica(), &made)?;
    name_engine(&made, to)?;
    exchange(&made, &layout.replica())?;
    sync_dir(&config.dir).at("cannot sync the metadata folder")?;
    remove_folder(&made)?;
    Ok(rows)
}

fn copy(source: &dyn MetaStore, target: &dyn MetaStore, total: u64, progress: &dyn Progress) -> Result<()> {
    let (mut done, mut chunks) = (0, 0);
    for_each_chunk(source, |chunk| {
        let changes: Vec<RowChange> = chunk.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        changes.chunks(target.batch_keys()).try_for_each(|batch| target.apply(batch))?;
        chunks += 1;
        if chunks % FLUSH_EVERY == 0 {
            target.flush()?;
        }
        done += chunk.len() as u64;
        progress.report("copying the replica (rows)", done, Some(total));
        Ok(())
    })?;
    target.flush()
}

/// Swaps two folders in one step; where the file system cannot, in two, between which there is no replica and a start
/// would rebuild it.
fn exchange(made: &Path, replica: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, made, CWD, replica, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let old = replica.with_extension("old");
            remove_folder(&old)?;
            std::fs::rename(replica, &old)
                .and_then(|()| std::fs::rename(made, replica))
                .and_then(|()| std::fs::rename(&old, made))
                .at("cannot put the converted replica in place")
        }
        other => other.at("cannot put the converted replica in place"),
    }
}

/// Deletes the replica below `config.dir` and builds it anew from the checkpoint; the log's tail follows at the next
/// start. Refused, with everything left as it is, if log and checkpoint do not give a whole one.
pub fn rebuild(config: &MetaConfig, progress: &dyn Progress) -> Result<Opened> {
    let layout = Layout::new(&config.dir);
    let findings = fsck(config, progress)?;
    if !findings.can_rebuild() {
        let error = Error::corrupt("log and checkpoint do not give a whole replica: keeping the old one");
        return Err(match findings.problems().into_iter().next() {
            Some(problem) => error.with("because", problem.what),
            None => error,
        });
    }
    {
        let _lock = lock_dir(&layout.log())?;
        remove_folder(&layout.replica())?;
    }
    Prepared::open(config.clone(), progress).map(|prepared| prepared.opened().clone())
}
