//! Listening, accepting, draining.

mod connection;
pub mod progress;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinfold_store::namespace::Namespace;
use pinfold_store::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::accesslog::AccessLogs;
use crate::auth::Credentials;
use crate::bucketlog::BucketLogs;
use crate::config::S3Config;
use crate::door::Door;
use crate::insider::Insider;
use crate::limits::LimitConfig;
use crate::tls::Tls;

/// The S3 endpoint: bound, and served until it is told to stop.
pub struct S3Server {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// What all connections of a server share.
struct Shared {
    config: Arc<S3Config>,
    door: Arc<Door>,
    tls: Option<Arc<Tls>>,
    connections: Arc<Semaphore>,
    logs: Arc<AccessLogs>,
    bucket_logs: Arc<BucketLogs>,
}

/// Loads the certificate files again and opens the access logs anew; from [`S3Server::reloader`].
#[derive(Clone)]
pub struct Reloader {
    tls: Option<Arc<Tls>>,
    logs: Arc<AccessLogs>,
    door: Arc<Door>,
}

impl Reloader {
    /// For new connections. Nothing to do without TLS; on an error the old certificate stays in use.
    pub fn reload(&self) -> Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// New rates, for the requests that come from now on.
    pub fn set_limits(&self, limits: LimitConfig) {
        self.door.set_limits(limits);
    }

    /// For who has moved the access logs away.
    pub fn reopen_logs(&self) {
        self.logs.reopen();
    }
}

/// How long the listener rests when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl S3Server {
    /// Reads the certificates and binds all addresses. Busy if one is taken, InvalidArgument if a certificate is wrong
    /// or an address is none of this host's.
    pub async fn bind(config: S3Config, namespace: Namespace, accounts: Arc<dyn Credentials>) -> Result<Self> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let mut listeners = Vec::with_capacity(config.listen.len());
        let mut addresses = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            let listener = TcpListener::bind(address).await.map_err(|e| bind_error(*address, e))?;
            let bound = listener.local_addr().map_err(|e| Error::io("a listener has no address", e))?;
            addresses.push(bound);
            listeners.push(listener);
        }
        if listeners.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the S3 server has no address to listen on"));
        }
        let config = Arc::new(config);
        let logs = Arc::new(AccessLogs::open(&config.access_log)?);
        let bucket_logs = BucketLogs::new(namespace.clone());
        bucket_logs.start(config.bucket_log_interval, config.region.clone(), accounts.clone());
        let door = Door::new(config.clone(), namespace, accounts, logs.clone(), bucket_logs.clone());
        let door = Arc::new(door);
        let connections = Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self {
            shared: Arc::new(Shared { config, door, tls, connections, logs, bucket_logs }),
            listeners,
            addresses,
        })
    }

    /// The addresses it really listens on, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A way in for this process itself: the same door, limits and metrics.
    pub fn insider(&self) -> Insider {
        Insider::new(self.shared.door.clone())
    }

    /// Its TLS side, for another listener of the same certificate: a reload is for both.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.shared.tls.clone()
    }

    /// For `SIGHUP`.
    pub fn reloader(&self) -> Reloader {
        Reloader { tls: self.shared.tls.clone(), logs: self.shared.logs.clone(), door: self.shared.door.clone() }
    }

    /// Serves until `stop` is cancelled, then takes no more connections, lets requests in flight end within the drain
    /// timeout, and cuts what is left.
    pub async fn serve(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        let acceptors = TaskTracker::new();
        for listener in self.listeners {
            let (shared, stop, cut, tasks) = (self.shared.clone(), stop.clone(), cut.clone(), tasks.clone());
            acceptors.spawn(async move { accept(listener, shared, stop, cut, tasks).await });
        }
        acceptors.close();
        acceptors.wait().await;
        tasks.close();
        if tokio::time::timeout(self.shared.config.drain_timeout, tasks.wait()).await.is_err() {
            warn!(connections = tasks.len(), "requests did not end within the drain timeout and are cut");
        }
        cut.cancel();
        tasks.wait().await;
        self.shared.logs.close().await;
        self.shared.bucket_logs.close().await;
        info!("the S3 server has stopped");
    }
}

fn bind_error(address: SocketAddr, source: std::io::Error) -> Error {
    let (kind, message) = match source.kind() {
        std::io::ErrorKind::AddrInUse => (ErrorKind::Busy, "the S3 address is in use by another program"),
        std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::PermissionDenied, "the S3 address may not be bound by this user")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            (ErrorKind::InvalidArgument, "the S3 address is not one of this host's")
        }
        _ => (ErrorKind::Io, "the S3 address cannot be bound"),
    };
    Error::new(kind, message).with("address", address).caused_by(source)
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        // The place first: a connection that cannot be served waits in the backlog.
        let place = tokio::select! {
            place = shared.connections.clone().acquire_owned() => place,
            () = stop.cancelled() => return,
        };
        let Ok(place) = place else { return };
        let stream: TcpStream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // Out of descriptors, or a connection that was gone before it was accepted.
                    warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        let (shared, stop, cut) = (shared.clone(), stop.clone(), cut.clone());
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = connection::serve(stream, &shared, stop) => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
