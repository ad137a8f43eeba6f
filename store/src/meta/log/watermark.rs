//! The durable position of a log, and everybody who waits for it.

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::types::Seq;

/// How far a log has come.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// Everything up to here survives a power cut.
    pub durable: Seq,
    /// Why the log accepts nothing any more. What lies above `durable` may or may not be in it: the outcome is
    /// unknown until the log has been opened again.
    pub failed: Option<Error>,
    /// The log was closed; `durable` is final.
    pub closed: bool,
}

impl Position {
    /// Whether nothing will become durable any more.
    pub fn ended(&self) -> bool {
        self.closed || self.failed.is_some()
    }

    /// Whether `seq` is durable, can still become it (`None`), or never will.
    fn verdict(&self, seq: Seq) -> Option<Result<()>> {
        if self.durable >= seq {
            return Some(Ok(()));
        }
        if let Some(error) = &self.failed {
            return Some(Err(refused(error)));
        }
        self.closed.then(|| Err(Error::new(ErrorKind::Unavailable, "the commit log is closed")))
    }
}

/// The error of every call after a failure.
pub(super) fn refused(cause: &Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the commit log has failed and accepts nothing any more")
        .caused_by(cause.clone())
}

/// A [`Position`] with waiters, async (watch) and blocking (condvar).
pub(super) struct Watermark {
    position: Mutex<Position>,
    changed: Condvar,
    watchers: watch::Sender<Position>,
}

impl Watermark {
    pub(super) fn new(durable: Seq) -> Self {
        let position = Position { durable, ..Position::default() };
        Self { watchers: watch::Sender::new(position.clone()), position: Mutex::new(position), changed: Condvar::new() }
    }

    /// Changes the position and wakes everybody.
    pub(super) fn update(&self, change: impl FnOnce(&mut Position)) {
        let mut position = self.position.lock();
        change(&mut position);
        self.watchers.send_replace(position.clone());
        self.changed.notify_all();
    }

    pub(super) fn get(&self) -> Position {
        self.position.lock().clone()
    }

    pub(super) fn follow(&self) -> watch::Receiver<Position> {
        self.watchers.subscribe()
    }

    pub(super) fn wait_blocking(&self, seq: Seq) -> Result<()> {
        let mut position = self.position.lock();
        loop {
            match position.verdict(seq) {
                Some(verdict) => return verdict,
                None => self.changed.wait(&mut position),
            }
        }
    }

    pub(super) async fn wait(&self, seq: Seq) -> Result<()> {
        let mut follower = self.follow();
        loop {
            if let Some(verdict) = follower.borrow_and_update().verdict(seq) {
                return verdict;
            }
            if follower.changed().await.is_err() {
                return Err(Error::new(ErrorKind::Unavailable, "the commit log is gone"));
            }
        }
    }
}
