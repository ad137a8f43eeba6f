//! A client of HashiCorp Vault's HTTP interface, as far as a node needs it: logging in, reading and writing JSON.

mod transit;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode, header};
use pinfold_store::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::config::elsewhere::VaultServer;
use crate::config_secret;

pub use transit::{ENVELOPE, Transit};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// Largest answer: a list of many accounts.
const MAX_ANSWER: usize = 16 << 20;

/// Who the node is for Vault.
pub enum Login {
    /// It has a token.
    Token(Zeroizing<String>),
    /// It gets one for these.
    AppRole {
        /// The role.
        id: String,
        /// Its secret.
        secret: Zeroizing<String>,
    },
}

/// The login that the configuration asks for, with its secrets.
pub fn login(
    server: &VaultServer,
    var: &(dyn Fn(&str) -> Option<OsString> + Send),
    token: &'static str,
    role_secret: &'static str,
) -> Result<Login> {
    let missing = |what: &'static str, variable: &'static str| {
        Error::new(ErrorKind::InvalidArgument, what).with("variable", variable)
    };
    // VersityGW's order.
    if let Some(token) = config_secret::read(var, token, server.token_file.as_deref())?.filter(|t| !t.is_empty()) {
        return Ok(Login::Token(token));
    }
    let Some(id) = server.role_id.clone() else {
        return Err(missing("Vault asks for a token or an AppRole", token));
    };
    let secret = config_secret::read(var, role_secret, server.role_secret_file.as_deref())?.filter(|s| !s.is_empty());
    Ok(Login::AppRole { id, secret: secret.ok_or_else(|| missing("the AppRole of Vault has no secret", role_secret))? })
}

/// Talks to one Vault server.
pub struct Client {
    http: reqwest::Client,
    url: String,
    auth_method: String,
    auth_namespace: Option<String>,
    namespace: Option<String>,
    login: Login,
    token: Mutex<Option<Arc<Zeroizing<String>>>>,
}

fn bad_file(what: &'static str, path: &std::path::Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, what).with("file", path.display()).with("reason", reason)
}

/// TLS by ring, against the given authority or the system's.
fn tls(server: &VaultServer) -> Result<ClientConfig> {
    let wrong = |what: &'static str| move |e: rustls::Error| Error::new(ErrorKind::InvalidArgument, what).caused_by(e);
    let mut roots = RootCertStore::empty();
    match &server.server_cert {
        Some(path) => {
            let what = "the certificate of Vault's authority cannot be read";
            let found = CertificateDer::pem_file_iter(path).map_err(|e| bad_file(what, path, e))?;
            for one in found {
                roots.add(one.map_err(|e| bad_file(what, path, e))?).map_err(|e| bad_file(what, path, e))?;
            }
            if roots.is_empty() {
                return Err(bad_file(what, path, "there is none in it"));
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong("TLS cannot be set up"))?
        .with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&server.client_cert, &server.client_cert_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let what = "the certificate for Vault cannot be read";
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .map_err(|e| bad_file(what, cert, e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| bad_file(what, key, e))?;
    builder.with_client_auth_cert(chain, key).map_err(wrong("the certificate for Vault and its key cannot be used"))
}

impl Client {
    /// For this server. Asks it nothing.
    pub fn new(server: &VaultServer, login: Login) -> Result<Self> {
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls(server)?)
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            // A token goes to nobody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| Error::new(ErrorKind::InvalidArgument, "a client for Vault cannot be made").caused_by(e))?;
        Ok(Self {
            http,
            url: server.url.trim_end_matches('/').to_owned(),
            auth_method: server.auth_method.trim_matches('/').to_owned(),
            auth_namespace: server.auth_namespace.clone(),
            namespace: server.namespace.clone(),
            login,
            token: Mutex::default(),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks `path` below `/v1/`, whose parts are encoded ([`part`]); logs in before that, and once more if the token is not taken any
    /// more. The answer's status is a success, 400 or 404. Unavailable and TimedOut for all else.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let token = self.token(None).await?;
        let mut answer = self.send(method.clone(), path, &self.namespace, Some(&token), body).await?;
        if answer.0 == StatusCode::FORBIDDEN && matches!(self.login, Login::AppRole { .. }) {
            let token = self.token(Some(&token)).await?;
            answer = self.send(method, path, &self.namespace, Some(&token), body).await?;
        }
        match answer.0 {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(answer),
            status => Err(refused(status, &answer.1).with("path", path)),
        }
    }

    /// A token; another one than `refused`. Who comes while somebody logs in waits for what he gets.
    async fn token(&self, refused: Option<&Arc<Zeroizing<String>>>) -> Result<Arc<Zeroizing<String>>> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| !refused.is_some_and(|old| Arc::ptr_eq(old, token))) {
            return Ok(token.clone());
        }
        let token = Arc::new(match &self.login {
            Login::Token(token) => token.clone(),
            Login::AppRole { id, secret } => self.log_in(id, secret).await?,
        });
        *held = Some(token.clone());
        Ok(token)
    }

    async fn log_in(&self, id: &str, secret: &str) -> Result<Zeroizing<String>> {
        let path = format!("auth/{}/login", self.auth_method);
        let body = json!({ "role_id": id, "secret_id": secret });
        let (status, answer) = self.send(Method::POST, &path, &self.auth_namespace, None, Some(&body)).await?;
        match answer["auth"]["client_token"].as_str() {
            Some(token) if status.is_success() => Ok(Zeroizing::new(token.to_owned())),
            _ => Err(refused(status, &answer).with("path", path)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        namespace: &Option<String>,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}/v1/{path}", self.url));
        request = request.header("x-vault-request", "true").header(header::ACCEPT, "application/json");
        if let Some(namespace) = namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            let mut value = header::HeaderValue::from_str(token)
                .map_err(|_| Error::new(ErrorKind::Unavailable, "Vault's token is none"))?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut text = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if text.len() + chunk.len() > MAX_ANSWER {
                return Err(
                    Error::new(ErrorKind::Unavailable, "Vault's answer is too long").with("maximum", MAX_ANSWER)
                );
            }
            text.extend_from_slice(&chunk);
        }
        // A proxy before it may answer with a page.
        Ok((status, serde_json::from_slice(&text).unwrap_or(Value::Null)))
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    let kind = if error.is_timeout() { ErrorKind::TimedOut } else { ErrorKind::Unavailable };
    // The innermost says what happened; the URL is said by who asks.
    let mut reason: &dyn std::error::Error = &error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    Error::new(kind, "Vault cannot be asked").with("reason", reason)
}

/// What Vault says of a refusal names paths and policies, no secrets.
fn refused(status: StatusCode, answer: &Value) -> Error {
    let said: Vec<&str> = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let what = if status == StatusCode::FORBIDDEN { "Vault denies it" } else { "Vault refuses" };
    Error::new(ErrorKind::Unavailable, what).with("status", status.as_u16()).with("errors", said.join("; "))
}

/// One part of a path.
pub fn part(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_~.".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_part_stays_one() {
        assert_eq!(part("a-b_c~d.e"), "a-b_c~d.e");
        assert_eq!(part("a/b?c#d%2f é"), "a%2Fb%3Fc%23d%252f%20%C3%A9");
    }
}
