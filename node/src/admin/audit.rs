//! Commands on the admin socket in the audit log: all that change accounts, rights or buckets, done or refused.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use pinfold_store::audit::{Event, Outcome};
use pinfold_store::types::Id;
use serde::Deserialize;
use serde_json::Value;

use super::api::Api;
use super::error::ApiError;
use super::socket::AdminSocket;
use super::wire;

/// Largest body that is looked at; axum's own bound of what a handler reads.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// The process at the other end of the socket.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its number, if the kernel tells.
    pub pid: Option<i32>,
}

impl Connected<IncomingStream<'_, AdminSocket>> for Peer {
    fn connect_info(stream: IncomingStream<'_, AdminSocket>) -> Self {
        *stream.remote_addr()
    }
}

/// What a request does, by its route; `None` for what is not audited: reading, and what the node does with itself.
fn operation(method: &Method, path: &str) -> Option<String> {
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    Some(match (method.as_str(), parts.as_slice()) {
        (_, ["reload" | "mounts" | "meta", ..]) => return None,
        ("POST", ["buckets"]) => "CreateBucket".to_owned(),
        ("DELETE", ["buckets", _]) => "DeleteBucket".to_owned(),
        ("POST", ["users"]) => "CreateUser".to_owned(),
        ("DELETE", ["users", _]) => "DeleteUser".to_owned(),
        ("PUT", ["users", _, "secret"]) => "ChangeSecret".to_owned(),
        ("POST", ["pins"]) => "Pin".to_owned(),
        ("POST", ["pins", "remove"]) => "Unpin".to_owned(),
        ("POST", ["import", "users"]) => "ImportUsers".to_owned(),
        ("PUT", ["iam", kind]) => format!("PutIam{}", titled(kind)),
        ("DELETE", ["iam", kind, _]) => format!("DeleteIam{}", titled(kind)),
        // Those that come later are audited from their first day on.
        (method, parts) => format!("{method} {}", parts.join("/")),
    })
}

fn titled(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// What a command is about: from its path, or its body, of which nothing else is looked at.
fn about(operation: &str, path: &str, body: &[u8]) -> (String, String) {
    let in_path = path.trim_start_matches("/v1/").split('/').nth(1).unwrap_or_default();
    let in_path = percent_decode(in_path);
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match operation {
        "CreateBucket" => (text("name"), text("owner")),
        "DeleteBucket" => (in_path, String::new()),
        "CreateUser" => (String::new(), text("access")),
        "Pin" | "Unpin" => {
            let pins = value.get("pins").or_else(|| value.get("cids")).and_then(Value::as_array);
            let cids = pins.into_iter().flatten().filter_map(|pin| pin.get("cid").unwrap_or(pin).as_str());
            (String::new(), cids.collect::<Vec<_>>().join(" "))
        }
        "ImportUsers" => {
            let users = value.get("users").and_then(Value::as_array);
            let names = users.into_iter().flatten().filter_map(|user| user.get("access").and_then(Value::as_str));
            (String::new(), names.collect::<Vec<_>>().join(" "))
        }
        iam if iam.starts_with("PutIam") => (String::new(), text("name")),
        iam if iam.starts_with("DeleteIam") => {
            (String::new(), percent_decode(path.rsplit('/').next().unwrap_or_default()))
        }
        _ => (text("bucket"), if in_path.is_empty() { text("access") } else { in_path }),
    }
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Around every request on the socket.
pub(super) async fn layer(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (Some(audit), Some(operation)) = (api.audit.clone(), operation(request.method(), &path)) else {
        return next.run(request).await;
    };
    if let Err(e) = audit.ready().await {
        return ApiError::from(e).about("the audit log cannot be written, so that nothing is done").into_response();
    }
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return ApiError::too_large("the request is too large").into_response();
    };
    let id = Id::random();
    head.extensions.insert(id);
    let from = match (&api.asker, head.extensions.get::<ConnectInfo<Peer>>()) {
        (Some(asker), _) => asker.from.to_string(),
        (None, Some(ConnectInfo(Peer { uid, pid: Some(pid) }))) => format!("uid {uid} pid {pid}"),
        (None, Some(ConnectInfo(Peer { uid, pid: None }))) => format!("uid {uid}"),
        (None, None) => String::new(),
    };
    let (bucket, target) = about(&operation, &path, &body);
    let answer = next.run(Request::from_parts(head, Body::from(body))).await;
    let status = answer.status();
    let event = Event {
        time: String::new(),
        operation,
        door: if api.asker.is_some() { "console" } else { "admin-socket" },
        who: api.caller().principal,
        verified: true,
        from,
        bucket,
        key: String::new(),
        target,
        result: match status {
            status if status.is_success() => Outcome::Done,
            StatusCode::FORBIDDEN => Outcome::Denied,
            _ => Outcome::Failed,
        },
        code: if status.is_success() { String::new() } else { status.as_u16().to_string() },
        request: id.to_string().to_uppercase(),
        note: String::new(),
    };
    match audit.write(event).await {
        Ok(()) => answer,
        Err(e) => ApiError::from(e).about("done, but the audit log could not be written").into_response(),
    }
}

/// `GET /v1/audit/verify`.
#[derive(Debug, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    archived: bool,
}

/// Verifies the log up to the line that was the last one when this was asked.
pub(super) async fn verify(
    State(api): State<Api>,
    Query(ask): Query<Ask>,
) -> Result<Json<wire::AuditVerified>, ApiError> {
    let audit = api.audit.ok_or_else(|| ApiError::not_found("there is no audit log (setting `audit_log`)"))?;
    let verified = tokio::task::spawn_blocking(move || {
        let head = audit.head();
        pinfold_store::audit::verify(audit.dir(), Some(&head), ask.archived)
    });
    let found = verified.await.map_err(|e| ApiError::failed(format!("a worker ended early: {e}")))??;
    Ok(Json(found.into()))
}

#[cfg(test)]
mod tests {
    use super::{about, operation};
    use axum::http::Method;

    #[test]
    fn what_changes_something_has_a_name() {
        assert_eq!(operation(&Method::POST, "/v1/users").as_deref(), Some("CreateUser"));
        assert_eq!(operation(&Method::PUT, "/v1/users/a/secret").as_deref(), Some("ChangeSecret"));
        assert_eq!(operation(&Method::PUT, "/v1/iam/policy").as_deref(), Some("PutIamPolicy"));
        assert_eq!(operation(&Method::DELETE, "/v1/iam/role/r").as_deref(), Some("DeleteIamRole"));
        assert_eq!(operation(&Method::POST, "/v1/new/thing").as_deref(), Some("POST new/thing"));
        for (method, path) in [(Method::GET, "/v1/users"), (Method::POST, "/v1/reload"), (Method::POST, "/v1/mounts")] {
            assert_eq!(operation(&method, path), None, "{path}");
        }
    }

    #[test]
    fn names_are_told_and_no_secrets() {
        let body = br#"{"access":"ann","secret":"hush","role":"user"}"#;
        assert_eq!(about("CreateUser", "/v1/users", body), (String::new(), "ann".to_owned()));
        assert_eq!(about("ChangeSecret", "/v1/users/a%2Fb/secret", br#"{"secret":"hush"}"#).1, "a/b");
        assert_eq!(about("PutIamRole", "/v1/iam/role", br#"{"name":"r","trust":"{}"}"#).1, "r");
        assert_eq!(about("DeleteIamRole", "/v1/iam/role/r", b"").1, "r");
        let many = br#"{"users":[{"access":"a","secret":"x"},{"access":"b","secret":"y"}]}"#;
        assert_eq!(about("ImportUsers", "/v1/import/users", many).1, "a b");
    }
}
