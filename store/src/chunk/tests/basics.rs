//! The suite on every engine, and what needs settings of its own.

use std::sync::Arc;

use crate::chunk::conformance::{chunk_store, config, files};
use crate::chunk::{ChunkConfig, ChunkStore, WriteOptions};
use crate::error::ErrorKind;
use crate::meta::{EngineKind, MetaConfig, MetaStore, Prepared, Quiet};
use crate::types::Ino;
use crate::unixfs::Profile;

use super::index_double::IndexDouble;

fn conforms(engine: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    chunk_store(|| {
        let dir = dir.path().join(number.replace(number.get() + 1).to_string());
        let meta = MetaConfig { engine, cache_bytes: 16 << 20, ..MetaConfig::new(&dir) };
        (dir.join("chunks"), Arc::clone(Prepared::open(meta, &Quiet).unwrap().store()))
    });
}

#[test]
fn conforms_over_memory() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    chunk_store(|| {
        let dir = dir.path().join(number.replace(number.get() + 1).to_string());
        (dir, Arc::new(IndexDouble::default()) as Arc<dyn MetaStore>)
    });
}

#[test]
fn conforms_over_sled() {
    conforms(EngineKind::Sled);
}

#[cfg(feature = "engine-fjall")]
#[test]
fn conforms_over_fjall() {
    conforms(EngineKind::Fjall);
}

#[test]
fn the_reserve_refuses_writes_before_the_disk_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let config = ChunkConfig { reserve_bytes: u64::MAX / 2, ..config(dir.path()) };
    let store = ChunkStore::open(config, Arc::new(IndexDouble::default()), false, &|_| {}).unwrap();
    let kind = |r: crate::Result<()>| r.unwrap_err().kind();
    assert_eq!(kind(store.writer(Profile::V1_2025, WriteOptions::default()).map(drop)), ErrorKind::NoSpace);
    assert_eq!(kind(store.create_live(Ino(1)).map(drop)), ErrorKind::NoSpace);
    let small = store.store_small(vec![1; 60_000], Profile::V1_2025, WriteOptions::default());
    assert_eq!(kind(small.map(drop)), ErrorKind::NoSpace);
    assert_eq!(files(dir.path()), Vec::<std::path::PathBuf>::new());
}
