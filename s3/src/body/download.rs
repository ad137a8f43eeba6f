//! An object's bytes to the connection: read on blocking threads in pieces, a piece or two ahead of the client.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use parking_lot::Mutex;
use pinfold_store::chunk::ObjectReader;
use pinfold_store::{Error, ErrorKind, Result};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{Body, S3Result, StdError};
use tokio::task::JoinHandle;
use tracing::error;

use crate::error::{OrS3, internal};

/// Bytes of one piece.
const PIECE: u64 = 512 * 1024;
/// The same of a sealed object: whole chunks, which are opened where they are going.
const SEALED_PIECE: u64 = 1024 * 1024;
/// Pieces in memory at once: the one that goes out and the one that is being read.
const AHEAD: usize = 2;
/// The same of a sealed object: opening one takes longer than sending it, so that two are opened at once.
const SEALED_AHEAD: usize = 3;
/// Up to this many bytes are read on the calling thread: a hop to another costs more than the read.
const INLINE: u64 = 64 * 1024;

/// A body of the bytes `start..end` of an object. The first piece is read before this returns, so that an object that
/// cannot be read at all is an error answer and not a broken one.
pub(crate) async fn body(reader: ObjectReader, start: u64, end: u64) -> S3Result<StreamingBlob> {
    if end - start <= INLINE {
        let bytes = read_exact(&reader, start, end).or_s3()?;
        return Ok(StreamingBlob::from(Body::from(bytes)));
    }
    let mut stream = Download {
        reader: Arc::new(reader),
        next: start,
        end,
        left: end - start,
        first: None,
        reading: VecDeque::new(),
        spare: Spare::default(),
    };
    stream.read_ahead();
    if let Some(piece) = stream.reading.pop_front() {
        let bytes = piece.await.map_err(|e| internal("a read ended in a bug", e))?.or_s3()?;
        stream.first = Some(bytes);
        stream.read_ahead();
    }
    Ok(StreamingBlob::new(stream))
}

fn read_exact(reader: &ObjectReader, start: u64, end: u64) -> Result<Bytes> {
    let len = (end - start) as usize;
    let first = reader.read_at(start, len)?;
    if first.len() == len {
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(len);
    let mut piece = first;
    loop {
        if piece.is_empty() {
            return Err(shorter(start));
        }
        all.extend_from_slice(&piece);
        if all.len() >= len {
            all.truncate(len);
            return Ok(all.freeze());
        }
        piece = reader.read_at(start + all.len() as u64, len - all.len())?;
    }
}

struct Download {
    reader: Arc<ObjectReader>,
    next: u64,
    end: u64,
    left: u64,
    first: Option<Bytes>,
    reading: VecDeque<JoinHandle<Result<Bytes>>>,
    spare: Spare,
}

/// Buffers of one download that the connection has sent: the next piece is read into one of them, so that its pages need
/// not be had, and zeroed, anew.
type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// A piece on its way out.
struct Piece {
    bytes: Vec<u8>,
    home: Spare,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.home.lock().push(std::mem::take(&mut self.bytes));
    }
}

/// As [`read_exact`], into a spare buffer.
fn read_piece(reader: &ObjectReader, start: u64, end: u64, home: Spare) -> Result<Bytes> {
    let len = (end - start) as usize;
    let bytes = home.lock().pop();
    let bytes = match bytes {
        Some(mut bytes) => {
            bytes.resize(len, 0);
            bytes
        }
        None => vec![0; len],
    };
    let mut piece = Piece { bytes, home };
    let mut done = 0;
    while done < len {
        let read = reader.read_into(start + done as u64, &mut piece.bytes[done..])?;
        if read == 0 {
            return Err(shorter(start));
        }
        done += read;
    }
    Ok(Bytes::from_owner(piece))
}

fn shorter(start: u64) -> Error {
    Error::new(ErrorKind::Corrupt, "an object is shorter than its size says").with("offset", start)
}

impl Download {
    fn read_ahead(&mut self) {
        let (piece, ahead) = if self.reader.is_sealed() { (SEALED_PIECE, SEALED_AHEAD) } else { (PIECE, AHEAD) };
        while self.next < self.end && self.reading.len() + usize::from(self.first.is_some()) < ahead {
            let (start, end) = (self.next, self.end.min((self.next / piece + 1) * piece));
            let (reader, spare) = (self.reader.clone(), self.spare.clone());
            // What one piece holds may be had without a copy.
            let whole = end - start == self.left;
            self.reading.push_back(tokio::task::spawn_blocking(move || {
                if whole { read_exact(&reader, start, end) } else { read_piece(&reader, start, end, spare) }
            }));
            self.next = end;
        }
    }
}

impl Stream for Download {
    type Item = std::result::Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let bytes = if let Some(first) = this.first.take() {
            first
        } else {
            let Some(piece) = this.reading.front_mut() else { return Poll::Ready(None) };
            let read = ready!(Pin::new(piece).poll(cx));
            this.reading.pop_front();
            let failure: StdError = match read {
                Ok(Ok(bytes)) => {
                    this.left -= bytes.len() as u64;
                    this.read_ahead();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Ok(Err(e)) => Box::new(e),
                Err(e) => Box::new(e),
            };
            // Too late for an error answer: the connection is cut short, which every client notices by the length.
            error!(error = %failure, offset = this.end - this.left, "an object could not be read to its end");
            this.reading.clear();
            return Poll::Ready(Some(Err(failure)));
        };
        this.left -= bytes.len() as u64;
        this.read_ahead();
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl ByteStream for Download {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left as usize)
    }
}
