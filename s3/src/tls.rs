//! TLS by rustls (ring), with certificates that can be loaded again while the server runs: new connections get the
//! new ones, old connections keep theirs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use pinfold_store::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// The server's TLS side.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Loads the files; InvalidArgument names the one that is wrong.
    pub fn load(files: TlsFiles) -> Result<Self> {
        let current = RwLock::new(Arc::new(read(&files)?));
        Ok(Self { files, current })
    }

    /// Loads the files again. If they are wrong the old ones stay in use and the error says why.
    pub fn reload(&self) -> Result<()> {
        let fresh = read(&self.files)?;
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

fn read(files: &TlsFiles) -> Result<ServerConfig> {
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
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Internal, "TLS offers no protocol version").caused_by(e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| {
            wrong("the TLS certificate and key do not fit", &files.certificate, e).with("key", files.key.display())
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
