//! Conditional headers on reads and writes.

use super::support::{Answer, Req, Server, md5_hex};

async fn ask(server: &Server, method: &str, body: &'static str, name: &str, value: &str) -> Answer {
    server.call(Req::new(method, "/bkt/k").body(body).header(name, value)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reads() {
    let server = Server::with_bucket().await;
    server.put("/bkt/k", "one").await.ok();
    let etag = format!("\"{}\"", md5_hex(b"one"));
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for method in ["GET", "HEAD"] {
        let status = async |name: &str, value: &str| ask(&server, method, "", name, value).await.status;
        assert_eq!(status("if-match", &etag).await, 200);
        assert_eq!(status("if-match", &format!("nope, {}", md5_hex(b"one"))).await, 200);
        assert_eq!(status("if-match", "\"nope\"").await, 412);
        assert_eq!(status("if-none-match", &etag).await, 304);
        assert_eq!(status("if-none-match", "*").await, 304);
        assert_eq!(status("if-modified-since", past).await, 200);
        assert_eq!(status("if-unmodified-since", past).await, 412);
        assert_eq!(status("if-unmodified-since", "yesterday").await, 200);
    }
    let unchanged = ask(&server, "GET", "", "if-none-match", &etag).await;
    assert_eq!((unchanged.header("etag"), unchanged.body.len()), (etag.as_str(), 0));
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes() {
    let server = Server::with_bucket().await;
    ask(&server, "PUT", "x", "if-match", "\"abc\"").await.refused(404, "NoSuchKey");
    ask(&server, "PUT", "one", "if-none-match", "*").await.ok();
    ask(&server, "PUT", "two", "if-none-match", "*").await.refused(412, "PreconditionFailed");
    ask(&server, "PUT", "two", "if-none-match", "\"abc\"").await.refused(501, "NotImplemented");
    ask(&server, "PUT", "two", "if-match", "\"abc\"").await.refused(412, "PreconditionFailed");
    ask(&server, "PUT", "two", "if-match", &md5_hex(b"one")).await.ok();
    ask(&server, "DELETE", "", "if-match", &md5_hex(b"one")).await.refused(412, "PreconditionFailed");
    ask(&server, "DELETE", "", "if-match", &md5_hex(b"two")).await.ok();
    server.get("/bkt/k").await.refused(404, "NoSuchKey");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_creators_wins() {
    let server = std::sync::Arc::new(Server::with_bucket().await);
    let create = |i: usize| {
        let server = server.clone();
        tokio::spawn(async move {
            let put = Req::new("PUT", "/bkt/race").body(format!("writer {i}")).header("if-none-match", "*");
            server.call(put).await.status
        })
    };
    let mut wins = Vec::new();
    for (i, job) in (0..8).map(create).collect::<Vec<_>>().into_iter().enumerate() {
        match job.await.unwrap() {
            200 => wins.push(i),
            status => assert_eq!(status, 412),
        }
    }
    assert_eq!(wins.len(), 1);
    assert_eq!(server.get("/bkt/race").await.ok().body, format!("writer {}", wins[0]));
    std::sync::Arc::into_inner(server).unwrap().close().await;
}
