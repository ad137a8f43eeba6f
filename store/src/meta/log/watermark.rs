//! The durable position of a log, and everybody who waits for it.

use std::collections::BTreeMap;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

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

#[derive(Default)]
struct State {
    position: Position,
    /// Requests, by the record that each waits for; each is woken once.
    requests: BTreeMap<(Seq, u64), oneshot::Sender<()>>,
    asked: u64,
}

/// A [`Position`] with waiters: requests for one record each, followers (watch) and threads (condvar).
pub(super) struct Watermark {
    state: Mutex<State>,
    changed: Condvar,
    watchers: watch::Sender<Position>,
}

impl Watermark {
    pub(super) fn new(durable: Seq) -> Self {
        let position = Position { durable, ..Position::default() };
        let watchers = watch::Sender::new(position.clone());
        Self { watchers, state: Mutex::new(State { position, ..State::default() }), changed: Condvar::new() }
    }

    /// Changes the position and wakes those whom it concerns.
    pub(super) fn update(&self, change: impl FnOnce(&mut Position)) {
        let mut state = self.state.lock();
        change(&mut state.position);
        self.watchers.send_replace(state.position.clone());
        let waiting = if state.position.ended() {
            BTreeMap::new()
        } else {
            let next = state.position.durable + 1;
            state.requests.split_off(&(next, 0))
        };
        let served = std::mem::replace(&mut state.requests, waiting);
        drop(state);
        self.changed.notify_all();
        for request in served.into_values() {
            // Whoever does not wait any more needs no answer.
            let _ = request.send(());
        }
    }

    pub(super) fn get(&self) -> Position {
        self.state.lock().position.clone()
    }

    pub(super) fn follow(&self) -> watch::Receiver<Position> {
        self.watchers.subscribe()
    }

    pub(super) fn wait_blocking(&self, seq: Seq) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            match state.position.verdict(seq) {
                Some(verdict) => return verdict,
                None => self.changed.wait(&mut state),
            }
        }
    }

    pub(super) async fn wait(&self, seq: Seq) -> Result<()> {
        loop {
            let served = {
                let mut state = self.state.lock();
                if let Some(verdict) = state.position.verdict(seq) {
                    return verdict;
                }
                let (request, served) = oneshot::channel();
                state.asked += 1;
                let key = (seq, state.asked);
                state.requests.insert(key, request);
                served
            };
            if served.await.is_err() {
                return Err(Error::new(ErrorKind::Unavailable, "the commit log is gone"));
            }
        }
    }
}
