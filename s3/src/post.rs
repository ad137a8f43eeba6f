//! POSTs of JSON to a URL, over a connection that stays open: for webhooks.

use std::path::Path;
use std::sync::Arc;

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
use s3s::StdError;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest answer that is read so that its connection can be used again.
const ANSWER: usize = 64 * 1024;
/// The system's certificates, unless `SSL_CERT_FILE` names others.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where to.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What follows the host may be a secret.
        f.debug_struct("Target").field("authority", &self.authority).field("tls", &self.tls.is_some()).finish()
    }
}

/// A connection to a target, once there is one.
#[derive(Default)]
pub struct Connection(Option<SendRequest<Full<Bytes>>>);

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

impl Target {
    /// An `http` or `https` URL; the latter is checked against the authorities of `authorities` (PEM), or the system's.
    /// InvalidArgument for another, or if they cannot be read.
    pub fn parse(url: &str, authorities: Option<&Path>) -> Result<Self> {
        let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| wrong("the URL is none").caused_by(e))?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong("the URL is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("the URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("the URL has a user's name in it"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong("the URL's host is no name"))?;
            Some((TlsConnector::from(Arc::new(client(authorities)?)), name))
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

    /// Host and port, as the URL has them.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    async fn connect(&self) -> std::result::Result<SendRequest<Full<Bytes>>, StdError> {
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

    /// Sends one document; `Ok` once it was answered with a 2xx. The caller bounds how long it may take.
    pub async fn post(&self, open: &mut Connection, json: String) -> std::result::Result<(), StdError> {
        let mut sender = match open.0.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let request = Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "pinfold")
            .body(Full::new(Bytes::from(json)))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let _ = http_body_util::Limited::new(answer.into_body(), ANSWER).collect().await;
        open.0 = Some(sender);
        if !status.is_success() {
            return Err(format!("the answer is {status}").into());
        }
        Ok(())
    }
}

fn client(authorities: Option<&Path>) -> Result<ClientConfig> {
    let usual = || std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| ROOTS.to_owned()).into();
    let file = authorities.map_or_else(usual, Path::to_path_buf);
    let unreadable = || wrong("the certificates to trust cannot be read").with("file", file.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&file).map_err(|e| unreadable().caused_by(e))?;
    roots.add_parsable_certificates(certificates.filter_map(std::result::Result::ok));
    if roots.is_empty() && authorities.is_some() {
        return Err(unreadable());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, "TLS offers no protocol version").caused_by(e))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
