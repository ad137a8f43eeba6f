//! A namespace, its mounts, and what tests do with them most.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use pinfold_fuse::{Mount, MountConfig, Passthrough, Ttls};
use pinfold_store::chunk::WriteOptions;
use pinfold_store::error::Result;
use pinfold_store::meta::Quiet;
use pinfold_store::namespace::s3_types::{ObjectInfo, Precondition, PutMeta, PutRequest};
use pinfold_store::namespace::{Namespace, NamespaceConfig};
use pinfold_store::types::{BucketName, Caller, Door, ETag, Id};
use rustix::fs::Gid;
use rustix::process::Uid;

/// Somebody without rights.
pub(crate) const NOBODY: u32 = 65534;

/// A namespace with the bucket `pics`, mounted.
pub(crate) struct Rig {
    // In the order in which they must go.
    pub(crate) mount: Mount,
    pub(crate) ns: Namespace,
    pub(crate) passthrough: Passthrough,
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

/// Whether mounts can be made here; says so if not.
pub(crate) fn can_mount() -> bool {
    let can = rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists();
    if !can {
        eprintln!("skipped: needs /dev/fuse and root");
    }
    can
}

/// Runs a test on a mount of the bucket, once in each mode.
pub(crate) fn each(test: impl Fn(&Rig)) {
    for passthrough in [Passthrough::Auto, Passthrough::Off] {
        if can_mount() {
            eprintln!("with {passthrough:?}");
            test(&Rig::new(passthrough));
        }
    }
}

impl Rig {
    pub(crate) fn new(passthrough: Passthrough) -> Self {
        Self::with(passthrough, |_| {})
    }

    pub(crate) fn with(passthrough: Passthrough, change: impl FnOnce(&mut MountConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ns = open_namespace(&dir.path().join("data"));
        runtime.block_on(ns.create_bucket(&s3(), &BucketName::new("pics").unwrap(), None)).unwrap();
        let mut config = bucket_config(dir.path(), "mnt", passthrough);
        change(&mut config);
        let mount = Mount::start(config, ns.clone()).unwrap();
        // A test of passthrough that runs without it would show nothing.
        assert_eq!(mount.has_passthrough(), passthrough == Passthrough::Auto, "passthrough on {:?}", dir.path());
        Self { mount, ns, passthrough, runtime, dir }
    }

    /// Another mount of the namespace.
    pub(crate) fn second(&self, name: &str, change: impl FnOnce(&mut MountConfig)) -> Mount {
        let mut config = bucket_config(self.dir.path(), name, self.passthrough);
        change(&mut config);
        Mount::start(config, self.ns.clone()).unwrap()
    }

    /// A folder beside the mount.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path on the mount.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mount.path().join(path)
    }

    pub(crate) fn put(&self, key: &str, body: &[u8]) -> ObjectInfo {
        let options = WriteOptions { md5: true, size_hint: Some(body.len() as u64) };
        let mut writer = self.ns.writer("pics", options).unwrap();
        writer.write(body).unwrap();
        let content = writer.finish().unwrap();
        let etag = ETag(hex(&content.md5.unwrap()));
        let request = PutRequest { content, etag, meta: PutMeta::default(), precondition: Precondition::default() };
        self.runtime.block_on(self.ns.put(&s3(), "pics", key.as_bytes(), request)).unwrap()
    }

    pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>> {
        let (info, reader) = self.runtime.block_on(self.ns.get(&s3(), "pics", key.as_bytes()))?;
        Ok(reader.read_at(0, info.size as usize)?.to_vec())
    }

    pub(crate) fn delete(&self, key: &str) {
        let none = Precondition::default();
        self.runtime.block_on(self.ns.delete(&s3(), "pics", key.as_bytes(), none)).unwrap();
    }

    pub(crate) fn buckets(&self) -> Vec<String> {
        self.ns.buckets().unwrap().into_iter().map(|bucket| bucket.name.to_string()).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let stopped = self.mount.stop();
        let closed = self.ns.close();
        if !std::thread::panicking() {
            stopped.unwrap();
            closed.unwrap();
        }
    }
}

pub(crate) fn open_namespace(data: &Path) -> Namespace {
    let mut config = NamespaceConfig::new(data);
    config.reserve_bytes = 0;
    config.segment_bytes = 4 << 20;
    Namespace::open(config, &Quiet).unwrap()
}

pub(crate) fn bucket_config(dir: &Path, name: &str, passthrough: Passthrough) -> MountConfig {
    let mut config = MountConfig::new(dir.join(name));
    config.path = vec![b"pics".to_vec()];
    config.passthrough = passthrough;
    config.probe_dir = Some(dir.to_owned());
    config.stop_grace = Duration::from_millis(300);
    config
}

/// For one of two mounts.
pub(crate) fn shared(config: &mut MountConfig) {
    config.ttls = Ttls::SHARED;
    config.keep_cache = false;
}

fn s3() -> Caller {
    Caller {
        principal: "alice".into(),
        door: Door::S3,
        request: Id::random(),
        uid: 1000,
        gid: 1000,
        admin: false,
        bypass_governance: false,
        mount: 0,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn read_write(path: impl AsRef<Path>) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// The `errno` of a call that must fail.
pub(crate) fn errno<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => panic!("must fail"),
        Err(error) => error.raw_os_error().unwrap_or(0),
    }
}

/// As [`errno`], of rustix's calls.
pub(crate) fn errno_of<T>(result: rustix::io::Result<T>) -> i32 {
    errno(result.map_err(io::Error::from))
}

/// Names in a directory, sorted.
pub(crate) fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Compares bytes, and says where they differ and not what all of them are.
#[track_caller]
pub(crate) fn same(got: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
    let (got, expected) = (got.as_ref(), expected.as_ref());
    let at = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(got == expected, "{} bytes, expected {}; first difference at {at:?}", got.len(), expected.len());
}

/// All bytes through an open file.
pub(crate) fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; file.metadata().unwrap().size() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Does something as another user, on a thread of its own (on Linux a thread has its own user).
pub(crate) fn as_user<T: Send>(uid: u32, gid: u32, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(Gid::from_raw(gid)).unwrap();
            rustix::thread::set_thread_uid(Uid::from_raw(uid)).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}

/// Runs an ignored test of this binary in a process of its own, which gets `path` (see [`child_path`]). For what must
/// not happen in the process that serves the mount: unmapping, for one, holds a lock there that its threads may need.
pub(crate) fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("PINFOLD_TEST_PATH", path);
    command
}

/// The path that a child was given; `None` if it was not started as one.
pub(crate) fn child_path() -> Option<PathBuf> {
    std::env::var_os("PINFOLD_TEST_PATH").map(PathBuf::from)
}

/// Fails with what a child said if it failed.
pub(crate) fn succeeded(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Waits for what comes about on another thread.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
