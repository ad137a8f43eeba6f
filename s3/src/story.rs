//! What logs tell of one request: taken from its head when it comes, completed when it is answered.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, REFERER, USER_AGENT};
use http::request::Parts;
use hyper::{Method, StatusCode};
use pinfold_store::audit::{Event, Outcome};
use time::OffsetDateTime;

use crate::accesslog::{Record, Time};
use crate::address::Address;
use crate::config::S3Config;
use crate::guard::form_pairs;
use crate::operation::{self, UNKNOWN};
use crate::peer::Peer;
use crate::respond;
use crate::scope::Scope;

/// What is known of a request before anybody has looked at it.
pub(crate) struct Story {
    /// The operation by the request's target.
    pub(crate) operation: &'static str,
    /// The client's end.
    pub(crate) peer: Option<Peer>,
    /// The bucket; empty without.
    pub(crate) bucket: String,
    /// The key; empty without.
    pub(crate) key: String,
    /// The request's query, decoded as far as logs need it.
    pub(crate) query: String,
    method: Method,
    uri: String,
    referer: String,
    user_agent: String,
    length: u64,
    claimed: String,
    signed: &'static str,
}

fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> String {
    headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default()
}

impl Story {
    /// Of a request's head.
    pub(crate) fn of(head: &Parts, address: Option<&Address>, operation: &'static str) -> Self {
        let number = |name: &str| text(&head.headers, name).parse().ok();
        Self {
            operation,
            peer: head.extensions.get::<Peer>().copied(),
            bucket: address.map(|a| a.bucket.clone()).unwrap_or_default(),
            key: address.map(|a| a.key.clone()).unwrap_or_default(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            method: head.method.clone(),
            uri: head.uri.path_and_query().map(|p| p.as_str().to_owned()).unwrap_or_default(),
            referer: text(&head.headers, REFERER),
            user_agent: text(&head.headers, USER_AGENT),
            claimed: claimed(head),
            signed: signed(head),
            length: number("x-amz-decoded-content-length").or_else(|| number("content-length")).unwrap_or_default(),
        }
    }

    /// It goes into the admin log.
    pub(crate) fn of_admin(&self) -> bool {
        self.method == Method::PATCH
    }

    /// The client's address, IPv4 as such.
    pub(crate) fn remote_ip(&self) -> String {
        self.peer.map(|peer| peer.address.to_canonical().to_string()).unwrap_or_default()
    }

    /// What the audit log tells.
    pub(crate) fn event(&self, scope: &Scope, status: StatusCode) -> Event {
        let facts = scope.facts();
        let verified = facts.signer.is_some();
        let of_admin = self.of_admin();
        let named = |name: &str| if of_admin { self.parameter(name).unwrap_or_default() } else { String::new() };
        let bucket = match self.operation {
            "admin_ChangeBucketOwner" => named("bucket"),
            operation if of_admin && operation != "admin_CreateBucket" => String::new(),
            _ => self.bucket.clone(),
        };
        let target = facts.target.or_else(|| self.parameter("access").filter(|_| of_admin));
        Event {
            time: String::new(),
            operation: facts.operation.unwrap_or(self.operation).to_owned(),
            door: if of_admin { "admin-api" } else { "s3" },
            who: facts.signer.unwrap_or_else(|| self.claimed.clone()),
            verified,
            from: self.remote_ip(),
            bucket,
            key: if of_admin { String::new() } else { self.key.clone() },
            target: target.unwrap_or_else(|| named("owner")),
            result: match status {
                status if status.is_success() => Outcome::Done,
                StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Outcome::Denied,
                _ => Outcome::Failed,
            },
            code: facts.code.unwrap_or_default(),
            request: respond::request_id(scope),
            note: facts.note.unwrap_or_default(),
        }
    }

    /// A parameter's value.
    pub(crate) fn parameter(&self, wanted: &str) -> Option<String> {
        form_pairs(&self.query).find(|(name, _)| name == wanted).map(|(_, value)| value).filter(|v| !v.is_empty())
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Where its signature is, in AWS's words; empty without one.
    pub(crate) fn signed(&self) -> &'static str {
        self.signed
    }

    /// The operation's name: s3s's where it came so far.
    pub(crate) fn operation_of(&self, scope: &Scope) -> &'static str {
        let known = scope.operation();
        if matches!(known, UNKNOWN | "Other") || self.operation == "PostObject" { self.operation } else { known }
    }

    /// The whole, as far as it is known when the answer's head is.
    pub(crate) fn record(&self, scope: &Scope, config: &S3Config, status: StatusCode, answer: &HeaderMap) -> Record {
        let facts = scope.facts();
        let known = self.operation_of(scope);
        let new_owner = facts.signer.clone().filter(|_| self.operation == "CreateBucket" && status.is_success());
        // VersityGW names whom a wrong signature was to be of.
        let wrong = facts.code.as_deref() == Some("SignatureDoesNotMatch");
        let said = wrong.then(|| self.claimed.clone());
        let session = self.peer.and_then(|peer| peer.session);
        let taken = u64::try_from(scope.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let of_object = |name| self.operation == name && status.is_success();
        let object_size = if of_object("PutObject") || of_object("UploadPart") {
            self.length
        } else if of_object("GetObject") || of_object("HeadObject") {
            whole_size(answer)
        } else {
            0
        };
        let path = if self.bucket.is_empty() { "/".to_owned() } else { format!("/{}", self.bucket) };
        let path = if self.key.is_empty() { path } else { format!("{path}/{}", self.key) };
        Record {
            bucket_owner: facts.owner.or(new_owner).unwrap_or_default(),
            bucket: self.bucket.clone(),
            time: Time(OffsetDateTime::now_utc()),
            remote_ip: self.remote_ip(),
            requester: facts.signer.or(said).unwrap_or_default(),
            request_id: respond::request_id(scope),
            operation: operation::versitygw(known),
            key: self.key.clone(),
            request_uri: self.uri.clone(),
            http_status: if status.is_success() { 200 } else { status.as_u16() },
            error_code: facts.code.unwrap_or_default(),
            bytes_sent: 0,
            object_size,
            total_time: taken,
            turn_around_time: taken,
            referer: self.referer.clone(),
            user_agent: self.user_agent.clone(),
            version_id: self.parameter("versionId").unwrap_or_default(),
            host_id: respond::extended_id(scope, &config.host_id),
            signature_version: "SigV4",
            cipher_suite: session.map(|s| s.cipher.to_owned()).unwrap_or_default(),
            authentication_type: "AuthHeader",
            host_header: format!("s3.{}.amazonaws.com", config.region),
            tls_version: session.map(|s| s.version.to_owned()).unwrap_or_default(),
            access_point_arn: format!("arn:aws:s3:::{path}"),
            acl_required: "Yes",
        }
    }
}

/// Where a request's signature is.
fn signed(head: &Parts) -> &'static str {
    if head.headers.contains_key(AUTHORIZATION) {
        return "AuthHeader";
    }
    let in_query = form_pairs(head.uri.query().unwrap_or_default()).any(|(name, _)| name == "X-Amz-Signature");
    if in_query { "QueryString" } else { "" }
}

/// The access key that a request says it is signed with.
fn claimed(head: &Parts) -> String {
    let header = text(&head.headers, AUTHORIZATION);
    let credential = match header.split_once("Credential=") {
        Some((_, rest)) => rest.to_owned(),
        None => form_pairs(head.uri.query().unwrap_or_default())
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value)
            .unwrap_or_default(),
    };
    credential.split(['/', ',']).next().unwrap_or_default().to_owned()
}

/// The object's size in an answer that brings it, or a range of it.
fn whole_size(answer: &HeaderMap) -> u64 {
    let range = text(answer, CONTENT_RANGE);
    let total = range.rsplit_once('/').map_or_else(|| text(answer, CONTENT_LENGTH), |(_, total)| total.to_owned());
    total.parse().unwrap_or_default()
}
