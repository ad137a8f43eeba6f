//! Mounts that commands made, on disk: a daemon that starts again has them again. As with any mount, they last until
//! somebody unmounts them or the machine restarts.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::admin::wire;
use crate::config::value::MountSpec;

/// Name of the file in the data directory.
const FILE: &str = "mounts";

/// The file of one data directory.
#[derive(Debug)]
pub struct Remembered {
    path: PathBuf,
    /// This boot of the machine; empty where the kernel does not tell.
    boot: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    boot: String,
    mounts: Vec<wire::Mount>,
}

impl Remembered {
    /// That of `data`.
    pub fn of(data: &Path) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { path: data.join(FILE), boot: boot.trim().to_owned() }
    }

    /// What was mounted by commands in this boot. A file that cannot be read is said, and stands for none.
    pub fn load(&self) -> Vec<MountSpec> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "mounts of before cannot be read");
                return Vec::new();
            }
        };
        match serde_json::from_slice::<Stored>(&text) {
            Ok(stored) if stored.boot == self.boot => stored.mounts.into_iter().map(MountSpec::from).collect(),
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "mounts of before cannot be read");
                Vec::new()
            }
        }
    }

    /// Writes them down. Nothing depends on it but the next start: a failure is said.
    pub fn save<'a>(&self, specs: impl Iterator<Item = &'a MountSpec>) {
        let stored = Stored { boot: self.boot.clone(), mounts: specs.map(wire::Mount::from).collect() };
        if stored.mounts.is_empty() && !self.path.exists() {
            return;
        }
        if let Err(error) = self.write(&stored) {
            tracing::warn!(file = %self.path.display(), %error, "mounts cannot be written down for the next start");
        }
    }

    fn write(&self, stored: &Stored) -> io::Result<()> {
        let tmp = self.path.with_extension("tmp");
        let mut file = fs::File::create(&tmp)?;
        file.write_all(&serde_json::to_vec(stored)?)?;
        file.sync_all()?;
        fs::rename(&tmp, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_last_for_one_boot() {
        let data = tempfile::tempdir().unwrap();
        let mut remembered = Remembered::of(data.path());
        assert_eq!(remembered.load(), []);
        remembered.save(std::iter::empty());
        assert!(!data.path().join(FILE).exists());
        let spec = MountSpec {
            dir: "/srv/pics".into(),
            bucket: Some("pics".to_owned()),
            prefix: "2026/raw".to_owned(),
            read_only: true,
        };
        remembered.save([&spec].into_iter());
        assert_eq!(Remembered::of(data.path()).load(), [spec]);
        remembered.boot.push('x');
        assert_eq!(remembered.load(), []);
        fs::write(data.path().join(FILE), "{").unwrap();
        assert_eq!(remembered.load(), []);
    }
}
