//! PUT, GET, HEAD, DELETE, COPY, tags and conditions.

use super::{Fixture, pattern, s3_caller};
use crate::ErrorKind;
use crate::meta::EngineKind;
use crate::namespace::s3_types::{CopyRequest, ETagMatch, Precondition};
use crate::types::BucketName;
use crate::unixfs::raw_cid;

fn what_is_put_is_got_whatever_the_size(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let sizes = [0, 1, 4095, 4096, 4097, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 5 << 20];
    for size in sizes {
        let body = pattern(size, size as u64);
        let info = f.put(&format!("size/{size}"), &body);
        assert_eq!(info.size, size as u64);
        if size <= 1 << 20 {
            assert_eq!(info.cid, raw_cid(&body), "a single block is the bare raw block");
        }
        assert_eq!(f.get(&format!("size/{size}")).unwrap(), body, "{size} bytes");
    }
    f.reopen();
    for size in sizes {
        assert_eq!(f.get(&format!("size/{size}")).unwrap(), pattern(size, size as u64), "{size} bytes after a restart");
    }
}

fn deleting_the_last_key_removes_implicit_directories(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("a/b/c/d", b"x");
    assert!(f.ino("a/b/c").is_ok());
    f.delete("a/b/c/d");
    assert_eq!(f.ino("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(f.keys().is_empty());
    f.delete("never/was");
}

fn a_directory_key_makes_an_explicit_directory(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("dir/", b"");
    f.put("dir/file", b"x");
    f.delete("dir/file");
    assert_eq!(f.keys(), ["dir/"]);
    assert!(f.ino("dir").is_ok());
    f.delete("dir/");
    assert!(f.keys().is_empty());
    assert!(f.ino("dir").is_err());
}

fn an_object_and_a_directory_share_a_name(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("a", b"object");
    f.put("a/b", b"below");
    f.put("a//c", b"empty component");
    f.put("/lead", b"leading slash");
    f.put("a/../d", b"dots");
    for (key, body) in
        [("a", "object"), ("a/b", "below"), ("a//c", "empty component"), ("/lead", "leading slash"), ("a/../d", "dots")]
    {
        assert_eq!(f.get(key).unwrap(), body.as_bytes(), "{key}");
    }
    assert_eq!(f.keys(), ["/lead", "a", "a/../d", "a//c", "a/b"]);
    assert_eq!(f.cat("a/b").unwrap(), b"below");
}

fn conditions_are_decided_at_the_head(engine: EngineKind) {
    let f = Fixture::new(engine);
    let create = || Precondition { if_none_match: Some(ETagMatch::Any), ..Precondition::default() };
    let mut request = f.request(b"one");
    request.precondition = create();
    let first = f.run(f.ns.put(&s3_caller(), "pics", b"k", request)).unwrap();
    let mut request = f.request(b"two");
    request.precondition = create();
    let error = f.run(f.ns.put(&s3_caller(), "pics", b"k", request)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    let mut request = f.request(b"three");
    request.precondition =
        Precondition { if_match: Some(ETagMatch::Tags(vec![first.meta.etag.0])), ..Precondition::default() };
    f.run(f.ns.put(&s3_caller(), "pics", b"k", request)).unwrap();
    assert_eq!(f.get("k").unwrap(), b"three");
    let mut request = f.request(b"four");
    request.precondition = Precondition { if_match: Some(ETagMatch::Any), ..Precondition::default() };
    let error = f.run(f.ns.put(&s3_caller(), "pics", b"deep/er", request)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(f.ino("deep").is_err(), "a failed condition leaves no directory behind");
}

fn a_copy_is_the_same_content_under_another_name(engine: EngineKind) {
    let f = Fixture::new(engine);
    let body = pattern(3 << 20, 7);
    let source = f.put("from", &body);
    let copied =
        f.run(f.ns.copy(&s3_caller(), ("pics", b"from"), ("pics", b"to/here"), CopyRequest::default())).unwrap();
    assert_eq!((copied.cid, &copied.meta.etag), (source.cid, &source.meta.etag));
    f.delete("from");
    f.ns.collect().unwrap();
    assert_eq!(f.get("to/here").unwrap(), body);
}

fn buckets_come_and_go(engine: EngineKind) {
    let f = Fixture::new(engine);
    let name = BucketName::new("other").unwrap();
    f.run(f.ns.create_bucket(&s3_caller(), &name, None)).unwrap();
    let error = f.run(f.ns.create_bucket(&s3_caller(), &name, None)).unwrap_err();
    assert_eq!((error.kind(), error.context("owner")), (ErrorKind::AlreadyExists, Some("alice")));
    let names: Vec<_> = f.ns.buckets().unwrap().into_iter().map(|bucket| bucket.name).collect();
    assert_eq!(names, ["other", "pics"]);
    f.put("x", b"x");
    assert_eq!(f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap_err().kind(), ErrorKind::NotEmpty);
    f.delete("x");
    f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap();
    assert_eq!(f.run(f.ns.delete_bucket(&s3_caller(), "pics")).unwrap_err().kind(), ErrorKind::NoSuchBucket);
    assert_eq!(f.head("x").unwrap_err().kind(), ErrorKind::NoSuchBucket);
}

fn hostile_keys_are_refused_by_name(engine: EngineKind) {
    let f = Fixture::new(engine);
    let put = |key: &[u8]| f.run(f.ns.put(&s3_caller(), "pics", key, f.request(b"x"))).map(|_| ()).unwrap_err().kind();
    assert_eq!(put(b""), ErrorKind::InvalidArgument);
    assert_eq!(put(b"a\0b"), ErrorKind::InvalidArgument);
    assert_eq!(put(&[0xff, 0xfe]), ErrorKind::NotUtf8);
    assert_eq!(put(&vec![b'k'; 1025]), ErrorKind::NameTooLong);
    assert!(f.run(f.ns.put(&s3_caller(), "pics", &vec![b'k'; 1024], f.request(b"x"))).is_ok());
}

fn tags_are_replaced_without_touching_the_content(engine: EngineKind) {
    let f = Fixture::new(engine);
    let before = f.put("t", b"x");
    let tags = vec![("a".to_owned(), "1".to_owned())];
    f.run(f.ns.set_tags(&s3_caller(), "pics", b"t", None, tags.clone())).unwrap();
    let after = f.head("t").unwrap();
    assert_eq!(after.meta.tags, tags);
    assert_eq!((after.meta.etag, after.meta.last_modified), (before.meta.etag, before.meta.last_modified));
}

on_every_engine!(
    what_is_put_is_got_whatever_the_size,
    deleting_the_last_key_removes_implicit_directories,
    a_directory_key_makes_an_explicit_directory,
    an_object_and_a_directory_share_a_name,
    conditions_are_decided_at_the_head,
    a_copy_is_the_same_content_under_another_name,
    buckets_come_and_go,
    hostile_keys_are_refused_by_name,
    tags_are_replaced_without_touching_the_content,
);
