//! A log in a file, which may be moved away at any time: `reopen` makes it anew.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::time::Instant;

use pinfold_store::{Error, ErrorKind, Result};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::{Form, Order, Waiting};

/// The file's mode, as VersityGW makes it.
const MODE: u32 = 0o644;

/// An open log.
pub(super) struct LogFile {
    name: String,
    out: BufWriter<Box<dyn Write + Send>>,
    /// The file, where it is one of its own.
    standard: bool,
    /// A line may have been written in part.
    broken: bool,
}

fn destination(name: &str) -> io::Result<(Box<dyn Write + Send>, bool)> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "stdout" | "-" => (Box::new(io::stdout()), true),
        "stderr" => (Box::new(io::stderr()), true),
        _ => {
            let file: File = OpenOptions::new().append(true).create(true).mode(MODE).open(name)?;
            (Box::new(file), false)
        }
    })
}

impl LogFile {
    /// Opens it and says so in its first line. InvalidArgument if that cannot be.
    pub(super) fn open(name: &str) -> Result<Self> {
        let wrong = |e| {
            Error::new(ErrorKind::InvalidArgument, "the access log cannot be opened").with("file", name).caused_by(e)
        };
        let (out, standard) = destination(name).map_err(wrong)?;
        let mut log = Self { name: name.to_owned(), out: BufWriter::new(out), standard, broken: false };
        log.begin().map_err(wrong)?;
        Ok(log)
    }

    fn begin(&mut self) -> io::Result<()> {
        writeln!(self.out, "log starts {}", go_time())?;
        self.out.flush()
    }

    fn reopen(&mut self) -> io::Result<()> {
        if !self.standard {
            let (out, _) = destination(&self.name)?;
            self.out.flush()?;
            self.out = BufWriter::new(out);
            self.broken = false;
        }
        self.begin()
    }

    fn put(&mut self, line: &str) -> io::Result<()> {
        if std::mem::take(&mut self.broken) {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// What could not be written is given up; the file goes on from a line of its own.
    fn give_up(&mut self) {
        self.broken = true;
        if let Ok((out, _)) = destination(&self.name) {
            // Dropped with what it holds, not flushed: the disk would refuse it again.
            let _ = std::mem::replace(&mut self.out, BufWriter::new(out)).into_parts();
        }
    }

    /// Writes what comes until told to close.
    pub(super) fn work(mut self, mut queue: mpsc::UnboundedReceiver<Order>, waiting: &Waiting, form: Form) {
        let mut failing = false;
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            let mut lines: u64 = 0;
            let mut result = Ok(());
            while let Some(order) = next {
                match order {
                    Order::Line(line) => {
                        waiting.took(&line);
                        lines += 1;
                        result = result.and_then(|()| self.put(&line));
                    }
                    Order::Reopen => match self.reopen() {
                        Ok(()) => info!(file = self.name, "access log opened anew"),
                        Err(e) => error!(file = self.name, error = %e, "the access log cannot be opened anew"),
                    },
                    Order::Close(done) => {
                        let _ = self.out.flush();
                        let _ = done.send(());
                        return;
                    }
                }
                next = queue.try_recv().ok();
            }
            waiting.say_dropped(form);
            match result.and_then(|()| self.out.flush()) {
                Ok(()) if failing => {
                    failing = false;
                    info!(file = self.name, "the access log is written again");
                }
                Ok(()) => {}
                Err(e) => {
                    metrics::counter!("pinfold_s3_access_log_dropped_total", "log" => form.label()).increment(lines);
                    if !failing {
                        error!(file = self.name, error = %e, "the access log cannot be written; its lines are dropped");
                    }
                    failing = true;
                    self.give_up();
                }
            }
        }
    }
}

/// The time as Go prints it: nanoseconds without zeros at their end, and the process's own clock.
fn go_time() -> String {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let own = BEGAN.get_or_init(Instant::now).elapsed();
    let now = OffsetDateTime::now_utc();
    let fraction = format!(".{:09}", now.nanosecond());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!(
        "{} {:02}:{:02}:{:02}{fraction} +0000 UTC m=+{}.{:09}",
        now.date(),
        now.hour(),
        now.minute(),
        now.second(),
        own.as_secs(),
        own.subsec_nanos()
    )
}
