//! The commit log: the truth about the namespace. Records go in in order, get dense sequence numbers from 1, and are
//! acknowledged once they are durable.
//!
//! Two implementations pass one conformance suite (`testkit::commit_log`): [`LocalJournal`], checksummed segment
//! files with one `fdatasync` a group, and [`MemoryLog`] for tests. A log on a CQL partition is to follow: there an
//! append's outcome may be *unknown* (the wait fails though the record is in), and [`CommitLog::find`] tells.

mod committer;
pub mod fault;
pub mod format;
mod journal;
mod memory;
mod reader;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
pub mod verify;
mod watermark;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::record::Record;
use crate::error::Result;
use crate::types::{Id, Seq};

pub(super) use journal::lock_dir;
pub use journal::{JournalOptions, LocalJournal};
pub use memory::MemoryLog;
pub use recover::{Cut, Recovered};
pub(crate) use segment::sync_dir;
pub use watermark::Position;

/// How many bytes [`CommitLog::find`] and replays ask for at a time.
pub const READ_BYTES: usize = 1 << 20;

/// The largest encoded record, in bytes. What needs more is applied in resumable steps (ruling 6).
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// An ordered, durable sequence of commit records.
pub trait CommitLog: Send + Sync + 'static {
    /// Gives `record` the next sequence number and queues it. Cheap: nothing is waited for unless the queue is full
    /// (`max_queued_bytes`), and then only the log's own committer is. The order of calls is the order of numbers.
    /// Unavailable once the log has failed or is closed, NoSpace while the disk has no room for it; then nothing was
    /// queued and no number was used. With `soon` a group begins at once: the caller is about to wait for it.
    fn append(&self, record: Record, soon: bool) -> Result<Arc<Record>>;

    /// The last number given, 0 if none.
    fn head(&self) -> Seq;

    /// The oldest number that is still kept; `head() + 1` if there is no record.
    fn first(&self) -> Seq;

    /// What is durable, and whether the log has failed or closed. Watching does not trigger a sync.
    fn follow(&self) -> watch::Receiver<Position>;

    /// Asks that `seq` becomes durable now, without waiting for it.
    fn request_sync(&self, seq: Seq);

    /// Returns when `seq` is durable; triggers a group at once. Dropping the future is harmless.
    fn wait(&self, seq: Seq) -> BoxFuture<'_, Result<()>>;

    /// The same for a thread that may block.
    fn wait_blocking(&self, seq: Seq) -> Result<()>;

    /// Reads durable records from `from` on. NotFound if `from` is older than [`CommitLog::first`].
    fn read(&self, from: Seq) -> Result<Box<dyn LogReader>>;

    /// The number of the durable record that request `request` made, looked for from `since` on.
    fn find(&self, request: Id, since: Seq) -> Result<Option<Seq>> {
        let mut reader = self.read(since.max(self.first()))?;
        loop {
            let records = reader.next_batch(READ_BYTES)?;
            if records.is_empty() {
                return Ok(None);
            }
            if let Some(found) = records.iter().find(|r| r.request == request) {
                return Ok(Some(found.seq));
            }
        }
    }

    /// Ends the segment that is being written, so that [`CommitLog::truncate`] can let go of it.
    fn seal(&self) -> Result<()>;

    /// Removes whole segments in which every record is older than `before`; returns the bytes given back.
    fn truncate(&self, before: Seq) -> Result<u64>;

    /// Bytes of the files that hold records behind `seq`.
    fn bytes_since(&self, seq: Seq) -> u64;

    /// Size figures.
    fn stats(&self) -> LogStats;

    /// Makes everything that was appended durable, then stops. Later appends are Unavailable.
    fn close(&self) -> Result<()>;
}

/// Reads a log in order. It holds its place: an empty answer means "no more durable records yet", ask again later.
pub trait LogReader: Send {
    /// The next records, at least one if there is any, together about `max_bytes` as stored.
    fn next_batch(&mut self, max_bytes: usize) -> Result<Vec<Record>>;
}

/// What a log says of its size and work.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogStats {
    /// Bytes of kept records, with their framing.
    pub bytes: u64,
    /// Files kept.
    pub segments: u64,
    /// Bytes that are queued and not yet durable.
    pub queued_bytes: u64,
    /// Groups synced since the start.
    pub groups: u64,
    /// Records synced since the start.
    pub records: u64,
    /// Nanoseconds spent in write and sync since the start.
    pub sync_nanos: u64,
}
