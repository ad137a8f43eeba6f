//! What a mount is asked to be.

use std::path::PathBuf;
use std::time::Duration;

use rustix::thread::CapabilitySet;

/// Whether files that lie whole on this host are read and written by the kernel itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passthrough {
    /// Where the kernel and the data disk can, and this process has CAP_SYS_ADMIN.
    Auto,
    /// Never: everything goes through the daemon.
    Off,
}

/// How long the kernel may answer from its caches without asking. The namespace tells a mount of what changes at
/// the other door, so with one mount these are long; between mounts of one namespace the news comes a moment
/// after the change, and they are the bound of what such a moment can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// Names that are there.
    pub entry: Duration,
    /// Names that are not.
    pub negative: Duration,
    /// Attributes.
    pub attr: Duration,
}

impl Ttls {
    /// For the only mount of a namespace: an hour.
    pub const ALONE: Self =
        Self { entry: Duration::from_secs(3600), negative: Duration::from_secs(3600), attr: Duration::from_secs(3600) };
    /// For one of several mounts of a namespace: names are asked for each time, attributes are kept for a second. No
    /// mount keeps anything longer while there is another one of its namespace (ruling 21).
    pub const SHARED: Self = Self { entry: Duration::ZERO, negative: Duration::ZERO, attr: Duration::from_secs(1) };

    /// Each time the shorter one.
    pub(crate) fn or_shorter(self, other: Self) -> Self {
        Self {
            entry: self.entry.min(other.entry),
            negative: self.negative.min(other.negative),
            attr: self.attr.min(other.attr),
        }
    }
}

/// A mount.
#[derive(Clone, Debug)]
pub struct MountConfig {
    /// Where. It is created if nothing is there.
    pub mountpoint: PathBuf,
    /// What: no component for the whole namespace, else a bucket and the components of a prefix in it.
    pub path: Vec<Vec<u8>>,
    /// Refuse every change.
    pub read_only: bool,
    /// Kernel I/O on local files.
    pub passthrough: Passthrough,
    /// A directory on the data disk, to find out at the start whether passthrough works there. Without it the first
    /// open finds out.
    pub probe_dir: Option<PathBuf>,
    /// Let users other than the one who mounts in.
    pub allow_other: bool,
    /// Let the kernel check modes and owners. Without it everybody who gets in may do everything.
    pub default_permissions: bool,
    /// Cache times while it is the only mount of its namespace.
    pub ttls: Ttls,
    /// Keep a file's pages from one open to the next, while it is the only mount of its namespace.
    pub keep_cache: bool,
    /// Threads that read and answer requests; 0 chooses: one a core, 8 at most.
    pub threads: usize,
    /// Threads that wait for syncs.
    pub sync_threads: usize,
    /// What the mount table shows as the source.
    pub fs_name: String,
    /// How long a change at the other door waits until the kernel has been told of it.
    pub invalidate_wait: Duration,
    /// How long a stop lets programs finish that have files open, before they are cut off.
    pub stop_grace: Duration,
}

/// Whether this process may mount, unmount and hand files to the kernel by itself. It need not be root for it: a service
/// can be given CAP_SYS_ADMIN alone.
pub(crate) fn may_mount() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

impl MountConfig {
    /// The whole namespace at `mountpoint`, as its only mount, with defaults that suit who runs this: who may mount by
    /// right (root, a service with CAP_SYS_ADMIN) lets everybody in (the kernel checks permissions), others only
    /// themselves.
    pub fn new(mountpoint: impl Into<PathBuf>) -> Self {
        Self {
            mountpoint: mountpoint.into(),
            path: Vec::new(),
            read_only: false,
            passthrough: Passthrough::Auto,
            probe_dir: None,
            allow_other: may_mount(),
            default_permissions: true,
            ttls: Ttls::ALONE,
            keep_cache: true,
            threads: 0,
            sync_threads: 4,
            fs_name: "pinfold".to_owned(),
            invalidate_wait: Duration::from_secs(2),
            stop_grace: Duration::from_secs(2),
        }
    }

    /// Threads that read requests.
    pub(crate) fn request_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from).min(8),
            n => n.min(64),
        }
    }
}
