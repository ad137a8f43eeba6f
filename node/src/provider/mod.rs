//! What this node gives to IPFS: a trustless gateway ([`gateway`]) and delegated routing ([`routing`]) on one listener, so
//! that Kubo peers find and pull the blocks that lie here.
//!
//! The way of one request: [`crate::listener`] accepts (whom [`access`] admits) → [`Provider::reply`] asks [`access`] for the
//! token and counts → [`gateway`] reads what is wanted ([`ask`]), takes a place among the answers and sends blocks
//! ([`body`]). Which blocks may go out is the store's to say (`store::namespace::provide`).

pub mod access;
pub mod ask;
pub mod body;
pub mod gateway;
pub mod identity;
pub mod routing;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pinfold_s3::server::progress::Progress;
use pinfold_store::ipfs::peer::PeerId;
use pinfold_store::ipfs::serve::Source;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listener::{Answers, Unsent};
use access::Access;

/// How long a request waits for a place.
const QUEUE: Duration = Duration::from_secs(5);

/// What the provider is made of.
pub struct Needs {
    /// The blocks.
    pub source: Arc<dyn Source>,
    /// Who may ask.
    pub access: Access,
    /// This node's name among peers.
    pub peer: PeerId,
    /// Multiaddrs at which peers reach this listener.
    pub addresses: Vec<String>,
    /// Answers at once, each of which holds a block or two; more wait some seconds.
    pub answers: usize,
    /// How many of them may be CARs, whose walks hold more.
    pub cars: usize,
}

/// The provider.
pub struct Provider {
    needs: Needs,
    answers: Arc<Semaphore>,
    cars: Arc<Semaphore>,
}

/// A request as its handlers see it.
pub struct Asking {
    /// Head of the request.
    pub head: axum::http::request::Parts,
    /// The connection's progress, and its answers that are not sent yet; none in tests.
    pub connection: Option<(Arc<Progress>, Unsent)>,
}

/// What was asked for, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A block.
    Raw,
    /// A CAR.
    Car,
    /// Who has a block.
    Routing,
    /// What could not be understood, or is not there.
    Other,
}

impl What {
    /// The label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Car => "car",
            Self::Routing => "routing",
            Self::Other => "other",
        }
    }
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Refused {
    /// Status.
    pub status: StatusCode,
    /// One line.
    pub why: String,
}

impl Refused {
    /// With this status, because of this.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// 400.
    pub fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

impl Answers for Provider {
    const NAME: &'static str = "the provider";
    const CONNECTIONS: usize = 1024;
    /// A block of 1 MiB in a minute.
    const SLOWEST: u64 = 16 * 1024;

    fn admits(&self, from: IpAddr) -> bool {
        let admitted = self.needs.access.admits(from);
        if !admitted {
            metrics::counter!("pinfold_node_provider_turned_away_total").increment(1);
        }
        admitted
    }

    fn answer(&self, from: IpAddr, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        // No request that is served has a body: what comes is not read.
        let (head, _) = request.into_parts();
        let connection = match (head.extensions.get::<Arc<Progress>>(), head.extensions.get::<Unsent>()) {
            (Some(progress), Some(unsent)) => Some((Arc::clone(progress), unsent.clone())),
            _ => None,
        };
        self.reply(from, Asking { head, connection })
    }
}

impl Provider {
    /// A provider.
    pub fn new(needs: Needs) -> Self {
        let answers = Arc::new(Semaphore::new(needs.answers));
        let cars = Arc::new(Semaphore::new(needs.cars));
        Self { needs, answers, cars }
    }

    /// Answers one request of a client at `from`.
    pub async fn reply(&self, from: IpAddr, asking: Asking) -> Response<Body> {
        let began = Instant::now();
        let (method, path) = (asking.head.method.clone(), asking.head.uri.path().to_owned());
        let mut what = What::Other;
        let mut answer = match self.serve(asking, &mut what).await {
            Ok(answer) => answer,
            Err(refused) => refusal(&refused),
        };
        let headers = answer.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::SERVER, HeaderValue::from_static("pinfold"));
        if method == Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        let status = answer.status().as_u16();
        metrics::counter!("pinfold_node_provider_requests_total", "what" => what.word(), "status" => status.to_string())
            .increment(1);
        tracing::debug!(%from, %method, path, status, what = what.word(), took = ?began.elapsed(), "provider request");
        answer
    }

    async fn serve(&self, asking: Asking, what: &mut What) -> Result<Response<Body>, Refused> {
        self.needs.access.check(&asking.head)?;
        let head = &asking.head;
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served"));
        }
        let path = head.uri.path();
        if path.starts_with("/ipfs/") {
            return gateway::answer(self, asking, what).await;
        }
        if path.starts_with("/ipns/") {
            return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, "names are not resolved here: ask by CID"));
        }
        if let Some(asked) = path.strip_prefix("/routing/v1/") {
            *what = What::Routing;
            return routing::answer(self, &asking.head, asked).await;
        }
        Err(Refused::new(StatusCode::NOT_FOUND, "there is nothing here"))
    }

    /// The blocks.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.needs.source
    }

    /// A place among the answers, which ends with what is returned.
    pub async fn place(&self, what: What) -> Result<Place, Refused> {
        let busy = || Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many requests at once: try again later");
        let wait = async {
            let car = match what {
                What::Car => Some(self.cars.clone().acquire_owned().await.ok()?),
                _ => None,
            };
            Some(Place { _car: car, _answer: self.answers.clone().acquire_owned().await.ok()? })
        };
        tokio::time::timeout(QUEUE, wait).await.ok().flatten().ok_or_else(busy)
    }
}

/// A place among the answers.
pub struct Place {
    _car: Option<OwnedSemaphorePermit>,
    _answer: OwnedSemaphorePermit,
}

/// The multiaddr of a listener.
pub fn multiaddr(address: SocketAddr, tls: bool) -> String {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    let tls = if tls { "/tls" } else { "" };
    format!("/{family}/{}/tcp/{}{tls}/http", address.ip(), address.port())
}

fn refusal(refused: &Refused) -> Response<Body> {
    let mut answer = Response::new(Body::from(format!("{}\n", refused.why)));
    *answer.status_mut() = refused.status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Another moment may have another answer.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match refused.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    answer
}
