//! A listener of the node's own: HTTP/1 and HTTP/2, with TLS where there is a certificate, bounded, and its graceful end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use pinfold_s3::server::progress::{Progress, Watched, drive};
use pinfold_s3::tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a TLS handshake, and how long a request's head, may take; also how long a connection may rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection on which nothing moves for so long is closed, and how often that is looked at.
const STALLED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);
/// How long the listener rests when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// HTTP/1: headers of one request, and bytes of its head.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 64 * 1024;
/// HTTP/2: what a client may send ahead on one stream, and on all of a connection's; streams of one connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const STREAMS: u32 = 64;

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// What messages call it.
    const NAME: &'static str;
    /// Connections at once; more wait in the backlog.
    const CONNECTIONS: usize;
    /// A client that takes fewer bytes a second of its answers, over half a minute, is cut off; 0 for any.
    const SLOWEST: u64 = 0;

    /// Whether a client at this address is spoken to at all.
    fn admits(&self, _from: IpAddr) -> bool {
        true
    }

    /// Answers one request.
    fn answer(&self, from: IpAddr, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// Counts the answers of a connection that are not sent yet; in a request's extensions.
#[derive(Clone, Default)]
pub struct Unsent(Arc<AtomicUsize>);

impl Unsent {
    /// One more, until what is returned is dropped.
    pub fn begin(&self) -> Sending {
        self.0.fetch_add(1, Ordering::Relaxed);
        Sending(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// See [`Unsent::begin`].
pub struct Sending(Unsent);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Binds.
pub async fn bind(address: &str) -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address).await?;
    Ok((listener.local_addr()?, listener))
}

/// Serves until `stop`, then lets requests in flight end within `drain`, and cuts what is left.
pub async fn serve<A: Answers>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    who: Arc<A>,
    drain: Duration,
    stop: CancellationToken,
) {
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(A::CONNECTIONS));
    loop {
        // The place first: a connection that cannot be served waits in the backlog.
        let accept = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            next = accept => next,
            () = stop.cancelled() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !who.admits(from.ip()) {
            tracing::debug!(of = A::NAME, %from, "a client that is not on the list was turned away");
            continue;
        }
        let (tls, who, stop, cut) = (tls.clone(), Arc::clone(&who), stop.clone(), cut.clone());
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = meet(stream, from.ip(), tls, who, stop) => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(of = A::NAME, connections = tasks.len(), "requests did not end in time and are cut");
    }
    cut.cancel();
    tasks.wait().await;
}

async fn meet<A: Answers>(
    stream: TcpStream,
    from: IpAddr,
    tls: Option<Arc<Tls>>,
    who: Arc<A>,
    stop: CancellationToken,
) {
    // An answer's head and body are written one after the other: waiting to fill a packet would cost 40 ms.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return speak(stream, from, who, stop).await };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, from, who, stop).await,
        failed => tracing::debug!(of = A::NAME, error = ?failed.err(), "a TLS handshake failed"),
    }
}

async fn speak<A: Answers, S>(stream: S, from: IpAddr, who: Arc<A>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (progress, unsent) = (Progress::new(), Unsent::default());
    let stream = Watched { inner: stream, progress: progress.clone() };
    let (of_requests, of_answers) = (progress.clone(), unsent.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_requests.clone());
        request.extensions_mut().insert(of_answers.clone());
        let (who, working) = (Arc::clone(&who), of_requests.work());
        async move {
            let answer = who.answer(from, request).await;
            drop(working);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut pace = Pace::default();
    let is_stuck = || progress.stalled(STALLED) || pace.is_too_slow(A::SLOWEST, &progress, &unsent);
    drive(connection, LOOK, &stop, is_stuck).await;
}

/// How fast a client takes what it asked for, over a few looks.
#[derive(Default)]
struct Pace {
    looks: u32,
    written: u64,
}

impl Pace {
    /// Looks that a verdict needs.
    const LOOKS: u32 = 6;

    fn is_too_slow(&mut self, slowest: u64, progress: &Progress, unsent: &Unsent) -> bool {
        let written = progress.written();
        // Who has all, and who waits for this side, is not slow.
        if slowest == 0 || !unsent.any() || progress.is_working() {
            (self.looks, self.written) = (0, written);
            return false;
        }
        self.looks += 1;
        if self.looks < Self::LOOKS {
            return false;
        }
        let taken = written - self.written;
        (self.looks, self.written) = (0, written);
        taken < slowest * u64::from(Self::LOOKS) * LOOK.as_secs()
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE);
    builder
}
