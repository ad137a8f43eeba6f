//! Progress of long work: a bar if there is a terminal to show it on, and a line in the log now and then.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::service_manager;

/// How often the log and the service manager hear.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A bar on standard error, if that is a terminal; else nothing.
pub fn bar() -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Progress of a node's start.
pub struct StartProgress {
    bar: ProgressBar,
    told: Mutex<Instant>,
}

impl StartProgress {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self { bar: bar(), told: Mutex::new(Instant::now()) }
    }

    /// `done` of `all` units (0: unknown) of `what`.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        self.bar.set_message(what.to_owned());
        self.bar.set_length(all.max(done));
        self.bar.set_position(done);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            tracing::info!(done, all, "{what}");
            service_manager::starting(&format!("{what}: {done} of {all}"));
        }
    }
}

impl Default for StartProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for StartProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
