//! The suite on every engine, and what needs settings of its own.

use std::sync::Arc;

use crate::chunk::conformance::{Rig, chunk_store, config, files, noise};
use crate::chunk::index::{self, ObjectRow, Stamp};
use crate::chunk::{ChunkConfig, ChunkStore, WriteOptions};
use crate::error::ErrorKind;
use crate::meta::{EngineKind, MetaConfig, Prepared, Quiet};
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

#[test]
fn ruling13_rot_that_no_attribute_shows_is_found_and_healed() {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
    let bytes = noise(1, 3 << 20);
    let root = rig.commit(rig.put(&bytes));
    let rig = rig.reopen(false);
    let path = rig.store.sealed_file(&root).unwrap().unwrap().path;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().write_all_at(b"rot", 100).unwrap();
    let (key, value) = rig.rows_with(b"c").pop().unwrap();
    let mut row: ObjectRow = index::decode(&value).unwrap();
    row.stamp = Some(Stamp::of(&std::fs::metadata(&path).unwrap()));
    rig.index.apply(&[(key, Some(index::encode(&row).unwrap()))]).unwrap();
    assert!(rig.store.sealed_file(&root).unwrap().is_some(), "nobody can tell");
    assert_eq!(rig.store.reader(&root, 3 << 20).unwrap().read_at(0, 10).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(rig.store.sealed_file(&root).unwrap().is_none());
    rig.commit(rig.put(&bytes));
    assert!(rig.read(&root, 3 << 20) == bytes);
    assert_ne!(rig.store.sealed_file(&root).unwrap().unwrap().path, path);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn damaged_files_of_any_kind_are_no_reason_to_panic(
        garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..300),
        places in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 1..6),
        cut in proptest::prelude::any::<proptest::sample::Index>(),
        rebuild: bool,
    ) {
        use std::os::unix::fs::{FileExt, PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig::new(dir.path().to_owned(), Arc::new(IndexDouble::default()));
        let big = noise(1, (1 << 20) + 100);
        let roots: Vec<_> = (0..9).map(|k| (rig.commit(rig.put(&noise(k, 9000))), noise(k, 9000)))
            .chain([(rig.commit(rig.put(&big)), big.clone())]).collect();
        let Rig { dir: folder, index, store, roots: held } = rig;
        drop(store);
        let all = files(&folder);
        for (k, place) in places.iter().enumerate() {
            let path = &all[place.index(all.len())];
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let len = file.metadata().unwrap().len() as usize;
            if k == 0 && garbage[0] < 100 {
                file.set_len(cut.index(len.max(1)) as u64).unwrap();
            } else {
                file.write_all_at(&garbage, places[0].index(len.max(1)) as u64).unwrap();
            }
        }
        let store = ChunkStore::open(config(&folder), index.clone(), rebuild, &|_| {}).unwrap();
        let rig = Rig { dir: folder, index, store, roots: held };
        for (root, bytes) in &roots {
            match rig.store.reader(root, bytes.len() as u64).and_then(|r| r.read_at(0, bytes.len())) {
                Ok(found) => assert!(found == bytes, "wrong bytes"),
                Err(e) => assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound), "{e:?}"),
            }
        }
        rig.store.verify_all(&|_| {}).unwrap();
        rig.collect();
        // Whatever was lost can be stored again.
        for (root, bytes) in &roots {
            proptest::prop_assert_eq!(rig.put(bytes).root, *root);
            assert!(rig.read(root, bytes.len() as u64) == *bytes);
        }
    }
}
