//! Whether a connection still moves: a wrapper that notes the time of every byte, and what is made of it.

use std::fmt::Display;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The state of one connection.
pub struct Progress {
    began: Instant,
    last: AtomicU64,
    written: AtomicU64,
    working: AtomicUsize,
}

impl Progress {
    /// Nothing moved yet.
    pub fn new() -> Arc<Self> {
        let (last, written) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { began: Instant::now(), last, written, working: AtomicUsize::new(0) })
    }

    /// Something moved, or is held back by this side.
    pub(crate) fn moved(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// While it lives, this side works on a request and the connection may well be silent.
    pub fn work(self: &Arc<Self>) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(self.clone())
    }

    /// Bytes that went out.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// This side works on a request.
    pub fn is_working(&self) -> bool {
        self.working.load(Ordering::Relaxed) > 0
    }

    /// Nothing moved for `limit`, and it is the other side's turn.
    pub fn stalled(&self, limit: Duration) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        !self.is_working() && self.began.elapsed().saturating_sub(last) > limit
    }
}

/// Drives a connection to its end. Once `stop` is told it takes no new requests; when `is_stuck` says so, as it is asked each
/// `look`, it is closed: a client that takes none of an answer would keep its place for ever.
pub async fn drive<C>(connection: C, look: Duration, stop: &CancellationToken, mut is_stuck: impl FnMut() -> bool)
where
    C: GracefulConnection<Error: Display>,
{
    let mut connection = pin!(connection);
    let mut look = tokio::time::interval(look);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(e) = ended {
                    debug!(error = %e, "a connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if is_stuck() {
                    debug!("a connection that does not move is closed");
                    return;
                }
            }
        }
    }
}

/// See [`Progress::work`].
pub struct Working(Arc<Progress>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.moved();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that reports to a [`Progress`].
pub struct Watched<S> {
    /// The stream.
    pub inner: S,
    /// Whom it tells.
    pub progress: Arc<Progress>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.progress.moved();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn note(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes @ 1..)) = result {
            self.progress.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            self.progress.moved();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_idle_connection_stalls() {
        let progress = Progress::new();
        assert!(!progress.stalled(Duration::from_secs(3600)));
        std::thread::sleep(Duration::from_millis(2));
        assert!(progress.stalled(Duration::ZERO));
        let working = progress.work();
        assert!(!progress.stalled(Duration::ZERO));
        drop(working);
        assert!(!progress.stalled(Duration::from_secs(3600)));
    }
}
