//! Files that are written anew, and a crash meanwhile (S14).

use std::sync::Arc;

use super::{Fixture, READ, WRITE, mount_caller, pattern, plain};
use crate::namespace::mount_types::{OpenMode, SetAttr};

const ANEW: OpenMode = OpenMode { truncate: true, ..WRITE };

#[test]
fn s14_a_file_that_is_written_anew_keeps_its_old_content_until_it_is_closed_or_synced() {
    let f = Fixture::new();
    let root = f.bucket_ino();
    for (old_size, published) in [(60, true), (100_000, true), (100_000, false), (3_000_000, false)] {
        let (old, new) = (pattern(old_size, 1), pattern(70_000, 2));
        let ino = f.write_file(root, "f", &old);
        if published {
            f.ns.publish_all().unwrap();
        }
        let handle = f.ns.open_file(&mount_caller(), ino, ANEW).unwrap();
        assert_eq!(f.ns.getattr(ino).unwrap().size, 0);
        f.ns.write(&handle, 0, &new[..1000]).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), old, "{old_size} {published}: not closed");
        f.ns.fsync(&handle, true).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), new[..1000], "{old_size} {published}: synced");
        f.ns.write(&handle, 0, &new).unwrap();
        f.ns.flush(&handle).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), new, "{old_size} {published}: closed");
        f.ns.release(&handle).unwrap();
        assert_eq!(f.get("f").unwrap(), new);
        f.ns.unlink(&mount_caller(), root, plain("f")).unwrap();
    }
}

#[test]
fn s14_a_new_file_is_empty_until_it_is_closed_or_synced() {
    let f = Fixture::new();
    let root = f.bucket_ino();
    let (_, handle) = f.ns.create(&mount_caller(), root, plain("f"), 0o644, WRITE).unwrap();
    f.ns.write(&handle, 0, &pattern(100_000, 1)).unwrap();
    assert_eq!(f.killed().get("f").unwrap(), b"");
    f.ns.flush(&handle).unwrap();
    assert_eq!(f.killed().get("f").unwrap(), pattern(100_000, 1));
    f.ns.release(&handle).unwrap();
}

#[test]
fn s14_a_reader_beside_it_changes_nothing() {
    let f = Fixture::new();
    let root = f.bucket_ino();
    let (old, new) = (pattern(3_000_000, 1), pattern(70_000, 2));
    for published in [true, false] {
        let ino = f.write_file(root, "f", &old);
        if published {
            f.ns.publish_all().unwrap();
        }
        let reader = f.ns.open_file(&mount_caller(), ino, READ).unwrap();
        assert!(reader.passthrough().is_some());
        let writer = f.ns.open_file(&mount_caller(), ino, ANEW).unwrap();
        f.ns.write(&writer, 0, &new).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), old, "published: {published}");
        f.ns.flush(&writer).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), new, "published: {published}");
        f.ns.release(&writer).unwrap();
        f.ns.release(&reader).unwrap();
        f.ns.unlink(&mount_caller(), root, plain("f")).unwrap();
    }
}

#[test]
fn writing_in_place_promises_no_more_than_posix() {
    let f = Fixture::new();
    let root = f.bucket_ino();
    let ino = f.write_file(root, "f", &pattern(100_000, 1));
    // Somebody else writes to it: it is emptied under them.
    let other = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    let writer = f.ns.open_file(&mount_caller(), ino, ANEW).unwrap();
    f.ns.write(&writer, 0, b"new").unwrap();
    assert_eq!(f.killed().get("f").unwrap(), b"new");
    f.ns.release(&writer).unwrap();
    f.ns.release(&other).unwrap();
    // truncate(2) ends when it returns.
    f.ns.setattr(&mount_caller(), ino, SetAttr { size: Some(0), ..SetAttr::default() }).unwrap();
    assert_eq!(f.killed().get("f").unwrap(), b"");
}

#[test]
fn a_release_that_would_publish_or_wait_is_left_for_another_thread() {
    let f = Fixture::new();
    let (root, engine) = (f.bucket_ino(), Arc::clone(&(*f.ns).0));
    let sealed = f.write_file(root, "sealed", &pattern(100_000, 1));
    f.ns.publish_all().unwrap();
    let (reader, beside) = (|| f.ns.open_file(&mount_caller(), sealed, READ).unwrap(), engine.inode(sealed).unwrap());
    let first = reader();
    {
        let _publisher = beside.open.lock();
        assert!(!f.ns.release_at_once(&first).unwrap());
    }
    assert_eq!(beside.open.lock().handles, 1, "it did nothing");
    assert!(f.ns.release_at_once(&first).unwrap() && f.ns.release_at_once(&first).unwrap());
    assert_eq!(beside.open.lock().handles, 0, "once");

    let written = |name: &str, size: usize| {
        let (stat, handle) = f.ns.create(&mount_caller(), root, plain(name), 0o644, WRITE).unwrap();
        f.ns.write(&handle, 0, &pattern(size, 2)).unwrap();
        f.ns.flush(&handle).unwrap();
        (stat.ino, handle)
    };
    let (ino, small) = written("small", 10);
    assert!(!f.ns.release_at_once(&small).unwrap());
    assert!(engine.lives.get(ino).is_some());
    f.ns.release(&small).unwrap();
    assert!(engine.lives.get(ino).is_none(), "published");
    let (ino, large) = written("large", 100_000);
    assert!(f.ns.release_at_once(&large).unwrap());
    assert!(engine.lives.get(ino).is_some(), "published later");
    assert_eq!(f.get("large").unwrap(), pattern(100_000, 2));
    let (_, unnamed) = written("unnamed", 10);
    f.ns.unlink(&mount_caller(), root, plain("unnamed")).unwrap();
    assert!(f.ns.release_at_once(&unnamed).unwrap());
}
