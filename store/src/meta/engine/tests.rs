//! Every engine passes the suite.

use super::{EngineKind, EngineOptions};
use crate::testkit;

fn conforms(kind: EngineKind) {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions { cache_bytes: 16 << 20 };
    testkit::meta_store(|name| kind.open(&dir.path().join(name), &options).unwrap(), kind != EngineKind::Memory);
}

#[test]
fn memory_conforms() {
    conforms(EngineKind::Memory);
}

#[test]
fn sled_conforms() {
    conforms(EngineKind::Sled);
}

#[test]
fn a_damaged_sled_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions::default();
    let store = EngineKind::Sled.open(dir.path(), &options).unwrap();
    for n in 0u32..500 {
        store.apply(&[(n.to_be_bytes().to_vec(), Some(vec![7; 300]))]).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    std::fs::write(dir.path().join("conf"), b"segment_size: what\n").unwrap();
    let error = EngineKind::Sled.open(dir.path(), &options).err().map(|e| e.kind());
    assert_eq!(error, Some(crate::ErrorKind::Corrupt));
}

#[test]
fn a_database_that_is_open_is_busy_and_not_damaged() {
    for kind in EngineKind::on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let _open = kind.open(dir.path(), &EngineOptions::default()).unwrap();
        let again = kind.open(dir.path(), &EngineOptions::default());
        assert_eq!(again.err().map(|e| e.kind()), Some(crate::ErrorKind::Busy), "{kind}");
    }
}

#[test]
fn engines_have_names() {
    for kind in [EngineKind::Sled, EngineKind::Fjall, EngineKind::Memory] {
        assert_eq!(kind.name().parse::<EngineKind>().unwrap(), kind);
    }
    assert!("rocksdb".parse::<EngineKind>().is_err());
}

#[cfg(feature = "engine-fjall")]
#[test]
fn fjall_conforms() {
    conforms(EngineKind::Fjall);
}
