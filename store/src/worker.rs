//! Background work: named threads that can be listed, with one way to be told to stop.
//!
//! Contract: a worker's round may be cut off by a crash at any point, but not by [`Workers::stop`], which waits for it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{IoContext, Result};

/// Told to workers when they are to end.
#[derive(Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Waits for `time`, or until told to stop; true if stopped.
    pub fn wait(&self, time: Duration) -> bool {
        let (stopped, told) = &*self.0;
        let mut stopped = stopped.lock();
        let until = Instant::now() + time;
        while !*stopped && !told.wait_until(&mut stopped, until).timed_out() {}
        *stopped
    }

    fn set(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

/// What a worker has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its name.
    pub name: &'static str,
    /// Rounds done.
    pub rounds: u64,
    /// Rounds that ended with an error.
    pub failed: u64,
    /// The last error.
    pub last_error: Option<String>,
}

struct Running {
    status: Arc<Mutex<WorkerStatus>>,
    thread: Option<JoinHandle<()>>,
}

/// The workers of one namespace.
#[derive(Default)]
pub struct Workers {
    stop: Stop,
    list: Mutex<Vec<Running>>,
}

impl Workers {
    /// Starts a worker that does `round` every `pause`.
    /// An error ends a round, not the worker; it is logged here, once.
    pub fn every(
        &self,
        name: &'static str,
        pause: Duration,
        round: impl FnMut() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.every_from(name, pause, pause, round)
    }

    /// As [`Self::every`], the first time after `first`.
    pub fn every_from(
        &self,
        name: &'static str,
        first: Duration,
        pause: Duration,
        mut round: impl FnMut() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let stop = self.stop.clone();
        self.start(name, move |status| {
            let mut wait = first;
            while !stop.wait(wait) {
                wait = pause;
                let result = round();
                let mut status = status.lock();
                status.rounds += 1;
                if let Err(error) = result {
                    tracing::warn!(worker = name, %error, "a round of background work failed");
                    status.failed += 1;
                    status.last_error = Some(error.to_string());
                }
            }
        })
    }

    /// What a worker with long rounds looks at, to end one early.
    pub fn stop_signal(&self) -> Stop {
        self.stop.clone()
    }

    /// Starts a worker that runs until `body` returns by itself (its own source of work ends).
    pub fn run(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        self.start(name, move |_| body())
    }

    fn start(&self, name: &'static str, body: impl FnOnce(&Mutex<WorkerStatus>) + Send + 'static) -> Result<()> {
        let status = Arc::new(Mutex::new(WorkerStatus { name, ..WorkerStatus::default() }));
        let shared = Arc::clone(&status);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || body(&shared))
            .at("a worker's thread cannot be started")?;
        self.list.lock().push(Running { status, thread: Some(thread) });
        Ok(())
    }

    /// All workers, as the admin API lists them.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.list.lock().iter().map(|worker| worker.status.lock().clone()).collect()
    }

    /// Tells all to stop and waits for their rounds to end.
    pub fn stop(&self) {
        self.stop.set();
        for worker in self.list.lock().iter_mut() {
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                tracing::error!(worker = worker.status.lock().name, "a worker panicked");
            }
        }
    }
}
