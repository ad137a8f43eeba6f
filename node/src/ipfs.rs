//! From the settings of IPFS to clients and a pin manager that works.

use std::path::Path;
use std::sync::Arc;

use pinfold_store::ipfs::{Auth, ClientSettings, ClusterClient, KuboClient, Tls};
use pinfold_store::meta::pin_row::PinTerms;
use pinfold_store::namespace::Namespace;
use pinfold_store::pin::{KuboPush, Manager, PinSettings, Push};
use pinfold_store::{Error, ErrorKind, IoContext, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::IpfsSettings;

/// Refuses what can be refused before anything is made: URLs, files.
pub fn check(settings: &IpfsSettings) -> Result<()> {
    clients(settings).map(drop)
}

/// Begins to pin, until `stop`; nothing where no cluster is configured.
pub fn start(
    settings: &IpfsSettings,
    namespace: &Namespace,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>> {
    let (Some(cluster), kubo) = clients(settings)? else { return Ok(None) };
    let push = match (settings.push, kubo) {
        (true, Some(kubo)) => Some(Arc::new(KuboPush(kubo)) as Arc<dyn Push>),
        _ => None,
    };
    let (replication_min, replication_max) = settings.replication;
    let terms = PinTerms { name: "pinfold".to_owned(), replication_min, replication_max };
    let pins = PinSettings {
        terms,
        workers: settings.workers,
        deadline: settings.deadline,
        reconcile_every: settings.reconcile,
        trouble_every: settings.reconcile.min(PinSettings::default().trouble_every),
        reconcile_first: settings.reconcile.min(PinSettings::default().reconcile_first),
        ..PinSettings::default()
    };
    let manager = Manager::new(Arc::new(namespace.clone()), Arc::new(cluster), push, pins)?;
    tracing::info!(
        cluster = settings.cluster_urls.join(","),
        bytes = if settings.push { "push" } else { "pull" },
        "objects are pinned through IPFS Cluster"
    );
    Ok(Some(tokio::spawn(manager.run(stop.child_token()))))
}

type Clients = (Option<ClusterClient>, Option<KuboClient>);

fn clients(settings: &IpfsSettings) -> Result<Clients> {
    let of = |urls: &[String], auth: Option<&Path>| -> Result<Option<ClientSettings>> {
        if urls.is_empty() {
            return Ok(None);
        }
        let mut client = ClientSettings::new(urls.to_vec());
        client.tls = Tls { ca: settings.ca.clone(), identity: settings.identity.clone() };
        client.auth = auth.map(read_auth).transpose()?.unwrap_or_default();
        Ok(Some(client))
    };
    let cluster =
        of(&settings.cluster_urls, settings.cluster_auth_file.as_deref())?.map(ClusterClient::new).transpose()?;
    let kubo = of(&settings.kubo_urls, settings.kubo_auth_file.as_deref())?.map(KuboClient::new).transpose()?;
    Ok((cluster, kubo))
}

/// Reads `basic USER:PASSWORD`, `token USER:PASSWORD` or `bearer TOKEN`.
fn read_auth(file: &Path) -> Result<Auth> {
    let text = Zeroizing::new(std::fs::read_to_string(file).at("a file of credentials for IPFS cannot be read")?);
    let bad = || {
        let what = "a file of credentials for IPFS has `basic USER:PASSWORD`, `token USER:PASSWORD` or `bearer TOKEN`";
        Error::new(ErrorKind::InvalidArgument, what).with("file", file.display())
    };
    let (kind, rest) = text.trim().split_once(' ').ok_or_else(bad)?;
    let secret = |text: &str| Zeroizing::new(text.trim().to_owned());
    let pair =
        || rest.trim().split_once(':').map(|(user, password)| (user.to_owned(), secret(password))).ok_or_else(bad);
    match kind {
        "basic" => pair().map(|(user, password)| Auth::Basic { user, password }),
        "token" => pair().map(|(user, password)| Auth::Token { user, password }),
        "bearer" => Ok(Auth::Bearer(secret(rest))),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("auth");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_auth(&file)
        };
        let (user, password) = ("u".to_owned(), Zeroizing::new("p:q".to_owned()));
        assert_eq!(read("basic u:p:q\n").unwrap(), Auth::Basic { user: user.clone(), password: password.clone() });
        assert_eq!(read("token u:p:q").unwrap(), Auth::Token { user, password });
        assert_eq!(read("bearer abc\n").unwrap(), Auth::Bearer(Zeroizing::new("abc".to_owned())));
        for bad in ["", "basic", "basic u", "digest u:p"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
        }
    }
}
