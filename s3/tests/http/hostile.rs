//! Requests that no honest client sends.

use super::support::{Payload, Req, Server, noise};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes and reads the answer: to the end of an error, or until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.contains("</Error>") {
        match stream.read(&mut buffer).await {
            Ok(n @ 1..) => answer += &String::from_utf8_lossy(&buffer[..n]),
            _ => break,
        }
    }
    answer
}

async fn alive(server: Server) {
    server.put("/bkt/alive", "yes").await.ok();
    assert_eq!(server.get("/bkt/alive").await.ok().body, "yes");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_beyond_the_rules() {
    let server = Server::with_bucket().await;
    let long = |n: usize| format!("/bkt/{}", "k".repeat(n));
    server.put(&long(1024), "x").await.ok();
    server.put(&long(1025), "x").await.refused(400, "KeyTooLongError");
    server.put("/bkt/a%00b", "x").await.refused(400, "InvalidArgument");
    for path in ["/bkt/%FF", "/bkt/%C3", "/bkt/%ED%A0%80"] {
        let answer = server.put(path, "x").await;
        assert!((400..500).contains(&answer.status), "{path} {}", answer.status);
    }
    for odd in ["//", "/a", "a//b", "./x", "../x", "a/../b"] {
        let path = format!("/bkt/{odd}");
        server.put(&path, "odd").await.ok();
        assert_eq!(server.get(&path).await.ok().body, "odd", "{odd}");
        server.delete(&path).await.ok();
    }
    server.delete(&long(1024)).await.ok();
    assert!(server.get("/bkt").await.ok().elements("Key").is_empty());
    alive(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_of_all_kinds() {
    let server = Server::with_bucket().await;
    let deep = "<a>".repeat(100_000);
    let entities = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><Delete><Object><Key>&e;</Key></Object></Delete>";
    for body in ["", "text", "<Delete>", "<Wrong/>", "<Delete><Object></Object></Delete>", &deep, entities] {
        use base64::Engine;
        use md5::Digest;
        let md5 = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body));
        let answer =
            server.call(Req::new("POST", "/bkt?delete").body(body.to_owned()).header("content-md5", &md5)).await;
        assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
        assert!(!answer.text().contains("root:"));
    }
    let endless = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(295_000));
    let answer = server
        .call(Req::new("POST", "/bkt?delete").body(endless).payload(Payload::Text("UNSIGNED-PAYLOAD".into())))
        .await;
    assert_eq!(answer.refused(400, "MaxMessageLengthExceeded").status, 400);
    alive(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http() {
    let server = Server::with_bucket().await;
    for bytes in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"PUT /x HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        b"PUT /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let answer = raw(&server, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let head = format!("GET /bkt HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(40_000));
    let answer = raw(&server, head.as_bytes()).await;
    assert!(answer.contains("RequestHeaderSectionTooLarge"), "{answer}");
    let answer = raw(&server, format!("GET /bkt HTTP/1.1\r\nx-long: {}\r\n\r\n", "a".repeat(600_000)).as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    alive(server).await;
}

/// A request's head and as much of its body as is given.
async fn cut(server: &Server, path: &str, length: usize, body: &[u8], payload: &str, extra: &str) -> TcpStream {
    let signed = Req::new("PUT", path).payload(Payload::Text(payload.to_owned())).signed(server.address);
    let mut head = format!("PUT {path} HTTP/1.1\r\n");
    for (name, value) in signed.headers().iter().filter(|(n, _)| *n != "content-length") {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head += &format!("content-length: {length}\r\n{extra}\r\n");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disappears_leaves_the_old_object() {
    let server = Server::with_bucket().await;
    server.put("/bkt/k", "old").await.ok();
    for size in [1000, 100_000, 3 << 20] {
        let stream = cut(&server, "/bkt/k", size, &noise(size * 3 / 4, 1), "UNSIGNED-PAYLOAD", "").await;
        drop(stream);
        drop(cut(&server, "/bkt/new", size, &noise(size / 2, 2), "UNSIGNED-PAYLOAD", "").await);
    }
    assert_eq!(server.get("/bkt/k").await.ok().body, "old");
    assert_eq!(server.get("/bkt").await.ok().elements("Key"), ["k"]);
    alive(server).await;
}

async fn status_line(mut stream: TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let n = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_asked_for_only_when_it_is_wanted() {
    let server = Server::with_bucket().await;
    let expect = "expect: 100-continue\r\n";
    let refused = status_line(cut(&server, "/none/k", 5, b"", "UNSIGNED-PAYLOAD", expect).await).await;
    assert!(refused.starts_with("HTTP/1.1 404") && refused.contains("connection: close"), "{refused}");
    let too_large = status_line(cut(&server, "/bkt/k", (5 << 30) + 1, b"", "UNSIGNED-PAYLOAD", expect).await).await;
    assert!(too_large.starts_with("HTTP/1.1 400") && too_large.contains("EntityTooLarge"), "{too_large}");
    let mut stream = cut(&server, "/bkt/k", 5, b"", "UNSIGNED-PAYLOAD", expect).await;
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert!(status_line(stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.get("/bkt/k").await.ok().body, "hello");
    alive(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_does_not_become_the_next_request() {
    let server = Server::with_bucket().await;
    // The body of the refused request looks like a request of its own.
    let inner = b"GET /bkt HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = cut(&server, "/none/k", inner.len(), inner, "UNSIGNED-PAYLOAD", "connection: close\r\n").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    alive(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_length_and_metadata_without_end() {
    let server = Server::with_bucket().await;
    let signed = Req::new("PUT", "/bkt/k").payload(Payload::Text("UNSIGNED-PAYLOAD".into())).signed(server.address);
    let lines: String = signed
        .headers()
        .iter()
        .filter(|(n, _)| *n != "content-length")
        .map(|(n, v)| format!("{n}: {}\r\n", v.to_str().unwrap()))
        .collect();
    let answer = raw(&server, format!("PUT /bkt/k HTTP/1.1\r\n{lines}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    let much = Req::new("PUT", "/bkt/k").body("x").header("x-amz-meta-a", &"v".repeat(2100));
    server.call(much).await.refused(400, "MetadataTooLarge");
    let many = (0..120)
        .fold(Req::new("PUT", "/bkt/k").body("x"), |r, i| r.header(&format!("x-amz-meta-{i}"), &"v".repeat(20)));
    server.call(many).await.refused(400, "MetadataTooLarge");
    for method in ["PATCH", "TRACE", "BREW", "OPTIONS"] {
        let answer = server.call(Req::new(method, "/bkt/k")).await;
        assert!((400..600).contains(&answer.status) && answer.status != 500, "{method} {}", answer.status);
    }
    alive(server).await;
}
