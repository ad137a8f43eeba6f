//! Lifecycle rules applied, with a clock that the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Fixture, WRITE, mount_caller, plain, s3_caller};
use crate::ErrorKind;
use crate::clock::Clock;
use crate::meta::EngineKind;
use crate::meta::kept::LockRow;
use crate::meta::rows::{ObjectLock, Versioning};
use crate::namespace::lifecycle::{DOCUMENT, Expiration, Filter, Lifecycle, Noncurrent, Rule, Swept};
use crate::namespace::s3_types::{CreateUpload, VersionItem, VersionsRequest};
use crate::types::{Id, Timestamp};

const DAY: i64 = 86_400;

on_every_engine!(
    what_is_due_goes_and_nothing_else,
    versions_and_markers_go_in_their_time,
    what_is_locked_stays,
    the_mounts_files_and_directories,
    uploads_end,
);

/// Time as the test says it.
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp { secs: self.0.load(Ordering::Relaxed), nanos: 0 }
    }
}

impl Turned {
    fn new() -> Arc<Self> {
        // A midnight.
        Arc::new(Self(AtomicI64::new(20_000 * DAY)))
    }

    fn pass(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::Relaxed);
    }
}

fn rule(id: &str, prefix: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        enabled: true,
        filter: Filter { prefix: prefix.to_owned(), ..Filter::default() },
        ..Rule::default()
    }
}

fn days(id: &str, prefix: &str, days: u32) -> Rule {
    Rule { expiration: Some(Expiration::Days(days)), ..rule(id, prefix) }
}

fn set(f: &Fixture, rules: Vec<Rule>) {
    let text = serde_json::to_string(&Lifecycle { rules }).unwrap();
    f.run(f.ns.set_bucket_document(&s3_caller(), "pics", DOCUMENT, Some(text))).unwrap();
}

fn versioning(f: &Fixture, versioning: Versioning) {
    let lock = (versioning == Versioning::Enabled).then(ObjectLock::default);
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = versioning;
        settings.object_lock = lock;
        Ok(())
    }))
    .unwrap();
}

/// Applies the rules; what that did.
fn apply(f: &Fixture) -> Swept {
    let before = f.ns.lifecycle_swept();
    f.run(async { tokio::task::block_in_place(|| f.ns.apply_lifecycles()) }).unwrap();
    let after = f.ns.lifecycle_swept();
    Swept {
        objects: after.objects - before.objects,
        versions: after.versions - before.versions,
        markers: after.markers - before.markers,
        uploads: after.uploads - before.uploads,
        locked: after.locked - before.locked,
        looked_at: 0,
    }
}

/// All versions: key, and whether it is a marker.
fn versions(f: &Fixture) -> Vec<(String, bool)> {
    let request = VersionsRequest { max: 1000, ..VersionsRequest::default() };
    let page = f.run(f.ns.list_versions(&s3_caller(), "pics", request)).unwrap();
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    page.items
        .iter()
        .map(|item| match item {
            VersionItem::Object(info, _) => (text(&info.key), false),
            VersionItem::Marker(marker, _) => (text(&marker.key), true),
            VersionItem::Prefix(_) => panic!("no delimiter was asked for"),
        })
        .collect()
}

fn what_is_due_goes_and_nothing_else(engine: EngineKind) {
    let clock = Turned::new();
    let f = Fixture::with_clock(engine, clock.clone());
    clock.pass(60);
    for key in ["logs/a", "logs/b/c", "logs", "other", "big/1", "tagged"] {
        f.put(key, &vec![7; key.len() * 10]);
    }
    let tag = ("state".to_owned(), "done".to_owned());
    f.run(f.ns.set_tags(&s3_caller(), "pics", b"tagged", None, vec![tag.clone()])).unwrap();
    let mut big = days("big", "big/", 1);
    big.filter.larger = Some(50);
    let mut tagged = days("tagged", "", 1);
    tagged.filter.tags = vec![tag];
    let mut off = days("off", "", 1);
    off.enabled = false;
    set(&f, vec![days("logs", "logs/", 2), big, tagged, off]);

    assert_eq!(apply(&f), Swept::default());
    clock.pass(DAY);
    // A day and a minute after: the day ends at midnight.
    assert_eq!(apply(&f), Swept::default());
    clock.pass(DAY - 60);
    assert_eq!(apply(&f), Swept { objects: 1, ..Swept::default() });
    assert_eq!(f.head("tagged").unwrap_err().kind(), ErrorKind::NotFound);
    f.put("logs/a", b"anew");
    clock.pass(DAY);
    assert_eq!(apply(&f), Swept { objects: 1, ..Swept::default() });
    assert_eq!(f.keys(), ["big/1", "logs", "logs/a", "other"]);
    assert_eq!(apply(&f), Swept::default());

    set(&f, vec![Rule { expiration: Some(Expiration::Date(clock.now().secs + 1)), ..rule("date", "") }]);
    assert_eq!(apply(&f), Swept::default());
    clock.pass(1);
    assert_eq!(apply(&f).objects, 4);
    assert!(f.keys().is_empty());
}

fn versions_and_markers_go_in_their_time(engine: EngineKind) {
    let clock = Turned::new();
    let f = Fixture::with_clock(engine, clock.clone());
    versioning(&f, Versioning::Enabled);
    for body in ["one", "two", "three", "four"] {
        f.put("k", body.as_bytes());
        clock.pass(DAY);
    }
    f.put("still", b"here");
    let old = Noncurrent { days: 1, keep: Some(1) };
    set(&f, vec![Rule { noncurrent: Some(old), ..days("all", "k", 3) }]);
    // "four" is a day old; "three", "two", "one" were replaced 1, 2 and 3 days ago, of which the newest stays.
    assert_eq!(apply(&f), Swept { versions: 2, ..Swept::default() });
    assert_eq!(f.get("k").unwrap(), b"four");
    clock.pass(2 * DAY);
    // The marker that is made now hides "four", which begins to be old now.
    assert_eq!(apply(&f), Swept { objects: 1, ..Swept::default() });
    assert_eq!(f.head("k").unwrap_err().kind(), ErrorKind::NotFound);
    let k = |marker| ("k".to_owned(), marker);
    let still = ("still".to_owned(), false);
    assert_eq!(versions(&f), [k(true), k(false), k(false), still.clone()]);
    clock.pass(DAY);
    assert_eq!(apply(&f), Swept { versions: 1, ..Swept::default() });
    set(&f, vec![Rule { noncurrent: Some(Noncurrent { days: 1, keep: None }), ..rule("all", "k") }]);
    assert_eq!(apply(&f), Swept { versions: 1, ..Swept::default() });
    assert_eq!(versions(&f), [k(true), still.clone()]);
    assert_eq!(apply(&f), Swept::default());
    set(&f, vec![Rule { expiration: Some(Expiration::Markers(true)), ..rule("markers", "") }]);
    assert_eq!(apply(&f), Swept { markers: 1, ..Swept::default() });
    assert_eq!(versions(&f), [still]);
}

fn what_is_locked_stays(engine: EngineKind) {
    let clock = Turned::new();
    let f = Fixture::with_clock(engine, clock.clone());
    versioning(&f, Versioning::Enabled);
    let locked = f.put("k", b"locked");
    f.put("k", b"newer");
    let hold = |on| {
        let change = |lock: &mut LockRow, _| {
            lock.legal_hold = Some(on);
            Ok(())
        };
        f.run(f.ns.change_lock(&s3_caller(), "pics", b"k", Some(locked.meta.version), change)).unwrap();
    };
    hold(true);
    let gone = Noncurrent { days: 1, keep: None };
    set(&f, vec![Rule { noncurrent: Some(gone), ..rule("all", "") }]);
    clock.pass(2 * DAY);
    assert_eq!(apply(&f), Swept { locked: 1, ..Swept::default() });
    hold(false);
    assert_eq!(apply(&f), Swept { versions: 1, ..Swept::default() });
    assert_eq!(f.get("k").unwrap(), b"newer");
}

fn the_mounts_files_and_directories(engine: EngineKind) {
    let clock = Turned::new();
    let f = Fixture::with_clock(engine, clock.clone());
    let root = f.bucket_ino();
    f.ns.mkdir(&mount_caller(), root, plain("mine"), 0o755).unwrap();
    f.put("put/", b"");
    f.write_file(f.ino("mine").unwrap(), "closed", b"bytes");
    let (_, handle) = f.ns.create(&mount_caller(), root, plain("open"), 0o644, WRITE).unwrap();
    f.ns.write(&handle, 0, b"being written").unwrap();
    f.head("mine/closed").unwrap();
    set(&f, vec![days("all", "", 1)]);
    clock.pass(DAY * 400_000);
    assert_eq!(apply(&f).objects, 2);
    // A directory of the mount's own stays, and so does what is being written.
    assert_eq!(f.names(root), ["mine", "open"]);
    assert!(f.ino("mine/closed").is_err());
    f.ns.release(&handle).unwrap();
}

fn uploads_end(engine: EngineKind) {
    let clock = Turned::new();
    let f = Fixture::with_clock(engine, clock.clone());
    let begin = |key: &str| {
        f.run(f.ns.create_upload(&s3_caller(), "pics", key.as_bytes(), CreateUpload::default())).unwrap().id
    };
    let (old, other): (Id, Id) = (begin("up/a"), begin("b"));
    set(&f, vec![Rule { abort_uploads: Some(2), ..rule("up", "up/") }]);
    clock.pass(DAY);
    let young = begin("up/c");
    clock.pass(DAY);
    assert_eq!(apply(&f), Swept { uploads: 1, ..Swept::default() });
    assert_eq!(f.ns.upload("pics", b"up/a", old).unwrap_err().kind(), ErrorKind::NoSuchUpload);
    assert!(f.ns.upload("pics", b"b", other).is_ok() && f.ns.upload("pics", b"up/c", young).is_ok());
}
