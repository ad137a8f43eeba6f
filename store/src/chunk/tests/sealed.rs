//! Sealed content in the chunk store: written, read in pieces, joined, published from live files.

use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::index_double::IndexDouble;
use crate::chunk::conformance::{config, noise};
use crate::chunk::{ChunkConfig, ChunkStore, Sealing, Stored, WriteOptions};
use crate::crypto::{ContentKey, Keyring, MasterKey, Secret};
use crate::error::ErrorKind;
use crate::meta::seal::{ManifestAt, SealKey};
use crate::types::{Id, Ino};
use crate::unixfs::Profile;

const PROFILE: Profile = Profile::KuboClassicV1;
const CHUNK: usize = 256 << 10;

struct Rig {
    _dir: tempfile::TempDir,
    keys: Arc<Keyring>,
    store: ChunkStore,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let master = MasterKey::parse(&"0123456789abcdef".repeat(4)).unwrap();
    let keys = Arc::new(Keyring::new(dir.path().join("keys"), Some(master)));
    let config = ChunkConfig { keys: Some(keys.clone()), ..config(&dir.path().join("chunks")) };
    let store = ChunkStore::open(config, Arc::new(IndexDouble::default()), false, &|_| {}).unwrap();
    Rig { _dir: dir, keys, store }
}

fn sealing(seed: u8) -> Sealing {
    let key = Arc::new(ContentKey::derive(&Secret::new([seed; 32])));
    Sealing { key, names: SealKey::Bucket { key: Id([seed; 16]) } }
}

impl Rig {
    fn put(&self, bytes: &[u8], sealing: &Sealing) -> Stored {
        let options = WriteOptions { md5: true, size_hint: None };
        let mut writer = self.store.writer(PROFILE, options).unwrap();
        writer.seal_with(sealing.clone());
        bytes.chunks(100_000).for_each(|piece| writer.write(piece).unwrap());
        let stored = writer.finish().unwrap();
        self.settle(&stored);
        stored
    }

    fn settle(&self, stored: &Stored) {
        if let Some(block) = &stored.inline {
            self.store.store_inline(std::slice::from_ref(block)).unwrap();
        }
    }

    fn read(&self, stored: &Stored, key: &Arc<ContentKey>, at: u64, len: usize) -> crate::Result<Vec<u8>> {
        let seal = stored.seal.as_deref().unwrap();
        let reader = self.store.sealed_reader(&stored.root, stored.size, seal, key.clone())?;
        let mut out = vec![0; len];
        let n = reader.read_into(at, &mut out)?;
        out.truncate(n);
        Ok(out)
    }
}

#[test]
fn every_size_comes_back_by_its_key_alone_and_lies_sealed() {
    use md5::{Digest, Md5};
    let rig = rig();
    let key = sealing(1);
    for size in [0, 1, 4096, 4097, 65_536, 65_537, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
        let bytes = noise(size as u64, size);
        let stored = rig.put(&bytes, &key);
        assert_eq!((stored.size, stored.md5), (size as u64, Some(Md5::digest(&bytes).into())));
        assert_eq!(rig.read(&stored, &key.key, 0, size + 1).unwrap(), bytes, "{size}");
        if size > 0 {
            let raw = rig.store.reader(&stored.root, size as u64).unwrap().read_at(0, size).unwrap();
            assert!(raw != bytes, "{size}");
        }
        let other = rig.read(&stored, &sealing(2).key, 0, size).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Corrupt);
        // Equal bytes are one object under one key, another under another.
        assert_eq!(rig.put(&bytes, &key).root, stored.root);
        assert_eq!(rig.put(&bytes, &sealing(2)).root == stored.root, size == 0);
    }
    // Zeros are no hole.
    let zeros = rig.put(&vec![0; 4 * CHUNK], &key);
    assert!(rig.store.reader(&zeros.root, zeros.size).unwrap().read_at(0, 100).unwrap().iter().any(|b| *b != 0));
    assert_eq!(rig.read(&zeros, &key.key, 5, 4 * CHUNK).unwrap(), vec![0; 4 * CHUNK - 5]);
}

#[test]
fn a_long_manifest_is_content_of_its_own() {
    let rig = rig();
    let (key, bytes) = (sealing(1), noise(1, 130 * CHUNK));
    let stored = rig.put(&bytes, &key);
    assert!(matches!(stored.seal.as_ref().unwrap().manifest, ManifestAt::Stored { size, .. } if size > 5200));
    assert!(stored.also.is_some());
    assert!(rig.read(&stored, &key.key, 0, bytes.len()).unwrap() == bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn joined_parts_read_as_one(
        sizes in proptest::collection::vec(prop_oneof![Just(CHUNK), Just(2 * CHUNK), 1usize..600_000], 1..5),
        at: prop::sample::Index,
        len in 1usize..600_000,
    ) {
        let (rig, key) = (rig(), sealing(1));
        let parts: Vec<_> = sizes.iter().enumerate().map(|(n, size)| noise(n as u64, *size)).collect();
        let stored: Vec<_> = parts.iter().map(|part| rig.put(part, &key)).collect();
        let named: Vec<_> = stored.iter().map(|s| (s.root, s.size, s.seal.clone().unwrap())).collect();
        let joined = rig.store.concat_sealed(&named, PROFILE, &key.names, key.key.manifests()).unwrap();
        rig.settle(&joined);
        let whole = parts.concat();
        prop_assert_eq!(joined.size, whole.len() as u64);
        prop_assert!(rig.read(&joined, &key.key, 0, whole.len()).unwrap() == whole);
        let at = at.index(whole.len());
        let end = whole.len().min(at + len);
        prop_assert!(rig.read(&joined, &key.key, at as u64, len).unwrap() == whole[at..end]);
        if sizes.iter().all(|size| size % CHUNK == 0) {
            prop_assert_eq!(rig.put(&whole, &key).root, joined.root);
        }
    }
}

#[test]
fn sealed_live_files_are_cloned_published_and_taken_up_again() {
    let rig = rig();
    let (id, key, bytes) = (rig.keys.create().unwrap(), sealing(1), noise(1, 2 * CHUNK + 77));
    let live = rig.store.create_sealed_live(Ino(7), id).unwrap();
    assert_eq!(rig.store.create_sealed_live(Ino(7), id).unwrap_err().kind(), ErrorKind::AlreadyExists);
    live.write(0, &bytes).unwrap();
    live.keep().unwrap();
    assert_eq!(live.size().unwrap(), bytes.len() as u64);
    let stored = rig.store.publish_sealed(&live, PROFILE, &key).unwrap();
    assert!(rig.read(&stored, &key.key, 0, bytes.len()).unwrap() == bytes);
    drop(live);
    let live = rig.store.open_live(Ino(7)).unwrap();
    assert_eq!(live.cipher().unwrap().key(), id);
    assert!(live.read(0, bytes.len()).unwrap() == bytes && !live.is_draft());
    assert_eq!(rig.store.list_live().unwrap(), [Ino(7)]);
    drop(live);
    let reader =
        rig.store.sealed_reader(&stored.root, stored.size, stored.seal.as_deref().unwrap(), key.key.clone()).unwrap();
    let copy = rig.store.clone_to_sealed_live(Ino(8), &reader, id).unwrap();
    assert!(copy.read(0, bytes.len()).unwrap() == bytes);
    rig.keys.destroy(id).unwrap();
    assert_eq!(rig.store.open_live(Ino(7)).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    for ino in [Ino(7), Ino(8), Ino(9)] {
        rig.store.discard_live(ino).unwrap();
    }
    assert_eq!(rig.store.list_live().unwrap(), []);
}
