//! The file of a form as the body of a PutObject.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use multer::{Field, Multipart};
use s3s::StdError;

use crate::scope::{BodyFailure, Scope};

/// Marks a PutObject whose body says itself how long it may be: nobody knows a form's file's length before its end.
#[derive(Clone, Copy)]
pub(crate) struct FormFile;

/// The file, of which nothing was read yet.
pub(super) struct File {
    field: Field<'static>,
    /// What the field is read through.
    _form: Multipart<'static>,
}

impl File {
    pub(super) fn new(form: Multipart<'static>, field: Field<'static>) -> Self {
        Self { field, _form: form }
    }

    /// The file as a body of `range.0` to `range.1` bytes.
    pub(super) fn bounded(self, range: (u64, u64), scope: Arc<Scope>) -> Bounded {
        Bounded { file: self, range, seen: 0, scope }
    }
}

/// See [`File::bounded`].
pub(super) struct Bounded {
    file: File,
    range: (u64, u64),
    seen: u64,
    scope: Arc<Scope>,
}

impl Bounded {
    fn fail(&self, failure: BodyFailure) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.scope.fail(failure);
        Poll::Ready(Some(Err("a form's file failed".into())))
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let piece = ready!(Pin::new(&mut self.file.field).poll_next(cx));
        let (min, max) = self.range;
        match piece {
            Some(Ok(bytes)) => {
                self.seen += bytes.len() as u64;
                if self.seen > max {
                    // So far: how long it is in the end, nobody knows.
                    let seen = self.seen;
                    return self.fail(BodyFailure::FileTooLarge(seen, max));
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(_)) => self.fail(BodyFailure::Form),
            None if self.seen < min => {
                let seen = self.seen;
                self.fail(BodyFailure::FileTooSmall(seen, min))
            }
            None => Poll::Ready(None),
        }
    }
}
