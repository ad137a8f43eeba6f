//! The two doors and several mounts seeing each other (S6, S7), with the kernel's caches at an hour.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::thread;

use crate::rig::{contents, each, errno, eventually, names, pattern, read_write, same};

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
fn ruling21_two_mounts_of_one_namespace() {
    each(|rig| {
        // The first is alone when it starts, so its kernel keeps what it meets: names, and that a name is not there.
        for name in ["kept", "replaced", "removed"] {
            fs::write(rig.at(name), "first").unwrap();
            assert_eq!(fs::read(rig.at(name)).unwrap(), b"first");
        }
        assert!(!rig.at("absent").exists());
        let other = rig.second("other", |_| {});
        let there = |path: &str| other.path().join(path);

        // Names are asked for from now on, also those that were kept.
        fs::rename(there("kept"), there("moved")).unwrap();
        fs::remove_file(there("removed")).unwrap();
        fs::write(there("absent"), "other").unwrap();
        fs::write(there("new"), "other").unwrap();
        fs::rename(there("new"), there("replaced")).unwrap();
        if names_are_dropped_at_once() {
            assert!(!rig.at("kept").exists() && rig.at("moved").exists() && !rig.at("removed").exists());
            assert_eq!(fs::read(rig.at("absent")).unwrap(), b"other");
            assert_eq!(fs::read(rig.at("replaced")).unwrap(), b"other");
        } else {
            eventually("names", || !rig.at("kept").exists() && !rig.at("removed").exists() && rig.at("moved").exists());
            eventually("new ones", || rig.at("absent").exists());
            eventually("replaced ones", || fs::read(rig.at("replaced")).is_ok_and(|body| body == b"other"));
        }
        for n in 0..200 {
            let (here, there) =
                if n % 2 == 0 { (rig.at("turn"), there("turn")) } else { (there("turn"), rig.at("turn")) };
            assert!(!there.exists());
            fs::write(&here, "x").unwrap();
            assert!(there.exists());
            fs::remove_file(&there).unwrap();
            assert!(!here.exists());
        }

        // Bytes are those of the last close before the open (of the same number: the size gives nothing away);
        // attributes are a second old at most.
        for n in 0..50 {
            let (here, there) =
                if n % 2 == 0 { (rig.at("moved"), there("moved")) } else { (there("moved"), rig.at("moved")) };
            let file = read_write(&here);
            file.write_all_at(format!("{n:05}").as_bytes(), 0).unwrap();
            drop(file);
            assert_eq!(fs::read(&there).unwrap(), format!("{n:05}").as_bytes());
        }
        fs::write(there("moved"), "longer than it was").unwrap();
        eventually("its size", || fs::metadata(rig.at("moved")).unwrap().size() == 18);
        assert_eq!(fs::read(rig.at("moved")).unwrap(), b"longer than it was");

        // One file open at both, whoever serves it.
        let (one, two) = (read_write(rig.at("h")), read_write(there("h")));
        one.write_all_at(b"one", 0).unwrap();
        two.write_all_at(b"two", 3).unwrap();
        drop((one, two));
        assert_eq!(rig.get("h").unwrap(), b"onetwo");

        // Alone again: what the other wrote over pages that the first has kept is seen.
        let held = read_write(rig.at("h"));
        assert_eq!(contents(&held), b"onetwo");
        fs::write(there("h"), "twoone").unwrap();
        other.stop().unwrap();
        assert!(!other.is_alive());
        drop(held);
        assert_eq!(fs::read(rig.at("h")).unwrap(), b"twoone");
        fs::write(rig.at("f"), "alone again").unwrap();
        assert_eq!(rig.get("f").unwrap(), b"alone again");
    });
}

/// Linux 6.16 can drop all names that it has kept; before, each goes when something happens to it.
fn names_are_dropped_at_once() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(16))
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
