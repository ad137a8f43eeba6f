//! The mount's names: make, remove, rename, link; and what S3 sees of it.

use super::{Fixture, READ, WRITE, mount_caller, plain};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::namespace::mount_types::{FileKind, Form, Name, RenameMode, SetAttr, Special};

fn a_renamed_directory_moves_all_keys_at_once(engine: EngineKind) {
    let f = Fixture::new(engine);
    for n in 0..50 {
        f.put(&format!("old/deep/{n:02}"), b"x");
    }
    let root = f.bucket_ino();
    f.ns.rename(&mount_caller(), root, plain("old"), root, plain("new"), RenameMode::Replace).unwrap();
    let keys = f.keys();
    assert_eq!(keys.len(), 50);
    assert!(keys.iter().all(|key| key.starts_with("new/deep/")), "{keys:?}");
    assert_eq!(f.cat("new/deep/07").unwrap(), b"x");
}

fn a_directory_does_not_move_below_itself(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("a/b/c", b"x");
    let (root, a, b) = (f.bucket_ino(), f.ino("a").unwrap(), f.ino("a/b").unwrap());
    for to in [a, b] {
        let error = f.ns.rename(&mount_caller(), root, plain("a"), to, plain("z"), RenameMode::Replace).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

fn rename_replaces_refuses_or_swaps(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("one", b"1");
    f.put("two", b"2");
    let go = |mode| f.ns.rename(&mount_caller(), root, plain("one"), root, plain("two"), mode);
    assert_eq!(go(RenameMode::NoReplace).unwrap_err().kind(), ErrorKind::AlreadyExists);
    go(RenameMode::Exchange).unwrap();
    assert_eq!((f.get("one").unwrap(), f.get("two").unwrap()), (b"2".to_vec(), b"1".to_vec()));
    go(RenameMode::Replace).unwrap();
    assert_eq!(f.keys(), ["two"]);
    assert_eq!(f.get("two").unwrap(), b"2");
    f.put("dir/x", b"x");
    let over = |from, to| f.ns.rename(&mount_caller(), root, plain(from), root, plain(to), RenameMode::Replace);
    assert_eq!(over("two", "dir").unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(over("dir", "two").unwrap_err().kind(), ErrorKind::NotADirectory);
    f.put("full/x", b"x");
    assert_eq!(over("dir", "full").unwrap_err().kind(), ErrorKind::NotEmpty);
}

fn hard_links_are_keys_of_one_inode(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("a", b"shared");
    let ino = f.ino("a").unwrap();
    let stat = f.ns.link(&mount_caller(), ino, root, plain("b")).unwrap();
    assert_eq!((stat.ino, stat.nlink), (ino, 2));
    assert_eq!(f.get("b").unwrap(), b"shared");
    let handle = f.ns.open_file(&mount_caller(), ino, WRITE).unwrap();
    f.ns.write(&handle, 0, b"SH").unwrap();
    f.ns.flush(&handle).unwrap();
    f.ns.release(&handle).unwrap();
    assert_eq!((f.get("a").unwrap(), f.get("b").unwrap()), (b"SHared".to_vec(), b"SHared".to_vec()));
    // A PUT over one name detaches it (ruling 25).
    f.put("a", b"alone");
    assert_eq!(f.get("b").unwrap(), b"SHared");
    assert_eq!(f.ns.getattr(ino).unwrap().nlink, 1);
    f.ns.unlink(&mount_caller(), root, plain("b")).unwrap();
    assert_eq!(f.keys(), ["a"]);
}

fn the_mounts_last_unlink_keeps_the_directory(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("d/x", b"x");
    let d = f.ino("d").unwrap();
    f.ns.unlink(&mount_caller(), d, plain("x")).unwrap();
    assert_eq!(f.keys(), ["d/"], "the parent became explicit");
    assert!(f.ino("d").is_ok());
}

fn what_s3_has_no_word_for_is_not_listed(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.ns.mknod(&mount_caller(), root, plain("pipe"), 0o600, Special::Fifo).unwrap();
    assert!(f.keys().is_empty());
    assert_eq!(f.head("pipe").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(f.names(root), ["pipe"]);
    // A directory that holds only such a thing is a key itself.
    f.put("d/x", b"x");
    f.ns.mknod(&mount_caller(), f.ino("d").unwrap(), plain("sock"), 0o600, Special::Socket).unwrap();
    f.delete("d/x");
    assert_eq!(f.keys(), ["d/"]);
}

fn a_symlink_is_an_object_with_its_target(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let stat = f.ns.symlink(&mount_caller(), root, plain("link"), b"to/there").unwrap();
    assert_eq!((stat.kind, stat.size), (FileKind::Symlink, 8));
    assert_eq!(f.ns.readlink(stat.ino).unwrap(), b"to/there");
    let info = f.head("link").unwrap();
    assert_eq!(info.meta.headers.content_type.as_deref(), Some("inode/symlink"));
    assert_eq!(f.get("link").unwrap(), b"to/there");
}

fn the_forms_of_a_name_reach_every_object(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("a", b"object");
    f.put("a/", b"marker");
    f.put("a/b", b"below");
    assert_eq!(f.ns.lookup(root, plain("a")).unwrap().kind, FileKind::Directory);
    let object = f.ns.lookup(root, Name { bytes: b"a", form: Form::Object }).unwrap();
    assert_eq!((object.kind, object.size), (FileKind::File, 6));
    let dir = f.ino("a").unwrap();
    let marker = f.ns.lookup(dir, Name { bytes: b"", form: Form::Marker }).unwrap();
    let handle = f.ns.open_file(&mount_caller(), marker.ino, READ).unwrap();
    assert_eq!(f.read_all(&handle).unwrap(), b"marker");
    let forms: Vec<_> = f.ns.readdir(root, None, 10).unwrap().into_iter().map(|e| (e.name, e.form)).collect();
    assert_eq!(forms, [(b"a".to_vec(), Form::Object), (b"a".to_vec(), Form::Plain)]);
    let inside: Vec<_> = f.ns.readdir(dir, None, 10).unwrap().into_iter().map(|e| e.form).collect();
    assert_eq!(inside, [Form::Marker, Form::Plain]);
    let error = f.ns.rmdir(&mount_caller(), root, plain("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEmpty);
}

fn a_removed_directory_that_is_held_stays_an_unlinked_one(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("d/x", b"x");
    let d = f.ino("d").unwrap();
    f.ns.opendir(d).unwrap();
    f.delete("d/x");
    assert!(f.ino("d").is_err());
    assert_eq!(f.ns.getattr(d).unwrap().nlink, 0);
    assert!(f.ns.readdir(d, None, 10).unwrap().is_empty());
    let error = f.ns.create(&mount_caller(), d, plain("y"), 0o644, WRITE).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn buckets_are_the_roots_directories(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.ns.mount_root(&[]).unwrap().ino;
    let bad = f.ns.mkdir(&mount_caller(), root, plain("Not_A_Bucket"), 0o755).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::InvalidArgument);
    f.ns.mkdir(&mount_caller(), root, plain("made-here"), 0o755).unwrap();
    assert!(f.ns.bucket("made-here").is_ok());
    assert_eq!(f.names(root), ["made-here", "pics"]);
    let file = f.ns.create(&mount_caller(), root, plain("file"), 0o644, WRITE).map(|_| ()).unwrap_err();
    assert_eq!(file.kind(), ErrorKind::NotPermitted);
    let (a, b) = (plain("pics"), plain("other"));
    let moved = f.ns.rename(&mount_caller(), root, a, root, b, RenameMode::Replace).unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::NotPermitted);
    f.ns.rmdir(&mount_caller(), root, plain("made-here")).unwrap();
    assert!(f.ns.bucket("made-here").is_err());
}

fn attributes_survive_a_restart(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    f.put("d/f", b"x");
    let set = SetAttr { mode: Some(0o640), uid: Some(7), gid: Some(8), ..SetAttr::default() };
    f.ns.setattr(&mount_caller(), f.ino("d/f").unwrap(), set).unwrap();
    f.ns.setattr(&mount_caller(), f.ino("d").unwrap(), SetAttr { mode: Some(0o2700), ..set }).unwrap();
    f.reopen();
    let file = f.ns.getattr(f.ino("d/f").unwrap()).unwrap();
    assert_eq!((file.mode, file.uid, file.gid), (0o640, 7, 8));
    let dir = f.ns.getattr(f.ino("d").unwrap()).unwrap();
    assert_eq!((dir.mode, dir.uid, dir.gid), (0o2700, 7, 8));
}

on_every_engine!(
    a_renamed_directory_moves_all_keys_at_once,
    a_directory_does_not_move_below_itself,
    rename_replaces_refuses_or_swaps,
    hard_links_are_keys_of_one_inode,
    the_mounts_last_unlink_keeps_the_directory,
    what_s3_has_no_word_for_is_not_listed,
    a_symlink_is_an_object_with_its_target,
    the_forms_of_a_name_reach_every_object,
    a_removed_directory_that_is_held_stays_an_unlinked_one,
    buckets_are_the_roots_directories,
    attributes_survive_a_restart,
);
