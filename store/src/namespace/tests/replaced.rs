//! Files that are written anew, and a crash meanwhile (S14).

use std::sync::Arc;

use super::{Fixture, READ, WRITE, mount_caller, pattern, plain};
use crate::meta::EngineKind;
use crate::namespace::mount_types::{OpenMode, RenameMode, SetAttr};

const ANEW: OpenMode = OpenMode { truncate: true, ..WRITE };

fn s14_a_file_that_is_written_anew_keeps_its_old_content_until_it_is_closed_or_synced(engine: EngineKind) {
    let f = Fixture::new(engine);
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

fn s14_a_new_file_is_empty_until_it_is_closed_or_synced(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let (_, handle) = f.ns.create(&mount_caller(), root, plain("f"), 0o644, WRITE).unwrap();
    f.ns.write(&handle, 0, &pattern(100_000, 1)).unwrap();
    assert_eq!(f.killed().get("f").unwrap(), b"");
    f.ns.flush(&handle).unwrap();
    assert_eq!(f.killed().get("f").unwrap(), pattern(100_000, 1));
    f.ns.release(&handle).unwrap();
}

fn s14_a_reader_beside_it_changes_nothing(engine: EngineKind) {
    let f = Fixture::new(engine);
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

fn writing_in_place_promises_no_more_than_posix(engine: EngineKind) {
    let f = Fixture::new(engine);
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

fn s14_a_closed_file_is_whole_after_a_power_cut(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let (old, new) = (pattern(300_000, 1), pattern(200_000, 2));
    for size in [70_000, 200_000] {
        let ino = f.write_file(root, "f", &old);
        f.ns.publish_all().unwrap();
        let handle = f.ns.open_file(&mount_caller(), ino, ANEW).unwrap();
        f.ns.write(&handle, 0, &new[..size]).unwrap();
        f.ns.flush(&handle).unwrap();
        assert_eq!(f.killed().get("f").unwrap(), new[..size], "closed, and the kernel's memory is there");
        // The worker that syncs closed files may have come by.
        let found = f.powered_off().get("f").unwrap();
        assert!(found == old || found == new[..size], "closed: {} bytes", found.len());
        f.ns.release(&handle).unwrap();
        f.ns.0.as_ref().unwrap().0.sync_closed().unwrap();
        assert_eq!(f.powered_off().get("f").unwrap(), new[..size], "closed and synced by the worker");
        f.ns.unlink(&mount_caller(), root, plain("f")).unwrap();
    }
}

fn s14_what_was_closed_before_does_not_vouch_for_what_is_written_now(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let old = pattern(100_000, 1);
    for others in [0, 40] {
        for i in 0..others {
            f.write_file(root, &format!("f{i}"), &pattern(70_000, i));
        }
        let ino = f.write_file(root, "f", &old);
        let handle = f.ns.open_file(&mount_caller(), ino, ANEW).unwrap();
        f.ns.write(&handle, 0, b"half of it").unwrap();
        // The worker comes for the first close.
        f.ns.0.as_ref().unwrap().0.sync_closed().unwrap();
        assert_eq!(f.killed().get("f").unwrap(), old, "{others} others");
        assert_eq!(f.powered_off().get("f").unwrap(), old, "{others} others");
        f.ns.release(&handle).unwrap();
        f.ns.unlink(&mount_caller(), root, plain("f")).unwrap();
    }
}

fn s14_a_name_that_is_replaced_by_rename_has_the_old_content_or_the_new(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let (old, new) = (pattern(300_000, 1), pattern(200_000, 2));
    f.write_file(root, "f", &old);
    f.ns.publish_all().unwrap();
    f.write_file(root, "aside", &new);
    let (from, to) = (plain("aside"), plain("f"));
    f.ns.rename(&mount_caller(), root, from, root, to, RenameMode::Replace).unwrap();
    assert_eq!(f.powered_off().get("f").unwrap(), new);
    assert!(!f.ns.rename_waits(root, to, root, from), "nothing is there to replace");
}

fn s14_many_closed_files_are_synced_together(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    for i in 0..40 {
        f.write_file(root, &format!("f{i}"), &pattern(70_000, i));
    }
    f.ns.0.as_ref().unwrap().0.sync_closed().unwrap();
    let after = f.powered_off();
    for i in 0..40 {
        assert_eq!(after.get(&format!("f{i}")).unwrap(), pattern(70_000, i), "f{i}");
    }
}

fn s14_opening_for_writing_risks_nothing_that_is_published(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let old = pattern(3_000_000, 1);
    let ino = f.write_file(root, "f", &old);
    f.ns.publish_all().unwrap();
    let handle = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    assert_eq!(f.powered_off().get("f").unwrap(), old);
    f.ns.write(&handle, 5, b"new").unwrap();
    assert_eq!(f.powered_off().get("f").unwrap(), old);
    f.ns.fsync(&handle, true).unwrap();
    let mut new = old;
    new[5..8].copy_from_slice(b"new");
    assert_eq!(f.powered_off().get("f").unwrap(), new);
    f.ns.release(&handle).unwrap();
}

fn a_release_that_would_wait_is_left_for_another_thread(kind: EngineKind) {
    let f = Fixture::new(kind);
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

    for (name, size) in [("small", 10), ("large", 100_000)] {
        let (stat, handle) = f.ns.create(&mount_caller(), root, plain(name), 0o644, WRITE).unwrap();
        f.ns.write(&handle, 0, &pattern(size, 2)).unwrap();
        f.ns.flush(&handle).unwrap();
        assert!(f.ns.release_at_once(&handle).unwrap());
        assert!(engine.lives.get(stat.ino).is_some(), "published later");
        assert_eq!(f.get(name).unwrap(), pattern(size, 2));
    }
    let (_, unnamed) = f.ns.create(&mount_caller(), root, plain("unnamed"), 0o644, WRITE).unwrap();
    f.ns.unlink(&mount_caller(), root, plain("unnamed")).unwrap();
    assert!(f.ns.release_at_once(&unnamed).unwrap());
}

on_every_engine!(
    s14_a_file_that_is_written_anew_keeps_its_old_content_until_it_is_closed_or_synced,
    s14_a_new_file_is_empty_until_it_is_closed_or_synced,
    s14_a_reader_beside_it_changes_nothing,
    writing_in_place_promises_no_more_than_posix,
    s14_a_closed_file_is_whole_after_a_power_cut,
    s14_what_was_closed_before_does_not_vouch_for_what_is_written_now,
    s14_a_name_that_is_replaced_by_rename_has_the_old_content_or_the_new,
    s14_many_closed_files_are_synced_together,
    s14_opening_for_writing_risks_nothing_that_is_published,
    a_release_that_would_wait_is_left_for_another_thread,
);
