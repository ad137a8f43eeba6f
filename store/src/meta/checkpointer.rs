//! Making checkpoints of a running node and letting old log segments go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::apply::Replica;
use super::checkpoint::{CheckpointInfo, Writer, latest};
use super::cursors::Cursors;
use super::layout::Layout;
use super::log::CommitLog;
use super::overlay::Overlay;
use super::progress::{Progress, Quiet};
use super::schema;
use crate::error::{Error, ErrorKind, Result};
use crate::types::Seq;

/// Rows read at a time.
const CHUNK: usize = 1000;
/// Pause after a checkpoint that failed.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Makes checkpoints, one at a time.
pub(super) struct Checkpointer {
    pub(super) log: Arc<dyn CommitLog>,
    pub(super) replica: Arc<Replica>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) layout: Layout,
    pub(super) cursors: Arc<Cursors>,
    pub(super) stopping: Arc<AtomicBool>,
    /// No checkpoint by itself before the log has grown by this many bytes.
    pub(super) floor: u64,
    /// Held while one is made.
    pub(super) making: Mutex<()>,
    /// The last one.
    pub(super) last: Mutex<Option<CheckpointInfo>>,
    /// Bytes of all rows, local ones too, as counted by the last one; 0 if that is not known.
    pub(super) live_bytes: AtomicU64,
}

impl Checkpointer {
    /// Whether the log behind the last checkpoint has become longer than the rows that are in it.
    pub(super) fn is_due(&self) -> bool {
        // While one is being made none is due.
        let Some(_idle) = self.making.try_lock() else { return false };
        let (began, bytes) = self.last.lock().as_ref().map_or((0, 0), |last| (last.began, last.row_bytes));
        self.log.bytes_since(began) > bytes.max(self.floor)
    }

    /// Makes a checkpoint and lets go of the log segments that nobody needs any more.
    ///
    /// `paced` leaves half of the time to others.
    pub(super) fn make(&self, paced: bool, progress: &dyn Progress) -> Result<CheckpointInfo> {
        let _alone = self.making.lock();
        // Everything up to here is in the replica, and durably so.
        let began = self.overlay.applied();
        let last = self.last.lock().clone();
        let info = match last {
            Some(info) if info.began == began => info,
            _ => self.write(began, paced, progress)?,
        };
        *self.last.lock() = Some(info.clone());
        self.truncate(info.began)?;
        Ok(info)
    }

    fn write(&self, began: Seq, paced: bool, progress: &dyn Progress) -> Result<CheckpointInfo> {
        let mut writer = Writer::begin(&self.layout.checkpoints(), began)?;
        let mut live_bytes = 0;
        let mut done = 0;
        self.scan(&[], &[schema::LOCAL_PREFIX_MIN], paced, |key, value| {
            live_bytes += (key.len() + value.len()) as u64;
            done += 1;
            if done % CHUNK as u64 == 0 {
                progress.report("checkpoint (rows)", done, None);
            }
            writer.push(key, value)
        })?;
        // What the scan may have seen; all of it is durable, since nothing else is ever applied.
        let ended = self.replica.shows();
        let info = writer.finish(ended, progress, &|| self.go_on(paced))?;
        self.scan(&[schema::LOCAL_PREFIX_MIN], &[0xff; 40], paced, |key, value| {
            live_bytes += (key.len() + value.len()) as u64;
            Ok(())
        })?;
        self.live_bytes.store(live_bytes, Ordering::Relaxed);
        tracing::info!(
            began = info.began,
            ended = info.ended,
            rows = info.rows,
            bytes = info.bytes,
            "made a checkpoint of the metadata"
        );
        Ok(info)
    }

    /// A checkpoint that nobody asked for does not hold up a node that stops.
    fn go_on(&self, paced: bool) -> Result<()> {
        if paced && self.stopping.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the node is stopping"));
        }
        Ok(())
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        paced: bool,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut from = start.to_vec();
        loop {
            let begun = Instant::now();
            let rows = self.replica.store.range(&from, end, CHUNK)?;
            for (key, value) in &rows {
                each(key, value)?;
            }
            match rows.last() {
                Some((key, _)) if rows.len() == CHUNK => from = [key.as_slice(), &[0]].concat(),
                _ => return Ok(()),
            }
            self.go_on(paced)?;
            if paced {
                std::thread::sleep(begun.elapsed());
            }
        }
    }

    /// Removes segments that neither a rebuild nor a consumer needs.
    fn truncate(&self, began: Seq) -> Result<()> {
        let needed = match self.cursors.save()? {
            Some((name, seq)) if seq < began => {
                tracing::debug!(cursor = name, at = seq, checkpoint = began, "a consumer holds the commit log back");
                seq
            }
            _ => began,
        };
        self.log.seal()?;
        let freed = self.log.truncate(needed + 1)?;
        tracing::debug!(freed, before = needed + 1, "removed old log segments");
        Ok(())
    }

    /// Makes checkpoints when it is asked to, until the asking side is gone.
    pub(super) fn run(self: Arc<Self>, due: &Receiver<()>) {
        while due.recv().is_ok() {
            if !self.is_due() {
                continue;
            }
            if let Err(error) = self.make(true, &Quiet) {
                if self.stopping.load(Ordering::SeqCst) {
                    return;
                }
                tracing::warn!(%error, "a checkpoint of the metadata failed; the commit log grows until one succeeds");
                // Requests that come meanwhile are the same request.
                let until = Instant::now() + RETRY_AFTER;
                while let Some(left) = until.checked_duration_since(Instant::now()) {
                    if due.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
            }
        }
    }
}

/// The checkpoint that a starting node has. One that is damaged is no reason not to start while the replica is whole.
pub(super) fn last_checkpoint(layout: &Layout) -> Option<CheckpointInfo> {
    latest(&layout.checkpoints()).unwrap_or_else(|error| {
        tracing::error!(%error, "the checkpoint is damaged; the next one replaces it");
        None
    })
}
