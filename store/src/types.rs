//! The nouns that every part of the store shares.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

pub use cid::Cid;

/// A 16-byte random identity: directories, buckets (a bucket's is its root directory's), versions, uploads, requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// A fresh random identity that nobody guesses, from a generator of this thread that the system's seeds: one is made
    /// for every request, and a system call each time would be felt.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// A fresh identity that sorts after those made before (to the nanosecond of this host's clock): the second half is
    /// random.
    pub fn in_order() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let mut bytes: [u8; 16] = rand::random();
        bytes[..8].copy_from_slice(&nanos.to_be_bytes());
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Id {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(s, &mut bytes)
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "not an identity of 32 hex digits").with("value", s))?;
        Ok(Self(bytes))
    }
}

/// A directory's identity. A bucket's root directory has the bucket's own.
pub type DirId = Id;

/// A stable inode number, stored with the inode, unique on this namespace and never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
pub struct Ino(pub u64);

impl Ino {
    /// The namespace's root, whose entries are the buckets.
    pub const ROOT: Self = Self(1);
}

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the commit log: 1 is the first record, 0 means "before everything".
pub type Seq = u64;

/// A point in time: seconds since 1970 (may be negative) and nanoseconds within the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(d) => Self { secs: d.as_secs() as i64, nanos: d.subsec_nanos() },
            Err(before) => {
                let d = before.duration();
                if d.subsec_nanos() == 0 {
                    Self { secs: -(d.as_secs() as i64), nanos: 0 }
                } else {
                    Self { secs: -(d.as_secs() as i64) - 1, nanos: 1_000_000_000 - d.subsec_nanos() }
                }
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(t: Timestamp) -> Self {
        let nanos = Duration::from_nanos(u64::from(t.nanos));
        if t.secs >= 0 {
            SystemTime::UNIX_EPOCH + Duration::from_secs(t.secs as u64) + nanos
        } else {
            SystemTime::UNIX_EPOCH - Duration::from_secs(t.secs.unsigned_abs()) + nanos
        }
    }
}

/// Through which door a request came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub enum Door {
    /// The S3 endpoint.
    S3,
    /// A mounted file system.
    Mount,
    /// The admin socket or the command line.
    Admin,
    /// A background worker.
    Worker,
}

/// Who asks, by which door, under which request id: goes with every operation into the log record.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Access key of the account, or `uid:N` at the mount, or the worker's name.
    pub principal: String,
    /// The door.
    pub door: Door,
    /// Identity of this request; a retried commit with the same id is applied once.
    pub request: Id,
    /// POSIX owner of what this caller makes.
    pub uid: u32,
    /// POSIX group of what this caller makes.
    pub gid: u32,
    /// An administrator: may set owners by `x-amz-meta-uid|gid` (S11).
    pub admin: bool,
    /// May delete and replace what is locked under governance, and says so (object lock).
    pub bypass_governance: bool,
    /// The mount it came by (its subscription's id), so that a mount is not told of what it did itself; else 0.
    pub mount: u64,
}

impl Caller {
    /// A caller for background work named `worker`.
    pub fn worker(worker: &str) -> Self {
        Self {
            principal: worker.to_owned(),
            door: Door::Worker,
            request: Id::random(),
            uid: 0,
            gid: 0,
            admin: true,
            bypass_governance: false,
            mount: 0,
        }
    }
}

/// An S3 bucket's name, checked against the general-purpose bucket naming rules
/// (3–63 characters of `a-z 0-9 . -`, no IP address, no `..`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketName(String);

impl BucketName {
    /// Checks and wraps a name; InvalidArgument names the rule that it breaks.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let bad = |rule: &'static str| Err(Error::new(ErrorKind::InvalidArgument, rule).with("bucket", &name));
        if !(3..=63).contains(&name.len()) {
            return bad("a bucket's name has 3 to 63 characters");
        }
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.') {
            return bad("a bucket's name has only a-z, 0-9, '-' and '.'");
        }
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        if !edge(bytes[0]) || !edge(bytes[bytes.len() - 1]) {
            return bad("a bucket's name begins and ends with a letter or digit");
        }
        if name.contains("..") {
            return bad("a bucket's name has no two dots in a row");
        }
        if name.parse::<std::net::Ipv4Addr>().is_ok() {
            return bad("a bucket's name is not an IP address");
        }
        if name.starts_with("xn--") || name.starts_with("sthree-") || name.ends_with("-s3alias") {
            return bad("a bucket's name has no reserved prefix or suffix");
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// An entity tag without its quotes.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub struct ETag(pub String);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest S3 key, in bytes.
pub const MAX_KEY_LEN: usize = 1024;
/// The largest object, in bytes (5 TiB).
pub const MAX_OBJECT_SIZE: u64 = 5 << 40;
