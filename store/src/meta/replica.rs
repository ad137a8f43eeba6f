//! The metadata of a node: commit log, overlay and replica behind one face.
//!
//! A commit is queued in the log and visible in the overlay when [`Metadata::commit`] returns; it is durable when
//! [`Metadata::durable`] has returned; it reaches the replica some time later, off everybody's path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;

use super::applier::Applier;
use super::apply::{BlockSink, Replica};
use super::checkpoint::CheckpointInfo;
use super::checkpointer::{Checkpointer, last_checkpoint};
use super::comfort::{Figures, Limits, Watch, resident_bytes};
use super::config::{MetaConfig, MetaStats, Opened};
use super::cursors::Cursors;
use super::layout::Layout;
use super::log::CommitLog;
use super::open::Prepared;
use super::overlay::Overlay;
use super::progress::Progress;
use super::record::Record;
use super::room::Room;
use super::{MetaStore, Row, schema};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Door, Seq};

/// The metadata of one node. A cheap handle; the last one that goes closes it.
#[derive(Clone)]
pub struct Metadata(Arc<Inner>);

struct Inner {
    log: Arc<dyn CommitLog>,
    replica: Arc<Replica>,
    overlay: Arc<Overlay>,
    room: Arc<Room>,
    layout: Layout,
    /// Keeps the order of the overlay that of the log.
    order: Mutex<()>,
    stopping: Arc<AtomicBool>,
    /// The replica was found damaged: the next start rebuilds it.
    damaged: Arc<AtomicBool>,
    cursors: Arc<Cursors>,
    checkpointer: Arc<Checkpointer>,
    watch: Arc<Watch>,
    /// The applier and the checkpointer.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Metadata {
    /// Opens everything in one step: [`Prepared::open`] and [`Prepared::start`].
    pub fn open(config: MetaConfig, sink: Arc<dyn BlockSink>, progress: &dyn Progress) -> Result<(Self, Opened)> {
        Prepared::open(config, progress)?.start(sink, progress)
    }

    /// Starts on a replica that has applied the whole log.
    pub(super) fn start(
        config: &MetaConfig,
        layout: Layout,
        log: Arc<dyn CommitLog>,
        replica: Replica,
        applied: Seq,
        sink: Arc<dyn BlockSink>,
    ) -> Result<Self> {
        let replica = Arc::new(replica);
        let overlay = Arc::new(Overlay::new(applied, config.overlay_bytes));
        let room = Arc::new(Room::new(&*replica.store));
        let (stopping, damaged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let cursors = Arc::new(Cursors::open(layout.cursors())?);
        let checkpointer = Arc::new(Checkpointer {
            log: log.clone(),
            replica: replica.clone(),
            overlay: overlay.clone(),
            layout: layout.clone(),
            cursors: cursors.clone(),
            stopping: stopping.clone(),
            floor: config.checkpoint_floor_bytes,
            making: Mutex::new(()),
            last: Mutex::new(last_checkpoint(&layout)),
            live_bytes: AtomicU64::new(0),
        });
        let watch = Arc::new(Watch::new(Limits::new(config.engine, config.cache_bytes)));
        // A request that meets another one is the same request.
        let (due, requests) = sync_channel(1);
        let on_damage = {
            let (layout, damaged) = (layout.clone(), damaged.clone());
            move |error: &Error| note_damage(&layout, &damaged, error)
        };
        let after_run = {
            let (checkpointer, watch) = (checkpointer.clone(), watch.clone());
            move |_| {
                let live_bytes = checkpointer.live_bytes.load(Ordering::Relaxed);
                watch.look(live_bytes, || checkpointer.replica.store.stats().ok());
                if checkpointer.is_due() {
                    let _ = due.try_send(());
                }
            }
        };
        let applier = Applier {
            replica: replica.clone(),
            overlay: overlay.clone(),
            room: room.clone(),
            sink,
            position: log.follow(),
            interval: config.apply_interval,
            stopping: stopping.clone(),
            after_run: Box::new(after_run),
            on_damage: Box::new(on_damage),
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run).at("cannot start a thread for the metadata")
        };
        let checkpoints = checkpointer.clone();
        let threads = vec![
            spawn("meta-apply", Box::new(move || applier.run()))?,
            spawn("meta-checkpoint", Box::new(move || checkpoints.run(&requests)))?,
        ];
        Ok(Self(Arc::new(Inner {
            log,
            replica,
            overlay,
            room,
            layout,
            order: Mutex::new(()),
            stopping,
            damaged,
            cursors,
            checkpointer,
            watch,
            threads: Mutex::new(threads),
        })))
    }

    /// The value of `key`, with all commits up to now.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.0.overlay.get(key) {
            Some(value) => Ok(value),
            // What left the overlay in between is in the replica.
            None => self.0.note(self.0.replica.store.get(key)),
        }
    }

    /// Up to `limit` rows with `start <= key < end` in byte order: the state at one position of the log, never a part
    /// of a commit.
    pub fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.0.note(self.0.range(start, end, limit))
    }

    /// The first row with `start <= key < end`, at one position of the log. Cheap however many deleted rows are before it
    /// in the overlay, where [`Metadata::range`] copies them.
    pub fn first(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let store = &self.0.replica.store;
        self.0.note(self.0.overlay.first(start, end, |start, end, limit| store.range(start, end, limit)))
    }

    /// The last row with `start <= key < end`, at one position of the log.
    pub fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let store = &self.0.replica.store;
        self.0.note(self.0.overlay.last(start, end, |start, end| store.last(start, end)))
    }

    /// Whether every change with `start <= key < end` up to now is durable, and in the replica. Costs no wait.
    pub fn is_settled(&self, start: &[u8], end: &[u8]) -> bool {
        self.0.overlay.is_clear(start, end)
    }

    /// Appends `record` to the log and shows its rows to readers; returns its number. Not durable yet: see
    /// [`Metadata::durable`].
    ///
    /// The caller holds the lock of its stream, decided its preconditions under it, and has made the bytes durable
    /// that the record names (ruling 1). This blocks while the overlay or the log's queue is full; neither the
    /// applier nor the committer ever takes a lock of the caller's, so that cannot be a deadlock as long as
    /// [`BlockSink`] takes none that is held around a commit.
    ///
    /// Unavailable after a failure of log or replica, NoSpace while log or replica has no room on disk: nothing was
    /// committed then.
    pub fn commit(&self, record: Record) -> Result<Seq> {
        let inner = &*self.0;
        if let Some((key, _)) = record.rows.iter().find(|(key, _)| !schema::is_logged(key)) {
            return Err(Error::new(ErrorKind::Internal, "a commit changes a local row").with("key", hex::encode(key)));
        }
        inner.room.admit(&record, &*inner.replica.store)?;
        if !inner.overlay.has_room() {
            inner.log.request_sync(inner.log.head());
        }
        inner.overlay.wait_room()?;
        // S3 answers when it is durable, the mount does not wait.
        let soon = record.door == Door::S3;
        let _order = inner.order.lock();
        let record = inner.log.append(record, soon)?;
        let seq = record.seq;
        inner.overlay.insert(record);
        Ok(seq)
    }

    /// Returns when the commit `seq` and all before it are durable; triggers a sync at once. Dropping it is harmless.
    pub async fn durable(&self, seq: Seq) -> Result<()> {
        self.0.log.wait(seq).await
    }

    /// The same for a thread that may block.
    pub fn durable_blocking(&self, seq: Seq) -> Result<()> {
        self.0.log.wait_blocking(seq)
    }

    /// The last commit that is durable.
    pub fn durable_position(&self) -> Seq {
        self.0.log.follow().borrow().durable
    }

    /// The last commit that readers see.
    pub fn head(&self) -> Seq {
        self.0.overlay.head()
    }

    /// The body with this SHA-256 digest, while the record that brought it is not applied yet. Later the
    /// [`BlockSink`] has it.
    pub fn inline_block(&self, digest: &[u8; 32]) -> Option<Bytes> {
        self.0.overlay.block(digest)
    }

    /// The replica's database, for *local* rows (lower-case prefixes) only: logged rows are read and written through
    /// this face.
    pub fn store(&self) -> &Arc<dyn MetaStore> {
        &self.0.replica.store
    }

    /// The commit log, to follow it: pins, audit, other replicas.
    pub fn log(&self) -> &Arc<dyn CommitLog> {
        &self.0.log
    }

    /// Waits until every commit up to now is durable and in the replica.
    pub fn settle(&self) -> Result<()> {
        let head = self.head();
        self.durable_blocking(head)?;
        self.0.overlay.wait_applied(head)
    }

    /// Makes a checkpoint now and lets old log segments go; without a call that happens when the log has become
    /// longer than the last checkpoint. Blocks for a scan of all rows.
    pub fn checkpoint(&self, progress: &dyn Progress) -> Result<CheckpointInfo> {
        self.0.note(self.0.checkpointer.make(false, progress))
    }

    /// The last checkpoint.
    pub fn last_checkpoint(&self) -> Option<CheckpointInfo> {
        self.0.checkpointer.last.lock().clone()
    }

    /// Says that the consumer `name` has no more use for records up to `seq`: those behind it stay in the log until
    /// it says so for them too. A new consumer begins with the position it wants to read from. After a crash the
    /// position may be an older one, never a newer one.
    pub fn set_cursor(&self, name: &str, seq: Seq) -> Result<()> {
        self.0.cursors.set(name, seq)
    }

    /// What [`Metadata::set_cursor`] said last.
    pub fn cursor(&self, name: &str) -> Option<Seq> {
        self.0.cursors.get(name)
    }

    /// Forgets a consumer: it holds nothing back any more.
    pub fn remove_cursor(&self, name: &str) {
        self.0.cursors.remove(name);
    }

    /// Makes the cursors durable now; otherwise that happens with the next checkpoint and at close.
    pub fn save_cursors(&self) -> Result<()> {
        self.0.cursors.save().map(|_| ())
    }

    /// Size figures.
    pub fn stats(&self) -> Result<MetaStats> {
        let (records, bytes) = self.0.overlay.size();
        let store = self.0.replica.store.stats()?;
        let live_bytes = self.0.checkpointer.live_bytes.load(Ordering::Relaxed);
        Ok(MetaStats {
            head: self.head(),
            durable: self.0.log.follow().borrow().durable,
            applied: self.0.overlay.applied(),
            overlay_records: records as u64,
            overlay_bytes: bytes as u64,
            log: self.0.log.stats(),
            store,
            live_bytes,
            discomfort: self.0.watch.limits().judge(Figures {
                disk: store.disk_bytes,
                live: live_bytes,
                resident: resident_bytes(),
            }),
        })
    }

    /// Makes every commit durable, applies them, and stops. Later commits are Unavailable; reads go on.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}

impl Inner {
    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>> {
        const ATTEMPTS: usize = 3;
        let read = |start: &[u8], end: &[u8], limit| self.replica.store.range(start, end, limit);
        for _ in 0..ATTEMPTS {
            let slice = self.overlay.slice(start, end, limit);
            let head = slice.head;
            let rows = super::merge::merge(start, end, limit, slice, read)?;
            // If the replica ran past the copied part of the overlay meanwhile, old and new could be mixed.
            if self.replica.shows_at_most(head) {
                return Ok(rows);
            }
        }
        let _still = self.replica.still.read();
        super::merge::merge(start, end, limit, self.overlay.slice(start, end, limit), read)
    }

    fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() == ErrorKind::Corrupt
        {
            note_damage(&self.layout, &self.damaged, error);
        }
        result
    }

    fn close(&self) -> Result<()> {
        self.stopping.store(true, Ordering::SeqCst);
        self.overlay.wake();
        let closed = self.log.close();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            thread.join().map_err(|_| Error::new(ErrorKind::Internal, "a thread of the metadata panicked"))?;
        }
        self.cursors.save()?;
        closed
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::debug!(%error, "metadata was dropped after it had failed");
        }
    }
}

/// Remembers on disk that the replica is to be built anew at the next start.
fn note_damage(layout: &Layout, damaged: &AtomicBool, error: &Error) {
    if !damaged.swap(true, Ordering::SeqCst) {
        tracing::error!(%error, "the metadata replica is damaged; the next start sets it aside and rebuilds it from checkpoint and log");
        if let Err(error) = layout.mark_damaged() {
            tracing::error!(%error, "cannot leave a mark for the next start");
        }
    }
}
