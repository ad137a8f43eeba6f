//! CIDs of directories and buckets.

use super::{Fixture, WRITE, mount_caller, plain};
use crate::error::ErrorKind;
use crate::meta::EngineKind;
use crate::namespace::dag::DirectoryDag;
use crate::namespace::mount_types::{RenameMode, Special};
use crate::unixfs::{Block, DagBuilder, DirectoryBuilder, DirectoryRoot, Entry, Profile, raw_cid};

fn dag(f: &Fixture, path: &str) -> DirectoryDag {
    f.ns.directory_dag("pics", path.as_bytes(), &|_| {}).unwrap()
}

fn small(name: &str, bytes: &[u8]) -> Entry {
    Entry { name: name.into(), cid: raw_cid(bytes), tsize: bytes.len() as u64 }
}

fn directory(entries: impl IntoIterator<Item = Entry>) -> DirectoryRoot {
    let mut builder = DirectoryBuilder::new(Profile::default());
    entries.into_iter().for_each(|entry| builder.push(entry).unwrap());
    builder.finish(&mut |_| Ok(())).unwrap()
}

fn below(name: &str, root: DirectoryRoot) -> Entry {
    Entry { name: name.into(), cid: root.cid, tsize: root.tsize }
}

fn s18_a_bucket_is_the_directory_of_its_entries(engine: EngineKind) {
    let f = Fixture::new(engine);
    assert_eq!(dag(&f, "").cid, directory([]).cid, "of an empty bucket: the empty directory");
    f.put("b.txt", b"b");
    f.put("d/x", b"below");
    f.put("d/e/y", b"further below");
    let root = f.bucket_ino();
    f.ns.symlink(&mount_caller(), root, plain("link"), b"d/x").unwrap();
    f.ns.mknod(&mount_caller(), root, plain("pipe"), 0o600, Special::Fifo).unwrap();
    f.ns.mkdir(&mount_caller(), root, plain("empty"), 0o755).unwrap();
    let link = Block::symlink(&b"d/x"[..]);
    let e = directory([small("y", b"further below")]);
    let d = directory([below("e", e), small("x", b"below")]);
    let all = directory([
        small("b.txt", b"b"),
        below("d", d),
        below("empty", directory([])),
        Entry { name: "link".into(), cid: link.cid, tsize: link.bytes.len() as u64 },
    ]);
    let bucket = dag(&f, "");
    assert_eq!((bucket.cid, bucket.tsize), (all.cid, all.tsize));
    let counts = (bucket.files, bucket.directories, bucket.bytes, bucket.left_out);
    assert_eq!(counts, (4, 3, 1 + 5 + 13, 1));
    assert_eq!((dag(&f, "d").cid, dag(&f, "d/").cid, dag(&f, "d/e").cid), (d.cid, d.cid, e.cid));
    // Renaming a directory changes no CID below it.
    f.ns.rename(&mount_caller(), root, plain("d"), root, plain("moved"), RenameMode::Replace).unwrap();
    assert_eq!(dag(&f, "moved").cid, d.cid);
    for path in ["d", "b.txt", "moved/x", "moved/nothing"] {
        let error = f.ns.directory_dag("pics", path.as_bytes(), &|_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
    }
    let error = f.ns.directory_dag("none", b"", &|_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchBucket);
}

fn s2_names_that_no_directory_holds_are_escaped_in_the_dag_too(engine: EngineKind) {
    let f = Fixture::new(engine);
    f.put("a", b"object");
    f.put("a/", b"marker");
    f.put("a/.", b"dot");
    f.put("a//b", b"under an empty name");
    f.put("%@x", b"introducer");
    let empty = directory([small("b", b"under an empty name")]);
    let a = directory([small("%@dot", b"dot"), below("%@empty", empty), small("%@self", b"marker")]);
    let all = directory([small("%@%@x", b"introducer"), small("%@object:a", b"object"), below("a", a)]);
    assert_eq!(dag(&f, "").cid, all.cid);
    assert_eq!((dag(&f, "a").cid, dag(&f, "a/").cid, dag(&f, "a//").cid), (a.cid, a.cid, empty.cid));
}

fn s18_large_files_and_large_directories(engine: EngineKind) {
    let f = Fixture::new(engine);
    let large = vec![7; (3 << 20) + 5];
    f.put("large", &large);
    let mut file = DagBuilder::new(Profile::default());
    for chunk in large.chunks(1 << 20) {
        let leaf = crate::unixfs::Leaf { cid: raw_cid(chunk), size: chunk.len() as u64 };
        file.push(leaf, &mut |_| Ok(())).unwrap();
    }
    let file = file.finish(&mut |_| Ok(())).unwrap();
    let large = Entry { name: "large".into(), cid: file.cid, tsize: file.tsize };
    let one = directory([large.clone()]);
    assert_eq!((dag(&f, "").cid, dag(&f, "").tsize), (one.cid, one.tsize));
    // So many that the directory is a HAMT, and its rows are read in several batches.
    let names: Vec<_> = (0..4000).map(|n| format!("{n:06}-a-name-of-some-length")).collect();
    let root = f.bucket_ino();
    let many = f.ns.mkdir(&mount_caller(), root, plain("many"), 0o755).unwrap().ino;
    for name in &names {
        f.ns.mknod(&mount_caller(), many, plain(name), 0o644, Special::File).unwrap();
    }
    let many = directory(names.iter().map(|name| small(name, b"")));
    assert!(many.sharded);
    let all = directory([large, below("many", many)]);
    assert_eq!((dag(&f, "").cid, dag(&f, "").tsize), (all.cid, all.tsize));
}

fn s6_what_was_written_and_closed_is_published_for_it(engine: EngineKind) {
    let f = Fixture::new(engine);
    let root = f.bucket_ino();
    let (stat, handle) = f.ns.create(&mount_caller(), root, plain("w"), 0o644, WRITE).unwrap();
    f.ns.write(&handle, 0, b"written").unwrap();
    // Open for writing: as a listing shows it.
    assert_eq!(dag(&f, "").cid, directory([small("w", b"")]).cid);
    f.ns.flush(&handle).unwrap();
    assert_eq!(dag(&f, "").cid, directory([small("w", b"written")]).cid);
    f.ns.release(&handle).unwrap();
    assert_eq!(f.ns.getattr(stat.ino).unwrap().size, 7);
}

on_every_engine!(
    s18_a_bucket_is_the_directory_of_its_entries,
    s2_names_that_no_directory_holds_are_escaped_in_the_dag_too,
    s18_large_files_and_large_directories,
    s6_what_was_written_and_closed_is_published_for_it,
);
