//! Names: making, moving, removing, listing, escaping.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use pinfold_fuse::Passthrough;
use rustix::fs::{AtFlags, CWD, FileType, Mode, RawDir, RenameFlags, SeekFrom};

use crate::rig::{Rig, can_mount, each, errno, errno_of, names, read_write};

#[test]
fn directories() {
    each(|rig| {
        fs::create_dir_all(rig.at("a/b/c")).unwrap();
        assert_eq!(errno(fs::create_dir(rig.at("a"))), libc::EEXIST);
        assert_eq!(errno(fs::remove_dir(rig.at("a"))), libc::ENOTEMPTY);
        assert_eq!(errno(fs::remove_file(rig.at("a"))), libc::EISDIR);
        fs::write(rig.at("a/f"), "x").unwrap();
        assert_eq!(errno(fs::remove_dir(rig.at("a/f"))), libc::ENOTDIR);
        assert_eq!(errno(fs::read(rig.at("a/f/g"))), libc::ENOTDIR);
        assert_eq!(errno(fs::read(rig.at("nothing"))), libc::ENOENT);
        assert_eq!(names(rig.at("a")), ["b", "f"]);
        fs::remove_dir(rig.at("a/b/c")).unwrap();
        // Its last entry gone by the mount, the directory stays (S3).
        fs::remove_dir(rig.at("a/b")).unwrap();
        fs::remove_file(rig.at("a/f")).unwrap();
        assert_eq!(names(rig.at("a")), Vec::<String>::new());
        assert_eq!(rig.get("a/").unwrap(), b"");
        fs::remove_dir(rig.at("a")).unwrap();
        assert_eq!(names(rig.at("")), Vec::<String>::new());
        assert_eq!(fs::metadata(rig.at("")).unwrap().nlink(), 2);
    });
}

#[test]
fn s5_rename_in_all_its_forms() {
    each(|rig| {
        fs::create_dir_all(rig.at("d/e")).unwrap();
        fs::write(rig.at("d/e/f"), "below").unwrap();
        fs::write(rig.at("x"), "x").unwrap();
        fs::write(rig.at("y"), "y").unwrap();
        fs::rename(rig.at("d"), rig.at("moved")).unwrap();
        assert_eq!(fs::read(rig.at("moved/e/f")).unwrap(), b"below");
        assert_eq!(rig.get("moved/e/f").unwrap(), b"below");
        assert!(rig.get("d/e/f").is_err() && !rig.at("d").exists());

        let with = |from: &str, to: &str, flags| rustix::fs::renameat_with(CWD, rig.at(from), CWD, rig.at(to), flags);
        assert_eq!(errno_of(with("x", "y", RenameFlags::NOREPLACE)), libc::EEXIST);
        with("x", "y", RenameFlags::EXCHANGE).unwrap();
        assert_eq!((fs::read(rig.at("x")).unwrap(), rig.get("y").unwrap()), (b"y".to_vec(), b"x".to_vec()));
        with("x", "moved", RenameFlags::EXCHANGE).unwrap();
        assert_eq!(fs::read(rig.at("moved")).unwrap(), b"y");
        assert_eq!(rig.get("x/e/f").unwrap(), b"below");
        with("moved", "fresh", RenameFlags::NOREPLACE).unwrap();
        assert_eq!(errno_of(with("fresh", "none", RenameFlags::EXCHANGE)), libc::ENOENT);

        let open = File::open(rig.at("y")).unwrap();
        fs::rename(rig.at("fresh"), rig.at("y")).unwrap();
        assert_eq!(fs::read(rig.at("y")).unwrap(), b"y");
        assert_eq!(open.metadata().unwrap().nlink(), 0);
        assert_eq!(errno(fs::rename(rig.at("y"), rig.at("x"))), libc::EISDIR);
        assert_eq!(errno(fs::rename(rig.at("x"), rig.at("y"))), libc::ENOTDIR);
        assert_eq!(errno(fs::rename(rig.at("x"), rig.at("x/e/in"))), libc::EINVAL);
        fs::create_dir(rig.at("full")).unwrap();
        fs::write(rig.at("full/f"), "").unwrap();
        assert_eq!(errno(fs::rename(rig.at("x"), rig.at("full"))), libc::ENOTEMPTY);
        fs::remove_file(rig.at("full/f")).unwrap();
        fs::rename(rig.at("x"), rig.at("full")).unwrap();
        assert_eq!(rig.get("full/e/f").unwrap(), b"below");
    });
}

#[test]
fn hard_links_symbolic_links_and_special_files() {
    each(|rig| {
        fs::create_dir(rig.at("d")).unwrap();
        fs::write(rig.at("f"), "one").unwrap();
        fs::hard_link(rig.at("f"), rig.at("d/g")).unwrap();
        let stat = |path: &str| fs::symlink_metadata(rig.at(path)).unwrap();
        assert_eq!((stat("f").nlink(), stat("f").ino()), (2, stat("d/g").ino()));
        fs::write(rig.at("d/g"), "two").unwrap();
        assert_eq!(fs::read(rig.at("f")).unwrap(), b"two");
        assert_eq!((rig.get("f").unwrap(), rig.get("d/g").unwrap()), (b"two".to_vec(), b"two".to_vec()));
        fs::remove_file(rig.at("f")).unwrap();
        assert_eq!(stat("d/g").nlink(), 1);
        assert_eq!(errno(fs::hard_link(rig.at("d"), rig.at("dd"))), libc::EPERM);

        symlink("d/g", rig.at("link")).unwrap();
        assert_eq!(fs::read_link(rig.at("link")).unwrap().as_os_str(), "d/g");
        assert_eq!(fs::read(rig.at("link")).unwrap(), b"two");
        assert_eq!(stat("link").size(), 3);
        assert_eq!(rig.get("link").unwrap(), b"d/g");

        let node = |name: &str, kind, device| {
            rustix::fs::mknodat(CWD, rig.at(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
        };
        node("pipe", FileType::Fifo, 0);
        node("socket", FileType::Socket, 0);
        node("char", FileType::CharacterDevice, rustix::fs::makedev(4, 5));
        node("block", FileType::BlockDevice, rustix::fs::makedev(259, 70_000));
        node("plain", FileType::RegularFile, 0);
        assert!(stat("pipe").file_type().is_fifo() && stat("socket").file_type().is_socket());
        assert!(stat("char").file_type().is_char_device() && stat("char").rdev() == rustix::fs::makedev(4, 5));
        assert!(stat("block").file_type().is_block_device());
        assert_eq!(stat("block").rdev(), rustix::fs::makedev(259, 70_000));
        assert!(stat("plain").is_file() && stat("plain").size() == 0);
        assert_eq!(stat("pipe").mode() & 0o7777, 0o640);
    });
}

#[test]
fn s2_long_names_and_names_that_are_not_text() {
    each(|rig| {
        for len in [255, 256, 1000, 1024] {
            let name = "n".repeat(len);
            fs::write(rig.at(&name), len.to_string()).unwrap();
            assert_eq!(fs::read(rig.at(&name)).unwrap(), len.to_string().as_bytes());
            assert_eq!(names(rig.at("")), [name.as_str()]);
            fs::remove_file(rig.at(&name)).unwrap();
        }
        let over = "n".repeat(1025);
        assert_eq!(errno(File::create(rig.at(&over))), libc::ENAMETOOLONG);
        assert_eq!(errno(fs::create_dir(rig.at(&over))), libc::ENAMETOOLONG);
        assert_eq!(errno(fs::metadata(rig.at(&over))), libc::ENAMETOOLONG);
        assert_eq!(rustix::fs::statvfs(rig.at("")).unwrap().f_namemax, 1024);

        let odd = OsStr::from_bytes(b"not\xfftext");
        assert_eq!(errno(File::create(rig.at(odd))), libc::EILSEQ);
        assert_eq!(errno(fs::create_dir(rig.at(odd))), libc::EILSEQ);
        assert_eq!(errno(symlink("x", rig.at(odd))), libc::EILSEQ);
        fs::write(rig.at("f"), "").unwrap();
        assert_eq!(errno(fs::rename(rig.at("f"), rig.at(odd))), libc::EILSEQ);
        assert_eq!(errno(fs::hard_link(rig.at("f"), rig.at(odd))), libc::EILSEQ);
        assert_eq!(errno(fs::metadata(rig.at(odd))), libc::ENOENT);
        for name in ["tab\tname", "new\nline", "back\\slash", "ümlaut", "日本", " "] {
            fs::write(rig.at(name), name).unwrap();
            assert_eq!(rig.get(name).unwrap(), name.as_bytes());
        }
    });
}

#[test]
fn s2_every_escape_from_s3_to_the_mount() {
    each(|rig| {
        rig.put("a//b", b"empty");
        rig.put("a/./c", b"dot");
        rig.put("a/../d", b"dotdot");
        rig.put("a", b"object beside a directory");
        rig.put("a/", b"the marker's own bytes");
        rig.put("%@x", b"introducer");
        rig.put("%@empty/y", b"introducer again");
        rig.put("/top", b"leading slash");
        assert_eq!(names(rig.at("")), ["%@%@empty", "%@%@x", "%@empty", "%@object:a", "a"]);
        assert_eq!(names(rig.at("a")), ["%@dot", "%@dotdot", "%@empty", "%@self"]);
        for (path, body) in [
            ("a/%@empty/b", "empty"),
            ("a/%@dot/c", "dot"),
            ("a/%@dotdot/d", "dotdot"),
            ("%@object:a", "object beside a directory"),
            ("a/%@self", "the marker's own bytes"),
            ("%@%@x", "introducer"),
            ("%@%@empty/y", "introducer again"),
            ("%@empty/top", "leading slash"),
        ] {
            assert_eq!(fs::read(rig.at(path)).unwrap(), body.as_bytes(), "{path}");
        }
        // Content in the marker keeps its directory (ruling 26).
        rig.put("m/", b"x");
        assert_eq!(errno(fs::remove_dir(rig.at("m"))), libc::ENOTEMPTY);
        fs::remove_file(rig.at("m/%@self")).unwrap();
        fs::remove_dir(rig.at("m")).unwrap();
        assert!(rig.get("m/").is_err());
    });
}

#[test]
fn s2_every_escape_from_the_mount_to_s3() {
    each(|rig| {
        fs::create_dir_all(rig.at("d/%@empty")).unwrap();
        fs::create_dir_all(rig.at("d/%@dot")).unwrap();
        fs::create_dir_all(rig.at("d/%@dotdot")).unwrap();
        for (path, key) in [
            ("d/%@empty/f", "d//f"),
            ("d/%@dot/f", "d/./f"),
            ("d/%@dotdot/f", "d/../f"),
            ("d/%@%@x", "d/%@x"),
            ("%@object:d", "d"),
        ] {
            fs::write(rig.at(path), key).unwrap();
            assert_eq!(rig.get(key).unwrap(), key.as_bytes(), "{path}");
            assert_eq!(fs::read(rig.at(path)).unwrap(), key.as_bytes());
            let moved = rig.at("moved");
            fs::rename(rig.at(path), &moved).unwrap();
            assert_eq!(fs::read(&moved).unwrap(), key.as_bytes());
            fs::rename(&moved, rig.at(path)).unwrap();
            assert_eq!(rig.get(key).unwrap(), key.as_bytes(), "{path} back");
        }
        for bad in ["%@", "%@what", "d/%@Self", "%@object:"] {
            assert_eq!(errno(File::create(rig.at(bad))), libc::EINVAL, "{bad}");
            assert_eq!(errno(fs::create_dir(rig.at(bad))), libc::EINVAL, "{bad}");
            assert_eq!(errno(fs::rename(rig.at("%@object:d"), rig.at(bad))), libc::EINVAL, "{bad}");
            assert_eq!(errno(fs::metadata(rig.at(bad))), libc::ENOENT, "{bad}");
        }
        // A file of no name would have its directory's key.
        assert_eq!(errno(File::create(rig.at("%@empty"))), libc::EINVAL);
        assert_eq!(errno(fs::create_dir(rig.at("%@object:n"))), libc::EINVAL);
        fs::write(rig.at("f"), "").unwrap();
        assert_eq!(errno(fs::rename(rig.at("f"), rig.at("%@empty"))), libc::EINVAL);
        for path in ["d/%@empty/f", "d/%@dot/f", "d/%@dotdot/f", "d/%@%@x", "%@object:d"] {
            fs::remove_file(rig.at(path)).unwrap();
        }
        fs::remove_dir(rig.at("d/%@empty")).unwrap();
        assert_eq!(names(rig.at("d")), ["%@dot", "%@dotdot"]);
    });
}

#[test]
fn s2_a_directory_s_own_content() {
    each(|rig| {
        fs::create_dir(rig.at("d")).unwrap();
        assert_eq!(names(rig.at("d")), Vec::<String>::new());
        assert_eq!(rig.get("d/").unwrap(), b"");
        fs::write(rig.at("d/%@self"), "content").unwrap();
        assert_eq!(names(rig.at("d")), ["%@self"]);
        assert_eq!(rig.get("d/").unwrap(), b"content");
        assert_eq!(fs::read(rig.at("d/%@self")).unwrap(), b"content");
        // There is no entry to move: `mv` copies.
        assert_eq!(errno(fs::rename(rig.at("d/%@self"), rig.at("f"))), libc::EXDEV);
        fs::write(rig.at("f"), "").unwrap();
        assert_eq!(errno(fs::rename(rig.at("f"), rig.at("d/%@self"))), libc::EXDEV);
        fs::remove_file(rig.at("d/%@self")).unwrap();
        assert_eq!(rig.get("d/").unwrap(), b"");
        fs::remove_dir(rig.at("d")).unwrap();
    });
}

#[test]
fn another_form_of_a_name_shows_what_happened_to_the_plain_one() {
    each(|rig| {
        fs::write(rig.at("a"), "1").unwrap();
        // The escape is a way to the object whether or not a directory has its name; it is listed only if one has.
        assert_eq!(fs::read(rig.at("%@object:a")).unwrap(), b"1");
        assert_eq!(names(rig.at("")), ["a"]);
        fs::remove_file(rig.at("a")).unwrap();
        assert_eq!(errno(fs::read(rig.at("%@object:a"))), libc::ENOENT);
        fs::write(rig.at("a"), "2").unwrap();
        assert_eq!(fs::read(rig.at("%@object:a")).unwrap(), b"2");
        fs::remove_file(rig.at("%@object:a")).unwrap();
        crate::rig::eventually("the plain name is gone", || !rig.at("a").exists());
        fs::write(rig.at("%@object:a"), "3").unwrap();
        crate::rig::eventually("the plain name is there", || rig.at("a").exists());
    });
}

#[test]
fn a_big_directory_is_listed_once_each_while_it_shrinks() {
    each(|rig| {
        let n = 5000;
        fs::create_dir(rig.at("big")).unwrap();
        for i in 0..n {
            File::create(rig.at(format!("big/f{i:05}"))).unwrap();
        }
        let dir = File::open(rig.at("big")).unwrap();
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut seen = BTreeSet::new();
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_str().unwrap().to_owned();
            if name.starts_with('f') {
                assert_eq!(entry.file_type(), FileType::RegularFile);
                // Every second goes as soon as it is seen, so those not yet seen stay.
                if name.ends_with(['0', '2', '4', '6', '8']) {
                    fs::remove_file(rig.at("big").join(&name)).unwrap();
                }
                assert!(seen.insert(name.clone()), "{name} twice");
            }
        }
        assert_eq!(seen.len(), n);
        assert_eq!(names(rig.at("big")).len(), n / 2);
        // rewinddir
        rustix::fs::seek(&dir, SeekFrom::Start(0)).unwrap();
        let mut again = RawDir::new(&dir, &mut buffer);
        let mut count = 0;
        while let Some(entry) = again.next() {
            entry.unwrap();
            count += 1;
        }
        assert_eq!(count, n / 2 + 2);
    });
}

#[test]
fn a_place_in_a_directory_can_be_sought_again() {
    each(|rig| {
        for i in 0..300 {
            File::create(rig.at(format!("f{i:03}"))).unwrap();
        }
        let dir = File::open(rig.at("")).unwrap();
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut listed = Vec::new();
        let mut entries = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            listed.push((entry.file_name().to_owned(), entry.next_entry_cookie()));
        }
        assert_eq!(listed.len(), 302);
        for at in [0, 1, 2, 57, 290] {
            rustix::fs::seek(&dir, SeekFrom::Start(listed[at].1)).unwrap();
            let mut entries = RawDir::new(&dir, &mut buffer);
            let next = entries.next().unwrap().unwrap();
            assert_eq!(next.file_name(), listed[at + 1].0.as_c_str());
        }
    });
}

#[test]
fn listings_with_attributes_agree_with_stat() {
    each(|rig| {
        for i in 0..500 {
            rig.put(&format!("d/f{i}"), &vec![7; i]);
        }
        let mut count = 0;
        for entry in fs::read_dir(rig.at("d")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let stat = rustix::fs::statat(CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
            assert_eq!(stat.st_size.to_string(), name[1..]);
            count += 1;
        }
        assert_eq!(count, 500);
    });
}

#[test]
fn s1_the_whole_namespace_as_a_mount() {
    if !can_mount() {
        return;
    }
    let rig = Rig::with(Passthrough::Auto, |config| config.path.clear());
    rig.put("k", b"v");
    assert_eq!(fs::read(rig.at("pics/k")).unwrap(), b"v");
    fs::create_dir(rig.at("new-bucket")).unwrap();
    assert_eq!(rig.buckets(), ["new-bucket", "pics"]);
    assert_eq!(names(rig.at("")), ["new-bucket", "pics"]);
    assert_eq!(errno(fs::create_dir(rig.at("No"))), libc::EINVAL);
    assert_eq!(errno(File::create(rig.at("file"))), libc::EPERM);
    assert_eq!(errno(fs::rename(rig.at("pics"), rig.at("other"))), libc::EPERM);
    assert_eq!(errno(fs::remove_dir(rig.at("pics"))), libc::ENOTEMPTY);
    fs::write(rig.at("new-bucket/f"), "x").unwrap();
    assert_eq!(errno(fs::rename(rig.at("pics/k"), rig.at("new-bucket/k"))), libc::EXDEV);
    assert_eq!(errno(fs::hard_link(rig.at("pics/k"), rig.at("new-bucket/k"))), libc::EXDEV);
    fs::remove_file(rig.at("new-bucket/f")).unwrap();
    fs::remove_dir(rig.at("new-bucket")).unwrap();
    assert_eq!(rig.buckets(), ["pics"]);
}

#[test]
fn s1_a_prefix_as_a_mount() {
    each(|rig| {
        rig.put("deep/er/k", b"v");
        let prefix = rig.second("prefix", |config| {
            config.path = vec![b"pics".to_vec(), b"deep".to_vec(), b"er".to_vec()];
            crate::rig::shared(config);
        });
        assert_eq!(names(prefix.path()), ["k"]);
        fs::write(prefix.path().join("new"), "x").unwrap();
        assert_eq!(rig.get("deep/er/new").unwrap(), b"x");
        let (inside, root) = (fs::metadata(prefix.path().join("..")).unwrap(), fs::metadata(prefix.path()).unwrap());
        assert_ne!(inside.dev(), root.dev());
        drop(read_write(prefix.path().join("k")));
        prefix.stop().unwrap();
    });
}
