//! PUT, GET, HEAD, DELETE and what travels with an object.

use super::support::{MIB, Req, Server, md5_hex, noise};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_sizes_come_back() {
    let server = Server::with_bucket().await;
    for size in [0, 1, 4096, 4097, 65_536, 65_537, MIB - 1, MIB + 1, 5 * MIB + 3] {
        let body = noise(size, size as u64);
        let put = server.put("/bkt/dir/k", body.clone()).await.ok();
        let etag = format!("\"{}\"", md5_hex(&body));
        assert_eq!(put.header("etag"), etag, "{size}");
        let got = server.get("/bkt/dir/k").await.ok();
        assert_eq!(got.body, body, "{size}");
        let head = server.head("/bkt/dir/k").await.ok();
        for answer in [&got, &head] {
            assert_eq!(answer.header("etag"), etag);
            assert_eq!(answer.header("content-length"), size.to_string());
            assert_eq!(answer.header("content-type"), "binary/octet-stream");
            assert_eq!(answer.header("accept-ranges"), "bytes");
            assert!(answer.header("last-modified").ends_with(" GMT"));
            assert_eq!(answer.header("x-pinfold-cid"), put.header("x-pinfold-cid"));
        }
        assert!(put.header("x-pinfold-cid").starts_with("baf"), "{}", put.header("x-pinfold-cid"));
    }
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_who_and_which() {
    let server = Server::with_bucket().await;
    let one = server.get("/bkt/none").await.refused(404, "NoSuchKey");
    let two = server.head("/bkt/none").await;
    assert_ne!(one.header("x-amz-request-id"), two.header("x-amz-request-id"));
    for answer in [&one, &two] {
        assert!(!answer.header("x-amz-id-2").is_empty() && !answer.header("date").is_empty());
        assert_eq!(answer.header("server"), "Pinfold");
    }
    assert_eq!(one.element("RequestId"), Some(one.header("x-amz-request-id")));
    assert_eq!(one.element("Resource"), Some("/bkt/none"));
    assert!(two.status == 404 && two.body.is_empty());
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_metadata_and_tags_travel() {
    let server = Server::with_bucket().await;
    let put = Req::new("PUT", "/bkt/k")
        .body("x")
        .header("content-type", "text/plain")
        .header("content-encoding", "aws-chunked, gzip")
        .header("cache-control", "no-cache")
        .header("content-disposition", "attachment")
        .header("content-language", "de")
        .header("expires", "Wed, 02 Jan 2030 03:04:05 GMT")
        .header("x-amz-meta-one", "1")
        .header("x-amz-meta-empty", "")
        .header("x-amz-tagging", "a=1&b%20c=2");
    server.call(put).await.ok();
    for answer in [server.get("/bkt/k").await.ok(), server.head("/bkt/k").await.ok()] {
        let shown = [
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", "no-cache"),
            ("content-disposition", "attachment"),
            ("content-language", "de"),
            ("expires", "Wed, 02 Jan 2030 03:04:05 GMT"),
            ("x-amz-meta-one", "1"),
            ("x-amz-tagging-count", "2"),
        ];
        for (name, value) in shown {
            assert_eq!(answer.header(name), value, "{name}");
        }
    }
    let over = server.get("/bkt/k?response-content-type=image%2Fpng&response-cache-control=no-store").await.ok();
    assert_eq!((over.header("content-type"), over.header("cache-control")), ("image/png", "no-store"));
    let tags = server.get("/bkt/k?tagging").await.ok();
    assert_eq!(tags.elements("Key"), ["a", "b c"]);
    let set = "<Tagging><TagSet><Tag><Key>only</Key><Value>one</Value></Tag></TagSet></Tagging>";
    server.put("/bkt/k?tagging", set).await.ok();
    assert_eq!(server.get("/bkt/k?tagging").await.ok().elements("Key"), ["only"]);
    server.delete("/bkt/k?tagging").await.ok();
    assert!(server.get("/bkt/k?tagging").await.ok().elements("Key").is_empty());
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_posix_attributes_are_returned_where_sent() {
    let server = Server::with_bucket().await;
    server.put("/bkt/plain", "x").await.ok();
    assert_eq!(server.head("/bkt/plain").await.header("x-amz-meta-mode"), "");
    let put = Req::new("PUT", "/bkt/k")
        .body("x")
        .header("x-amz-meta-mode", "0100640")
        .header("x-amz-meta-uid", "1234")
        .header("x-amz-meta-gid", "5678")
        .header("x-amz-meta-mtime", "1700000000.123456789");
    server.call(put).await.ok();
    let head = server.head("/bkt/k").await.ok();
    assert_eq!(head.header("x-amz-meta-mode"), 0o100_640.to_string());
    assert_eq!((head.header("x-amz-meta-uid"), head.header("x-amz-meta-gid")), ("1234", "5678"));
    assert_eq!(head.header("x-amz-meta-mtime"), "1700000000.123456789");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges() {
    let server = Server::with_bucket().await;
    let body = noise(3 * MIB + 7, 1);
    server.put("/bkt/k", body.clone()).await.ok();
    let ask = |range: &str| server.call(Req::new("GET", "/bkt/k").header("range", range));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1048575-1048576", MIB - 1, MIB + 1),
        ("bytes=5-", 5, body.len()),
        ("bytes=-3", body.len() - 3, body.len()),
        ("bytes=0-99999999", 0, body.len()),
    ] {
        let got = ask(range).await.ok();
        assert_eq!((got.status, got.body == body[from..to]), (206, true), "{range}");
        assert_eq!(got.header("content-range"), format!("bytes {from}-{}/{}", to - 1, body.len()));
    }
    let head = server.call(Req::new("HEAD", "/bkt/k").header("range", "bytes=2-5")).await;
    assert_eq!((head.status, head.header("content-length")), (206, "4"));
    ask("bytes=99999999-").await.refused(416, "InvalidRange");
    for ignored in ["bytes=0-1,5-6", "lines=0-1", "bytes=5-2"] {
        let got = ask(ignored).await.ok();
        assert_eq!((got.status, got.body.len()), (200, body.len()), "{ignored}");
    }
    server.put("/bkt/empty", "").await.ok();
    let of_empty = |range: &str| server.call(Req::new("GET", "/bkt/empty").header("range", range));
    of_empty("bytes=0-").await.refused(416, "InvalidRange");
    assert_eq!(of_empty("bytes=-5").await.ok().status, 200);
    server.get("/bkt/k?partNumber=2").await.refused(416, "InvalidPartNumber");
    assert_eq!(server.get("/bkt/k?partNumber=1").await.ok().body, body);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes() {
    let server = Server::with_bucket().await;
    server.put("/bkt/k", "x").await.ok();
    assert_eq!(server.delete("/bkt/k").await.status, 204);
    assert_eq!(server.delete("/bkt/k").await.status, 204);
    server.get("/bkt/k").await.refused(404, "NoSuchKey");
    for key in ["1", "2", "3"] {
        server.put(&format!("/bkt/{key}"), "x").await.ok();
    }
    let body =
        "<Delete><Object><Key>1</Key></Object><Object><Key>2</Key></Object><Object><Key>none</Key></Object></Delete>";
    let md5 = |body: &str| {
        use base64::Engine;
        use md5::Digest;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body))
    };
    let many = |body: &str, md5: &str| Req::new("POST", "/bkt?delete").body(body.to_owned()).header("content-md5", md5);
    server.post("/bkt?delete", body).await.refused(400, "InvalidRequest");
    server.call(many(body, &md5("other"))).await.refused(400, "BadDigest");
    assert_eq!(server.call(many(body, &md5(body))).await.ok().elements("Key"), ["1", "2", "none"]);
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>3</Key></Object></Delete>";
    assert!(server.call(many(quiet, &md5(quiet))).await.ok().elements("Key").is_empty());
    assert!(server.get("/bkt").await.ok().elements("Key").is_empty());
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes() {
    let server = Server::with_bucket().await;
    server.put("/bkt/k", "abc").await.ok();
    let ask = |names: &str| server.call(Req::new("GET", "/bkt/k?attributes").header("x-amz-object-attributes", names));
    let got = ask("ETag,ObjectSize,StorageClass,Checksum").await.ok();
    assert_eq!(got.element("ETag"), Some(md5_hex(b"abc").as_str()));
    assert_eq!((got.element("ObjectSize"), got.element("StorageClass")), (Some("3"), Some("STANDARD")));
    assert!(got.element("ChecksumCRC64NVME").is_some());
    assert!(ask("ObjectSize").await.ok().element("ETag").is_none());
    ask("Colour").await.refused(400, "InvalidArgument");
    server.close().await;
}
