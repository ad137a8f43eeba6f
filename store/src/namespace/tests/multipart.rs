//! Multipart uploads.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use futures::StreamExt;

use super::{Fixture, pattern, s3_caller};
use crate::ErrorKind;
use crate::chunk::{Stored, WriteOptions};
use crate::meta::EngineKind;
use crate::namespace::s3_types::{
    CompletePart, CompleteRequest, CreateUpload, ETagMatch, ObjectInfo, Precondition, UploadInfo,
};
use crate::unixfs::{DagBuilder, Profile, digest_of};

const MIB: usize = 1 << 20;

impl Fixture {
    fn start(&self, key: &str) -> UploadInfo {
        self.run(self.ns.create_upload(&s3_caller(), "pics", key.as_bytes(), CreateUpload::default())).unwrap()
    }

    fn part(&self, upload: &UploadInfo, number: u32, body: &[u8]) -> CompletePart {
        let options = WriteOptions { md5: true, size_hint: Some(body.len() as u64) };
        let mut writer = self.ns.writer("pics", options).unwrap();
        writer.as_part(upload.id, number);
        writer.write(body).unwrap();
        let stored = writer.finish().unwrap();
        let caller = s3_caller();
        let put = self.ns.put_part(&caller, "pics", &upload.key, upload.id, number, stored, None);
        CompletePart { number, etag: self.run(put).unwrap().etag.0, checksum: None }
    }

    fn complete(&self, upload: &UploadInfo, parts: Vec<CompletePart>) -> crate::Result<ObjectInfo> {
        self.complete_if(upload, parts, Precondition::default())
    }

    fn complete_if(
        &self,
        upload: &UploadInfo,
        parts: Vec<CompletePart>,
        precondition: Precondition,
    ) -> crate::Result<ObjectInfo> {
        let request = CompleteRequest { parts, precondition, ..CompleteRequest::default() };
        self.run(self.ns.complete_upload(&s3_caller(), "pics", &upload.key, upload.id, request))
    }

    /// The files of uploads that are not completed.
    fn upload_files(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "parts") {
                    all.push(path);
                }
            }
        }
        all
    }

    /// Collects until there is nothing more to do, and answers the bytes of objects.
    fn collected(&self) -> u64 {
        while self.ns.collect().unwrap().more {}
        let usage = self.ns.chunks().usage().unwrap();
        usage.object_bytes + usage.slab_live_bytes
    }

    /// The kernel's own file of an object.
    fn sealed(&self, info: &ObjectInfo) -> Option<std::fs::Metadata> {
        self.ns.chunks().sealed_file(&info.cid).unwrap().map(|sealed| sealed.file.metadata().unwrap())
    }
}

fn parts_become_one_object_with_the_canonical_cid(engine: EngineKind) {
    let f = Fixture::new(engine);
    for (name, size) in [("aligned", 5 << 20), ("odd", (5 << 20) + 77)] {
        let upload = f.start(name);
        let bodies = [pattern(size, 1), pattern(size, 2), pattern(1000, 3)];
        let mut parts: Vec<_> = (1..).zip(&bodies).map(|(n, body)| f.part(&upload, n, body)).collect();
        // A part that comes again replaces the first.
        parts[1] = f.part(&upload, 2, &bodies[1]);
        let info = f.complete(&upload, parts).unwrap();
        let whole = bodies.concat();
        assert!(info.meta.etag.0.ends_with("-3"));
        assert_eq!(info.cid, f.put(&format!("{name}-plain"), &whole).cid, "{name}");
        assert_eq!(f.get(name).unwrap(), whole, "{name}");
        f.ns.collect().unwrap();
        assert_eq!(f.get(name).unwrap(), whole, "{name} after collection");
        let gone = f.ns.upload("pics", name.as_bytes(), upload.id).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NoSuchUpload);
    }
}

fn parts_of_more_than_five_tebibytes_are_refused(engine: EngineKind) {
    let f = Fixture::new(engine);
    let upload = f.start("k");
    // As if each had 5 GiB: what they really have is never looked at.
    let part = |number: u32, size: u64| {
        let mut writer = f.ns.writer("pics", WriteOptions { md5: true, size_hint: None }).unwrap();
        writer.write(&number.to_le_bytes()).unwrap();
        let mut stored = writer.finish().unwrap();
        stored.size = size;
        let caller = s3_caller();
        let put = f.ns.put_part(&caller, "pics", &upload.key, upload.id, number, stored, None);
        CompletePart { number, etag: f.run(put).unwrap().etag.0, checksum: None }
    };
    let parts: Vec<_> = (1..=1024).map(|n| part(n, 5 << 30)).chain([part(1025, 1)]).collect();
    let error = f.complete(&upload, parts).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.context("bytes"), Some(((5_u64 << 40) + 1).to_string().as_str()));
    assert_eq!(f.ns.parts("pics", &upload.key, upload.id, 0, 2000).unwrap().0.len(), 1025, "the upload is as it was");
}

fn a_bad_list_of_parts_is_refused(engine: EngineKind) {
    let f = Fixture::new(engine);
    let upload = f.start("k");
    let (one, two) = (f.part(&upload, 1, b"small"), f.part(&upload, 2, b"small too"));
    let kind = |parts: &[&CompletePart]| {
        f.complete(&upload, parts.iter().map(|part| (*part).clone()).collect()).unwrap_err().kind()
    };
    assert_eq!(kind(&[]), ErrorKind::InvalidPart);
    assert_eq!(kind(&[&two, &one]), ErrorKind::InvalidPartOrder);
    assert_eq!(kind(&[&one, &two]), ErrorKind::PartTooSmall);
    let wrong = CompletePart { etag: "00".into(), ..one.clone() };
    assert_eq!(kind(&[&wrong]), ErrorKind::InvalidPart);
    assert_eq!(f.complete(&upload, vec![two]).unwrap().size, 9);
}

fn an_aborted_upload_leaves_nothing(engine: EngineKind) {
    let f = Fixture::new(engine);
    let upload = f.start("k");
    f.part(&upload, 1, &pattern(1 << 20, 1));
    assert_eq!(f.ns.uploads("pics", b"", b"", None, 10).unwrap().uploads.len(), 1);
    f.run(f.ns.abort_upload(&s3_caller(), "pics", b"k", upload.id)).unwrap();
    assert!(f.ns.uploads("pics", b"", b"", None, 10).unwrap().uploads.is_empty());
    f.ns.collect().unwrap();
    assert_eq!(f.ns.chunks().usage().unwrap().object_bytes, 0);
}

fn ruling15_equal_parts_become_an_object_without_a_copy(engine: EngineKind) {
    let f = Fixture::new(engine);
    for (case, tail) in [6000, MIB, 3 * MIB + 7, 5 * MIB].into_iter().enumerate() {
        let key = format!("joined/{case}");
        let upload = f.start(&key);
        let seed = case as u64 * 10;
        let bodies = [pattern(5 * MIB, seed + 1), pattern(5 * MIB, seed + 2), pattern(tail, seed + 3)];
        // Any order.
        let mut parts: Vec<_> = [2, 1, 3].map(|n| f.part(&upload, n, &bodies[n as usize - 1])).into();
        parts.sort_by_key(|part| part.number);
        let [file] = &f.upload_files()[..] else { panic!("one file for all parts: {:?}", f.upload_files()) };
        let inode = std::fs::metadata(file).unwrap().ino();
        let info = f.complete(&upload, parts).unwrap();
        let whole = bodies.concat();
        assert_eq!(f.get(&key).unwrap(), whole);
        f.collected();
        assert_eq!(f.upload_files(), Vec::<PathBuf>::new());
        let sealed = f.sealed(&info).expect("the kernel may read it by itself");
        assert_eq!((sealed.ino(), sealed.len()), (inode, whole.len() as u64), "the upload's file is the object's");
        assert_eq!(f.get(&key).unwrap(), whole);
        assert_eq!(f.put(&format!("plain/{case}"), &whole).cid, info.cid);
        f.delete(&key);
        f.delete(&format!("plain/{case}"));
        assert_eq!(f.collected(), 0);
    }
}

fn ruling15_any_choice_of_parts_gives_the_canonical_cid(engine: EngineKind) {
    let f = Fixture::new(engine);
    let five = 5 * MIB;
    let odd = five + 4321;
    // Sizes as they are uploaded (number, size), and the numbers that Complete lists.
    type Case<'a> = (&'a str, &'a [(u32, usize)], &'a [u32]);
    let cases: &[Case<'_>] = &[
        ("the last is left out", &[(1, five), (2, five), (3, five)], &[1, 2]),
        ("the first is left out", &[(1, five), (2, five), (3, five)], &[2, 3]),
        ("one between is left out", &[(1, five), (2, five), (3, five)], &[1, 3]),
        ("a gap before the last", &[(1, five), (3, five)], &[1, 3]),
        ("gaps", &[(1, five), (3, five), (5, MIB + 3)], &[1, 3, 5]),
        ("it begins with a high number", &[(9_999, five), (10_000, 70_000)], &[9_999, 10_000]),
        ("the last came first", &[(3, 2 * MIB), (1, five), (2, five)], &[1, 2, 3]),
        ("one comes again", &[(1, five), (2, five), (2, five), (3, 6000)], &[1, 2, 3]),
        ("one comes again, longer", &[(1, five), (2, five), (2, six(five)), (3, five)], &[1, 2, 3]),
        ("odd sizes", &[(1, odd), (2, odd), (3, odd)], &[1, 2, 3]),
        ("different sizes", &[(1, five), (2, odd), (3, six(five)), (4, five)], &[1, 2, 3, 4]),
        ("larger ones later", &[(1, five), (2, 2 * five), (3, five)], &[1, 2, 3]),
        ("one part", &[(1, 2 * five)], &[1]),
        ("one odd part", &[(4, odd)], &[4]),
        ("one small part", &[(1, 10)], &[1]),
        ("one empty part", &[(1, 0)], &[1]),
        ("an empty one at the end", &[(1, five), (2, 0)], &[1, 2]),
    ];
    for (case, (what, uploaded, listed)) in cases.iter().enumerate() {
        let upload = f.start(what);
        let mut bodies = std::collections::BTreeMap::new();
        for (k, (number, size)) in uploaded.iter().enumerate() {
            let body = pattern(*size, (case * 100 + k + 1) as u64);
            let part = f.part(&upload, *number, &body);
            bodies.insert(*number, (body, part));
        }
        let whole: Vec<u8> = listed.iter().flat_map(|n| bodies[n].0.clone()).collect();
        let list: Vec<_> = listed.iter().map(|n| bodies[n].1.clone()).collect();
        // In vain at first: nothing may be lost by that.
        f.put(what, &pattern(9000, 7));
        let absent = Precondition { if_none_match: Some(ETagMatch::Any), ..Precondition::default() };
        let refused = f.complete_if(&upload, list.clone(), absent).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PreconditionFailed, "{what}");
        f.collected();
        let info = f.complete(&upload, list).unwrap();
        assert_eq!(info.size, whole.len() as u64, "{what}");
        assert!(f.get(what).unwrap() == whole, "{what}");
        f.collected();
        assert!(f.get(what).unwrap() == whole, "{what}, after collection");
        assert_eq!(f.put("plain", &whole).cid, info.cid, "{what}");
        f.delete(what);
        f.delete("plain");
        // Bodies that travel in the log come to a slab, and go from there, later.
        assert!(f.collected() < 1000, "{what}: the parts that were left out are gone as well");
        assert_eq!(f.upload_files(), Vec::<PathBuf>::new(), "{what}");
    }
}

fn six(five: usize) -> usize {
    five / 5 * 6
}

fn ruling15_an_upload_goes_on_after_a_restart(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let upload = f.start("k");
    let bodies = [pattern(5 * MIB, 1), pattern(5 * MIB, 2), pattern(6000, 3)];
    let mut parts = vec![f.part(&upload, 1, &bodies[0])];
    let inode = std::fs::metadata(&f.upload_files()[0]).unwrap().ino();
    f.reopen();
    parts.push(f.part(&upload, 2, &bodies[1]));
    f.reopen();
    parts.push(f.part(&upload, 3, &bodies[2]));
    let info = f.complete(&upload, parts).unwrap();
    f.reopen();
    f.collected();
    assert!(f.get("k").unwrap() == bodies.concat());
    // A replica made anew, as a memory one is at each start, does not know where the next part's place was: bytes are copied.
    if engine != EngineKind::Memory {
        assert_eq!(f.sealed(&info).unwrap().ino(), inode);
    }
}

fn ruling15_an_abort_gives_the_space_back(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("kept", &pattern(3 * MIB, 9));
    let before = f.collected();
    let upload = f.start("k");
    for number in 1..=4 {
        f.part(&upload, number, &pattern(5 * MIB, u64::from(number)));
    }
    // One is replaced: the space of the first comes back before the upload ends.
    let file = &f.upload_files()[0];
    let on_disk = || std::fs::metadata(file).map_or(0, |meta| meta.blocks() * 512);
    let full = on_disk();
    f.part(&upload, 2, &pattern(5 * MIB, 22));
    f.collected();
    assert!(on_disk() <= full - 5 * MIB as u64 + 8192, "{} of {full}", on_disk());
    f.run(f.ns.abort_upload(&s3_caller(), "pics", b"k", upload.id)).unwrap();
    assert_eq!(f.collected(), before);
    assert_eq!(f.upload_files(), Vec::<PathBuf>::new());
    assert!(f.get("kept").unwrap() == pattern(3 * MIB, 9));
}

fn ten_thousand_parts_are_completed(engine: EngineKind) {
    let f = Fixture::new(engine);
    let upload = f.start("huge");
    let zeros = vec![0; 5 * MIB];
    let first = f.part(&upload, 1, &zeros);
    let md5: [u8; 16] = hex::decode(&first.etag).unwrap().try_into().unwrap();
    let root = f.put("zeros", &zeros).cid;
    let caller = s3_caller();
    let puts = (2..=10_000).map(|number| {
        let guard = f.ns.chunks().pin(&digest_of(&root).unwrap());
        let stored =
            Stored { root, size: 5 << 20, leaves: 5, md5: Some(md5), inline: None, guard, seal: None, also: None };
        f.ns.put_part(&caller, "pics", b"huge", upload.id, number, stored, None)
    });
    let put = f.run(futures::stream::iter(puts).buffer_unordered(500).collect::<Vec<_>>());
    assert!(put.iter().all(|part| part.as_ref().is_ok_and(|part| part.etag.0 == first.etag)));
    let parts = (1..=10_000).map(|number| CompletePart { number, ..first.clone() }).collect();
    let info = f.complete(&upload, parts).unwrap();
    let mut dag = DagBuilder::new(Profile::V1_2025);
    dag.push_zeros(50_000, &mut |_| Ok(())).unwrap();
    assert_eq!(info.cid, dag.finish(&mut |_| Ok(())).unwrap().cid);
    assert_eq!(info.size, 10_000 * (5 << 20));
    assert!(info.meta.etag.0.ends_with("-10000"));
    let (info, reader) = f.run(f.ns.get(&caller, "pics", b"huge")).unwrap();
    assert!(reader.read_at(info.size - 100, 200).unwrap() == [0; 100][..]);
    drop(reader);
    f.delete("huge");
    f.delete("zeros");
    assert_eq!(f.collected(), 0);
}

on_every_engine!(
    parts_become_one_object_with_the_canonical_cid,
    parts_of_more_than_five_tebibytes_are_refused,
    a_bad_list_of_parts_is_refused,
    an_aborted_upload_leaves_nothing,
    ruling15_equal_parts_become_an_object_without_a_copy,
    ruling15_any_choice_of_parts_gives_the_canonical_cid,
    ruling15_an_upload_goes_on_after_a_restart,
    ruling15_an_abort_gives_the_space_back,
    ten_thousand_parts_are_completed,
);
