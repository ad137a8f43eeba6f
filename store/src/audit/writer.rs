//! Writing: one thread appends what has come, syncs once for all of it, and answers all of them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Event, Head, Recovered, line, recover};
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Events that nobody waits for and that are not written yet.
const MAX_OFFERED: u64 = 1000;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes after which the next file begins.
    pub file_bytes: u64,
}

enum Order {
    Write(Box<Event>, Option<oneshot::Sender<Result<()>>>),
    Probe(oneshot::Sender<Result<()>>),
    Close,
}

/// The log, open for writing. Clones are the same log.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

struct Shared {
    dir: PathBuf,
    orders: mpsc::UnboundedSender<Order>,
    state: Arc<State>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    head: Mutex<Head>,
    failed: Mutex<Option<Error>>,
    offered: AtomicU64,
    dropped: AtomicU64,
}

impl AuditLog {
    /// Opens or makes it; a line that a crash tore is set aside. Blocks. The log says so in its first line of this run, if the
    /// disk has room for it.
    pub fn open(config: AuditConfig) -> Result<(Self, Recovered)> {
        let AuditConfig { dir, file_bytes } = config;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).at("the audit log's folder cannot be made")?;
        let (file, length, recovered) = match recover::open(&dir)? {
            Some(found) => (found.file, found.length, found.recovered),
            None => (recover::create(&dir, 1)?, 0, Recovered { head: Head::none(), torn: 0 }),
        };
        let state = Arc::new(State {
            head: Mutex::new(recovered.head.clone()),
            failed: Mutex::new(None),
            offered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let mut writer =
            Writer { dir: dir.clone(), file, length, file_bytes, head: recovered.head.clone(), state: state.clone() };
        let note = match recovered.torn {
            0 => String::new(),
            torn => format!("{torn} bytes that a crash left of a line were set aside"),
        };
        match writer.append(vec![Event::of_log("log_open", note)]) {
            // The node must start, so that room can be made through it; what is audited is refused meanwhile.
            Err(e) if e.kind() == ErrorKind::NoSpace => {}
            opened => opened?,
        }
        let (orders, queue) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.work(queue))
            .at("the audit log's thread cannot be started")?;
        info!(seq = recovered.head.seq, hash = recovered.head.hash, "the audit log goes on after this line");
        if recovered.torn > 0 {
            warn!(bytes = recovered.torn, "a torn line at the audit log's end was set aside");
        }
        Ok((Self(Arc::new(Shared { dir, orders, state, thread: Mutex::new(Some(thread)) })), recovered))
    }

    /// Writes an event; when this returns it is on the disk.
    pub async fn write(&self, event: Event) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.0.orders.send(Order::Write(Box::new(event), Some(done))).map_err(|_| closed())?;
        written.await.map_err(|_| closed())?
    }

    /// As [`Self::write`], for threads that may wait; not for those of a runtime.
    pub fn write_blocking(&self, event: Event) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.0.orders.send(Order::Write(Box::new(event), Some(done))).map_err(|_| closed())?;
        written.blocking_recv().map_err(|_| closed())?
    }

    /// As [`Self::ready`], for threads that may wait; not for those of a runtime.
    pub fn ready_blocking(&self) -> Result<()> {
        if self.0.state.failed.lock().is_none() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.0.orders.send(Order::Probe(done)).map_err(|_| closed())?;
        answer.blocking_recv().map_err(|_| closed())?
    }

    /// Writes an event that nobody waits for, unless too many wait already: those are counted, and the next line that is
    /// written says how many were left out. For what strangers can cause.
    pub fn offer(&self, event: Event) {
        let state = &self.0.state;
        if state.offered.fetch_add(1, Ordering::Relaxed) >= MAX_OFFERED {
            state.offered.fetch_sub(1, Ordering::Relaxed);
            self.leave_out();
        } else if self.0.orders.send(Order::Write(Box::new(event), None)).is_err() {
            state.offered.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Counts an event that is not written.
    pub fn leave_out(&self) {
        self.0.state.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// An error if the last write failed and one would fail now: what is audited is not to be begun then.
    pub async fn ready(&self) -> Result<()> {
        if self.0.state.failed.lock().is_none() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.0.orders.send(Order::Probe(done)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// The last line on the disk.
    pub fn head(&self) -> Head {
        self.0.state.head.lock().clone()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Writes what waits and a last line. Blocks.
    pub fn close(&self) {
        let _ = self.0.orders.send(Order::Close);
        if let Some(thread) = self.0.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the audit log is closed")
}

struct Writer {
    dir: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    file_bytes: u64,
    head: Head,
    state: Arc<State>,
}

impl Writer {
    fn work(mut self, mut queue: mpsc::UnboundedReceiver<Order>) {
        /// Lines of one sync.
        const GROUP: usize = 256;
        while let Some(first) = queue.blocking_recv() {
            let (mut events, mut waiting, mut probes, mut close) = (Vec::new(), Vec::new(), Vec::new(), false);
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Write(event, done) => {
                        if done.is_none() {
                            self.state.offered.fetch_sub(1, Ordering::Relaxed);
                        }
                        events.push(*event);
                        waiting.extend(done);
                    }
                    Order::Probe(done) => probes.push(done),
                    Order::Close => close = true,
                }
                next = if events.len() < GROUP && !close { queue.try_recv().ok() } else { None };
            }
            if close {
                events.push(Event::of_log("log_close", String::new()));
            }
            let result = if events.is_empty() { Ok(()) } else { self.append(events) };
            for done in waiting {
                let _ = done.send(result.clone());
            }
            for done in probes {
                let _ = done.send(self.probe());
            }
            if close {
                info!(seq = self.head.seq, hash = self.head.hash, "the audit log ends with this line");
                return;
            }
        }
    }

    /// Appends and syncs, all or nothing.
    fn append(&mut self, events: Vec<Event>) -> Result<()> {
        let result = self.try_append(events);
        let mut failed = self.state.failed.lock();
        match &result {
            Ok(()) => {
                if failed.take().is_some() {
                    info!("the audit log is written again");
                }
            }
            Err(e) => {
                if failed.is_none() {
                    error!(error = %e, "the audit log cannot be written: what it must tell of is refused meanwhile");
                }
                *failed = Some(e.clone());
            }
        }
        result
    }

    fn try_append(&mut self, mut events: Vec<Event>) -> Result<()> {
        if let Some(error) = self.state.failed.lock().as_ref().filter(|e| e.kind() == ErrorKind::Unavailable) {
            return Err(error.clone());
        }
        if self.length >= self.file_bytes {
            self.rotate()?;
        }
        let dropped = self.state.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let note = format!("{dropped} refusals of strangers are not in this log: there were too many");
            events.push(Event::of_log("log_left_out", note));
        }
        let (mut text, mut head) = (String::new(), self.head.clone());
        for event in events {
            let (line, next) = line::make(&head, event)?;
            text.push_str(&line);
            head = next;
        }
        if let Err(e) = self.file.write_all(text.as_bytes()) {
            // Nobody was told of these lines: what there is of them goes.
            self.file.set_len(self.length).at("a torn audit line cannot be cut off")?;
            return Err(Error::io("the audit log cannot be written", e));
        }
        if let Err(e) = self.file.sync_data() {
            // What a failed sync lost nobody knows, and a second one would not tell.
            let stopped = Error::new(ErrorKind::Unavailable, "the audit log could not be synced: it needs a restart");
            return Err(stopped.caused_by(e));
        }
        self.length += text.len() as u64;
        self.head = head.clone();
        *self.state.head.lock() = head;
        Ok(())
    }

    /// Begins the next file. Its name is its first line's number, and that line names the last hash of this one.
    fn rotate(&mut self) -> Result<()> {
        self.file = recover::create(&self.dir, self.head.seq + 1)?;
        self.length = 0;
        info!(seq = self.head.seq, hash = self.head.hash, "the audit log goes on in a new file after this line");
        let (line, head) = line::make(&self.head, Event::of_log("log_file", String::new()))?;
        if let Err(e) = self.file.write_all(line.as_bytes()) {
            self.file.set_len(0).at("a torn audit line cannot be cut off")?;
            return Err(Error::io("the audit log cannot be written", e));
        }
        self.length = line.len() as u64;
        self.head = head;
        Ok(())
    }

    /// Whether writing works again.
    fn probe(&mut self) -> Result<()> {
        let error = self.state.failed.lock().clone();
        match error {
            None => Ok(()),
            Some(_) => self.append(vec![Event::of_log("log_resume", String::new())]),
        }
    }
}
