//! Answers that take long. CompleteMultipartUpload of odd parts and UploadPartCopy read and write whole objects; while
//! they do, the client gets a `200` and whitespace before the XML, as AWS does it, so that neither it nor a proxy
//! between gives up. Clients look for an `<Error>` in such a 200; all SDKs do.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use s3s::{Body, HttpResponse, StdError};
use tokio::time::Interval;

const DECLARATION: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
/// Whitespace is sent this often.
const EVERY: Duration = Duration::from_secs(5);

/// Waits for an answer; if it takes longer than `patience`, answers with one that keeps the connection alive.
pub(crate) async fn answer(pending: BoxFuture<'static, HttpResponse>, patience: Duration) -> HttpResponse {
    answer_every(pending, patience, EVERY).await
}

async fn answer_every(
    mut pending: BoxFuture<'static, HttpResponse>,
    patience: Duration,
    every: Duration,
) -> HttpResponse {
    if let Ok(answer) = tokio::time::timeout(patience, &mut pending).await {
        return answer;
    }
    let every = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let waiting = Waiting { state: State::Begin, pending: Some(pending), every };
    let mut answer = HttpResponse::new(Body::http_body_unsync(waiting));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

enum State {
    Begin,
    Waiting,
    Body(Body, bool),
}

struct Waiting {
    state: State,
    pending: Option<BoxFuture<'static, HttpResponse>>,
    every: Interval,
}

impl http_body::Body for Waiting {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Begin => {
                    this.state = State::Waiting;
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(DECLARATION)))));
                }
                State::Waiting => {
                    let Some(pending) = &mut this.pending else { return Poll::Ready(None) };
                    if let Poll::Ready(answer) = pending.as_mut().poll(cx) {
                        this.pending = None;
                        this.state = State::Body(answer.into_body(), true);
                        continue;
                    }
                    ready!(this.every.poll_tick(cx));
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))));
                }
                State::Body(body, first) => {
                    let frame = ready!(Pin::new(body).poll_frame(cx));
                    let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
                    let Ok(mut data) = frame.into_data() else { continue };
                    // The declaration is out already; s3s's XML comes in one piece.
                    if std::mem::take(first) && data.starts_with(DECLARATION) {
                        data = data.slice(DECLARATION.len()..);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use http_body_util::BodyExt;

    fn xml() -> HttpResponse {
        HttpResponse::new(Body::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Result/>".to_owned()))
    }

    #[tokio::test]
    async fn a_quick_answer_is_left_alone() {
        let answer = answer(async { xml() }.boxed(), Duration::from_secs(60)).await;
        assert!(answer.body().bytes().is_some());
    }

    #[tokio::test]
    async fn a_slow_one_is_kept_alive_with_one_declaration() {
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let slow = async {
            let _ = released.await;
            xml()
        };
        let mut body = answer_every(slow.boxed(), Duration::ZERO, Duration::from_millis(1)).await.into_body();
        let mut seen = Vec::new();
        let mut release = Some(release);
        while let Some(frame) = body.frame().await {
            seen.extend_from_slice(&frame.unwrap().into_data().unwrap());
            if seen.ends_with(b"  ")
                && let Some(release) = release.take()
            {
                release.send(()).unwrap();
            }
        }
        let text = String::from_utf8(seen).unwrap();
        let rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>  ").unwrap();
        assert_eq!(rest.trim_start(), "<Result/>");
    }
}
