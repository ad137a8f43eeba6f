//! The sink that POSTs each message to a URL. Plain HTTP: to what is beyond this host, through a proxy that speaks TLS.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Sink;

/// A receiver must have answered within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    uri: Uri,
    authority: String,
    address: String,
}

impl Webhook {
    /// Reads `http://HOST[:PORT][/PATH]`.
    pub fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("`{url}` is not a URL: {e}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("`{url}` does not begin with http:// (for https put a proxy between)"));
        }
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!("`{}` has a user's name in it", authority.host()));
        }
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok(Self { authority: authority.to_string(), address, uri })
    }

    async fn post(&self, message: String) -> Result<(), String> {
        let stream = TcpStream::connect(&self.address).await.map_err(|e| format!("{}: {e}", self.address))?;
        let lost = |e: hyper::Error| format!("{}: {e}", self.address);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let driver = tokio::spawn(connection);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "pinfold")
            .body(Full::new(Bytes::from(message)))
            .map_err(|e| e.to_string())?;
        let answer = sender.send_request(request).await.map_err(lost);
        let status = match answer {
            Ok(answer) => {
                let status = answer.status();
                // The end of the answer, and no more of it than that.
                let _ = http_body_util::Limited::new(answer.into_body(), 64 * 1024).collect().await;
                Ok(status)
            }
            Err(error) => Err(error),
        };
        driver.abort();
        match status? {
            status if status.is_success() => Ok(()),
            status => Err(format!("{} answered {status}", self.address)),
        }
    }
}

impl Sink for Webhook {
    fn deliver<'a>(&'a self, message: String) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            match tokio::time::timeout(PATIENCE, self.post(message)).await {
                Ok(done) => done,
                Err(_) => Err(format!("{} did not answer within {PATIENCE:?}", self.address)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Webhook;

    #[test]
    fn urls() {
        assert_eq!(Webhook::new("http://127.0.0.1:9/a?b=c").unwrap().address, "127.0.0.1:9");
        assert_eq!(Webhook::new("http://host").unwrap().address, "host:80");
        for bad in ["https://host/", "/path", "http://", "http://u:p@host/", "ftp://host"] {
            assert!(Webhook::new(bad).is_err(), "{bad}");
        }
    }
}
