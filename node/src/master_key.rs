//! Where the node's master key comes from: the environment, else a file, else made once, when nothing needs an older one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pinfold_store::crypto::{Keyring, MasterKey};
use pinfold_store::{Error, ErrorKind, Result};

use zeroize::Zeroizing;

use crate::config::NodeConfig;
use crate::config::elsewhere::ElsewhereSettings;
use crate::vault::{self, ENVELOPE, Transit};

/// Environment variable of the master key.
pub const VARIABLE: &str = "PINFOLD_MASTER_KEY";
/// Its file in the data directory, unless the configuration names another.
const FILE: &str = "master-key";
/// First line of the file.
const HEAD: &str = "# Pinfold's master key. Keep a copy apart from the data.\n";
/// Variable with a token of Vault's.
const TOKEN: &str = "PINFOLD_MASTER_KEY_VAULT_TOKEN";
/// Variable with the secret of an AppRole.
const ROLE_SECRET: &str = "PINFOLD_MASTER_KEY_VAULT_ROLE_SECRET";
/// How often a start asks Vault, which may start at the same time.
const TRIES: usize = 5;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// The file of the master key; none if it comes from the environment.
pub fn file(var: impl Fn(&str) -> Option<OsString>, config: &NodeConfig) -> Option<PathBuf> {
    match var(VARIABLE) {
        Some(_) => None,
        None => Some(config.master_key_file.clone().unwrap_or_else(|| config.data.join(FILE))),
    }
}

/// The key of Vault's that wraps the lines of that file, if the configuration names one. Asks Vault nothing.
pub fn transit(
    settings: &ElsewhereSettings,
    var: &(dyn Fn(&str) -> Option<OsString> + Send),
) -> Result<Option<Arc<Transit>>> {
    let Some(settings) = &settings.transit else { return Ok(None) };
    if var(VARIABLE).is_some() {
        let what = "the master key comes from the environment: Vault has nothing to wrap";
        return Err(Error::new(ErrorKind::InvalidArgument, what).with("variable", VARIABLE));
    }
    let login = vault::login(&settings.server, var, TOKEN, ROLE_SECRET)?;
    Ok(Some(Arc::new(Transit::new(settings, login)?)))
}

/// The master key; none if its file is gone although bucket keys need it: those buckets are then refused, and the log says so.
/// NotFound if the file that the configuration names is not there; Unavailable if Vault is to open it and does not answer: without it
/// secret keys of new accounts would be stored as they are.
pub async fn load(
    var: impl Fn(&str) -> Option<OsString>,
    config: &NodeConfig,
    transit: Option<&Transit>,
) -> Result<Option<MasterKey>> {
    if let Some(text) = var(VARIABLE) {
        let text = Zeroizing::new(text.into_string().unwrap_or_default());
        return MasterKey::parse(&text).map(Some).map_err(|e| e.with("variable", VARIABLE));
    }
    let path = config.master_key_file.clone().unwrap_or_else(|| config.data.join(FILE));
    let named = |e: Error| e.with("file", path.display());
    match MasterKey::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound && config.master_key_file.is_none() => {}
        Err(e) => return Err(e),
        Ok(text) => {
            let opened = patiently(|| open(&text, transit)).await.map_err(named)?;
            if transit.is_some() && lines(&text).any(|line| !line.starts_with(ENVELOPE)) {
                tracing::warn!(file = %path.display(), "the master key's file is plain: `pinfold key rotate` has Vault wrap it");
            }
            return MasterKey::parse(&opened).map(Some).map_err(named);
        }
    }
    if !Keyring::new(config.data.join("keys"), None).ids()?.is_empty() {
        tracing::error!(
            file = %path.display(),
            "the master key's file is gone: encrypted buckets cannot be read or written until it is back"
        );
        return Ok(None);
    }
    let line = MasterKey::new_line()?;
    let stored = patiently(|| wrapped(&line, transit)).await?;
    MasterKey::write(&path, &format!("{HEAD}{}\n", *stored))?;
    let made = MasterKey::parse(&line)?;
    tracing::warn!(
        file = %path.display(),
        name = %made.name(),
        "a master key was made; keep a copy apart from the data, or name a file elsewhere (master_key_file)"
    );
    Ok(Some(made))
}

/// Tries again for a while what needs Vault: after a power cut both may start at once.
async fn patiently<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) => {
                tracing::warn!(%error, "the master key waits for Vault");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    attempt().await
}

/// The lines of a file that are keys.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The keys of a file, those that Vault wrapped opened.
async fn open(text: &str, transit: Option<&Transit>) -> Result<Zeroizing<String>> {
    let mut opened = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines(text) {
        if line.starts_with(ENVELOPE) {
            let transit = transit.ok_or_else(|| {
                let what = "Vault wrapped the master key in this file: set master_key_vault_url";
                Error::new(ErrorKind::InvalidArgument, what)
            })?;
            opened.push_str(&transit.unwrap(line).await?);
        } else {
            opened.push_str(line);
        }
        opened.push('\n');
    }
    Ok(opened)
}

/// A key as its file has it.
async fn wrapped(line: &str, transit: Option<&Transit>) -> Result<Zeroizing<String>> {
    Ok(Zeroizing::new(match transit {
        None => line.to_owned(),
        Some(transit) if line.starts_with(ENVELOPE) => transit.renew(line).await?,
        Some(transit) => transit.wrap(line).await?,
    }))
}

/// Puts a new key before those in the file, or reads what somebody else put there. The older ones stay: they still unwrap. Vault wraps
/// all of them by its newest key.
pub async fn renew(path: &Path, make: bool, transit: Option<&Transit>) -> Result<MasterKey> {
    let before = MasterKey::read(path)?;
    let named = |e: Error| e.with("file", path.display());
    if !make {
        return MasterKey::parse(&open(&before, transit).await?).map_err(named);
    }
    // What cannot be read now is not to be lost.
    MasterKey::parse(&open(&before, transit).await?).map_err(named)?;
    let line = MasterKey::new_line()?;
    let mut text = Zeroizing::new(HEAD.to_owned());
    for line in std::iter::once(line.as_str()).chain(lines(&before)) {
        text.push_str(&wrapped(line, transit).await?);
        text.push('\n');
    }
    // Opened before it takes the place of the only copy.
    let made = MasterKey::parse(&open(&text, transit).await?)?;
    let tmp = path.with_extension("new");
    let _ = std::fs::remove_file(&tmp);
    MasterKey::write(&tmp, &text)?;
    std::fs::rename(&tmp, path).map_err(|e| Error::io("the master key's file cannot be replaced", e))?;
    if let Some(dir) = path.parent() {
        std::fs::File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| Error::io("the folder of the master key's file cannot be synced", e))?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_key_goes_before_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master-key");
        let first = MasterKey::create(&path).unwrap();
        let wrapped = first.wrap("p", b"secret").unwrap();
        let second = renew(&path, true, None).await.unwrap();
        assert_ne!(second.name(), first.name());
        assert_eq!(&**second.unwrap("p", &wrapped).unwrap(), b"secret");
        assert_eq!(renew(&path, false, None).await.unwrap().name(), second.name());
    }
}
