//! Settings of a namespace.

use std::path::PathBuf;
use std::time::Duration;

use super::lifecycle::Calendar;
use crate::crypto::MasterKey;
use crate::meta::EngineKind;

/// Settings of a namespace on local disk.
#[derive(Clone, Debug)]
pub struct NamespaceConfig {
    /// The data directory; everything of this node is below it.
    pub data_dir: PathBuf,
    /// Engine of the metadata replica.
    pub engine: EngineKind,
    /// Memory for the replica's cache, in bytes.
    pub cache_bytes: u64,
    /// Size at which a log segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// A mount's unsynced operations are durable after this at the latest (S14).
    pub commit_interval: Duration,
    /// A closed file stays writable in place for this long before it is published (S8, ruling 12).
    pub publish_after: Duration,
    /// A file that stays open is published after this much continuous dirtiness.
    pub publish_at_most: Duration,
    /// Bytes of disk that are never used.
    pub reserve_bytes: u64,
    /// Largest body that travels in its log record, in bytes.
    pub inline_max: usize,
    /// Threads that hash.
    pub hash_threads: usize,
    /// How often unreachable content is collected.
    pub collect_every: Duration,
    /// Resting content is read and compared with its CIDs at this rate, in bytes a second; 0 is never.
    pub scrub_rate: u64,
    /// Pause between two such rounds, and before the first.
    pub scrub_every: Duration,
    /// Pause between two rounds of the lifecycle worker.
    pub lifecycle_every: Duration,
    /// How long a day is for lifecycle rules: 24 hours, or less to try rules out.
    pub lifecycle_day: Duration,
    /// Log bytes after which a checkpoint is made at the earliest.
    pub checkpoint_bytes: u64,
    /// What wraps the buckets' keys; without one nothing is encrypted, and what is encrypted is not read.
    pub master_key: Option<MasterKey>,
    /// Whether commits leave intents to pin; without it they cost nothing.
    pub pins: bool,
}

impl NamespaceConfig {
    /// By which lifecycle rules reckon.
    pub fn lifecycle_calendar(&self) -> Calendar {
        Calendar::new(self.lifecycle_day)
    }

    /// Defaults for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            engine: EngineKind::default(),
            cache_bytes: 256 << 20,
            segment_bytes: 64 << 20,
            commit_interval: Duration::from_secs(1),
            publish_after: Duration::from_secs(5),
            publish_at_most: Duration::from_secs(60),
            reserve_bytes: 256 << 20,
            inline_max: 4096,
            hash_threads: std::thread::available_parallelism().map_or(2, usize::from),
            collect_every: Duration::from_secs(10),
            scrub_rate: 8 << 20,
            scrub_every: Duration::from_secs(3600),
            lifecycle_every: Duration::from_secs(3600),
            lifecycle_day: Duration::from_secs(86_400),
            checkpoint_bytes: 256 << 20,
            master_key: None,
            pins: false,
        }
    }
}
