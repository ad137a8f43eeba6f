//! How full the disk is, and the refusal before it is full.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, IoContext, Result};

/// Sizes of the file system that the store lies on, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskSpace {
    /// The whole file system.
    pub total: u64,
    /// What the store's user may still write, the reserve included.
    pub free: u64,
    /// What is kept free: [`crate::chunk::ChunkConfig::reserve_bytes`].
    pub reserve: u64,
}

/// Bytes and files of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Objects that have a file or sidecar of their own.
    pub objects: u64,
    /// Bytes on disk of their files.
    pub object_bytes: u64,
    /// Slabs.
    pub slabs: u64,
    /// Bytes in slabs that the index names, frame headers included.
    pub slab_live_bytes: u64,
    /// Bytes on disk of all slabs.
    pub slab_disk_bytes: u64,
    /// Digests that wait for the collector.
    pub waiting: u64,
    /// The disk.
    pub disk: DiskSpace,
}

/// While so much is free beyond the reserve, what was free is good for [`AGE`]: no disk takes as much in that time.
const PLENTY: u64 = 4 << 30;
/// How long.
const AGE: Duration = Duration::from_millis(100);

pub(super) struct Space {
    dir: PathBuf,
    reserve: u64,
    /// When much was free.
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Space {
    pub(super) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self { dir, reserve, seen: Mutex::new(None) }
    }

    pub(super) fn disk(&self) -> Result<DiskSpace> {
        let s = rustix::fs::statvfs(&self.dir).at("asking for free space")?;
        Ok(DiskSpace { total: s.f_blocks * s.f_frsize, free: s.f_bavail * s.f_frsize, reserve: self.reserve })
    }

    /// NoSpace if `bytes` more would eat into the reserve.
    pub(super) fn admit(&self, bytes: u64) -> Result<()> {
        let wanted = self.reserve.saturating_add(bytes);
        let plenty = wanted.saturating_add(PLENTY);
        if let Some((when, free)) = *self.seen.lock()
            && free >= plenty
            && when.elapsed() < AGE
        {
            return Ok(());
        }
        let disk = self.disk()?;
        if disk.free >= wanted {
            *self.seen.lock() = (disk.free >= plenty).then(|| (Instant::now(), disk.free));
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSpace, "the disk would be left with less than its reserve")
            .with("free", disk.free)
            .with("reserve", disk.reserve)
            .with("wanted", bytes))
    }
}
