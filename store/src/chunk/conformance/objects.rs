//! Objects: written, read, shared, damaged, collected.

use std::os::unix::fs::FileExt;

use md5::Digest as _;

use super::{Rig, cid_of, disk_use, files, noise};
use crate::chunk::WriteOptions;
use crate::error::ErrorKind;
use crate::unixfs::{self, Profile};

const MIB: usize = 1 << 20;

pub(super) fn every_size_comes_back_with_its_cid_and_md5(rig: Rig) {
    for profile in Profile::ALL {
        for len in [0, 1, 4096, 4097, 65536, 65537, 262_144, 262_145, MIB - 1, MIB, MIB + 1, 5 * MIB + 7] {
            let bytes = noise(len as u64 + 3, len);
            let mut writer = rig.store.writer(profile, WriteOptions { md5: true, size_hint: None }).unwrap();
            bytes.chunks(70_001).for_each(|part| writer.write(part).unwrap());
            let stored = writer.finish().unwrap();
            assert_eq!(stored.root, cid_of(&bytes, profile), "{profile} {len}");
            assert_eq!(stored.size, len as u64);
            assert_eq!(stored.leaves, (len.div_ceil(profile.chunk_size()).max(1)) as u64);
            assert_eq!(stored.md5, Some(md5::Md5::digest(&bytes).into()));
            assert_eq!(stored.inline.is_some(), len <= 4096);
            let root = rig.commit(stored);
            assert_eq!(rig.read(&root, len as u64), bytes);
            let reader = rig.store.reader(&root, len as u64).unwrap();
            for (offset, n) in [(0, 1), (len / 2, 100_000), (len.saturating_sub(3), 10), (len + 5, 10)] {
                let expected = &bytes[offset.min(len)..(offset + n).min(len)];
                assert_eq!(reader.read_at(offset as u64, n).unwrap(), expected);
            }
        }
    }
}

pub(super) fn all_blocks_of_an_object_are_served(rig: Rig) {
    let bytes = noise(1, 50 * 262_144 + 5);
    let mut writer = rig.store.writer(Profile::KuboClassicV1, WriteOptions::default()).unwrap();
    writer.write(&bytes).unwrap();
    let root = rig.commit(writer.finish().unwrap());
    let block = rig.store.block(&root).unwrap().unwrap();
    let node = unixfs::Node::parse(&block).unwrap();
    assert_eq!(node.links.len(), 51);
    for (k, link) in node.links.iter().enumerate() {
        assert!(rig.store.contains(&link.cid).unwrap());
        let leaf = rig.store.block(&link.cid).unwrap().unwrap();
        assert_eq!(leaf, bytes[k * 262_144..].chunks(262_144).next().unwrap());
    }
    let stranger = unixfs::raw_cid(b"stranger");
    assert_eq!(rig.store.block(&stranger).unwrap(), None);
    assert!(!rig.store.contains(&stranger).unwrap());
    assert_eq!(rig.store.reader(&stranger, 8).unwrap_err().kind(), ErrorKind::NotFound);
}

pub(super) fn a_dropped_writer_leaves_nothing(rig: Rig) {
    let mut writer = rig.store.writer(Profile::V1_2025, WriteOptions { md5: true, size_hint: None }).unwrap();
    writer.write(&noise(1, 3 * MIB)).unwrap();
    drop(writer);
    assert_eq!(files(&rig.dir), Vec::<std::path::PathBuf>::new());
    assert_eq!(rig.rows_with(b"b").len() + rig.rows_with(b"c").len(), 0);
}

pub(super) fn ruling14_equal_objects_share_a_file(rig: Rig) {
    let bytes = noise(1, 3 * MIB);
    let first = rig.put(&bytes);
    let before = disk_use(&rig.dir);
    let second = rig.put(&bytes);
    assert_eq!(first.root, second.root);
    assert_eq!(disk_use(&rig.dir), before);
    let small = noise(2, 50_000);
    rig.put(&small);
    let before = disk_use(&rig.dir);
    rig.put(&small);
    assert_eq!(disk_use(&rig.dir), before);
}

pub(super) fn ruling14_an_object_that_shares_half_its_chunks_stores_the_others_only(rig: Rig) {
    let first = noise(1, 8 * MIB);
    let a = rig.commit(rig.put(&first));
    let mut second = first.clone();
    second[5 * MIB..].copy_from_slice(&noise(2, 3 * MIB));
    let before = disk_use(&rig.dir);
    let b = rig.commit(rig.put(&second));
    let grown = disk_use(&rig.dir) - before;
    assert!((3 * MIB as u64..3 * MIB as u64 + 100_000).contains(&grown), "{grown}");
    assert_eq!(b, cid_of(&second, Profile::V1_2025));
    assert_eq!(rig.read(&b, 8 << 20), second);
    assert!(rig.store.sealed_file(&a).unwrap().is_some());
    assert!(rig.store.sealed_file(&b).unwrap().is_none());

    // The first object goes: what the second needs of it is moved, the rest is gone.
    rig.release(&a);
    let report = rig.collect();
    assert_eq!((report.objects_removed, report.bytes_moved), (1, 5 << 20));
    assert_eq!(rig.read(&b, 8 << 20), second);
    assert_eq!(rig.store.reader(&a, 8 << 20).unwrap_err().kind(), ErrorKind::NotFound);
    let rig = rig.reopen(true);
    assert_eq!(rig.read(&b, 8 << 20), second);
    rig.release(&b);
    rig.collect();
    assert!(disk_use(&rig.dir) < 200_000, "{:?}", files(&rig.dir));
    assert_eq!(rig.rows_with(b"r").len() + rig.rows_with(b"c").len() + rig.rows_with(b"b").len(), 0);
}

pub(super) fn ruling19_zeros_are_holes(rig: Rig) {
    let mut bytes = vec![0; 20 * MIB];
    bytes[7 * MIB] = 1;
    let stored = rig.put(&bytes);
    assert_eq!(stored.root, cid_of(&bytes, Profile::V1_2025));
    assert!(disk_use(&rig.dir) < 2 << 20);
    assert_eq!(rig.read(&stored.root, stored.size), bytes);
    let zeros = vec![0; MIB];
    assert_eq!(rig.store.block(&unixfs::raw_cid(&zeros)).unwrap().unwrap(), zeros);
}

pub(super) fn a_flipped_byte_is_corrupt_and_never_read(rig: Rig) {
    let bytes = noise(1, 3 * MIB);
    let root = rig.commit(rig.put(&bytes));
    let small = noise(2, 30_000);
    let small_root = rig.commit(rig.put(&small));
    let rig = rig.reopen(false);
    for path in files(&rig.dir) {
        let name = path.to_str().unwrap();
        if name.ends_with(".idx") {
            continue;
        }
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let at = file.metadata().unwrap().len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    }
    let scrub = rig.store.verify_all(&|_| {}).unwrap();
    let mut damaged: Vec<_> = scrub.damage.iter().map(|d| d.cid).collect();
    let mut expected = vec![unixfs::raw_cid(&bytes[MIB..2 * MIB]), small_root];
    damaged.sort_unstable();
    expected.sort_unstable();
    assert_eq!((damaged, scrub.damaged), (expected, 2));
    assert_eq!((scrub.objects, scrub.blocks), (1, 5), "three chunks, a node, a block in a slab");
    let reader = rig.store.reader(&root, 3 << 20).unwrap();
    assert_eq!(reader.read_at(0, MIB).unwrap(), bytes[..MIB]);
    let error = reader.read_at(MIB as u64 + 5, 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let bad = unixfs::raw_cid(&bytes[MIB..2 * MIB]);
    assert_eq!(error.context("cid"), Some(bad.to_string().as_str()));
    assert_eq!(reader.read_at(0, 3 * MIB).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(rig.store.block(&bad).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(rig.store.sealed_file(&root).unwrap().is_none(), "the kernel may not read it by itself");
    let error = rig.store.reader(&small_root, 30_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.context("cid"), Some(small_root.to_string().as_str()));

    // Putting the bytes again heals both.
    rig.commit(rig.put(&bytes));
    rig.commit(rig.put(&small));
    assert_eq!(rig.read(&root, 3 << 20), bytes);
    assert_eq!(rig.read(&small_root, 30_000), small);
    rig.collect();
    assert_eq!(rig.store.verify_all(&|_| {}).unwrap().damaged, 0);
}

pub(super) fn what_nobody_holds_is_collected(rig: Rig) {
    let kept: Vec<_> = (0..20).map(|k| rig.commit(rig.put(&noise(k, 20_000)))).collect();
    let dropped: Vec<_> = (100..140).map(|k| rig.commit(rig.put(&noise(k, 20_000)))).collect();
    let (big, gone) = (noise(7, 2 * MIB), noise(8, 3 * MIB));
    let big_root = rig.commit(rig.put(&big));
    let gone_root = rig.commit(rig.put(&gone));
    let reader = rig.store.reader(&gone_root, 3 << 20).unwrap();
    dropped.iter().for_each(|root| rig.release(root));
    rig.release(&gone_root);
    drop(rig.put(&noise(9, 2 * MIB)));
    let report = rig.collect();
    assert_eq!((report.objects_removed, report.blocks_removed), (1, 40), "{report:?}");
    assert_eq!(reader.read_at(0, 3 * MIB).unwrap(), gone, "an open reader is spared");
    drop(reader);
    assert_eq!(rig.collect().objects_removed, 1);
    assert_eq!(rig.read(&big_root, 2 << 20), big);
    for (k, root) in kept.iter().enumerate() {
        assert_eq!(rig.read(root, 20_000), noise(k as u64, 20_000));
    }
    assert!(rig.store.block(&dropped[0]).unwrap().is_none());
    let (live, disk) = (20 * 20_048 + (2 << 20), disk_use(&rig.dir));
    assert!(disk <= live + live / 10, "{disk} bytes on disk for {live}");
}

pub(super) fn inline_bodies_are_found_by_the_lookup_and_stored_once(rig: Rig) {
    let stored = rig.put(b"tiny");
    let block = stored.inline.clone().unwrap();
    assert!(rig.store.block(&stored.root).unwrap().is_none());
    let (digest, bytes) = (unixfs::digest_of(&block.cid).unwrap(), block.bytes.clone());
    rig.store.set_inline_lookup(std::sync::Arc::new(move |d| (*d == digest).then(|| bytes.clone())));
    assert_eq!(rig.read(&stored.root, 4), b"tiny");
    assert_eq!(rig.store.block(&stored.root).unwrap().unwrap(), &b"tiny"[..]);
    rig.store.set_inline_lookup(std::sync::Arc::new(|_| None));
    rig.store.store_inline(&[block.clone(), block.clone()]).unwrap();
    rig.store.store_inline(std::slice::from_ref(&block)).unwrap();
    assert_eq!(rig.store.usage().unwrap().slab_live_bytes, 52);
    assert_eq!(rig.read(&stored.root, 4), b"tiny");
    let wrong = crate::meta::record::InlineBlock { bytes: b"tinx".to_vec().into(), ..block.clone() };
    assert_eq!(rig.store.store_inline(&[wrong]).unwrap_err().kind(), ErrorKind::Corrupt);

    // A stored copy that was damaged meanwhile is replaced by the one that comes again.
    rig.commit(stored);
    let rig = rig.reopen(false);
    let slab = files(&rig.dir).into_iter().find(|path| path.extension().is_some_and(|e| e == "slab")).unwrap();
    let file = std::fs::File::options().write(true).open(slab).unwrap();
    file.write_all_at(b"x", file.metadata().unwrap().len() - 1).unwrap();
    assert_eq!(rig.store.block(&block.cid).unwrap_err().kind(), ErrorKind::Corrupt);
    rig.store.store_inline(std::slice::from_ref(&block)).unwrap();
    assert_eq!(rig.store.block(&block.cid).unwrap().unwrap(), &b"tiny"[..]);
}

pub(super) fn a_chunk_that_is_an_object_itself_outlives_the_object_it_came_with(rig: Rig) {
    let bytes = noise(1, 4 * MIB);
    let whole = rig.commit(rig.put(&bytes));
    let before = disk_use(&rig.dir);
    let chunk = rig.commit(rig.put(&bytes[2 * MIB..3 * MIB]));
    assert_eq!(disk_use(&rig.dir), before, "it is stored already");
    rig.release(&whole);
    rig.collect();
    assert_eq!(rig.read(&chunk, 1 << 20), bytes[2 * MIB..3 * MIB]);
    assert!(disk_use(&rig.dir) < (1 << 20) + 100_000);
    rig.release(&chunk);
    rig.collect();
    assert!(disk_use(&rig.dir) < 100_000);
}

pub(super) fn open_readers_of_shared_chunks_are_spared(rig: Rig) {
    let first = noise(1, 4 * MIB);
    let mut second = first.clone();
    second[..MIB].copy_from_slice(&noise(2, MIB));
    let a = rig.commit(rig.put(&first));
    let b = rig.commit(rig.put(&second));
    let reader = rig.store.reader(&b, 4 << 20).unwrap();
    rig.release(&a);
    rig.release(&b);
    rig.collect();
    assert_eq!(reader.read_at(0, 4 * MIB).unwrap(), second);
    drop(reader);
    rig.collect();
    assert!(disk_use(&rig.dir) < 100_000);
    assert_eq!(rig.rows_with(b"r").len() + rig.rows_with(b"b").len() + rig.rows_with(b"c").len(), 0);
}

pub(super) fn an_object_of_repeated_chunks_is_moved_once(rig: Rig) {
    let chunk = noise(1, MIB);
    let first = [chunk.clone(), chunk.clone(), noise(2, MIB), chunk.clone()].concat();
    let a = rig.commit(rig.put(&first));
    let second = [chunk.clone(), chunk.clone()].concat();
    let b = rig.commit(rig.put(&second));
    rig.release(&a);
    rig.collect();
    assert_eq!(rig.read(&b, 2 << 20), second);
    assert_eq!(rig.store.usage().unwrap().slab_live_bytes, (1 << 20) + 48);
}

pub(super) fn ruling15_parts_become_one_object_with_a_file_of_its_own(rig: Rig) {
    let sizes: [&[usize]; 6] = [
        &[5 * MIB, 8 * MIB, 3 * MIB + 7],
        &[5 * MIB, 5 * MIB + 1, 2 * MIB],
        &[MIB, MIB, 5],
        &[6 * MIB, 40_000],
        &[30_000, 20_000],
        &[3 * MIB],
    ];
    for (case, sizes) in sizes.iter().enumerate() {
        let mut whole = noise(case as u64 + 1, sizes.iter().sum());
        if sizes[0] > 4 * MIB {
            whole[2 * MIB..4 * MIB].fill(0);
        }
        let mut parts = Vec::new();
        let mut at = 0;
        for size in *sizes {
            parts.push((rig.commit(rig.put(&whole[at..at + size])), *size as u64));
            at += size;
        }
        let stored = rig.store.concat(&parts, Profile::V1_2025).unwrap();
        assert_eq!(stored.root, cid_of(&whole, Profile::V1_2025), "{sizes:?}");
        assert_eq!((stored.size, stored.leaves), (at as u64, at.div_ceil(MIB) as u64));
        let root = rig.commit(stored);
        for (part, _) in &parts {
            rig.release(part);
        }
        let moved = rig.collect().bytes_moved;
        assert!(rig.read(&root, at as u64) == whole, "{sizes:?}");
        assert_eq!(rig.store.sealed_file(&root).unwrap().is_some(), at > 65_536, "{sizes:?}");
        assert!(moved < 200_000, "{sizes:?}: {moved}");
        assert!(disk_use(&rig.dir.join("content")) < at as u64 + 100_000);
        rig.release(&root);
        rig.collect();
    }
    let empty = rig.store.concat(&[], Profile::V1_2025).unwrap();
    assert_eq!((empty.size, empty.root), (0, unixfs::raw_cid(b"")));
}
