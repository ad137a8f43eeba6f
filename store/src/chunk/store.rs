//! What the parts of the store share, and how it is opened and closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::chunk::append::{AppendTo, Appender};
use crate::chunk::cached::Memory;
use crate::chunk::collect::Collector;
use crate::chunk::config::ChunkConfig;
use crate::chunk::content::{Content, Zeros};
use crate::chunk::health::{DirSync, Health};
use crate::chunk::ids::Ids;
use crate::chunk::index::{Index, TOTALS, Totals, encode};
use crate::chunk::layout::Layout;
use crate::chunk::link::Fans;
use crate::chunk::live::Pool;
use crate::chunk::pins::{Digest32, Pins};
use crate::chunk::pool::HashPool;
use crate::chunk::recover::{self, ProgressFn};
use crate::chunk::slab::Slabs;
use crate::chunk::space::{Space, Usage};
use crate::chunk::unseal::Lent;
use crate::chunk::upload::Uploads;
use crate::crypto::Keyring;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::MetaStore;
use crate::types::Ino;

/// Finds bodies that the log still carries.
pub type InlineLookup = Arc<dyn Fn(&[u8; 32]) -> Option<Bytes> + Send + Sync>;

pub(super) struct Inner {
    pub(super) config: ChunkConfig,
    pub(super) layout: Layout,
    pub(super) index: Index,
    pub(super) health: Arc<Health>,
    pub(super) dirs: Arc<DirSync>,
    pub(super) space: Arc<Space>,
    pub(super) ids: Arc<Ids>,
    pub(super) pins: Arc<Pins>,
    pub(super) slabs: Arc<Slabs>,
    pub(super) content: Content,
    pub(super) zeros: Zeros,
    pub(super) pool: HashPool,
    pub(super) appender: Appender,
    pub(super) fans: Fans,
    pub(super) live_pool: Pool,
    /// Live files that were sealed and still have their name, by the root they became.
    pub(super) sealing: Mutex<HashMap<Ino, Digest32>>,
    pub(super) lent: Arc<Lent>,
    pub(super) uploads: Arc<Uploads>,
    pub(super) totals: Sums,
    pub(super) inline_lookup: RwLock<Option<InlineLookup>>,
    pub(super) collector: Mutex<Collector>,
}

/// Sums over all objects, kept while the store runs.
#[derive(Default)]
pub(super) struct Sums {
    objects: AtomicU64,
    disk: AtomicU64,
}

impl Sums {
    pub(super) fn add(&self, disk: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.disk.fetch_add(disk, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, disk: u64) {
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.disk.fetch_sub(disk, Ordering::Relaxed);
    }

    fn set(&self, totals: Totals) {
        self.objects.store(totals.objects, Ordering::Relaxed);
        self.disk.store(totals.disk, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Totals {
        Totals { objects: self.objects.load(Ordering::Relaxed), disk: self.disk.load(Ordering::Relaxed) }
    }
}

impl Inner {
    pub(super) fn open(
        config: ChunkConfig,
        index: Arc<dyn MetaStore>,
        rebuild: bool,
        progress: &ProgressFn<'_>,
    ) -> Result<Self> {
        config.check()?;
        let layout = Layout::create(&config.dir)?;
        let swept = layout.sweep_tmp()?;
        if swept > 0 {
            tracing::info!(files = swept, "temporary files of an earlier run removed");
        }
        Self::settle_unsynced(&layout)?;
        let live_pool = Pool::open(&layout.pool)?;
        let index = Index(index);
        if rebuild {
            recover::wipe(&index)?;
        }
        let health = Health::new(config.on_step.clone());
        let dirs = Arc::new(DirSync::new(health.clone()));
        let space = Arc::new(Space::new(config.dir.clone(), config.reserve_bytes));
        let zeros = Zeros::new();
        let pins = Pins::new();
        let content = Content::new(layout.clone(), index.clone(), zeros.clone(), config.open_files);
        let slabs = Slabs::open(layout.clone(), index.clone(), config.open_files)?;
        let ids = Ids::open(index.clone(), recover::first_free_id(&layout, &slabs)?)?;
        let recovered_slabs = recover::slabs(&slabs, progress)?;
        let append_to = AppendTo {
            slabs: slabs.clone(),
            ids: ids.clone(),
            health: health.clone(),
            dirs: dirs.clone(),
            slab_bytes: config.slab_bytes,
        };
        let appender = Appender::start(append_to, space.clone())?;
        let inner = Self {
            pool: HashPool::start(config.threads())?,
            config,
            layout,
            index,
            health,
            dirs,
            space,
            ids,
            pins,
            slabs,
            content,
            zeros,
            appender,
            fans: Fans::default(),
            live_pool,
            sealing: Mutex::default(),
            lent: Arc::default(),
            uploads: Arc::default(),
            totals: Sums::default(),
            inline_lookup: RwLock::new(None),
            collector: Mutex::default(),
        };
        let recovered = recovered_slabs + inner.recover_content(progress)? + inner.sweep_uploads()?;
        inner.begin(recovered)?;
        Ok(inner)
    }

    /// Live files that rest upon the kernel's memory are looked at once: does it still hold what the last run wrote?
    fn settle_unsynced(layout: &Layout) -> Result<()> {
        let now = Memory::now(&layout.live);
        let lives_on = match (Memory::recorded(&layout.boot), &now) {
            (Some(then), Some(now)) => then.lives_on(now),
            _ => false,
        };
        if !lives_on {
            Self::forget_unsynced(layout)?;
        }
        // Only now: a crash before this finds the same again.
        now.map_or(Ok(()), |now| now.record(&layout.boot))
    }

    /// Takes up the sums of the last clean stop, or counts anew.
    fn begin(&self, recovered: u64) -> Result<()> {
        match self.index.totals()? {
            Some(totals) if recovered == 0 => self.totals.set(totals),
            before => {
                // What a crash left unnamed is found by a look at everything.
                self.pins.want_sweep();
                self.totals.set(self.count()?);
                let objects = self.totals.get().objects;
                if recovered > 0 {
                    tracing::info!(recovered, objects, "what a crash left in the chunk store was taken up or removed");
                } else if before.is_none() && objects > 0 {
                    tracing::info!(
                        objects,
                        "objects counted: the last stop was a crash, or left work for the collector"
                    );
                }
            }
        }
        self.ids.write_mark()?;
        // A crash from here on must not find these sums.
        self.index.apply(&[(TOTALS.to_vec(), None)])?;
        self.index.0.flush()
    }

    fn count(&self) -> Result<Totals> {
        let mut totals = Totals::default();
        self.index.scan(b"c", b"", &mut |_, value| {
            let row: crate::chunk::index::ObjectRow = crate::chunk::index::decode(value)?;
            totals.objects += 1;
            totals.disk += row.disk;
            Ok(())
        })?;
        Ok(totals)
    }

    /// Writes down what a clean stop leaves for the next start. Everything acknowledged is durable without it.
    fn close(&self) -> Result<()> {
        self.ids.write_mark()?;
        // Digests that wait for the collector would be forgotten: then the next start looks at everything.
        if self.pins.hints_waiting() == 0 && !self.collector.lock().is_sweeping() {
            self.index.apply(&[(TOTALS.to_vec(), Some(encode(&self.totals.get())?))])?;
        }
        self.index.0.flush()
    }

    /// The keys; KeyUnavailable if the store was given none.
    pub(super) fn keys(&self) -> Result<&Arc<Keyring>> {
        self.config.keys.as_ref().ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "the chunk store has no keys"))
    }

    pub(super) fn usage(&self) -> Result<Usage> {
        let totals = self.totals.get();
        let mut usage = Usage {
            objects: totals.objects,
            object_bytes: totals.disk,
            waiting: self.pins.hints_waiting() as u64,
            disk: self.space.disk()?,
            ..Usage::default()
        };
        for (id, row) in self.slabs.rows() {
            usage.slabs += 1;
            usage.slab_live_bytes += row.live;
            usage.slab_disk_bytes += self.slabs.disk_bytes(id)?;
        }
        Ok(usage)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // After a failed sync nothing may be written down as clean.
        if self.health.check().is_ok()
            && let Err(error) = self.close()
        {
            tracing::warn!(%error, "the chunk index was not closed cleanly: the next start checks it");
        }
    }
}
