//! The server itself: addresses, limits, draining, TLS, virtual hosts, HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pinfold_s3::config::TlsFiles;
use pinfold_s3::{AccountSource, S3Config, S3Server};
use pinfold_store::ErrorKind;
use pinfold_store::namespace::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{MIB, ROOT, Req, Server, account, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_says_so() {
    let server = Server::start().await;
    let config = S3Config { listen: vec![server.address], ..S3Config::default() };
    let accounts = AccountSource::new(account(ROOT, Role::Admin), server.namespace.clone()).unwrap();
    let Err(error) = S3Server::bind(config, server.namespace.clone(), Arc::new(accounts)).await else {
        panic!("bound twice");
    };
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(error.context("address"), Some(server.address.to_string().as_str()));
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_end_before_the_server_does() {
    let server = Server::with_bucket().await;
    let body = noise(20 * MIB, 9);
    server.put("/bkt/k", body.clone()).await.ok();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(Req::new("GET", "/bkt/k").signed(server.address)).await.unwrap();
    let address = server.address;
    let closing = tokio::spawn(server.close());
    // The listener goes first; the answer that has begun goes on to its end.
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!closing.is_finished());
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
    closing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_is_cut() {
    let config = S3Config { drain_timeout: Duration::from_millis(50), ..S3Config::default() };
    let server = Server::with(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"PUT /bkt/k HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n").await.unwrap();
    server.close().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_let_go() {
    let brief = Duration::from_millis(50);
    let config = S3Config { header_timeout: brief, idle_timeout: brief, ..S3Config::default() };
    let server = Server::with(config).await;
    for silence in [&b""[..], b"P", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(silence).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(server.put("/bkt", "").await.status, 200);
    let signed = Req::new("PUT", "/bkt/k").body(noise(100, 1)).signed(server.address);
    let mut head = "PUT /bkt/k HTTP/1.1\r\ncontent-length: 100\r\n".to_owned();
    for (name, value) in signed.headers().iter().filter(|(n, _)| *n != "content-length") {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{head}\r\nonly this").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.contains("RequestTimeout"), "{answer}");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_told_to_slow_down() {
    let config = S3Config { max_requests: 1, queue_timeout: Duration::from_millis(20), ..S3Config::default() };
    let server = Server::with(config).await;
    server.put("/bkt", "").await.ok();
    let signed = Req::new("PUT", "/bkt/k").body("0123456789").signed(server.address);
    let mut head = "PUT /bkt/k HTTP/1.1\r\ncontent-length: 10\r\n".to_owned();
    for (name, value) in signed.headers().iter().filter(|(n, _)| *n != "content-length") {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(format!("{head}expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    first.read_exact(&mut go_on).await.unwrap();
    server.get("/bkt").await.refused(503, "SlowDown");
    first.write_all(b"0123456789").await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(first);
    server.get("/bkt").await.ok();
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_hosts_are_buckets() {
    let config = S3Config { domains: vec!["s3.test".to_owned()], ..S3Config::default() };
    let server = Server::with(config).await;
    let at = async |host: &str, method: &str, path: &str, body: &'static str| {
        let request = Req::new(method, path).body(body);
        let signer = request.signer.clone();
        server.send(signer.sign(request, host)).await
    };
    at("pics.s3.test", "PUT", "/", "").await.ok();
    at("pics.s3.test", "PUT", "/a/k", "by host").await.ok();
    assert_eq!(server.get("/pics/a/k").await.ok().body, "by host");
    assert_eq!(at("s3.test:9000", "GET", "/pics/a/k", "").await.ok().body, "by host");
    assert_eq!(at("s3.test", "GET", "/", "").await.ok().elements("Name"), ["pics"]);
    assert_eq!(at("elsewhere.test", "GET", "/pics/a/k", "").await.ok().body, "by host");
    server.close().await;
}

fn fixtures() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/fixtures")
}

/// One request over TLS and HTTP/2, with the server's certificate checked.
async fn over_tls(server: &Server, request: Req) -> Result<(u16, Bytes), Box<dyn std::error::Error>> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixtures().join("cert.pem"))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = request.path.clone();
    let (mut head, body) = request.signed(server.address).into_parts();
    head.uri = format!("https://{}{path}", server.address).parse()?;
    head.headers.remove("host");
    let answer = sender.send_request(hyper::Request::from_parts(head, body)).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_http2_with_certificates_that_change() {
    let dir = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(fixtures().join(name), dir.path().join(name)).unwrap();
    }
    let tls = pinfold_s3::tls::Tls::load(files.clone()).unwrap();
    tls.reload().unwrap();
    std::fs::write(&files.certificate, "no certificate").unwrap();
    let error = tls.reload().unwrap_err();
    assert_eq!((error.kind(), error.context("file").is_some()), (ErrorKind::InvalidArgument, true));
    std::fs::copy(fixtures().join("cert.pem"), &files.certificate).unwrap();
    let server = Server::with(S3Config { tls: Some(files), ..S3Config::default() }).await;
    assert_eq!(over_tls(&server, Req::new("PUT", "/bkt")).await.unwrap().0, 200);
    let body = noise(3 * MIB, 5);
    assert_eq!(over_tls(&server, Req::new("PUT", "/bkt/k").body(body.clone())).await.unwrap().0, 200);
    assert_eq!(over_tls(&server, Req::new("GET", "/bkt/k")).await.unwrap(), (200, body));
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    server.close().await;
}
