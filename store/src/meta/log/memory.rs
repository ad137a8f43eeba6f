//! A commit log in memory, for tests of what stands above: the same contract, except that it forgets.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::watermark::{Position, Watermark, refused};
use super::{CommitLog, LogReader, LogStats};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Record;
use crate::types::Seq;

struct State {
    /// Encoded records; the first one has number `first`.
    records: VecDeque<Vec<u8>>,
    first: Seq,
    bytes: u64,
    closed: bool,
}

impl State {
    fn head(&self) -> Seq {
        self.first + self.records.len() as u64 - 1
    }
}

/// A log that lives as long as the process. Records are "durable" as soon as somebody asks.
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    watermark: Arc<Watermark>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State { records: VecDeque::new(), first: 1, bytes: 0, closed: false })),
            watermark: Arc::new(Watermark::new(0)),
        }
    }

    /// Lets the log fail as a journal does whose disk fails: what is not durable yet never will be.
    pub fn fail(&self, cause: Error) {
        self.watermark.update(|p| p.failed = Some(cause));
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

struct MemoryReader {
    state: Arc<Mutex<State>>,
    watermark: Arc<Watermark>,
    next: Seq,
}

impl LogReader for MemoryReader {
    fn next_batch(&mut self, max_bytes: usize) -> Result<Vec<Record>> {
        let durable = self.watermark.get().durable;
        let state = self.state.lock();
        if self.next < state.first {
            return Err(gone(self.next));
        }
        let mut out = Vec::new();
        let mut bytes = 0;
        while self.next <= durable && (out.is_empty() || bytes < max_bytes) {
            let Some(record) = state.records.get((self.next - state.first) as usize) else { break };
            bytes += record.len();
            out.push(Record::decode(record)?);
            self.next += 1;
        }
        Ok(out)
    }
}

fn gone(seq: Seq) -> Error {
    Error::new(ErrorKind::NotFound, "the log no longer has this record: begin from a checkpoint").with("record", seq)
}

impl CommitLog for MemoryLog {
    fn append(&self, mut record: Record, _soon: bool) -> Result<Arc<Record>> {
        let mut state = self.state.lock();
        if let Some(cause) = self.watermark.get().failed {
            return Err(refused(&cause));
        }
        if state.closed {
            return Err(Error::new(ErrorKind::Unavailable, "the commit log is closed"));
        }
        record.seq = state.head() + 1;
        let bytes = record.encode()?;
        state.bytes += bytes.len() as u64;
        state.records.push_back(bytes);
        Ok(Arc::new(record))
    }

    fn head(&self) -> Seq {
        self.state.lock().head()
    }

    fn first(&self) -> Seq {
        self.state.lock().first
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.watermark.follow()
    }

    fn request_sync(&self, seq: Seq) {
        let head = self.state.lock().head();
        if seq <= head {
            self.watermark.update(|p| {
                if !p.ended() {
                    p.durable = p.durable.max(head);
                }
            });
        }
    }

    fn wait(&self, seq: Seq) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.wait_blocking(seq) })
    }

    fn wait_blocking(&self, seq: Seq) -> Result<()> {
        let head = self.head();
        if seq > head {
            return Err(Error::new(ErrorKind::Internal, "waits for a record that was never appended")
                .with("record", seq)
                .with("head", head));
        }
        self.request_sync(seq);
        self.watermark.wait_blocking(seq)
    }

    fn read(&self, from: Seq) -> Result<Box<dyn LogReader>> {
        let next = from.max(1);
        if next < self.first() {
            return Err(gone(next));
        }
        Ok(Box::new(MemoryReader { state: self.state.clone(), watermark: self.watermark.clone(), next }))
    }

    fn seal(&self) -> Result<()> {
        self.request_sync(self.head());
        Ok(())
    }

    fn truncate(&self, before: Seq) -> Result<u64> {
        let durable = self.watermark.get().durable;
        let mut state = self.state.lock();
        let mut freed = 0;
        while state.first < before.min(durable + 1) {
            let Some(record) = state.records.pop_front() else { break };
            freed += record.len() as u64;
            state.first += 1;
        }
        state.bytes -= freed;
        Ok(freed)
    }

    fn bytes_since(&self, seq: Seq) -> u64 {
        let state = self.state.lock();
        let skipped = (seq + 1).saturating_sub(state.first) as usize;
        state.records.iter().skip(skipped).map(|r| r.len() as u64).sum()
    }

    fn stats(&self) -> LogStats {
        let state = self.state.lock();
        LogStats { bytes: state.bytes, segments: 1, ..LogStats::default() }
    }

    fn close(&self) -> Result<()> {
        let head = self.head();
        self.request_sync(head);
        self.state.lock().closed = true;
        self.watermark.update(|p| p.closed = true);
        match self.watermark.get().failed {
            Some(cause) => Err(refused(&cause)),
            None => Ok(()),
        }
    }
}
