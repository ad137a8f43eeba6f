//! Where the node's master key comes from: the environment, else a file, else made once, when nothing needs an older one.

use std::ffi::OsString;
use std::path::PathBuf;

use pinfold_store::crypto::{Keyring, MasterKey};
use pinfold_store::{Error, ErrorKind, Result};

use crate::config::NodeConfig;

/// Environment variable of the master key.
pub const VARIABLE: &str = "PINFOLD_MASTER_KEY";
/// Its file in the data directory, unless the configuration names another.
const FILE: &str = "master-key";

/// The file of the master key; none if it comes from the environment.
pub fn file(var: impl Fn(&str) -> Option<OsString>, config: &NodeConfig) -> Option<PathBuf> {
    match var(VARIABLE) {
        Some(_) => None,
        None => Some(config.master_key_file.clone().unwrap_or_else(|| config.data.join(FILE))),
    }
}

/// The master key; none if its file is gone although bucket keys need it: those buckets are then refused, and the log says so.
/// NotFound if the file that the configuration names is not there.
pub fn load(var: impl Fn(&str) -> Option<OsString>, config: &NodeConfig) -> Result<Option<MasterKey>> {
    if let Some(text) = var(VARIABLE) {
        let text = zeroize::Zeroizing::new(text.into_string().unwrap_or_default());
        return MasterKey::parse(&text).map(Some).map_err(|e| e.with("variable", VARIABLE));
    }
    let path = config.master_key_file.clone().unwrap_or_else(|| config.data.join(FILE));
    match MasterKey::load(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound && config.master_key_file.is_none() => {}
        loaded => return loaded.map(Some),
    }
    if !Keyring::new(config.data.join("keys"), None).ids()?.is_empty() {
        tracing::error!(
            file = %path.display(),
            "the master key's file is gone: encrypted buckets cannot be read or written until it is back"
        );
        return Ok(None);
    }
    let made = MasterKey::create(&path)?;
    tracing::warn!(
        file = %path.display(),
        name = %made.name(),
        "a master key was made; keep a copy apart from the data, or name a file elsewhere (master_key_file)"
    );
    Ok(Some(made))
}

/// Puts a new key before those in the file, or reads what somebody else put there. The older ones stay: they still unwrap.
pub fn renew(path: &std::path::Path, make: bool) -> Result<MasterKey> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |what: &'static str| move |e| Error::io(what, e);
    if make {
        MasterKey::load(path)?;
        let before = zeroize::Zeroizing::new(
            std::fs::read_to_string(path).map_err(failed("the master key's file cannot be read"))?,
        );
        let tmp = path.with_extension("new");
        let _ = std::fs::remove_file(&tmp);
        MasterKey::create(&tmp)?;
        let file = std::fs::OpenOptions::new().append(true).mode(0o600).open(&tmp);
        file.and_then(|mut file| file.write_all(before.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(failed("the master key's file cannot be written"))?;
        // Parsed before it takes the place of the only copy.
        MasterKey::load(&tmp)?;
        std::fs::rename(&tmp, path).map_err(failed("the master key's file cannot be replaced"))?;
        if let Some(dir) = path.parent() {
            std::fs::File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(failed("the folder of the master key's file cannot be synced"))?;
        }
    }
    MasterKey::load(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_goes_before_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master-key");
        let first = MasterKey::create(&path).unwrap();
        let wrapped = first.wrap("p", b"secret").unwrap();
        let second = renew(&path, true).unwrap();
        assert_ne!(second.name(), first.name());
        assert_eq!(&**second.unwrap("p", &wrapped).unwrap(), b"secret");
        assert_eq!(renew(&path, false).unwrap().name(), second.name());
    }
}
