//! Notices: what either door does is told once to each who asked, in order, and stays until it was taken.

use super::{Fixture, WRITE, mount_caller, plain, s3_caller};
use crate::meta::EngineKind;
use crate::meta::rows::Versioning;
use crate::namespace::mount_types::{RenameMode, SetAttr};
use crate::namespace::notices::{Event, Notifications, NotifyRule, TargetKind};
use crate::namespace::s3_types::{CopyRequest, Precondition};

on_every_engine!(both_doors_tell, what_versions_tell, nothing_is_lost_or_told_of_what_failed);

fn ask(f: &Fixture, target: &str, prefix: &str) {
    let events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"];
    let rule = NotifyRule {
        id: "r".to_owned(),
        kind: TargetKind::Queue,
        target: target.to_owned(),
        events: events.map(str::to_owned).to_vec(),
        prefix: Some(prefix.to_owned()),
        suffix: None,
    };
    let wanted = Notifications { rules: vec![rule] };
    f.run(f.ns.set_notifications(&s3_caller(), "pics", wanted)).unwrap();
    assert_eq!(take(f, target), [(Event::Test, String::new())]);
}

/// What waits for a target, which takes it.
fn take(f: &Fixture, target: &str) -> Vec<(Event, String)> {
    let waiting = f.ns.notices(target, 100).unwrap();
    let text = waiting.iter().map(|w| (w.notice.event, String::from_utf8_lossy(&w.notice.key).into_owned())).collect();
    f.ns.notices_done(&waiting).unwrap();
    assert!(f.ns.notices(target, 100).unwrap().is_empty());
    text
}

fn told(events: &[(Event, &str)]) -> Vec<(Event, String)> {
    events.iter().map(|(event, key)| (*event, (*key).to_owned())).collect()
}

fn both_doors_tell(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    f.put("before", b"1");
    ask(&f, "hook", "");
    f.put("a/b/c", b"12345");
    let waiting = f.ns.notices("hook", 1).unwrap();
    assert_eq!((waiting[0].notice.size, waiting[0].notice.principal.as_str()), (Some(5), "alice"));
    f.run(f.ns.set_tags(&s3_caller(), "pics", b"a/b/c", None, vec![("k".into(), "v".into())])).unwrap();
    f.run(f.ns.copy(&s3_caller(), ("pics", b"a/b/c"), ("pics", b"copy"), CopyRequest::default())).unwrap();
    f.delete("a/b/c");
    // Nothing to delete is nothing to tell.
    f.delete("a/b/c");
    let expected = [(Event::Put, "a/b/c"), (Event::Tagged, "a/b/c"), (Event::Copy, "copy"), (Event::Removed, "a/b/c")];
    assert_eq!(take(&f, "hook"), told(&expected));

    let dir = f.ns.mkdir(&mount_caller(), root, plain("dir"), 0o755).unwrap().ino;
    f.write_file(dir, "file", b"bytes");
    f.head("dir/file").unwrap();
    f.ns.rename(&mount_caller(), dir, plain("file"), root, plain("moved"), RenameMode::Replace).unwrap();
    f.ns.unlink(&mount_caller(), root, plain("moved")).unwrap();
    let none = (Precondition::default(), Precondition::default());
    f.run(f.ns.rename_object(&s3_caller(), "pics", (b"copy", b"x/y"), none)).unwrap();
    let expected = [
        (Event::Put, "dir/file"),
        (Event::Removed, "dir/file"),
        (Event::Copy, "moved"),
        (Event::Removed, "moved"),
        (Event::Removed, "copy"),
        (Event::Copy, "x/y"),
    ];
    assert_eq!(take(&f, "hook"), told(&expected));
    // An empty file is told of when it is published, once.
    let (_, handle) = f.ns.create(&mount_caller(), root, plain("empty"), 0o644, WRITE).unwrap();
    f.ns.release(&handle).unwrap();
    f.head("empty").unwrap();
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    f.ns.setattr(&mount_caller(), f.ino("empty").unwrap(), mode).unwrap();
    assert_eq!(take(&f, "hook"), told(&[(Event::Put, "empty")]));
}

fn what_versions_tell(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = Versioning::Enabled;
        Ok(())
    }))
    .unwrap();
    ask(&f, "hook", "a/");
    let first = f.put("a/k", b"1");
    f.put("b/k", b"1");
    f.delete("a/k");
    f.run(f.ns.delete_version(&s3_caller(), "pics", b"a/k", first.meta.version)).unwrap();
    let waiting = f.ns.notices("hook", 100).unwrap();
    assert_eq!(waiting[0].notice.version, Some(first.meta.version));
    assert_eq!(waiting[2].notice.version, Some(first.meta.version));
    assert!(waiting.windows(2).all(|pair| pair[0].notice.sequence < pair[1].notice.sequence));
    let expected = [(Event::Put, "a/k"), (Event::Marked, "a/k"), (Event::Removed, "a/k")];
    assert_eq!(take(&f, "hook"), told(&expected));
}

fn nothing_is_lost_or_told_of_what_failed(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    ask(&f, "hook", "");
    let mut refused = f.request(b"1");
    refused.precondition = Precondition {
        if_match: Some(crate::namespace::s3_types::ETagMatch::Tags(vec!["x".into()])),
        ..Precondition::default()
    };
    f.run(f.ns.put(&s3_caller(), "pics", b"k", refused)).unwrap_err();
    f.put("k", b"1");
    f.delete("k");
    let expected = told(&[(Event::Put, "k"), (Event::Removed, "k")]);
    assert_eq!(take(&f.killed(), "hook"), expected);
    f.reopen();
    // What a bucket told before it went is still delivered.
    f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap();
    assert_eq!(take(&f, "hook"), expected);
}
