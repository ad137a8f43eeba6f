//! Bodies: a block, or the pieces of a CAR, made one at a time as the client takes them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use pinfold_s3::server::progress::Progress;
use pinfold_store::Result;
use pinfold_store::ipfs::serve::{Source, Walk, car};
use tokio::task::JoinHandle;

use super::{Place, What};
use crate::listener::Sending;

/// A piece of a CAR ends with the block that brings it here.
const PIECE: usize = 256 * 1024;

/// The walk of a CAR's blocks.
pub type Blocks = Walk<Arc<dyn Source>>;

/// A body, with its place among the answers.
pub struct Outgoing {
    what: What,
    from: From,
    _place: Place,
    _sending: Option<Sending>,
}

enum From {
    Block(Option<Bytes>),
    Car(Car),
}

/// What a read gives back: the blocks, and the next bytes.
type Fetched = (Box<Blocks>, Result<Option<Bytes>>);

/// What is left of a CAR.
pub struct Car {
    ready: Option<Bytes>,
    walk: Option<Box<Blocks>>,
    job: Option<JoinHandle<Fetched>>,
    progress: Option<Arc<Progress>>,
}

impl Car {
    /// Begins with `first`, and goes on with the walk.
    pub fn new(first: Bytes, walk: Box<Blocks>, progress: Option<Arc<Progress>>) -> Self {
        Self { ready: Some(first), walk: Some(walk), job: None, progress }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if let Some(bytes) = self.ready.take() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if let Some(job) = &mut self.job {
                let done = ready!(Pin::new(job).poll(cx));
                self.job = None;
                return Poll::Ready(match done {
                    Ok((walk, Ok(Some(bytes)))) => {
                        self.walk = Some(walk);
                        Some(Ok(bytes))
                    }
                    Ok((_, Ok(None))) => None,
                    Ok((_, Err(error))) => Some(Err(error)),
                    Err(error) => {
                        Some(Err(pinfold_store::Error::new(pinfold_store::ErrorKind::Internal, "a worker ended early")
                            .caused_by(error)))
                    }
                });
            }
            let Some(mut walk) = self.walk.take() else { return Poll::Ready(None) };
            let working = self.progress.as_ref().map(Progress::work);
            self.job = Some(tokio::task::spawn_blocking(move || {
                let next = piece(&mut walk, Vec::new());
                drop(working);
                (walk, next)
            }));
        }
    }
}

/// The sections of some blocks behind what is in `out`; none when there are no more.
pub fn piece(walk: &mut Blocks, mut out: Vec<u8>) -> Result<Option<Bytes>> {
    while out.len() < PIECE {
        match walk.step()? {
            Some((cid, bytes)) => {
                out.reserve(bytes.len() + 64);
                car::section(&mut out, &cid, &bytes);
            }
            None => break,
        }
    }
    Ok(if out.is_empty() { None } else { Some(out.into()) })
}

impl Outgoing {
    /// A whole body.
    pub fn block(bytes: Bytes, place: Place, sending: Option<Sending>) -> Self {
        Self { what: What::Raw, from: From::Block(Some(bytes)), _place: place, _sending: sending }
    }

    /// A CAR.
    pub fn car(car: Car, place: Place, sending: Option<Sending>) -> Self {
        Self { what: What::Car, from: From::Car(car), _place: place, _sending: sending }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = pinfold_store::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let piece = match &mut self.from {
            From::Block(bytes) => bytes.take().map(Ok),
            From::Car(car) => ready!(car.poll_piece(cx)),
        };
        match &piece {
            Some(Ok(bytes)) => {
                metrics::counter!("pinfold_node_provider_bytes_total", "what" => self.what.word())
                    .increment(bytes.len() as u64);
            }
            // The client sees a CAR that is cut off; why is told here only.
            Some(Err(error)) => tracing::warn!(%error, "a CAR ends early"),
            None => {}
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.from, From::Block(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Block(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            From::Car(_) => SizeHint::default(),
        }
    }
}
