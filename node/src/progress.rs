//! Progress of long work: on a terminal a bar with rate and remaining time (a spinner where the total is not known),
//! elsewhere a line now and then.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::service_manager;

/// How often those hear who have no terminal: a file of lines, the log, the service manager. Work that takes less says
/// nothing to them.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How often what is on the terminal moves, even if the work is in one long step.
const TICK: Duration = Duration::from_millis(200);

/// Progress of a command's long work.
pub struct WorkProgress(Mutex<Shown>);

/// Where it is shown.
enum Shown {
    /// On a terminal; the task's name and its bar, once there is one.
    Terminal(Option<(String, ProgressBar)>),
    /// As lines.
    Lines(Lines),
    /// Somebody else shows it.
    Nowhere,
}

/// Lines, not too many of them.
struct Lines {
    out: Box<dyn Write + Send>,
    every: Duration,
    told: Instant,
}

impl Lines {
    fn tell(&mut self, what: &str, done: u64, all: u64) {
        if self.told.elapsed() >= self.every {
            self.told = Instant::now();
            // There is nowhere left to say that standard error is gone.
            let _ = writeln!(self.out, "{}", sentence(what, done, all));
        }
    }
}

impl WorkProgress {
    /// Nothing done yet. To be shown on standard error.
    pub fn new() -> Self {
        let lines = || Lines { out: Box::new(std::io::stderr()), every: TELL_EVERY, told: Instant::now() };
        Self::shown(if std::io::stderr().is_terminal() { Shown::Terminal(None) } else { Shown::Lines(lines()) })
    }

    /// The same, but never as lines.
    fn on_terminal_only() -> Self {
        Self::shown(if std::io::stderr().is_terminal() { Shown::Terminal(None) } else { Shown::Nowhere })
    }

    fn shown(shown: Shown) -> Self {
        Self(Mutex::new(shown))
    }

    /// `done` of `all` units (0: unknown) of `what`, which ends with the unit in parentheses. What has neither a total
    /// nor a unit is only waited for.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *shown {
            Shown::Nowhere => {}
            Shown::Lines(lines) => lines.tell(what, done, all),
            Shown::Terminal(on) => {
                let bar = match on {
                    Some((task, bar)) if task == what => bar,
                    // A new one: of a bar that changed its task, the old figures would be seen under the new name.
                    _ => {
                        take_off(on);
                        &on.insert((what.to_owned(), bar(what, done, all))).1
                    }
                };
                if all > 0 {
                    bar.set_length(all.max(done));
                }
                bar.set_position(done);
            }
        }
    }

    /// The same as a function.
    pub fn teller(&self) -> impl Fn(&str, u64, u64) + Send + Sync + '_ {
        |what, done, all| self.tell(what, done, all)
    }

    /// Prints something else meanwhile, on a line of its own.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        let bar = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Shown::Terminal(Some((_, bar))) => Some(bar.clone()),
            _ => None,
        };
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes it off the terminal, before something is printed.
    pub fn clear(&self) {
        if let Shown::Terminal(on) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            take_off(on);
        }
    }
}

impl Default for WorkProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for WorkProgress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn take_off(on: &mut Option<(String, ProgressBar)>) {
    if let Some((_, bar)) = on.take() {
        bar.finish_and_clear();
    }
}

/// What is shown of a task on a terminal, and shown already.
fn bar(what: &str, done: u64, all: u64) -> ProgressBar {
    let (task, unit) = task_and_unit(what);
    let known = (all > 0).then_some(all.max(done));
    let bar = ProgressBar::with_draw_target(known, ProgressDrawTarget::stderr()).with_message(task.to_owned());
    if let Ok(style) = ProgressStyle::with_template(&template(unit, known.is_some())) {
        // Whole numbers: the built-in rate has four decimals.
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}/s", HumanCount(state.per_sec().round() as u64));
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_position(done);
    bar.tick();
    bar.enable_steady_tick(TICK);
    bar
}

/// "verification (rows)" is a task counted in rows.
fn task_and_unit(what: &str) -> (&str, Option<&str>) {
    let parts = what.strip_suffix(')').and_then(|what| what.rsplit_once(" ("));
    parts.map_or((what, None), |(task, unit)| (task, Some(unit)))
}

fn template(unit: Option<&str>, known: bool) -> String {
    match (unit, known) {
        (Some("bytes"), true) => {
            "{msg} {wide_bar} {percent:>3}% {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
                .into()
        }
        (Some("bytes"), false) => "{spinner} {msg}: {binary_bytes}, {binary_bytes_per_sec}, {elapsed}".into(),
        (Some(unit), true) => {
            format!("{{msg}} {{wide_bar}} {{percent:>3}}% {{human_pos}}/{{human_len}} {unit}, {{rate}}, {{eta}} left")
        }
        (Some(unit), false) => format!("{{spinner}} {{msg}}: {{human_pos}} {unit}, {{rate}}, {{elapsed}}"),
        (None, true) => "{msg} {wide_bar} {percent:>3}% {human_pos}/{human_len}, {rate}, {eta} left".into(),
        (None, false) => "{spinner} {msg}: {elapsed}".into(),
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
        Self { line: WorkProgress::on_terminal_only(), told: Mutex::new(Instant::now()) }
    }

    /// `done` of `all` units (0: unknown) of `what`.
    pub fn tell(&self, what: &str, done: u64, all: u64) {
        self.line.tell(what, done, all);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            self.line.aside(|| tracing::info!(done, all, "{what}"));
            service_manager::starting(&sentence(what, done, all));
        }
    }
}

impl Default for StartProgress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use indicatif::ProgressStyle;

    use super::{Lines, Shown, WorkProgress, sentence, task_and_unit, template};

    #[test]
    fn an_unknown_total_is_not_shown() {
        assert_eq!(sentence("rows", 3, 0), "rows: 3");
        assert_eq!(sentence("rows", 3, 9), "rows: 3 of 9");
        assert_eq!(sentence("rows", 10, 9), "rows: 10 of 10", "an estimate that was too low");
    }

    #[test]
    fn the_unit_goes_with_the_task() {
        assert_eq!(task_and_unit("replay of the log (records)"), ("replay of the log", Some("records")));
        assert_eq!(task_and_unit("a (b) c"), ("a (b) c", None));
        assert_eq!(task_and_unit("checkpoint"), ("checkpoint", None));
    }

    #[test]
    fn every_template_is_one() {
        for unit in [Some("bytes"), Some("rows"), None] {
            for known in [true, false] {
                ProgressStyle::with_template(&template(unit, known)).unwrap();
            }
        }
    }

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn told(every: Duration) -> String {
        let paper = Paper::default();
        let lines = Lines { out: Box::new(paper.clone()), every, told: Instant::now() };
        let progress = WorkProgress::shown(Shown::Lines(lines));
        (1..=3).for_each(|done| progress.tell("verification (rows)", done, 3));
        drop(progress);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_come_now_and_then_only() {
        let all = "verification (rows): 1 of 3\nverification (rows): 2 of 3\nverification (rows): 3 of 3\n";
        assert_eq!(told(Duration::ZERO), all);
        assert_eq!(told(Duration::from_secs(3600)), "", "what is soon over says nothing");
    }
}
