//! The data directory: made private, and held by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, flock};

/// Name of the lock file within the data directory; its text is the holder's process id.
const LOCK: &str = "lock";

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("the data directory {dir} is in use by process {pid}; one daemon a directory")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The holder, as it wrote itself down.
        pid: String,
    },
    /// It is not there and was not to be made.
    #[error("there is no data directory {0}")]
    Missing(PathBuf),
    /// The disk says no.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// Whether a missing data directory is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Make it, mode 0700.
    Create,
    /// Refuse.
    Refuse,
}

/// A data directory that this process holds. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes hold of `path`.
    pub fn take(path: &Path, if_missing: IfMissing) -> Result<Self, DataDirError> {
        let io = |step, path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { step, path, source }
        };
        if !path.is_dir() {
            if if_missing == IfMissing::Refuse {
                return Err(DataDirError::Missing(path.to_owned()));
            }
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(io("create the data directory", path))?;
        }
        let lock_path = path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&lock_path).map_err(io("open", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // The message is better with the number, and still right without it.
                let _ = lock.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(DataDirError::InUse { dir: path.to_owned(), pid });
            }
            Err(errno) => return Err(io("lock", &lock_path)(errno.into())),
        }
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(io("write", &lock_path))?;
        check_writable(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Nothing but the lock is in it: nobody has used it yet.
    pub fn is_fresh(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| entry.file_name() == LOCK || entry.file_name() == "lost+found")
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Folders of the data directory in which a node writes, and what is right below them.
const WRITTEN: [&str; 4] = ["log", "replica", "checkpoint", "chunks"];

/// A folder in which this process may not write would be met later, in the middle of somebody's request.
fn check_writable(dir: &Path) -> Result<(), DataDirError> {
    let check = |folder: &Path| {
        let refused = |source| DataDirError::Io { step: "write in", path: folder.to_owned(), source };
        let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, folder, wanted, AtFlags::EACCESS).map_err(|errno| refused(errno.into()))
    };
    check(dir)?;
    for folder in WRITTEN.iter().map(|name| dir.join(name)).filter(|folder| folder.is_dir()) {
        check(&folder)?;
        let entries = std::fs::read_dir(&folder);
        let entries = entries.map_err(|source| DataDirError::Io { step: "list", path: folder.clone(), source })?;
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            check(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DataDir, DataDirError, IfMissing};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_holder_is_refused_with_the_first_ones_number() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("a/data");
        let held = DataDir::take(&dir, IfMissing::Create).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let error = DataDir::take(&dir, IfMissing::Create).unwrap_err();
        assert!(error.to_string().contains(&format!("process {};", std::process::id())), "{error}");
        drop(held);
        let held = DataDir::take(&dir, IfMissing::Refuse).unwrap();
        assert!(held.is_fresh());
        std::fs::write(dir.join("x"), "").unwrap();
        assert!(!held.is_fresh());
    }

    #[test]
    fn a_missing_directory_is_made_only_where_asked() {
        let base = tempfile::tempdir().unwrap();
        let error = DataDir::take(&base.path().join("x"), IfMissing::Refuse).unwrap_err();
        assert!(matches!(error, DataDirError::Missing(_)));
        assert!(!base.path().join("x").exists());
    }
}
