//! Pins: what either door holds is pinned, once, and no longer than it is held, whatever happens in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Fixture, mount_caller, pattern, plain, s3_caller};
use crate::ipfs::PinOptions;
use crate::meta::EngineKind;
use crate::meta::pin_row::{PinClass, PinState, PinTerms};
use crate::meta::rows::Versioning;
use crate::namespace::mount_types::RenameMode;
use crate::namespace::pins::AskedPin;
use crate::namespace::s3_types::CopyRequest;
use crate::pin::{Change, Ledger, Manager, OWNER, PinSettings, RowUpdate};
use crate::testkit::FakePins;
use crate::types::Cid;
use crate::unixfs::{digest_of, raw_cid};

on_every_engine!(
    both_doors_are_pinned,
    intents_collapse,
    nothing_is_lost_while_nobody_answers,
    versions_stay_pinned,
    asked_pins_hold,
    differences_are_put_right,
    what_fails_is_said_and_tried_again,
    what_changes_at_the_peers_is_seen,
    without_ipfs_nothing_is_left,
);

/// A manager that works.
struct Working {
    fake: Arc<FakePins>,
    manager: Arc<Manager>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn settings() -> PinSettings {
    PinSettings {
        first_look: Duration::from_millis(1),
        look: Duration::from_millis(20),
        retry: Duration::from_millis(1),
        retry_longest: Duration::from_millis(50),
        reconcile_first: Duration::from_secs(3600),
        ..PinSettings::default()
    }
}

fn work(f: &Fixture, fake: &Arc<FakePins>) -> Working {
    work_with(f, fake, settings())
}

fn work_with(f: &Fixture, fake: &Arc<FakePins>, settings: PinSettings) -> Working {
    let manager = || Manager::new(Arc::new((*f.ns).clone()), fake.clone(), None, settings.clone()).unwrap();
    let stop = CancellationToken::new();
    let task = f.runtime.spawn(manager().run(stop.clone()));
    Working { fake: fake.clone(), manager: Arc::new(manager()), stop, task }
}

impl Working {
    fn end(self, f: &Fixture) {
        self.stop.cancel();
        f.run(self.task).unwrap();
    }
}

fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until nothing is to be looked at and exactly these are pinned.
fn settled(f: &Fixture, fake: &FakePins, expected: &[Cid]) {
    let expected: BTreeSet<Cid> = expected.iter().copied().collect();
    let now = || fake.pins().into_keys().collect::<BTreeSet<_>>();
    let idle = || intents(f) == 0 && now() == expected;
    let end = Instant::now() + Duration::from_secs(60);
    while !idle() {
        assert!(Instant::now() < end, "{} intents; pinned {:?}, not {expected:?}", intents(f), now());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Intents of all classes, due or not.
fn intents(f: &Fixture) -> usize {
    f.ns.metadata().range(b"Q", b"R", 10_000).unwrap().len()
}

fn both_doors_are_pinned(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let working = work(&f, &Arc::default());
    let fake = working.fake.clone();
    let large = f.put("dir/large", &pattern(3 << 20, 1)).cid;
    let small = f.put("small", b"small").cid;
    f.write_file(f.bucket_ino(), "file", &pattern(100_000, 2));
    let file = f.head("file").unwrap().cid;
    settled(&f, &fake, &[large, small, file]);
    let view = f.ns.pin_view(&large).unwrap().unwrap();
    assert_eq!((view.text().as_str(), view.state), ("pinned 3 of 3", PinState::Pinned));
    assert_eq!(f.ns.getxattr(f.ino("file").unwrap(), b"user.pinfold.pins").unwrap(), b"pinned 3 of 3");
    fake.take_calls();

    // A second key of a content, other names, other attributes: nothing for the peers to do.
    f.run(f.ns.copy(&s3_caller(), ("pics", b"small"), ("pics", b"copy"), CopyRequest::default())).unwrap();
    let (root, dir) = (f.bucket_ino(), f.ino("dir").unwrap());
    f.ns.rename(&mount_caller(), root, plain("file"), dir, plain("moved"), RenameMode::Replace).unwrap();
    f.ns.rename(&mount_caller(), root, plain("dir"), root, plain("other"), RenameMode::Replace).unwrap();
    f.ns.link(&mount_caller(), f.ino("other/moved").unwrap(), root, plain("linked")).unwrap();
    settled(&f, &fake, &[large, small, file]);
    f.delete("small");
    settled(&f, &fake, &[large, small, file]);
    assert!(fake.take_calls().is_empty());

    // The last one goes; one is replaced; a linked file stays until its last name.
    f.delete("copy");
    let newer = f.put("other/large", b"newer").cid;
    f.delete("linked");
    settled(&f, &fake, &[newer, file]);
    f.ns.unlink(&mount_caller(), f.ino("other").unwrap(), plain("moved")).unwrap();
    settled(&f, &fake, &[newer]);
    assert!(f.ns.pin_line(&large).unwrap().is_none());
    working.end(&f);
}

fn intents_collapse(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    for n in 0..10 {
        f.put(&format!("same-{n}"), b"the same bytes");
        f.put("gone", format!("gone {n}").as_bytes());
    }
    f.delete("gone");
    let same = f.head("same-0").unwrap().cid;
    assert!(intents(&f) >= 20);
    let working = work(&f, &Arc::default());
    settled(&f, &working.fake, &[same]);
    assert_eq!(working.fake.take_calls(), [format!("pin {same}")]);
    working.end(&f);
}

fn nothing_is_lost_while_nobody_answers(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let fake: Arc<FakePins> = Arc::default();
    let first = f.put("first", b"first").cid;
    let working = work(&f, &fake);
    settled(&f, &fake, &[first]);
    fake.set_down(true);
    let second = f.put("second", b"second").cid;
    f.delete("first");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(f.ns.pin_view(&second).unwrap().unwrap().state, PinState::Queued);
    // The daemon dies; what it leaves is all that the next one has.
    let after = f.killed();
    working.end(&f);
    fake.set_down(false);
    let working = work(&after, &fake);
    settled(&after, &fake, &[second]);
    working.end(&after);
}

fn versions_stay_pinned(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let working = work(&f, &Arc::default());
    let caller = s3_caller();
    let enable = f.ns.change_bucket_settings(&caller, "pics", |settings| {
        settings.versioning = Versioning::Enabled;
        Ok(())
    });
    f.run(enable).unwrap();
    let old = f.put("k", b"old");
    let new = f.put("k", b"new");
    f.delete("k");
    settled(&f, &working.fake, &[old.cid, new.cid]);
    f.run(f.ns.delete_version(&s3_caller(), "pics", b"k", old.meta.version)).unwrap();
    settled(&f, &working.fake, &[new.cid]);
    f.run(f.ns.delete_version(&s3_caller(), "pics", b"k", new.meta.version)).unwrap();
    settled(&f, &working.fake, &[]);
    working.end(&f);
}

fn asked_pins_hold(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let working = work(&f, &Arc::default());
    let fake = working.fake.clone();
    let (own, foreign) = (f.put("k", &pattern(100_000, 3)).cid, raw_cid(b"somebody else's bytes"));
    settled(&f, &fake, &[own]);
    let terms = PinTerms { name: "mine".to_owned(), replication_min: 2, replication_max: 3 };
    let ask = |cid| AskedPin { cid, class: PinClass::Critical, terms: terms.clone() };
    f.run(f.ns.ask_pins(&s3_caller(), vec![ask(own), ask(foreign)])).unwrap();
    settled(&f, &fake, &[own, foreign]);
    until("the terms have changed", || fake.pins()[&own].name == "mine" && fake.pins()[&foreign].replication_min == 2);
    // The object goes; the pin that was asked for stays, and so do its bytes (S16).
    f.delete("k");
    settled(&f, &fake, &[own, foreign]);
    while f.ns.collect().unwrap().objects_removed > 0 {}
    assert!(f.ns.chunks().contains(&own).unwrap());
    let line = f.ns.pin_line(&own).unwrap().unwrap();
    assert_eq!(line.asked.unwrap().by, "alice");
    assert_eq!(f.run(f.ns.unask_pins(&s3_caller(), vec![own, foreign, raw_cid(b"never")])).unwrap(), 2);
    settled(&f, &fake, &[]);
    until("the bytes are collected", || {
        f.ns.collect().unwrap();
        !f.ns.chunks().contains(&own).unwrap()
    });
    working.end(&f);
}

/// As if the service had been told of a pin an hour ago.
fn told_long_ago(f: &Fixture, cid: &Cid) {
    let digest = digest_of(cid).unwrap();
    let mut row = f.ns.row(&digest).unwrap().unwrap();
    row.told.as_mut().unwrap().0.secs -= 3600;
    f.ns.settle(&[Change { digest, done: Vec::new(), row: RowUpdate::Set(Box::new(row)), again: None }]).unwrap();
}

fn differences_are_put_right(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let before = f.put("before", b"written before a cluster was configured").cid;
    assert_eq!(intents(&f), 0);
    f.pins = true;
    f.reopen();
    let working = work(&f, &Arc::default());
    let fake = working.fake.clone();
    f.run(working.manager.reconcile()).unwrap();
    settled(&f, &fake, &[before]);

    let owner = f.ns.owner().unwrap().to_string();
    let ours = PinOptions { metadata: [(OWNER.to_owned(), owner)].into(), ..PinOptions::default() };
    let (stray, theirs) = (raw_cid(b"stray"), raw_cid(b"theirs"));
    fake.meddle(stray, Some(ours.clone()));
    fake.meddle(theirs, Some(PinOptions::default()));
    fake.meddle(before, None);
    // A pin that was just told of is not lost for a listing that began before.
    told_long_ago(&f, &before);
    f.run(working.manager.reconcile()).unwrap();
    settled(&f, &fake, &[before, theirs]);

    // What a crash of the metadata's own making leaves: a pin that is known and held by nobody.
    f.delete("before");
    settled(&f, &fake, &[theirs]);
    f.run(working.manager.reconcile()).unwrap();
    settled(&f, &fake, &[theirs]);
    working.end(&f);

    // A pin that somebody else has taken over is held; it stays when nobody here wants it any more.
    let working = work(&f, &fake);
    let taken = f.put("taken", b"taken over").cid;
    settled(&f, &fake, &[theirs, taken]);
    fake.meddle(taken, Some(PinOptions::default()));
    fake.take_calls();
    told_long_ago(&f, &taken);
    f.run(working.manager.reconcile()).unwrap();
    settled(&f, &fake, &[theirs, taken]);
    f.delete("taken");
    until("it is forgotten", || f.ns.pin_line(&taken).unwrap().is_none());
    settled(&f, &fake, &[theirs, taken]);
    assert!(fake.take_calls().is_empty());
    fake.meddle(taken, None);
    working.end(&f);

    // Other replication is asked for from now on.
    let cid = f.put("k", b"k").cid;
    let working = work(&f, &fake);
    settled(&f, &fake, &[theirs, cid]);
    working.end(&f);
    let terms = PinTerms { replication_min: 2, replication_max: 2, ..settings().terms };
    let working = work_with(&f, &fake, PinSettings { terms, ..settings() });
    f.run(working.manager.reconcile()).unwrap();
    until("the pin has the new terms", || fake.pins()[&cid].replication_min == 2);
    settled(&f, &fake, &[theirs, cid]);
    working.end(&f);
}

fn what_fails_is_said_and_tried_again(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let working = work(&f, &Arc::default());
    let fake = working.fake.clone();
    let cid = raw_cid(b"bytes");
    fake.set_trouble(cid, Some("no room"));
    assert_eq!(f.put("k", b"bytes").cid, cid);
    until("it fails", || f.ns.pin_view(&cid).unwrap().is_some_and(|view| view.state == PinState::Failing));
    let view = f.ns.pin_view(&cid).unwrap().unwrap();
    assert_eq!((view.text().as_str(), view.error.as_deref()), ("failing 2 of 3", Some("peer2: no room")));
    fake.set_trouble(cid, None);
    until("it is pinned", || f.ns.pin_view(&cid).unwrap().is_some_and(|view| view.state == PinState::Pinned));
    settled(&f, &fake, &[cid]);
    working.end(&f);
}

fn what_changes_at_the_peers_is_seen(engine: EngineKind) {
    let f = Fixture::with_pins(engine);
    let fake: Arc<FakePins> = Arc::default();
    let working = work_with(&f, &fake, PinSettings { trouble_every: Duration::from_millis(20), ..settings() });
    let cid = f.put("k", b"bytes").cid;
    let shows = |text: &str| until(text, || f.ns.pin_view(&cid).unwrap().is_some_and(|view| view.text() == text));
    shows("pinned 3 of 3");
    fake.set_gone(1);
    shows("pinned 2 of 2");
    fake.set_gone(0);
    shows("pinned 3 of 3");
    // A peer that held it fails.
    fake.set_trouble(cid, Some("disk gone"));
    shows("failing 2 of 3");
    fake.set_trouble(cid, None);
    shows("pinned 3 of 3");
    working.end(&f);
}

fn without_ipfs_nothing_is_left(engine: EngineKind) {
    let f = Fixture::new(engine);
    let cid = f.put("k", b"bytes").cid;
    f.delete("k");
    assert_eq!(intents(&f), 0);
    assert_eq!(f.ns.pin_view(&cid).unwrap(), None);
    let ask = AskedPin { cid, class: PinClass::Normal, terms: PinTerms::default() };
    assert_eq!(f.run(f.ns.ask_pins(&s3_caller(), vec![ask])).unwrap_err().kind(), crate::ErrorKind::Unsupported);
}
