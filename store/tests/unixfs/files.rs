//! Files: CIDs and blocks equal to those of `rust-unixfs`, around every boundary.

use pinfold_store::unixfs::{Block, DagBuilder, Leaf, Profile};
use pinfold_store::{Error, ErrorKind};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use rust_unixfs::file::adder::{BalancedCollector, Chunker, FileAdder};

use crate::support::{Blocks, Stream, add_file, geometry};

/// The other implementation's root and blocks.
fn others(bytes: &[u8], chunk: usize, links: usize) -> (cid::Cid, Blocks) {
    let mut adder = FileAdder::builder()
        .with_chunker(Chunker::Size(chunk))
        .with_collector(BalancedCollector::with_branching_factor(links))
        .with_raw_leaves(true)
        .build();
    let (mut blocks, mut root) = (Blocks::default(), None);
    let mut keep = |(cid, bytes): (cid::Cid, Vec<u8>)| {
        blocks.put(Block { cid, bytes: bytes.into() }).unwrap();
        root = Some(cid);
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (ready, consumed) = adder.push(rest);
        ready.for_each(&mut keep);
        rest = &rest[consumed..];
    }
    adder.finish().for_each(&mut keep);
    (root.unwrap(), blocks)
}

#[track_caller]
fn same(bytes: &[u8], chunk: usize, links: usize) {
    let mut ours = Blocks::default();
    let root = add_file(bytes, geometry(chunk, links), &mut ours);
    let (cid, blocks) = others(bytes, chunk, links);
    assert_eq!(root.cid, cid, "{} bytes in chunks of {chunk}, {links} links", bytes.len());
    assert!(ours.0 == blocks.0, "the same root, but not the same blocks");
    // Tsize: every block as often as it is linked.
    assert_eq!(root.tsize, ours.linked_bytes(&root.cid));
}

#[test]
fn s18_every_boundary_of_small_trees() {
    let bytes = Stream::bytes("boundaries", 3 * 81 + 5);
    for len in 0..bytes.len() {
        same(&bytes[..len], 3, 3);
        same(&bytes[..len], 1, 2);
        same(&bytes[..len], 2, 4);
    }
}

#[test]
fn s18_boundaries_of_the_profiles() {
    let bytes = Stream::bytes("profiles", (174 << 18) + (256 << 10) + 1);
    for profile in Profile::ALL {
        let (chunk, links) = (profile.chunk_size(), profile.max_links());
        for len in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1] {
            same(&bytes[..len], chunk, links);
        }
    }
    // Kubo's classic width is within reach of real bytes: one full node, and one chunk and a byte more.
    let full = 174 << 18;
    for len in [full - 1, full, full + 1, bytes.len()] {
        same(&bytes[..len], 256 << 10, 174);
    }
}

#[test]
fn leaves_of_the_wrong_length_are_refused() {
    let leaf = |size| Leaf { cid: pinfold_store::unixfs::raw_cid(b"x"), size };
    let chunk = Profile::default().chunk_size() as u64;
    let refused = |before: &[u64], size| {
        let mut builder = DagBuilder::new(Profile::default());
        before.iter().for_each(|&size| builder.push(leaf(size), &mut |_| Ok(())).unwrap());
        builder.push(leaf(size), &mut |_| Ok(())).unwrap_err().kind()
    };
    for (before, size) in [(&[][..], 0), (&[], chunk + 1), (&[chunk, 5], 5), (&[chunk - 1], chunk)] {
        assert_eq!(refused(before, size), ErrorKind::InvalidArgument, "{size} after {before:?}");
    }
    let mut builder = DagBuilder::new(Profile::default());
    builder.push(leaf(5), &mut |_| Ok(())).unwrap();
    assert_eq!(builder.push_zeros(1, &mut |_| Ok(())).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn an_error_of_the_sink_comes_back() {
    let mut builder = DagBuilder::with_geometry(geometry(1, 2));
    let leaf = Leaf { cid: pinfold_store::unixfs::raw_cid(b"x"), size: 1 };
    let mut full = |_| Err(Error::new(ErrorKind::NoSpace, "full"));
    builder.push(leaf, &mut full).unwrap();
    assert_eq!(builder.push(leaf, &mut full).unwrap_err().kind(), ErrorKind::NoSpace);
    let empty = DagBuilder::new(Profile::default());
    assert_eq!(empty.finish(&mut full).unwrap_err().kind(), ErrorKind::NoSpace);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn s18_any_file_in_any_geometry(len in 0usize..4000, chunk in 1usize..40, links in 2usize..9, seed: u16) {
        let bytes = Stream::bytes(&seed.to_string(), len);
        let mut blocks = Blocks::default();
        let root = add_file(&bytes, geometry(chunk, links), &mut blocks);
        let (cid, others) = others(&bytes, chunk, links);
        prop_assert_eq!(root.cid, cid);
        prop_assert_eq!(blocks.0, others.0);
        prop_assert_eq!(root.size, len as u64);
        prop_assert_eq!(root.leaves, len.div_ceil(chunk) as u64);
    }
}
