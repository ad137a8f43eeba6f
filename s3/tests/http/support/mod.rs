//! A server of its own for each test, a client that shows every byte of an answer, and SigV4 by the book.

mod sign;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use pinfold_s3::{AccountSource, S3Config, S3Server};
use pinfold_store::meta::Quiet;
use pinfold_store::namespace::{Account, Namespace, NamespaceConfig, Role};
use pinfold_store::types::Caller;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use sign::{Payload, Signer};

pub const ROOT: (&str, &str) = ("root-key", "root-secret");
pub const MIB: usize = 1 << 20;

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub namespace: Namespace,
    pub stop: CancellationToken,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

pub fn account((access, secret): (&str, &str), role: Role) -> Account {
    Account { access: access.to_owned(), secret: secret.to_owned(), role, uid: 1000, gid: 1000, project: 0 }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(S3Config::default()).await
    }

    pub async fn with(config: S3Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = NamespaceConfig::new(dir.path());
        settings.reserve_bytes = 0;
        let namespace = Namespace::open(settings, &Quiet).unwrap();
        let accounts = AccountSource::new(account(ROOT, Role::Admin), namespace.clone()).unwrap();
        let config = S3Config { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..config };
        let server = S3Server::bind(config, namespace.clone(), Arc::new(accounts)).await.unwrap();
        let address = server.addresses()[0];
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));
        Self { address, namespace, stop, serving, _dir: dir }
    }

    /// A server with one bucket `bkt`.
    pub async fn with_bucket() -> Self {
        let server = Self::start().await;
        assert_eq!(server.put("/bkt", "").await.status, 200);
        server
    }

    /// Adds an account.
    pub async fn add(&self, who: (&str, &str), role: Role) {
        self.namespace.set_account(&Caller::worker("test"), account(who, role), false).await.unwrap();
    }

    /// Drains and closes everything.
    pub async fn close(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
        let namespace = self.namespace;
        tokio::task::spawn_blocking(move || namespace.close().unwrap()).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Req::new("GET", path)).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.call(Req::new("HEAD", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Req::new("DELETE", path)).await
    }

    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Req::new("PUT", path).body(body)).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Req::new("POST", path).body(body)).await
    }

    /// Sends a request, signed as root unless it says otherwise, on a connection of its own.
    pub async fn call(&self, request: Req) -> Answer {
        let request = request.signed(self.address);
        self.send(request).await
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await.unwrap();
        let headers = head
            .headers
            .iter()
            .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
        Answer { status: head.status.as_u16(), headers: headers.collect(), body }
    }
}

/// A request to be signed.
#[derive(Clone)]
pub struct Req {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub signer: Signer,
    pub payload: Payload,
}

impl Req {
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            signer: Signer::new(ROOT),
            payload: Payload::Hash,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn by(mut self, who: (&str, &str)) -> Self {
        self.signer = Signer::new(who);
        self
    }

    pub fn signer(mut self, change: impl FnOnce(&mut Signer)) -> Self {
        change(&mut self.signer);
        self
    }

    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub fn signed(self, address: SocketAddr) -> Request<Full<Bytes>> {
        self.signer.clone().sign(self, &address.to_string())
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The text of the first element of this name.
    pub fn element(&self, name: &str) -> Option<&str> {
        let text = self.text();
        let start = text.find(&format!("<{name}>"))? + name.len() + 2;
        let end = start + text[start..].find(&format!("</{name}>"))?;
        Some(&text[start..end])
    }

    /// The texts of all elements of this name.
    pub fn elements(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.text().split(open.as_str()).skip(1).filter_map(|rest| rest.split(close.as_str()).next()).collect()
    }

    pub fn code(&self) -> &str {
        self.element("Code").unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// Bytes that look like noise, the same every time.
pub fn noise(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out.into()
}

/// MD5 in hex.
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(bytes))
}
