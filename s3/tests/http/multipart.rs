//! Multipart uploads.

use md5::Digest;

use super::support::{Answer, MIB, Req, Server, md5_hex, noise};

const PART: usize = 5 * MIB;

async fn begin(server: &Server, headers: &[(&str, &str)]) -> String {
    let request = headers.iter().fold(Req::new("POST", "/bkt/k?uploads"), |r, (n, v)| r.header(n, v));
    server.call(request).await.ok().element("UploadId").unwrap().to_owned()
}

async fn part(server: &Server, id: &str, number: u32, body: bytes::Bytes) -> Answer {
    server.put(&format!("/bkt/k?partNumber={number}&uploadId={id}"), body).await
}

fn list(parts: &[(u32, String)]) -> String {
    let rows: String = parts
        .iter()
        .map(|(n, etag)| format!("<Part><PartNumber>{n}</PartNumber><ETag>\"{etag}\"</ETag></Part>"))
        .collect();
    format!("<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>")
}

async fn complete(server: &Server, id: &str, parts: &[(u32, String)]) -> Answer {
    server.post(&format!("/bkt/k?uploadId={id}"), list(parts)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_the_object() {
    let server = Server::with_bucket().await;
    let id = begin(&server, &[("content-type", "video/mp4"), ("x-amz-meta-a", "1")]).await;
    let bodies = [(1, noise(PART, 1)), (2, noise(PART + 77, 2)), (9, noise(5, 3))];
    let mut md5 = md5::Md5::new();
    let mut named = Vec::new();
    for (number, body) in &bodies {
        let answer = part(&server, &id, *number, body.clone()).await.ok();
        assert_eq!(answer.header("etag"), format!("\"{}\"", md5_hex(body)));
        md5.update(md5::Md5::digest(body));
        named.push((*number, md5_hex(body)));
    }
    let listed = server.get(&format!("/bkt/k?uploadId={id}&max-parts=2")).await.ok();
    assert_eq!((listed.elements("PartNumber"), listed.element("IsTruncated")), (vec!["1", "2"], Some("true")));
    assert_eq!(server.get("/bkt?uploads").await.ok().elements("Key"), ["k"]);
    assert!(server.get("/bkt").await.ok().elements("Key").is_empty());
    let etag = format!("\"{}-3\"", hex::encode(md5.finalize()));
    assert_eq!(complete(&server, &id, &named).await.ok().element("ETag"), Some(etag.as_str()));
    // The same request again is answered as before; the upload is gone.
    assert_eq!(complete(&server, &id, &named).await.ok().element("ETag"), Some(etag.as_str()));
    part(&server, &id, 1, "x".into()).await.refused(404, "NoSuchUpload");
    let whole: Vec<u8> = bodies.iter().flat_map(|(_, b)| b.to_vec()).collect();
    let got = server.get("/bkt/k").await.ok();
    assert_eq!((got.body == whole, got.header("etag"), got.header("x-amz-meta-a")), (true, etag.as_str(), "1"));
    let second = server.get("/bkt/k?partNumber=2").await.ok();
    assert_eq!((second.status, second.body == bodies[1].1, second.header("x-amz-mp-parts-count")), (206, true, "3"));
    server.get("/bkt/k?partNumber=3").await.refused(416, "InvalidPartNumber");
    let mode = Req::new("HEAD", "/bkt/k").header("x-amz-checksum-mode", "ENABLED");
    let head = server.call(mode).await.ok();
    assert_eq!(head.header("x-amz-checksum-type"), "FULL_OBJECT");
    server.put("/bkt/plain", whole).await.ok();
    let plain = server.call(Req::new("HEAD", "/bkt/plain").header("x-amz-checksum-mode", "ENABLED")).await.ok();
    assert_eq!(head.header("x-amz-checksum-crc64nvme"), plain.header("x-amz-checksum-crc64nvme"));
    assert_eq!(head.header("x-pinfold-cid"), plain.header("x-pinfold-cid"));
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_lists_and_uploads() {
    let server = Server::with_bucket().await;
    let id = begin(&server, &[]).await;
    part(&server, &id, 1, noise(100, 1)).await.ok();
    part(&server, &id, 2, noise(100, 2)).await.ok();
    let (one, two) = ((1, md5_hex(&noise(100, 1))), (2, md5_hex(&noise(100, 2))));
    complete(&server, &id, &[two.clone(), one.clone()]).await.refused(400, "InvalidPartOrder");
    complete(&server, &id, &[one.clone(), (2, "0".repeat(32))]).await.refused(400, "InvalidPart");
    complete(&server, &id, &[one.clone(), (3, two.1.clone())]).await.refused(400, "InvalidPart");
    complete(&server, &id, &[one.clone(), two.clone()]).await.refused(400, "EntityTooSmall");
    complete(&server, &id, &[]).await.refused(400, "MalformedXML");
    let sized = Req::new("POST", &format!("/bkt/k?uploadId={id}"))
        .body(list(std::slice::from_ref(&one)))
        .header("x-amz-mp-object-size", "7");
    server.call(sized).await.refused(400, "InvalidRequest");
    for number in ["0", "10001", "-1", "x"] {
        let path = format!("/bkt/k?partNumber={number}&uploadId={id}");
        server.put(&path, "x").await.refused(400, "InvalidArgument");
    }
    for bad in ["nonsense", "00000000000000000000000000000000"] {
        part(&server, bad, 1, "x".into()).await.refused(404, "NoSuchUpload");
        complete(&server, bad, std::slice::from_ref(&one)).await.refused(404, "NoSuchUpload");
    }
    assert_eq!(server.delete(&format!("/bkt/k?uploadId={id}")).await.status, 204);
    complete(&server, &id, &[one]).await.refused(404, "NoSuchUpload");
    server.get("/bkt/k").await.refused(404, "NoSuchKey");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_completes_at_once_made_the_same_object() {
    let server = std::sync::Arc::new(Server::with_bucket().await);
    let id = begin(&server, &[]).await;
    let body = noise(PART + 1, 4);
    part(&server, &id, 1, body.clone()).await.ok();
    let named = vec![(1, md5_hex(&body))];
    let jobs: Vec<_> = (0..6)
        .map(|_| {
            let (server, id, named) = (server.clone(), id.clone(), named.clone());
            tokio::spawn(async move { complete(&server, &id, &named).await.ok().element("ETag").unwrap().to_owned() })
        })
        .collect();
    let mut etags = Vec::new();
    for job in jobs {
        etags.push(job.await.unwrap());
    }
    etags.dedup();
    assert_eq!(etags.len(), 1);
    assert_eq!(server.get("/bkt/k").await.ok().body, body);
    std::sync::Arc::into_inner(server).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_of_parts_are_composed() {
    let server = Server::with_bucket().await;
    let id = begin(&server, &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")]).await;
    let put = |sum: &str| {
        Req::new("PUT", &format!("/bkt/k?partNumber=1&uploadId={id}"))
            .body("123456789")
            .header("x-amz-checksum-crc32", sum)
    };
    server.call(put("AAAAAA==")).await.refused(400, "BadDigest");
    assert_eq!(server.call(put("y/Q5Jg==")).await.ok().header("x-amz-checksum-crc32"), "y/Q5Jg==");
    let other = Req::new("PUT", &format!("/bkt/k?partNumber=1&uploadId={id}")).body("123456789");
    server.call(other.header("x-amz-checksum-crc32c", "4waSgw==")).await.refused(400, "InvalidRequest");
    let done = |sum: &str| {
        let body = list(&[(1, md5_hex(b"123456789"))]);
        Req::new("POST", &format!("/bkt/k?uploadId={id}")).body(body).header("x-amz-checksum-crc32", sum)
    };
    server.call(done("AAAAAA==")).await.refused(400, "BadDigest");
    assert_eq!(server.call(done("y/Q5Jg==")).await.ok().element("ChecksumCRC32"), Some("y/Q5Jg=="));
    let bad = Req::new("POST", "/bkt/k?uploads")
        .header("x-amz-checksum-algorithm", "SHA1")
        .header("x-amz-checksum-type", "FULL_OBJECT");
    server.call(bad).await.refused(400, "InvalidRequest");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_copied() {
    let server = Server::with_bucket().await;
    let body = noise(2 * PART, 5);
    server.put("/bkt/from", body.clone()).await.ok();
    let id = begin(&server, &[]).await;
    let copy = |number: u32, range: &str| {
        let path = format!("/bkt/k?partNumber={number}&uploadId={id}");
        server.call(
            Req::new("PUT", &path).header("x-amz-copy-source", "/bkt/from").header("x-amz-copy-source-range", range),
        )
    };
    let made = copy(1, "bytes=100-5242979").await.ok();
    let etag = md5_hex(&body[100..100 + PART]);
    assert_eq!(made.element("ETag"), Some(format!("\"{etag}\"").as_str()));
    for bad in ["bytes=0-10485760", "bytes=5-1", "bytes=-5", "0-5"] {
        copy(2, bad).await.refused(400, "InvalidArgument");
    }
    complete(&server, &id, &[(1, etag)]).await.ok();
    assert_eq!(server.get("/bkt/k").await.ok().body, body[100..100 + PART]);
    server.close().await;
}
