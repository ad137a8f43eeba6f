//! The clients against servers of a few lines that do what real ones do when they fail.

mod real;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Auth, ClientSettings, ClusterClient, KuboClient, PinOptions, StatusFilter};
use crate::error::ErrorKind;
use crate::unixfs::raw_cid;

/// A server that answers each request with what `answer` makes of its head; nothing is a connection that ends.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let (count, answer) = (requests.clone(), Arc::new(answer));
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (count, answer) = (count.clone(), answer.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    let mut more = [0; 1024];
                    match stream.read(&mut more).await {
                        Ok(n) if n > 0 => head.extend_from_slice(&more[..n]),
                        _ => return,
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                let text = answer(&String::from_utf8_lossy(&head));
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    Server { url, requests, task }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn refuse(status: &str, message: &str) -> String {
    let body = format!(r#"{{"code":0,"message":"{message}"}}"#);
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str, trailer: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: X-Stream-Error\r\n\r\n{:x}\r\n{body}\r\n0\r\n{trailer}\r\n",
        body.len()
    )
}

fn settings(urls: &[&str]) -> ClientSettings {
    ClientSettings {
        retries: 0,
        retry_pause: Duration::from_millis(1),
        timeout: Duration::from_millis(500),
        breaker_failures: 2,
        breaker_pause: Duration::from_millis(200),
        ..ClientSettings::new(urls.iter().map(|url| (*url).to_owned()).collect())
    }
}

const VERSION: &str = r#"{"version":"1.1.6"}"#;

#[tokio::test]
async fn requests_go_round_and_past_the_dead_which_are_found_again() {
    let first = serve(|_| ok(VERSION)).await;
    let second = serve(|_| ok(VERSION)).await;
    let client = ClusterClient::new(settings(&[&first.url, &second.url])).unwrap();
    for _ in 0..6 {
        assert_eq!(client.version().await.unwrap(), "1.1.6");
    }
    assert_eq!((first.requests.load(Ordering::SeqCst), second.requests.load(Ordering::SeqCst)), (3, 3));

    // A port where nobody listens any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let dead = format!("http://{address}");
    let client = ClusterClient::new(settings(&[&dead, &second.url])).unwrap();
    for _ in 0..6 {
        client.version().await.unwrap();
    }
    assert_eq!(client.left_alone(), std::slice::from_ref(&dead));
    assert_eq!(client.check().await, 1);
    // It is back: a check finds it, without waiting for a request to try.
    let listener = TcpListener::bind(address).await.unwrap();
    let back = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(ok("{}").as_bytes()).await;
        }
    });
    assert_eq!(client.check().await, 2);
    assert!(client.left_alone().is_empty());
    back.abort();
}

#[tokio::test]
async fn nonsense_hangs_and_refusals_are_told_apart() {
    let garbage = serve(|_| ok("<html>")).await;
    let hanging = serve(|_| {
        std::thread::sleep(Duration::from_millis(1));
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned()
    })
    .await;
    let missing = serve(|_| refuse("404 Not Found", "not found in state")).await;
    let busy = serve(|_| refuse("500 Internal Server Error", "not enough peers")).await;
    let well = serve(|_| ok(VERSION)).await;

    for bad in [&garbage, &hanging, &busy] {
        let client = ClusterClient::new(settings(&[&bad.url, &well.url])).unwrap();
        for _ in 0..4 {
            assert_eq!(client.version().await.unwrap(), "1.1.6", "the other server answers");
        }
        let alone = ClusterClient::new(settings(&[&bad.url])).unwrap();
        let error = alone.version().await.unwrap_err();
        assert!(error.kind() != ErrorKind::NotFound, "{error}");
    }
    let client = ClusterClient::new(settings(&[&busy.url])).unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!((error.kind(), error.context("message")), (ErrorKind::Io, Some("not enough peers")));
    assert!(client.left_alone().is_empty(), "it answers, after all");

    // What is refused is refused: nobody else is asked.
    let client = ClusterClient::new(settings(&[&missing.url])).unwrap();
    assert_eq!(client.unpin(&raw_cid(b"x")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(missing.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_nobody_answers_nobody_is_asked_much() {
    let dead = serve(|_| String::new()).await;
    let client = ClusterClient::new(settings(&[&dead.url])).unwrap();
    for _ in 0..50 {
        assert_eq!(client.version().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let asked = dead.requests.load(Ordering::SeqCst);
    assert!(asked < 20, "the breaker holds most of 50 requests back, not {asked}");
}

#[tokio::test]
async fn requests_are_repeated_a_bounded_number_of_times() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let shaky = serve(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => refuse("503 Service Unavailable", "soon"),
        _ => ok(VERSION),
    })
    .await;
    let settings = ClientSettings { retries: 2, breaker_failures: 10, ..settings(&[&shaky.url]) };
    assert_eq!(ClusterClient::new(settings.clone()).unwrap().version().await.unwrap(), "1.1.6");
    assert_eq!(count.load(Ordering::SeqCst), 3);
    count.store(0, Ordering::SeqCst);
    let once = ClientSettings { retries: 1, ..settings };
    assert!(ClusterClient::new(once).unwrap().version().await.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn streams_tell_of_errors_at_their_end() {
    let line = format!(r#"{{"cid":"{}","peer_map":null}}"#, raw_cid(b"x"));
    let two = format!("{line}\n{line}\n");
    let whole = serve({
        let two = two.clone();
        move |_| chunked(&two, "")
    })
    .await;
    let failing = serve(move |_| chunked(&two, "X-Stream-Error: the state cannot be read\r\n")).await;
    let torn = serve(move |_| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{line}\n", line.len() + 100)
    })
    .await;
    let count = async |url: &str| {
        let mut count = 0;
        let client = ClusterClient::new(settings(&[url])).unwrap();
        let mut visit = |_| {
            count += 1;
            Ok(())
        };
        let outcome = client.filtered(StatusFilter::Troubled, &mut visit).await;
        (outcome.map_err(|e| (e.kind(), e.context("message").map(str::to_owned))), count)
    };
    assert_eq!(count(&whole.url).await, (Ok(()), 2));
    let told = Err((ErrorKind::Io, Some("the state cannot be read".to_owned())));
    assert_eq!(count(&failing.url).await, (told, 2));
    assert_eq!(count(&torn.url).await, (Err((ErrorKind::Unavailable, None)), 1));
}

#[tokio::test]
async fn a_line_without_an_end_is_not_kept() {
    let endless = serve(|_| {
        let big = "x".repeat(9 << 20);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{big}", big.len())
    })
    .await;
    let client = ClusterClient::new(settings(&[&endless.url])).unwrap();
    let error = client.allocations(&mut |_| Ok(())).await.unwrap_err();
    assert_eq!(error.message(), "a line of an IPFS server has no end");
    let whole = KuboClient::new(settings(&[&endless.url])).unwrap();
    assert!(whole.block_get(&raw_cid(b"x")).await.is_err());
}

#[tokio::test]
async fn who_asks_is_said_and_tokens_are_renewed() {
    let sold = Arc::new(AtomicUsize::new(0));
    let seller = sold.clone();
    let server = serve(move |head| {
        let has = |text: &str| head.to_ascii_lowercase().contains(text);
        // "user:secret"
        if head.starts_with("POST /token") && has("authorization: basic dxnlcjpzzwnyzxq=") {
            return ok(&format!(r#"{{"token":"t{}"}}"#, seller.fetch_add(1, Ordering::SeqCst)));
        }
        // The first token is old already.
        if has("authorization: bearer t1") { ok(VERSION) } else { refuse("401 Unauthorized", "who?") }
    })
    .await;
    let (user, password) = ("user".to_owned(), "secret".to_owned().into());
    let auth = Auth::Token { user, password };
    assert!(!format!("{auth:?}").contains("secret"));
    let client = ClusterClient::new(ClientSettings { auth, ..settings(&[&server.url]) }).unwrap();
    client.version().await.unwrap();
    client.version().await.unwrap();
    assert_eq!(sold.load(Ordering::SeqCst), 2);
    let nobody = ClusterClient::new(settings(&[&server.url])).unwrap();
    assert_eq!(nobody.version().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn all_options_of_a_pin_are_sent() {
    let expected = [
        "POST /base/pins/",
        "mode=recursive",
        "replication-min=2",
        "replication-max=3",
        "name=a+%26+b",
        "user-allocations=p1%2Cp2",
        "expire-at=2033-05-18T03%3A33%3A20Z",
        "meta-k=v",
        "pin-update=baf",
        "origins=%2Fip4%2F127.0.0.1",
    ];
    let server = serve(move |head| {
        let missing: Vec<_> = expected.iter().filter(|part| !head.contains(**part)).collect();
        if missing.is_empty() {
            ok(r#"{"cid":"x"}"#)
        } else {
            refuse("400 Bad Request", &format!("{missing:?}").replace('"', ""))
        }
    })
    .await;
    let client = ClusterClient::new(settings(&[&format!("{}/base", server.url)])).unwrap();
    let options = PinOptions {
        name: "a & b".to_owned(),
        replication_min: 2,
        replication_max: 3,
        user_allocations: vec!["p1".to_owned(), "p2".to_owned()],
        expire_at: Some(std::time::UNIX_EPOCH + Duration::from_secs(2_000_000_000)),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        update: Some(raw_cid(b"old")),
        origins: vec!["/ip4/127.0.0.1/tcp/4001/p2p/x".to_owned()],
        ..PinOptions::default()
    };
    client.pin(&raw_cid(b"new"), &options).await.unwrap();
}

#[test]
fn urls_that_are_none_are_refused() {
    for bad in ["127.0.0.1:9094", "ftp://h/", "http://u:p@h/", "http://h/?q", ""] {
        let error = ClusterClient::new(settings(&[bad])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
    assert!(ClusterClient::new(settings(&[])).is_err());
}
