//! CIDs that others have published: IPIP-499's for files (also in Kubo's `cid_profiles_test.go`), Kubo's for the rest.

use pinfold_store::unixfs::{DagBuilder, Profile, Root, hash_parallel};

use crate::support::{Stream, raw_name};

fn root_of(seed: &str, len: u64, profile: Profile) -> Root {
    let mut builder = DagBuilder::new(profile);
    let read = hash_parallel(&mut Stream::new(seed, len), profile.chunk_size(), 2, &mut |leaf| {
        builder.push(leaf, &mut |_| Ok(()))
    });
    assert_eq!(read.unwrap(), len);
    let root = builder.finish(&mut |_| Ok(())).unwrap();
    assert_eq!((root.size, root.leaves), (len, len.div_ceil(profile.chunk_size() as u64)));
    root
}

#[test]
fn s18_fixtures_of_the_default_profile() {
    const GIB: u64 = 1 << 30;
    let fixtures = [
        ("chunk-v1-seed", 1 << 20, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
        ("chunk-v1-seed", (1 << 20) + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
        ("v1-2025-seed", GIB, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
        ("v1-2025-seed", GIB + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
    ];
    for (seed, len, cid) in fixtures {
        assert_eq!(root_of(seed, len, Profile::V1_2025).cid.to_string(), cid, "{len} bytes of {seed}");
    }
}

#[test]
fn s18_empty_file_is_the_raw_empty_block() {
    for profile in Profile::ALL {
        let root = root_of("any", 0, profile);
        assert_eq!(root.cid.to_string(), raw_name(b""));
        assert_eq!(root.cid.to_string(), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        assert_eq!(root.tsize, 0);
    }
}
