//! Progress of long work: a bar if there is a terminal to show it on, and a line in the log now and then.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::service_manager;

/// How often the log and the service manager hear.
const TELL_EVERY: Duration = Duration::from_secs(5);

fn hidden_unless_terminal() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// A bar on standard error, if that is a terminal; else nothing.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, hidden_unless_terminal());
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Progress of a command's long work.
pub struct WorkProgress(ProgressBar);

impl WorkProgress {
    /// Nothing done yet.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, hidden_unless_terminal());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos} of {len}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// `done` of `all` units (0: unknown) of `what`.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        self.0.set_message(what.to_owned());
        self.0.set_length(all.max(done));
        self.0.set_position(done);
    }

    /// The same as a function.
    pub fn teller(&self) -> impl Fn(&str, u64, u64) + Send + Sync + '_ {
        |what, done, all| self.tell(what, done, all)
    }

    /// Takes the line off the terminal, before something is printed.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Default for WorkProgress {
    fn default() -> Self {
        Self::new()
    }
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
