//! An answer's body on its way out: counted, and the request's place among those in flight is kept until it is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use s3s::StdError;
use tokio::sync::OwnedSemaphorePermit;

use crate::accesslog::{AccessLogs, Record};
use crate::bucketlog::{BucketLogs, Entry};
use crate::limits::Pace;
use crate::metrics::{self, Counted};
use crate::scope::Scope;

/// The body of an answer.
pub(crate) struct Answer {
    inner: s3s::Body,
    scope: Arc<Scope>,
    sent: u64,
    whole: bool,
    _place: Option<OwnedSemaphorePermit>,
    _counted: Counted,
    pace: Pace,
    /// A piece that is not paid yet.
    held: Option<Bytes>,
    records: Option<Box<Records>>,
}

/// What is told of a request once its answer is gone.
pub(crate) struct Records {
    /// A line of the access log, and whether it is the admin API's.
    pub(crate) of_all: Option<(Record, bool)>,
    /// The access logs.
    pub(crate) logs: Arc<AccessLogs>,
    /// A line of its bucket's log.
    pub(crate) of_bucket: Option<Entry>,
    /// The logs of buckets.
    pub(crate) bucket_logs: Arc<BucketLogs>,
}

impl Records {
    fn write(&mut self, sent: u64, took: u64) {
        if let Some((record, of_admin)) = &mut self.of_all
            && let Some(sink) = self.logs.sink(*of_admin)
        {
            (record.bytes_sent, record.total_time) = (sent, took);
            sink.write(record);
        }
        if let Some(entry) = &mut self.of_bucket {
            (entry.record.bytes_sent, entry.record.total_time) = (sent, took);
            self.bucket_logs.write(entry);
        }
    }
}

impl Answer {
    pub(crate) fn new(
        inner: s3s::Body,
        scope: Arc<Scope>,
        place: Option<OwnedSemaphorePermit>,
        counted: Counted,
        records: Option<Box<Records>>,
    ) -> Self {
        let whole = inner.is_end_stream();
        Self {
            inner,
            scope,
            sent: 0,
            whole,
            _place: place,
            _counted: counted,
            pace: Pace::default(),
            held: None,
            records,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let frame = loop {
            if let (Some(_), Some(payer)) = (&this.held, this.scope.payer()) {
                ready!(this.pace.poll_paid(cx, payer));
            }
            if let Some(held) = this.held.take() {
                break Some(Ok(Frame::data(held)));
            }
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            match (frame, this.scope.payer()) {
                (Some(Ok(frame)), Some(payer)) if frame.is_data() => {
                    this.held = frame.into_data().ok();
                    this.pace.charge(payer, this.held.as_ref().map_or(0, Bytes::len));
                }
                (frame, _) => break frame,
            }
        };
        match &frame {
            Some(Ok(frame)) => this.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => {}
            None => this.whole = true,
        }
        this.whole |= this.inner.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_none() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let scope = &self.scope;
        if let Some(mut records) = self.records.take() {
            records.write(self.sent, u64::try_from(scope.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
        metrics::finished(scope.operation(), scope.started.elapsed(), scope.received(), self.sent, self.whole);
    }
}
