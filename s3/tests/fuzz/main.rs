//! The S3 door under mutated requests: a corpus with every kind of XML body, query and header is changed at random and sent
//! to a server in this process. Whatever comes, the answer is well-formed, no answer is 500, nothing panics or hangs,
//! and what the requests have no name for is as it was.
//!
//! `PINFOLD_TEST_FUZZ_SECONDS` runs it for a time instead of a number of cases; `PINFOLD_TEST_FUZZ_SEED` repeats a run. A
//! failure prints both the seed and the case.

#![allow(clippy::unwrap_used)] // helpers of tests, outside the functions that clippy knows as tests

mod corpus;
mod mutate;
#[allow(dead_code, reason = "the other suite's helpers: not all of them are of use here")]
#[path = "../http/support/mod.rs"]
mod support;
mod verdict;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;

use corpus::{Case, Names};
use mutate::Random;
use support::{Answer, Server};

/// Cases of a run that nobody gave a time.
const CASES: usize = 10_000;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Panics of any thread: the door turns its own into answers, and hides them from a test that looks at answers only.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_breaks_the_door() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("PINFOLD_TEST_FUZZ_SEED").unwrap_or(now.as_nanos() as u64 & 0xffff_ffff);
    let until = number("PINFOLD_TEST_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random::new(seed);
    let server = Server::with_bucket().await;
    server.put("/bkt/kept", "kept").await.ok();
    let mut names = prepare(&server).await;
    let mut seen = verdict::Seen::default();
    for done in 0.. {
        if until.map_or(done >= CASES, |until| Instant::now() >= until) {
            break;
        }
        if done % 250 == 249 {
            // What the requests made or took away is put in order again.
            alive(&server, seed, done).await;
            names = prepare(&server).await;
        }
        let case = mutate::case(&mut random, &corpus::cases(&names));
        let request = signed(&case, &mut random, &server);
        let shown = format!("seed {seed}, case {done}: {case:?}");
        let answer = tokio::time::timeout(PATIENCE, send(&server, request)).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer: {shown}"));
        // A server may cut the connection where a request's framing cannot be told from the next one's.
        let Some(answer) = answer else { continue };
        if let Err(why) = verdict::check(&case, &answer) {
            panic!("{why}: {} {:?}\n{shown}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked: {shown}");
        seen.count(&answer);
    }
    alive(&server, seed, 0).await;
    seen.is_broad(seed);
    server.close().await;
}

/// The things that the corpus names.
async fn prepare(server: &Server) -> Names {
    // Of an earlier round; either answer will do.
    server.put("/fuzz", "").await;
    server.put("/fuzz/k", "0123456789").await;
    let created = server.post("/fuzz/up?uploads", "").await;
    let upload = created.element("UploadId").unwrap_or("none").to_owned();
    let part = server.put(&format!("/fuzz/up?partNumber=1&uploadId={upload}"), "part").await;
    Names { upload, etag: part.header("etag").trim_matches('"').to_owned() }
}

/// What no request of the corpus names is untouched, and the server works.
async fn alive(server: &Server, seed: u64, done: usize) {
    let kept = server.get("/bkt/kept").await;
    assert_eq!((kept.status, kept.body.as_ref()), (200, &b"kept"[..]), "seed {seed}, before case {done}");
    let listing = server.get("/bkt").await.ok();
    assert_eq!(listing.elements("Key"), ["kept"], "seed {seed}, before case {done}");
}

/// Signed as it is after its mutations; now and then changed again behind the signature.
fn signed(case: &Case, random: &mut Random, server: &Server) -> Request<Full<Bytes>> {
    let request = case.request().signed(server.address);
    if !random.one_in(6) {
        return request;
    }
    let (mut head, body) = request.into_parts();
    let bytes = futures::executor::block_on(body.collect()).unwrap().to_bytes();
    let bytes = if random.one_in(2) { Bytes::from(mutate::bytes(random, &bytes)) } else { bytes };
    if random.one_in(2) {
        mutate::header(random, &mut head.headers);
    }
    head.headers.remove("content-length");
    Request::from_parts(head, Full::new(bytes))
}

/// `None` if the server closed the connection without an answer.
async fn send(server: &Server, request: Request<Full<Bytes>>) -> Option<Answer> {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.ok()?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    drop(sender);
    let _ = connection.await;
    let text = |v: &hyper::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    Some(Answer { status: head.status.as_u16(), headers, body })
}
