//! How a client reaches its servers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// Who the client says it is.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    None,
    /// A user with a password.
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// A user whose password buys a token (IPFS Cluster's `POST /token`), which is what requests carry; a new one is bought
    /// when it is refused.
    Token {
        /// Name.
        user: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// A token that somebody else made.
    Bearer(Zeroizing<String>),
}

/// Secrets are not shown.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Token { .. } => "Token(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// TLS beyond the system's certificates. All files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// This client's own certificate chain and key, in one file.
    pub identity: Option<PathBuf>,
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Base URLs of the servers, any of which answers any request.
    pub urls: Vec<String>,
    /// Who asks.
    pub auth: Auth,
    /// TLS, for `https` URLs.
    pub tls: Tls,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, from the request to its end; of a stream, how long nothing may come.
    pub timeout: Duration,
    /// So many times a request goes round all servers again, after the first time.
    pub retries: usize,
    /// Pause before the first of these; it doubles, with jitter.
    pub retry_pause: Duration,
    /// Idle connections kept to each server.
    pub idle_connections: usize,
    /// Failures in a row after which a server is left alone.
    pub breaker_failures: u32,
    /// For how long at first; it doubles up to [`Self::breaker_longest`].
    pub breaker_pause: Duration,
    /// The longest time that a server is left alone.
    pub breaker_longest: Duration,
}

impl ClientSettings {
    /// Defaults for servers.
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            auth: Auth::None,
            tls: Tls::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
            retries: 2,
            retry_pause: Duration::from_millis(200),
            idle_connections: 16,
            breaker_failures: 3,
            breaker_pause: Duration::from_secs(1),
            breaker_longest: Duration::from_secs(30),
        }
    }
}
