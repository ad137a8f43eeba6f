//! A server that does nothing: what the load and HTTP cost by themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use crate::Failure;

/// The longest body it answers with.
const LONGEST: usize = 64 << 20;
/// As `server/connection.rs` sets it.
const READ_BUFFER: usize = 256 * 1024;
const MAX_HEADERS: usize = 256;

/// Answers until it is killed: a PUT's body is read and dropped, a GET is answered with as many bytes as came last.
pub(crate) fn serve(address: &str) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(listen(address))
}

async fn listen(address: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    let body = Bytes::from(vec![0x5a; LONGEST]);
    let size = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (body, size) = (body.clone(), Arc::clone(&size));
        let service = service_fn(move |request| answer(request, body.clone(), Arc::clone(&size)));
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30))
                .max_headers(MAX_HEADERS)
                .max_buf_size(READ_BUFFER);
            // A client that goes is the way a connection ends.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
    size: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    if method == Method::PUT {
        let mut incoming = request.into_body();
        let mut came = 0;
        while let Some(Ok(frame)) = incoming.frame().await {
            came += frame.data_ref().map_or(0, Bytes::len);
        }
        size.store(came.min(LONGEST), Ordering::Relaxed);
        return Ok(Response::new(Full::default()));
    }
    let size = size.load(Ordering::Relaxed);
    let mut response = Response::new(Full::default());
    if method == Method::GET {
        *response.body_mut() = Full::new(body.slice(..size));
    } else if method == Method::HEAD {
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
    } else {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(response)
}
