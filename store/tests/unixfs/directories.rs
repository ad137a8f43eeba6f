//! Directories: equal to those of `rust-unixfs`, plain and sharded, and read back whole.

use std::collections::{BTreeMap, HashSet};

use cid::Cid;
use pinfold_store::unixfs::{
    Block, DirectoryBuilder, DirectoryMeasure, DirectoryReader, DirectoryRoot, Entry, Geometry, Profile, raw_cid,
};
use pinfold_store::{ErrorKind, Result};
use proptest::prelude::{ProptestConfig, Strategy, prop_assert, prop_assert_eq, proptest};
use rust_unixfs::dir::builder::{BufferingTreeBuilder, TreeOptions};
use rust_unixfs::dir::{MaybeResolved, resolve};

use crate::support::Blocks;

/// Name, and a tsize from which the CID follows.
type Names = BTreeMap<String, u64>;

fn entries(names: &Names) -> impl Iterator<Item = Entry> {
    names.iter().map(|(name, &tsize)| Entry { name: name.clone(), cid: raw_cid(&tsize.to_le_bytes()), tsize })
}

fn build(names: &Names, geometry: Geometry, blocks: &mut Blocks) -> DirectoryRoot {
    let mut builder = DirectoryBuilder::with_geometry(geometry);
    entries(names).for_each(|e| builder.push(e).unwrap());
    builder.finish(&mut |b| blocks.put(b)).unwrap()
}

/// The other implementation's root and blocks; it shards by link bytes.
fn others(names: &Names, limit: u64) -> (Cid, u64, Blocks) {
    let mut options = TreeOptions::default();
    options.shard_threshold(Some(limit));
    options.block_size_limit(None);
    options.wrap_with_directory();
    let mut tree = BufferingTreeBuilder::new(options);
    entries(names).for_each(|e| tree.put_link(&e.name, e.cid, e.tsize).unwrap());
    let (mut blocks, mut root) = (Blocks::default(), None);
    for node in tree.build() {
        let node = node.unwrap();
        blocks.put(Block { cid: node.cid, bytes: node.block.into_vec().into() }).unwrap();
        root = Some((node.cid, node.total_size));
    }
    let (cid, tsize) = root.unwrap();
    (cid, tsize, blocks)
}

fn by_links(limit: usize) -> Geometry {
    Geometry { directory_measure: DirectoryMeasure::LinkBytes, directory_limit: limit, ..Profile::V1_2025.geometry() }
}

/// Everything that a reader can say about the directory is what was put in.
fn read_back(names: &Names, root: &Cid, blocks: &Blocks) {
    let reader = DirectoryReader::open(blocks, root).unwrap();
    let listed: Vec<Entry> = reader.entries().collect::<Result<_>>().unwrap();
    assert_eq!(listed.len(), names.len());
    let mut sorted = listed;
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(sorted.into_iter().eq(entries(names)));
    for entry in entries(names) {
        assert_eq!(reader.lookup(&entry.name).unwrap(), Some(entry));
    }
    for absent in ["", "absent", "name", "00", "\u{fe}"] {
        if !names.contains_key(absent) {
            assert_eq!(reader.lookup(absent).unwrap(), None, "{absent:?}");
        }
    }
}

fn many(count: u64) -> Names {
    (0..count).map(|i| (format!("entry number {i}"), i.pow(3))).collect()
}

#[test]
fn s18_the_classic_limit_is_exact() {
    // 4096 entries of 28-byte names and 36-byte CIDs: 262144 bytes, the limit. One byte more shards.
    let mut names: Names = (0..4096).map(|i| (format!("{i:028}"), i)).collect();
    let geometry = Profile::KuboClassicV1.geometry();
    for (sharded, extra) in [(false, ""), (true, "+")] {
        let (name, tsize) = names.pop_last().unwrap();
        names.insert(name + extra, tsize);
        let mut blocks = Blocks::default();
        let root = build(&names, geometry, &mut blocks);
        assert_eq!(root.sharded, sharded);
        let (cid, tsize, other) = others(&names, 262_144);
        assert_eq!((root.cid, root.tsize), (cid, tsize));
        assert!(blocks.0 == other.0);
        read_back(&names, &root.cid, &blocks);
    }
}

#[test]
fn s18_large_directories() {
    let names = many(30_000);
    let mut blocks = Blocks::default();
    let root = build(&names, by_links(0), &mut blocks);
    let (cid, tsize, other) = others(&names, 0);
    assert_eq!((root.cid, root.tsize, root.sharded, root.entries), (cid, tsize, true, 30_000));
    assert!(blocks.0 == other.0);
    read_back(&names, &root.cid, &blocks);
}

#[test]
fn order_and_scratch_files_change_nothing() {
    let names = many(5000);
    let mut blocks = Blocks::default();
    let root = build(&names, Profile::V1_2025.geometry(), &mut blocks);
    assert!(root.sharded);
    let folder = tempfile::tempdir().unwrap();
    let mut builder = DirectoryBuilder::new(Profile::V1_2025).with_scratch(folder.path(), 10_000);
    let mut backwards: Vec<_> = entries(&names).collect();
    backwards.reverse();
    backwards.into_iter().for_each(|e| builder.push(e).unwrap());
    let (mut made, mut again) = (HashSet::new(), 0);
    let other = builder
        .finish(&mut |b| {
            again += u32::from(!made.insert(b.cid));
            Ok(())
        })
        .unwrap();
    assert_eq!((other, again), (root, 0));
    assert_eq!(made, blocks.0.into_keys().collect());
}

#[test]
fn every_fanout_reads_back() {
    let names = many(700);
    for shard_bits in 3..=10 {
        let mut blocks = Blocks::default();
        let root = build(&names, Geometry { shard_bits, ..by_links(0) }, &mut blocks);
        read_back(&names, &root.cid, &blocks);
    }
}

#[test]
fn names_that_no_path_can_hold_are_refused() {
    for name in ["", ".", "..", "a/b", "/", "nul\0"] {
        let mut builder = DirectoryBuilder::new(Profile::default());
        let entry = Entry { name: name.to_owned(), cid: raw_cid(b""), tsize: 0 };
        assert_eq!(builder.push(entry).unwrap_err().kind(), ErrorKind::InvalidArgument, "{name:?}");
    }
}

#[test]
fn a_name_given_twice_is_refused() {
    for limit in [0, usize::MAX] {
        let mut builder = DirectoryBuilder::with_geometry(by_links(limit));
        let entry = |name: &str| Entry { name: name.to_owned(), cid: raw_cid(b""), tsize: 0 };
        ["a", "b", "c", "b"].iter().for_each(|name| builder.push(entry(name)).unwrap());
        let error = builder.finish(&mut |_| Ok(())).unwrap_err();
        assert_eq!((error.kind(), error.context("name")), (ErrorKind::AlreadyExists, Some("b")));
    }
}

#[test]
fn what_is_not_a_directory_says_so() {
    let mut blocks = Blocks::default();
    let symlink = Block::symlink(&b"target"[..]);
    let raw = Block::raw(&b"bytes"[..]);
    for block in [symlink, raw] {
        let cid = block.cid;
        blocks.put(block).unwrap();
        let error = DirectoryReader::open(&blocks, &cid).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    }
    let file = crate::support::add_file(&[1; 10], crate::support::geometry(3, 2), &mut blocks).cid;
    assert_eq!(DirectoryReader::open(&blocks, &file).map(|_| ()).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn a_lost_shard_is_named() {
    let names = many(2000);
    let mut blocks = Blocks::default();
    let root = build(&names, by_links(0), &mut blocks).cid;
    let lost = *blocks.0.keys().find(|cid| **cid != root).unwrap();
    blocks.0.remove(&lost);
    let reader = DirectoryReader::open(&blocks, &root).unwrap();
    let mut walk = reader.entries();
    let error = walk.find_map(Result::err).unwrap();
    assert_eq!((error.kind(), error.context("cid")), (ErrorKind::NotFound, Some(lost.to_string().as_str())));
    assert!(walk.next().is_none(), "the walk is over after an error");
}

fn names() -> impl Strategy<Value = Names> {
    let name = "[a-c\u{e9}\u{1f600}]{1,4}|[ -.0-~]{1,40}".prop_filter("a name", |n| n != "." && n != "..");
    proptest::collection::btree_map(name, 0..u64::MAX / 1000, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn s18_any_directory(names in names(), limit in 0usize..3000) {
        let mut blocks = Blocks::default();
        let root = build(&names, by_links(limit), &mut blocks);
        let (cid, tsize, other) = others(&names, limit as u64);
        prop_assert_eq!((root.cid, root.tsize), (cid, tsize));
        prop_assert!(blocks.0 == other.0);
        let measured: usize = names.keys().map(|n| n.len() + 36).sum();
        prop_assert_eq!(root.sharded, measured > limit);
        read_back(&names, &root.cid, &blocks);
    }

    /// The block measure shards exactly when the plain block would be over the limit.
    #[test]
    fn s18_the_block_measure_is_the_blocks_size(names in names(), limit in 4usize..6000) {
        let of = |limit| Geometry { directory_limit: limit, ..Profile::V1_2025.geometry() };
        let mut blocks = Blocks::default();
        let plain = build(&names, of(usize::MAX), &mut blocks);
        prop_assert!(!plain.sharded);
        let size = blocks.0[&plain.cid].len();
        let root = build(&names, of(limit), &mut Blocks::default());
        prop_assert_eq!(root.sharded, size > limit);
    }

    /// The other implementation finds every name in our directories.
    #[test]
    fn others_look_up_in_our_directories(names in names(), limit in 0usize..3000) {
        let mut blocks = Blocks::default();
        let root = build(&names, by_links(limit), &mut blocks).cid;
        for entry in entries(&names) {
            let mut cache = None;
            let mut step = resolve(&blocks.0[&root], &entry.name, &mut cache).unwrap();
            let found = loop {
                match step {
                    MaybeResolved::Found(cid) => break Some(cid),
                    MaybeResolved::NotFound => break None,
                    MaybeResolved::NeedToLoadMore(lookup) => {
                        let next = *lookup.pending_links().0;
                        step = lookup.continue_walk(&blocks.0[&next], &mut cache).unwrap();
                    }
                }
            };
            prop_assert_eq!(found, Some(entry.cid));
        }
    }
}

/// Two names with one hash: MurmurHash3 runs backwards, so after any first block a second one can lead to any state.
fn colliding_names() -> (String, String) {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    // Newton's iteration: each step doubles the bits that are right.
    let inverse = |x: u64| (0..6).fold(x, |y, _| y.wrapping_mul(2u64.wrapping_sub(x.wrapping_mul(y))));
    let block = |h1: u64, h2: u64, k1: u64, k2: u64| {
        let k1 = k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
        let h1 = (h1 ^ k1).rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        let k2 = k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
        (h1, (h2 ^ k2).rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5))
    };
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let one = b"a first block!!!and a second one";
    let state = block(0, 0, word(&one[..8]), word(&one[8..16]));
    let (h1, h2) = block(state.0, state.1, word(&one[16..24]), word(&one[24..]));
    let other = (0u64..).find_map(|i| {
        let first = format!("{i:016}");
        let (g1, g2) = block(0, 0, word(&first.as_bytes()[..8]), word(&first.as_bytes()[8..]));
        let k1 = h1.wrapping_sub(0x52dc_e729).wrapping_mul(inverse(5)).wrapping_sub(g2).rotate_right(27) ^ g1;
        let k1 = k1.wrapping_mul(inverse(C2)).rotate_right(31).wrapping_mul(inverse(C1));
        let k2 = h2.wrapping_sub(0x3849_5ab5).wrapping_mul(inverse(5)).wrapping_sub(h1).rotate_right(31) ^ g2;
        let k2 = k2.wrapping_mul(inverse(C1)).rotate_right(33).wrapping_mul(inverse(C2));
        let name = [first.as_bytes(), &k1.to_le_bytes(), &k2.to_le_bytes()].concat();
        String::from_utf8(name).ok().filter(|n| !n.contains(['/', '\0']))
    });
    (String::from_utf8(one.to_vec()).unwrap(), other.unwrap())
}

#[test]
fn names_of_one_hash_are_refused_where_no_shard_can_hold_them() {
    let (one, other) = colliding_names();
    assert_ne!(one, other);
    for (limit, refused) in [(0, true), (usize::MAX, false)] {
        let mut builder = DirectoryBuilder::with_geometry(by_links(limit));
        for name in ["another", &one, &other] {
            builder.push(Entry { name: name.to_owned(), cid: raw_cid(b""), tsize: 0 }).unwrap();
        }
        let kind = builder.finish(&mut |_| Ok(())).err().map(|e| e.kind());
        assert_eq!(kind, refused.then_some(ErrorKind::Unsupported));
    }
}
