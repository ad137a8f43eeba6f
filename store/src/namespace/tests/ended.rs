//! Uploads that ended (ruling 6).

use super::{Fixture, pattern, s3_caller};
use crate::chunk::WriteOptions;
use crate::meta::EngineKind;
use crate::namespace::Namespace;
use crate::namespace::engine::Engine;
use crate::namespace::s3_types::{CreateUpload, UploadInfo};
use crate::types::BucketName;

const PARTS: usize = 200;

impl Fixture {
    fn upload_of_many_parts(&self, bucket: &str) -> UploadInfo {
        let caller = s3_caller();
        let created = self.ns.create_upload(&caller, bucket, b"k", CreateUpload::default());
        let upload = self.run(created).unwrap();
        for number in 1..=PARTS as u32 {
            let mut writer = self.ns.writer(bucket, WriteOptions { md5: true, ..WriteOptions::default() }).unwrap();
            writer.write(&pattern(100_000, u64::from(number))).unwrap();
            let stored = writer.finish().unwrap();
            self.run(self.ns.put_part(&s3_caller(), bucket, b"k", upload.id, number, stored, None)).unwrap();
        }
        upload
    }

    fn engine(&self) -> &Engine {
        let namespace: &Namespace = &self.ns;
        &namespace.0
    }

    fn parts_left(&self, upload: &UploadInfo) -> usize {
        self.engine().part_rows(upload.id, 0, usize::MAX).unwrap().len()
    }

    fn bytes_left(&self) -> u64 {
        while self.ns.collect().unwrap().more {}
        let usage = self.ns.chunks().usage().unwrap();
        usage.object_bytes + usage.slab_live_bytes
    }
}

fn ruling6_many_parts_go_in_steps_out_of_sight_and_over_a_restart(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    let upload = f.upload_of_many_parts("pics");
    assert_eq!(f.parts_left(&upload), PARTS);
    f.run(f.ns.abort_upload(&s3_caller(), "pics", b"k", upload.id)).unwrap();
    assert!(f.ns.parts("pics", b"k", upload.id, 0, 10).is_err(), "nobody sees them");
    assert!(f.engine().sweep_step(upload.id).unwrap());
    let left = f.parts_left(&upload);
    assert!(left < PARTS, "the worker may have been there too: {left}");
    f.reopen();
    assert_eq!(f.bytes_left(), 0);
    assert_eq!(f.parts_left(&upload), 0);
    assert!(!f.engine().sweep_step(upload.id).unwrap());
}

fn ruling6_a_bucket_goes_with_its_uploads_many_parts(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.run(f.ns.create_bucket(&s3_caller(), &BucketName::new("other").unwrap(), None)).unwrap();
    let upload = f.upload_of_many_parts("other");
    f.run(f.ns.delete_bucket(&s3_caller(), "other")).unwrap();
    assert_eq!(f.bytes_left(), 0);
    assert_eq!(f.parts_left(&upload), 0);
}

on_every_engine!(
    ruling6_many_parts_go_in_steps_out_of_sight_and_over_a_restart,
    ruling6_a_bucket_goes_with_its_uploads_many_parts,
);
