//! RenameObject as the mount sees it.

use super::{Fixture, mount_caller, plain, s3_caller};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::meta::rows::{DefaultRetention, ObjectLock, RetentionMode, RetentionTime, Versioning};
use crate::namespace::mount_types::RenameMode;
use crate::namespace::s3_types::Precondition;

on_every_engine!(the_mount_sees_a_rename, names_of_one_file, what_moves_is_locked_as_what_is_put);

fn rename(f: &Fixture, from: &str, to: &str) -> crate::Result<()> {
    let none = (Precondition::default(), Precondition::default());
    f.run(f.ns.rename_object(&s3_caller(), "pics", (from.as_bytes(), to.as_bytes()), none))
}

fn the_mount_sees_a_rename(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("dir/sub/a", b"bytes");
    let ino = f.ino("dir/sub/a").unwrap();
    rename(&f, "dir/sub/a", "b").unwrap();
    // The directories that only its key implied are gone, and the inode is the same.
    assert_eq!(f.names(root), ["b"]);
    assert_eq!(f.ino("b").unwrap(), ino);
    assert_eq!(f.cat("b").unwrap(), b"bytes");
    // What the mount wrote and did not publish goes along.
    f.write_file(root, "fresh", b"not published");
    rename(&f, "fresh", "x/y").unwrap();
    assert_eq!((f.get("x/y").unwrap(), f.cat("x/y").unwrap()), (b"not published".to_vec(), b"not published".to_vec()));
    f.ns.mkdir(&mount_caller(), root, plain("kept"), 0o755).unwrap();
    f.put("kept/one", b"1");
    rename(&f, "kept/one", "two").unwrap();
    assert_eq!(f.names(root), ["b", "kept", "two", "x"]);
    assert_eq!(rename(&f, "kept/one", "two").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rename(&f, "kept/", "two").unwrap_err().kind(), ErrorKind::InvalidArgument);
}

fn names_of_one_file(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let ino = f.write_file(root, "a", b"linked");
    f.head("a").unwrap();
    f.ns.link(&mount_caller(), ino, root, plain("b")).unwrap();
    rename(&f, "a", "b").unwrap();
    assert_eq!((f.names(root), f.get("b").unwrap()), (vec!["b".to_owned()], b"linked".to_vec()));
    f.ns.link(&mount_caller(), f.ino("b").unwrap(), root, plain("c")).unwrap();
    rename(&f, "c", "d/e").unwrap();
    assert_eq!(f.keys(), ["b", "d/e"]);
    assert_eq!(f.ns.getattr(f.ino("b").unwrap()).unwrap().nlink, 2);
}

fn what_moves_is_locked_as_what_is_put(engine: EngineKind) {
    let f = Fixture::new(engine);
    let default = DefaultRetention { mode: RetentionMode::Governance, time: RetentionTime::Days(1) };
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = Versioning::Enabled;
        settings.object_lock = Some(ObjectLock { default: Some(default) });
        Ok(())
    }))
    .unwrap();
    let bucket = f.ns.bucket("pics").unwrap().id;
    let is_locked = |key: &str| {
        let version = f.head(key).unwrap().meta.version;
        f.ns.lock(bucket, key.as_bytes(), version).unwrap().retention.is_some()
    };
    f.put("a", b"1");
    assert!(is_locked("a"));
    rename(&f, "a", "b").unwrap();
    assert!(is_locked("b"));
    let root = f.bucket_ino();
    f.ns.rename(&mount_caller(), root, plain("b"), root, plain("c"), RenameMode::Replace).unwrap();
    assert!(is_locked("c"));
    f.put("d", b"2");
    f.ns.rename(&mount_caller(), root, plain("c"), root, plain("d"), RenameMode::Exchange).unwrap();
    assert!(is_locked("c") && is_locked("d"));
}
