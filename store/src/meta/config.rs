//! Settings and figures of a node's metadata.

use std::path::PathBuf;
use std::time::Duration;

use super::StoreStats;
use super::comfort::Discomfort;
use super::engine::{EngineKind, EngineOptions};
use super::log::fault::FaultHook;
use super::log::{Cut, JournalOptions, LogStats};
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

    pub(super) fn engine_options(&self) -> EngineOptions {
        EngineOptions { cache_bytes: self.cache_bytes }
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
    /// Bytes of all keys and values, as the last checkpoint of this run counted them; 0 before there was one.
    pub live_bytes: u64,
    /// What is out of bounds.
    pub discomfort: Discomfort,
}
