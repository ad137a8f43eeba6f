//! Notices when an engine leaves its comfort: sled's files never shrink and its memory grows beyond its cache.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::StoreStats;

/// Files smaller than this may be as wasteful as they like, in bytes.
const DISK_FLOOR: u64 = 1 << 30;
/// Files of this many times the live bytes are worth a rebuild.
const DISK_FACTOR: u64 = 3;
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
    /// The process needs far more memory than the replica's cache explains.
    pub memory: bool,
}

/// Judges the figures; `live_bytes` is 0 where it is not known.
pub(super) fn judge(disk_bytes: u64, live_bytes: u64, resident_bytes: u64, cache_bytes: u64) -> Discomfort {
    Discomfort {
        disk: live_bytes > 0 && disk_bytes > DISK_FLOOR && disk_bytes / DISK_FACTOR >= live_bytes,
        memory: resident_bytes > cache_bytes.saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_FLOOR),
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
    cache_bytes: u64,
    state: Mutex<(Option<Instant>, Discomfort)>,
}

impl Watch {
    pub(super) fn new(cache_bytes: u64) -> Self {
        Self { cache_bytes, state: Mutex::new((None, Discomfort::default())) }
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
        let now = judge(stats.disk_bytes, live_bytes, resident, self.cache_bytes);
        if now.disk && !state.1.disk {
            tracing::warn!(
                disk = stats.disk_bytes,
                live = live_bytes,
                "the metadata replica's files are far larger than its rows: `pinfold meta rebuild` makes them small again, or choose the engine fjall"
            );
        }
        if now.memory && !state.1.memory {
            tracing::warn!(
                resident,
                cache = self.cache_bytes,
                "the process needs far more memory than the metadata cache explains: give the cache more, or choose the engine fjall"
            );
        }
        state.1 = now;
    }

    pub(super) fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Discomfort, judge, resident_bytes};

    #[test]
    fn large_files_of_little_content_and_large_memory_are_noticed() {
        const GIB: u64 = 1 << 30;
        let disk = |disk, live| judge(disk, live, 0, 0).disk;
        assert!(!disk(GIB, 1));
        assert!(!disk(4 * GIB, 2 * GIB) && disk(6 * GIB, 2 * GIB));
        assert!(!disk(4 * GIB, 0), "unknown is no reason");
        assert_eq!(judge(0, 0, 2 * GIB, GIB / 4), Discomfort::default());
        assert!(judge(0, 0, 2 * GIB + 1, GIB / 4).memory);
        assert!(resident_bytes() > 1 << 20);
    }
}
