//! Lines as JSON to a URL, each a POST that may take a second. Several at a time, over connections that stay open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pinfold_store::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use super::{Form, Order, Waiting};

/// POSTs at once.
const AT_ONCE: usize = 8;
/// How long one may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest answer that is read so that its connection can be used again.
const ANSWER: usize = 64 * 1024;
/// The system's certificates, unless `SSL_CERT_FILE` names others.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where to.
pub(super) struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

fn wrong(message: &'static str, url: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with("url", url)
}

impl Target {
    /// InvalidArgument for what is no `http` or `https` URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let uri: Uri =
            url.parse().map_err(|e: http::uri::InvalidUri| wrong("the webhook's URL is none", url).caused_by(e))?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong("the webhook's URL is neither http nor https", url)),
        };
        let authority = uri.authority().ok_or_else(|| wrong("the webhook's URL has no host", url))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong("the webhook's host is no name", url))?;
            Some((TlsConnector::from(Arc::new(client(url)?)), name))
        } else {
            None
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            host,
            tls,
        })
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Full<Bytes>>, s3s::StdError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let sender = match &self.tls {
            None => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(sender)
    }

    async fn post(
        &self,
        open: &mut Option<SendRequest<Full<Bytes>>>,
        line: String,
    ) -> std::result::Result<(), s3s::StdError> {
        let mut sender = match open.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let request = Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(Bytes::from(line)))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let _ = http_body_util::Limited::new(answer.into_body(), ANSWER).collect().await;
        *open = Some(sender);
        if !status.is_success() {
            return Err(format!("the answer is {status}").into());
        }
        Ok(())
    }
}

fn client(url: &str) -> Result<ClientConfig> {
    let file = std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| ROOTS.to_owned());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&file)
        .map_err(|e| wrong("the certificates to trust cannot be read", url).with("file", &file).caused_by(e))?;
    roots.add_parsable_certificates(certificates.filter_map(std::result::Result::ok));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, "TLS offers no protocol version").caused_by(e))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Sends what comes until told to close.
pub(super) async fn work(target: Target, queue: mpsc::UnboundedReceiver<Order>, waiting: Arc<Waiting>) {
    let queue = Mutex::new(queue);
    let failing = std::sync::atomic::AtomicBool::new(false);
    let one = || async {
        let mut open = None;
        loop {
            let order = queue.lock().await.recv().await;
            let line = match order {
                None => return,
                Some(Order::Reopen) => continue,
                Some(Order::Close(done)) => {
                    // Those who are sending end by themselves, within the patience; the others find a closed queue.
                    queue.lock().await.close();
                    let _ = done.send(());
                    return;
                }
                Some(Order::Line(line)) => line,
            };
            waiting.took(&line);
            waiting.say_dropped(Form::Json);
            let sent = tokio::time::timeout(PATIENCE, target.post(&mut open, line)).await;
            let problem = match sent {
                Ok(Ok(())) => None,
                Ok(Err(e)) => Some(e.to_string()),
                Err(_) => Some("it takes too long".to_owned()),
            };
            let fails = problem.is_some();
            let failed = failing.swap(fails, std::sync::atomic::Ordering::Relaxed);
            match problem {
                Some(why) => {
                    metrics::counter!("pinfold_s3_access_log_dropped_total", "log" => "webhook").increment(1);
                    if !failed {
                        warn!(
                            host = target.authority,
                            why, "the access log's webhook cannot be reached; lines are dropped"
                        );
                    }
                }
                None if failed => info!(host = target.authority, "the access log's webhook takes lines again"),
                None => {}
            }
        }
    };
    futures::future::join_all((0..AT_ONCE).map(|_| one())).await;
}
