//! The steps of a node's start and end, one function each; `node.rs` is their order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pinfold_s3::Credentials;
use pinfold_s3::tls::Tls;
use pinfold_store::audit::{AuditConfig, AuditLog, FOLDER};
use pinfold_store::crypto::MasterKey;
use pinfold_store::namespace::Namespace;
use pinfold_store::types::Caller;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::admin::api::{About, Api};
use crate::admin::audit::Peer;
use crate::admin::health::Health;
use crate::admin::socket::AdminSocket;
use crate::config::value::Listen;
use crate::config::{ConfigError, LimitSettings, Loaded, NodeConfig, settings};
use crate::console::{self, Console};
use crate::credentials::RootCredentials;
use crate::doors::{self, RootOwner, S3Door};
use crate::failure::{ExitCode, Failure};
use crate::gauges;
use crate::ipfs;
use crate::listener;
use crate::mounts::Mounts;
use crate::node::Addresses;
use crate::notify::{self, Target};
use crate::progress::StartProgress;
use crate::provider::access::{self, Access};
use crate::provider::{self, Provider, identity};
use crate::signals::Signal;
use crate::telemetry::Telemetry;
use crate::vault::Transit;

/// Runs what waits for the disk or the kernel on a thread that may.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> pinfold_store::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let result = tokio::task::spawn_blocking(work).await.map_err(|e| Failure::message(ExitCode::Failed, e))?;
    result.map_err(Failure::from)
}

/// Health and metrics. They answer while the store is still opening, and until the very end.
pub async fn serve_admin(
    config: &NodeConfig,
    health: &Health,
    opened: &Arc<OnceLock<Namespace>>,
    telemetry: &Telemetry,
) -> Result<(Option<SocketAddr>, Option<AbortOnDrop>), Failure> {
    let Listen::At(address) = &config.admin else { return Ok((None, None)) };
    let watch = Arc::new(gauges::Watched { opened: Arc::clone(opened), health: health.clone() });
    let served = admin::http::serve(address, health.clone(), watch, telemetry.metrics.clone()).await;
    let (local, task) = served.map_err(|e| {
        let message = format!("cannot listen on {address} for health and metrics (setting `admin`): {e}");
        Failure::message(ExitCode::Failed, message)
    })?;
    Ok((Some(local), Some(AbortOnDrop(task))))
}

/// A task that ends with its owner.
#[derive(Debug)]
pub struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the store, telling the terminal and the service manager how far it is.
pub async fn open_store(config: &NodeConfig, master_key: Option<MasterKey>) -> Result<Namespace, Failure> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let progress = StartProgress::new();
        doors::open_namespace(&config, master_key, &|what, done, all| progress.tell(what, done, all))
    });
    opened.await.map_err(|e| Failure::message(ExitCode::Failed, e))?.map_err(Failure::of_setting)
}

/// Opens the audit log, if there is to be one.
pub async fn open_audit(config: &NodeConfig) -> Result<Option<AuditLog>, Failure> {
    if !config.records.audit {
        return Ok(None);
    }
    let audit = AuditConfig { dir: config.data.join(FOLDER), file_bytes: config.records.audit_file_size };
    blocking(move || AuditLog::open(audit)).await.map(|(log, _)| Some(log))
}

/// The S3 endpoint while it runs; without one, all waits are for ever and all else does nothing.
#[derive(Default)]
pub struct RunningS3 {
    door: Option<(Arc<S3Door>, JoinHandle<pinfold_store::Result<()>>)>,
}

impl RunningS3 {
    /// The address in use.
    pub fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(|(door, _)| door.address())
    }

    /// Waits until serving ends although nobody asked for it.
    pub async fn ended_early(&mut self) -> Failure {
        let Some((_, task)) = &mut self.door else { return std::future::pending().await };
        let why = match task.await {
            Ok(Ok(())) => "it stopped".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.door = None;
        Failure::message(ExitCode::Failed, format!("the S3 endpoint ended: {why}"))
    }

    /// Waits until the requests in flight are answered.
    pub async fn drained(&mut self) -> Result<(), Failure> {
        let Some((_, task)) = self.door.take() else { return Ok(()) };
        task.await.map_err(|e| Failure::message(ExitCode::Failed, e))?.map_err(Failure::from)
    }

    /// Other rates from now on.
    pub fn set_limits(&self, settings: LimitSettings) {
        if let Some((door, _)) = &self.door {
            door.set_limits(settings);
        }
    }

    /// Opens the access logs anew.
    pub fn reopen_logs(&self) {
        if let Some((door, _)) = &self.door {
            door.reopen_logs();
        }
    }

    /// Reads the certificate again; `None` without one.
    pub fn reload(&self) -> Option<pinfold_store::Result<()>> {
        self.door.as_ref().filter(|(door, _)| door.has_tls()).map(|(door, _)| door.reload())
    }
}

/// Binds and serves S3 until `stop`.
pub async fn serve_s3(
    config: &NodeConfig,
    namespace: &Namespace,
    accounts: &Arc<dyn Credentials>,
    audit: &Option<AuditLog>,
    stop: &CancellationToken,
) -> Result<RunningS3, Failure> {
    let Listen::At(address) = &config.s3.listen else { return Ok(RunningS3::default()) };
    let door = S3Door::bind(address, config, namespace.clone(), Arc::clone(accounts), audit.clone()).await;
    let door = door.map_err(|e| Failure::message(ExitCode::Failed, format!("cannot serve S3 (setting `s3`): {e}")))?;
    let door = Arc::new(door);
    let task = tokio::spawn({
        let (door, stop) = (Arc::clone(&door), stop.child_token());
        async move { door.serve(stop).await }
    });
    Ok(RunningS3 { door: Some((door, task)) })
}

/// Wraps secret keys of accounts that an older release stored as they are, or an older master key wrapped. Those that cannot be
/// opened are said: the others work.
pub async fn wrap_accounts(namespace: &Namespace) {
    match namespace.rewrap_accounts(&Caller::worker("accounts")).await {
        Ok(0) => {}
        Ok(accounts) => tracing::info!(accounts, "secret keys of accounts were wrapped by the master key"),
        Err(error) => {
            tracing::error!(%error, "an account's secret key cannot be opened: it signs nothing until it can")
        }
    }
}

/// Binds the web console, if there is to be one.
pub async fn bind_console(config: &NodeConfig) -> Result<Option<(SocketAddr, TcpListener)>, Failure> {
    let Listen::At(address) = &config.console else { return Ok(None) };
    let bound = listener::bind(address).await.map_err(|e| {
        let message = format!("cannot listen on {address} for the web console (setting `console`): {e}");
        Failure::message(ExitCode::Failed, message)
    })?;
    if config.s3.tls.is_none() && !bound.0.ip().is_loopback() {
        tracing::warn!(address = %bound.0, "the web console has no TLS: secret keys go to it in clear");
    }
    Ok(Some(bound))
}

/// Serves the web console until `stop`.
pub fn serve_console(
    config: &NodeConfig,
    bound: Option<(SocketAddr, TcpListener)>,
    s3: &RunningS3,
    api: Api,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, Failure> {
    let (Some((_, listener)), Some((s3, _))) = (bound, &s3.door) else { return Ok(None) };
    let (door, accounts, tls) = s3.for_console();
    let opened = Arc::new(OnceLock::from(api.namespace.clone()));
    let watch = Arc::new(gauges::Watched { opened, health: api.health.clone() });
    let needs = console::Needs {
        api,
        accounts,
        door,
        region: config.s3.region.clone(),
        watch,
        metrics: telemetry.metrics.clone(),
        tls: tls.is_some(),
    };
    let console = Console::new(needs)?;
    // The other half is for publishing and unmounting.
    let drain = config.shutdown_timeout / 2;
    let stop = stop.child_token();
    Ok(Some(tokio::spawn(listener::serve(listener, tls, console, drain, stop))))
}

/// The provider while it runs.
pub struct RunningProvider {
    /// Its address.
    pub address: SocketAddr,
    /// Ends when it was told to stop and has drained.
    pub task: JoinHandle<()>,
    tls: Option<Arc<Tls>>,
}

impl RunningProvider {
    /// Reads the certificate again.
    pub fn reload(&self) {
        if let Some(Err(error)) = self.tls.as_ref().map(|tls| tls.reload()) {
            tracing::error!(%error, "the provider's TLS certificate could not be read again; the old one stays");
        }
    }
}

/// Binds and serves what IPFS peers ask until `stop`.
pub async fn serve_provider(
    config: &NodeConfig,
    namespace: &Namespace,
    stop: &CancellationToken,
) -> Result<Option<RunningProvider>, Failure> {
    let settings = &config.provider;
    let Listen::At(address) = &settings.listen else { return Ok(None) };
    let failed = |e: &dyn std::fmt::Display| {
        Failure::message(ExitCode::Failed, format!("cannot serve IPFS peers on {address} (setting `provider`): {e}"))
    };
    let tls = doors::provider_tls(config).map_err(Failure::of_setting)?;
    let tokens = settings.tokens.as_ref().map(|path| access::read_tokens(path)).transpose();
    let tokens = tokens.map_err(|e| failed(&e))?.unwrap_or_default();
    let peer = identity::load(&config.data.join(identity::FILE))?;
    let (bound, listener) = listener::bind(address).await.map_err(|e| failed(&e))?;
    let addresses = match settings.announce.is_empty() {
        true => vec![provider::multiaddr(bound, tls.is_some())],
        false => settings.announce.clone(),
    };
    let by_address = bound.ip().is_loopback() && tls.is_none();
    let access = Access { networks: settings.allow.clone(), tokens, by_address };
    tracing::info!(%peer, ?addresses, "IPFS peers are served");
    let needs = provider::Needs {
        source: Arc::new(namespace.provided()),
        access,
        peer,
        addresses,
        answers: settings.max_requests,
        cars: settings.max_requests / 4,
    };
    // The other half is for publishing and unmounting.
    let drain = config.shutdown_timeout / 2;
    let serve = listener::serve(listener, tls.clone(), Arc::new(Provider::new(needs)), drain, stop.child_token());
    Ok(Some(RunningProvider { address: bound, task: tokio::spawn(serve), tls }))
}

/// Begins to deliver bucket notifications until `stop`.
pub fn deliver(config: &NodeConfig, namespace: &Namespace, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let targets = config.s3.notification_targets.iter();
    let targets = targets.map(|(name, hook)| Target { name: name.clone(), sink: Arc::clone(hook) }).collect();
    notify::start(namespace, targets, &config.s3.region, stop)
}

/// Begins to pin until `stop`, where a cluster is configured.
pub async fn pin(
    config: &NodeConfig,
    namespace: &Namespace,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<()>>, Failure> {
    let (settings, namespace, stop) = (config.ipfs.clone(), namespace.clone(), stop.clone());
    blocking(move || ipfs::start(&settings, &namespace, &stop)).await
}

/// What `status` shows of the configuration.
pub fn about(
    config: &NodeConfig,
    addresses: Addresses,
    master_key: Option<PathBuf>,
    transit: Option<Arc<Transit>>,
) -> About {
    let scheme = if config.s3.tls.is_some() { "https" } else { "http" };
    About {
        data: config.data.clone(),
        s3: addresses.s3.map(|at| format!("{scheme}://{at}")),
        admin: addresses.admin.map(|at| at.to_string()),
        console: addresses.console.map(|at| format!("{scheme}://{at}/")),
        master_key,
        transit,
    }
}

/// Serves the operator's commands on the socket in the data directory until `stop`.
pub fn serve_commands(api: Api, stop: &CancellationToken) -> Result<JoinHandle<()>, Failure> {
    let data = &api.about.data;
    let socket = AdminSocket::bind(data).map_err(|e| {
        Failure::message(ExitCode::Failed, format!("cannot make the admin socket in {}: {e}", data.display()))
    })?;
    let router = admin::api::router(api);
    let stop = stop.child_token();
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(socket, router.into_make_service_with_connect_info::<Peer>())
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
        {
            tracing::error!(%error, "the admin socket ended");
        }
    }))
}

/// Mounts what the configuration lists, then what commands had mounted before the daemon ended.
pub async fn mount_all(config: &NodeConfig, mounts: &Arc<Mounts>) -> Result<(), Failure> {
    for spec in config.mounts.iter().cloned() {
        let mounts = Arc::clone(mounts);
        let what = spec.to_string();
        let mounted = blocking(move || mounts.add(spec)).await;
        mounted.map_err(|e| Failure::message(ExitCode::Failed, format!("cannot mount {what}: {e}")))?;
    }
    let mounts = Arc::clone(mounts);
    blocking(move || {
        mounts.restore();
        Ok(())
    })
    .await
}

/// Publishes what was written and ends all mounts.
pub async fn unmount_all(mounts: &Arc<Mounts>) -> Result<(), Failure> {
    let mounts = Arc::clone(mounts);
    blocking(move || {
        mounts.remove_all();
        Ok(())
    })
    .await
}

/// Applies what can change while the node runs, and names what cannot. A configuration that is refused changes nothing.
pub fn reload(
    loaded: &Loaded,
    reread: &dyn Fn() -> Result<Loaded, ConfigError>,
    telemetry: &Telemetry,
    s3: &RunningS3,
) {
    s3.reopen_logs();
    match s3.reload() {
        None => {}
        Some(Ok(())) => tracing::info!("TLS certificate read again"),
        Some(Err(error)) => tracing::error!(%error, "the TLS certificate could not be read again; the old one stays"),
    }
    let new = match reread() {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(%error, "the configuration is refused; the old one stays");
            return;
        }
    };
    match telemetry.set_filter(&new.config.log.filter) {
        Ok(()) => tracing::info!(level = new.config.log.filter, "log level applied"),
        Err(error) => tracing::error!(%error, "the log level could not be applied"),
    }
    s3.set_limits(new.config.s3.limits);
    let texts = |loaded: &Loaded, name| loaded.effective.get(name).map(|raw| raw.texts.clone());
    let waiting = settings::SETTINGS.iter().filter(|s| !s.reload && texts(loaded, s.name) != texts(&new, s.name));
    let waiting: Vec<_> = waiting.map(|s| s.name).collect();
    if !waiting.is_empty() {
        tracing::warn!(settings = waiting.join(", "), "these settings have changed and need a restart");
    }
}

/// The API behind the socket, with what its handlers share.
pub fn api(
    about: About,
    namespace: &Namespace,
    root: &RootCredentials,
    accounts: &Arc<dyn Credentials>,
    mounts: &Arc<Mounts>,
    health: &Health,
    audit: &Option<AuditLog>,
    signals: mpsc::Sender<Signal>,
) -> Api {
    Api {
        namespace: namespace.clone(),
        root: root.access.as_str().into(),
        accounts: Arc::clone(accounts),
        owner: RootOwner::of_process(),
        mounts: Arc::clone(mounts),
        health: health.clone(),
        about: Arc::new(about),
        audit: audit.clone(),
        signals,
        asker: None,
    }
}
