//! One node: config → build → run → drain.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use pinfold_store::audit::AuditLog;
use pinfold_store::namespace::Namespace;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::health::{Health, Phase};
use crate::announce;
use crate::config::{ConfigError, Loaded};
use crate::credentials;
use crate::data_dir::{DataDir, IfMissing};
use crate::directory;
use crate::doors;
use crate::failure::{ExitCode, Failure};
use crate::ipfs;
use crate::master_key;
use crate::mounts::Mounts;
use crate::service_manager as manager;
use crate::signals::Signal;
use crate::steps;
use crate::telemetry::Telemetry;

/// Looks a variable of the environment up.
pub type Variables = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// What a node is given: it touches nothing of the process but this, so that two run in one process.
pub struct Inputs {
    /// The configuration.
    pub loaded: Loaded,
    /// Reads the configuration anew, for `Reload`.
    pub reread: Box<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>,
    /// The environment (root credentials).
    pub var: Variables,
    /// Logs and metrics.
    pub telemetry: Telemetry,
    /// Orders go in here …
    pub orders_in: mpsc::Sender<Signal>,
    /// … and come out here.
    pub orders: mpsc::Receiver<Signal>,
}

/// Where a node listens, with real ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// S3.
    pub s3: Option<SocketAddr>,
    /// Health and metrics.
    pub admin: Option<SocketAddr>,
    /// The web console.
    pub console: Option<SocketAddr>,
    /// What IPFS peers ask.
    pub provider: Option<SocketAddr>,
}

/// Runs a node until it is told to stop and has drained. `on_serving` is called once, when all doors are open.
pub async fn run(inputs: Inputs, on_serving: impl FnOnce(Addresses)) -> Result<(), Failure> {
    let Inputs { loaded, reread, var, telemetry, orders_in, mut orders } = inputs;
    let config = &loaded.config;

    // What is refused anyway is refused before anything is made.
    doors::check_tls(config).map_err(Failure::of_setting)?;
    ipfs::check(&config.ipfs).map_err(Failure::of_setting)?;

    // Hold the data before anything looks at it. The admin listener answers from here on: a long start shows.
    let data = DataDir::take(&config.data, IfMissing::Create)?;
    // The root account's keys come first: they are made in a fresh directory only, and any other file makes it stale.
    let (root, source) = credentials::load(&var, &config.root_credentials_file, data.is_fresh())?;
    let master_key_file = master_key::file(&var, config);
    let directory = directory::open(&config.elsewhere, &var).map_err(Failure::of_setting)?;
    let transit = master_key::transit(&config.elsewhere, &var).map_err(Failure::of_setting)?;
    let master = tokio::select! {
        master = master_key::load(&var, config, transit.as_deref()) => master.map_err(Failure::of_setting)?,
        () = stopped(&mut orders) => return Ok(()),
    };
    let health = Health::starting();
    let opened: Arc<OnceLock<Namespace>> = Arc::default();
    let (admin_address, _admin) = steps::serve_admin(config, &health, &opened, &telemetry).await?;

    // The store: log, replica, chunks. A stop while it opens has nothing to drain: nothing was promised yet.
    let namespace = tokio::select! {
        namespace = steps::open_store(config, master) => namespace?,
        () = stopped(&mut orders) => return Ok(()),
    };
    let namespace = opened.get_or_init(|| namespace).clone();

    steps::wrap_accounts(&namespace).await;
    let audit = steps::open_audit(config).await?;
    audit.iter().cloned().for_each(|log| namespace.set_audit(log));
    let accounts = doors::accounts(&root, directory, &namespace)?;

    // The doors: S3, the operator's socket, the mounts. From here on every end, a failed start too, goes by the drain.
    let mut doors = Doors::closed(Mounts::new(namespace.clone(), config.mounting, config.mounts.len() <= 1));
    let served = async {
        doors.s3 = steps::serve_s3(config, &namespace, &accounts, &audit, &doors.stop).await?;
        let console = steps::bind_console(config).await?;
        doors.provider = steps::serve_provider(config, &namespace, &doors.stop).await?;
        let addresses = Addresses {
            s3: doors.s3.address(),
            admin: admin_address,
            console: console.as_ref().map(|(at, _)| *at),
            provider: doors.provider.as_ref().map(|provider| provider.address),
        };
        let about = steps::about(config, addresses, master_key_file, transit);
        let api = steps::api(about, &namespace, &root, &accounts, &doors.mounts, &health, &audit, orders_in);
        doors.console = steps::serve_console(config, console, &doors.s3, api.clone(), &telemetry, &doors.stop)?;
        doors.commands = Some(steps::serve_commands(api, &doors.stop)?);
        doors.deliveries = steps::deliver(config, &namespace, &doors.stop);
        doors.deliveries.extend(steps::pin(config, &namespace, &doors.stop).await?);
        steps::mount_all(config, &doors.mounts).await?;

        health.enter(Phase::Serving);
        manager::ready();
        announce::serving(config, addresses, &root, &source);
        on_serving(addresses);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Signal::Reload) => {
                        steps::reload(&loaded, &reread, &telemetry, &doors.s3);
                        doors.provider.as_ref().inspect(|provider| provider.reload());
                    }
                    Some(Signal::Stop) | None => return Ok(()),
                },
                failure = doors.s3.ended_early() => return Err(failure),
            }
        }
    };
    let served = served.await;

    health.enter(Phase::Stopping);
    manager::stopping(config.shutdown_timeout);
    tracing::info!(timeout = ?config.shutdown_timeout, "stopping");
    let mounts = Arc::clone(&doors.mounts);
    let drained = tokio::select! {
        done = tokio::time::timeout(config.shutdown_timeout, doors.drain(namespace, audit)) => {
            done.unwrap_or_else(|_| Err(ended_undrained("draining took longer than shutdown_timeout")))
        }
        () = stopped(&mut orders) => Err(ended_undrained("told to stop twice")),
    };
    match &drained {
        Ok(()) => tracing::info!("stopped"),
        // Whatever hangs: the mount points are to answer again.
        Err(_) => mounts.detach_all(),
    }
    served.and(drained)
}

/// The open doors of a running node.
struct Doors {
    s3: steps::RunningS3,
    commands: Option<JoinHandle<()>>,
    console: Option<JoinHandle<()>>,
    provider: Option<steps::RunningProvider>,
    /// Of notifications and pins.
    deliveries: Vec<JoinHandle<()>>,
    mounts: Arc<Mounts>,
    stop: CancellationToken,
}

impl Doors {
    fn closed(mounts: Mounts) -> Self {
        let stop = CancellationToken::new();
        let s3 = steps::RunningS3::default();
        let mounts = Arc::new(mounts);
        Self { s3, commands: None, console: None, provider: None, deliveries: Vec::new(), mounts, stop }
    }

    /// No new requests, answer those in flight, publish written files, unmount, close the store.
    async fn drain(mut self, namespace: Namespace, audit: Option<AuditLog>) -> Result<(), Failure> {
        self.stop.cancel();
        self.s3.drained().await?;
        for task in [self.console, self.provider.map(|provider| provider.task), self.commands].into_iter().flatten() {
            task.await.map_err(|e| Failure::message(ExitCode::Failed, e))?;
        }
        for delivery in self.deliveries {
            delivery.await.map_err(|e| Failure::message(ExitCode::Failed, e))?;
        }
        steps::unmount_all(&self.mounts).await?;
        if let Some(audit) = audit {
            steps::blocking(move || {
                audit.close();
                Ok(())
            })
            .await?;
        }
        steps::blocking(move || doors::close_namespace(&namespace)).await
    }
}

fn ended_undrained(why: &str) -> Failure {
    Failure::message(ExitCode::StopTimedOut, format!("{why}: ended without the rest"))
}

/// Waits for a `Stop`, ignoring other orders; for ever if nobody can send one.
async fn stopped(orders: &mut mpsc::Receiver<Signal>) {
    while let Some(order) = orders.recv().await {
        if order == Signal::Stop {
            return;
        }
    }
    std::future::pending().await
}
