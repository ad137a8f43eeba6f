//! Metadata as a whole: what is committed is read, what is durable comes back, whatever is lost or broken in between.

mod checkpoint;
mod maintain;
mod model;
mod record_v1;
mod reopen;
mod rows_v1;
mod running;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::record::InlineBlock;
use super::{BlockSink, EngineKind, MetaConfig, Metadata, Opened, Quiet};
use crate::error::Result;
use crate::testkit::sample;
use crate::types::Cid;

/// Keeps small bodies in memory, and can be made to fail.
#[derive(Default)]
struct Bodies {
    kept: Mutex<HashMap<Cid, Vec<u8>>>,
    failing: Mutex<Option<crate::Error>>,
}

impl BlockSink for Bodies {
    fn store_blocks(&self, blocks: &[InlineBlock]) -> Result<()> {
        if let Some(error) = &*self.failing.lock() {
            return Err(error.clone());
        }
        let mut kept = self.kept.lock();
        for block in blocks {
            kept.insert(block.cid, block.bytes.to_vec());
        }
        Ok(())
    }
}

/// Small everything, so that all of it happens.
fn config(dir: &Path, engine: EngineKind) -> MetaConfig {
    MetaConfig {
        engine,
        cache_bytes: 8 << 20,
        segment_bytes: 8 << 10,
        apply_interval: Duration::from_millis(1),
        ..MetaConfig::new(dir)
    }
}

fn open(config: &MetaConfig) -> Result<(Metadata, Opened)> {
    Metadata::open(config.clone(), Arc::new(Bodies::default()), &Quiet)
}

fn put(meta: &Metadata, key: &[u8], value: &[u8]) -> u64 {
    meta.commit(sample::record(key, Some(value))).unwrap()
}

/// All logged rows.
fn rows(meta: &Metadata) -> Vec<super::Row> {
    meta.range(b"", b"a", usize::MAX).unwrap()
}

/// Copies a node's folder as it is now, as a crash would leave it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else if let Err(e) = std::fs::copy(&path, &to) {
            // The node goes on meanwhile: a spare segment may just have got its name.
            assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
        }
    }
}
