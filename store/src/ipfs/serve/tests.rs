use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{BlockSource, ByteRange, Limits, Resolved, Scope, Source, Walk, car, not_here, resolve};
use crate::error::{ErrorKind, Result};
use crate::types::Cid;
use crate::unixfs::{
    Block, DAG_PB, DagBuilder, Data, DirectoryBuilder, Entry, FileReader, Leaf, Link, Node, Profile, raw_cid,
};

/// Blocks in memory.
#[derive(Default)]
struct Blocks(HashMap<Cid, Bytes>);

impl BlockSource for Blocks {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        self.0.get(cid).cloned().ok_or_else(|| not_here(cid))
    }
}

impl Source for Blocks {
    fn len(&self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self.0.get(cid).map(|bytes| bytes.len() as u64))
    }
}

impl Blocks {
    fn put(&mut self, block: Block) -> Cid {
        self.0.insert(block.cid, block.bytes);
        block.cid
    }

    /// A file of chunks of 1 MiB whose bytes are `fill`.
    fn file(&mut self, chunks: &[u8], last: usize) -> (Cid, u64) {
        let mut dag = DagBuilder::new(Profile::V1_2025);
        let size = Profile::V1_2025.chunk_size();
        for (k, fill) in chunks.iter().enumerate() {
            let bytes = vec![*fill; if k + 1 == chunks.len() { last } else { size }];
            let len = bytes.len() as u64;
            let cid = self.put(Block::raw(bytes));
            dag.push(Leaf { cid, size: len }, &mut |block| {
                self.put(block);
                Ok(())
            })
            .unwrap();
        }
        let root = dag
            .finish(&mut |block| {
                self.put(block);
                Ok(())
            })
            .unwrap();
        (root.cid, root.tsize)
    }

    fn directory(&mut self, entries: Vec<(String, Cid, u64)>) -> Cid {
        let mut builder = DirectoryBuilder::new(Profile::V1_2025);
        for (name, cid, tsize) in entries {
            builder.push(Entry { name, cid, tsize }).unwrap();
        }
        let root = builder.finish(&mut |block| {
            self.put(block);
            Ok(())
        });
        root.unwrap().cid
    }

    fn walk(&self, root: Cid, path: &[&str], scope: Scope, dups: bool) -> Result<Vec<Cid>> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let to = resolve(self, &root, &path)?;
        collect(Walk::new(self, to, scope, dups, Limits::DEFAULT))
    }
}

fn collect<S: BlockSource>(mut walk: Walk<S>) -> Result<Vec<Cid>> {
    let mut cids = Vec::new();
    while let Some((cid, bytes)) = walk.step()? {
        crate::unixfs::verify(&cid, &bytes)?;
        cids.push(cid);
    }
    Ok(cids)
}

fn leaf(fill: u8) -> Cid {
    raw_cid(&vec![fill; 1 << 20])
}

fn range(text: &str) -> Scope {
    Scope::Entity(Some(ByteRange::parse(text).unwrap()))
}

#[test]
fn a_file_depth_first_with_and_without_what_comes_twice() {
    let mut blocks = Blocks::default();
    let (root, _) = blocks.file(&[1, 2, 1], 1 << 20);
    let (one, two) = (leaf(1), leaf(2));
    assert_eq!(blocks.walk(root, &[], Scope::All, true).unwrap(), [root, one, two, one]);
    assert_eq!(blocks.walk(root, &[], Scope::All, false).unwrap(), [root, one, two]);
    assert_eq!(blocks.walk(root, &[], Scope::Entity(None), true).unwrap(), [root, one, two, one]);
    assert_eq!(blocks.walk(root, &[], Scope::Block, true).unwrap(), [root]);
}

#[test]
fn only_the_blocks_of_a_range() {
    let mut blocks = Blocks::default();
    let (root, _) = blocks.file(&[1, 2, 3, 4], 10);
    let chunk = 1 << 20;
    let leaves = |text: &str| blocks.walk(root, &[], range(text), true).unwrap()[1..].to_vec();
    let tail = raw_cid(&[4; 10]);
    assert_eq!(leaves("0:0"), [leaf(1)]);
    assert_eq!(leaves(&format!("{}:{}", chunk - 1, chunk)), [leaf(1), leaf(2)]);
    assert_eq!(leaves(&format!("{chunk}:*")), [leaf(2), leaf(3), tail]);
    assert_eq!(leaves("-10:*"), [tail]);
    assert_eq!(leaves("-11:-11"), [leaf(3)]);
    assert_eq!(leaves("-999999999:0"), [leaf(1)]);
    assert_eq!(leaves("999999999:*"), [], "as the block alone");
    assert_eq!(leaves("5:-999999999"), []);
    // What is not asked for need not be there.
    blocks.0.remove(&leaf(3));
    assert_eq!(blocks.walk(root, &[], range("0:5"), true).unwrap(), [root, leaf(1)]);
    assert_eq!(blocks.walk(root, &[], Scope::All, true).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn paths_through_directories_bring_what_proves_them() {
    let mut blocks = Blocks::default();
    let (file, tsize) = blocks.file(&[1, 2], 5);
    let many: Vec<_> = (0..5000).map(|n| (format!("some rather long name of a file {n}"), file, tsize)).collect();
    let sharded = blocks.directory(many);
    let plain = blocks.directory(vec![("a".to_owned(), file, tsize), ("b".to_owned(), sharded, 1)]);
    let listed = blocks.walk(plain, &["b"], Scope::Entity(None), true).unwrap();
    assert_eq!(listed[..2], [plain, sharded]);
    assert!(listed.len() > 100 && !listed.contains(&file), "shards, and nothing of what they name");
    let found = blocks.walk(plain, &["b", "some rather long name of a file 4711"], Scope::Block, true).unwrap();
    assert!(found.len() > 3 && found[..2] == [plain, sharded] && found.last() == Some(&file));
    assert_eq!(blocks.walk(plain, &["a"], Scope::Entity(None), true).unwrap()[..2], [plain, file]);
    assert_eq!(blocks.walk(plain, &[], Scope::Entity(None), true).unwrap(), [plain]);
    let all = blocks.walk(plain, &[], Scope::All, false).unwrap();
    assert_eq!(all.len(), blocks.0.len(), "each block once");
    for missing in [&["c"][..], &["a", "x"], &["b", "no such name"]] {
        assert_eq!(blocks.walk(plain, missing, Scope::All, true).unwrap_err().kind(), ErrorKind::NotFound);
    }
    let deep = vec!["a"; 300];
    assert_eq!(blocks.walk(plain, &deep, Scope::All, true).unwrap_err().kind(), ErrorKind::TooLarge);
}

/// A node that links to these.
fn node(links: &[Cid]) -> Block {
    let links = links.iter().map(|cid| Link { cid: *cid, name: Some(String::new()), tsize: Some(1) }).collect();
    Block::dag_pb(Node { links, data: Some(Data::default().encode().into()) }.encode())
}

#[test]
fn hostile_dags_cost_a_bounded_amount() {
    let mut blocks = Blocks::default();
    let mut cid = blocks.put(Block::raw(&b"x"[..]));
    // Each links to the one below twice: 2^600 ways.
    for _ in 0..600 {
        cid = blocks.put(node(&[cid, cid]));
    }
    let walk = |limits, dups| {
        collect(Walk::new(&blocks, Resolved { cid, way: Vec::new(), names: Vec::new() }, Scope::All, dups, limits))
    };
    assert_eq!(walk(Limits::DEFAULT, false).unwrap_err().kind(), ErrorKind::TooLarge, "too deep");
    let deep = Limits { depth: 10_000, ..Limits::DEFAULT };
    assert_eq!(walk(deep, false).unwrap().len(), 601);
    assert_eq!(walk(Limits { blocks: 5000, ..deep }, true).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(walk(Limits { links: 100, ..deep }, false).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(walk(Limits { remembered: 100, ..deep }, false).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_car_as_the_specification_writes_it() {
    let cid: Cid = "bafkqaaa".parse().unwrap();
    assert_eq!(car::header(&cid), b"\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01");
    let cid = raw_cid(b"one");
    let header = car::header(&cid);
    // From `ipfs dag export` of a raw block: 0x3a bytes of header.
    assert_eq!((header.len(), header[0]), (59, 0x3a));
    assert_eq!(header[1..12], *b"\xa2\x65roots\x81\xd8\x2a\x58");
    let mut out = Vec::new();
    car::section(&mut out, &cid, b"one");
    assert_eq!((out.len(), out[0]), (40, 39));
    assert_eq!(out[37..], *b"one");
}

#[test]
fn ranges_of_entities() {
    for bad in [
        "",
        ":",
        "1",
        "1:",
        ":2",
        "a:b",
        "1:2:3",
        "5:4",
        "-4:-5",
        "+1:2",
        " 1:2",
        "1:*x",
        "*:1",
        "99999999999999999999:1",
    ] {
        assert_eq!(ByteRange::parse(bad), None, "{bad}");
    }
    let within = |text: &str, size| ByteRange::parse(text).unwrap().within(size);
    assert_eq!(within("0:*", 10), 0..10);
    assert_eq!(within("2:5", 10), 2..6);
    assert_eq!(within("-3:*", 10), 7..10);
    assert_eq!(within("4:-2", 10), 4..9);
    assert_eq!(within("-99:-3", 10), 0..8);
    assert!(within("10:20", 10).is_empty() && within("8:-9", 10).is_empty() && within("0:*", 0).is_empty());
    assert_eq!(within(&format!("{}:{}", i64::MIN, i64::MAX), 10), 0..10);
}

fn chunks() -> impl Strategy<Value = (Vec<u8>, usize)> {
    (prop::collection::vec(0u8..4, 1..6), 1usize..1 << 20)
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    /// Who has only the blocks of a range reads the range.
    #[test]
    fn a_ranges_blocks_are_enough_to_read_it(
        (fills, last) in chunks(), from in any::<prop::sample::Index>(), len in 1u64..3 << 20, dups: bool
    ) {
        let mut blocks = Blocks::default();
        let (root, _) = blocks.file(&fills, last);
        let size = (fills.len() as u64 - 1) * (1 << 20) + last as u64;
        let begin = from.index(size as usize) as u64;
        let end = (begin + len).min(size);
        let cids = blocks.walk(root, &[], range(&format!("{begin}:{}", end - 1)), dups).unwrap();
        let some = Blocks(cids.iter().map(|cid| (*cid, blocks.0[cid].clone())).collect());
        let mut read = 0;
        FileReader::open(&some, &root).unwrap().read_range(begin, end - begin, &mut |bytes| {
            read += bytes.len() as u64;
            Ok(())
        }).unwrap();
        prop_assert_eq!(read, end - begin);
        let least = (end - 1) / (1 << 20) - begin / (1 << 20) + 1;
        prop_assert!(cids.iter().filter(|cid| cid.codec() != DAG_PB).count() as u64 <= least);
    }

    /// No bytes make a walk panic, and it ends.
    #[test]
    fn any_bytes_end_a_walk(bytes in prop::collection::vec(any::<u8>(), 0..200), scope in prop_oneof![
        Just(Scope::All), Just(Scope::Entity(None)), Just(range("3:9"))
    ]) {
        let mut blocks = Blocks::default();
        let cid = blocks.put(Block::dag_pb(bytes));
        let _ = blocks.walk(cid, &[], scope, true);
        let _ = blocks.walk(cid, &["a"], scope, false);
    }
}
