//! The thread that brings durable records into the replica, behind the acknowledgements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::apply::{BlockSink, Replica, store_bodies};
use super::log::Position;
use super::overlay::Overlay;
use super::record::Record;
use super::room::Room;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::types::Seq;

/// About how many bytes of records are applied between two flushes.
const RUN_BYTES: usize = 4 << 20;
/// Pause before a full disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the thread works on.
pub(super) struct Applier {
    pub(super) replica: Arc<Replica>,
    pub(super) overlay: Arc<Overlay>,
    pub(super) room: Arc<Room>,
    pub(super) sink: Arc<dyn BlockSink>,
    pub(super) position: watch::Receiver<Position>,
    /// How long to wait for company after a record became durable: a flush costs the disk that the log needs too.
    pub(super) interval: Duration,
    /// The node is stopping: do not wait for anything that may not come.
    pub(super) stopping: Arc<AtomicBool>,
    /// Called after each run, with the position.
    pub(super) after_run: Box<dyn Fn(Seq) + Send>,
    /// Called when the replica itself cannot be trusted any more.
    pub(super) on_damage: Box<dyn Fn(&Error) + Send>,
}

impl Applier {
    /// Works until the log has ended and everything durable is applied, or the replica fails.
    pub(super) fn run(mut self) {
        let _guard = PanicGuard(self.overlay.clone());
        let ended = match self.work() {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, "the metadata replica cannot be written: no more commits until the node is started again");
                Some(error)
            }
        };
        self.overlay.end(ended);
    }

    fn work(&mut self) -> Result<()> {
        let mut applied = self.overlay.applied();
        loop {
            let ended = match futures::executor::block_on(self.position.wait_for(|p| p.durable > applied || p.ended()))
            {
                Ok(position) => position.ended(),
                Err(_) => true,
            };
            let durable = self.position.borrow_and_update().durable;
            if durable <= applied && ended {
                return Ok(());
            }
            if !ended {
                let stopping = &self.stopping;
                self.overlay.wait_crowded(self.interval, || stopping.load(Ordering::SeqCst));
            }
            // What became durable while waiting comes along.
            let durable = self.position.borrow_and_update().durable;
            while applied < durable {
                let records = self.overlay.pending(durable, RUN_BYTES);
                if records.is_empty() {
                    // Its committer is between the log and the overlay.
                    std::thread::yield_now();
                    continue;
                }
                if !self.store_bodies(&records)? {
                    continue;
                }
                applied = self.replica.apply(&records, applied).inspect_err(|error| {
                    // A full disk says nothing about the rows that are there.
                    if error.kind() != ErrorKind::NoSpace {
                        (self.on_damage)(error);
                    }
                })?;
                self.room.look(&*self.replica.store);
                self.overlay.forget(applied);
                (self.after_run)(applied);
            }
        }
    }
}

impl Applier {
    /// Hands over the small bodies; false if that is to be tried again: a full disk is no reason to give up.
    fn store_bodies(&self, records: &[Arc<Record>]) -> Result<bool> {
        match store_bodies(records, &*self.sink) {
            Ok(()) => Ok(true),
            Err(error) if error.retry() == Retry::Later && !self.stopping.load(Ordering::SeqCst) => {
                if self.overlay.stall(&error) {
                    tracing::warn!(%error, "small bodies cannot be stored now; trying again");
                }
                self.overlay.wait(RETRY_AFTER, || self.stopping.load(Ordering::SeqCst));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// An applier that panics must not leave committers waiting for room.
struct PanicGuard(Arc<Overlay>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Some(Error::new(ErrorKind::Internal, "the applier's thread panicked")));
        }
    }
}
