//! The console's listener: HTTP/1 and HTTP/2, with TLS where the S3 endpoint has it, bounded, and its graceful end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
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

use super::Console;

/// Connections at once; more wait in the backlog. A browser opens about six.
const CONNECTIONS: usize = 256;
/// How long a TLS handshake, and how long a request's head, may take; also how long a connection may rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection on which nothing moves for so long is closed.
const STALLED: Duration = Duration::from_secs(60);
/// How long the listener rests when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// HTTP/2: what a client may send ahead on one stream, and on all of a connection's; streams of one connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const STREAMS: u32 = 64;

/// Binds.
pub async fn bind(address: &str) -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(address).await?;
    Ok((listener.local_addr()?, listener))
}

/// Serves until `stop`, then lets requests in flight end within `drain`, and cuts what is left.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    console: Arc<Console>,
    drain: Duration,
    stop: CancellationToken,
) {
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
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
        let (tls, console, stop, cut) = (tls.clone(), Arc::clone(&console), stop.clone(), cut.clone());
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = meet(stream, from.ip(), tls, console, stop) => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "the console's requests did not end in time and are cut");
    }
    cut.cancel();
    tasks.wait().await;
}

async fn meet(stream: TcpStream, from: IpAddr, tls: Option<Arc<Tls>>, console: Arc<Console>, stop: CancellationToken) {
    // An answer's head and body are written one after the other: waiting to fill a packet would cost 40 ms.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return speak(stream, from, console, stop).await };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, from, console, stop).await,
        failed => tracing::debug!(error = ?failed.err(), "a TLS handshake failed"),
    }
}

async fn speak<S>(stream: S, from: IpAddr, console: Arc<Console>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let progress = Progress::new();
    let stream = Watched { inner: stream, progress: progress.clone() };
    let of_requests = progress.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_requests.clone());
        let (console, working) = (Arc::clone(&console), of_requests.work());
        async move {
            let answer = console.answer(from, request).await;
            drop(working);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE);
    drive(builder.serve_connection(TokioIo::new(stream), service), &progress, STALLED, &stop).await;
}
