//! TLS by rustls (ring), with certificates that can be loaded again while the server runs: new connections get the
//! new ones, old connections keep theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use pinfold_store::{Error, ErrorKind, Result};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// The server's TLS side.
pub struct Tls {
    files: TlsFiles,
    clients: Option<PathBuf>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Loads the files; InvalidArgument names the one that is wrong.
    pub fn load(files: TlsFiles) -> Result<Self> {
        Self::load_with(files, None)
    }

    /// As [`Self::load`]; only clients with a certificate by one of the authorities in the file `clients` are served.
    pub fn load_with(files: TlsFiles, clients: Option<PathBuf>) -> Result<Self> {
        let current = RwLock::new(Arc::new(read(&files, clients.as_deref())?));
        Ok(Self { files, clients, current })
    }

    /// Loads the files again. If they are wrong the old ones stay in use and the error says why.
    pub fn reload(&self) -> Result<()> {
        let fresh = read(&self.files, self.clients.as_deref())?;
        *self.current.write() = Arc::new(fresh);
        Ok(())
    }

    /// Speaks TLS on a connection that has come in.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
        self.acceptor().accept(stream).await
    }

    /// The acceptor of the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().clone())
    }
}

fn wrong(what: &'static str, path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidArgument, what).with("file", path.display()).caused_by(source)
}

/// Who proves that a client is one of those that these authorities know.
fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
    let what = "the authorities of clients' certificates cannot be read";
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(what, path, e))? {
        let certificate = certificate.map_err(|e| wrong(what, path, e))?;
        roots.add(certificate).map_err(|e| wrong(what, path, e))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|e| wrong(what, path, e))
}

fn read(files: &TlsFiles, clients: Option<&Path>) -> Result<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| wrong("the TLS certificate cannot be read", &files.certificate, e))?;
    if chain.is_empty() {
        let none = Error::new(ErrorKind::InvalidArgument, "the TLS certificate file holds no certificate");
        return Err(none.with("file", files.certificate.display()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| wrong("the TLS private key cannot be read", &files.key, e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, "TLS offers no protocol version").caused_by(e))?;
    let config = match clients {
        Some(path) => config.with_client_cert_verifier(verifier(path, provider)?),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).map_err(|e| {
        wrong("the TLS certificate and key do not fit", &files.certificate, e).with("key", files.key.display())
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
