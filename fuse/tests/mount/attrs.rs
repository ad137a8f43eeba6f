//! Attributes: modes, owners, times, extended attributes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, XattrFlags};

use crate::rig::{NOBODY, as_user, each, errno, errno_of, read_write};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn modes_and_owners_are_kept_and_enforced() {
    each(|rig| {
        let path = rig.at("f");
        fs::write(&path, "secret").unwrap();
        chmod(&path, 0o600);
        assert_eq!(mode(&path), 0o600);
        as_user(NOBODY, NOBODY, || assert_eq!(errno(File::open(&path)), libc::EACCES));
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        let stat = fs::metadata(&path).unwrap();
        assert_eq!((stat.uid(), stat.gid()), (NOBODY, NOBODY));
        as_user(NOBODY, NOBODY, || {
            assert_eq!(fs::read(&path).unwrap(), b"secret");
            assert_eq!(errno(chown(&path, Some(0), None)), libc::EPERM);
        });
        as_user(1000, 1000, || {
            assert_eq!(errno(fs::set_permissions(&path, Permissions::from_mode(0o777))), libc::EPERM)
        });
        // What is made belongs to who makes it.
        fs::create_dir(rig.at("open")).unwrap();
        chmod(&rig.at("open"), 0o777);
        as_user(1000, 100, || {
            fs::write(rig.at("open/f"), "").unwrap();
            fs::create_dir(rig.at("open/d")).unwrap();
            symlink("x", rig.at("open/l")).unwrap();
        });
        for made in ["open/f", "open/d", "open/l"] {
            let stat = fs::symlink_metadata(rig.at(made)).unwrap();
            assert_eq!((stat.uid(), stat.gid()), (1000, 100), "{made}");
        }
    });
}

#[test]
fn a_sticky_directory_lets_only_owners_remove() {
    each(|rig| {
        let dir = rig.at("tmp");
        fs::create_dir(&dir).unwrap();
        chmod(&dir, 0o1777);
        as_user(1000, 100, || fs::write(dir.join("mine"), "").unwrap());
        as_user(NOBODY, NOBODY, || {
            assert_eq!(errno(fs::remove_file(dir.join("mine"))), libc::EPERM);
            assert_eq!(errno(fs::rename(dir.join("mine"), dir.join("yours"))), libc::EPERM);
        });
        as_user(1000, 100, || fs::remove_file(dir.join("mine")).unwrap());
    });
}

#[test]
fn a_setgid_directory_hands_its_group_down() {
    each(|rig| {
        let dir = rig.at("shared");
        fs::create_dir(&dir).unwrap();
        chown(&dir, None, Some(4242)).unwrap();
        chmod(&dir, 0o2777);
        as_user(1000, 100, || {
            fs::write(dir.join("f"), "").unwrap();
            fs::create_dir(dir.join("d")).unwrap();
            symlink("x", dir.join("l")).unwrap();
            rustix::fs::mknodat(CWD, dir.join("p"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
            fs::write(dir.join("d/below"), "").unwrap();
        });
        for made in ["f", "d", "l", "p", "d/below"] {
            let stat = fs::symlink_metadata(dir.join(made)).unwrap();
            assert_eq!((stat.uid(), stat.gid()), (1000, 4242), "{made}");
        }
        assert_eq!(mode(&dir.join("d")) & 0o2000, 0o2000);
        assert_eq!(mode(&dir.join("f")) & 0o2000, 0);
    });
}

#[test]
fn a_change_by_another_takes_privileges_away() {
    each(|rig| {
        let path = rig.at("program");
        let arm = || {
            fs::write(&path, "#!").unwrap();
            chmod(&path, 0o6777);
            assert_eq!(mode(&path), 0o6777);
        };
        let open = || OpenOptions::new().write(true).open(&path).unwrap();
        arm();
        as_user(NOBODY, NOBODY, || open().write_all_at(b"x", 0).unwrap());
        assert_eq!(mode(&path), 0o777, "write");
        arm();
        let held = open();
        as_user(NOBODY, NOBODY, || open().write_all_at(b"x", 0).unwrap());
        assert_eq!(mode(&path), 0o777, "write while another writer has it open");
        drop(held);
        arm();
        as_user(NOBODY, NOBODY, || open().set_len(1).unwrap());
        assert_eq!(mode(&path), 0o777, "ftruncate");
        arm();
        as_user(NOBODY, NOBODY, || drop(OpenOptions::new().write(true).truncate(true).open(&path).unwrap()));
        assert_eq!(mode(&path), 0o777, "O_TRUNC");
        arm();
        as_user(NOBODY, NOBODY, || {
            rustix::fs::fallocate(open(), rustix::fs::FallocateFlags::empty(), 0, 100).unwrap();
        });
        assert_eq!(mode(&path), 0o777, "fallocate");
        arm();
        chown(&path, Some(1000), Some(100)).unwrap();
        assert_eq!(mode(&path), 0o777, "chown");
        arm();
        // Root's write leaves them.
        open().write_all_at(b"x", 0).unwrap();
        assert_eq!(mode(&path), 0o6777, "write by root");
        chmod(&path, 0o2666);
        as_user(NOBODY, NOBODY, || open().write_all_at(b"x", 0).unwrap());
        assert_eq!(mode(&path), 0o2666, "setgid without group execution");
    });
}

#[test]
fn a_program_that_runs_is_not_written_to() {
    each(|rig| {
        let path = rig.at("sleep");
        fs::copy("/bin/sleep", &path).unwrap();
        let mut program = Command::new(&path).arg("600").spawn().unwrap();
        let refused = [
            OpenOptions::new().write(true).open(&path),
            OpenOptions::new().write(true).truncate(true).open(&path),
            OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(&path),
        ];
        let running = program.try_wait().unwrap().is_none();
        program.kill().unwrap();
        program.wait().unwrap();
        for result in refused {
            assert_eq!(errno(result), libc::ETXTBSY);
        }
        assert!(running);
        assert_eq!(fs::metadata(&path).unwrap().size(), fs::metadata("/bin/sleep").unwrap().size());
    });
}

/// Files are stamped by a clock that ticks every few milliseconds: what is done within one tick has one time.
fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

#[test]
fn times() {
    each(|rig| {
        let path = rig.at("f");
        fs::write(&path, "x").unwrap();
        let set = |atime: (i64, i64), mtime: (i64, i64)| {
            let spec = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
            let times = Timestamps { last_access: spec(atime), last_modification: spec(mtime) };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
            let stat = fs::metadata(&path).unwrap();
            ((stat.atime(), stat.atime_nsec()), (stat.mtime(), stat.mtime_nsec()))
        };
        let omit = (0, UTIME_OMIT);
        assert_eq!(set((1, 2), (3, 4)), ((1, 2), (3, 4)));
        assert_eq!(set((9, 9), omit), ((9, 9), (3, 4)));
        assert_eq!(set((-2, 700_000_000), (-1, 1)), ((-2, 700_000_000), (-1, 1)));
        // The year 2400: what ext4 can keep of an open file ends in 2446.
        let far = (13_569_465_600, 999_999_999);
        assert_eq!(set((4_000_000_000, 5), far), ((4_000_000_000, 5), far));
        let ctime = || {
            let stat = fs::metadata(&path).unwrap();
            (stat.ctime(), stat.ctime_nsec())
        };
        let before = ctime();
        tick();
        let now = set(omit, (0, UTIME_NOW));
        assert_eq!(now.0, (4_000_000_000, 5));
        assert!(now.1 > (1_500_000_000, 0) && ctime() > before);
        // A write changes them, a truncation and a chmod too.
        set((1, 0), (1, 0));
        read_write(&path).write_all_at(b"y", 0).unwrap();
        assert!(fs::metadata(&path).unwrap().mtime() > 1);
        set((1, 0), (1, 0));
        read_write(&path).set_len(0).unwrap();
        assert!(fs::metadata(&path).unwrap().mtime() > 1);
        let before = ctime();
        tick();
        chmod(&path, 0o640);
        assert!(ctime() > before);
        // A directory's change with its entries.
        let dir = |name: &str| fs::metadata(rig.at(name)).unwrap().mtime_nsec();
        fs::create_dir(rig.at("d")).unwrap();
        let before = dir("d");
        tick();
        fs::write(rig.at("d/f"), "").unwrap();
        assert_ne!(dir("d"), before);
    });
}

#[test]
fn s11_extended_attributes() {
    each(|rig| {
        let path = rig.at("f");
        fs::write(&path, "x").unwrap();
        let set = |name: &str, value: &[u8], flags| rustix::fs::setxattr(&path, name, value, flags);
        let get = |name: &str| {
            let mut value = vec![0; 1 << 16];
            rustix::fs::getxattr(&path, name, &mut value[..]).map(|len| value[..len].to_vec())
        };
        let list = || {
            let mut names = vec![0; 1 << 16];
            let len = rustix::fs::listxattr(&path, &mut names[..]).unwrap();
            names.truncate(len);
            names.split(|b| *b == 0).filter(|n| n.starts_with(b"user.t")).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(errno_of(set("user.t", b"1", XattrFlags::REPLACE)), libc::ENODATA);
        set("user.t", b"1", XattrFlags::CREATE).unwrap();
        assert_eq!(errno_of(set("user.t", b"2", XattrFlags::CREATE)), libc::EEXIST);
        set("user.t", b"22", XattrFlags::REPLACE).unwrap();
        assert_eq!(get("user.t").unwrap(), b"22");
        set("user.t.empty", b"", XattrFlags::empty()).unwrap();
        assert_eq!(get("user.t.empty").unwrap(), b"");
        let big = crate::rig::pattern(10_000, 1);
        set("user.t.big", &big, XattrFlags::empty()).unwrap();
        assert_eq!(get("user.t.big").unwrap(), big);
        assert_eq!(rustix::fs::getxattr_query(&path, "user.t").unwrap(), 2);
        assert_eq!(errno_of(rustix::fs::getxattr(&path, "user.t", &mut [0; 1][..])), libc::ERANGE);
        let mut names = list();
        names.sort();
        assert_eq!(names, [b"user.t".to_vec(), b"user.t.big".to_vec(), b"user.t.empty".to_vec()]);
        rustix::fs::removexattr(&path, "user.t").unwrap();
        assert_eq!(errno_of(get("user.t")), libc::ENODATA);
        assert_eq!(errno_of(rustix::fs::removexattr(&path, "user.t")), libc::ENODATA);
        // On a directory too, and by name from S3's side.
        fs::create_dir(rig.at("d")).unwrap();
        rustix::fs::setxattr(rig.at("d"), "user.x", b"y", XattrFlags::empty()).unwrap();
        assert!(String::from_utf8(get("user.pinfold.cid").unwrap()).unwrap().starts_with("baf"));
        // Never stored: version 2 of the format, no capability in it.
        let capability = [&0x0200_0000_u32.to_le_bytes()[..], &[0; 16]].concat();
        assert_eq!(errno_of(set("security.capability", &capability, XattrFlags::empty())), libc::EOPNOTSUPP);
        assert_eq!(errno_of(get("security.capability")), libc::ENODATA);
        assert_eq!(errno_of(get("system.posix_acl_access")), libc::EOPNOTSUPP);
    });
}
