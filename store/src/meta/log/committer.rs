//! The journal's one writing thread: takes what is queued, writes it as a group, syncs once, tells the waiters.
//! After the first write or sync that fails it does nothing any more: what the kernel did with the dirty pages is
//! unknown, and a second sync that succeeds would prove nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::fault::{Faults, LogPoint};
use super::format::{GROUP_HEADER, GroupHeader, GroupKind, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader, push_record};
use super::reader::Segments;
use super::segment::{FILL_BYTES, SegmentFile, fill, make_spare, name_spare, preallocate, sync_dir, write_at};
use super::watermark::Watermark;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::meta::record::Record;
use crate::types::Seq;

/// Memory of a group that is kept for the next one.
const KEPT_GROUP_BYTES: usize = 1 << 20;

/// What appenders hand over, under one lock.
pub(super) struct Queue {
    /// Records that are not in a group yet, with the bytes that each takes.
    pub(super) records: Vec<(Arc<Record>, usize)>,
    /// Their bytes, with those of the group that is being written.
    pub(super) bytes: usize,
    /// Last number given.
    pub(super) head: Seq,
    /// Up to where somebody waits.
    pub(super) wanted: Seq,
    /// When the oldest record in the queue was queued.
    pub(super) oldest: Option<Instant>,
    /// How often a seal was asked for, and done.
    pub(super) seals: (u64, u64),
    /// Finish what is queued, then stop.
    pub(super) closing: bool,
    /// Why nothing is accepted any more.
    pub(super) failed: Option<Error>,
    /// Bytes that fit in the present segment while no next one could be made, and why it could not.
    pub(super) no_spare: Option<(usize, Error)>,
}

/// What the journal's handle, its readers and its committer share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) queue: Mutex<Queue>,
    /// Work for the committer.
    pub(super) work: Condvar,
    /// Room in the queue, or a finished seal.
    pub(super) room: Condvar,
    pub(super) watermark: Arc<Watermark>,
    /// What the queue's `wanted` is, for those who need not change it.
    pub(super) wanted: AtomicU64,
    pub(super) segments: Arc<Segments>,
    pub(super) faults: Faults,
    pub(super) commit_interval: Duration,
    pub(super) groups: AtomicU64,
    pub(super) synced_records: AtomicU64,
    pub(super) sync_nanos: AtomicU64,
}

impl Shared {
    /// Notes that somebody waits for `seq`, which was appended.
    pub(super) fn want(&self, queue: &mut Queue, seq: Seq) {
        queue.wanted = queue.wanted.max(seq);
        self.wanted.store(queue.wanted, Ordering::Release);
    }

    /// Whether `seq` was appended and is being made durable already.
    pub(super) fn is_wanted(&self, seq: Seq) -> bool {
        seq <= self.wanted.load(Ordering::Acquire)
    }
}

/// What the committer is to do next.
enum Job {
    /// Write these, the first of which has this number.
    Group {
        first: Seq,
        records: Vec<(Arc<Record>, usize)>,
        bytes: usize,
    },
    /// Nothing came for a while: prove that the last group is durable.
    Mark,
    Seal,
    /// Try again to make the next segment.
    Spare,
    Stop,
}

/// The thread's own state: the segment that is being written.
pub(super) struct Committer {
    shared: Arc<Shared>,
    file: File,
    path: PathBuf,
    header: SegmentHeader,
    /// Where the next group goes; everything before it is durable but for an idle mark.
    at: u64,
    /// Number of the next record to be written.
    next: Seq,
    segment_bytes: u64,
    /// Bytes reserved for the present segment.
    capacity: u64,
    /// Up to here the segment is zeros that are durable, or groups.
    filled: u64,
    /// The last group on disk has records: a mark would prove something.
    unmarked: bool,
    spare: bool,
    /// The group that is being written; its memory is used again.
    group: Vec<u8>,
}

impl Committer {
    /// A committer that goes on at `at` in an existing segment.
    pub(super) fn new(
        shared: Arc<Shared>,
        (file, path, header): (File, PathBuf, SegmentHeader),
        at: u64,
        next: Seq,
        capacity: u64,
        segment_bytes: u64,
    ) -> Self {
        Self {
            shared,
            file,
            path,
            header,
            at,
            next,
            segment_bytes,
            capacity,
            filled: at,
            unmarked: false,
            spare: false,
            group: Vec::new(),
        }
    }

    /// Works until the journal is closed or fails.
    pub(super) fn run(mut self) {
        let _guard = PanicGuard(self.shared.clone());
        self.prepare_spare();
        loop {
            let (job, closing) = self.next_job();
            let done = match job {
                Job::Group { first, records, bytes } => self.commit(first, &records, bytes),
                Job::Mark => self.mark(GroupKind::Mark, false),
                Job::Seal => self.seal_and_roll(),
                Job::Spare => Ok(()),
                Job::Stop => {
                    let done = if self.unmarked { self.mark(GroupKind::Mark, true) } else { Ok(()) };
                    if done.is_ok() {
                        self.shared.watermark.update(|p| p.closed = true);
                        return;
                    }
                    done
                }
            };
            if let Err(e) = done {
                return self.fail(e);
            }
            if !self.spare && !closing {
                self.prepare_spare();
            }
        }
    }

    /// Waits for work.
    fn next_job(&self) -> (Job, bool) {
        let shared = &self.shared;
        let mut queue = shared.queue.lock();
        loop {
            let closing = queue.closing;
            if let Some(oldest) = queue.oldest {
                let due = oldest + shared.commit_interval;
                let urgent = queue.wanted >= self.next || closing || queue.seals.0 > queue.seals.1;
                if urgent || Instant::now() >= due {
                    queue.oldest = None;
                    let records = std::mem::take(&mut queue.records);
                    let bytes = records.iter().map(|(_, bytes)| bytes).sum();
                    return (Job::Group { first: self.next, records, bytes }, closing);
                }
                shared.work.wait_until(&mut queue, due);
            } else if queue.seals.0 > queue.seals.1 {
                return (Job::Seal, closing);
            } else if closing {
                return (Job::Stop, closing);
            } else if self.unmarked || !self.spare {
                // Idle for a whole interval: time for what nobody waits for.
                let timed_out = shared.work.wait_for(&mut queue, shared.commit_interval).timed_out();
                if timed_out && queue.oldest.is_none() && !queue.closing && queue.seals.0 == queue.seals.1 {
                    return (if self.unmarked { Job::Mark } else { Job::Spare }, false);
                }
            } else {
                shared.work.wait(&mut queue);
            }
        }
    }

    /// Writes a group, syncs it, tells everybody.
    fn commit(&mut self, first: Seq, records: &[(Arc<Record>, usize)], bytes: usize) -> io::Result<()> {
        let begun = Instant::now();
        let length = bytes + records.len() * RECORD_HEADER;
        // A mark and a seal must still fit behind it.
        let end = self.at + (3 * GROUP_HEADER + length) as u64;
        if end > self.capacity && first > self.header.first {
            self.seal_and_roll()?;
        }
        self.fill_to(self.at + (3 * GROUP_HEADER + length) as u64)?;
        let seed = self.header.seed();
        let group = GroupHeader {
            kind: GroupKind::Records,
            length: length as u32,
            count: records.len() as u32,
            first,
            synced: self.at,
        };
        let out = &mut self.group;
        out.clear();
        out.reserve(GROUP_HEADER + length);
        out.extend_from_slice(&group.encode(seed));
        for (record, _) in records {
            push_record(out, seed, |out| record.encode_to(out)).map_err(io::Error::other)?;
        }
        debug_assert_eq!(out.len(), GROUP_HEADER + length);
        write_at(&self.file, out, self.at, LogPoint::WriteGroup, &self.shared.faults)?;
        self.shared.faults.check(LogPoint::SyncGroup)?;
        rustix::fs::fdatasync(&self.file)?;
        self.at += out.len() as u64;
        out.shrink_to(KEPT_GROUP_BYTES);
        self.next = first + records.len() as u64;
        self.unmarked = true;
        let nanos = begun.elapsed().as_nanos() as u64;
        self.shared.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.shared.synced_records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.note_size();
        {
            let mut queue = self.shared.queue.lock();
            queue.bytes -= bytes;
            self.note_room(&mut queue);
            self.shared.room.notify_all();
        }
        let durable = self.next - 1;
        self.shared.watermark.update(|p| p.durable = durable);
        // Now nobody waits for it.
        self.fill_to((self.at + FILL_BYTES / 2).min(self.capacity))
    }

    /// Makes sure that the segment is real zeros up to `to`, and durably so, before groups are written there.
    fn fill_to(&mut self, to: u64) -> io::Result<()> {
        if to <= self.filled {
            return Ok(());
        }
        let to = to.max((self.at + FILL_BYTES).min(self.capacity));
        self.shared.faults.check(LogPoint::Fill)?;
        fill(&self.file, self.filled, to)?;
        rustix::fs::fdatasync(&self.file)?;
        self.filled = to;
        Ok(())
    }

    /// Writes a group without records. An idle mark is not synced: the kernel writes it in its own time.
    fn mark(&mut self, kind: GroupKind, sync: bool) -> io::Result<()> {
        let group = GroupHeader { kind, length: 0, count: 0, first: self.next, synced: self.at };
        let point = if kind == GroupKind::Seal { LogPoint::Seal } else { LogPoint::WriteGroup };
        write_at(&self.file, &group.encode(self.header.seed()), self.at, point, &self.shared.faults)?;
        if sync {
            rustix::fs::fdatasync(&self.file)?;
        }
        self.at += GROUP_HEADER as u64;
        self.unmarked = false;
        self.note_size();
        Ok(())
    }

    /// Ends the present segment and begins the next one.
    fn seal_and_roll(&mut self) -> io::Result<()> {
        if self.next > self.header.first {
            self.mark(GroupKind::Seal, true)?;
            self.file.set_len(self.at)?;
            self.file.sync_all()?;
            if !self.spare {
                make_spare(&self.shared.dir, self.segment_bytes, &self.shared.faults)?;
            }
            let (file, header, path) = name_spare(&self.shared.dir, self.next, &self.shared.faults)?;
            self.spare = false;
            self.capacity = self.segment_bytes;
            self.filled = FILL_BYTES.min(self.segment_bytes);
            (self.file, self.header, self.path, self.at) = (file, header, path.clone(), SEGMENT_HEADER as u64);
            self.shared.segments.write().push((SegmentFile { path, first: self.next }, self.at));
        }
        let mut queue = self.shared.queue.lock();
        queue.seals.1 = queue.seals.0;
        self.shared.room.notify_all();
        Ok(())
    }

    /// Makes the next segment ahead of need, so that a full disk refuses appends instead of failing the log.
    fn prepare_spare(&mut self) {
        let made = make_spare(&self.shared.dir, self.segment_bytes, &self.shared.faults);
        let mut queue = self.shared.queue.lock();
        match made {
            Ok(()) => {
                self.spare = true;
                queue.no_spare = None;
            }
            Err(e) => {
                if queue.no_spare.is_none() {
                    tracing::warn!(error = %e, dir = %self.shared.dir.display(), "the next log segment cannot be made: commits are refused when this one is full");
                }
                queue.no_spare = Some((0, Error::io("the next log segment cannot be made", e)));
                self.note_room(&mut queue);
            }
        }
    }

    /// While there is no next segment, appenders may only fill the present one.
    fn note_room(&self, queue: &mut Queue) {
        if let Some((room, _)) = &mut queue.no_spare {
            *room = self.capacity.saturating_sub(self.at + 3 * GROUP_HEADER as u64) as usize;
        }
    }

    fn note_size(&self) {
        if let Some((_, size)) = self.shared.segments.write().last_mut() {
            *size = self.at;
        }
    }

    /// Refuses everything from now on.
    fn fail(&self, cause: io::Error) {
        let error = Error::io("the commit log cannot be written", cause).with("segment", self.path.display());
        tracing::error!(%error, "the commit log has failed: no more writes until the node is started again");
        let mut queue = self.shared.queue.lock();
        queue.failed = Some(error.clone());
        self.shared.room.notify_all();
        drop(queue);
        self.shared.watermark.update(|p| p.failed = Some(error));
    }
}

/// A committer that panics must not leave its waiters waiting.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = Error::new(ErrorKind::Internal, "the log's thread panicked");
            self.0.queue.lock().failed = Some(error.clone());
            self.0.room.notify_all();
            self.0.watermark.update(|p| p.failed = Some(error));
        }
    }
}

/// Begins a new log in an empty directory.
pub(super) fn first_segment(
    dir: &Path,
    first: Seq,
    bytes: u64,
    faults: &Faults,
) -> Result<(File, PathBuf, SegmentHeader)> {
    let make = || {
        make_spare(dir, bytes, faults)?;
        let (file, header, path) = name_spare(dir, first, faults)?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent)?;
        }
        Ok((file, path, header))
    };
    make().map_err(|e| Error::io("cannot begin the commit log", e).with("dir", dir.display()))
}

/// Reserves the rest of a segment that is written on; returns the bytes that it has. On a full disk that is what it
/// had, so that the node can start and give space back.
pub(super) fn extend(file: &File, bytes: u64) -> Result<u64> {
    match preallocate(file, bytes).at("cannot reserve room for the commit log") {
        Err(error) if error.kind() != ErrorKind::NoSpace => Err(error),
        _ => Ok(file.metadata().at("cannot read a log segment")?.len()),
    }
}
