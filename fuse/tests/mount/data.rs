//! Bytes: reading, writing, truncating, mapping, holes.
#![allow(unsafe_code)] // mmap(2) of a file that the test owns, truncate(2), which no safe crate here offers

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, SeekFrom};

use crate::rig::{child, child_path, contents, each, errno_of, pattern, read_write, same, succeeded};

/// `truncate` by path.
fn truncate(path: &Path, len: i64) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends with NUL and outlives the call.
    assert_eq!(unsafe { libc::truncate(path.as_ptr(), len) }, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn s6_what_is_written_and_closed_is_there_at_both_doors() {
    each(|rig| {
        for len in [0, 1, 4095, 4096, 4097, 70_000, 1 << 20, (3 << 20) + 5] {
            let body = pattern(len, len as u64);
            let name = format!("f{len}");
            fs::write(rig.at(&name), &body).unwrap();
            same(rig.get(&name).unwrap(), &body);
            same(fs::read(rig.at(&name)).unwrap(), &body);
            assert_eq!(fs::metadata(rig.at(&name)).unwrap().size(), len as u64);
        }
    });
}

#[test]
fn s6_what_is_put_is_read_on_the_mount() {
    each(|rig| {
        for len in [0, 1, 4096, 4097, 1 << 20, (2 << 20) + 5] {
            let body = pattern(len, 3);
            rig.put(&format!("dir/o{len}"), &body);
            let file = File::open(rig.at(format!("dir/o{len}"))).unwrap();
            same(contents(&file), &body);
            let mut tail = vec![0; 100];
            let from = len.saturating_sub(50);
            assert_eq!(file.read_at(&mut tail, from as u64).unwrap(), len - from);
            assert_eq!(file.read_at(&mut tail, len as u64).unwrap(), 0);
        }
    });
}

#[test]
fn writes_in_place_truncation_and_o_trunc() {
    each(|rig| {
        let path = rig.at("f");
        let mut model = pattern(200_000, 1);
        fs::write(&path, &model).unwrap();
        let file = read_write(&path);
        file.write_all_at(b"middle", 100_000).unwrap();
        model[100_000..100_006].copy_from_slice(b"middle");
        file.set_len(150_000).unwrap();
        model.truncate(150_000);
        same(contents(&file), &model);
        file.set_len(160_000).unwrap();
        model.resize(160_000, 0);
        file.write_all_at(b"end", 170_000).unwrap();
        model.resize(170_000, 0);
        model.extend(b"end");
        same(contents(&file), &model);
        drop(file);
        same(rig.get("f").unwrap(), &model);
        truncate(&path, 10);
        model.truncate(10);
        same(fs::read(&path).unwrap(), &model);
        same(rig.get("f").unwrap(), &model);
        fs::write(&path, b"new").unwrap(); // O_TRUNC
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(rig.get("f").unwrap(), b"new");
        drop(File::create(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().size(), 0);
        assert_eq!(rig.get("f").unwrap(), b"");
    });
}

#[test]
fn o_append_from_two_descriptors_loses_nothing() {
    each(|rig| {
        let append = || OpenOptions::new().append(true).create(true).open(rig.at("log")).unwrap();
        let (mut one, mut two) = (append(), append());
        for n in 0..200 {
            writeln!(one, "one {n}").unwrap();
            writeln!(two, "two {n}").unwrap();
        }
        // Set later, by fcntl.
        let late = File::options().write(true).open(rig.at("log")).unwrap();
        rustix::fs::fcntl_setfl(&late, OFlags::APPEND).unwrap();
        (&late).write_all(b"late\n").unwrap();
        drop((one, two, late));
        let log = fs::read_to_string(rig.at("log")).unwrap();
        assert_eq!(log.lines().count(), 401);
        assert!(log.ends_with("two 199\nlate\n"));
        same(rig.get("log").unwrap(), log.as_bytes());
    });
}

#[test]
fn an_unlinked_file_lives_until_it_is_closed() {
    each(|rig| {
        let file = read_write(rig.at("f"));
        file.write_all_at(&pattern(100_000, 1), 0).unwrap();
        fs::remove_file(rig.at("f")).unwrap();
        assert!(!rig.at("f").exists());
        assert!(rig.get("f").is_err());
        assert_eq!(file.metadata().unwrap().nlink(), 0);
        file.write_all_at(b"more", 100_000).unwrap();
        same(contents(&file), [&pattern(100_000, 1)[..], b"more"].concat());
        file.set_len(3).unwrap();
        assert_eq!(file.metadata().unwrap().size(), 3);
        // The name is free meanwhile.
        fs::write(rig.at("f"), b"another").unwrap();
        drop(file);
        assert_eq!(rig.get("f").unwrap(), b"another");
    });
}

#[test]
fn a_reader_and_a_writer_of_one_file_in_either_order() {
    each(|rig| {
        for (n, reader_first) in [true, false].into_iter().enumerate() {
            let body = pattern(500_000, n as u64);
            let key = format!("f{n}");
            rig.put(&key, &body); // sealed content, not a live file
            let early = reader_first.then(|| File::open(rig.at(&key)).unwrap());
            if let Some(early) = &early {
                same(contents(early), &body);
            }
            let writer = read_write(rig.at(&key));
            let late = File::open(rig.at(&key)).unwrap();
            writer.write_all_at(b"changed", 250_000).unwrap();
            let mut expected = body.clone();
            expected[250_000..250_007].copy_from_slice(b"changed");
            for reader in early.iter().chain([&late]) {
                same(contents(reader), &expected);
            }
            // Truncated by path under readers that are open.
            truncate(&rig.at(&key), 250_003);
            expected.truncate(250_003);
            for reader in early.iter().chain([&late]) {
                same(contents(reader), &expected);
            }
            drop((early, writer, late));
            same(rig.get(&key).unwrap(), &expected);
            same(fs::read(rig.at(&key)).unwrap(), &expected);
        }
    });
}

#[test]
fn truncate_by_path_under_a_reader_of_published_content() {
    each(|rig| {
        let body = pattern(300_000, 9);
        rig.put("f", &body);
        let reader = File::open(rig.at("f")).unwrap();
        same(contents(&reader), &body);
        truncate(&rig.at("f"), 100_000);
        assert_eq!(reader.metadata().unwrap().size(), 100_000);
        same(contents(&reader), &body[..100_000]);
        same(rig.get("f").unwrap(), &body[..100_000]);
    });
}

#[test]
fn pages_of_one_mode_do_not_survive_writes_of_another() {
    each(|rig| {
        // Read, so that the kernel may have pages; then written, read again: ten times, closing in between.
        rig.put("f", &pattern(50_000, 0));
        let mut model = pattern(50_000, 0);
        for n in 0..10_u8 {
            same(fs::read(rig.at("f")).unwrap(), &model);
            let at = usize::from(n) * 4001;
            let writer = File::options().write(true).open(rig.at("f")).unwrap();
            writer.write_all_at(&[n], at as u64).unwrap();
            drop(writer);
            model[at] = n;
            same(fs::read(rig.at("f")).unwrap(), &model);
            same(rig.get("f").unwrap(), &model);
        }
    });
}

#[test]
fn stores_through_a_shared_mapping_reach_both_doors() {
    each(|rig| {
        fs::write(rig.at("f"), pattern(20_000, 1)).unwrap();
        succeeded(&child("data::child_maps_and_stores", &rig.at("f")).output().unwrap());
        let mut expected = pattern(20_000, 1);
        expected[..6].copy_from_slice(b"mapped");
        expected[10_000..10_005].copy_from_slice(b"later");
        same(fs::read(rig.at("f")).unwrap(), &expected);
        same(rig.get("f").unwrap(), &expected);
    });
}

#[test]
#[ignore = "a part of stores_through_a_shared_mapping_reach_both_doors"]
fn child_maps_and_stores() {
    let Some(path) = child_path() else { return };
    // O_APPEND: what the kernel writes back must not go to the end.
    let file = OpenOptions::new().read(true).append(true).open(&path).unwrap();
    let before = file.metadata().unwrap();
    let flags = (rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE, rustix::mm::MapFlags::SHARED);
    // SAFETY: a fresh mapping, used within its length and unmapped once.
    unsafe {
        let map = rustix::mm::mmap(std::ptr::null_mut(), 20_000, flags.0, flags.1, &file, 0).unwrap().cast::<u8>();
        map.copy_from_nonoverlapping(b"mapped".as_ptr(), 6);
        rustix::mm::msync(map.cast(), 20_000, rustix::mm::MsyncFlags::SYNC).unwrap();
        assert_eq!(fs::read(&path).unwrap()[..6], *b"mapped");
        // The mapping outlives the descriptor.
        drop(file);
        map.add(10_000).copy_from_nonoverlapping(b"later".as_ptr(), 5);
        rustix::mm::munmap(map.cast(), 20_000).unwrap();
    }
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.size(), 20_000);
    assert!((after.mtime(), after.mtime_nsec()) > (before.mtime(), before.mtime_nsec()), "mtime stayed");
}

#[test]
fn s20_holes_stay_holes() {
    each(|rig| {
        let file = read_write(rig.at("sparse"));
        file.write_all_at(&[1; 65536], 0).unwrap();
        file.write_all_at(&[2; 65536], 10 << 20).unwrap();
        let blocks = || file.metadata().unwrap().blocks();
        assert!(blocks() <= 2 * 65536 / 512 + 64, "{} blocks", blocks());
        let seek = |to| rustix::fs::seek(&file, to).unwrap();
        assert_eq!(seek(SeekFrom::Hole(0)), 65536);
        assert_eq!(seek(SeekFrom::Data(65536)), 10 << 20);
        assert_eq!(seek(SeekFrom::Hole(10 << 20)), (10 << 20) + 65536);
        assert_eq!(errno_of(rustix::fs::seek(&file, SeekFrom::Data((10 << 20) + 65536))), libc::ENXIO);
        let allocate = |mode, at, len| rustix::fs::fallocate(&file, mode, at, len);
        allocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 4096, 8192).unwrap();
        assert_eq!(seek(SeekFrom::Hole(0)), 4096);
        let mut expected = vec![0; (10 << 20) + 65536];
        expected[..65536].fill(1);
        expected[4096..12288].fill(0);
        expected[10 << 20..].fill(2);
        same(contents(&file), &expected);
        allocate(FallocateFlags::ZERO_RANGE, 20_000, 1000).unwrap();
        expected[20_000..21_000].fill(0);
        allocate(FallocateFlags::empty(), (10 << 20) + 60_000, 10_000).unwrap();
        expected.resize((10 << 20) + 70_000, 0);
        allocate(FallocateFlags::KEEP_SIZE, 20 << 20, 4096).unwrap();
        assert_eq!(errno_of(allocate(FallocateFlags::COLLAPSE_RANGE, 0, 4096)), libc::EOPNOTSUPP);
        same(contents(&file), &expected);
        drop(file);
        same(fs::read(rig.at("sparse")).unwrap(), &expected);
        same(rig.get("sparse").unwrap(), &expected);
    });
}

#[test]
fn copy_file_range_within_and_between_files() {
    each(|rig| {
        let body = pattern(300_000, 4);
        rig.put("from", &body);
        let (from, to) = (File::open(rig.at("from")).unwrap(), read_write(rig.at("to")));
        to.write_all_at(b"head", 0).unwrap();
        let copy = |mut from_at: u64, mut to_at: u64, mut left: usize| {
            while left > 0 {
                let n = rustix::fs::copy_file_range(&from, Some(&mut from_at), &to, Some(&mut to_at), left).unwrap();
                assert!(n > 0);
                left -= n;
            }
        };
        copy(1000, 4, 200_000);
        let mut expected = [b"head", &body[1000..201_000]].concat();
        same(contents(&to), &expected);
        copy(0, 100_000, 10_000);
        expected[100_000..110_000].copy_from_slice(&body[..10_000]);
        same(contents(&to), &expected);
        drop(to);
        same(rig.get("to").unwrap(), &expected);
    });
}

#[test]
fn syncs_of_all_kinds_return() {
    each(|rig| {
        let file = read_write(rig.at("f"));
        file.write_all_at(b"synced", 0).unwrap();
        file.sync_all().unwrap();
        file.sync_data().unwrap();
        File::open(rig.at("")).unwrap().sync_all().unwrap();
        for flag in [libc::O_SYNC, libc::O_DSYNC] {
            let path = rig.at(format!("sync{flag}"));
            let sync =
                OpenOptions::new().create(true).truncate(false).write(true).custom_flags(flag).open(&path).unwrap();
            sync.write_all_at(b"x", 0).unwrap();
            let again = OpenOptions::new().write(true).custom_flags(flag).open(&path).unwrap();
            again.write_all_at(b"yz", 1).unwrap();
            drop((sync, again));
            assert_eq!(fs::read(&path).unwrap(), b"xyz");
        }
    });
}

#[test]
fn sequential_reading_in_small_pieces() {
    each(|rig| {
        let body = pattern(1_000_003, 8);
        fs::write(rig.at("f"), &body).unwrap();
        let mut file = File::open(rig.at("f")).unwrap();
        let (mut got, mut piece) = (Vec::new(), [0; 4321]);
        loop {
            let n = file.read(&mut piece).unwrap();
            if n == 0 {
                break;
            }
            got.extend_from_slice(&piece[..n]);
        }
        same(got, &body);
        // O_RDONLY cannot write, O_WRONLY cannot read.
        assert!(file.write(b"x").is_err());
        assert!(File::options().write(true).open(rig.at("f")).unwrap().read(&mut piece).is_err());
    });
}
