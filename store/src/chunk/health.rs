//! Whether the disk below still does what it says: after one failed sync nothing more is written (ruling 3).

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::chunk::config::StepHook;
use crate::chunk::sys;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Shared by everything that writes.
pub(super) struct Health {
    failed: Mutex<Option<Error>>,
    on_step: Option<StepHook>,
}

impl Health {
    pub(super) fn new(on_step: Option<StepHook>) -> Arc<Self> {
        Arc::new(Self { failed: Mutex::new(None), on_step })
    }

    /// Unavailable once a sync has failed.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.failed.lock() {
            None => Ok(()),
            Some(cause) => {
                Err(Error::new(ErrorKind::Unavailable, "writes stopped after a failed sync").caused_by(cause.clone()))
            }
        }
    }

    /// Refuses all writes from now on.
    pub(super) fn fail(&self, cause: Error) -> Error {
        tracing::error!(error = %cause, "a sync failed: the chunk store takes no more writes");
        self.failed.lock().get_or_insert_with(|| cause.clone());
        cause
    }

    /// Marks a step after which a crash must be harmless.
    pub(super) fn step(&self, name: &'static str) -> Result<()> {
        match &self.on_step {
            None => Ok(()),
            Some(hook) => hook(name),
        }
    }

    /// Makes a file's bytes durable.
    pub(super) fn sync_data(&self, file: &File, step: &'static str) -> Result<()> {
        self.check()?;
        self.step(step)?;
        file.sync_data().at(step).map_err(|e| self.fail(e))
    }

    /// As [`Self::sync_data`], with the file's attributes.
    pub(super) fn sync_all(&self, file: &File, step: &'static str) -> Result<()> {
        self.check()?;
        self.step(step)?;
        file.sync_all().at(step).map_err(|e| self.fail(e))
    }

    /// Hands a file's bytes to the disk and waits until it has them. What is written or changed from now on cannot become
    /// durable before them, since the disk's own memory is emptied for that. They are durable themselves only after a sync.
    pub(super) fn write_out(&self, file: &File, step: &'static str) -> Result<()> {
        self.check()?;
        self.step(step)?;
        sys::write_out(file).at(step).map_err(|e| self.fail(e))
    }

    /// Makes everything on a file's disk durable.
    pub(super) fn sync_disk(&self, file: &File, step: &'static str) -> Result<()> {
        self.check()?;
        self.step(step)?;
        rustix::fs::syncfs(file).at(step).map_err(|e| self.fail(e))
    }
}

/// Syncs directories, one sync for all who wait at the same time.
pub(super) struct DirSync {
    health: Arc<Health>,
    dirs: Mutex<HashMap<PathBuf, Waits>>,
    done: Condvar,
}

#[derive(Default)]
struct Waits {
    asked: u64,
    done: u64,
    running: bool,
    waiting: usize,
}

impl DirSync {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self { health, dirs: Mutex::new(HashMap::new()), done: Condvar::new() }
    }

    /// Returns when every change made in `dir` before the call is durable.
    pub(super) fn sync(&self, dir: &Path) -> Result<()> {
        self.health.check()?;
        let mut dirs = self.dirs.lock();
        let waits = dirs.entry(dir.to_owned()).or_default();
        waits.asked += 1;
        waits.waiting += 1;
        let mine = waits.asked;
        let answer = loop {
            let waits = dirs.entry(dir.to_owned()).or_default();
            if waits.done >= mine {
                break self.health.check();
            }
            if waits.running {
                self.done.wait(&mut dirs);
                continue;
            }
            waits.running = true;
            let covers = waits.asked;
            drop(dirs);
            let result = File::open(dir).and_then(|d| d.sync_all()).at("syncing a folder");
            let result = result.map_err(|e| self.health.fail(e));
            dirs = self.dirs.lock();
            let waits = dirs.entry(dir.to_owned()).or_default();
            waits.running = false;
            // Those who wait see a failure in the health.
            waits.done = covers;
            self.done.notify_all();
            if result.is_err() {
                break result;
            }
        };
        if let Some(waits) = dirs.get_mut(dir) {
            waits.waiting -= 1;
            if waits.waiting == 0 {
                dirs.remove(dir);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wait_for_one_sync_and_a_failure_stops_writes() {
        let dir = tempfile::tempdir().unwrap();
        let health = Health::new(None);
        let sync = DirSync::new(health.clone());
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| (0..50).for_each(|_| sync.sync(dir.path()).unwrap()));
            }
        });
        assert!(sync.dirs.lock().is_empty());
        assert!(sync.sync(&dir.path().join("none")).is_err());
        assert_eq!(sync.sync(dir.path()).unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(health.check().unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
