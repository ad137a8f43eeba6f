//! One connection: TLS if there is any, HTTP/1 or HTTP/2, limits, and its graceful end.

use std::convert::Infallible;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shared;
use super::progress::{Progress, Watched, drive};
use crate::config::S3Config;
use crate::metrics::{self, Counted};
use crate::peer::{Peer, Session};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Bytes hyper reads at once from an HTTP/1 connection.
const READ_BUFFER: usize = 256 * 1024;
/// HTTP/1: headers of one request. User metadata is bounded in bytes, and a header of it may be short.
const MAX_HEADERS: usize = 256;
/// HTTP/2: what a client may send ahead on one stream, and on all of a connection's.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// HTTP/2: streams of one connection.
const STREAMS: u32 = 128;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: &Shared, stop: CancellationToken) {
    let _counted = Counted::connection();
    // An answer's head and body are written one after the other: waiting to fill a packet would cost 40 ms.
    if let Err(e) = stream.set_nodelay(true) {
        debug!(error = %e, "a connection was gone before it began");
        return;
    }
    let Ok(address) = stream.peer_addr() else { return };
    let peer = Peer { address: address.ip(), tls: shared.tls.is_some(), session: None };
    match &shared.tls {
        None => speak(stream, peer, shared, stop).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let session = session(stream.get_ref().1);
                speak(stream, Peer { session, ..peer }, shared, stop).await;
            }
            failed => {
                metrics::tls_failed();
                debug!(error = ?failed.err(), "a TLS handshake failed");
            }
        },
    }
}

/// What a handshake agreed on.
fn session(connection: &rustls::ServerConnection) -> Option<Session> {
    let version = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => return None,
    };
    let cipher = match connection.negotiated_cipher_suite()?.suite() {
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        rustls::CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str()?,
    };
    Some(Session { version, cipher })
}

async fn speak<S>(stream: S, peer: Peer, shared: &Shared, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let progress = Progress::new();
    let stream = Watched { inner: stream, progress: progress.clone() };
    let door = shared.door.clone();
    let of_requests = progress.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(of_requests.clone());
        let (door, working) = (door.clone(), of_requests.work());
        async move {
            let answer = door.handle(request).await;
            drop(working);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder(&shared.config);
    let limit = shared.config.idle_timeout.max(shared.config.header_timeout);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    drive(connection, LOOK.min(limit), &stop, || progress.stalled(limit)).await;
}

fn builder(config: &S3Config) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_headers(MAX_HEADERS)
        // No pipeline_flush: with it hyper takes a body in as fast as it can be read, however slowly the client takes it.
        .max_buf_size(config.max_head_bytes.max(READ_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(config.max_head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(config.header_timeout)
        .keep_alive_timeout(config.header_timeout);
    builder
}
