//! What a chunk store can be told.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::crypto::Keyring;
use crate::error::{Error, ErrorKind, Result};

/// Called at every named step of work that must be safe to cut off there; an error ends the step as a failing disk
/// would. Only tests set one.
pub type StepHook = Arc<dyn Fn(&'static str) -> Result<()> + Send + Sync>;

/// Settings of a [`crate::chunk::ChunkStore`].
#[derive(Clone)]
pub struct ChunkConfig {
    /// The folder that holds `content`, `slabs`, `live` and `tmp`; made if it is not there.
    pub dir: PathBuf,
    /// Bodies of at most this many bytes are handed back to travel inside the log record.
    pub inline_max: usize,
    /// Objects of at most this many bytes go to slabs. At most 256 KiB, the smallest chunk of a profile.
    pub slab_object_max: usize,
    /// A slab is closed once it is this long, in bytes.
    pub slab_bytes: u64,
    /// Free bytes that new objects leave on the disk: writes are refused with NoSpace before it is used up. Publishing
    /// what a live file already holds may use it.
    pub reserve_bytes: u64,
    /// Threads that hash; 0 takes one for each processor, at least 2.
    pub hash_threads: usize,
    /// Most content files, and most slabs, kept open without a reader.
    pub open_files: usize,
    /// Keys of sealed live files; none if nothing is sealed.
    pub keys: Option<Arc<Keyring>>,
    /// See [`StepHook`].
    pub on_step: Option<StepHook>,
}

impl ChunkConfig {
    /// The defaults for a store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            inline_max: 4096,
            slab_object_max: 64 << 10,
            slab_bytes: 256 << 20,
            reserve_bytes: 1 << 30,
            hash_threads: 0,
            open_files: 512,
            keys: None,
            on_step: None,
        }
    }

    /// InvalidArgument names the setting that cannot be.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |what: &'static str, value: u64| {
            Err(Error::new(ErrorKind::InvalidArgument, "a setting of the chunk store is out of range")
                .with("setting", what)
                .with("value", value))
        };
        if self.slab_object_max > 256 << 10 {
            return bad("slab_object_max", self.slab_object_max as u64);
        }
        if self.inline_max > self.slab_object_max {
            return bad("inline_max", self.inline_max as u64);
        }
        if !(1 << 16..=1 << 40).contains(&self.slab_bytes) {
            return bad("slab_bytes", self.slab_bytes);
        }
        Ok(())
    }

    pub(super) fn threads(&self) -> usize {
        match self.hash_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from).max(2),
            n => n,
        }
    }
}

impl fmt::Debug for ChunkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkConfig")
            .field("dir", &self.dir)
            .field("inline_max", &self.inline_max)
            .field("slab_object_max", &self.slab_object_max)
            .field("slab_bytes", &self.slab_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("hash_threads", &self.hash_threads)
            .field("open_files", &self.open_files)
            .finish_non_exhaustive()
    }
}
