//! CIDs that others have published: IPIP-499's for files (also in Kubo's `cid_profiles_test.go`), Kubo's for the rest.

use std::io::Read;

use pinfold_store::unixfs::{DagBuilder, DirectoryBuilder, Entry, Profile, Root, hash_parallel, raw_cid};

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

/// Kubo's directories around the sharding limit: names from the stream, every file is "x". Kubo walks the folder in
/// the order of names, we push in the order of making.
#[test]
fn s18_directories_at_the_limit_and_a_byte_beyond() {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
    let fixtures = [
        (21, false, "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"),
        (22, true, "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"),
    ];
    for (last_len, sharded, cid) in fixtures {
        let mut stream = Stream::new("hamt-unixfs-v1-2025", 1 << 20);
        let mut builder = DirectoryBuilder::new(Profile::V1_2025);
        for i in 0..4766 {
            let mut name = vec![0; if i == 4765 { last_len } else { 11 }];
            stream.read_exact(&mut name).unwrap();
            let name = name.into_iter().map(|b| char::from(LETTERS[usize::from(b) % LETTERS.len()])).collect();
            builder.push(Entry { name, cid: raw_cid(b"x"), tsize: 1 }).unwrap();
        }
        let mut largest = 0;
        let root = builder
            .finish(&mut |block| {
                largest = largest.max(block.bytes.len());
                Ok(())
            })
            .unwrap();
        assert_eq!((root.cid.to_string().as_str(), root.sharded, root.entries), (cid, sharded, 4766));
        if !sharded {
            assert_eq!(largest, 262_144);
        }
    }
}

#[test]
fn s18_empty_directory() {
    for profile in Profile::ALL {
        let root = DirectoryBuilder::new(profile).finish(&mut |_| Ok(())).unwrap();
        assert_eq!(root.cid.to_string(), "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354");
        assert_eq!((root.tsize, root.entries, root.sharded), (4, 0, false));
    }
}

/// `ipfs add -r --cid-version=1`, from Kubo's sharness suite (t0040).
#[test]
fn s18_a_small_directory() {
    for profile in Profile::ALL {
        let mut builder = DirectoryBuilder::new(profile);
        for (name, text) in [("venus.txt", "Hello Venus!\n"), ("mars.txt", "Hello Mars!\n")] {
            let entry = Entry { name: name.to_owned(), cid: raw_cid(text.as_bytes()), tsize: text.len() as u64 };
            builder.push(entry).unwrap();
        }
        let root = builder.finish(&mut |_| Ok(())).unwrap();
        assert_eq!(root.cid.to_string(), "bafybeih7e5dmkyk25up5vxug4q3hrg2fxbzf23dfrac2fns5h7z4aa7ioi");
    }
}
