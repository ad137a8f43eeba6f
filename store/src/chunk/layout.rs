//! Where things lie on disk, and what they are called.
//!
//! `content/<id / 4096 in hex>/<id>-<root digest>` holds one object's bytes; `….idx` beside it is its sidecar. Ids only
//! grow: after a crash the newest folders hold everything that the index may not know.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::{Id, Ino};

/// Files of this many ids lie in one folder.
const FAN_BITS: u32 = 12;

/// How the name of a sealed live file ends.
pub(super) const SEALED: &str = ".sealed";

/// The store's folders.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) content: PathBuf,
    pub(super) slabs: PathBuf,
    pub(super) live: PathBuf,
    pub(super) pool: PathBuf,
    pub(super) tmp: PathBuf,
    pub(super) uploads: PathBuf,
    /// Which boot and mount the last run wrote under.
    pub(super) boot: PathBuf,
}

impl Layout {
    /// Makes the folders that are not there.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let layout = Self {
            content: dir.join("content"),
            slabs: dir.join("slabs"),
            live: dir.join("live"),
            pool: dir.join("pool"),
            tmp: dir.join("tmp"),
            uploads: dir.join("uploads"),
            boot: dir.join("boot"),
        };
        fs::create_dir_all(dir).at("making the chunk store's folder")?;
        let folders = [&layout.content, &layout.slabs, &layout.live, &layout.pool, &layout.tmp, &layout.uploads];
        for folder in folders {
            fs::create_dir_all(folder).at("making a folder of the chunk store")?;
            // Local users reach content through the mount, which checks permissions, never around it.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).at("setting a folder's mode")?;
        }
        File::open(dir).and_then(|d| d.sync_all()).at("syncing the chunk store's folder")?;
        Ok(layout)
    }

    pub(super) fn fan(&self, id: u64) -> PathBuf {
        self.content.join(format!("{:08x}", id >> FAN_BITS))
    }

    /// The first id whose files lie in a later folder than those of `id`.
    pub(super) fn fan_end(&self, id: u64) -> u64 {
        ((id >> FAN_BITS) + 1) << FAN_BITS
    }

    pub(super) fn content_file(&self, id: u64, root: &[u8; 32]) -> PathBuf {
        self.fan(id).join(format!("{id:016x}-{}", hex::encode(root)))
    }

    pub(super) fn sidecar(&self, id: u64, root: &[u8; 32]) -> PathBuf {
        self.fan(id).join(format!("{id:016x}-{}.idx", hex::encode(root)))
    }

    pub(super) fn slab(&self, id: u64) -> PathBuf {
        self.slabs.join(format!("{id:016x}.slab"))
    }

    pub(super) fn upload_file(&self, id: u64) -> PathBuf {
        self.uploads.join(format!("{id:016x}.parts"))
    }

    pub(super) fn live_file(&self, ino: Ino) -> PathBuf {
        self.live.join(format!("{:016x}", ino.0))
    }

    /// A live file that is sealed.
    pub(super) fn sealed_live_file(&self, ino: Ino) -> PathBuf {
        self.live.join(format!("{:016x}{SEALED}", ino.0))
    }

    /// A new file in `tmp`, gone when dropped unless it is moved away.
    pub(super) fn tmp_file(&self) -> Result<TmpFile> {
        let path = self.tmp.join(Id::random().to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .at("making a temporary file")?;
        Ok(TmpFile { path: Some(path), file })
    }

    /// Removes what a crash left in `tmp`.
    pub(super) fn sweep_tmp(&self) -> Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.tmp).at("reading the folder of temporary files")? {
            let entry = entry.at("reading the folder of temporary files")?;
            fs::remove_file(entry.path()).at("removing a temporary file")?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Folders of content files whose ids are `from` or above, by first id.
    pub(super) fn fans_from(&self, from: u64) -> Result<Vec<PathBuf>> {
        let mut fans = Vec::new();
        for entry in fs::read_dir(&self.content).at("reading the content folder")? {
            let entry = entry.at("reading the content folder")?;
            let name = entry.file_name();
            let Some(fan) = name.to_str().and_then(|n| u64::from_str_radix(n, 16).ok()) else { continue };
            if fan >= from >> FAN_BITS {
                fans.push((fan, entry.path()));
            }
        }
        fans.sort_unstable();
        Ok(fans.into_iter().map(|(_, path)| path).collect())
    }
}

/// What a file in a content folder is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ContentName {
    pub(super) id: u64,
    pub(super) root: [u8; 32],
    pub(super) is_sidecar: bool,
}

impl ContentName {
    /// Reads a file name; `None` for a foreign one.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, is_sidecar) = match name.strip_suffix(".idx") {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        let (id, digest) = stem.split_once('-')?;
        if id.len() != 16 {
            return None;
        }
        let mut root = [0; 32];
        hex::decode_to_slice(digest, &mut root).ok()?;
        Some(Self { id: u64::from_str_radix(id, 16).ok()?, root, is_sidecar })
    }
}

/// The number in the name of a slab (`.slab`) or a live file.
pub(super) fn parse_hex_name(name: &str, suffix: &str) -> Option<u64> {
    let stem = name.strip_suffix(suffix)?;
    if stem.len() != 16 {
        return None;
    }
    u64::from_str_radix(stem, 16).ok()
}

/// A file under construction: removed when dropped.
pub(super) struct TmpFile {
    path: Option<PathBuf>,
    pub(super) file: File,
}

impl TmpFile {
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// The open file, after its name was moved by other means.
    pub(super) fn moved(mut self) -> std::io::Result<File> {
        self.path = None;
        self.file.try_clone()
    }

    /// Moves it to its final name, which must be free or about to be replaced. The folder is not synced.
    pub(super) fn rename(mut self, to: &Path) -> Result<File> {
        let from = self.path.take().ok_or_else(|| Error::new(ErrorKind::Internal, "temporary file moved twice"))?;
        if let Err(e) = fs::rename(&from, to) {
            self.path = Some(from);
            return Err(Error::io("moving a file to its place", e).with("to", to.display()));
        }
        self.file.try_clone().at("keeping a file open")
    }
}

impl Drop for TmpFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "a temporary file stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let root = [0xab; 32];
        let name = |p: PathBuf| p.file_name().unwrap().to_str().unwrap().to_owned();
        let content = ContentName { id: 0x1234_5678, root, is_sidecar: false };
        assert_eq!(ContentName::parse(&name(layout.content_file(content.id, &root))), Some(content));
        let sidecar = ContentName { is_sidecar: true, ..content };
        assert_eq!(ContentName::parse(&name(layout.sidecar(content.id, &root))), Some(sidecar));
        assert_eq!(layout.fan(0x1234_5678), layout.content.join("00012345"));
        assert_eq!(parse_hex_name(&name(layout.slab(77)), ".slab"), Some(77));
        assert_eq!(parse_hex_name(&name(layout.live_file(Ino(9))), ""), Some(9));
        for foreign in ["", "-", "x", "lost+found", "0000000000000001-ab", "1-.idx"] {
            assert_eq!(ContentName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_dropped_temporary_file_is_gone_and_a_moved_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let path = layout.tmp_file().unwrap().path().to_owned();
        assert!(!path.exists());
        let kept = layout.slab(1);
        layout.tmp_file().unwrap().rename(&kept).unwrap();
        assert!(kept.exists());
        assert_eq!(fs::read_dir(&layout.tmp).unwrap().count(), 0);
    }
}
