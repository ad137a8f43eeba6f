//! CopyObject and UploadPartCopy.

use super::support::{MIB, Req, Server, md5_hex, noise};

fn copy(to: &str, from: &str) -> Req {
    Req::new("PUT", to).header("x-amz-copy-source", from)
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_their_directives() {
    let server = Server::with_bucket().await;
    let body = noise(MIB + 1, 7);
    let put =
        Req::new("PUT", "/bkt/from").body(body.clone()).header("x-amz-meta-a", "1").header("x-amz-tagging", "t=1");
    server.call(put).await.ok();
    let made = server.call(copy("/bkt/to", "/bkt/from")).await.ok();
    assert_eq!(made.element("ETag"), Some(format!("\"{}\"", md5_hex(&body)).as_str()));
    let got = server.get("/bkt/to").await.ok();
    assert_eq!(
        (got.body.clone(), got.header("x-amz-meta-a"), got.header("x-amz-tagging-count")),
        (body.clone(), "1", "1")
    );
    server.call(copy("/bkt/from", "bkt/from")).await.refused(400, "InvalidRequest");
    let replace =
        copy("/bkt/from", "bkt/from").header("x-amz-metadata-directive", "REPLACE").header("x-amz-meta-b", "2");
    server.call(replace).await.ok();
    let head = server.head("/bkt/from").await.ok();
    assert_eq!((head.header("x-amz-meta-a"), head.header("x-amz-meta-b")), ("", "2"));
    let class = copy("/bkt/from", "bkt/from").header("x-amz-storage-class", "STANDARD_IA");
    server.call(class).await.ok();
    let head = server.head("/bkt/from").await.ok();
    assert_eq!((head.header("x-amz-storage-class"), head.header("x-amz-meta-b")), ("STANDARD_IA", "2"));
    server.call(copy("/bkt/to", "bkt/none")).await.refused(404, "NoSuchKey");
    server.call(copy("/bkt/to", "none-there/k")).await.refused(404, "NoSuchBucket");
    let condition = copy("/bkt/to", "bkt/from").header("x-amz-copy-source-if-match", "\"nope\"");
    server.call(condition).await.refused(412, "PreconditionFailed");
    server.call(copy("/bkt/to", "bkt/from").header("if-none-match", "*")).await.refused(412, "PreconditionFailed");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_with_another_checksum() {
    let server = Server::with_bucket().await;
    server.put("/bkt/from", "123456789").await.ok();
    server.call(copy("/bkt/to", "bkt/from").header("x-amz-checksum-algorithm", "CRC32")).await.ok();
    let head = server.call(Req::new("HEAD", "/bkt/to").header("x-amz-checksum-mode", "ENABLED")).await.ok();
    assert_eq!(head.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    assert_eq!(server.get("/bkt/to").await.ok().body, "123456789");
    server.close().await;
}
