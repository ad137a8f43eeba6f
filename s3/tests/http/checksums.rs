//! Checksums in headers and trailers, signed chunks, and bodies that are not what they were said to be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::support::{MIB, Payload, Req, Server, noise};

/// Of `123456789`: CRC catalogue and the SHA standards.
const SUMS: [(&str, &str); 5] = [
    ("x-amz-checksum-crc32", "y/Q5Jg=="),
    ("x-amz-checksum-crc32c", "4waSgw=="),
    ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
    ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
];
const BODY: &str = "123456789";

async fn shown(server: &Server, name: &str) -> String {
    let head = server.call(Req::new("HEAD", "/bkt/k").header("x-amz-checksum-mode", "ENABLED")).await.ok();
    head.header(name).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_is_verified_and_kept() {
    let server = Server::with_bucket().await;
    for (name, value) in SUMS {
        let put = |v: &str| Req::new("PUT", "/bkt/k").body(BODY).header(name, v);
        assert_eq!(server.call(put(value)).await.ok().header(name), value);
        assert_eq!(shown(&server, name).await, value);
        assert_eq!(server.head("/bkt/k").await.header(name), "", "only when asked for");
        let wrong = STANDARD.encode(vec![7; STANDARD.decode(value).unwrap().len()]);
        server.call(put(&wrong)).await.refused(400, "BadDigest");
        server.call(put("short")).await.refused(400, "InvalidRequest");
        assert_eq!(shown(&server, name).await, value);
    }
    server.put("/bkt/k", BODY).await.ok();
    assert_eq!(shown(&server, "x-amz-checksum-crc64nvme").await, "rosUhgp5mIg=");
    assert_eq!(shown(&server, "x-amz-checksum-sha256").await, "", "S12: no old checksum stays");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_signed_and_not() {
    let server = Server::with_bucket().await;
    let body = noise(300_001, 3);
    for (name, value) in SUMS {
        let trailer = |v: &str| vec![(name.to_owned(), v.to_owned())];
        for payload in [Payload::Chunks(65536, trailer(value)), Payload::Unsigned(65536, trailer(value))] {
            let good = Req::new("PUT", "/bkt/k").body(BODY).payload(payload.clone());
            assert_eq!(server.call(good).await.ok().header(name), value, "{payload:?}");
            assert_eq!(server.get("/bkt/k").await.ok().body, BODY);
            let other = Req::new("PUT", "/bkt/other").body(body.clone()).payload(payload);
            server.call(other).await.refused(400, "BadDigest");
        }
    }
    let none = Req::new("PUT", "/bkt/k").body(body.clone()).payload(Payload::Unsigned(300_001, Vec::new()));
    server.call(none).await.ok();
    assert_eq!(server.get("/bkt/k").await.ok().body, body);
    server.get("/bkt/other").await.refused(404, "NoSuchKey");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_chunks_are_what_was_signed() {
    let server = Server::with_bucket().await;
    let body = noise(2 * MIB + 5, 4);
    let put = Req::new("PUT", "/bkt/k").body(body.clone()).payload(Payload::Chunks(100_000, Vec::new()));
    server.call(put.clone()).await.ok();
    assert_eq!(server.get("/bkt/k").await.ok().body, body);
    server.delete("/bkt/k").await.ok();
    use http_body_util::{BodyExt, Full};
    let spoil = async |change: fn(&mut Vec<u8>)| {
        let (mut head, full) = put.clone().signed(server.address).into_parts();
        let mut bytes = full.collect().await.unwrap().to_bytes().to_vec();
        change(&mut bytes);
        head.headers.insert("content-length", bytes.len().into());
        server.send(hyper::Request::from_parts(head, Full::new(bytes.into()))).await
    };
    spoil(|b| b[150_000] ^= 1).await.refused(403, "SignatureDoesNotMatch");
    spoil(|b| b.truncate(1_000_000)).await.refused(400, "IncompleteBody");
    // The last chunk alone is missing: all bytes are there and signed, and still somebody cut the body.
    spoil(|b| b.truncate(b.len() - 86 - 4)).await.refused(400, "IncompleteBody");
    spoil(|b| b.insert(0, b'z')).await.refused(400, "IncompleteBody");
    server.get("/bkt/k").await.refused(404, "NoSuchKey");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_of_the_whole_body() {
    let server = Server::with_bucket().await;
    let md5 = |v: &str| server.call(Req::new("PUT", "/bkt/k").body(BODY).header("content-md5", v));
    md5("JfnnlDI7RTiF9RgfGDvwOQ==").await.refused(400, "BadDigest");
    md5("!!").await.refused(400, "InvalidDigest");
    md5("JfnnlDI7RTiF9RgfG2JNCw==").await.ok();
    let sha = |path: &str, method: &str| {
        let other = Payload::Text("0".repeat(64));
        server.call(
            Req::new(method, path).body("<Delete/>").header("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==").payload(other),
        )
    };
    sha("/bkt/other", "PUT").await.refused(400, "XAmzContentSHA256Mismatch");
    server.get("/bkt/other").await.refused(404, "NoSuchKey");
    let two = Req::new("PUT", "/bkt/k").body(BODY).header(SUMS[0].0, SUMS[0].1).header(SUMS[1].0, SUMS[1].1);
    server.call(two).await.refused(400, "InvalidRequest");
    server.close().await;
}
