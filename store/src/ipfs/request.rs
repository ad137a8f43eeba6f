//! One request to some server: fail-over, retries, who asks, bounded answers.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use parking_lot::Mutex;
use reqwest::{Certificate, Identity, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::endpoints::{Endpoints, Turn};
use super::failure::{Blame, Failure};
use super::settings::{Auth, ClientSettings};
use super::stream::Lines;
use crate::error::{Error, ErrorKind, IoContext, Result};

/// Bytes of an answer that is no stream.
const MAX_ANSWER: usize = 16 << 20;
/// Bytes of an explanation.
const MAX_EXPLANATION: usize = 64 << 10;

/// A request before it has a server: method, path below the base URL, query.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    /// How long the answer may take, where it is another time than the client's.
    pub(super) timeout: Option<Duration>,
}

impl Ask {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), timeout: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// With one more parameter.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path(), self.path));
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// A client for servers of one kind.
pub(super) struct Http {
    client: reqwest::Client,
    pub(super) endpoints: Endpoints,
    auth: Auth,
    token: Mutex<Option<Zeroizing<String>>>,
    timeout: Duration,
    retry: ExponentialBuilder,
}

/// The explanation of a refusal, as both programs write it.
#[derive(Deserialize)]
struct Explanation {
    #[serde(alias = "Message")]
    message: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

fn bad_tls(message: &'static str) -> impl FnOnce(reqwest::Error) -> Error {
    move |e| Error::new(ErrorKind::InvalidArgument, message).caused_by(e)
}

impl Http {
    pub(super) fn new(kind: &'static str, settings: ClientSettings) -> Result<Self> {
        let endpoints = Endpoints::new(kind, &settings)?;
        let mut builder = reqwest::Client::builder()
            .user_agent("pinfold")
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.timeout)
            .pool_max_idle_per_host(settings.idle_connections)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            // What is configured is what is asked.
            .no_proxy();
        if let Some(file) = &settings.tls.ca {
            let pem = std::fs::read(file).at("the file of trusted certificates cannot be read")?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(bad_tls("not a file of certificates"))?;
            builder = certificates.into_iter().fold(builder, |builder, one| builder.add_root_certificate(one));
        }
        if let Some(file) = &settings.tls.identity {
            let pem = Zeroizing::new(std::fs::read(file).at("the file of the client's certificate cannot be read")?);
            let identity = Identity::from_pem(&pem).map_err(bad_tls("not a certificate with its key"))?;
            builder = builder.identity(identity);
        }
        let retry = ExponentialBuilder::default()
            .with_min_delay(settings.retry_pause)
            .with_max_delay(settings.retry_pause.saturating_mul(16))
            .with_max_times(settings.retries)
            .with_jitter();
        Ok(Self {
            client: builder.build().map_err(bad_tls("the HTTP client cannot be made"))?,
            endpoints,
            auth: settings.auth,
            token: Mutex::default(),
            timeout: settings.timeout,
            retry,
        })
    }

    /// Sends what any number of times is the same as once, and reads a JSON answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        let bytes = match self.repeated(ask, Wanted::Json).await? {
            Got::Whole(bytes) => bytes,
            Got::Lines(_) => Vec::new(),
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(ErrorKind::Unavailable, "an IPFS server's answer has another form").caused_by(e))
    }

    /// The same; the answer as it comes.
    pub(super) async fn bytes(&self, ask: &Ask) -> Result<Vec<u8>> {
        match self.repeated(ask, Wanted::Bytes).await? {
            Got::Whole(bytes) => Ok(bytes),
            Got::Lines(_) => Ok(Vec::new()),
        }
    }

    /// The same for an answer of many lines, of which no more than one is in memory. Once the first line was handed over
    /// nobody else is asked.
    pub(super) async fn lines(&self, ask: &Ask) -> Result<Lines> {
        match self.repeated(ask, Wanted::Lines).await? {
            Got::Lines(lines) => Ok(lines),
            Got::Whole(_) => Err(self.endpoints.nobody()),
        }
    }

    /// Sends what cannot be sent twice, to one server that is well.
    pub(super) async fn once(
        &self,
        ask: &Ask,
        body: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Lines> {
        let begin = self.endpoints.begin();
        let turn = (0..self.endpoints.len()).find_map(|n| self.endpoints.turn(begin, n));
        let mut turn = turn.ok_or_else(|| self.endpoints.nobody())?;
        match self.send(&turn, ask, body).await {
            Ok(answer) => {
                turn.succeeded();
                Ok(Lines::new(answer, turn.shown()))
            }
            Err(failure) => {
                settle(&mut turn, &failure);
                Err(failure.error)
            }
        }
    }

    /// Asks every server by itself; those that fail and those that are back are noted. How many answer.
    pub(super) async fn check(&self, ask: &Ask) -> usize {
        let checks = self.endpoints.all().map(|mut turn| async move {
            let asked = tokio::time::timeout(Duration::from_secs(5), self.send(&turn, ask, |request| request)).await;
            match asked.unwrap_or_else(|_| Err(too_slow(turn.shown()))) {
                Ok(_) => {
                    turn.succeeded();
                    true
                }
                Err(failure) => {
                    settle(&mut turn, &failure);
                    failure.blame != Blame::Server
                }
            }
        });
        futures::future::join_all(checks).await.into_iter().filter(|well| *well).count()
    }

    /// One server after the other, each once; then, after a pause, again.
    async fn repeated(&self, ask: &Ask, wanted: Wanted) -> Result<Got> {
        let round = || self.round(ask, wanted);
        let retried = round.retry(self.retry).when(|failure: &Failure| failure.blame != Blame::Request);
        retried.await.map_err(|failure| failure.error)
    }

    /// Asks one server after the other until one does it: for what one may know already and others do not yet. NotFound if
    /// all that answer say so.
    pub(super) async fn wherever_it_is(&self, ask: &Ask) -> Result<()> {
        let begin = self.endpoints.begin();
        let mut last = self.endpoints.nobody();
        for n in 0..self.endpoints.len() {
            let Some(mut turn) = self.endpoints.turn(begin, n) else { continue };
            match self.attempt(&turn, ask, Wanted::Bytes).await {
                Ok(_) => {
                    turn.succeeded();
                    return Ok(());
                }
                Err(failure) => {
                    settle(&mut turn, &failure);
                    if last.kind() != ErrorKind::NotFound {
                        last = failure.error;
                    }
                }
            }
        }
        Err(last)
    }

    async fn round(&self, ask: &Ask, wanted: Wanted) -> Result<Got, Failure> {
        let begin = self.endpoints.begin();
        let mut last = None;
        for n in 0..self.endpoints.len() {
            let Some(mut turn) = self.endpoints.turn(begin, n) else { continue };
            let mut outcome = self.attempt(&turn, ask, wanted).await;
            if matches!(&outcome, Err(failure) if failure.blame == Blame::Token) && self.forget_token() {
                outcome = self.attempt(&turn, ask, wanted).await;
            }
            match outcome {
                Ok(got) => {
                    turn.succeeded();
                    return Ok(got);
                }
                Err(failure) => {
                    settle(&mut turn, &failure);
                    if matches!(failure.blame, Blame::Request | Blame::Token) {
                        return Err(Failure { blame: Blame::Request, ..failure });
                    }
                    tracing::debug!(server = turn.shown(), error = %failure.error, "an IPFS server failed; the next one");
                    last = Some(failure);
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::of_server(self.endpoints.nobody())))
    }

    async fn attempt(&self, turn: &Turn<'_>, ask: &Ask, wanted: Wanted) -> Result<Got, Failure> {
        if wanted == Wanted::Lines {
            let answer = self.send(turn, ask, |request| request).await?;
            return Ok(Got::Lines(Lines::new(answer, turn.shown())));
        }
        // Bounded from beginning to end, so that slow drops do not make it endless.
        let whole = async {
            let answer = self.send(turn, ask, |request| request).await?;
            read(answer, MAX_ANSWER, turn.shown()).await
        };
        let read = tokio::time::timeout(ask.timeout.unwrap_or(self.timeout), whole).await;
        let bytes = read.unwrap_or_else(|_| Err(too_slow(turn.shown())))?;
        if wanted == Wanted::Json && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
            return Err(Failure::nonsense("an IPFS server's answer is no JSON", turn.shown()));
        }
        Ok(Got::Whole(bytes))
    }

    /// One request to one server; an answer that is no success is a failure.
    async fn send(
        &self,
        turn: &Turn<'_>,
        ask: &Ask,
        body: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Response, Failure> {
        let request = self.client.request(ask.method.clone(), ask.url(turn.base()));
        let request = match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.as_str())),
            Auth::Bearer(token) => request.bearer_auth(token.as_str()),
            Auth::Token { user, password } => request.bearer_auth(self.token(turn, user, password).await?.as_str()),
        };
        let answer = body(request).send().await.map_err(|e| Failure::of_transport(e, turn.shown()))?;
        checked(answer, turn.shown()).await
    }

    /// The token in use, or a new one.
    async fn token(&self, turn: &Turn<'_>, user: &str, password: &str) -> Result<Zeroizing<String>, Failure> {
        if let Some(token) = self.token.lock().clone() {
            return Ok(token);
        }
        let request = self.client.post(Ask::post("token").url(turn.base())).basic_auth(user, Some(password));
        let answer = request.send().await.map_err(|e| Failure::of_transport(e, turn.shown()))?;
        let text = Zeroizing::new(read(checked(answer, turn.shown()).await?, MAX_EXPLANATION, turn.shown()).await?);
        let token = serde_json::from_slice::<Token>(&text)
            .map_err(|_| Failure::nonsense("an IPFS server's token is no JSON", turn.shown()))?;
        let token = Zeroizing::new(token.token);
        *self.token.lock() = Some(token.clone());
        Ok(token)
    }

    /// Whether there was one: then a new one may be taken where the old one was.
    fn forget_token(&self) -> bool {
        self.token.lock().take().is_some()
    }
}

/// How an answer is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Json,
    Bytes,
    Lines,
}

enum Got {
    Whole(Vec<u8>),
    Lines(Lines),
}

/// Notes what a failure says of the server.
fn settle(turn: &mut Turn<'_>, failure: &Failure) {
    match failure.blame {
        Blame::Server => turn.failed(&failure.error),
        Blame::Busy | Blame::Request | Blame::Token => turn.succeeded(),
    }
}

fn too_slow(server: &str) -> Failure {
    Failure::of_server(Error::new(ErrorKind::TimedOut, "an IPFS server takes too long").with("server", server))
}

async fn checked(answer: Response, server: &str) -> Result<Response, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = read(answer, MAX_EXPLANATION, server).await.unwrap_or_default();
    let message = match serde_json::from_slice::<Explanation>(&text) {
        Ok(explanation) => explanation.message,
        Err(_) => String::from_utf8_lossy(&text).chars().take(300).collect(),
    };
    Err(Failure::of_status(status.as_u16(), message.trim(), server))
}

/// A whole answer of no more than `max` bytes.
async fn read(mut answer: Response, max: usize, server: &str) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| Failure::of_transport(e, server))? {
        if whole.len() + piece.len() > max {
            return Err(Failure::nonsense("an IPFS server's answer is too long", server));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
