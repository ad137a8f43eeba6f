//! A key of Vault's transit engine, which wraps texts and never leaves Vault.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use pinfold_store::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Client, Login, part};
use crate::config::elsewhere::TransitSettings;

/// What wrapped texts begin with.
pub const ENVELOPE: &str = "vault:v";

/// One key.
pub struct Transit {
    client: Client,
    mount: String,
    key: String,
}

impl std::fmt::Debug for Transit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Transit").field(&self.name()).finish()
    }
}

impl Transit {
    /// This key. Asks nothing.
    pub fn new(settings: &TransitSettings, login: Login) -> Result<Self> {
        let client = Client::new(&settings.server, login)?;
        let mount = settings.mount.split('/').map(part).collect::<Vec<_>>().join("/");
        Ok(Self { client, mount, key: part(&settings.key) })
    }

    /// Where it is, for logs.
    pub fn name(&self) -> String {
        format!("{}/v1/{}/keys/{}", self.client.url(), self.mount, self.key)
    }

    /// Wraps, by the key's newest version.
    pub async fn wrap(&self, text: &str) -> Result<String> {
        self.ask("encrypt", json!({ "plaintext": STANDARD.encode(text) }), "ciphertext").await.map(|t| t.to_string())
    }

    /// Opens what any version wrapped. KeyUnavailable if Vault says that it cannot be opened.
    pub async fn unwrap(&self, wrapped: &str) -> Result<Zeroizing<String>> {
        let encoded = self.ask("decrypt", json!({ "ciphertext": wrapped }), "plaintext").await?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded.as_bytes()).unwrap_or_default());
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::corrupt("what Vault opened is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// The same under the key's newest version: Vault does it, nobody else sees the text.
    pub async fn renew(&self, wrapped: &str) -> Result<String> {
        self.ask("rewrap", json!({ "ciphertext": wrapped }), "ciphertext").await.map(|t| t.to_string())
    }

    async fn ask(&self, what: &str, body: Value, field: &str) -> Result<Zeroizing<String>> {
        let path = format!("{}/{what}/{}", self.mount, self.key);
        let (status, answer) = self.client.ask(Method::POST, &path, Some(&body)).await?;
        if let Some(text) = answer["data"][field].as_str().filter(|_| status.is_success()) {
            return Ok(Zeroizing::new(text.to_owned()));
        }
        let kind = match status {
            StatusCode::BAD_REQUEST => ErrorKind::KeyUnavailable,
            _ => ErrorKind::Unavailable,
        };
        let said: Vec<&str> = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let error = Error::new(kind, "Vault's key does not open or wrap it");
        Err(error.with("key", self.name()).with("status", status.as_u16()).with("errors", said.join("; ")))
    }
}
