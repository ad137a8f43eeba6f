//! Live files: sealed, published, taken up again.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::{Rig, cid_of, disk_use, files, noise};
use crate::error::ErrorKind;
use crate::types::Ino;
use crate::unixfs::Profile;

const MIB: usize = 1 << 20;

pub(super) fn ruling8_live_files_are_sealed_without_a_copy(rig: Rig) {
    let ino = Ino(42);
    let live = rig.store.create_live(ino).unwrap();
    assert_eq!(rig.store.create_live(ino).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let bytes = noise(1, 5 * MIB + 11);
    live.file().write_all_at(&bytes, 0).unwrap();
    live.sync_data().unwrap();
    let inode = live.metadata().unwrap().ino();
    let other = live.file().clone();
    let live = {
        let error = rig.store.seal_live(live, Profile::V1_2025).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "a descriptor can still write");
        rig.store.open_live(ino).unwrap()
    };
    drop(other);
    let stored = rig.store.seal_live(live, Profile::V1_2025).unwrap();
    assert_eq!(stored.root, cid_of(&bytes, Profile::V1_2025));
    let root = rig.commit(stored);
    rig.store.discard_live(ino).unwrap();
    assert_eq!(rig.store.list_live().unwrap(), []);
    assert_eq!(rig.read(&root, bytes.len() as u64), bytes);
    let sealed = rig.store.sealed_file(&root).unwrap().unwrap();
    assert_eq!(sealed.file.metadata().unwrap().ino(), inode);
    assert_eq!(sealed.file.metadata().unwrap().mode() & 0o777, 0o400);
    drop(sealed);
    let rig = rig.reopen(false);
    assert!(rig.store.sealed_file(&root).unwrap().is_some());
    assert_eq!(rig.read(&root, bytes.len() as u64), bytes);
}

pub(super) fn ruling8_small_live_files_go_inline_and_back_to_the_pool(rig: Rig) {
    for (ino, len) in [(1, 0), (2, 100), (3, 60_000), (4, 65_536)] {
        let live = rig.store.create_live(Ino(ino)).unwrap();
        let bytes = noise(ino, len);
        live.file().write_all_at(&bytes, 0).unwrap();
        let stored = rig.store.seal_live(live, Profile::V1_2025).unwrap();
        assert_eq!(stored.inline.is_some(), len <= 4096);
        let root = rig.commit(stored);
        rig.store.discard_live(Ino(ino)).unwrap();
        rig.store.discard_live(Ino(ino)).unwrap();
        assert_eq!(rig.read(&root, len as u64), bytes);
    }
    assert_eq!(files(&rig.dir.join("pool")).len(), 1, "one file served them all");
    let live = rig.store.create_live(Ino(5)).unwrap();
    assert_eq!(live.size().unwrap(), 0);
    let reader = std::fs::File::open(live.path()).unwrap();
    live.file().write_all_at(b"secret", 0).unwrap();
    drop(live);
    rig.store.discard_live(Ino(5)).unwrap();
    assert_eq!(files(&rig.dir.join("pool")).len(), 0, "somebody has it open: it is not used again");
    drop(reader);
}

pub(super) fn ruling19_a_sparse_gibibyte_is_sealed_and_stays_sparse(rig: Rig) {
    let live = rig.store.create_live(Ino(1)).unwrap();
    live.file().set_len(1 << 30).unwrap();
    live.file().write_all_at(b"in the middle", 600 << 20).unwrap();
    live.file().write_all_at(b"tail", (1 << 30) - 1).unwrap();
    let size = live.size().unwrap();
    let stored = rig.store.seal_live(live, Profile::V1_2025).unwrap();
    let root = rig.commit(stored);
    rig.store.discard_live(Ino(1)).unwrap();
    assert!(disk_use(&rig.dir) < 200_000);
    let reader = rig.store.reader(&root, size).unwrap();
    assert_eq!(reader.read_at(600 << 20, 13).unwrap(), &b"in the middle"[..]);
    assert_eq!(reader.read_at((1 << 30) - 1, 9).unwrap(), &b"tail"[..]);

    let live = rig.store.clone_to_live(Ino(2), &root, size).unwrap();
    assert!(live.metadata().unwrap().blocks() * 512 < 100_000);
    live.file().write_all_at(b"IN", 600 << 20).unwrap();
    drop(live);
    assert_eq!(rig.store.reader(&root, size).unwrap().read_at(600 << 20, 2).unwrap(), &b"in"[..]);
    let changed = rig.store.open_live(Ino(2)).unwrap();
    let mut out = [0; 4];
    changed.file().read_exact_at(&mut out, 600 << 20).unwrap();
    assert_eq!(&out, b"IN t");
}

pub(super) fn ruling8_open_files_are_published_by_copy(rig: Rig) {
    let live = rig.store.create_live(Ino(1)).unwrap();
    let mut bytes = noise(1, 6 * MIB + 5);
    live.file().write_all_at(&bytes, 0).unwrap();
    let stored = rig.store.publish_copy(&live, Profile::V1_2025).unwrap();
    assert_eq!(stored.root, cid_of(&bytes, Profile::V1_2025));
    let first = rig.commit(stored);
    assert_eq!(rig.read(&first, bytes.len() as u64), bytes);

    let before = rig.store.usage().unwrap().slab_live_bytes;
    bytes[2 * MIB..2 * MIB + 4].copy_from_slice(b"edit");
    live.file().write_all_at(b"edit", 2 << 20).unwrap();
    let second = rig.commit(rig.store.publish_copy(&live, Profile::V1_2025).unwrap());
    let grown = rig.store.usage().unwrap().slab_live_bytes - before;
    assert!(grown < (1 << 20) + 1000, "only the changed chunk is stored again: {grown}");
    rig.release(&first);
    rig.collect();
    assert_eq!(rig.read(&second, bytes.len() as u64), bytes);

    // At the last close the file itself takes over, and the copies go.
    let sealed = rig.store.seal_live(live, Profile::V1_2025).unwrap();
    assert_eq!(sealed.root, second);
    rig.commit(sealed);
    rig.store.discard_live(Ino(1)).unwrap();
    rig.collect();
    assert_eq!(rig.read(&second, bytes.len() as u64), bytes);
    assert!(rig.store.sealed_file(&second).unwrap().is_some());
    let usage = rig.store.usage().unwrap();
    assert_eq!((usage.objects, usage.slab_live_bytes), (1, 0), "{usage:?}");
}

pub(super) fn ruling11_a_sealed_file_becomes_live_again_and_the_object_keeps_its_content(rig: Rig) {
    let bytes = noise(1, 4 * MIB + 3);
    let size = bytes.len() as u64;
    let root = rig.commit(rig.put(&bytes));
    let (mine, other) = (Ino(7), Ino(8));
    let open_reader = rig.store.reader(&root, size).unwrap();
    assert_eq!(open_reader.read_at(0, MIB).unwrap(), bytes[..MIB]);

    let lent = rig.store.lend_sealed(&root, other).unwrap().unwrap();
    assert!(rig.store.lend_sealed(&root, mine).unwrap().is_none(), "lent to one inode at a time");
    assert_eq!(rig.store.unseal(&root, mine).unwrap_err().kind(), ErrorKind::Busy);
    drop(lent);

    let lent = rig.store.lend_sealed(&root, mine).unwrap().unwrap();
    let again = rig.store.lend_sealed(&root, mine).unwrap().unwrap();
    assert_eq!(again.id, lent.id);
    let live = rig.store.unseal(&root, mine).unwrap();
    assert_eq!(
        live.metadata().unwrap().ino(),
        lent.file.metadata().unwrap().ino(),
        "the kernel's readers see the writes"
    );
    live.file().write_all_at(b"changed", 100).unwrap();
    live.file().set_len(5).unwrap();
    assert_eq!(open_reader.read_at(0, bytes.len()).unwrap(), bytes, "readers of the object do not");
    assert_eq!(rig.read(&root, size), bytes);
    drop((lent, again));
    let fresh = rig.store.lend_sealed(&root, other).unwrap().unwrap();
    assert_ne!(fresh.file.metadata().unwrap().ino(), live.metadata().unwrap().ino());
    assert_eq!(rig.store.unseal(&root, Ino(10)).unwrap_err().kind(), ErrorKind::Busy);
    drop(fresh);
    assert_eq!(rig.store.unseal(&root, mine).unwrap_err().kind(), ErrorKind::AlreadyExists);
    drop((live, open_reader));

    // An object in a slab has no file to give.
    let small = noise(2, 10_000);
    let small_root = rig.commit(rig.put(&small));
    assert_eq!(rig.store.unseal(&small_root, Ino(9)).unwrap_err().kind(), ErrorKind::Unsupported);
    let live = rig.store.clone_to_live(Ino(9), &small_root, 10_000).unwrap();
    let mut out = vec![0; 10_000];
    live.file().read_exact_at(&mut out, 0).unwrap();
    assert_eq!(out, small);
}

pub(super) fn ruling13_what_touches_a_sealed_file_is_looked_into(rig: Rig) {
    let bytes = noise(1, 2 * MIB);
    let root = rig.commit(rig.put(&bytes));
    let path = rig.store.sealed_file(&root).unwrap().unwrap().path;
    let touch = || std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    touch();
    assert!(rig.store.sealed_file(&root).unwrap().is_some(), "its times changed, its bytes did not");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let writer = std::fs::File::options().write(true).open(&path).unwrap();
    assert!(rig.store.sealed_file(&root).unwrap().is_none(), "somebody can write to it");
    drop(writer);
    assert!(rig.store.sealed_file(&root).unwrap().is_some());
}
