//! Opening and closing a namespace: what is built in which order, and the workers that run meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Namespace;
use super::config::NamespaceConfig;
use super::engine::Engine;
use super::mount_types::{FsStat, Invalidate};
use crate::chunk::{ChunkConfig, ChunkStore, CollectBudget, CollectReport, Progress as ChunkProgress};
use crate::clock::{Clock, SystemClock};
use crate::crypto::Keyring;
use crate::error::{IoContext, Result};
use crate::meta::record::InlineBlock;
use crate::meta::{BlockSink, MetaConfig, Metadata, Prepared, Progress};
use crate::worker::{Stop, WorkerStatus};

/// Average size of a file that `statfs` reckons with when it says how many files fit.
const FILE_SIZE_FOR_STATFS: u64 = 4096;
/// The first collection comes so many times sooner after a start than the next one.
const FIRST_COLLECT: u32 = 100;
/// Lifecycle rules are applied so soon after a start: a node that is often restarted applies them too.
const FIRST_LIFECYCLE: Duration = Duration::from_secs(60);

impl Engine {
    /// Collects what nothing needs until nothing is left to look at; half of the time is left to others.
    fn collect_all(&self, stop: &Stop) -> Result<()> {
        loop {
            let begun = Instant::now();
            let report = self.chunks.collect(self, &CollectBudget::default())?;
            if report.objects_removed + report.blocks_removed + report.slabs_removed > 0 {
                tracing::debug!(?report, "unreachable content collected");
            }
            // What could not go now, since somebody reads it, waits for the next round.
            let went_on = report.digests + report.objects_removed + report.slabs_removed > 0;
            if !report.more || !went_on || stop.wait(begun.elapsed()) {
                return Ok(());
            }
        }
    }
}

impl Namespace {
    /// Opens (or makes) the namespace below `config.data_dir` and starts its workers. The caller sees to it that only
    /// one process has the directory open. [`Self::close`] ends it.
    pub fn open(config: NamespaceConfig, progress: &dyn Progress) -> Result<Self> {
        Self::open_with_clock(config, Arc::new(SystemClock), progress)
    }

    /// As [`Self::open`], with a clock of the caller's.
    pub fn open_with_clock(config: NamespaceConfig, clock: Arc<dyn Clock>, progress: &dyn Progress) -> Result<Self> {
        std::fs::create_dir_all(&config.data_dir).at("the data directory cannot be made")?;
        let prepared = Prepared::open(meta_config(&config), progress)?;
        let rebuild = prepared.opened().replica_rebuilt;
        let indexing = |step: ChunkProgress| progress.report(step.what, step.done, Some(step.total));
        let keys = Arc::new(Keyring::new(config.data_dir.join("keys"), config.master_key.clone()));
        match keys.unreadable()? {
            0 => {}
            keys => tracing::warn!(
                keys,
                "keys of encrypted buckets do not open by the node's master key, or it has none: their objects are refused"
            ),
        }
        let chunks = ChunkStore::open(chunk_config(&config, &keys), Arc::clone(prepared.store()), rebuild, &indexing)?;
        let (meta, opened) = prepared.start(Arc::new(Bodies(chunks.clone())), progress)?;
        if let Some(aside) = &opened.set_aside {
            tracing::warn!(folder = %aside.display(), "the metadata replica was damaged; it was set aside and rebuilt from the log");
        }
        let bodies = meta.clone();
        chunks.set_inline_lookup(Arc::new(move |digest| bodies.inline_block(digest)));
        let engine = Arc::new(Engine {
            meta,
            chunks,
            keys,
            clock,
            streams: Default::default(),
            inodes: Default::default(),
            lives: Default::default(),
            mounts: Default::default(),
            inos: Default::default(),
            buckets: Default::default(),
            keeping: Default::default(),
            quotas: Default::default(),
            notifying: Default::default(),
            witnesses: Default::default(),
            lifecycle: Default::default(),
            pictures: Default::default(),
            backed: Default::default(),
            workers: Default::default(),
            audit: Default::default(),
            config,
        });
        engine.ensure_root()?;
        engine.note_keeping()?;
        engine.recover_live(progress)?;
        let namespace = Self(engine);
        namespace.start_workers()?;
        Ok(namespace)
    }

    fn start_workers(&self) -> Result<()> {
        let engine = Arc::clone(&self.0);
        self.0.workers.run("publish", move || engine.run_publisher())?;
        let engine = Arc::clone(&self.0);
        self.0.workers.every("discard", self.0.config.commit_interval, move || engine.discard_durable(false))?;
        let engine = Arc::clone(&self.0);
        self.0.workers.every("sync", self.0.config.commit_interval, move || engine.sync_closed())?;
        let engine = Arc::clone(&self.0);
        self.0.workers.every("uploads", self.0.config.commit_interval, move || engine.sweep_uploads())?;
        let (engine, stop) = (Arc::clone(&self.0), self.0.workers.stop_signal());
        let pause = self.0.config.collect_every;
        // Soon after a start: a node that is started again and again must not grow with each crash.
        self.0.workers.every_from("collect", pause / FIRST_COLLECT, pause, move || engine.collect_all(&stop))?;
        let (engine, stop) = (Arc::clone(&self.0), self.0.workers.stop_signal());
        let pause = self.0.config.lifecycle_every;
        let first = pause.min(FIRST_LIFECYCLE);
        self.0.workers.every_from("lifecycle", first, pause, move || engine.sweep_lifecycles(&stop))?;
        if self.0.config.scrub_rate > 0 {
            let (engine, stop) = (Arc::clone(&self.0), self.0.workers.stop_signal());
            self.0.workers.every("scrub", self.0.config.scrub_every, move || engine.scrub(&stop))?;
        }
        Ok(())
    }

    /// Publishes every written file, makes everything durable and ends the workers. What is asked of the namespace
    /// afterwards is answered with Unavailable.
    pub fn close(&self) -> Result<()> {
        self.0.lives.stop();
        self.0.workers.stop();
        let published = self.publish_all();
        self.0.meta.close()?;
        // The chunk store's way to bodies in the log ends, and with it what keeps the log open.
        self.0.chunks.set_inline_lookup(Arc::new(|_| None));
        published
    }

    /// The background workers.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.0.workers.status()
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &NamespaceConfig {
        &self.0.config
    }

    /// Collects unreachable content now, within one budget.
    pub fn collect(&self) -> Result<CollectReport> {
        self.0.sweep_uploads()?;
        self.0.chunks.collect(&*self.0, &CollectBudget::default())
    }

    /// The metadata's own handle, for the operator's commands (checkpoint, statistics).
    pub fn metadata(&self) -> &Metadata {
        &self.0.meta
    }

    /// The chunk store's own handle, for the operator's commands (statistics, verification).
    pub fn chunks(&self) -> &ChunkStore {
        &self.0.chunks
    }

    /// Room on the data disk.
    pub fn statfs(&self) -> Result<FsStat> {
        let space = self.0.chunks.usage()?.disk;
        Ok(FsStat {
            total: space.total,
            free: space.free,
            available: space.free.saturating_sub(space.reserve),
            files: space.total / FILE_SIZE_FOR_STATFS,
            files_free: space.free.saturating_sub(space.reserve) / FILE_SIZE_FOR_STATFS,
        })
    }

    /// Registers a mount for invalidations. The answer goes into [`crate::types::Caller::mount`] of that mount's
    /// operations, so that it is not told of what it did itself, and to [`Self::unsubscribe`].
    pub fn subscribe(&self, mount: Arc<dyn Invalidate>) -> u64 {
        self.0.mounts.add(mount)
    }

    /// The counterpart.
    pub fn unsubscribe(&self, id: u64) {
        self.0.mounts.remove(id);
    }
}

/// Bodies that travelled in records go to the chunk store before their rows are applied.
struct Bodies(ChunkStore);

impl BlockSink for Bodies {
    fn store_blocks(&self, blocks: &[InlineBlock]) -> Result<()> {
        self.0.store_inline(blocks)
    }
}

fn meta_config(config: &NamespaceConfig) -> MetaConfig {
    let mut meta = MetaConfig::new(&config.data_dir);
    meta.engine = config.engine;
    meta.cache_bytes = config.cache_bytes;
    meta.segment_bytes = config.segment_bytes;
    meta.commit_interval = config.commit_interval;
    meta.checkpoint_floor_bytes = config.checkpoint_bytes;
    meta
}

fn chunk_config(config: &NamespaceConfig, keys: &Arc<Keyring>) -> ChunkConfig {
    let mut chunks = ChunkConfig::new(config.data_dir.join("chunks"));
    chunks.inline_max = config.inline_max;
    chunks.reserve_bytes = config.reserve_bytes.max(config.engine.least_reserve());
    chunks.hash_threads = config.hash_threads;
    chunks.keys = Some(Arc::clone(keys));
    chunks
}
