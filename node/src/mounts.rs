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
use crate::remembered::Remembered;

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
    remembered: Remembered,
    /// What commands had mounted before the start, until [`Self::restore`].
    before: Mutex<Vec<MountSpec>>,
    running: Mutex<Running>,
}

type Running = BTreeMap<PathBuf, Entry>;

/// One that runs.
struct Entry {
    spec: MountSpec,
    door: MountDoor,
    /// A command made it, not the configuration.
    asked: bool,
}

impl Entry {
    fn view(&self) -> Mounted {
        Mounted { spec: self.spec.clone(), passthrough: self.door.has_passthrough() }
    }
}

impl Mounts {
    /// None yet. `alone` if the configuration has one at most: the first is then mounted as the only one, which lets the
    /// kernel keep names and pages for long. One that `pinfold mount` adds later makes the first hear of its changes a
    /// moment after they happened; nothing it is to be told is ever left out.
    pub fn new(namespace: Namespace, settings: MountSettings, alone: bool) -> Self {
        let remembered = Remembered::of(&namespace.config().data_dir);
        let before = Mutex::new(remembered.load());
        Self { namespace, settings, alone, remembered, before, running: Mutex::default() }
    }

    /// Those that run. What somebody else unmounted since is not among them.
    fn running(&self) -> MutexGuard<'_, Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let before = running.len();
        running.retain(|_, entry| entry.door.is_alive());
        if running.len() < before {
            self.changed(&running);
        }
        running
    }

    fn changed(&self, running: &Running) {
        gauges::mounts(running.len());
        let before = self.before();
        let asked = running.values().filter(|entry| entry.asked).map(|entry| &entry.spec);
        self.remembered.save(asked.chain(&*before));
    }

    fn before(&self) -> MutexGuard<'_, Vec<MountSpec>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mounts what the configuration has; makes the directory if it is not there. AlreadyExists if this node has mounted
    /// it already.
    pub fn add(&self, spec: MountSpec) -> Result<Mounted> {
        self.start(spec, false)
    }

    /// The same for a command: it is mounted again when the daemon starts again.
    pub fn ask(&self, spec: MountSpec) -> Result<Mounted> {
        self.start(spec, true)
    }

    fn start(&self, spec: MountSpec, asked: bool) -> Result<Mounted> {
        let mut running = self.running();
        if running.contains_key(&spec.dir) {
            return Err(
                Error::new(ErrorKind::AlreadyExists, "it is mounted already").with("directory", spec.dir.display())
            );
        }
        let alone = self.alone && running.is_empty();
        let door = MountDoor::start(&spec, self.namespace.clone(), self.settings, alone)?;
        let entry = Entry { spec: spec.clone(), door, asked };
        let mounted = entry.view();
        running.insert(spec.dir, entry);
        self.changed(&running);
        Ok(mounted)
    }

    /// Mounts again what commands had mounted before the daemon ended. What cannot be mounted is said and forgotten.
    pub fn restore(&self) {
        let before = std::mem::take(&mut *self.before());
        for spec in before {
            if self.running().contains_key(&spec.dir) {
                continue;
            }
            let what = spec.to_string();
            if let Err(error) = self.start(spec, true) {
                tracing::warn!(mount = %what, %error, "was mounted before the start, and cannot be mounted again");
            }
        }
    }

    /// Unmounts: publishes what was written, then lets go. NotFound if this node has not mounted it.
    pub fn remove(&self, dir: &Path) -> Result<()> {
        // One that somebody else has just unmounted may still be publishing: it is waited for.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = running.remove(dir) else {
            return Err(
                Error::new(ErrorKind::NotFound, "this node has not mounted it").with("directory", dir.display())
            );
        };
        self.changed(&running);
        drop(running);
        entry.door.stop()
    }

    /// What is mounted, by directory.
    pub fn list(&self) -> Vec<Mounted> {
        self.running().values().map(Entry::view).collect()
    }

    /// Takes all mounts out of the tree without publishing: for an end that cannot wait.
    pub fn detach_all(&self) {
        // A mount that is being started or stopped may hold the lock for as long as it hangs.
        let Ok(running) = self.running.try_lock() else { return };
        for entry in running.values() {
            tracing::warn!(mount = %entry.spec, "detached without publishing");
            entry.door.detach();
        }
    }

    /// Unmounts all at the node's end; a failure is logged and does not keep the others. They stay remembered.
    pub fn remove_all(&self) {
        let all = std::mem::take(&mut *self.running());
        gauges::mounts(0);
        for entry in all.into_values() {
            if let Err(error) = entry.door.stop() {
                tracing::error!(mount = %entry.spec, %error, "the mount could not be ended");
            }
        }
    }
}
