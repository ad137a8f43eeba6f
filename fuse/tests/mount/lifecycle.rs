//! Starting, stopping, what is left behind and what is in the way.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use pinfold_fuse::{Mount, Passthrough};
use pinfold_store::ErrorKind;
use pinfold_store::types::{BucketName, Caller};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::rig::{
    NOBODY, Rig, as_user, bucket_config, can_mount, child, child_path, each, errno, errno_of, eventually, names,
    open_namespace, pattern, read_write, same, shared,
};

fn mounts_at(path: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let here = table.lines().map(fields).filter(|f| Path::new(&f[1]) == path);
    here.map(|f| f[2].clone()).collect()
}

#[test]
fn a_mount_says_what_it_is_and_leaves_nothing_behind() {
    each(|rig| {
        let path = rig.mount.path().to_owned();
        assert_eq!(mounts_at(&path), ["fuse.pinfold"]);
        assert!(rig.mount.is_alive());
        fs::write(rig.at("f"), "x").unwrap();
        rig.mount.stop().unwrap();
        rig.mount.stop().unwrap();
        assert!(!rig.mount.is_alive());
        assert_eq!(mounts_at(&path), Vec::<String>::new());
        assert_eq!(names(&path), Vec::<String>::new());
        assert_eq!(rig.get("f").unwrap(), b"x");
        let again = rig.second("mnt", |_| {});
        assert_eq!(fs::read(again.path().join("f")).unwrap(), b"x");
    });
}

#[test]
fn a_mount_can_be_read_only() {
    each(|rig| {
        rig.put("f", b"x");
        let mount = rig.second("ro", |config| {
            config.read_only = true;
            shared(config);
        });
        let at = |name: &str| mount.path().join(name);
        assert_eq!(fs::read(at("f")).unwrap(), b"x");
        assert_eq!(errno(fs::write(at("g"), "")), libc::EROFS);
        assert_eq!(errno(File::options().write(true).open(at("f"))), libc::EROFS);
        assert_eq!(errno(fs::remove_file(at("f"))), libc::EROFS);
        assert_eq!(errno(fs::create_dir(at("d"))), libc::EROFS);
        assert_eq!(errno(fs::rename(at("f"), at("g"))), libc::EROFS);
        let set = rustix::fs::setxattr(at("f"), "user.x", b"", rustix::fs::XattrFlags::empty());
        assert_eq!(errno_of(set), libc::EROFS);
    });
}

#[test]
fn ruling29_a_stop_with_files_open_cuts_them_off_and_publishes_them() {
    each(|rig| {
        let body = pattern(100_000, 1);
        let file = read_write(rig.at("f"));
        file.write_all_at(&body, 0).unwrap();
        let dir = File::open(rig.at("")).unwrap();
        let path = rig.mount.path().to_owned();
        rig.mount.stop().unwrap();
        assert_eq!(mounts_at(&path), Vec::<String>::new());
        assert_eq!(errno(file.sync_all()), libc::ENOTCONN);
        assert_eq!(
            errno_of(rustix::fs::openat(&dir, "f", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())),
            libc::ENOTCONN
        );
        same(rig.get("f").unwrap(), &body);
    });
}

#[test]
fn a_stop_waits_for_files_that_are_about_to_be_closed() {
    if !can_mount() {
        return;
    }
    let rig = Rig::with(Passthrough::Off, |config| config.stop_grace = std::time::Duration::from_secs(60));
    let file = read_write(rig.at("f"));
    file.write_all_at(b"begun", 0).unwrap();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| rig.mount.stop());
        file.write_all_at(b" and ended", 5).unwrap();
        drop(file);
        stop.join().unwrap().unwrap();
    });
    assert_eq!(rig.get("f").unwrap(), b"begun and ended");
}

#[test]
fn ruling29_somebody_else_s_unmount_ends_it_and_what_comes_after_is_left_alone() {
    each(|rig| {
        let path = rig.mount.path().to_owned();
        fs::write(rig.at("f"), "x").unwrap();
        rustix::mount::unmount(&path, UnmountFlags::DETACH).unwrap();
        eventually("the mount knows", || !rig.mount.is_alive());
        rustix::mount::mount("tmpfs", &path, "tmpfs", MountFlags::empty(), None).unwrap();
        rig.mount.stop().unwrap();
        assert_eq!(mounts_at(&path), ["tmpfs"]);
        rustix::mount::unmount(&path, UnmountFlags::empty()).unwrap();
        assert_eq!(rig.get("f").unwrap(), b"x");
    });
}

#[test]
fn ruling29_what_is_mounted_over_it_is_not_unmounted() {
    if !can_mount() {
        return;
    }
    let rig = Rig::new(Passthrough::Off);
    let path = rig.mount.path().to_owned();
    rustix::mount::mount("tmpfs", &path, "tmpfs", MountFlags::empty(), None).unwrap();
    let refused = rig.mount.stop().unwrap_err();
    assert_eq!(mounts_at(&path), ["fuse.pinfold", "tmpfs"]);
    rustix::mount::unmount(&path, UnmountFlags::empty()).unwrap();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    assert_eq!(names(&path), Vec::<String>::new());
    rig.mount.stop().unwrap();
}

#[test]
fn what_is_in_the_way_is_named() {
    if !can_mount() {
        return;
    }
    let rig = Rig::new(Passthrough::Off);
    let start = |name: &str| {
        let config = bucket_config(rig.beside("").as_path(), name, Passthrough::Off);
        Mount::start(config, rig.ns.clone()).map(drop).unwrap_err()
    };
    let taken = start("mnt");
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(taken.to_string().contains("fuse.pinfold"), "{taken}");
    fs::write(rig.beside("file"), "").unwrap();
    assert_eq!(start("file").kind(), ErrorKind::NotADirectory);
    fs::create_dir(rig.beside("tmpfs")).unwrap();
    rustix::mount::mount("tmpfs", rig.beside("tmpfs"), "tmpfs", MountFlags::empty(), None).unwrap();
    let other = start("tmpfs");
    rustix::mount::unmount(rig.beside("tmpfs"), UnmountFlags::empty()).unwrap();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists);
    assert!(other.to_string().contains("tmpfs"), "{other}");

    let mut config = bucket_config(rig.beside("").as_path(), "none", Passthrough::Off);
    config.path = vec![b"no-such-bucket".to_vec()];
    let missing = Mount::start(config, rig.ns.clone()).map(drop).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(!rig.beside("none").exists());
}

#[test]
fn the_remains_of_a_killed_daemon_are_cleared_away() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = child("lifecycle::child_serves_until_it_is_killed", dir.path());
    let mut daemon = daemon.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("serving")));
    let path = dir.path().join("mnt");
    assert_eq!(fs::read(path.join("f")).unwrap(), b"synced");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(errno(fs::read_dir(&path)), libc::ENOTCONN);

    let ns = open_namespace(&dir.path().join("data"));
    let mount = Mount::start(bucket_config(dir.path(), "mnt", Passthrough::Auto), ns.clone()).unwrap();
    assert_eq!(mounts_at(&path), ["fuse.pinfold"]);
    assert_eq!(fs::read(path.join("f")).unwrap(), b"synced");
    mount.stop().unwrap();
    assert_eq!(mounts_at(&path), Vec::<String>::new());
    ns.close().unwrap();
}

#[test]
#[ignore = "a part of the_remains_of_a_killed_daemon_are_cleared_away"]
fn child_serves_until_it_is_killed() {
    let Some(dir) = child_path() else { return };
    let ns = open_namespace(&dir.join("data"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ns.create_bucket(&Caller::worker("test"), &BucketName::new("pics").unwrap(), None)).unwrap();
    let mount = Mount::start(bucket_config(&dir, "mnt", Passthrough::Auto), ns).unwrap();
    let file = read_write(mount.path().join("f"));
    file.write_all_at(b"synced", 0).unwrap();
    file.sync_all().unwrap();
    // A process that is killed with a file open on its own mount would wait for itself for ever.
    drop(file);
    println!("serving");
    std::thread::park();
}

#[test]
fn somebody_without_rights_mounts_by_fusermount3() {
    if !can_mount() {
        return;
    }
    if Command::new("fusermount3").arg("-V").output().is_err() {
        eprintln!("skipped: needs fusermount3 (package fuse3)");
        return;
    }
    let device = std::fs::metadata("/dev/fuse").map(|m| std::os::unix::fs::PermissionsExt::mode(&m.permissions()));
    if !device.is_ok_and(|mode| mode & 0o006 == 0o006) {
        eprintln!("skipped: needs a /dev/fuse that users other than root may open");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let path = dir.path().join("mnt");
    // The threads that serve it are made by a thread of that user, and are that user's too.
    let mount = as_user(NOBODY, NOBODY, || {
        let ns = open_namespace(&dir.path().join("data"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let owner = Caller { uid: NOBODY, gid: NOBODY, ..Caller::worker("test") };
        runtime.block_on(ns.create_bucket(&owner, &BucketName::new("pics").unwrap(), None)).unwrap();
        let mount = Mount::start(bucket_config(dir.path(), "mnt", Passthrough::Auto), ns).unwrap();
        assert!(!mount.has_passthrough());
        fs::write(path.join("f"), pattern(100_000, 1)).unwrap();
        same(fs::read(path.join("f")).unwrap(), pattern(100_000, 1));
        assert_eq!(names(&path), ["f"]);
        mount
    });
    assert_eq!(mounts_at(&path), ["fuse.pinfold"]);
    assert_eq!(errno(fs::read_dir(&path)), libc::EACCES, "others are not let in, not even root");
    as_user(NOBODY, NOBODY, || mount.stop().unwrap());
    assert_eq!(mounts_at(&path), Vec::<String>::new());
}

#[test]
fn many_threads_at_once() {
    each(|rig| {
        std::thread::scope(|scope| {
            for worker in 0..8_u64 {
                scope.spawn(move || {
                    let dir = rig.at(format!("w{worker}"));
                    fs::create_dir(&dir).unwrap();
                    for n in 0..60 {
                        let body = pattern(3000 * n, worker * 100 + n as u64);
                        let path = dir.join(format!("f{n}"));
                        fs::write(&path, &body).unwrap();
                        same(fs::read(&path).unwrap(), &body);
                        if n % 3 == 0 {
                            fs::remove_file(&path).unwrap();
                        }
                    }
                    assert_eq!(names(&dir).len(), 40);
                });
            }
        });
    });
}
