//! The namespace's conformance suite: both doors' rules without a door, on every engine of the replica.

/// Makes a test of each of these functions on each engine; a function that is not listed is dead code.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        on_every_engine!(@ on_sled Sled $($test)+);
        #[cfg(feature = "engine-fjall")]
        on_every_engine!(@ on_fjall Fjall $($test)+);
        on_every_engine!(@ on_memory Memory $($test)+);
    };
    (@ $engine_tests:ident $engine:ident $($test:ident)+) => {
        mod $engine_tests {
            $(#[test]
            fn $test() {
                super::$test(crate::meta::EngineKind::$engine);
            })+
        }
    };
}

mod dag;
mod ended;
mod files;
mod lifecycle;
mod listing;
mod multipart;
mod names;
mod notices;
mod objects;
mod pins;
mod provide;
mod quota;
mod renamed_objects;
mod replaced;
mod scrub;
mod versions;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::mount_types::{Name, OpenMode};
use super::s3_types::{ListItem, ListPage, ListRequest, ObjectInfo, Precondition, PutMeta, PutRequest};
use super::{FileHandle, Namespace, NamespaceConfig};
use crate::chunk::WriteOptions;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::meta::{EngineKind, Quiet};
use crate::types::{BucketName, Caller, Door, ETag, Id, Ino};

/// A namespace in a folder of its own, and what a test does with it most.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) ns: Opened,
    engine: EngineKind,
    clock: Arc<dyn Clock>,
    pins: bool,
    runtime: tokio::runtime::Runtime,
}

/// A namespace that can be let go of before it is opened again.
pub(super) struct Opened(Option<Namespace>);

impl std::ops::Deref for Opened {
    type Target = Namespace;
    fn deref(&self) -> &Namespace {
        self.0.as_ref().expect("the namespace is open")
    }
}

pub(super) fn s3_caller() -> Caller {
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

pub(super) fn mount_caller() -> Caller {
    Caller { principal: "uid:0".into(), door: Door::Mount, uid: 0, gid: 0, mount: 1, ..s3_caller() }
}

pub(super) fn plain(name: &str) -> Name<'_> {
    Name::plain(name.as_bytes())
}

pub(super) const READ: OpenMode = OpenMode { read: true, write: false, append: false, truncate: false, sync: false };
pub(super) const WRITE: OpenMode = OpenMode { write: true, ..READ };

impl Fixture {
    pub(super) fn new(engine: EngineKind) -> Self {
        Self::with_clock(engine, Arc::new(SystemClock))
    }

    /// With a clock that the test turns.
    pub(super) fn with_clock(engine: EngineKind, clock: Arc<dyn Clock>) -> Self {
        Self::with(engine, clock, false)
    }

    /// One whose commits leave intents to pin.
    pub(super) fn with_pins(engine: EngineKind) -> Self {
        Self::with(engine, Arc::new(SystemClock), true)
    }

    fn with(engine: EngineKind, clock: Arc<dyn Clock>, pins: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ns = Opened(Some(Self::open(dir.path(), engine, &clock, pins)));
        let fixture = Self { dir, ns, engine, clock, pins, runtime };
        fixture.run(fixture.ns.create_bucket(&s3_caller(), &BucketName::new("pics").unwrap(), None)).unwrap();
        fixture
    }

    fn open(dir: &std::path::Path, engine: EngineKind, clock: &Arc<dyn Clock>, pins: bool) -> Namespace {
        let mut config = NamespaceConfig::new(dir);
        config.engine = engine;
        config.segment_bytes = 1 << 20;
        config.reserve_bytes = 0;
        config.publish_after = std::time::Duration::from_secs(3600);
        config.pins = pins;
        Namespace::open_with_clock(config, Arc::clone(clock), &Quiet).unwrap()
    }

    /// Closes and opens it again.
    pub(super) fn reopen(&mut self) {
        self.ns.close().unwrap();
        drop(self.ns.0.take());
        self.ns = Opened(Some(Self::open(self.dir.path(), self.engine, &self.clock, self.pins)));
    }

    /// What a start would find had the process been killed now: the data directory as it is, opened elsewhere.
    pub(super) fn killed(&self) -> Self {
        self.crashed(|_| ())
    }

    /// What a start would find had the power gone: names and modes of live files are there, bytes that no sync has
    /// vouched for are not, and the boot is another one.
    pub(super) fn powered_off(&self) -> Self {
        self.crashed(|dir| {
            for entry in std::fs::read_dir(dir.join("chunks/live")).unwrap() {
                let path = entry.unwrap().path();
                if std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777 == 0o1600 {
                    std::fs::write(&path, b"").unwrap();
                }
            }
            std::fs::write(dir.join("chunks/boot"), "pinfold boot 1\nanother - -\n").unwrap();
        })
    }

    fn crashed(&self, lose: impl Fn(&std::path::Path)) -> Self {
        self.ns.sync_names().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp").arg("-a").arg(self.dir.path().join(".")).arg(dir.path()).status();
        assert!(copied.unwrap().success());
        lose(dir.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ns = Opened(Some(Self::open(dir.path(), self.engine, &self.clock, self.pins)));
        Self { dir, ns, engine: self.engine, clock: Arc::clone(&self.clock), pins: self.pins, runtime }
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        // On a runtime thread, as the doors are.
        self.runtime.block_on(future)
    }

    pub(super) fn request(&self, body: &[u8]) -> PutRequest {
        let options = WriteOptions { md5: true, size_hint: Some(body.len() as u64) };
        let mut writer = self.ns.writer("pics", options).unwrap();
        writer.write(body).unwrap();
        let content = writer.finish().unwrap();
        let etag = ETag(hex::encode(content.md5.unwrap()));
        PutRequest { content, etag, meta: PutMeta::default(), precondition: Precondition::default() }
    }

    pub(super) fn put(&self, key: &str, body: &[u8]) -> ObjectInfo {
        self.run(self.ns.put(&s3_caller(), "pics", key.as_bytes(), self.request(body))).unwrap()
    }

    pub(super) fn head(&self, key: &str) -> Result<ObjectInfo> {
        self.run(self.ns.head(&s3_caller(), "pics", key.as_bytes()))
    }

    pub(super) fn get(&self, key: &str) -> Result<Vec<u8>> {
        let (info, reader) = self.run(self.ns.get(&s3_caller(), "pics", key.as_bytes()))?;
        Ok(reader.read_at(0, info.size as usize)?.to_vec())
    }

    pub(super) fn delete(&self, key: &str) {
        self.run(self.ns.delete(&s3_caller(), "pics", key.as_bytes(), Precondition::default())).unwrap();
    }

    pub(super) fn list(&self, request: ListRequest) -> ListPage {
        self.run(self.ns.list(&s3_caller(), "pics", request)).unwrap()
    }

    /// All keys of the bucket.
    pub(super) fn keys(&self) -> Vec<String> {
        let page = self.list(ListRequest { max: 100_000, ..ListRequest::default() });
        page.items.iter().map(item_text).collect()
    }

    pub(super) fn bucket_ino(&self) -> Ino {
        self.ns.mount_root(&[b"pics"]).unwrap().ino
    }

    /// Inode of a path in the bucket, by plain names.
    pub(super) fn ino(&self, path: &str) -> Result<Ino> {
        let mut at = self.bucket_ino();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = self.ns.lookup(at, plain(name))?.ino;
        }
        Ok(at)
    }

    /// `cat`.
    pub(super) fn cat(&self, path: &str) -> Result<Vec<u8>> {
        let handle = self.ns.open_file(&mount_caller(), self.ino(path)?, READ)?;
        self.read_all(&handle)
    }

    pub(super) fn read_all(&self, handle: &Arc<FileHandle>) -> Result<Vec<u8>> {
        let size = self.ns.getattr(handle.ino())?.size;
        Ok(self.ns.read(handle, 0, size as usize + 1)?.to_vec())
    }

    /// Creates a file with these bytes and closes it.
    pub(super) fn write_file(&self, dir: Ino, name: &str, body: &[u8]) -> Ino {
        let (stat, handle) = self.ns.create(&mount_caller(), dir, plain(name), 0o644, WRITE).unwrap();
        self.ns.write(&handle, 0, body).unwrap();
        self.ns.flush(&handle).unwrap();
        self.ns.release(&handle).unwrap();
        stat.ino
    }

    /// Names in a directory as `readdir` shows them.
    pub(super) fn names(&self, dir: Ino) -> Vec<String> {
        let entries = self.ns.readdir(dir, None, 10_000).unwrap();
        entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Err(error) = self.ns.close()
            && !std::thread::panicking()
        {
            panic!("a namespace closes cleanly: {error}");
        }
    }
}

pub(super) fn item_text(item: &ListItem) -> String {
    match item {
        ListItem::Object(info) => String::from_utf8_lossy(&info.key).into_owned(),
        ListItem::Prefix(prefix) => format!("{}*", String::from_utf8_lossy(prefix)),
    }
}

/// Bytes that differ from place to place.
pub(super) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
