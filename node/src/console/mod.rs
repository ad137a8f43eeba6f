//! The web console: pages in the binary, a small JSON API, and S3 itself for whoever has signed in.
//!
//! The way of one request: [`crate::listener`] accepts (with the S3 endpoint's certificate, if there is one) → [`Console::answer`]
//! refuses what another site's page sent ([`guard`]), finds the account behind the cookie ([`session`]) and hands over: a
//! file of the pages ([`files`]), `/api/…` ([`api`]), or `/s3/…` ([`s3`]), which goes through the S3 door as that account,
//! so that nobody sees or does here what S3 would refuse.

pub mod api;
pub mod files;
pub mod guard;
pub mod s3;
pub mod session;
pub mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use pinfold_s3::Credentials;
use pinfold_s3::insider::{Insider, Known};
use pinfold_store::namespace::Account;
use tokio::sync::Semaphore;

use crate::admin;
use crate::admin::api::Api;
use crate::admin::error::ApiError;
use crate::admin::http::Watch;
use crate::listener::Answers;
use session::Sessions;
use throttle::Throttle;

/// Sign-ins that are looked at once; a wrong one takes a second, so that this bounds guesses from everywhere together.
const SIGN_INS: usize = 16;
/// Longest time of an answer of the API: nothing in it is long work.
const API_TIMEOUT: Duration = Duration::from_secs(30);

/// What the console is made of.
pub struct Needs {
    /// The operator's commands, which the API calls for administrators.
    pub api: Api,
    /// Who there is.
    pub accounts: Arc<dyn Credentials>,
    /// The S3 door.
    pub door: Insider,
    /// Region of the S3 endpoint.
    pub region: String,
    /// Brings metrics up to date.
    pub watch: Arc<dyn Watch>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// Browsers come by TLS.
    pub tls: bool,
}

/// The console.
pub struct Console {
    parts: Needs,
    sessions: Sessions,
    throttle: Throttle,
    sign_ins: Semaphore,
    router: Router,
}

/// The client's address, in a request's extensions.
#[derive(Clone, Copy, Debug)]
struct Client(IpAddr);

/// Who has signed in, in a request's extensions.
#[derive(Clone, Debug)]
struct Asker {
    account: Account,
    token: String,
}

impl Answers for Console {
    const NAME: &'static str = "the web console";
    /// A browser opens about six.
    const CONNECTIONS: usize = 256;

    fn answer(&self, from: IpAddr, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send {
        self.reply(from, request)
    }
}

impl Console {
    /// A console with no session; an error if the system has no random numbers.
    pub fn new(parts: Needs) -> std::io::Result<Arc<Self>> {
        let sessions = Sessions::new()?;
        Ok(Arc::new_cyclic(|this| Self {
            parts,
            sessions,
            throttle: Throttle::default(),
            sign_ins: Semaphore::new(SIGN_INS),
            router: api::router(this.clone()),
        }))
    }

    /// Answers one request of a client at `from`.
    async fn reply(&self, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let data = head.uri.path().starts_with("/s3/");
        let mut answer = match self.serve(from, head, body).await {
            Ok(answer) => answer,
            Err(refused) => refused.into_response(),
        };
        guard::finish(&mut answer, data);
        answer
    }

    async fn serve(&self, from: IpAddr, mut head: Parts, body: Incoming) -> Result<Response<Body>, ApiError> {
        let path = head.uri.path();
        if let Some(file) = files::find(path) {
            return Ok(file.answer(&head));
        }
        guard::check(&head)?;
        if !(path.starts_with("/api/") || path.starts_with("/s3/")) {
            return Err(ApiError::not_found("there is nothing here"));
        }
        head.extensions.insert(Client(from));
        // Anybody may begin a session, and ask whether there is one.
        let asker = match (path == api::SESSION, &head.method) {
            (true, &Method::POST) => None,
            (true, &Method::GET) => self.asker(&head).await?,
            _ => {
                Some(self.asker(&head).await?.ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, "sign in first"))?)
            }
        };
        let mut router = self.router.clone();
        if let Some(asker) = asker {
            if path.starts_with("/s3/") {
                let known = Known { access: asker.account.access, address: from, tls: self.parts.tls };
                return s3::pass(&self.parts.door, known, head, body).await;
            }
            if let Some(command) = api::command(path) {
                api::check_admin(&asker)?;
                head.uri = command.parse().map_err(|_| ApiError::bad_request("this path cannot be read"))?;
                let asker = admin::api::Asker { account: asker.account, from };
                router = admin::api::router(self.parts.api.asked_by(asker));
            } else {
                head.extensions.insert(asker);
            }
        }
        let call = TowerToHyperService::new(router).call(Request::from_parts(head, body));
        match tokio::time::timeout(API_TIMEOUT, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(never)) => match never {},
            Err(_) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "this took too long")),
        }
    }

    /// The account whose session the cookie names.
    async fn asker(&self, head: &Parts) -> Result<Option<Asker>, ApiError> {
        let Some(token) = guard::cookie(&head.headers, session::cookie_name(self.parts.tls)) else { return Ok(None) };
        // A page that stands open asks for these by itself: that keeps no session alive.
        let by_itself = head.uri.path() == api::METRICS;
        let accounts = &self.parts.accounts;
        let account =
            self.sessions.find(&token, !by_itself, |access| async move { accounts.find(&access).await }).await?;
        Ok(account.map(|account| Asker { account, token }))
    }
}
