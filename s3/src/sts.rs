//! The part of AWS's Security Token Service that makes sessions: AssumeRole, GetSessionToken and GetCallerIdentity, as forms
//! posted to `/` of the S3 endpoint.

use std::fmt::Write;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use hyper::{Method, StatusCode};
use pinfold_store::iam::action::ASSUME_ROLE;
use pinfold_store::iam::identity::{ACCOUNT_NUMBER, role_arn, role_of};
use pinfold_store::iam::{Decision, Policy, Question, Who, decide, validate};
use pinfold_store::meta::iam_row::RoleRow;
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::Timestamp;
use s3s::{Body, HttpResponse, S3ErrorCode, S3Request, S3Response, S3Result};
use time::OffsetDateTime;

use crate::auth::Credentials;
use crate::convert::time::iso;
use crate::error::{OrS3, custom_message, fail, internal, plain};
use crate::guard::form_pairs;
use crate::identity::{Identities, SessionToken};
use crate::request_context;
use crate::respond::{push_element, request_id};
use crate::scope::{Facts, Scope};
use crate::session::{Issued, Principal, Wanted};

/// Largest form.
const MAX: usize = 64 * 1024;
/// Seconds of a session that asks for none.
const USUAL: u32 = 3600;
const SHORTEST: u32 = 900;
/// The longest session of a role that another role takes, and of an account.
const LONGEST_CHAINED: u32 = 3600;
const LONGEST_OF_ACCOUNT: u32 = 129_600;
const USUAL_OF_ACCOUNT: u32 = 43_200;

/// Whether a request is for this service.
pub(crate) fn is_request(head: &Parts) -> bool {
    let form = |v: &http::HeaderValue| v.as_bytes().starts_with(b"application/x-www-form-urlencoded");
    head.method == Method::POST && head.uri.path() == "/" && head.headers.get(CONTENT_TYPE).is_some_and(form)
}

/// The one action that gives nothing, and is not audited.
pub(crate) const WHO_AM_I: &str = "GetCallerIdentity";
/// All of them.
const ACTIONS: [&str; 3] = ["AssumeRole", "GetSessionToken", WHO_AM_I];

/// Makes sessions.
pub(crate) struct Sts {
    accounts: Arc<dyn Credentials>,
    identities: Arc<Identities>,
    namespace: Namespace,
}

/// A form's fields.
struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn need(&self, name: &str) -> S3Result<&str> {
        self.get(name).ok_or_else(|| invalid(format!("Value null at '{name}' failed to satisfy constraint")))
    }

    fn seconds(&self, usual: u32, longest: u32) -> S3Result<u32> {
        let Some(text) = self.get("DurationSeconds") else { return Ok(usual.min(longest)) };
        match text.parse() {
            Ok(seconds) if (SHORTEST..=longest).contains(&seconds) => Ok(seconds),
            _ => Err(invalid(format!("DurationSeconds must be between {SHORTEST} and {longest}: {text}"))),
        }
    }

    /// The policy that narrows the session.
    fn limit(&self) -> S3Result<Option<String>> {
        let Some(text) = self.get("Policy") else { return Ok(None) };
        match validate::identity_policy(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(wrong) => Err(custom_message("MalformedPolicyDocument", StatusCode::BAD_REQUEST, wrong.0)),
        }
    }
}

/// As much of what an account says as a log needs.
fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn invalid(what: String) -> s3s::S3Error {
    custom_message("ValidationError", StatusCode::BAD_REQUEST, what)
}

impl Sts {
    pub(crate) fn new(accounts: Arc<dyn Credentials>, identities: Arc<Identities>, namespace: Namespace) -> Self {
        Self { accounts, identities, namespace }
    }

    /// Answers a request whose signature was verified.
    pub(crate) async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let Some(signer) = request.credentials.as_ref().map(|c| c.access_key.clone()) else {
            let text = "Request is missing Authentication Token";
            return Err(custom_message("MissingAuthenticationToken", StatusCode::FORBIDDEN, text.to_owned()));
        };
        let scope = request.extensions.get::<Arc<Scope>>().cloned();
        let note = |change: &dyn Fn(&mut Facts)| scope.iter().for_each(|scope| scope.note(change));
        note(&|facts| facts.signer = Some(signer.clone()));
        let body =
            request.input.store_all_limited(MAX).await.map_err(|_| invalid("The form is too long".to_owned()))?;
        let text = std::str::from_utf8(&body).map_err(|_| invalid("The form is not UTF-8".to_owned()))?;
        let form = Form(form_pairs(text).collect());
        let asked = ACTIONS.into_iter().find(|action| form.get("Action") == Some(*action));
        note(&|facts| {
            facts.operation = asked;
            facts.target = form.get("RoleArn").map(short);
            facts.note = form.get("RoleSessionName").map(|name| format!("session {}", short(name)));
        });
        let token = request.extensions.get::<SessionToken>().map(|SessionToken(token)| token.as_str());
        let (account, identity) = self.identities.of(&signer, token).await?;
        note(&|facts| facts.signer = Some(account.access.clone()));
        let (action, result) = match form.need("Action")? {
            "AssumeRole" => {
                // A session cannot widen itself: what narrows it would have to narrow the role, too.
                if identity.limit.is_some() {
                    return Err(plain(S3ErrorCode::AccessDenied));
                }
                let name = form.need("RoleArn")?;
                let name = role_of(name).ok_or_else(|| invalid(format!("RoleArn is not the ARN of a role: {name}")))?;
                let context = request_context::of(&request, &account.access);
                let question = Question {
                    who: Who::Account(&account.access),
                    action: ASSUME_ROLE,
                    resource: &role_arn(name),
                    context: &context,
                };
                let role = self.role(name, &account, &question, identity.decide(&question))?;
                ("AssumeRole", self.assume_role(&form, name, &role, &account)?)
            }
            "GetSessionToken" if token.is_some() => return Err(plain(S3ErrorCode::AccessDenied)),
            "GetSessionToken" => ("GetSessionToken", self.session_token(&form, &account)?),
            WHO_AM_I => (WHO_AM_I, caller_identity(&account)),
            other => {
                let text = format!(
                    "Could not find operation {other} for version {}",
                    form.get("Version").unwrap_or("NO_VERSION_SPECIFIED")
                );
                return Err(custom_message("InvalidAction", StatusCode::BAD_REQUEST, text));
            }
        };
        let id = scope.map(|scope| request_id(&scope)).unwrap_or_default();
        Ok(answer(action, &result, &id))
    }

    /// The role, if this account may take it.
    fn role(&self, name: &str, account: &Account, question: &Question<'_>, own: Decision) -> S3Result<RoleRow> {
        let denied = || {
            let (user, role) = (&account.access, role_arn(name));
            let text = format!("User: {user} is not authorized to perform: {ASSUME_ROLE} on resource: {role}");
            fail(S3ErrorCode::AccessDenied, text)
        };
        // Whether there is such a role is nobody's business who may not take it.
        let role = self.namespace.iam::<RoleRow>(name).or_s3()?.ok_or_else(denied)?;
        if account.role == Role::Admin {
            return Ok(role);
        }
        let trust = Policy::parse(&role.trust).map_err(|wrong| internal("a trust policy cannot be read", wrong.0))?;
        let trusted = decide([&trust], question) == Decision::Allow && own != Decision::Deny;
        if trusted { Ok(role) } else { Err(denied()) }
    }

    fn assume_role(&self, form: &Form, name: &str, role: &RoleRow, account: &Account) -> S3Result<String> {
        let session = form.need("RoleSessionName")?;
        let usual = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&session.len()) || !session.chars().all(usual) {
            return Err(invalid(format!("RoleSessionName has 2 to 64 letters, digits and _+=,.@-: {session}")));
        }
        let chained = role_of(&account.access).is_some();
        let longest = if chained { role.max_seconds.min(LONGEST_CHAINED) } else { role.max_seconds };
        let issued = self.issue(Wanted {
            principal: Principal::Role(name.to_owned()),
            name: session.to_owned(),
            limit: form.limit()?,
            seconds: form.seconds(USUAL, longest)?,
            uid: account.uid,
            gid: account.gid,
        })?;
        let mut user = String::new();
        let arn = format!("arn:aws:sts::{ACCOUNT_NUMBER}:assumed-role/{name}/{session}");
        push_element(&mut user, "AssumedRoleId", &format!("{name}:{session}"));
        push_element(&mut user, "Arn", &arn);
        Ok(format!("{}<AssumedRoleUser>{user}</AssumedRoleUser>", credentials(&issued)?))
    }

    fn session_token(&self, form: &Form, account: &Account) -> S3Result<String> {
        let issued = self.issue(Wanted {
            principal: Principal::Account(account.access.clone()),
            name: String::new(),
            // AWS has no such parameter here; MinIO's clients send it.
            limit: form.limit()?,
            seconds: form.seconds(USUAL_OF_ACCOUNT, LONGEST_OF_ACCOUNT)?,
            uid: account.uid,
            gid: account.gid,
        })?;
        credentials(&issued)
    }

    fn issue(&self, wanted: Wanted) -> S3Result<Issued> {
        let sessions = self.accounts.sessions().ok_or_else(|| plain(S3ErrorCode::NotImplemented))?;
        sessions.issue(wanted, OffsetDateTime::now_utc()).or_s3()
    }
}

fn credentials(issued: &Issued) -> S3Result<String> {
    let expires = iso(Timestamp { secs: issued.expires, nanos: 0 });
    let expires = expires.ok_or_else(|| internal("a session ends at no time", issued.expires))?;
    let mut out = String::from("<Credentials>");
    push_element(&mut out, "AccessKeyId", &issued.access);
    push_element(&mut out, "SecretAccessKey", &issued.secret);
    push_element(&mut out, "SessionToken", &issued.token);
    push_element(&mut out, "Expiration", &expires);
    out.push_str("</Credentials>");
    Ok(out)
}

fn caller_identity(account: &Account) -> String {
    let arn = match role_of(&account.access) {
        Some(name) => format!("arn:aws:sts::{ACCOUNT_NUMBER}:assumed-role/{name}"),
        None => format!("arn:aws:iam::{ACCOUNT_NUMBER}:user/{}", account.access),
    };
    let mut out = String::new();
    push_element(&mut out, "Arn", &arn);
    push_element(&mut out, "UserId", &account.access);
    push_element(&mut out, "Account", ACCOUNT_NUMBER);
    out
}

fn answer(action: &str, result: &str, id: &str) -> S3Response<Body> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    );
    let mut answer = S3Response::new(Body::from(out));
    answer.headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("text/xml"));
    answer
}

/// An error in this service's form: S3's, one level deeper.
pub(crate) fn finish(mut answer: HttpResponse) -> HttpResponse {
    let text = answer.body().bytes().and_then(|xml| String::from_utf8(xml.to_vec()).ok());
    if !answer.status().is_success()
        && let Some(text) = text
        && let Some((_, error)) = text.split_once("<Error>")
    {
        let kind = if answer.status().is_server_error() { "Receiver" } else { "Sender" };
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ErrorResponse \
             xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{kind}</Type>{error}</ErrorResponse>"
        );
        answer.headers_mut().remove(http::header::CONTENT_LENGTH);
        *answer.body_mut() = Body::from(xml);
    }
    answer
}
