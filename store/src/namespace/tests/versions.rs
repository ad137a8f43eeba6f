//! Versions: every sequence of PUT, DELETE, DELETE of a version, and changes of the bucket's state agrees with a model; the
//! mount's unlink, rename and write keep versions too; locks hold at both doors.

use std::collections::BTreeMap;

use super::{Fixture, WRITE, mount_caller, plain, s3_caller};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::meta::kept::{LockRow, Retention};
use crate::meta::rows::{ObjectLock, RetentionMode, Versioning};
use crate::namespace::mount_types::RenameMode;
use crate::namespace::s3_types::{ObjectInfo, PutMeta, PutRequest, VersionItem, VersionsRequest};
use crate::types::{Id, Timestamp};

const NULL: Id = Id([0; 16]);

/// One version in the model: its id and its bytes; none is a delete marker.
type Version = (Id, Option<Vec<u8>>);

/// Per key, the newest first.
type Model = BTreeMap<Vec<u8>, Vec<Version>>;

on_every_engine!(
    every_sequence_agrees_with_a_model,
    the_mount_keeps_versions_too,
    locks_hold_at_both_doors,
    locks_bind_what_a_key_holds_where_there_are_no_versions,
);

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn set_versioning(f: &Fixture, versioning: Versioning) {
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = versioning;
        Ok(())
    }))
    .unwrap();
}

fn listed(f: &Fixture, max: usize) -> Vec<(Vec<u8>, Id, bool, bool)> {
    let mut all = Vec::new();
    let mut request = VersionsRequest { max, ..VersionsRequest::default() };
    loop {
        let page = f.run(f.ns.list_versions(&s3_caller(), "pics", request.clone())).unwrap();
        for item in page.items {
            match item {
                VersionItem::Object(info, latest) => all.push((info.key, info.meta.version, false, latest)),
                VersionItem::Marker(marker, latest) => all.push((marker.key, marker.version, true, latest)),
                VersionItem::Prefix(_) => panic!("no delimiter was asked for"),
            }
        }
        if !page.truncated {
            return all;
        }
        request.after = all.last().map(|(key, version, ..)| (key.clone(), Some(*version)));
    }
}

fn check(f: &Fixture, model: &Model) {
    let mut expected = Vec::new();
    for (key, versions) in model {
        for (n, (id, bytes)) in versions.iter().enumerate() {
            expected.push((key.clone(), *id, bytes.is_none(), n == 0));
            let got = f.run(f.ns.head_version(&s3_caller(), "pics", key, Some(*id)));
            match bytes {
                Some(bytes) => assert_eq!(got.unwrap().cid, crate::unixfs::raw_cid(bytes)),
                None => assert_eq!(got.unwrap_err().kind(), ErrorKind::MethodNotAllowed),
            }
        }
        let current = f.run(f.ns.head(&s3_caller(), "pics", key));
        match versions.first() {
            Some((id, Some(_))) => assert_eq!(current.unwrap().meta.version, *id),
            first => {
                let error = current.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
                assert_eq!(error.context("marker").is_some(), first.is_some());
            }
        }
    }
    assert_eq!(listed(f, 1000), expected);
    assert_eq!(listed(f, 3), expected, "pages");
}

fn every_sequence_agrees_with_a_model(engine: EngineKind) {
    for seed in 0..6 {
        let f = Fixture::new(engine);
        let (mut dice, mut model, mut state) = (Dice(seed), Model::new(), Versioning::Off);
        // Keys that share directories and prefixes.
        let keys: [&[u8]; 5] = [b"a", b"a/b", b"a/b/c", b"a!", b"d/"];
        for n in 0..90u32 {
            let key = keys[dice.roll(5) as usize].to_vec();
            let versions = model.entry(key.clone()).or_default();
            match dice.roll(10) {
                0 => {
                    state = [Versioning::Enabled, Versioning::Suspended][dice.roll(2) as usize];
                    set_versioning(&f, state);
                }
                1..=5 => {
                    let bytes = n.to_be_bytes().to_vec();
                    let id = f.put(std::str::from_utf8(&key).unwrap(), &bytes).meta.version;
                    assert_eq!(id == NULL, state != Versioning::Enabled);
                    versions.retain(|(old, _)| *old != id);
                    versions.insert(0, (id, Some(bytes)));
                }
                6..=7 => {
                    let out = f.run(f.ns.delete(&s3_caller(), "pics", &key, Default::default())).unwrap();
                    assert_eq!(out.marker, state != Versioning::Off);
                    match out.version {
                        None => versions.clear(),
                        Some(id) => {
                            versions.retain(|(old, _)| *old != id);
                            versions.insert(0, (id, None));
                        }
                    }
                }
                _ if versions.is_empty() => {
                    let out = f.run(f.ns.delete_version(&s3_caller(), "pics", &key, Id([9; 16]))).unwrap();
                    assert!(!out.existed);
                }
                _ => {
                    let (id, bytes) = versions.remove(dice.roll(versions.len() as u64) as usize);
                    let out = f.run(f.ns.delete_version(&s3_caller(), "pics", &key, id)).unwrap();
                    assert_eq!((out.existed, out.marker), (true, bytes.is_none()));
                }
            }
            if versions.is_empty() {
                model.remove(&key);
            }
            if n % 15 == 14 {
                check(&f, &model);
            }
        }
        check(&f, &model);
        let full = f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::NotEmpty);
        for (key, versions) in &model {
            for (id, _) in versions {
                f.run(f.ns.delete_version(&s3_caller(), "pics", key, *id)).unwrap();
            }
        }
        assert_eq!(listed(&f, 10), []);
        f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap();
        // Nothing holds any content any more.
        let rows = f.ns.metadata().range(b"I", b"J", 10).unwrap();
        assert_eq!(rows, [], "seed {seed}");
    }
}

fn read_version(f: &Fixture, key: &[u8], version: Id) -> Vec<u8> {
    let (info, reader) = f.run(f.ns.get_version(&s3_caller(), "pics", key, Some(version))).unwrap();
    reader.read_at(0, info.size as usize).unwrap().to_vec()
}

/// `d/f` with a lock.
fn put_locked(f: &Fixture, lock: Option<LockRow>) -> ObjectInfo {
    let request = PutRequest { meta: PutMeta { lock, ..PutMeta::default() }, ..f.request(b"locked") };
    f.run(f.ns.put(&s3_caller(), "pics", b"d/f", request)).unwrap()
}

fn versions_of(f: &Fixture, key: &[u8]) -> Vec<(bool, Option<Vec<u8>>)> {
    let of_key = |(found, ..): &(Vec<u8>, Id, bool, bool)| found == key;
    let all = listed(f, 1000).into_iter().filter(of_key);
    all.map(|(_, id, marker, _)| (marker, (!marker).then(|| read_version(f, key, id)))).collect()
}

fn the_mount_keeps_versions_too(engine: EngineKind) {
    let f = Fixture::new(engine);
    set_versioning(&f, Versioning::Enabled);
    f.put("d/f", b"one");
    let dir = f.ino("d").unwrap();
    let file = f.ino("d/f").unwrap();
    // Written over in place, published twice while it is open: one version more.
    let handle = f.ns.open_file(&mount_caller(), file, WRITE).unwrap();
    f.ns.write(&handle, 0, b"two").unwrap();
    assert_eq!(f.get("d/f").unwrap(), b"two");
    f.ns.write(&handle, 0, b"2wo").unwrap();
    f.ns.flush(&handle).unwrap();
    f.ns.release(&handle).unwrap();
    assert_eq!(f.get("d/f").unwrap(), b"2wo");
    let some = |bytes: &[u8]| (false, Some(bytes.to_vec()));
    assert_eq!(versions_of(&f, b"d/f"), [some(b"2wo"), some(b"one")]);
    // Renamed: a marker over what was, a version where it goes to.
    let (from, to) = (plain("f"), plain("g"));
    f.put("d/g", b"there");
    f.ns.rename(&mount_caller(), dir, from, dir, to, RenameMode::Replace).unwrap();
    assert_eq!(versions_of(&f, b"d/f"), [(true, None), some(b"2wo"), some(b"one")]);
    assert_eq!(versions_of(&f, b"d/g"), [some(b"2wo"), some(b"there")]);
    // Unlinked: as DELETE.
    f.ns.unlink(&mount_caller(), dir, to).unwrap();
    assert_eq!(versions_of(&f, b"d/g"), [(true, None), some(b"2wo"), some(b"there")]);
}

fn locks_hold_at_both_doors(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = Versioning::Enabled;
        settings.object_lock = Some(ObjectLock::default());
        Ok(())
    }))
    .unwrap();
    let far = Retention { mode: RetentionMode::Governance, until: Timestamp { secs: i64::MAX / 2, nanos: 0 } };
    let lock = Some(LockRow { retention: Some(far), legal_hold: None });
    let locked = put_locked(&f, lock).meta.version;
    // A new version and a delete marker hide it, and that is all.
    f.put("d/f", b"newer");
    f.run(f.ns.delete(&s3_caller(), "pics", b"d/f", Default::default())).unwrap();
    let refused = f.run(f.ns.delete_version(&s3_caller(), "pics", b"d/f", locked)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ObjectLocked);
    assert_eq!(read_version(&f, b"d/f", locked), b"locked");
    // A directory does not take a locked version along.
    f.put("d/g", b"beside");
    let root = f.bucket_ino();
    let moved = f.ns.rename(&mount_caller(), root, plain("d"), root, plain("e"), RenameMode::Replace).unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::ObjectLocked);
    // Whoever may lift governance deletes it, and then the directory moves.
    let mut bypass = s3_caller();
    bypass.bypass_governance = true;
    f.run(f.ns.delete_version(&bypass, "pics", b"d/f", locked)).unwrap();
    f.ns.rename(&mount_caller(), root, plain("d"), root, plain("e"), RenameMode::Replace).unwrap();
}

fn locks_bind_what_a_key_holds_where_there_are_no_versions(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.object_lock = Some(ObjectLock::default());
        Ok(())
    }))
    .unwrap();
    let lock = Some(LockRow { retention: None, legal_hold: Some(true) });
    put_locked(&f, lock);
    let kind = |error: crate::Error| error.kind();
    assert_eq!(
        f.run(f.ns.put(&s3_caller(), "pics", b"d/f", f.request(b"x"))).map(|_| ()).map_err(kind),
        Err(ErrorKind::ObjectLocked)
    );
    let deleted = f.run(f.ns.delete(&s3_caller(), "pics", b"d/f", Default::default()));
    assert_eq!(deleted.map(|_| ()).map_err(kind), Err(ErrorKind::ObjectLocked));
    let dir = f.ino("d").unwrap();
    let file = f.ino("d/f").unwrap();
    assert_eq!(f.ns.unlink(&mount_caller(), dir, plain("f")).map_err(kind), Err(ErrorKind::ObjectLocked));
    let (from, to) = (plain("f"), plain("g"));
    let renamed = f.ns.rename(&mount_caller(), dir, from, dir, to, RenameMode::Replace);
    assert_eq!(renamed.map_err(kind), Err(ErrorKind::ObjectLocked));
    let opened = f.ns.open_file(&mount_caller(), file, WRITE);
    assert_eq!(opened.map(|_| ()).map_err(kind), Err(ErrorKind::ObjectLocked));
    assert_eq!(f.get("d/f").unwrap(), b"locked");
    f.run(f.ns.change_lock(&s3_caller(), "pics", b"d/f", None, |lock, _| {
        lock.legal_hold = Some(false);
        Ok(())
    }))
    .unwrap();
    f.ns.unlink(&mount_caller(), dir, plain("f")).unwrap();
}
