//! The servers of a client: whose turn it is, and who is left alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use reqwest::Url;

use super::breaker::{Breaker, Changed, Rules};
use super::settings::ClientSettings;
use crate::error::{Error, ErrorKind, Result};

/// All servers.
pub(super) struct Endpoints {
    /// What they are, for logs and metrics.
    kind: &'static str,
    list: Vec<Endpoint>,
    next: AtomicUsize,
    rules: Rules,
}

struct Endpoint {
    base: Url,
    /// Without credentials, for messages.
    shown: String,
    breaker: Mutex<Breaker>,
}

/// A server that may be asked. Dropped without an outcome, it is as if it had not been.
pub(super) struct Turn<'a> {
    of: &'a Endpoints,
    endpoint: &'a Endpoint,
    decided: bool,
}

impl Endpoints {
    pub(super) fn new(kind: &'static str, settings: &ClientSettings) -> Result<Self> {
        let refuse = |why: &'static str, url: &str| {
            // What stands before the `@` may be a password.
            let shown = url.rsplit('@').next().unwrap_or_default();
            Error::new(ErrorKind::InvalidArgument, why).with("url", shown)
        };
        let read = |text: &String| {
            let mut base: Url = text.parse().map_err(|_| refuse("not a URL of an IPFS server", text))?;
            if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
                return Err(refuse("an IPFS server's URL begins with http:// or https://", text));
            }
            if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
                return Err(refuse("an IPFS server's URL has no user, password or query", text));
            }
            if !base.path().ends_with('/') {
                let path = format!("{}/", base.path());
                base.set_path(&path);
            }
            Ok(Endpoint { shown: base.as_str().trim_end_matches('/').to_owned(), base, breaker: Mutex::default() })
        };
        let list = settings.urls.iter().map(read).collect::<Result<Vec<_>>>()?;
        if list.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "an IPFS client needs a server"));
        }
        let rules = Rules {
            failures: settings.breaker_failures,
            pause: settings.breaker_pause,
            longest: settings.breaker_longest,
        };
        Ok(Self { kind, list, next: AtomicUsize::new(0), rules })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Where the next request begins: each its turn.
    pub(super) fn begin(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.list.len()
    }

    /// The `n`th server from there, unless it is left alone.
    pub(super) fn turn(&self, begin: usize, n: usize) -> Option<Turn<'_>> {
        let endpoint = &self.list[(begin + n) % self.list.len()];
        // A turn that is dropped takes the lock: none may be made while it is held, or where it was not granted.
        let admitted = endpoint.breaker.lock().admit(Instant::now());
        admitted.then(|| Turn { of: self, endpoint, decided: false })
    }

    /// All of them, left alone or not: for health checks.
    pub(super) fn all(&self) -> impl Iterator<Item = Turn<'_>> {
        self.list.iter().map(|endpoint| Turn { of: self, endpoint, decided: false })
    }

    /// URLs of those that are left alone.
    pub(super) fn left_alone(&self) -> Vec<String> {
        self.list.iter().filter(|e| e.breaker.lock().is_open()).map(|e| e.shown.clone()).collect()
    }

    /// Nobody can be asked now.
    pub(super) fn nobody(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "no IPFS server answers; they are tried again soon").with("kind", self.kind)
    }
}

impl Turn<'_> {
    /// The server's base URL; its path ends in `/`.
    pub(super) fn base(&self) -> &Url {
        &self.endpoint.base
    }

    /// The same for messages.
    pub(super) fn shown(&self) -> &str {
        &self.endpoint.shown
    }

    /// It answered.
    pub(super) fn succeeded(&mut self) {
        self.decided = true;
        if self.endpoint.breaker.lock().succeeded() == Changed::Closed {
            tracing::info!(server = self.shown(), kind = self.of.kind, "an IPFS server answers again");
            self.count_open();
        }
    }

    /// It did not.
    pub(super) fn failed(&mut self, error: &Error) {
        self.decided = true;
        metrics::counter!("pinfold_store_ipfs_endpoint_failures_total", "kind" => self.of.kind).increment(1);
        if self.endpoint.breaker.lock().failed(Instant::now(), self.of.rules) == Changed::Opened {
            tracing::warn!(server = self.shown(), kind = self.of.kind, %error, "an IPFS server is left alone for a while");
            self.count_open();
        }
    }

    fn count_open(&self) {
        let open = self.of.left_alone().len();
        metrics::gauge!("pinfold_store_ipfs_endpoints_left_alone", "kind" => self.of.kind).set(open as f64);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.endpoint.breaker.lock().abandoned();
        }
    }
}
