//! A request's body as it comes from the connection: counted, given up when nothing comes, its framing looked at
//! (`framing`), and, for the XML bodies that s3s reads whole, held against the digests of the request's headers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use md5::Digest;
use s3s::StdError;
use tokio::time::{Instant, Sleep};

use super::framing::{Framing, Kind, Trailer};
use crate::checksum::{Algorithm, Hasher};
use crate::limits::Pace;
use crate::scope::{BodyFailure, Scope};

/// Digests that an XML body must have.
#[derive(Default)]
pub(crate) struct Digests {
    md5: Option<(md5::Md5, Vec<u8>)>,
    checksum: Option<(Algorithm, Hasher, Vec<u8>)>,
    sha256: Option<(sha2::Sha256, [u8; 32])>,
}

impl Digests {
    /// Of `Content-MD5` (decoded).
    pub(crate) fn expect_md5(&mut self, value: Vec<u8>) {
        self.md5 = Some((md5::Md5::new(), value));
    }

    /// Of `x-amz-checksum-*` (decoded).
    pub(crate) fn expect_checksum(&mut self, algorithm: Algorithm, value: Vec<u8>) {
        self.checksum = Some((algorithm, Hasher::new(algorithm), value));
    }

    /// Of `x-amz-content-sha256` (decoded), where nobody signed it.
    pub(crate) fn expect_sha256(&mut self, value: [u8; 32]) {
        self.sha256 = Some((sha2::Sha256::new(), value));
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some((hasher, _)) = &mut self.sha256 {
            hasher.update(bytes);
        }
        if let Some((hasher, _)) = &mut self.md5 {
            hasher.update(bytes);
        }
        if let Some((_, hasher, _)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    fn finish(&mut self) -> Result<(), BodyFailure> {
        if let Some((hasher, expected)) = self.sha256.take() {
            let found: [u8; 32] = hasher.finalize().into();
            if found != expected {
                return Err(BodyFailure::Sha256 { expected, found });
            }
        }
        if let Some((hasher, expected)) = self.md5.take()
            && hasher.finalize().as_slice() != expected
        {
            return Err(BodyFailure::Md5);
        }
        if let Some((algorithm, hasher, expected)) = self.checksum.take()
            && hasher.finish() != expected
        {
            return Err(BodyFailure::Checksum(algorithm.name()));
        }
        Ok(())
    }
}

/// The body of one request.
pub(crate) struct Received {
    inner: Option<Incoming>,
    scope: Arc<Scope>,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
    begun: bool,
    framing: Option<Framing>,
    ready: VecDeque<Bytes>,
    digests: Digests,
    ended: bool,
    pace: Pace,
}

impl Received {
    pub(crate) fn new(inner: Incoming, scope: Arc<Scope>, idle: Duration, chunked: Option<(Kind, Trailer)>) -> Self {
        let ended = inner.is_end_stream() && chunked.is_none();
        Self {
            inner: Some(inner),
            scope,
            idle,
            sleep: Box::pin(tokio::time::sleep(idle)),
            waiting: false,
            begun: false,
            framing: chunked.map(|(kind, trailer)| Framing::new(kind, trailer)),
            ready: VecDeque::new(),
            digests: Digests::default(),
            ended,
            pace: Pace::default(),
        }
    }

    /// Holds the body against digests at its end.
    pub(crate) fn expect(&mut self, digests: Digests) {
        self.digests = digests;
    }

    fn fail(&mut self, failure: BodyFailure) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let text = format!("the request's body failed: {failure:?}");
        self.scope.fail(failure);
        self.ended = true;
        Poll::Ready(Some(Err(text.into())))
    }

    /// The next bytes of the connection, or its end; a failure when none come in time.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFailure>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        self.begun = true;
        loop {
            match Pin::new(&mut *inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = false;
                    match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                        _ => continue,
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(BodyFailure::Incomplete))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.idle;
            self.sleep.as_mut().reset(deadline);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyFailure::Timeout)))
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        loop {
            if let Some(payer) = this.scope.payer() {
                ready!(this.pace.poll_paid(cx, payer));
            }
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(this.poll_inner(cx)) {
                None => {
                    this.ended = true;
                    this.inner = None;
                    if let Some(Err(failure)) = this.framing.as_ref().map(Framing::finish) {
                        return this.fail(failure);
                    }
                    if let Err(failure) = this.digests.finish() {
                        return this.fail(failure);
                    }
                    return Poll::Ready(None);
                }
                Some(Err(failure)) => return this.fail(failure),
                Some(Ok(bytes)) => {
                    this.scope.count_received(bytes.len());
                    if let Some(payer) = this.scope.payer() {
                        this.pace.charge(payer, bytes.len());
                    }
                    this.digests.update(&bytes);
                    match &mut this.framing {
                        None => this.ready.push_back(bytes),
                        Some(framing) => {
                            if let Err(failure) = framing.push(bytes, &mut this.ready) {
                                return this.fail(failure);
                            }
                            if framing.ended() {
                                this.scope.set_trailing();
                            }
                        }
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.framing) {
            (Some(inner), None) if self.ready.is_empty() => inner.size_hint(),
            (None, _) if self.ready.is_empty() => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // Of a body that ended early or stopped there is no rest.
        let gone = matches!(self.scope.failure(), Some(BodyFailure::Incomplete | BodyFailure::Timeout));
        if let Some(inner) = self.inner.take().filter(|_| !gone) {
            self.scope.leave(inner, self.begun);
        }
    }
}

/// How much of an unwanted body is read so that the client sees why it was refused instead of a reset connection.
const LINGER_BYTES: usize = 8 * 1024 * 1024;
/// How long.
const LINGER_TIME: Duration = Duration::from_secs(5);

/// Reads a little more of a body that nobody wants.
pub(crate) async fn linger(body: Incoming) {
    let drain = async move {
        let mut body = body;
        let mut seen = 0;
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, drain).await;
}
