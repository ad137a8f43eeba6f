//! The local commit log: segment files in one directory.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::{Condvar, Mutex, RwLock};
use rustix::fs::FlockOperation;
use tokio::sync::watch;

use super::committer::{Committer, Queue, Shared, extend, first_segment};
use super::fault::{FaultHook, Faults, LogPoint};
use super::format::{RECORD_HEADER, SEGMENT_HEADER};
use super::reader::JournalReader;
use super::recover::{Found, Recovered, recover};
use super::segment::{SegmentFile, remove_spare, sync_dir};
use super::watermark::{Position, Watermark, refused};
use super::{CommitLog, LogReader, LogStats, MAX_RECORD_BYTES};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::record::Record;
use crate::types::Seq;

/// How a journal is kept.
#[derive(Clone)]
pub struct JournalOptions {
    /// A segment is sealed when it would grow beyond this, in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Records nobody waits for become durable after this time at the latest. Default 1 s.
    pub commit_interval: Duration,
    /// Appends wait while this many bytes are not durable yet. Default 16 MiB.
    pub max_queued_bytes: usize,
    /// Number of the first record, where the directory has no log yet. Default 1; more when a checkpoint is restored.
    pub first: Seq,
    /// Makes steps fail, in tests.
    pub faults: Option<FaultHook>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            commit_interval: Duration::from_secs(1),
            max_queued_bytes: 16 << 20,
            first: 1,
            faults: None,
        }
    }
}

/// The commit log of one host, in a directory of its own. One process at a time has it open.
pub struct LocalJournal {
    shared: Arc<Shared>,
    max_queued_bytes: usize,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Held exclusively while the journal is open.
    _lock: DirLock,
}

impl LocalJournal {
    /// Opens the log in `dir`, or begins one. Cuts a torn tail; Corrupt with segment and position if there is damage
    /// below what was synced; Busy if another process has it.
    pub fn open(dir: &Path, options: JournalOptions) -> Result<(Self, Recovered)> {
        std::fs::create_dir_all(dir).at("cannot make the log directory")?;
        let lock = lock_dir(dir)?;
        remove_spare(dir).at("cannot remove an unused log segment")?;
        let faults = Faults(options.faults);
        let found = recover(dir)?;
        let (tail, at, capacity, sizes, recovered) = match found {
            Some(Found { tail, mut sizes, recovered }) if tail.sealed => {
                // A crash between the seal and the next segment's name.
                tail.file.set_len(tail.end).and_then(|()| tail.file.sync_all()).at("cannot end a log segment")?;
                let next = first_segment(dir, recovered.head + 1, options.segment_bytes, &faults)?;
                sizes.push((SegmentFile { path: next.1.clone(), first: recovered.head + 1 }, SEGMENT_HEADER as u64));
                (next, SEGMENT_HEADER as u64, options.segment_bytes, sizes, recovered)
            }
            Some(Found { tail, sizes, recovered }) => {
                let capacity = extend(&tail.file, options.segment_bytes)?;
                ((tail.file, tail.path, tail.header), tail.end, capacity, sizes, recovered)
            }
            None => {
                let first = options.first.max(1);
                let made = first_segment(dir, first, options.segment_bytes, &faults)?;
                let sizes = vec![(SegmentFile { path: made.1.clone(), first }, SEGMENT_HEADER as u64)];
                let at = SEGMENT_HEADER as u64;
                (made, at, options.segment_bytes, sizes, Recovered { first, head: first - 1, cut: None })
            }
        };
        if let Some(cut) = &recovered.cut {
            tracing::warn!(segment = %cut.segment.display(), at = cut.at, bytes = cut.bytes, "cut a torn log tail: its records were never acknowledged as durable");
        }
        let queue = Queue {
            records: Vec::new(),
            bytes: 0,
            head: recovered.head,
            wanted: 0,
            oldest: None,
            seals: (0, 0),
            closing: false,
            failed: None,
            no_spare: None,
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            watermark: Arc::new(Watermark::new(recovered.head)),
            wanted: AtomicU64::new(0),
            segments: Arc::new(RwLock::new(sizes)),
            faults,
            commit_interval: options.commit_interval,
            groups: AtomicU64::new(0),
            synced_records: AtomicU64::new(0),
            sync_nanos: AtomicU64::new(0),
        });
        let committer = Committer::new(shared.clone(), tail, at, recovered.head + 1, capacity, options.segment_bytes);
        let thread = std::thread::Builder::new()
            .name("log-commit".into())
            .spawn(move || committer.run())
            .at("cannot start the log's thread")?;
        let journal = Self {
            shared,
            max_queued_bytes: options.max_queued_bytes,
            committer: Mutex::new(Some(thread)),
            _lock: lock,
        };
        Ok((journal, recovered))
    }

    /// The segments with their sizes.
    #[cfg(test)]
    pub(super) fn shared_segments(&self) -> Vec<(SegmentFile, u64)> {
        self.shared.segments.read().clone()
    }

    fn check_seq(&self, seq: Seq) -> Result<()> {
        // Only what was appended is ever wanted.
        if self.shared.is_wanted(seq) {
            return Ok(());
        }
        let head = self.head();
        if seq > head {
            return Err(Error::new(ErrorKind::Internal, "waits for a record that was never appended")
                .with("record", seq)
                .with("head", head));
        }
        Ok(())
    }
}

/// The exclusive right to a log directory.
pub(in crate::meta) struct DirLock(File);

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing would do, but for a child process that was just forked and still shares the descriptor.
        if let Err(error) = rustix::fs::flock(&self.0, FlockOperation::Unlock) {
            tracing::debug!(%error, "cannot unlock the commit log");
        }
    }
}

/// Two writers of one log would destroy it.
pub(in crate::meta) fn lock_dir(dir: &Path) -> Result<DirLock> {
    let path = dir.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).at("cannot open the log's lock")?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirLock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::new(ErrorKind::Busy, "another process has the commit log open").with("dir", dir.display()))
        }
        Err(e) => Err(Error::io("cannot lock the commit log", e.into())),
    }
}

impl CommitLog for LocalJournal {
    fn append(&self, mut record: Record, soon: bool) -> Result<Arc<Record>> {
        let mut queue = self.shared.queue.lock();
        loop {
            if let Some(cause) = &queue.failed {
                return Err(refused(cause));
            }
            if queue.closing {
                return Err(Error::new(ErrorKind::Unavailable, "the commit log is closed"));
            }
            if queue.bytes < self.max_queued_bytes {
                break;
            }
            let head = queue.head;
            self.shared.want(&mut queue, head);
            self.shared.work.notify_one();
            self.shared.room.wait(&mut queue);
        }
        record.seq = queue.head + 1;
        let bytes = record.encoded_len()?;
        if bytes > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "a commit record is too large").with("bytes", bytes));
        }
        if let Some((room, cause)) = &queue.no_spare {
            let framed = queue.bytes + bytes + (queue.records.len() + 1) * RECORD_HEADER;
            if framed > *room {
                return Err(
                    Error::new(ErrorKind::NoSpace, "the disk has no room for the commit log").caused_by(cause.clone())
                );
            }
        }
        let record = Arc::new(record);
        queue.head = record.seq;
        queue.bytes += bytes;
        queue.records.push((record.clone(), bytes));
        let urgent = soon || queue.bytes > self.max_queued_bytes / 2;
        if urgent {
            self.shared.want(&mut queue, record.seq);
        }
        if queue.oldest.is_none() || urgent {
            queue.oldest.get_or_insert_with(Instant::now);
            self.shared.work.notify_one();
        }
        Ok(record)
    }

    fn head(&self) -> Seq {
        self.shared.queue.lock().head
    }

    fn first(&self) -> Seq {
        self.shared.segments.read().first().map_or(1, |(s, _)| s.first)
    }

    fn follow(&self) -> watch::Receiver<Position> {
        self.shared.watermark.follow()
    }

    fn request_sync(&self, seq: Seq) {
        if self.shared.is_wanted(seq) {
            return;
        }
        let mut queue = self.shared.queue.lock();
        if seq > queue.wanted {
            let seq = seq.min(queue.head);
            self.shared.want(&mut queue, seq);
            self.shared.work.notify_one();
        }
    }

    fn wait(&self, seq: Seq) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.check_seq(seq)?;
            self.request_sync(seq);
            self.shared.watermark.wait(seq).await
        })
    }

    fn wait_blocking(&self, seq: Seq) -> Result<()> {
        self.check_seq(seq)?;
        self.request_sync(seq);
        self.shared.watermark.wait_blocking(seq)
    }

    fn read(&self, from: Seq) -> Result<Box<dyn LogReader>> {
        let reader = JournalReader::new(self.shared.segments.clone(), self.shared.watermark.clone(), from.max(1))?;
        Ok(Box::new(reader))
    }

    fn seal(&self) -> Result<()> {
        let mut queue = self.shared.queue.lock();
        queue.seals.0 += 1;
        let mine = queue.seals.0;
        self.shared.work.notify_one();
        while queue.seals.1 < mine {
            if let Some(cause) = &queue.failed {
                return Err(refused(cause));
            }
            if queue.closing {
                return Err(Error::new(ErrorKind::Unavailable, "the commit log is closed"));
            }
            self.shared.room.wait(&mut queue);
        }
        Ok(())
    }

    fn truncate(&self, before: Seq) -> Result<u64> {
        let mut freed = 0;
        loop {
            // The lock is not held while the disk works: appends and reads go on.
            let oldest = {
                let segments = self.shared.segments.read();
                match segments.as_slice() {
                    [(oldest, bytes), (second, _), ..] if second.first <= before => Some((oldest.clone(), *bytes)),
                    _ => None,
                }
            };
            let Some((oldest, bytes)) = oldest else { return Ok(freed) };
            self.shared.faults.check(LogPoint::Remove).at("cannot remove an old log segment")?;
            // Out of the list first, so that no reader is sent there. One at a time and each made durable, so that
            // no crash leaves a hole between segments.
            self.shared.segments.write().retain(|(s, _)| s.first != oldest.first);
            std::fs::remove_file(&oldest.path).at("cannot remove an old log segment")?;
            sync_dir(&self.shared.dir).at("cannot sync the log directory")?;
            freed += bytes;
        }
    }

    fn bytes_since(&self, seq: Seq) -> u64 {
        let head = self.head();
        let segments = self.shared.segments.read();
        let ends = segments.iter().skip(1).map(|(next, _)| next.first - 1).chain([head]);
        segments.iter().zip(ends).filter(|(_, end)| *end > seq).map(|((_, bytes), _)| bytes).sum()
    }

    fn stats(&self) -> LogStats {
        let (bytes, segments) = {
            let segments = self.shared.segments.read();
            (segments.iter().map(|(_, b)| b).sum(), segments.len() as u64)
        };
        LogStats {
            bytes,
            segments,
            queued_bytes: self.shared.queue.lock().bytes as u64,
            groups: self.shared.groups.load(Ordering::Relaxed),
            records: self.shared.synced_records.load(Ordering::Relaxed),
            sync_nanos: self.shared.sync_nanos.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Result<()> {
        {
            let mut queue = self.shared.queue.lock();
            queue.closing = true;
            self.shared.work.notify_one();
            self.shared.room.notify_all();
        }
        if let Some(thread) = self.committer.lock().take() {
            thread.join().map_err(|_| Error::new(ErrorKind::Internal, "the log's thread panicked"))?;
        }
        let failed = self.shared.queue.lock().failed.clone();
        failed.map_or(Ok(()), |cause| Err(refused(&cause)))
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::debug!(%error, "a journal was dropped after it had failed");
        }
    }
}
