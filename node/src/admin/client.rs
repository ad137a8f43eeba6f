//! The commands' side of the admin socket: one request, one answer.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::socket;
use super::wire::Problem;
use crate::failure::{ExitCode, Failure};

/// A way to the daemon of one data directory.
#[derive(Clone, Debug)]
pub struct AdminClient {
    data: PathBuf,
}

impl AdminClient {
    /// The daemon of `data`.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(&self.send(Method::GET, path, Bytes::new()).await?)
    }

    /// POST with a JSON body and a JSON answer.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        parse(&self.send(Method::POST, path, json(body)?).await?)
    }

    /// Sends `body`; the answer has none.
    pub async fn tell(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        self.send(method, path, json(body)?).await.map(drop)
    }

    /// PUT with a JSON body.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        parse(&self.send(Method::PUT, path, json(body)?).await?)
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let stream = socket::connect(&self.data).await.map_err(|error| {
            let socket = self.data.join(socket::SOCKET);
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "only the daemon's user and root may",
                _ => "is `pinfold serve` running with this data directory? (another one: --data DIR or PINFOLD_DATA)",
            };
            Failure::message(
                ExitCode::NoDaemon,
                format!("cannot reach the daemon at {}: {error}; {hint}", socket.display()),
            )
        })?;
        let lost = |error: hyper::Error| Failure::message(ExitCode::NoDaemon, format!("the daemon hung up: {error}"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "pinfold")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|e| Failure::message(ExitCode::Failed, e))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let answer = response.into_body().collect().await.map_err(lost)?.to_bytes();
        driver.abort();
        if status.is_success() {
            return Ok(answer);
        }
        let message = match serde_json::from_slice::<Problem>(&answer) {
            Ok(problem) => problem.error,
            Err(_) => format!("the daemon answered {status}: {}", String::from_utf8_lossy(&answer)),
        };
        Err(Failure::message(ExitCode::Failed, message))
    }
}

fn json(body: &impl Serialize) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(body).map_err(|e| Failure::message(ExitCode::Failed, e))?;
    Ok(bytes.into())
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer)
        .map_err(|e| Failure::message(ExitCode::Failed, format!("the daemon's answer cannot be read: {e}")))
}

/// What stands in a URL as it is (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment or value of a URL.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn escapes() {
        assert_eq!(escape("a-b.c_d~9"), "a-b.c_d~9");
        assert_eq!(escape("a/b?c=ü&%"), "a%2Fb%3Fc%3D%C3%BC%26%25");
    }
}
