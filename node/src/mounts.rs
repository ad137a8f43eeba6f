//! The running mounts, by directory. One at a time is started or stopped, on a thread that may wait.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinfold_store::namespace::Namespace;
use pinfold_store::{Error, ErrorKind, Result};

use crate::config::MountSettings;
use crate::config::value::MountSpec;
use crate::doors::MountDoor;
use crate::gauges;

/// A running mount, for those who ask.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// What it shows, and where.
    pub spec: MountSpec,
    /// The kernel reads and writes whole local files by itself.
    pub passthrough: bool,
}

/// All mounts of a node.
pub struct Mounts {
    namespace: Namespace,
    settings: MountSettings,
    alone: bool,
    running: Mutex<BTreeMap<PathBuf, (MountSpec, MountDoor)>>,
}

impl Mounts {
    /// None yet. `alone` if the configuration has one at most: the first is then mounted as the only one, which lets the
    /// kernel keep names and pages for long. One that `pinfold mount` adds later makes the first hear of its changes a
    /// moment after they happened; nothing it is to be told is ever left out.
    pub fn new(namespace: Namespace, settings: MountSettings, alone: bool) -> Self {
        Self { namespace, settings, alone, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (MountSpec, MountDoor)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mounts; makes the directory if it is not there. AlreadyExists if this node has mounted it already.
    pub fn add(&self, spec: MountSpec) -> Result<Mounted> {
        let mut running = self.running();
        if running.contains_key(&spec.dir) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "it is mounted already").with("directory", spec.dir.display())
            );
        }
        let alone = self.alone && running.is_empty();
        let door = MountDoor::start(&spec, self.namespace.clone(), self.settings, alone)?;
        let mounted = Mounted { spec: spec.clone(), passthrough: door.has_passthrough() };
        running.insert(spec.dir.clone(), (spec, door));
        gauges::mounts(running.len());
        Ok(mounted)
    }

    /// Unmounts: publishes what was written, then lets go. NotFound if this node has not mounted it.
    pub fn remove(&self, dir: &Path) -> Result<()> {
        let mut running = self.running();
        let Some((_, door)) = running.remove(dir) else {
            return Err(
                Error::new(ErrorKind::NotFound, "this node has not mounted it").with("directory", dir.display())
            );
        };
        gauges::mounts(running.len());
        drop(running);
        door.stop()
    }

    /// What is mounted, by directory.
    pub fn list(&self) -> Vec<Mounted> {
        let running = self.running();
        let view =
            |(spec, door): &(MountSpec, MountDoor)| Mounted { spec: spec.clone(), passthrough: door.has_passthrough() };
        running.values().map(view).collect()
    }

    /// Takes all mounts out of the tree without publishing: for an end that cannot wait.
    pub fn detach_all(&self) {
        // A mount that is being started or stopped may hold the lock for as long as it hangs.
        let Ok(running) = self.running.try_lock() else { return };
        for (spec, door) in running.values() {
            tracing::warn!(mount = %spec, "detached without publishing");
            door.detach();
        }
    }

    /// Unmounts all; a failure is logged and does not keep the others.
    pub fn remove_all(&self) {
        let all = std::mem::take(&mut *self.running());
        gauges::mounts(0);
        for (spec, door) in all.into_values() {
            if let Err(error) = door.stop() {
                tracing::error!(mount = %spec, %error, "the mount could not be ended");
            }
        }
    }
}
