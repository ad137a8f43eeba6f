//! The access log: a line a request in VersityGW's form, to a file or a webhook, and one of its own for the admin API.
//!
//! No request waits for it. Lines go into a queue that is bounded in bytes; a worker takes them from there, and those
//! that find no room are dropped, counted and said.

mod file;
mod record;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pinfold_store::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

pub(crate) use record::{Record, Time};

/// Bytes of lines that wait for their worker.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// How long a stop waits for lines to be written.
const CLOSE: Duration = Duration::from_secs(5);

/// Where access logs go.
#[derive(Clone, Debug, Default)]
pub struct AccessLogConfig {
    /// A file for S3 requests (`stdout`, `-` and `stderr` are the process's own).
    pub file: Option<String>,
    /// A URL that gets each as JSON; not together with `file`.
    pub webhook: Option<String>,
    /// A file for requests to the admin API.
    pub admin_file: Option<String>,
}

/// What a worker is told.
enum Order {
    Line(String),
    Reopen,
    Close(oneshot::Sender<()>),
}

/// The form of a sink's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Line,
    Json,
    Admin,
}

impl Form {
    /// The label of its metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Line => "file",
            Self::Json => "webhook",
            Self::Admin => "admin",
        }
    }
}

/// What a sink shares with its worker.
#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Waiting {
    /// A line left the queue.
    fn took(&self, line: &str) {
        self.bytes.fetch_sub(line.len(), Ordering::Relaxed);
    }

    /// Says what was dropped since the last time.
    fn say_dropped(&self, form: Form) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            warn!(
                log = form.label(),
                lines = dropped,
                "lines of the access log were dropped: its worker does not keep up"
            );
        }
    }
}

/// One log and its worker.
pub(crate) struct Sink {
    form: Form,
    orders: mpsc::UnboundedSender<Order>,
    waiting: Arc<Waiting>,
}

impl Sink {
    /// Hands a record over; never waits.
    pub(crate) fn write(&self, record: &Record) {
        let line = match self.form {
            Form::Line => record.line(),
            Form::Json => record.json(),
            Form::Admin => record.admin_line(),
        };
        let label = self.form.label();
        let before = self.waiting.bytes.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > QUEUE_BYTES {
            self.waiting.took(&line);
            self.waiting.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("pinfold_s3_access_log_dropped_total", "log" => label).increment(1);
            return;
        }
        if self.orders.send(Order::Line(line)).is_ok() {
            metrics::counter!("pinfold_s3_access_log_lines_total", "log" => label).increment(1);
        }
    }

    async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).is_ok() && tokio::time::timeout(CLOSE, closed).await.is_err() {
            warn!(log = self.form.label(), "the access log's last lines could not be written in time");
        }
    }
}

/// The logs of a server.
#[derive(Default)]
pub(crate) struct AccessLogs {
    s3: Option<Sink>,
    admin: Option<Sink>,
}

impl AccessLogs {
    /// Opens what the configuration names. Needs a runtime. InvalidArgument if a file or URL cannot be used.
    pub(crate) fn open(config: &AccessLogConfig) -> Result<Self> {
        let s3 = match (&config.file, &config.webhook) {
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorKind::InvalidArgument, "an access log is a file or a webhook, not both"));
            }
            (Some(path), None) => Some(of_file(path, Form::Line)?),
            (None, Some(url)) => Some(of_webhook(url)?),
            (None, None) => None,
        };
        let admin = config.admin_file.as_ref().map(|path| of_file(path, Form::Admin)).transpose()?;
        Ok(Self { s3, admin })
    }

    /// The log of S3 requests, or of the admin API's.
    pub(crate) fn sink(&self, of_admin: bool) -> Option<&Sink> {
        if of_admin { self.admin.as_ref() } else { self.s3.as_ref() }
    }

    /// Files are opened anew, for who rotates them.
    pub(crate) fn reopen(&self) {
        for sink in self.s3.iter().chain(&self.admin) {
            let _ = sink.orders.send(Order::Reopen);
        }
    }

    /// Writes what waits, boundedly.
    pub(crate) async fn close(&self) {
        for sink in self.s3.iter().chain(&self.admin) {
            sink.close().await;
        }
    }
}

fn of_file(path: &str, form: Form) -> Result<Sink> {
    let file = file::LogFile::open(path)?;
    let (orders, queue) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    let shared = waiting.clone();
    std::thread::Builder::new()
        .name(format!("log-{}", form.label()))
        .spawn(move || file.work(queue, &shared, form))
        .map_err(|e| Error::io("the access log's thread cannot be started", e))?;
    Ok(Sink { form, orders, waiting })
}

fn of_webhook(url: &str) -> Result<Sink> {
    let target = crate::post::Target::parse(url, None).map_err(|e| e.with("log_webhook_url", url))?;
    let (orders, queue) = mpsc::unbounded_channel();
    let waiting = Arc::new(Waiting::default());
    tokio::spawn(webhook::work(target, queue, waiting.clone()));
    Ok(Sink { form: Form::Json, orders, waiting })
}
