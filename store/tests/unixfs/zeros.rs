//! Zeros: the short way gives the CID of the long one, at a cost that does not follow the file's size.

use std::collections::HashSet;

use pinfold_store::unixfs::{BlockSource, DagBuilder, Geometry, Leaf, Profile, Root, raw_cid, read_range};
use pinfold_store::{ErrorKind, Result};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest};

use crate::support::{Blocks, add_file, geometry};

const TIB: u64 = 1 << 40;

/// Every leaf pushed by itself.
fn one_by_one(size: u64, geometry: Geometry) -> Root {
    let mut builder = DagBuilder::with_geometry(geometry);
    let chunk = geometry.chunk_size as u64;
    let cid = raw_cid(&vec![0; geometry.chunk_size]);
    for _ in 0..size / chunk {
        builder.push(Leaf { cid, size: chunk }, &mut |_| Ok(())).unwrap();
    }
    push_tail(&mut builder, size % chunk);
    builder.finish(&mut |_| Ok(())).unwrap()
}

/// All whole leaves at once; answers also the number of nodes made.
fn at_once(size: u64, geometry: Geometry) -> (Root, usize) {
    let mut nodes = 0;
    let mut count = |_| {
        nodes += 1;
        Ok(())
    };
    let mut builder = DagBuilder::with_geometry(geometry);
    let chunk = geometry.chunk_size as u64;
    builder.push_zeros(size / chunk, &mut count).unwrap();
    push_tail(&mut builder, size % chunk);
    assert_eq!(builder.size(), size);
    let root = builder.finish(&mut count).unwrap();
    (root, nodes)
}

fn push_tail(builder: &mut DagBuilder, size: u64) {
    if size > 0 {
        let tail = Leaf { cid: raw_cid(&vec![0; size as usize]), size };
        builder.push(tail, &mut |_| Ok(())).unwrap();
    }
}

#[test]
fn s20_sparse_files_around_the_profiles_boundaries() {
    for profile in Profile::ALL {
        let (chunk, links) = (profile.chunk_size() as u64, profile.max_links() as u64);
        let full = chunk * links;
        for size in [0, 1, chunk - 1, chunk, chunk + 1, full - 1, full, full + 1, 3 * full + 2 * chunk + 7] {
            let geometry = profile.geometry();
            assert_eq!(at_once(size, geometry).0, one_by_one(size, geometry), "{size} bytes in {profile}");
        }
    }
}

#[test]
fn s20_small_trees_of_every_size() {
    for links in [2, 3, 5] {
        for size in 0..700 {
            assert_eq!(at_once(size, geometry(2, links)).0, one_by_one(size, geometry(2, links)), "{size}, {links}");
        }
    }
}

#[test]
fn s20_huge_holes_are_cheap() {
    // 5 TiB at 1 MiB and 1024 links: the full subtrees of heights 1 and 2, and a root with five of the latter.
    let (root, nodes) = at_once(5 * TIB, Profile::V1_2025.geometry());
    assert_eq!((root.size, root.leaves, nodes), (5 * TIB, 5 << 20, 3));
    // A byte at the front throws the alignment off: a few hundred nodes would still be nothing, it is a dozen.
    let mut nodes = 0;
    let mut builder = DagBuilder::new(Profile::V1_2025);
    let mut count = |_| {
        nodes += 1;
        Ok(())
    };
    builder.push(Leaf { cid: raw_cid(b"not zeros"), size: 1 << 20 }, &mut count).unwrap();
    builder.push_zeros(5 << 20, &mut count).unwrap();
    builder.finish(&mut count).unwrap();
    assert!(nodes <= 12, "{nodes} nodes");
}

#[test]
fn s20_every_block_of_a_sparse_file_is_there() {
    let mut blocks = Blocks::default();
    let mut builder = DagBuilder::with_geometry(geometry(4, 3));
    let zero = builder.zero_leaf();
    builder.push_zeros(3u64.pow(12) + 5, &mut |b| blocks.put(b)).unwrap();
    let root = builder.finish(&mut |b| blocks.put(b)).unwrap();
    blocks.put(pinfold_store::unixfs::Block::raw(vec![0; 4])).unwrap();
    assert_eq!(blocks.block(&zero.cid).unwrap(), &[0; 4][..]);
    assert_eq!(root.tsize, blocks.linked_bytes(&root.cid));
    for offset in [0, root.size / 2 + 1, root.size - 9] {
        let mut out = Vec::new();
        read_range(&blocks, &root.cid, offset, 9, &mut |b| {
            out.extend_from_slice(&b);
            Ok(())
        })
        .unwrap();
        assert_eq!(out, [0; 9]);
    }
}

#[test]
fn sizes_beyond_64_bits_are_refused() {
    let mut builder = DagBuilder::new(Profile::V1_2025);
    let error = builder.push_zeros(u64::MAX, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let most = u64::MAX >> 20;
    let mut builder = DagBuilder::new(Profile::V1_2025);
    let result: Result<_> = builder
        .push_zeros(most, &mut |_| Ok(()))
        .and_then(|()| builder.push_zeros(1, &mut |_| Ok(())))
        .and_then(|()| builder.finish(&mut |_| Ok(())));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[derive(Clone, Debug)]
enum Piece {
    Zeros(u64),
    Bytes(Vec<u8>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (0u64..60).prop_map(Piece::Zeros),
        (0u32..5).prop_flat_map(|h| Just(Piece::Zeros(3u64.pow(h)))),
        proptest::collection::vec(0u8..3, 1..12).prop_map(Piece::Bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Zeros and data in any mixture: the CID and the set of blocks are those of the bytes.
    #[test]
    fn s20_holes_anywhere(pieces in proptest::collection::vec(piece(), 0..12), tail in 0usize..4, links in 2usize..6) {
        let geometry = geometry(4, links);
        let (mut bytes, mut blocks) = (Vec::new(), Blocks::default());
        let mut builder = DagBuilder::with_geometry(geometry);
        let mut made = HashSet::new();
        let mut sink = |b: pinfold_store::unixfs::Block| {
            made.insert(b.cid);
            Ok(())
        };
        for piece in pieces {
            match piece {
                Piece::Zeros(leaves) => {
                    builder.push_zeros(leaves, &mut sink).unwrap();
                    bytes.resize(bytes.len() + 4 * leaves as usize, 0);
                }
                Piece::Bytes(data) => for &byte in &data {
                    let chunk = [byte, 1, 2, 3];
                    builder.push(Leaf { cid: raw_cid(&chunk), size: 4 }, &mut sink).unwrap();
                    bytes.extend_from_slice(&chunk);
                },
            }
        }
        if tail > 0 {
            builder.push(Leaf { cid: raw_cid(&vec![0; tail]), size: tail as u64 }, &mut sink).unwrap();
            bytes.resize(bytes.len() + tail, 0);
        }
        let root = builder.finish(&mut sink).unwrap();
        prop_assert_eq!(root, add_file(&bytes, geometry, &mut blocks));
        let leaves: HashSet<_> = bytes.chunks(4).map(raw_cid).collect();
        let straight: HashSet<_> = blocks.0.into_keys().filter(|cid| !leaves.contains(cid)).collect();
        made.retain(|cid| !leaves.contains(cid));
        // A memoised subtree may be made on the way to a larger one and be linked only there: nothing is missing.
        prop_assert_eq!(made, straight);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A link's Tsize follows from the file's size alone.
    #[test]
    fn tsize_is_of_the_size(size in 0..40u64 << 20, profile in proptest::sample::select(Profile::ALL.to_vec())) {
        prop_assert_eq!(DagBuilder::tsize_of(profile, size).unwrap(), one_by_one(size, profile.geometry()).tsize);
    }
}

#[test]
fn tsize_at_boundaries() {
    for profile in Profile::ALL {
        let whole = profile.chunk_size() as u64 * profile.max_links() as u64;
        for size in [0, 1, whole - 1, whole, whole + 1, 3 * whole + 5] {
            let root = one_by_one(size, profile.geometry());
            assert_eq!(DagBuilder::tsize_of(profile, size).unwrap(), root.tsize, "{size} bytes, {profile}");
        }
        assert!(DagBuilder::tsize_of(profile, 5 << 40).unwrap() > 5 << 40);
    }
}
