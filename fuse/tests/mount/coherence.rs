//! The two doors and several mounts seeing each other (S6, S7), with the kernel's caches at an hour.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;

use crate::rig::{contents, each, errno, eventually, names, pattern, read_write, same, shared};

#[test]
fn s6_a_put_over_a_file_that_the_kernel_knows() {
    each(|rig| {
        for n in 0..50_u64 {
            let body = pattern(10_000 + n as usize, n);
            rig.put("d/f", &body);
            assert_eq!(fs::metadata(rig.at("d/f")).unwrap().size(), body.len() as u64);
            same(fs::read(rig.at("d/f")).unwrap(), &body);
        }
    });
}

#[test]
fn s6_names_that_were_not_there_and_names_that_go() {
    each(|rig| {
        for n in 0..20 {
            let key = format!("d/f{n}");
            assert_eq!(errno(fs::metadata(rig.at(&key))), libc::ENOENT);
            rig.put(&key, b"x");
            assert!(rig.at(&key).exists(), "{key} after PUT");
            assert_eq!(names(rig.at("d")), [format!("f{n}")]);
            rig.delete(&key);
            // The last key of an implicit directory takes it along (S3).
            assert_eq!(errno(fs::metadata(rig.at(&key))), libc::ENOENT, "{key} after DELETE");
            assert!(!rig.at("d").exists());
        }
    });
}

#[test]
fn s6_a_directory_takes_an_object_s_name_and_gives_it_back() {
    each(|rig| {
        rig.put("a", b"object");
        assert_eq!(fs::read(rig.at("a")).unwrap(), b"object");
        assert_eq!(errno(fs::read(rig.at("a/b"))), libc::ENOTDIR);
        rig.put("a/b", b"below");
        assert_eq!(fs::read(rig.at("a/b")).unwrap(), b"below");
        assert_eq!(fs::read(rig.at("%@object:a")).unwrap(), b"object");
        assert_eq!(names(rig.at("")), ["%@object:a", "a"]);
        rig.put("a", b"replaced");
        assert_eq!(fs::read(rig.at("%@object:a")).unwrap(), b"replaced");
        rig.delete("a/b");
        assert_eq!(fs::read(rig.at("a")).unwrap(), b"replaced");
        assert_eq!(names(rig.at("")), ["a"]);
    });
}

#[test]
fn s7_a_file_that_s3_replaces_stays_what_it_was_to_who_has_it_open() {
    each(|rig| {
        let old = pattern(100_000, 1);
        rig.put("f", &old);
        let reader = File::open(rig.at("f")).unwrap();
        let mut first = vec![0; 50_000];
        reader.read_exact_at(&mut first, 0).unwrap();
        rig.put("f", b"new");
        same(contents(&reader), &old);
        assert_eq!(reader.metadata().unwrap().nlink(), 0);
        assert_eq!(fs::read(rig.at("f")).unwrap(), b"new");

        let writer = read_write(rig.at("f"));
        writer.write_all_at(b"mine", 0).unwrap();
        rig.put("f", b"newer");
        writer.write_all_at(b"still mine", 0).unwrap();
        assert_eq!(contents(&writer), b"still mine");
        drop(writer);
        assert_eq!(fs::read(rig.at("f")).unwrap(), b"newer");
        assert_eq!(rig.get("f").unwrap(), b"newer");
    });
}

#[test]
fn two_mounts_of_one_namespace() {
    each(|rig| {
        let other = rig.second("other", shared);
        let there = |path: &str| other.path().join(path);
        // The first has long times, as it was alone when it was made: it is told, a moment later.
        fs::write(there("f"), "from the other").unwrap();
        eventually("the first sees it", || fs::read(rig.at("f")).is_ok_and(|body| body == b"from the other"));
        fs::write(rig.at("f"), "from the first").unwrap();
        assert_eq!(fs::read(there("f")).unwrap(), b"from the first");
        fs::rename(there("f"), there("g")).unwrap();
        eventually("the name is gone", || !rig.at("f").exists());
        eventually("the new one is there", || rig.at("g").exists());
        fs::remove_file(rig.at("g")).unwrap();
        assert!(!there("g").exists());
        // One file open at both, whoever serves it.
        let (one, two) = (read_write(rig.at("h")), read_write(there("h")));
        one.write_all_at(b"one", 0).unwrap();
        two.write_all_at(b"two", 3).unwrap();
        drop((one, two));
        assert_eq!(rig.get("h").unwrap(), b"onetwo");
        other.stop().unwrap();
        assert!(!other.is_alive());
        fs::write(rig.at("f"), "alone again").unwrap();
    });
}

#[test]
fn both_doors_busy_in_one_directory() {
    each(|rig| {
        // S3 writes wait for the kernel, which holds the directory while the mount works in it: nothing may wait for
        // the other in a circle.
        rig.put("d/keep", b"");
        thread::scope(|scope| {
            for worker in 0..2 {
                scope.spawn(move || {
                    for n in 0..150 {
                        let key = format!("d/s{worker}-{}", n % 7);
                        rig.put(&key, format!("{n}").as_bytes());
                        assert_eq!(fs::read(rig.at(&key)).unwrap(), format!("{n}").as_bytes());
                    }
                });
                scope.spawn(move || {
                    for n in 0..150 {
                        let name = format!("d/m{worker}-{}", n % 7);
                        fs::write(rig.at(&name), format!("{n}")).unwrap();
                        assert_eq!(rig.get(&name).unwrap(), format!("{n}").as_bytes());
                        fs::rename(rig.at(&name), rig.at(format!("d/r{worker}"))).unwrap();
                        assert!(names(rig.at("d")).contains(&format!("r{worker}")));
                    }
                });
            }
        });
        assert_eq!(names(rig.at("d")).len(), 1 + 2 * 7 + 2);
    });
}
