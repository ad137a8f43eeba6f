//! The only file that knows how the other crates are called: from the node's configuration to the store, the S3
//! endpoint and the mounts.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use pinfold_fuse::{Mount, MountConfig, Passthrough as MountPassthrough, Ttls};
use pinfold_s3::config::TlsFiles;
use pinfold_s3::insider::Insider;
use pinfold_s3::server::Reloader;
use pinfold_s3::tls::Tls;
use pinfold_s3::{AccessLogConfig, AccountSource, Credentials, LimitConfig, Rates, S3Config, S3Server};
use pinfold_store::audit::AuditLog;
use pinfold_store::crypto::MasterKey;
use pinfold_store::meta::{EngineKind, MetaConfig, Progress as StoreProgress, Quiet};
use pinfold_store::namespace::mount_types::SetAttr;
use pinfold_store::namespace::{Account, Namespace, NamespaceConfig, Role};
use pinfold_store::types::Caller;
use pinfold_store::unixfs::Profile;
use pinfold_store::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;

use crate::config::value::MountSpec;
use crate::config::{Engine, LimitSettings, MountSettings, NodeConfig, Passthrough};
use crate::credentials::RootCredentials;
use crate::directory::{Cached, Elsewhere};

/// How far opening has come: what is done, units done, units in all (0 if unknown).
pub type Progress<'a> = dyn Fn(&str, u64, u64) + Send + Sync + 'a;

struct Reports<'a>(&'a Progress<'a>);

impl StoreProgress for Reports<'_> {
    fn report(&self, task: &'static str, done: u64, total: Option<u64>) {
        self.0(task, done, total.unwrap_or(0));
    }
}

/// The store's name for an engine.
pub fn engine(engine: Engine) -> EngineKind {
    match engine {
        Engine::Sled => EngineKind::Sled,
        Engine::Fjall => EngineKind::Fjall,
        Engine::Memory => EngineKind::Memory,
    }
}

/// Opens the store: log, replica, chunks. Blocks.
pub fn open_namespace(
    config: &NodeConfig,
    master_key: Option<MasterKey>,
    progress: &Progress<'_>,
) -> Result<Namespace> {
    let mut store = NamespaceConfig::new(&config.data);
    store.master_key = master_key;
    store.engine = engine(config.store.engine);
    store.cache_bytes = config.store.cache;
    store.commit_interval = config.store.commit_interval;
    store.publish_after = config.store.publish_after;
    store.publish_at_most = config.store.publish_at_most;
    store.inline_max = usize::try_from(config.store.inline_max).unwrap_or(usize::MAX);
    store.reserve_bytes = config.store.reserve;
    store.scrub_rate = config.store.scrub_rate;
    store.lifecycle_every = config.store.lifecycle_interval;
    store.lifecycle_day = config.store.lifecycle_day;
    store.pins = !config.ipfs.cluster_urls.is_empty();
    let namespace = Namespace::open(store, &Reports(progress))?;
    give_root(&namespace, RootOwner::of_process())?;
    Ok(namespace)
}

/// Makes the namespace's root (where `mkdir` makes buckets) `owner`'s, if it still is as it was made.
fn give_root(namespace: &Namespace, owner: RootOwner) -> Result<()> {
    let root = namespace.mount_root(&[])?;
    let given = if root.uid == 0 && owner.uid != 0 {
        let set = SetAttr { uid: Some(owner.uid), gid: Some(owner.gid), ..SetAttr::default() };
        namespace.setattr(&Caller::worker("first-start"), root.ino, set).map(drop)
    } else {
        Ok(())
    };
    namespace.forget(root.ino, 1);
    given
}

/// Publishes what is left and closes the store. Blocks.
pub fn close_namespace(namespace: &Namespace) -> Result<()> {
    namespace.close()
}

/// The metadata of a data directory on which no daemon runs.
pub fn metadata_of(config: &NodeConfig) -> MetaConfig {
    let mut meta = MetaConfig::new(&config.data);
    meta.engine = engine(config.store.engine);
    meta.cache_bytes = config.store.cache;
    meta
}

/// Runs maintenance that reports its progress.
pub fn with_progress<T>(progress: &Progress<'_>, run: impl FnOnce(&dyn StoreProgress) -> T) -> T {
    run(&Reports(progress))
}

/// Why the store takes no more writes, if so.
pub fn complaint(namespace: &Namespace) -> Option<String> {
    let failed = namespace.metadata().log().follow().borrow().failed.clone();
    failed.map(|error| format!("no writes any more: {error}"))
}

/// Name of the replica's engine.
pub fn engine_name(namespace: &Namespace) -> String {
    namespace.config().engine.name().to_owned()
}

/// Makes a checkpoint; answers the last record that it has for certain. Blocks.
pub fn checkpoint(namespace: &Namespace) -> Result<u64> {
    namespace.metadata().checkpoint(&Quiet).map(|made| made.began)
}

/// A profile's name.
pub fn profile_name(profile: Profile) -> &'static str {
    profile.name()
}

/// POSIX owner of what the root account makes: root, as on any file system. But a daemon that only its own user's mounts
/// can come from (no root, no CAP_SYS_ADMIN) serves that user alone, whose own what it keeps is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootOwner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl RootOwner {
    /// For this process.
    pub fn of_process() -> Self {
        use rustix::process::{getegid, geteuid};
        if geteuid().is_root() || MountConfig::new("").allow_other {
            Self { uid: 0, gid: 0 }
        } else {
            Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
        }
    }
}

/// Whether the certificate and its key can be used, before anything is opened.
pub fn check_tls(config: &NodeConfig) -> Result<()> {
    provider_tls(config)?;
    tls_files(config).map_or(Ok(()), |files| Tls::load(files).map(drop))
}

fn tls_files(config: &NodeConfig) -> Option<TlsFiles> {
    let files = config.s3.tls.as_ref()?;
    Some(TlsFiles { certificate: files.cert.clone(), key: files.key.clone() })
}

fn limits(settings: LimitSettings) -> LimitConfig {
    let rates = |[ip, account, bucket]: [u64; 3]| Rates { ip, account, bucket };
    LimitConfig { requests: rates(settings.requests), bytes: rates(settings.bytes) }
}

/// The provider's TLS side, if it has a certificate.
pub fn provider_tls(config: &NodeConfig) -> Result<Option<Arc<Tls>>> {
    let Some(files) = &config.provider.tls else { return Ok(None) };
    let files = TlsFiles { certificate: files.cert.clone(), key: files.key.clone() };
    Tls::load_with(files, config.provider.client_ca.clone()).map(Arc::new).map(Some)
}

/// Who may sign requests: the root account, then those of the directory, if there is one, or else of the namespace.
pub fn accounts(
    root: &RootCredentials,
    directory: Option<Arc<Cached>>,
    namespace: &Namespace,
) -> Result<Arc<dyn Credentials>> {
    let owner = RootOwner::of_process();
    let root = Account {
        access: root.access.clone(),
        secret: root.secret.expose().to_owned(),
        role: Role::Admin,
        uid: owner.uid,
        gid: owner.gid,
        project: 0,
    };
    Ok(match directory {
        Some(directory) => Arc::new(Elsewhere::new(root, directory, namespace.clone())?),
        None => Arc::new(AccountSource::new(root, namespace.clone())?),
    })
}

/// The S3 endpoint.
pub struct S3Door {
    address: SocketAddr,
    tls: bool,
    reloader: Reloader,
    insider: Insider,
    accounts: Arc<dyn Credentials>,
    certificate: Option<Arc<Tls>>,
    server: Mutex<Option<S3Server>>,
}

impl S3Door {
    /// Binds.
    pub async fn bind(
        address: &str,
        config: &NodeConfig,
        namespace: Namespace,
        accounts: Arc<dyn Credentials>,
        audit: Option<AuditLog>,
    ) -> Result<Self> {
        let listen = tokio::net::lookup_host(address)
            .await
            .map_err(|e| {
                Error::new(ErrorKind::InvalidArgument, "the S3 address cannot be resolved")
                    .with("address", address)
                    .caused_by(e)
            })?
            .collect();
        let s3 = S3Config {
            listen,
            region: config.s3.region.clone(),
            domains: config.s3.domains.clone(),
            versioning: config.s3.versioning,
            website_domains: config.s3.website_domains.clone(),
            notification_targets: config.s3.notification_targets.iter().map(|(name, _)| name.clone()).collect(),
            bucket_log_interval: config.s3.bucket_log_interval,
            tls: tls_files(config),
            max_connections: config.s3.max_connections,
            max_requests: config.s3.max_requests,
            header_timeout: config.s3.header_timeout,
            idle_timeout: config.s3.idle_timeout,
            limits: limits(config.s3.limits),
            audit,
            access_log: AccessLogConfig {
                file: config.records.access.clone(),
                webhook: config.records.webhook.clone(),
                admin_file: config.records.admin_access.clone(),
            },
            // The other half is for publishing and unmounting.
            drain_timeout: config.shutdown_timeout / 2,
            ..S3Config::default()
        };
        let server = S3Server::bind(s3, namespace, Arc::clone(&accounts)).await?;
        let address = server.addresses().first().copied().ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the S3 address names no host").with("address", address)
        })?;
        Ok(Self {
            address,
            tls: config.s3.tls.is_some(),
            reloader: server.reloader(),
            insider: server.insider(),
            accounts,
            certificate: server.tls(),
            server: Mutex::new(Some(server)),
        })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then until the requests in flight are answered.
    pub async fn serve(&self, stop: CancellationToken) -> Result<()> {
        let server = self.server.lock().take();
        match server {
            Some(server) => {
                server.serve(stop).await;
                Ok(())
            }
            None => Err(Error::new(ErrorKind::Internal, "the S3 endpoint serves already")),
        }
    }

    /// What the web console needs of it: a way in, the accounts, the certificate.
    pub fn for_console(&self) -> (Insider, Arc<dyn Credentials>, Option<Arc<Tls>>) {
        (self.insider.clone(), Arc::clone(&self.accounts), self.certificate.clone())
    }

    /// Whether it has a certificate.
    pub fn has_tls(&self) -> bool {
        self.tls
    }

    /// Other rates from now on.
    pub fn set_limits(&self, settings: LimitSettings) {
        self.reloader.set_limits(limits(settings));
    }

    /// Opens the access logs anew.
    pub fn reopen_logs(&self) {
        self.reloader.reopen_logs();
    }

    /// Reads the certificate files again.
    pub fn reload(&self) -> Result<()> {
        self.reloader.reload()
    }
}

/// A mount.
pub struct MountDoor(Mount);

impl MountDoor {
    /// Mounts. Blocks. `alone` says that it is and will stay the only mount of its namespace, which lets the kernel
    /// keep names and pages for long.
    pub fn start(spec: &MountSpec, namespace: Namespace, settings: MountSettings, alone: bool) -> Result<Self> {
        let mut config = MountConfig::new(&spec.dir);
        config.path = spec.components().into_iter().map(<[u8]>::to_vec).collect();
        config.read_only = spec.read_only;
        config.fs_name = spec.source();
        config.probe_dir = Some(namespace.config().data_dir.clone());
        config.threads = settings.threads;
        config.passthrough = match settings.passthrough {
            Passthrough::Off => MountPassthrough::Off,
            Passthrough::WherePossible | Passthrough::Required => MountPassthrough::Auto,
        };
        if !alone {
            config.ttls = Ttls::SHARED;
            config.keep_cache = false;
        }
        let mount = Mount::start(config, namespace)?;
        if settings.passthrough == Passthrough::Required && !mount.has_passthrough() {
            mount.stop()?;
            return Err(Error::new(ErrorKind::Unsupported, "passthrough is required and cannot be had here")
                .with("directory", spec.dir.display()));
        }
        Ok(Self(mount))
    }

    /// Whether the kernel reads and writes whole local files by itself.
    pub fn has_passthrough(&self) -> bool {
        self.0.has_passthrough()
    }

    /// Whether it is there: false once somebody unmounted it.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Takes it out of the tree at once; programs that have it open get errors.
    pub fn detach(&self) {
        if let Err(error) = self.0.detach() {
            tracing::error!(mount = %self.0.path().display(), %error, "the mount could not be detached");
        }
    }

    /// Publishes and unmounts. Blocks.
    pub fn stop(self) -> Result<()> {
        self.0.stop()
    }
}

#[cfg(test)]
mod tests {
    use super::{Namespace, NamespaceConfig, Quiet, RootOwner, give_root};

    #[test]
    fn the_root_is_its_only_users_and_stays_who_it_was_given_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NamespaceConfig::new(dir.path());
        config.reserve_bytes = 0;
        let namespace = Namespace::open(config, &Quiet).unwrap();
        let owner = || namespace.mount_root(&[]).map(|root| (root.uid, root.gid)).unwrap();
        give_root(&namespace, RootOwner { uid: 0, gid: 0 }).unwrap();
        assert_eq!(owner(), (0, 0));
        give_root(&namespace, RootOwner { uid: 1000, gid: 100 }).unwrap();
        assert_eq!(owner(), (1000, 100));
        give_root(&namespace, RootOwner { uid: 2000, gid: 200 }).unwrap();
        assert_eq!(owner(), (1000, 100), "what was changed since is not changed back");
        namespace.close().unwrap();
    }
}
