//! The sink that POSTs each message to a URL, `http` or `https`.

use std::path::Path;
use std::sync::Arc;

use pinfold_s3::post::{Connection, Target};
use tokio::sync::Mutex;

use super::{Delivered, Sink};

/// One URL.
#[derive(Clone, Debug)]
pub struct Webhook {
    target: Target,
    open: Arc<Mutex<Open>>,
}

/// The connection; a configuration that is shown has no business with it.
#[derive(Default)]
struct Open(Connection);

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Open")
    }
}

impl Webhook {
    /// Reads `http[s]://HOST[:PORT][/PATH]`; `authorities` are what certificates are checked against, else the system's.
    pub fn new(url: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let target = Target::parse(url, authorities).map_err(|e| e.to_string())?;
        Ok(Self { target, open: Arc::default() })
    }
}

impl Sink for Webhook {
    fn deliver<'a>(&'a self, message: &'a str) -> Delivered<'a> {
        Box::pin(async move {
            let mut open = self.open.lock().await;
            let sent = self.target.post(&mut open.0, message.to_owned()).await;
            sent.map_err(|e| format!("{}: {e}", self.target.authority()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert!(Webhook::new("http://127.0.0.1:9/a?b=c", None).is_ok());
        for bad in ["/path", "http://", "http://u:p@host/", "ftp://host"] {
            assert!(Webhook::new(bad, None).is_err(), "{bad}");
        }
        let file = Path::new("/nonexistent/authorities.pem");
        assert!(Webhook::new("https://host/", Some(file)).unwrap_err().contains("authorities.pem"));
    }
}
