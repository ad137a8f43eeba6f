//! The steps of a node's start and end, one function each; `node.rs` is their order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pinfold_store::crypto::MasterKey;
use pinfold_store::namespace::Namespace;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::admin::api::{About, Api};
use crate::admin::health::Health;
use crate::admin::socket::AdminSocket;
use crate::config::value::Listen;
use crate::config::{ConfigError, Loaded, NodeConfig, settings};
use crate::credentials::RootCredentials;
use crate::doors::{self, RootOwner, S3Door};
use crate::failure::{ExitCode, Failure};
use crate::gauges;
use crate::mounts::Mounts;
use crate::node::Addresses;
use crate::progress::StartProgress;
use crate::signals::Signal;
use crate::telemetry::Telemetry;

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

    /// Reads the certificate again; `None` without one.
    pub fn reload(&self) -> Option<pinfold_store::Result<()>> {
        self.door.as_ref().filter(|(door, _)| door.has_tls()).map(|(door, _)| door.reload())
    }
}

/// Binds and serves S3 until `stop`.
pub async fn serve_s3(
    config: &NodeConfig,
    namespace: &Namespace,
    root: &RootCredentials,
    stop: &CancellationToken,
) -> Result<RunningS3, Failure> {
    let Listen::At(address) = &config.s3.listen else { return Ok(RunningS3::default()) };
    let door = S3Door::bind(address, config, namespace.clone(), root).await;
    let door = door.map_err(|e| Failure::message(ExitCode::Failed, format!("cannot serve S3 (setting `s3`): {e}")))?;
    let door = Arc::new(door);
    let task = tokio::spawn({
        let (door, stop) = (Arc::clone(&door), stop.child_token());
        async move { door.serve(stop).await }
    });
    Ok(RunningS3 { door: Some((door, task)) })
}

/// What `status` shows of the configuration.
pub fn about(config: &NodeConfig, addresses: Addresses, master_key: Option<PathBuf>) -> About {
    let scheme = if config.s3.tls.is_some() { "https" } else { "http" };
    About {
        data: config.data.clone(),
        s3: addresses.s3.map(|at| format!("{scheme}://{at}")),
        admin: addresses.admin.map(|at| at.to_string()),
        master_key,
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
        if let Err(error) = axum::serve(socket, router).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "the admin socket ended");
        }
    }))
}

/// Mounts what the configuration lists.
pub async fn mount_all(config: &NodeConfig, mounts: &Arc<Mounts>) -> Result<(), Failure> {
    for spec in config.mounts.iter().cloned() {
        let mounts = Arc::clone(mounts);
        let what = spec.to_string();
        let mounted = blocking(move || mounts.add(spec)).await;
        mounted.map_err(|e| Failure::message(ExitCode::Failed, format!("cannot mount {what}: {e}")))?;
    }
    Ok(())
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
    mounts: &Arc<Mounts>,
    health: &Health,
    signals: mpsc::Sender<Signal>,
) -> Api {
    Api {
        namespace: namespace.clone(),
        root: root.access.as_str().into(),
        owner: RootOwner::of_process(),
        mounts: Arc::clone(mounts),
        health: health.clone(),
        about: Arc::new(about),
        signals,
    }
}
