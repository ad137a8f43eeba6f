//! Reading files: any range of any tree, ours and those of others.

use bytes::Bytes;
use cid::{Cid, Version};
use pinfold_store::types::Timestamp;
use pinfold_store::unixfs::{Block, Data, FileReader, Kind, Link, Node, leaves_in_range, raw_cid, read_range};
use pinfold_store::{ErrorKind, Result};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use rust_unixfs::file::adder::{BalancedCollector, Chunker, FileAdder};
use rust_unixfs::walk::{ContinuedWalk, Walker};

use crate::support::{Blocks, Stream, add_file, geometry};

fn read(blocks: &Blocks, root: &Cid, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    read_range(blocks, root, offset, len, &mut |bytes| {
        assert!(!bytes.is_empty());
        out.extend_from_slice(&bytes);
        Ok(())
    })?;
    Ok(out)
}

fn cut(bytes: &[u8], offset: u64, len: u64) -> &[u8] {
    let begin = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
    let end = bytes.len().min(usize::try_from(offset.saturating_add(len)).unwrap_or(usize::MAX));
    &bytes[begin..end]
}

/// A file in the old form: no raw leaves, CIDv0 where asked for.
fn old_form(bytes: &[u8], chunk: usize, links: usize, version: Version) -> (Cid, Blocks) {
    let mut adder = FileAdder::builder()
        .with_chunker(Chunker::Size(chunk))
        .with_collector(BalancedCollector::with_branching_factor(links))
        .with_cid_version(version)
        .with_raw_leaves(false)
        .build();
    let (mut blocks, mut root) = (Blocks::default(), None);
    let mut rest = bytes;
    let mut keep = |(cid, bytes): (Cid, Vec<u8>)| {
        blocks.put(Block { cid, bytes: bytes.into() }).unwrap();
        root = Some(cid);
    };
    while !rest.is_empty() {
        let (ready, consumed) = adder.push(rest);
        ready.for_each(&mut keep);
        rest = &rest[consumed..];
    }
    adder.finish().for_each(&mut keep);
    (root.unwrap(), blocks)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_range_of_our_files(
        len in 0usize..2000, chunk in 1usize..30, links in 2usize..6, offset in 0u64..2100, want in 0u64..2100,
    ) {
        let bytes = Stream::bytes("range", len);
        let mut blocks = Blocks::default();
        let root = add_file(&bytes, geometry(chunk, links), &mut blocks);
        prop_assert_eq!(read(&blocks, &root.cid, offset, want).unwrap(), cut(&bytes, offset, want));
        // The walk names exactly the leaves that hold the range.
        let pieces = leaves_in_range(&blocks, &root.cid, offset..offset + want).unwrap();
        let end = (offset + want).min(len as u64);
        let first = offset / chunk as u64;
        let count = if offset < end { (end - 1) / chunk as u64 - first + 1 } else { 0 };
        prop_assert_eq!(pieces.len() as u64, count);
        for (piece, i) in pieces.iter().zip(first..) {
            let at = i * chunk as u64;
            let leaf = cut(&bytes, at, chunk as u64);
            prop_assert_eq!((piece.cid, piece.offset, piece.size), (raw_cid(leaf), at, leaf.len() as u64));
        }
    }

    #[test]
    fn any_range_of_old_files(
        len in 0usize..2000, chunk in 1usize..30, links in 2usize..6, offset in 0u64..2100, want in 0u64..2100, v0: bool,
    ) {
        let bytes = Stream::bytes("old", len);
        let version = if v0 { Version::V0 } else { Version::V1 };
        let (root, blocks) = old_form(&bytes, chunk, links, version);
        prop_assert_eq!(root.version(), version);
        prop_assert_eq!(read(&blocks, &root, offset, want).unwrap(), cut(&bytes, offset, want));
        prop_assert_eq!(FileReader::open(&blocks, &root).unwrap().size(), len as u64);
    }

    /// The other implementation reads what we write.
    #[test]
    fn others_read_our_files(bytes in proptest::collection::vec(any::<u8>(), 0..600), chunk in 1usize..30, links in 2usize..6) {
        let mut blocks = Blocks::default();
        let root = add_file(&bytes, geometry(chunk, links), &mut blocks);
        let (mut walker, mut cache, mut out) = (Walker::new(root.cid, String::new()), None, Vec::new());
        while walker.should_continue() {
            let cid = *walker.pending_links().0;
            match walker.next(&blocks.0[&cid], &mut cache).unwrap() {
                ContinuedWalk::File(segment, ..) => out.extend_from_slice(segment.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(out, bytes);
    }
}

#[test]
fn ranges_at_the_edges() {
    let bytes = Stream::bytes("edges", 100);
    for chunk in [7, 100, 1000] {
        let mut blocks = Blocks::default();
        let root = add_file(&bytes, geometry(chunk, 3), &mut blocks).cid;
        for (offset, len) in [(0, 0), (5, 0), (99, 1), (99, 2), (100, 1), (0, u64::MAX), (u64::MAX, u64::MAX), (100, 0)]
        {
            assert_eq!(read(&blocks, &root, offset, len).unwrap(), cut(&bytes, offset, len), "{offset} + {len}");
        }
        #[expect(clippy::reversed_empty_ranges)]
        let backwards = 50..10;
        assert_eq!(leaves_in_range(&blocks, &root, backwards).unwrap(), []);
    }
}

/// A node as the trickle layout makes it: bytes of its own, then children; and metadata on the root.
#[test]
fn nodes_with_bytes_and_children() {
    let mut blocks = Blocks::default();
    let raw = Block::raw(&b"def"[..]);
    let link =
        |block: &Block| Link { cid: block.cid, name: Some(String::new()), tsize: Some(block.bytes.len() as u64) };
    let node = |data: Data, links| Block::dag_pb(Node { links, data: Some(data.encode().into()) }.encode());
    let old_leaf =
        Data { kind: Kind::Raw, data: Some(Bytes::from_static(b"gh")), filesize: Some(2), ..Data::default() };
    let old_leaf = node(old_leaf, vec![]);
    let mtime = Timestamp { secs: -5, nanos: 7 };
    let top = Data {
        kind: Kind::File,
        data: Some(Bytes::from_static(b"abc")),
        filesize: Some(8),
        blocksizes: vec![3, 0, 2],
        mode: Some(0o640),
        mtime: Some(mtime),
        ..Data::default()
    };
    let empty = Block::raw(&b""[..]);
    let top = node(top, vec![link(&raw), link(&empty), link(&old_leaf)]);
    let root = top.cid;
    // The empty child is never asked for.
    [raw, old_leaf, top].into_iter().for_each(|b| blocks.put(b).unwrap());
    let whole = b"abcdefgh";
    for offset in 0..9 {
        for len in 0..9 {
            assert_eq!(read(&blocks, &root, offset, len).unwrap(), cut(whole, offset, len));
        }
    }
    let reader = FileReader::open(&blocks, &root).unwrap();
    let data = reader.data().unwrap();
    assert_eq!((reader.size(), data.mode, data.mtime), (8, Some(0o640), Some(mtime)));
}

#[test]
fn mode_and_mtime_as_others_write_them() {
    // Seconds as a plain varint (ten bytes when negative), nanoseconds fixed and absent when zero.
    let known: [(i64, u32, &[u8]); 3] = [
        (5, 0, b"\x08\x01\x38\xa4\x03\x42\x02\x08\x05"),
        (5, 7, b"\x08\x01\x38\xa4\x03\x42\x07\x08\x05\x15\x07\x00\x00\x00"),
        (-1, 0, b"\x08\x01\x38\xa4\x03\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ];
    for (secs, nanos, bytes) in known {
        let mtime = Some(Timestamp { secs, nanos });
        let data = Data { kind: Kind::Directory, mode: Some(0o644), mtime, ..Data::default() };
        assert_eq!(data.encode(), bytes);
        assert_eq!(Data::parse(&Bytes::copy_from_slice(bytes)).unwrap(), data);
    }
}

#[test]
fn what_is_not_a_file_says_so() {
    let mut blocks = Blocks::default();
    let directory = Block::dag_pb(&b"\x0a\x02\x08\x01"[..]);
    let symlink = Block::symlink(&b"target"[..]);
    let (directory_cid, symlink_cid) = (directory.cid, symlink.cid);
    [directory, symlink].into_iter().for_each(|b| blocks.put(b).unwrap());
    let kind = |cid: &Cid| FileReader::open(&blocks, cid).map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(&directory_cid), ErrorKind::IsADirectory);
    assert_eq!(kind(&symlink_cid), ErrorKind::InvalidArgument);
    assert_eq!(kind(&raw_cid(b"nowhere")), ErrorKind::NotFound);
    let cbor = Cid::new_v1(0x71, *raw_cid(b"").hash());
    assert_eq!(kind(&cbor), ErrorKind::InvalidArgument);
}

#[test]
fn damage_is_found_where_it_is_met() {
    let bytes = Stream::bytes("damage", 1000);
    let mut blocks = Blocks::default();
    let root = add_file(&bytes, geometry(10, 4), &mut blocks).cid;
    let leaf = raw_cid(&bytes[500..510]);
    blocks.0.insert(leaf, Bytes::from_static(b"short"));
    assert_eq!(read(&blocks, &root, 0, 500).unwrap(), &bytes[..500]);
    let error = read(&blocks, &root, 495, 10).unwrap_err();
    assert_eq!((error.kind(), error.context("cid")), (ErrorKind::Corrupt, Some(leaf.to_string().as_str())));
    blocks.0.remove(&leaf);
    assert_eq!(read(&blocks, &root, 509, 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read(&blocks, &root, 510, 490).unwrap(), &bytes[510..]);
}

#[test]
fn symlinks_as_others_make_them() {
    for target in ["target", "", "../some/where/else"] {
        let mut theirs = Vec::new();
        rust_unixfs::symlink::serialize_symlink_block(target, &mut theirs);
        assert_eq!(Block::symlink(target.to_owned()).bytes, theirs);
    }
}
