//! Multipart uploads.

use super::{Fixture, pattern, s3_caller};
use crate::ErrorKind;
use crate::chunk::WriteOptions;
use crate::namespace::s3_types::{CompletePart, CompleteRequest, CreateUpload, UploadInfo};

impl Fixture {
    fn start(&self, key: &str) -> UploadInfo {
        self.run(self.ns.create_upload(&s3_caller(), "pics", key.as_bytes(), CreateUpload::default())).unwrap()
    }

    fn part(&self, upload: &UploadInfo, number: u32, body: &[u8]) -> CompletePart {
        let mut writer = self.ns.writer("pics", WriteOptions { md5: true, ..WriteOptions::default() }).unwrap();
        writer.write(body).unwrap();
        let stored = writer.finish().unwrap();
        let caller = s3_caller();
        let put = self.ns.put_part(&caller, "pics", &upload.key, upload.id, number, stored, None);
        CompletePart { number, etag: self.run(put).unwrap().etag.0, checksum: None }
    }

    fn complete(
        &self,
        upload: &UploadInfo,
        parts: Vec<CompletePart>,
    ) -> crate::Result<crate::namespace::s3_types::ObjectInfo> {
        let request = CompleteRequest { parts, ..CompleteRequest::default() };
        self.run(self.ns.complete_upload(&s3_caller(), "pics", &upload.key, upload.id, request))
    }
}

#[test]
fn parts_become_one_object_with_the_canonical_cid() {
    let f = Fixture::new();
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

#[test]
fn a_bad_list_of_parts_is_refused() {
    let f = Fixture::new();
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

#[test]
fn an_aborted_upload_leaves_nothing() {
    let f = Fixture::new();
    let upload = f.start("k");
    f.part(&upload, 1, &pattern(1 << 20, 1));
    assert_eq!(f.ns.uploads("pics", b"", b"", None, 10).unwrap().uploads.len(), 1);
    f.run(f.ns.abort_upload(&s3_caller(), "pics", b"k", upload.id)).unwrap();
    assert!(f.ns.uploads("pics", b"", b"", None, 10).unwrap().uploads.is_empty());
    f.ns.collect().unwrap();
    assert_eq!(f.ns.chunks().usage().unwrap().object_bytes, 0);
}
