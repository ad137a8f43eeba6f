//! Bytes written at the mount, and how the other door sees them.

use super::{Fixture, READ, WRITE, mount_caller, pattern, plain};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::namespace::mount_types::{OpenMode, SetAttr};
use crate::unixfs::raw_cid;

fn what_is_written_and_closed_is_got(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let root = f.bucket_ino();
    let sizes = [0, 1, 4096, 4097, 65_537, (1 << 20) + 1, 3 << 20];
    for size in sizes {
        let body = pattern(size, 3);
        f.write_file(root, &format!("f{size}"), &body);
        assert_eq!(f.get(&format!("f{size}")).unwrap(), body, "{size} bytes by S3");
        assert_eq!(f.cat(&format!("f{size}")).unwrap(), body, "{size} bytes at the mount");
    }
    f.reopen();
    for size in sizes {
        assert_eq!(f.get(&format!("f{size}")).unwrap(), pattern(size, 3), "{size} bytes after a restart");
    }
}

fn a_listing_shows_a_closed_file_and_does_not_wait_for_an_open_one(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.write_file(root, "closed", &pattern(100_000, 1));
    let (_, open) = f.ns.create(&mount_caller(), root, plain("open"), 0o644, WRITE).unwrap();
    f.ns.write(&open, 0, &pattern(200_000, 2)).unwrap();
    let sizes = |f: &Fixture| {
        let page = f.list(crate::namespace::s3_types::ListRequest { max: 10, ..Default::default() });
        page.items
            .into_iter()
            .map(|item| match item {
                crate::namespace::s3_types::ListItem::Object(info) => info.size,
                crate::namespace::s3_types::ListItem::Prefix(_) => u64::MAX,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&f), [100_000, 0]);
    f.ns.flush(&open).unwrap();
    assert_eq!(sizes(&f), [100_000, 200_000], "visible from the flush on");
    f.ns.release(&open).unwrap();
}

fn a_put_over_an_open_file_leaves_the_handle_its_bytes(engine: EngineKind) {
    let f = Fixture::new(engine);
    let (old, new) = (pattern(300_000, 1), pattern(300_000, 2));
    f.put("k", &old);
    let ino = f.ino("k").unwrap();
    let reader = f.ns.open_file(&mount_caller(), ino, READ).unwrap();
    let writer = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    f.put("k", &new);
    f.ns.collect().unwrap();
    f.ns.write(&writer, 0, b"late").unwrap();
    assert_eq!(&f.ns.read(&reader, 0, 4).unwrap()[..], b"late", "one inode, now without a name");
    assert_eq!(f.ns.getattr(ino).unwrap().nlink, 0);
    f.ns.flush(&writer).unwrap();
    f.ns.release(&writer).unwrap();
    f.ns.release(&reader).unwrap();
    assert_eq!(f.get("k").unwrap(), new, "its close does not resurrect the name");
    assert_ne!(f.ino("k").unwrap(), ino);
}

fn a_reader_keeps_the_replaced_content(engine: EngineKind) {
    let f = Fixture::new(engine);
    let old = pattern(2 << 20, 1);
    f.put("k", &old);
    let reader = f.ns.open_file(&mount_caller(), f.ino("k").unwrap(), READ).unwrap();
    f.put("k", b"new");
    f.ns.collect().unwrap();
    assert_eq!(f.ns.read(&reader, 0, old.len()).unwrap(), old);
}

/// Between a kernel's lookup and its open the other door may take the name away: what was looked up is what opens.
fn s7_what_was_looked_up_opens_though_its_name_went(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    for size in [60, 100_000, 3_000_000] {
        for published in [false, true] {
            let (_, handle) = f.ns.create(&mount_caller(), root, plain("k"), 0o644, WRITE).unwrap();
            let known = handle.ino();
            f.ns.write(&handle, 0, &pattern(size, 1)).unwrap();
            f.ns.flush(&handle).unwrap();
            f.ns.release(&handle).unwrap();
            drop(handle);
            if published {
                f.ns.publish_all().unwrap();
            }
            f.put("k", b"new");
            f.ns.publish_all().unwrap();
            f.ns.collect().unwrap();
            let stat = f.ns.getattr(known).unwrap();
            assert_eq!((stat.size, stat.nlink), (size as u64, 0), "what it was");
            for mode in [READ, WRITE, READ] {
                let handle = f.ns.open_file(&mount_caller(), known, mode).unwrap();
                assert_eq!(f.read_all(&handle).unwrap(), pattern(size, 1));
                f.ns.flush(&handle).unwrap();
                f.ns.release(&handle).unwrap();
                f.ns.publish_all().unwrap();
                f.ns.collect().unwrap();
            }
            // The kernel's lookup count of the creation.
            f.ns.forget(known, 1);
            assert!(f.ns.getattr(known).is_err(), "nobody knows it any more");
            f.delete("k");
            f.ns.publish_all().unwrap();
            f.ns.collect().unwrap();
            let usage = f.ns.chunks().usage().unwrap();
            assert_eq!(
                (usage.objects, f.ns.chunks().list_live().unwrap().len()),
                (0, 0),
                "{size} {published}: {usage:?}"
            );
        }
    }
}

fn unlink_while_open_keeps_the_bytes_until_the_last_close(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let (_, handle) = f.ns.create(&mount_caller(), root, plain("gone"), 0o644, WRITE).unwrap();
    f.ns.write(&handle, 0, b"still here").unwrap();
    f.ns.unlink(&mount_caller(), root, plain("gone")).unwrap();
    assert_eq!(&f.ns.read(&handle, 0, 100).unwrap()[..], b"still here");
    assert!(f.keys().is_empty());
    f.ns.release(&handle).unwrap();
    assert!(f.keys().is_empty());
    // The kernel's lookup count of the creation.
    f.ns.forget(handle.ino(), 1);
    f.ns.publish_all().unwrap();
    assert!(f.ns.chunks().list_live().unwrap().is_empty());
}

fn writing_in_place_changes_the_cid_and_the_etag(engine: EngineKind) {
    let f = Fixture::new(engine);
    let mut body = pattern(70_000, 1);
    let before = f.put("k", &body);
    let handle = f.ns.open_file(&mount_caller(), f.ino("k").unwrap(), WRITE).unwrap();
    f.ns.write(&handle, 10, b"changed").unwrap();
    body[10..17].copy_from_slice(b"changed");
    f.ns.flush(&handle).unwrap();
    f.ns.release(&handle).unwrap();
    let after = f.head("k").unwrap();
    assert_eq!(after.cid, raw_cid(&body));
    assert_ne!(after.meta.etag, before.meta.etag);
    assert!(after.meta.etag.0.ends_with("-1"), "{}", after.meta.etag);
    assert_eq!(f.get("k").unwrap(), body);
    let xattr = f.ns.getxattr(f.ino("k").unwrap(), b"user.pinfold.cid").unwrap();
    assert_eq!(xattr, after.cid.to_string().into_bytes());
}

fn truncate_append_and_sparse_files(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let ino = f.write_file(root, "t", b"0123456789");
    f.ns.setattr(&mount_caller(), ino, SetAttr { size: Some(4), ..SetAttr::default() }).unwrap();
    assert_eq!(f.get("t").unwrap(), b"0123");
    f.ns.setattr(&mount_caller(), ino, SetAttr { size: Some(6), ..SetAttr::default() }).unwrap();
    let append = OpenMode { append: true, ..WRITE };
    let handle = f.ns.open_file(&mount_caller(), ino, append).unwrap();
    f.ns.write(&handle, 0, b"end").unwrap();
    f.ns.release(&handle).unwrap();
    assert_eq!(f.get("t").unwrap(), b"0123\0\0end");
    let cut = f.ns.open_file(&mount_caller(), ino, OpenMode { truncate: true, ..WRITE }).unwrap();
    assert_eq!(f.ns.getattr(ino).unwrap().size, 0);
    drop(cut);
    assert_eq!(f.get("t").unwrap(), b"");
    let too_far = f.ns.setattr(&mount_caller(), ino, SetAttr { size: Some(6 << 40), ..SetAttr::default() });
    assert_eq!(too_far.unwrap_err().kind(), ErrorKind::TooLarge);
    f.ns.setattr(&mount_caller(), ino, SetAttr { size: Some(1 << 30), ..SetAttr::default() }).unwrap();
    let info = f.head("t").unwrap();
    assert_eq!((info.size, info.leaves), (1 << 30, 1024));
    assert!(f.ns.chunks().usage().unwrap().object_bytes < 1 << 20, "a hole is not stored");
}

fn a_passthrough_reader_sees_a_writer_of_the_same_file(engine: EngineKind) {
    let f = Fixture::new(engine);
    let body = pattern(3 << 20, 1);
    f.put("k", &body);
    f.put("twin", &body);
    let ino = f.ino("k").unwrap();
    let reader = f.ns.open_file(&mount_caller(), ino, READ).unwrap();
    let backing = reader.passthrough().expect("a content file is read directly");
    let twin = f.ns.open_file(&mount_caller(), f.ino("twin").unwrap(), READ).unwrap();
    assert!(twin.passthrough().is_none(), "the same content file backs one inode at a time");
    let (_, s3_reader) = f.run(f.ns.get(&super::s3_caller(), "pics", b"k")).unwrap();
    let writer = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    assert!(writer.passthrough().is_some(), "all opens of an inode share its backing file");
    f.ns.write(&writer, 0, b"NEW").unwrap();
    let mut seen = [0; 3];
    std::os::unix::fs::FileExt::read_exact_at(&*backing, &mut seen, 0).unwrap();
    assert_eq!(&seen, b"NEW");
    assert_eq!(f.ns.read(&twin, 0, body.len()).unwrap(), body, "another object's bytes do not change");
    assert_eq!(s3_reader.read_at(0, body.len()).unwrap(), body, "nor those of a GET that has begun");
    f.ns.flush(&writer).unwrap();
    f.ns.release(&writer).unwrap();
    f.ns.release(&reader).unwrap();
    let mut new = body.clone();
    new[..3].copy_from_slice(b"NEW");
    assert_eq!(f.get("k").unwrap(), new);
    assert_eq!(f.get("twin").unwrap(), body);
}

fn times_follow_the_writes(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let ino = f.write_file(root, "t", b"x");
    let past = crate::types::Timestamp { secs: 1_000_000, nanos: 123_456_789 };
    let set = SetAttr { mtime: Some(crate::namespace::mount_types::SetTime::At(past)), ..SetAttr::default() };
    f.ns.setattr(&mount_caller(), ino, set).unwrap();
    assert_eq!(f.ns.getattr(ino).unwrap().mtime, past);
    let handle = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    assert_eq!(f.ns.getattr(ino).unwrap().mtime, past, "opening is not writing");
    f.ns.write(&handle, 0, b"y").unwrap();
    assert!(f.ns.getattr(ino).unwrap().mtime > past);
    f.ns.setattr(&mount_caller(), ino, set).unwrap();
    f.ns.release(&handle).unwrap();
    assert_eq!(f.head("t").unwrap().mtime, past, "what was set last stays");
}

fn a_flushed_file_is_visible_before_its_release_and_under_its_new_name(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    for n in 0..40 {
        let (stat, handle) = f.ns.create(&mount_caller(), root, plain("plain"), 0o644, WRITE).unwrap();
        f.ns.write(&handle, 0, b"moved").unwrap();
        f.ns.flush(&handle).unwrap();
        let new = format!("new{n}");
        let replace = crate::namespace::mount_types::RenameMode::Replace;
        f.ns.rename(&mount_caller(), root, plain("plain"), root, plain(&new), replace).unwrap();
        if n % 4 == 0 {
            // No RELEASE comes while we wait.
            assert_eq!(f.get(&new).unwrap(), b"moved", "before the release, {n}");
            f.ns.release(&handle).unwrap();
        } else {
            std::thread::scope(|scope| {
                scope.spawn(|| f.ns.release(&handle).unwrap());
                assert_eq!(f.get(&new).unwrap(), b"moved", "while it is released, {n}");
            });
        }
        assert_eq!(f.get(&new).unwrap(), b"moved", "after the release, {n}");
        f.ns.forget(stat.ino, 1);
    }
}

on_every_engine!(
    what_is_written_and_closed_is_got,
    a_listing_shows_a_closed_file_and_does_not_wait_for_an_open_one,
    a_put_over_an_open_file_leaves_the_handle_its_bytes,
    a_reader_keeps_the_replaced_content,
    s7_what_was_looked_up_opens_though_its_name_went,
    unlink_while_open_keeps_the_bytes_until_the_last_close,
    writing_in_place_changes_the_cid_and_the_etag,
    truncate_append_and_sparse_files,
    a_passthrough_reader_sees_a_writer_of_the_same_file,
    times_follow_the_writes,
    a_flushed_file_is_visible_before_its_release_and_under_its_new_name,
);
