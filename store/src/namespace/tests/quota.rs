//! Quotas: what is counted as it changes is what a count of everything finds, after anything at either door; what would be
//! too much is refused.

use super::{Fixture, WRITE, mount_caller, plain, s3_caller};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::meta::rows::Versioning;
use crate::namespace::mount_types::RenameMode;
use crate::namespace::quota::{Quota, Usage};
use crate::namespace::s3_types::{Precondition, VersionItem, VersionsRequest};

on_every_engine!(
    what_is_counted_is_what_is_there,
    what_would_be_too_much_is_refused,
    the_mount_is_refused_too,
    a_quota_outlives_the_node,
);

fn set(f: &Fixture, bytes: Option<u64>, objects: Option<u64>) {
    f.run(f.ns.set_bucket_quota(&s3_caller(), "pics", Some(Quota { bytes, objects }))).unwrap();
}

fn usage(f: &Fixture) -> Usage {
    f.ns.bucket_quota("pics").unwrap().unwrap().1
}

fn counted(f: &Fixture) -> Usage {
    let id = f.ns.bucket("pics").unwrap().id;
    (*f.ns).0.count(id).unwrap()
}

fn what_is_counted_is_what_is_there(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("before/a", b"12345");
    f.write_file(root, "mine", b"123");
    f.head("mine").unwrap();
    assert!(f.ns.bucket_quota("pics").unwrap().is_none());
    set(&f, Some(1 << 30), None);
    assert_eq!(usage(&f), Usage { bytes: 8, objects: 2 });
    let mut dice = 77_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let keys = ["a", "a/b", "a/c/d", "e", "f/", "f/g"];
    for step in 0..400 {
        let key = keys[roll(keys.len() as u64) as usize];
        match roll(12) {
            0..=3 => drop(f.put(key, &vec![1; roll(6000) as usize])),
            4 => f.delete(key),
            5 => {
                let state = [Versioning::Enabled, Versioning::Suspended][roll(2) as usize];
                f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
                    settings.versioning = state;
                    Ok(())
                }))
                .unwrap();
            }
            6 => {
                let page =
                    f.run(f.ns.list_versions(&s3_caller(), "pics", VersionsRequest { max: 100, ..Default::default() }));
                let Some(item) = page.unwrap().items.into_iter().next() else { continue };
                let (key, version) = match item {
                    VersionItem::Object(info, _) => (info.key, info.meta.version),
                    VersionItem::Marker(marker, _) => (marker.key, marker.version),
                    VersionItem::Prefix(_) => continue,
                };
                f.run(f.ns.delete_version(&s3_caller(), "pics", &key, version)).unwrap();
            }
            7 => {
                let to = keys[roll(keys.len() as u64) as usize];
                let none = (Precondition::default(), Precondition::default());
                let _ = f.run(f.ns.rename_object(&s3_caller(), "pics", (key.as_bytes(), to.as_bytes()), none));
            }
            8 => {
                let name = format!("w{}", roll(3));
                let _ = f.ns.unlink(&mount_caller(), root, plain(&name));
                f.write_file(root, &name, &vec![2; roll(9000) as usize]);
                f.head(&name).unwrap();
            }
            9 => {
                let Ok(stat) = f.ns.lookup(root, plain("w0")) else { continue };
                let _ = f.ns.link(&mount_caller(), stat.ino, root, plain(&format!("l{}", roll(3))));
            }
            10 => drop(f.ns.unlink(&mount_caller(), root, plain(&format!("l{}", roll(3))))),
            _ => {
                let (from, to) = (format!("w{}", roll(3)), format!("l{}", roll(3)));
                let _ = f.ns.rename(&mount_caller(), root, plain(&from), root, plain(&to), RenameMode::Replace);
            }
        }
        assert_eq!(usage(&f), counted(&f), "step {step}");
    }
    assert!(usage(&f).objects > 0);
}

fn what_would_be_too_much_is_refused(engine: EngineKind) {
    let f = Fixture::new(engine);
    let put = |key: &str, len: usize| {
        let put = f.run(f.ns.put(&s3_caller(), "pics", key.as_bytes(), f.request(&vec![1; len])));
        put.map(drop).map_err(|e| e.kind())
    };
    set(&f, Some(100), Some(2));
    assert_eq!(put("a", 101), Err(ErrorKind::QuotaExceeded));
    put("a", 60).unwrap();
    assert_eq!(put("b", 41), Err(ErrorKind::QuotaExceeded));
    put("a", 100).unwrap();
    put("a", 40).unwrap();
    put("b", 60).unwrap();
    assert_eq!(put("c", 0), Err(ErrorKind::QuotaExceeded));
    assert_eq!(f.keys(), ["a", "b"]);
    set(&f, Some(50), None);
    // Used up already: what shrinks goes on.
    assert_eq!(usage(&f), Usage { bytes: 100, objects: 2 });
    put("b", 30).unwrap();
    assert_eq!(put("b", 31), Err(ErrorKind::QuotaExceeded));
    f.delete("a");
    put("c", 20).unwrap();
    f.run(f.ns.set_bucket_quota(&s3_caller(), "pics", None)).unwrap();
    put("c", 5000).unwrap();
    assert!(f.ns.bucket_quota("pics").unwrap().is_none());
}

fn the_mount_is_refused_too(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    set(&f, Some(10), None);
    f.write_file(root, "full", b"0123456789abcdef");
    // What is open when the quota is used up is published all the same.
    assert_eq!(f.head("full").unwrap().size, 16);
    let refused = |result: crate::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    refused(f.ns.create(&mount_caller(), root, plain("new"), 0o644, WRITE).map(drop));
    refused(f.ns.open_file(&mount_caller(), f.ino("full").unwrap(), WRITE).map(drop));
    f.ns.unlink(&mount_caller(), root, plain("full")).unwrap();
    assert_eq!(usage(&f), Usage::default());
    f.write_file(root, "new", b"1");
    assert_eq!(f.head("new").unwrap().size, 1);
}

fn a_quota_outlives_the_node(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    set(&f, Some(100), None);
    f.put("a", &[1; 60]);
    let crashed = f.killed();
    assert_eq!(usage(&crashed), Usage { bytes: 60, objects: 1 });
    f.reopen();
    assert_eq!(usage(&f), Usage { bytes: 60, objects: 1 });
    f.delete("a");
    f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap();
    assert_eq!(f.ns.bucket_quota("pics").unwrap_err().kind(), ErrorKind::NoSuchBucket);
}
