//! Bucket keys, each in a file of its own, wrapped by the master key.
//!
//! They are not in the log: what the log has had stays in segments, checkpoints and copies of them, and a key that is to be
//! destroyed must not. The log names a key by its id alone.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::content::ContentKey;
use super::master::{MasterKey, Secret};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::types::Id;

const MAGIC: &[u8; 8] = b"PFKEY1\0\n";

/// All bucket keys of a node.
pub struct Keyring {
    dir: PathBuf,
    master: RwLock<Option<MasterKey>>,
    /// Opened ones. Held while files change.
    open: Mutex<HashMap<Id, Arc<ContentKey>>>,
}

/// What became of the keys when they were wrapped anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rewrapped {
    /// Wrapped by an older master key before, by the current one now.
    pub rewrapped: u64,
    /// Already wrapped by the current one.
    pub current: u64,
}

impl Keyring {
    /// The keys in a folder, which is made with the first. Without a master key there are none to be had.
    pub fn new(dir: impl Into<PathBuf>, master: Option<MasterKey>) -> Self {
        Self { dir: dir.into(), master: RwLock::new(master), open: Mutex::default() }
    }

    /// The master key; KeyUnavailable if the node was given none.
    pub fn master(&self) -> Result<MasterKey> {
        self.master.read().clone().ok_or_else(|| Error::new(ErrorKind::KeyUnavailable, "the node has no master key"))
    }

    /// Takes another master key, which knows the one before as an older one.
    pub fn set_master(&self, master: MasterKey) {
        *self.master.write() = Some(master);
    }

    /// Makes a key; durable when it returns.
    pub fn create(&self) -> Result<Id> {
        let master = self.master()?;
        let (id, secret) = (Id::random(), Secret::random()?);
        let mut open = self.open.lock();
        if !self.dir.is_dir() {
            let made = fs::DirBuilder::new().mode(0o700).create(&self.dir);
            made.at("the folder of keys cannot be made")?;
            if let Some(parent) = self.dir.parent() {
                sync_dir(parent)?;
            }
        }
        self.write(id, &wrap(&master, id, &secret)?)?;
        open.insert(id, Arc::new(ContentKey::derive(&secret)));
        Ok(id)
    }

    /// A key. KeyUnavailable if it was destroyed, is not there, or the master key is not the one that wrapped it.
    pub fn get(&self, id: Id) -> Result<Arc<ContentKey>> {
        let mut open = self.open.lock();
        if let Some(key) = open.get(&id) {
            return Ok(key.clone());
        }
        let key = Arc::new(ContentKey::derive(&self.read(id)?));
        open.insert(id, key.clone());
        Ok(key)
    }

    /// Destroys a key: what it sealed cannot be read any more, by nobody. The file is overwritten, then replaced by a mark.
    /// True if it was there.
    pub fn destroy(&self, id: Id) -> Result<bool> {
        let mut open = self.open.lock();
        open.remove(&id);
        let path = self.path(id);
        let mark = self.mark(id);
        let there = path.exists();
        if there || !mark.exists() {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&mark);
            file.and_then(|file| file.sync_all()).at("a destroyed key cannot be marked")?;
        }
        if there {
            wipe(&path)?;
        }
        sync_dir(&self.dir)?;
        Ok(there)
    }

    /// Takes back a key that sealed nothing: without a mark.
    pub fn discard(&self, id: Id) -> Result<()> {
        let mut open = self.open.lock();
        open.remove(&id);
        wipe(&self.path(id))?;
        sync_dir(&self.dir)
    }

    /// Wraps all keys anew that an older master key wrapped. May be called again after it was cut off.
    pub fn rewrap(&self) -> Result<Rewrapped> {
        let master = self.master()?;
        let _held = self.open.lock();
        let mut done = Rewrapped::default();
        for id in self.ids()? {
            let wrapped = self.wrapped(id)?;
            if !master.is_older(&wrapped) {
                done.current += 1;
                continue;
            }
            let secret = unwrap(&master, id, &wrapped)?;
            self.write(id, &wrap(&master, id, &secret)?)?;
            done.rewrapped += 1;
        }
        Ok(done)
    }

    /// Ids of the keys that are there.
    pub fn ids(&self) -> Result<Vec<Id>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).at("the folder of keys cannot be read"),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.at("the folder of keys cannot be read")?.file_name();
            if let Some(id) = name.to_str().and_then(|n| n.strip_suffix(".key")).and_then(|id| id.parse().ok()) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// How many keys the master key does not open: those of another one.
    pub fn unreadable(&self) -> Result<usize> {
        Ok(self.ids()?.into_iter().filter(|id| self.get(*id).is_err()).count())
    }

    fn read(&self, id: Id) -> Result<Secret> {
        // The file first: that a key was destroyed is to be said without a master key too.
        let wrapped = self.wrapped(id)?;
        unwrap(&self.master()?, id, &wrapped)
    }

    fn wrapped(&self, id: Id) -> Result<Vec<u8>> {
        let bytes = match fs::read(self.path(id)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let what = match self.mark(id).exists() {
                    true => "the bucket's key was destroyed",
                    false => "the bucket's key is not among the node's keys",
                };
                return Err(Error::new(ErrorKind::KeyUnavailable, what).with("key", id));
            }
            Err(e) => return Err(e).at("a bucket's key cannot be read"),
        };
        let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_last_chunk::<4>());
        match body {
            Some((wrapped, sum)) if crc32c::crc32c(&bytes[..bytes.len() - 4]).to_le_bytes() == *sum => {
                Ok(wrapped.to_vec())
            }
            _ => Err(Error::corrupt("a bucket's key file is damaged").with("key", id)),
        }
    }

    /// Writes a key's file and makes it durable; the file before is wiped.
    fn write(&self, id: Id, wrapped: &[u8]) -> Result<()> {
        let path = self.path(id);
        let tmp = self.dir.join(format!("{id}.tmp"));
        let before = OpenOptions::new().write(true).open(&path).ok();
        let mut bytes = [MAGIC.as_slice(), wrapped].concat();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp);
        let mut file = file.at("a key's file cannot be made")?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).at("a key's file cannot be written")?;
        fs::rename(&tmp, &path).at("a key's file cannot be named")?;
        sync_dir(&self.dir)?;
        if let Some(before) = before {
            overwrite(before)?;
        }
        Ok(())
    }

    fn path(&self, id: Id) -> PathBuf {
        self.dir.join(format!("{id}.key"))
    }

    fn mark(&self, id: Id) -> PathBuf {
        self.dir.join(format!("{id}.destroyed"))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("dir", &self.dir).field("master", &*self.master.read()).finish_non_exhaustive()
    }
}

fn purpose(id: Id) -> String {
    format!("bucket key {id}")
}

fn wrap(master: &MasterKey, id: Id, secret: &Secret) -> Result<Vec<u8>> {
    master.wrap(&purpose(id), secret.bytes())
}

fn unwrap(master: &MasterKey, id: Id, wrapped: &[u8]) -> Result<Secret> {
    let bytes = master.unwrap(&purpose(id), wrapped).map_err(|e| e.with("key", id))?;
    let bytes = zeroize::Zeroizing::new(
        <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| Error::corrupt("a bucket's key has a wrong length"))?,
    );
    Ok(Secret::new(*bytes))
}

fn wipe(path: &Path) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path).at("a key's file cannot be opened to wipe it")?;
    overwrite(file)?;
    fs::remove_file(path).at("a key's file cannot be removed")
}

/// Overwrites where the file lies. A disk that never writes in place keeps what was there until it is used again.
fn overwrite(mut file: File) -> Result<()> {
    let len = file.metadata().at("a key's file cannot be wiped")?.len();
    file.rewind().at("a key's file cannot be wiped")?;
    file.write_all(&vec![0; len as usize]).and_then(|()| file.sync_all()).at("a key's file cannot be wiped")
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).at("the folder of keys cannot be synced")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const SECOND: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn ring(dir: &Path, text: &str) -> Keyring {
        Keyring::new(dir.join("keys"), Some(MasterKey::parse(text).unwrap()))
    }

    fn sealed(key: &ContentKey) -> Vec<u8> {
        let mut bytes = b"a chunk".to_vec();
        key.seal_chunk(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_key_is_there_after_a_start_with_its_master_key_and_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let id = ring(dir.path(), FIRST).create().unwrap();
        let known = sealed(&ring(dir.path(), FIRST).get(id).unwrap());
        assert_eq!(ring(dir.path(), SECOND).get(id).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(ring(dir.path(), SECOND).unreadable().unwrap(), 1);
        let none = Keyring::new(dir.path().join("keys"), None);
        assert_eq!(none.get(id).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(none.create().unwrap_err().kind(), ErrorKind::KeyUnavailable);
        // Rotation: the new one first, the old one behind it.
        let both = ring(dir.path(), &format!("{SECOND}\n{FIRST}"));
        assert_eq!(sealed(&both.get(id).unwrap()), known);
        assert_eq!(both.rewrap().unwrap(), Rewrapped { rewrapped: 1, current: 0 });
        assert_eq!(both.rewrap().unwrap(), Rewrapped { rewrapped: 0, current: 1 });
        assert_eq!(sealed(&ring(dir.path(), SECOND).get(id).unwrap()), known);
        assert_eq!(ring(dir.path(), FIRST).get(id).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    }

    #[test]
    fn a_destroyed_key_is_gone_for_good_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let keys = ring(dir.path(), FIRST);
        let id = keys.create().unwrap();
        assert!(keys.get(id).is_ok());
        assert!(keys.destroy(id).unwrap());
        assert!(!keys.destroy(id).unwrap());
        for keys in [keys, ring(dir.path(), FIRST)] {
            let error = keys.get(id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(error.to_string().contains("destroyed"), "{error}");
        }
        let left: Vec<_> = fs::read_dir(dir.path().join("keys")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_damaged_file_is_damage_and_not_another_key() {
        let dir = tempfile::tempdir().unwrap();
        let id = ring(dir.path(), FIRST).create().unwrap();
        let path = dir.path().join(format!("keys/{id}.key"));
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(ring(dir.path(), FIRST).get(id).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
        }
    }
}
