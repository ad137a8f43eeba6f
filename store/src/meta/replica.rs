//! The metadata of a node: commit log, overlay and replica behind one face.
//!
//! A commit is queued in the log and visible in the overlay when [`Metadata::commit`] returns; it is durable when
//! [`Metadata::durable`] has returned; it reaches the replica some time later, off everybody's path.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::applier::Applier;
use super::apply::{BlockSink, Replica};
use super::engine::EngineKind;
use super::log::fault::FaultHook;
use super::log::{CommitLog, Cut, JournalOptions, LogStats};
use super::open::{Layout, Prepared};
use super::overlay::Overlay;
use super::progress::Progress;
use super::record::Record;
use super::{MetaStore, Row, StoreStats, schema};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Seq;

/// How a node's metadata is kept.
#[derive(Clone)]
pub struct MetaConfig {
    /// The folder of log, replica and checkpoint.
    pub dir: PathBuf,
    /// The replica's engine.
    pub engine: EngineKind,
    /// The engine's cache in bytes. Default 256 MiB; the engine may need up to four times as much.
    pub cache_bytes: u64,
    /// A log segment is sealed at this size in bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Commits nobody waits for become durable after this time at the latest. Default 1 s.
    pub commit_interval: Duration,
    /// Commits wait while this many bytes are queued and not durable. Default 16 MiB.
    pub max_queued_bytes: usize,
    /// Commits wait while the overlay takes more than this, in bytes. Default 64 MiB.
    pub overlay_bytes: usize,
    /// How long a durable record may wait for company before it is applied. Default 50 ms.
    pub apply_interval: Duration,
    /// No checkpoint is made by itself before the log has this many bytes. Default 256 MiB.
    pub checkpoint_floor_bytes: u64,
    /// Makes steps of the log fail, in tests.
    pub log_faults: Option<FaultHook>,
}

impl MetaConfig {
    /// The defaults, in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let log = JournalOptions::default();
        Self {
            dir: dir.into(),
            engine: EngineKind::default(),
            cache_bytes: 256 << 20,
            segment_bytes: log.segment_bytes,
            commit_interval: log.commit_interval,
            max_queued_bytes: log.max_queued_bytes,
            overlay_bytes: 64 << 20,
            apply_interval: Duration::from_millis(50),
            checkpoint_floor_bytes: 256 << 20,
            log_faults: None,
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The last record of the log.
    pub head: Seq,
    /// Records that were applied from the log.
    pub replayed: u64,
    /// The replica was built anew: local rows are gone, and have to be found again from the files they describe.
    pub replica_rebuilt: bool,
    /// Where a damaged replica was put.
    pub set_aside: Option<PathBuf>,
    /// A torn log tail that was cut.
    pub log_cut: Option<Cut>,
}

/// Figures for metrics and the admin socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetaStats {
    /// The last record that was committed.
    pub head: Seq,
    /// The last record that is durable.
    pub durable: Seq,
    /// The last record that is in the replica.
    pub applied: Seq,
    /// Records that are in the overlay only.
    pub overlay_records: u64,
    /// Bytes that they take.
    pub overlay_bytes: u64,
    /// The log.
    pub log: LogStats,
    /// The replica.
    pub store: StoreStats,
}

/// The metadata of one node. A cheap handle; the last one that goes closes it.
#[derive(Clone)]
pub struct Metadata(Arc<Inner>);

struct Inner {
    log: Arc<dyn CommitLog>,
    replica: Arc<Replica>,
    overlay: Arc<Overlay>,
    layout: Layout,
    /// Keeps the order of the overlay that of the log.
    order: Mutex<()>,
    stopping: Arc<AtomicBool>,
    /// The replica was found damaged: the next start rebuilds it.
    damaged: Arc<AtomicBool>,
    applier: Mutex<Option<JoinHandle<()>>>,
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
        let (stopping, damaged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let on_damage = {
            let (layout, damaged) = (layout.clone(), damaged.clone());
            move |error: &Error| note_damage(&layout, &damaged, error)
        };
        let applier = Applier {
            replica: replica.clone(),
            overlay: overlay.clone(),
            sink,
            position: log.follow(),
            interval: config.apply_interval,
            stopping: stopping.clone(),
            after_run: Box::new(|_| {}),
            on_damage: Box::new(on_damage),
        };
        let thread = std::thread::Builder::new()
            .name("meta-apply".into())
            .spawn(move || applier.run())
            .at("cannot start the applier's thread")?;
        Ok(Self(Arc::new(Inner {
            log,
            replica,
            overlay,
            layout,
            order: Mutex::new(()),
            stopping,
            damaged,
            applier: Mutex::new(Some(thread)),
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

    /// The last row with `start <= key < end`, at one position of the log.
    pub fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>> {
        let store = &self.0.replica.store;
        self.0.note(self.0.overlay.last(start, end, |start, end| store.last(start, end)))
    }

    /// Appends `record` to the log and shows its rows to readers; returns its number. Not durable yet: see
    /// [`Metadata::durable`].
    ///
    /// The caller holds the lock of its stream, decided its preconditions under it, and has made the bytes durable
    /// that the record names (ruling 1). This blocks while the overlay or the log's queue is full; neither the
    /// applier nor the committer ever takes a lock of the caller's, so that cannot be a deadlock as long as
    /// [`BlockSink`] takes none that is held around a commit.
    ///
    /// Unavailable after a failure of log or replica, NoSpace while the log has no room on disk: nothing was
    /// committed then.
    pub fn commit(&self, mut record: Record) -> Result<Seq> {
        let inner = &*self.0;
        if let Some((key, _)) = record.rows.iter().find(|(key, _)| !schema::is_logged(key)) {
            return Err(Error::new(ErrorKind::Internal, "a commit changes a local row").with("key", hex::encode(key)));
        }
        if !inner.overlay.has_room() {
            inner.log.request_sync(inner.log.head());
        }
        inner.overlay.wait_room()?;
        let _order = inner.order.lock();
        let seq = inner.log.append(&mut record)?;
        inner.overlay.insert(Arc::new(record));
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

    /// Size figures.
    pub fn stats(&self) -> Result<MetaStats> {
        let (records, bytes) = self.0.overlay.size();
        Ok(MetaStats {
            head: self.head(),
            durable: self.0.log.follow().borrow().durable,
            applied: self.0.overlay.applied(),
            overlay_records: records as u64,
            overlay_bytes: bytes as u64,
            log: self.0.log.stats(),
            store: self.0.replica.store.stats()?,
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
        if let Some(thread) = self.applier.lock().take() {
            thread.join().map_err(|_| Error::new(ErrorKind::Internal, "the applier's thread panicked"))?;
        }
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
