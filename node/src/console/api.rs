//! `/api/…`: sign-in for all; accounts and the node for administrators, who ask by the very routes of the operator's commands.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use pinfold_store::namespace::Role;
use serde::{Deserialize, Serialize};

use super::session::{self, LIFE};
use super::{Asker, Client, Console};
use crate::admin::error::ApiError;
use crate::build_info;
use crate::credentials::Secret;

/// Where sessions begin and end.
pub const SESSION: &str = "/api/session";
/// What an open page of the node asks for again and again.
pub const METRICS: &str = "/api/metrics";

/// Largest body: a sign-in has two short fields.
const MAX_BODY: usize = 16 * 1024;
/// How long a wrong sign-in takes.
const WRONG: Duration = Duration::from_secs(1);

/// What the handlers are given; the console lives longer than its requests.
#[derive(Clone)]
struct Shared(Weak<Console>);

impl Shared {
    fn get(&self) -> Result<Arc<Console>, ApiError> {
        self.0.upgrade().ok_or_else(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"))
    }
}

/// `POST /api/session`.
#[derive(Deserialize)]
struct SignIn {
    access: String,
    secret: Secret,
}

/// Who has signed in.
#[derive(Serialize)]
struct SignedIn {
    access: String,
    role: Role,
    region: String,
    version: &'static str,
}

impl SignedIn {
    fn new(console: &Console, account: &pinfold_store::namespace::Account) -> Self {
        let region = console.parts.region.clone();
        Self { access: account.access.clone(), role: account.role, region, version: build_info::VERSION }
    }
}

/// The route of the operator's command that a path stands for, if it is one of those that administrators have here.
pub(super) fn command(path: &str) -> Option<String> {
    match path.strip_prefix("/api/")? {
        "node" => Some("/v1/status".to_owned()),
        users if users == "users" || users.starts_with("users/") => Some(format!("/v1/{users}")),
        _ => None,
    }
}

/// Refuses all but administrators.
pub(super) fn check_admin(asker: &Asker) -> Result<(), ApiError> {
    match asker.account.role {
        Role::Admin => Ok(()),
        _ => Err(ApiError::new(StatusCode::FORBIDDEN, "this is for administrators")),
    }
}

pub(super) fn router(console: Weak<Console>) -> Router {
    Router::new()
        .route(SESSION, post(sign_in).get(session).delete(sign_out))
        .route(METRICS, get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Shared(console))
}

async fn sign_in(
    State(shared): State<Shared>,
    Extension(Client(address)): Extension<Client>,
    Json(SignIn { access, secret }): Json<SignIn>,
) -> Result<Response, ApiError> {
    let console = shared.get()?;
    let Ok(_place) = console.sign_ins.try_acquire() else {
        return Ok(wait(StatusCode::SERVICE_UNAVAILABLE, "too many sign-ins at once", WRONG));
    };
    if let Err(time) = console.throttle.take(address) {
        return Ok(wait(StatusCode::TOO_MANY_REQUESTS, "too many wrong sign-ins from this address", time));
    }
    let account = console.parts.accounts.find(&access).await?;
    let right = console.sessions.is_secret_of(account.as_ref(), secret.expose());
    let Some(account) = account.filter(|_| right) else {
        // What was typed as a name may be the secret: it is not logged.
        tracing::warn!(%address, "a sign-in at the console was refused");
        tokio::time::sleep(WRONG).await;
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "The access key or the secret key is wrong."));
    };
    console.throttle.give_back(address);
    let token = console.sessions.open(&account).map_err(|e| ApiError::failed(e.to_string()))?;
    tracing::info!(%address, access = account.access, "signed in at the console");
    let mut answer = Json(SignedIn::new(&console, &account)).into_response();
    set_cookie(&mut answer, console.parts.tls, &token, LIFE.as_secs())?;
    Ok(answer)
}

fn wait(status: StatusCode, why: &str, time: Duration) -> Response {
    let seconds = time.as_millis().div_ceil(1000).to_string();
    ([(header::RETRY_AFTER, seconds)], ApiError::new(status, why)).into_response()
}

fn set_cookie(answer: &mut Response, tls: bool, token: &str, seconds: u64) -> Result<(), ApiError> {
    let (name, secure) = (session::cookie_name(tls), if tls { "; Secure" } else { "" });
    let cookie = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let cookie = HeaderValue::try_from(cookie).map_err(|e| ApiError::failed(e.to_string()))?;
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}

async fn session(
    State(shared): State<Shared>,
    asker: Option<Extension<Asker>>,
) -> Result<Json<Option<SignedIn>>, ApiError> {
    let console = shared.get()?;
    Ok(Json(asker.map(|Extension(asker)| SignedIn::new(&console, &asker.account))))
}

async fn sign_out(State(shared): State<Shared>, Extension(asker): Extension<Asker>) -> Result<Response, ApiError> {
    let console = shared.get()?;
    console.sessions.close(&asker.token);
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut answer, console.parts.tls, "", 0)?;
    Ok(answer)
}

async fn metrics(State(shared): State<Shared>, Extension(asker): Extension<Asker>) -> Result<Response, ApiError> {
    check_admin(&asker)?;
    let console = shared.get()?;
    let watch = Arc::clone(&console.parts.watch);
    // It looks at the disk. A refresh that panics has been logged; the other metrics are still worth having.
    let _ = tokio::task::spawn_blocking(move || watch.refresh()).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], console.parts.metrics.render()).into_response())
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn only_accounts_and_the_state_are_commands() {
        let found = |path: &str| command(path).unwrap_or_default();
        assert_eq!(found("/api/node"), "/v1/status");
        assert_eq!(found("/api/users"), "/v1/users");
        assert_eq!(found("/api/users/a%2Fb/secret"), "/v1/users/a%2Fb/secret");
        for path in ["/api/usersx", "/api/mounts", "/api/reload", "/api/session", "/v1/users", "/api/nodes", "/api/"] {
            assert!(command(path).is_none(), "{path}");
        }
    }
}
