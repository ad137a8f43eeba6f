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
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// `done` of `all` units (0: unknown) of `what`.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        // One text: set one by one, what is done of one thing would be shown of the next for a moment.
        self.0.set_message(sentence(what, done, all));
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

fn sentence(what: &str, done: u64, all: u64) -> String {
    if all == 0 { format!("{what}: {done}") } else { format!("{what}: {done} of {}", all.max(done)) }
}

/// Progress of a node's start.
pub struct StartProgress {
    line: WorkProgress,
    told: Mutex<Instant>,
}

impl StartProgress {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self { line: WorkProgress::new(), told: Mutex::new(Instant::now()) }
    }

    /// `done` of `all` units (0: unknown) of `what`.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        self.line.tell(what, done, all);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            tracing::info!(done, all, "{what}");
            service_manager::starting(&sentence(what, done, all));
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
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn an_unknown_total_is_not_shown() {
        assert_eq!(sentence("rows", 3, 0), "rows: 3");
        assert_eq!(sentence("rows", 3, 9), "rows: 3 of 9");
        assert_eq!(sentence("rows", 10, 9), "rows: 10 of 10", "an estimate that was too low");
    }
}
