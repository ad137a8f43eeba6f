//! The engines behind [`MetaStore`]. Which one holds a replica is a matter of configuration; rows are the same in all
//! and `convert` carries them over.

#[cfg(feature = "engine-fjall")]
mod fjall;
mod memory;
mod sled;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::MetaStore;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Which database holds the replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EngineKind {
    /// sled 0.34.7 behind its guards; the default.
    #[default]
    Sled,
    /// fjall 3, an LSM tree (feature `engine-fjall`): the recommended one where sled's disk or memory grows too far.
    Fjall,
    /// Nothing on disk: rebuilt from checkpoint and log at every start. For tests.
    Memory,
}

impl EngineKind {
    /// The name in configuration files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }

    /// The engines that this program was built with and that keep their rows on disk.
    pub fn on_disk() -> &'static [Self] {
        &[
            Self::Sled,
            #[cfg(feature = "engine-fjall")]
            Self::Fjall,
        ]
    }

    /// The smallest cache in bytes that this engine works well with; sled takes this much even if it is told less.
    pub fn min_cache_bytes(self) -> u64 {
        match self {
            Self::Sled => sled::MIN_CACHE_BYTES,
            Self::Fjall | Self::Memory => 1 << 20,
        }
    }

    /// Bytes that clients' writes leave free on the disk however little the operator wants to keep: what was accepted must
    /// find its place, and what is held for fjall could be taken by others when it is let go.
    pub fn least_reserve(self) -> u64 {
        match self {
            Self::Fjall => super::room::ASIDE,
            Self::Sled | Self::Memory => super::room::ASIDE / 4,
        }
    }

    /// Opens the database in folder `dir`, which is made if it is not there.
    ///
    /// Corrupt if what is there cannot be opened as this engine's database; Busy if another process has it open;
    /// Unsupported if the engine was not built in or does not trust the file system.
    pub fn open(self, dir: &Path, options: &EngineOptions) -> Result<Arc<dyn MetaStore>> {
        /// A child process between fork and exec holds our own locks for a moment.
        const ATTEMPTS: usize = 20;
        const PAUSE: Duration = Duration::from_millis(50);
        for _ in 1..ATTEMPTS {
            match self.open_once(dir, options) {
                Err(error) if error.kind() == ErrorKind::Busy => std::thread::sleep(PAUSE),
                other => return other,
            }
        }
        self.open_once(dir, options)
    }

    fn open_once(self, dir: &Path, options: &EngineOptions) -> Result<Arc<dyn MetaStore>> {
        match self {
            Self::Sled => Ok(Arc::new(sled::SledStore::open(dir, options)?)),
            #[cfg(feature = "engine-fjall")]
            Self::Fjall => Ok(Arc::new(fjall::FjallStore::open(dir, options)?)),
            Self::Memory => Ok(Arc::new(memory::MemoryStore::default())),
            #[allow(unreachable_patterns, reason = "with every engine built in nothing is left")]
            _ => Err(Error::new(ErrorKind::Unsupported, "this program was built without this metadata engine")
                .with("engine", self)),
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        [Self::Sled, Self::Fjall, Self::Memory]
            .into_iter()
            .find(|e| e.name() == s)
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "not a metadata engine").with("engine", s))
    }
}

/// Whether an I/O error of an engine says that its own files do not fit together: one that it points to is missing,
/// ends too early or holds something else. Anything else is the disk's or the operator's.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | UnexpectedEof | InvalidData | InvalidInput)
}

/// Bytes that are free on the disk of `dir`.
fn free_bytes(dir: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(dir).at("asking for free space")?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// What every engine is told.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Cache in bytes. Default 256 MiB; with less, sled needs *more* memory.
    pub cache_bytes: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20 }
    }
}
