//! Bytes that nobody should trust: every answer is a value or an error, never a panic, never an endless walk.

use bytes::Bytes;
use cid::Cid;
use pinfold_store::unixfs::{
    Block, BlockSource, Data, DirectoryBuilder, DirectoryReader, Entry, FileReader, Geometry, Kind, Link, Node,
    Profile, raw_cid,
};
use pinfold_store::{ErrorKind, Result};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::support::{Blocks, Stream, add_file, geometry};

fn node(links: Vec<Link>, data: Data) -> Block {
    Block::dag_pb(Node { links, data: Some(data.encode().into()) }.encode())
}

fn link(name: &str, cid: Cid) -> Link {
    Link { cid, name: Some(name.to_owned()), tsize: Some(1) }
}

/// Walks all of it, as a file and as a directory; answers the kinds of error met.
fn walk(source: &dyn BlockSource, root: &Cid) -> Vec<ErrorKind> {
    let file = FileReader::open(source, root).and_then(|reader| {
        // At most so many pieces: a sparse file of 2^64 bytes is valid, and long.
        reader.leaves(0..u64::MAX).take(10_000).try_for_each(|leaf| leaf.map(drop))?;
        reader.read_range(0, 10_000, &mut |_| Ok(()))
    });
    let directory = DirectoryReader::open(source, root).and_then(|reader| {
        reader.lookup("name")?;
        reader.entries().take(10_000).try_for_each(|entry| entry.map(drop))
    });
    [file, directory].into_iter().filter_map(|r| r.err().map(|e| e.kind())).collect()
}

/// Answers every question with the same block: what a lying source could do at worst.
struct Always(Bytes);

impl BlockSource for Always {
    fn block(&self, _: &Cid) -> Result<Bytes> {
        Ok(self.0.clone())
    }
}

fn some_dag_pb_cid() -> Cid {
    Block::dag_pb(&b""[..]).cid
}

#[test]
fn a_file_that_contains_itself_ends() {
    let cid = some_dag_pb_cid();
    for (links, size) in [(1, 5), (1, 0), (1000, 0)] {
        let data = Data::file_node(size * links, vec![size; links as usize]);
        let block = node(vec![link("", cid); links as usize], data).bytes;
        let kinds = walk(&Always(block), &cid);
        // With bytes it is too deep; without, there is nothing to visit.
        let file = if size > 0 { vec![ErrorKind::Corrupt] } else { vec![] };
        assert_eq!(kinds, [file, vec![ErrorKind::NotADirectory]].concat());
    }
}

fn shard(names: &[String], bitfield: Vec<u8>, cid: Cid) -> Bytes {
    let data = Data {
        kind: Kind::HamtShard,
        data: Some(bitfield.into()),
        hash_type: Some(0x22),
        fanout: Some(256),
        ..Data::default()
    };
    node(names.iter().map(|n| link(n, cid)).collect(), data).bytes
}

#[test]
fn a_directory_that_contains_itself_ends() {
    let cid = some_dag_pb_cid();
    let all: Vec<String> = (0..256).map(|slot| format!("{slot:02X}")).collect();
    // 256^8 shards to walk, if each were followed.
    let block = shard(&all, vec![0xff; 32], cid);
    assert_eq!(walk(&Always(block), &cid), [ErrorKind::IsADirectory, ErrorKind::Corrupt]);
}

#[test]
fn shards_without_entries_cannot_make_a_walk_endless() {
    // Seven levels that each link 256 times to the next, over one empty shard: nine blocks, 256^7 paths.
    let mut blocks = Blocks::default();
    let mut put = |bytes: Bytes| {
        let block = Block::dag_pb(bytes);
        let cid = block.cid;
        blocks.put(block).unwrap();
        cid
    };
    let all: Vec<String> = (0..256).map(|slot| format!("{slot:02X}")).collect();
    let mut cid = put(shard(&[], vec![], some_dag_pb_cid()));
    for _ in 0..7 {
        cid = put(shard(&all, vec![0xff; 32], cid));
    }
    assert_eq!(walk(&blocks, &cid), [ErrorKind::IsADirectory, ErrorKind::Corrupt]);
}

#[test]
fn an_entry_where_its_hash_does_not_lead_is_refused() {
    let mut blocks = Blocks::default();
    let good = |slot: u8| {
        let mut bit = vec![0; 32];
        bit[31 - usize::from(slot) / 8] |= 1 << (slot % 8);
        Block::dag_pb(shard(&[format!("{slot:02X}name")], bit, raw_cid(b"x")))
    };
    let mut accepted = 0;
    for slot in 0..=255 {
        let block = good(slot);
        let cid = block.cid;
        blocks.put(block).unwrap();
        let listed: Result<Vec<Entry>> = DirectoryReader::open(&blocks, &cid).unwrap().entries().collect();
        let found = DirectoryReader::open(&blocks, &cid).unwrap().lookup("name").unwrap().is_some();
        assert_eq!(listed.is_ok(), found, "slot {slot}");
        accepted += u32::from(found);
    }
    assert_eq!(accepted, 1);
}

#[test]
fn names_that_lead_astray_are_refused() {
    for name in ["", ".", "..", "../../etc/passwd", "a\0b"] {
        let block = node(vec![link(name, raw_cid(b"x"))], Data { kind: Kind::Directory, ..Data::default() }).bytes;
        let kinds = walk(&Always(block), &some_dag_pb_cid());
        assert_eq!(kinds, [ErrorKind::IsADirectory, ErrorKind::Corrupt], "{name:?}");
    }
}

#[test]
fn nodes_whose_sizes_disagree_are_refused() {
    let leaf = raw_cid(b"x");
    let spoilt = [
        Data::file_node(3, vec![1]),
        Data::file_node(1, vec![1, 1]),
        Data::file_node(1, vec![]),
        Data { filesize: None, ..Data::file_node(0, vec![u64::MAX, u64::MAX]) },
    ];
    for data in spoilt {
        let links = if data.blocksizes.len() == 2 && data.filesize.is_none() { 2 } else { 1 };
        let block = node(vec![link("", leaf); links], data.clone()).bytes;
        let error = FileReader::open(Always(block), &some_dag_pb_cid()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{data:?}");
    }
}

#[test]
fn a_child_of_another_size_than_its_parent_says_is_refused() {
    let mut blocks = Blocks::default();
    let inner = add_file(b"abcdef", geometry(3, 2), &mut blocks).cid;
    for (size, good) in [(5, false), (6, true), (7, false)] {
        let top = node(vec![link("", inner)], Data::file_node(size, vec![size]));
        let cid = top.cid;
        blocks.put(top).unwrap();
        let walked: Result<Vec<_>> = FileReader::open(&blocks, &cid).unwrap().leaves(0..9).collect();
        assert_eq!(walked.map_err(|e| e.kind()).err(), (!good).then_some(ErrorKind::Corrupt), "{size}");
    }
}

#[test]
fn shards_of_another_fanout_below_are_refused() {
    let mut blocks = Blocks::default();
    let mut builder =
        DirectoryBuilder::with_geometry(Geometry { directory_limit: 0, shard_bits: 4, ..Profile::V1_2025.geometry() });
    builder.push(Entry { name: "name".to_owned(), cid: raw_cid(b"x"), tsize: 1 }).unwrap();
    let small = builder.finish(&mut |b| blocks.put(b)).unwrap().cid;
    let all: Vec<String> = (0..256).map(|slot| format!("{slot:02X}")).collect();
    let top = Block::dag_pb(shard(&all, vec![0xff; 32], small));
    let cid = top.cid;
    blocks.put(top).unwrap();
    let reader = DirectoryReader::open(&blocks, &cid).unwrap();
    for error in [reader.lookup("name").unwrap_err(), reader.entries().next().unwrap().unwrap_err()] {
        assert_eq!((error.kind(), error.context("cid")), (ErrorKind::Corrupt, Some(small.to_string().as_str())));
        assert!(error.message().contains("fanout"), "{error}");
    }
}

#[test]
fn dag_pb_is_parsed_strictly() {
    let cid = raw_cid(b"x").to_bytes();
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let hash = field(1, &cid);
    let parse = |bytes: Vec<u8>| Node::parse(&bytes.into());
    let good = field(2, &hash);
    assert_eq!(parse(good.clone()).unwrap().links[0], Link { cid: raw_cid(b"x"), name: None, tsize: None });
    // Data before links: not what anybody writes, but valid.
    assert_eq!(parse([field(1, b"data"), good.clone()].concat()).unwrap().data.unwrap(), &b"data"[..]);
    assert_eq!(parse(vec![]).unwrap(), Node::default());
    let bad = [
        ("field 3", field(3, b"")),
        ("data twice", [field(1, b"a"), field(1, b"b")].concat()),
        ("links around data", [good.clone(), field(1, b"a"), good.clone()].concat()),
        ("data as a number", vec![1 << 3, 5]),
        ("link without hash", field(2, &field(2, b"name"))),
        ("name before hash", field(2, &[field(2, b"name"), hash.clone()].concat())),
        ("name after size", field(2, &[hash.clone(), vec![3 << 3, 1], field(2, b"name")].concat())),
        ("hash twice", field(2, &[hash.clone(), hash.clone()].concat())),
        ("size twice", field(2, &[hash.clone(), vec![3 << 3, 1, 3 << 3, 1]].concat())),
        ("unknown field of a link", field(2, &[hash.clone(), field(4, b"")].concat())),
        ("name not UTF-8", field(2, &[hash.clone(), field(2, b"\xff")].concat())),
        ("bytes after the CID", field(2, &field(1, &[cid.as_slice(), b"!"].concat()))),
        ("CID cut", field(2, &field(1, &cid[..cid.len() - 1]))),
        ("empty CID", field(2, &field(1, b""))),
        ("cut", good[..good.len() - 1].to_vec()),
    ];
    for (what, bytes) in bad {
        assert_eq!(parse(bytes).expect_err(what).kind(), ErrorKind::Corrupt, "{what}");
    }
}

#[test]
fn unixfs_messages_are_parsed_strictly() {
    let parse = |bytes: &'static [u8]| Data::parse(&Bytes::from_static(bytes));
    // Packed block sizes and unknown fields are valid protobuf.
    let data = parse(b"\x08\x02\x22\x03\x05\x80\x01\x7a\x01?\x20\x07").unwrap();
    assert_eq!((data.kind, data.blocksizes), (Kind::File, vec![5, 128, 7]));
    let bad: [(&str, &'static [u8]); 9] = [
        ("no type", b"\x18\x05"),
        ("unknown type", b"\x08\x09"),
        ("type twice", b"\x08\x02\x08\x02"),
        ("type as bytes", b"\x0a\x01\x02"),
        ("mode over 32 bits", b"\x08\x02\x38\x80\x80\x80\x80\x10"),
        ("mtime without seconds", b"\x08\x02\x42\x00"),
        ("a second's nanoseconds", b"\x08\x02\x42\x07\x08\x01\x15\x00\xca\x9a\x3b"),
        ("packed cut", b"\x08\x02\x22\x01\x80"),
        ("cut", b"\x08"),
    ];
    for (what, bytes) in bad {
        assert_eq!(parse(bytes).expect_err(what).kind(), ErrorKind::Corrupt, "{what}");
    }
}

/// A valid tree's blocks, of files and directories, small enough to be spoilt in every place.
fn valid_trees() -> Vec<(Cid, Blocks)> {
    let mut trees = Vec::new();
    let mut blocks = Blocks::default();
    let root = add_file(&Stream::bytes("hostile", 200), geometry(5, 3), &mut blocks);
    trees.push((root.cid, blocks));
    for limit in [0, usize::MAX] {
        let mut blocks = Blocks::default();
        let geometry = Geometry { directory_limit: limit, shard_bits: 3, ..Profile::V1_2025.geometry() };
        let mut builder = DirectoryBuilder::with_geometry(geometry);
        for i in 0..60 {
            builder.push(Entry { name: format!("name {i}"), cid: raw_cid(&[i]), tsize: 1 }).unwrap();
        }
        let root = builder.finish(&mut |b| blocks.put(b)).unwrap();
        trees.push((root.cid, blocks));
    }
    trees
}

#[derive(Clone, Debug)]
enum Spoil {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        (any::<usize>(), 1u8..).prop_map(|(at, with)| Spoil::Flip(at, with)),
        any::<usize>().prop_map(Spoil::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, b)| Spoil::Insert(at, b)),
        any::<usize>().prop_map(Spoil::Remove),
    ]
}

fn apply(bytes: &mut Vec<u8>, spoil: &Spoil) {
    let len = bytes.len().max(1);
    match spoil {
        Spoil::Flip(at, with) => bytes.iter_mut().skip(at % len).take(1).for_each(|b| *b ^= with),
        Spoil::Cut(at) => bytes.truncate(at % len),
        Spoil::Insert(at, with) => drop(bytes.splice(at % len..at % len, with.iter().copied())),
        Spoil::Remove(at) => drop(bytes.splice(at % len..(at % len + 1).min(bytes.len()), [])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_bytes_parse_or_are_corrupt(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        for error in [Node::parse(&bytes).err(), Data::parse(&bytes).err()].into_iter().flatten() {
            prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        walk(&Always(bytes), &some_dag_pb_cid());
    }

    /// What can be parsed is written as it was read, if it was written as we write.
    #[test]
    fn parsed_nodes_are_stable(bytes in proptest::collection::vec(0u8..40, 0..60)) {
        if let Ok(node) = Node::parse(&bytes.into()) {
            let again = node.encode();
            prop_assert_eq!(Node::parse(&again.clone().into()).unwrap().encode(), again);
        }
    }

    #[test]
    fn spoilt_trees_never_panic(
        tree in 0usize..3, which: proptest::sample::Index, spoils in proptest::collection::vec(spoil(), 1..4),
    ) {
        let (root, mut blocks) = valid_trees().swap_remove(tree);
        let mut cids: Vec<Cid> = blocks.0.keys().copied().collect();
        cids.sort();
        let victim = cids[which.index(cids.len())];
        let mut bytes = blocks.0[&victim].to_vec();
        spoils.iter().for_each(|s| apply(&mut bytes, s));
        blocks.0.insert(victim, bytes.into());
        let kinds = walk(&blocks, &root);
        // It is a file or a directory, or nothing at all: one of the two has failed.
        prop_assert!(!kinds.is_empty());
    }
}
