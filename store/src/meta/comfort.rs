//! Notices when an engine leaves its comfort: sled's files never shrink and its memory grows beyond its cache.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::StoreStats;
use super::engine::EngineKind;

/// Files smaller than this may be as wasteful as they like, in bytes.
const DISK_FLOOR: u64 = 1 << 30;
/// Files of this many times the live bytes are worth a rebuild.
const DISK_FACTOR: u64 = 3;
/// A sled replica beyond this many bytes on disk is beyond what sled was made for, whatever is in it.
const SLED_DISK_LIMIT: u64 = 64 << 30;
/// An engine may need this many times its cache.
const MEMORY_FACTOR: u64 = 4;
/// What the rest of the process may need, in bytes.
const MEMORY_FLOOR: u64 = 1 << 30;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What is out of bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Discomfort {
    /// The replica's files are more than three times its rows (and more than 1 GiB): `pinfold meta rebuild` makes them
    /// small again.
    pub disk: bool,
    /// The replica is sled's and takes more than 64 GiB on disk: `pinfold meta convert` makes it fjall's.
    pub size: bool,
    /// The process needs far more memory than the replica's cache explains.
    pub memory: bool,
}

/// What is judged, all in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub disk: u64,
    /// 0 where it is not known.
    pub live: u64,
    pub resident: u64,
}

/// An engine and the cache it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    engine: EngineKind,
    cache_bytes: u64,
}

impl Limits {
    pub(super) fn new(engine: EngineKind, cache_bytes: u64) -> Self {
        Self { engine, cache_bytes: cache_bytes.max(engine.min_cache_bytes()) }
    }

    pub(super) fn judge(self, figures: Figures) -> Discomfort {
        let Figures { disk, live, resident } = figures;
        Discomfort {
            disk: live > 0 && disk > DISK_FLOOR && disk / DISK_FACTOR >= live,
            size: self.engine == EngineKind::Sled && disk > SLED_DISK_LIMIT,
            memory: resident > self.cache_bytes.saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_FLOOR),
        }
    }
}

/// Resident memory of this process in bytes; 0 if the system does not tell.
pub(super) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
}

/// Looks from time to time and warns when something changes for the worse.
pub(super) struct Watch {
    limits: Limits,
    state: Mutex<(Option<Instant>, Discomfort)>,
}

impl Watch {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::new((None, Discomfort::default())) }
    }

    /// Looks if it is time to; `stats` is only asked then.
    pub(super) fn look(&self, live_bytes: u64, stats: impl FnOnce() -> Option<StoreStats>) {
        let mut state = self.state.lock();
        if state.0.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return;
        }
        state.0 = Some(Instant::now());
        let Some(stats) = stats() else { return };
        let resident = resident_bytes();
        let now = self.limits.judge(Figures { disk: stats.disk_bytes, live: live_bytes, resident });
        if now.disk && !state.1.disk {
            tracing::warn!(
                disk = stats.disk_bytes,
                live = live_bytes,
                "the metadata replica's files are far larger than its rows: `pinfold meta rebuild` makes them small again, or choose the engine fjall"
            );
        }
        if now.size && !state.1.size {
            tracing::warn!(
                disk = stats.disk_bytes,
                limit = SLED_DISK_LIMIT,
                "the metadata replica has outgrown sled: choose fjall: pinfold meta convert"
            );
        }
        if now.memory && !state.1.memory {
            tracing::warn!(
                resident,
                cache = self.limits.cache_bytes,
                "the process needs far more memory than the metadata cache explains: give the cache more, or choose the engine fjall"
            );
        }
        state.1 = now;
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::{Discomfort, Figures, Limits, resident_bytes};
    use crate::meta::engine::EngineKind;

    const GIB: u64 = 1 << 30;

    fn judge(engine: EngineKind, disk: u64, live: u64, resident: u64) -> Discomfort {
        Limits::new(engine, GIB / 4).judge(Figures { disk, live, resident })
    }

    #[test]
    fn large_files_of_little_content_and_large_memory_are_noticed() {
        let disk = |disk, live| judge(EngineKind::Sled, disk, live, 0).disk;
        assert!(!disk(GIB, 1));
        assert!(!disk(4 * GIB, 2 * GIB) && disk(6 * GIB, 2 * GIB));
        assert!(!disk(4 * GIB, 0), "unknown is no reason");
        let memory = |resident| judge(EngineKind::Fjall, 0, 0, resident);
        assert_eq!(memory(2 * GIB), Discomfort::default());
        assert!(memory(2 * GIB + 1).memory);
        assert!(resident_bytes() > 1 << 20);
    }

    #[test]
    fn a_sled_replica_of_more_than_64_gib_is_noticed_whatever_is_in_it() {
        for live in [0, 60 * GIB] {
            assert_eq!(judge(EngineKind::Sled, 64 * GIB, live, 0), Discomfort::default());
            assert_eq!(
                judge(EngineKind::Sled, 64 * GIB + 1, live, 0),
                Discomfort { size: true, ..Discomfort::default() }
            );
            assert_eq!(judge(EngineKind::Fjall, 640 * GIB, live.max(300 * GIB), 0), Discomfort::default());
        }
    }

    #[test]
    fn memory_is_measured_against_the_cache_that_the_engine_takes() {
        let asked_for_little = Limits::new(EngineKind::Sled, 1 << 20);
        assert!(!asked_for_little.judge(Figures { disk: 0, live: 0, resident: 2 * GIB }).memory);
        assert!(asked_for_little.judge(Figures { disk: 0, live: 0, resident: 2 * GIB + 1 }).memory);
    }
}
