//! What goes out to IPFS, and what does not.

use super::{Fixture, mount_caller, pattern, plain, s3_caller};
use crate::chunk::WriteOptions;
use crate::error::ErrorKind;
use crate::ipfs::serve::{Limits, Scope, Source, Walk, resolve};
use crate::meta::EngineKind;
use crate::meta::rows::Versioning;
use crate::namespace::s3_types::CreateUpload;
use crate::types::{BucketName, Cid};
use crate::unixfs::{BlockSource, raw_cid, verify};

on_every_engine!(
    blocks_of_objects_go_out_and_all_of_them,
    what_no_name_holds_stays_in,
    a_closed_bucket_keeps_its_blocks_but_those_that_others_have,
    an_inode_of_several_names,
    a_directory_whose_cid_was_asked_for,
    s17_a_damaged_chunk_does_not_go_out,
);

/// All blocks of a DAG, checked; none if the root does not go out.
fn pulled(f: &Fixture, root: &Cid, path: &[&str]) -> Option<Vec<(Cid, usize)>> {
    let source = f.ns.provided();
    let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
    let to = match resolve(&source, root, &path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            assert!(!source.has(root).unwrap());
            return None;
        }
        to => to.unwrap(),
    };
    assert!(source.has(root).unwrap());
    let mut walk = Walk::new(source, to, Scope::All, true, Limits::DEFAULT);
    let mut blocks = Vec::new();
    while let Some((cid, bytes)) = walk.step().unwrap() {
        verify(&cid, &bytes).unwrap();
        blocks.push((cid, bytes.len()));
    }
    Some(blocks)
}

fn bytes_of(blocks: &[(Cid, usize)]) -> usize {
    blocks.iter().filter(|(cid, _)| cid.codec() == crate::unixfs::RAW).map(|(_, len)| len).sum()
}

fn close(f: &Fixture, bucket: &str, closed: bool) {
    f.run(f.ns.set_bucket_provided(&s3_caller(), bucket, !closed)).unwrap();
    assert_eq!(f.ns.is_bucket_provided(bucket).unwrap(), !closed);
}

fn blocks_of_objects_go_out_and_all_of_them(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    // Inside its record, in a slab, in a file of one leaf, of several, with holes, and one that shares chunks.
    let mut shares = pattern(5 << 20, 4);
    shares[4 << 20..].fill(7);
    let bodies =
        [b"tiny".to_vec(), pattern(40_000, 2), pattern(900_000, 3), pattern(5 << 20, 4), shares, vec![0; 3 << 20]];
    let roots: Vec<Cid> = bodies.iter().enumerate().map(|(n, body)| f.put(&format!("k{n}"), body).cid).collect();
    for again in [false, true] {
        for (root, body) in roots.iter().zip(&bodies) {
            let blocks = pulled(&f, root, &[]).unwrap();
            assert_eq!(bytes_of(&blocks), body.len(), "again: {again}");
            // Any block by itself, too.
            for (cid, len) in blocks {
                assert_eq!(f.ns.provided().block(&cid).unwrap().len(), len);
            }
        }
        f.reopen();
    }
    let other = Cid::new_v1(0x55, crate::types::Cid::try_from("bafkqaaa").unwrap().hash().to_owned());
    assert_eq!(f.ns.provided().block(&other).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!f.ns.provided().has(&raw_cid(b"nobody's")).unwrap());
}

fn what_no_name_holds_stays_in(engine: EngineKind) {
    let f = Fixture::new(engine);
    let body = pattern(3 << 20, 1);
    let root = f.put("a", &body).cid;
    let leaf = pulled(&f, &root, &[]).unwrap()[1].0;
    f.delete("a");
    // The bytes are still there: nobody has collected them.
    assert!(f.ns.chunks().contains(&leaf).unwrap());
    assert!(pulled(&f, &root, &[]).is_none() && pulled(&f, &leaf, &[]).is_none());
    // An upload's parts are nobody's object yet.
    let upload = f.run(f.ns.create_upload(&s3_caller(), "pics", b"up", CreateUpload::default())).unwrap();
    let part = pattern(5 << 20, 9);
    let mut writer = f.ns.writer("pics", WriteOptions { md5: true, size_hint: None }).unwrap();
    writer.as_part(upload.id, 1);
    writer.write(&part).unwrap();
    let stored = writer.finish().unwrap();
    let root = stored.root;
    f.run(f.ns.put_part(&s3_caller(), "pics", b"up", upload.id, 1, stored, None)).unwrap();
    assert!(f.ns.chunks().contains(&root).unwrap());
    assert!(pulled(&f, &root, &[]).is_none());
    // A version that is kept can still be read, so it goes out.
    f.run(f.ns.change_bucket_settings(&s3_caller(), "pics", |settings| {
        settings.versioning = Versioning::Enabled;
        Ok(())
    }))
    .unwrap();
    let old = f.put("v", &pattern(70_000, 5)).cid;
    f.put("v", b"new");
    assert!(pulled(&f, &old, &[]).is_some());
}

fn a_closed_bucket_keeps_its_blocks_but_those_that_others_have(engine: EngineKind) {
    let mut f = Fixture::new(engine);
    f.run(f.ns.create_bucket(&s3_caller(), &BucketName::new("open").unwrap(), None)).unwrap();
    let (own, both) = (pattern(3 << 20, 1), pattern(3 << 20, 2));
    let own = f.put("dir/own", &own).cid;
    let shared = f.put("both", &both).cid;
    let request = f.request(&both);
    f.run(f.ns.put(&s3_caller(), "open", b"both", request)).unwrap();
    close(&f, "pics", true);
    for _ in 0..2 {
        assert!(pulled(&f, &own, &[]).is_none());
        assert!(pulled(&f, &shared, &[]).is_some(), "an open bucket has it too");
        f.reopen();
    }
    f.run(f.ns.delete(&s3_caller(), "open", b"both", Default::default())).unwrap();
    assert!(pulled(&f, &shared, &[]).is_none());
    close(&f, "pics", false);
    assert!(pulled(&f, &own, &[]).is_some() && pulled(&f, &shared, &[]).is_some());
    assert_eq!(f.ns.is_bucket_provided("none").unwrap_err().kind(), ErrorKind::NoSuchBucket);
}

fn an_inode_of_several_names(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.put("a", &pattern(100_000, 1)).cid;
    f.ns.link(&mount_caller(), f.ino("a").unwrap(), f.bucket_ino(), plain("b")).unwrap();
    assert!(pulled(&f, &root, &[]).is_some());
    close(&f, "pics", true);
    assert!(pulled(&f, &root, &[]).is_none());
}

fn a_directory_whose_cid_was_asked_for(engine: EngineKind) {
    let f = Fixture::new(engine);
    for n in 0..2500 {
        f.put(&format!("many/an object with a name that is rather long, number {n}"), b"the same bytes");
    }
    f.put("d/e/file", &pattern(2 << 20, 1));
    f.ns.symlink(&mount_caller(), f.bucket_ino(), plain("link"), b"d/e/file").unwrap();
    let dag = || f.ns.directory_dag("pics", b"", &|_| {}).unwrap();
    let root = dag().cid;
    let all = pulled(&f, &root, &[]).unwrap();
    assert_eq!(all.iter().map(|(_, len)| *len as u64).sum::<u64>(), dag().tsize, "nothing is missing");
    assert_eq!(bytes_of(&pulled(&f, &root, &["d", "e", "file"]).unwrap()), 2 << 20);
    close(&f, "pics", true);
    assert!(pulled(&f, &root, &[]).is_none());
    close(&f, "pics", false);
    assert!(pulled(&f, &root, &[]).is_some());
}

fn s17_a_damaged_chunk_does_not_go_out(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.put("a", &pattern(3 << 20, 1)).cid;
    let blocks = pulled(&f, &root, &[]).unwrap();
    // After it was read and found good: what is on the disk now counts.
    let file = std::fs::read_dir(f.dir.path().join("chunks/content")).unwrap();
    let mut file =
        file.flat_map(|fan| std::fs::read_dir(fan.unwrap().path()).unwrap()).map(|entry| entry.unwrap().path());
    let file = file.find(|path| path.extension().is_none()).unwrap();
    use std::os::unix::fs::{FileExt, PermissionsExt};
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all_at(b"!!", (1 << 20) + 5).unwrap();
    let bad = blocks[2].0;
    assert_eq!(f.ns.provided().block(&bad).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(f.ns.provided().block(&blocks[1].0).unwrap().len(), 1 << 20);
    let to = resolve(&f.ns.provided(), &root, &[]).unwrap();
    let mut walk = Walk::new(f.ns.provided(), to, Scope::All, false, Limits::DEFAULT);
    assert!(walk.step().is_ok() && walk.step().is_ok());
    assert_eq!(walk.step().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(walk.step().unwrap().is_none(), "an error ends it");
}
