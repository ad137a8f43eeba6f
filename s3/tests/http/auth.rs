//! Signatures: good, wrong, old, foreign, presigned.

use std::time::Duration;

use http_body_util::Full;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use time::Duration as Span;

use super::support::{Answer, Payload, ROOT, Req, Server};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures() {
    let server = Server::with_bucket().await;
    server.put("/bkt/k", "secret").await.ok();
    let get = || Req::new("GET", "/bkt/k");
    server.call(get().by((ROOT.0, "wrong"))).await.refused(403, "SignatureDoesNotMatch");
    server.call(get().by(("nobody", "x"))).await.refused(403, "InvalidAccessKeyId");
    for hours in [-1, 1] {
        let skewed = get().signer(|s| s.now += Span::hours(hours));
        server.call(skewed).await.refused(403, "RequestTimeTooSkewed");
    }
    server.call(get().signer(|s| s.now -= Span::minutes(14))).await.ok();
    let region = server.call(get().signer(|s| s.region = "eu-west-1".to_owned())).await;
    assert_eq!(region.refused(400, "AuthorizationHeaderMalformed").element("Region"), Some("us-east-1"));
    server.call(get().signer(|s| s.service = "sts".to_owned())).await.refused(400, "AuthorizationHeaderMalformed");
    let smuggled = Req::new("PUT", "/bkt/k")
        .body("x")
        .header("x-amz-meta-a", "1")
        .signer(|s| s.leave_out.push("x-amz-meta-a".to_owned()));
    let answer = server.call(smuggled).await.refused(403, "AccessDenied");
    assert_eq!(answer.element("HeadersNotSigned"), Some("x-amz-meta-a"));
    server.call(get().payload(Payload::Text("UNSIGNED-PAYLOAD".to_owned()))).await.ok();
    let (mut head, body) = get().signed(server.address).into_parts();
    head.uri = "/bkt/other".parse().unwrap();
    server.send(hyper::Request::from_parts(head, body)).await.refused(403, "SignatureDoesNotMatch");
    server.close().await;
}

async fn plain(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut builder = hyper::Request::builder().method(method).uri(path).header("host", server.address.to_string());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    server.send(builder.body(Full::new(body.into())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ruling28_neither_anonymous_nor_sigv2() {
    let server = Server::with_bucket().await;
    for method in ["GET", "PUT", "DELETE"] {
        plain(&server, method, "/bkt/k", &[], "").await.refused(403, "AccessDenied");
    }
    plain(&server, "GET", "/", &[], "").await.refused(403, "AccessDenied");
    plain(&server, "GET", "/bkt/k", &[("authorization", "AWS root-key:c2ln")], "").await.refused(400, "InvalidRequest");
    let v2 = "/bkt/k?AWSAccessKeyId=root-key&Expires=4102444800&Signature=c2ln";
    plain(&server, "GET", v2, &[], "").await.refused(400, "InvalidRequest");
    let form = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x--\r\n";
    let of_type = [("content-type", "multipart/form-data; boundary=x")];
    plain(&server, "POST", "/bkt", &of_type, form).await.refused(400, "InvalidArgument");
    plain(&server, "POST", "/bkt/k?uploads", &of_type, form).await.refused(501, "NotImplemented");
    server.close().await;
}

/// Signs with another implementation than ours.
fn presign(server: &Server, put: bool, seconds: u64) -> String {
    let endpoint = format!("http://{}", server.address).parse().unwrap();
    let bucket = Bucket::new(endpoint, UrlStyle::Path, "bkt", "us-east-1").unwrap();
    let credentials = Credentials::new(ROOT.0, ROOT.1);
    let life = Duration::from_secs(seconds);
    let url = match put {
        true => bucket.put_object(Some(&credentials), "dir/a key.txt").sign(life),
        false => bucket.get_object(Some(&credentials), "dir/a key.txt").sign(life),
    };
    format!("{}?{}", url.path(), url.query().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_urls() {
    let server = Server::with_bucket().await;
    plain(&server, "PUT", &presign(&server, true, 60), &[], "presigned").await.ok();
    let url = presign(&server, false, 60);
    assert_eq!(plain(&server, "GET", &url, &[], "").await.ok().body, "presigned");
    let odd_range = plain(&server, "GET", &url, &[("range", "bytes=0-1,3-4")], "").await.ok();
    assert_eq!((odd_range.status, odd_range.body.as_ref()), (200, &b"presigned"[..]));
    plain(&server, "PUT", &url, &[], "other").await.refused(403, "SignatureDoesNotMatch");
    plain(&server, "GET", &url.replace("Expires=60", "Expires=61"), &[], "")
        .await
        .refused(403, "SignatureDoesNotMatch");
    plain(&server, "GET", &presign(&server, false, 604_801), &[], "")
        .await
        .refused(400, "AuthorizationQueryParametersError");
    plain(&server, "GET", &presign(&server, false, 604_800), &[], "").await.ok();
    plain(&server, "PUT", &presign(&server, true, 60), &[("x-amz-tagging", "a=b")], "x")
        .await
        .refused(403, "AccessDenied");
    server.close().await;
}
