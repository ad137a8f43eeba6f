//! The outermost layer of a request: everything that happens to all of them, before and after s3s.

mod told;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use governor::DefaultDirectRateLimiter;
use http::request::Parts;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::{Method, Request, Response, Version};
use parking_lot::RwLock;
use pinfold_store::namespace::Namespace;
use s3s::config::StaticConfigProvider;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpResponse, S3ErrorCode, S3Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, error, error_span};

use crate::access::{Gate, Verified};
use crate::accesslog::AccessLogs;
use crate::address::Address;
use crate::admin::{Admin, Routes};
use crate::anonymous;
use crate::auth::{Credentials, Secrets};
use crate::body::framing::{Kind, Trailer};
use crate::body::incoming::{Digests, Received, linger};
use crate::body::outgoing::Answer;
use crate::bucketlog::BucketLogs;
use crate::checksum::{self, NO_TRAILER};
use crate::config::S3Config;
use crate::cors::{self, Asker, Expose};
use crate::error::{OrS3, from_failure, invalid_request, plain};
use crate::form::{self, Forms};
use crate::guard::{self, form_pairs};
use crate::host::Domains;
use crate::identity::{self, Identities};
use crate::limits::Limits;
use crate::longkey::{self, LongKeys};
use crate::metrics::{self, Counted};
use crate::respond::{self, About};
use crate::route::{Lenient, Suspect};
use crate::rules::Rules;
use crate::scope::{BodyFailure, Scope};
use crate::service::Service;
use crate::sts::{self, Sts};
use crate::website::{Site, Sites, Visit};
use crate::{copysource, keepalive, ops, subresource};

/// What all connections share.
pub(crate) struct Door {
    s3: S3Service,
    long: LongKeys,
    forms: Forms,
    sites: Option<Sites>,
    namespace: Namespace,
    gate: Gate,
    domains: Option<Domains>,
    config: Arc<S3Config>,
    logs: Arc<AccessLogs>,
    bucket_logs: Arc<BucketLogs>,
    /// How often strangers may be told of in the audit log.
    strangers: DefaultDirectRateLimiter,
    limits: RwLock<Arc<Limits>>,
    places: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(
        config: Arc<S3Config>,
        namespace: Namespace,
        accounts: Arc<dyn Credentials>,
        logs: Arc<AccessLogs>,
        bucket_logs: Arc<BucketLogs>,
    ) -> Self {
        let rules = Arc::new(Rules::default());
        let identities = Arc::new(Identities::new(accounts.clone(), namespace.clone()));
        let gate = || Gate { identities: identities.clone(), namespace: namespace.clone(), rules: rules.clone() };
        let inner = Arc::new(builder(&config, &namespace, &accounts, &bucket_logs, gate()).build());
        let mut outer = builder(&config, &namespace, &accounts, &bucket_logs, gate());
        let admin = Admin::new(accounts.clone(), namespace.clone(), inner.clone());
        let sessions = Sts::new(accounts.clone(), identities.clone(), namespace.clone());
        outer.set_route(Routes::new(admin, sessions, Lenient::new(inner.clone(), config.max_xml_bytes)));
        let gate = gate();
        let forms = Forms { accounts: accounts.clone(), region: config.region.clone(), https: config.tls.is_some() };
        let long = LongKeys::new(inner, accounts);
        let domains = Domains::new(&config.domains);
        let sites = Sites::new(&config.website_domains);
        Self {
            s3: outer.build(),
            long,
            forms,
            sites,
            namespace,
            gate,
            domains,
            logs,
            bucket_logs,
            limits: RwLock::new(Arc::new(Limits::new(config.limits))),
            strangers: told::strangers(),
            places: Arc::new(Semaphore::new(config.max_requests)),
            config,
        }
    }

    /// Answers one request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        let scope = Scope::new();
        let counted = Counted::request();
        let span = error_span!("s3", request = %scope.id);
        let method = request.method().clone();
        let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let date = request.headers().get("x-amz-date").cloned();
        let payload = request.headers().get("x-amz-content-sha256").cloned();
        let expects = request.headers().contains_key(EXPECT);
        let http1 = request.version() < Version::HTTP_2;
        let (mut head, body) = request.into_parts();
        let of_sessions = sts::is_request(&head);
        if let Some(token) = identity::token(&head) {
            head.extensions.insert(token);
        }
        let slow = self.slow_down(&head, &scope);
        let address = Address::read(&head, self.domains.as_ref());
        let site = self.sites.as_ref().and_then(|sites| sites.find(&head));
        let of_site = site.is_some();
        let logging = self.logging(&head, address.as_ref(), site.as_ref());
        let story = self.story(&head, address.as_ref(), logging.is_some());
        let asker = match &site {
            Some(Site::Bucket(bucket)) => Asker::of(&head.method, &head.headers).map(|asker| (asker, bucket.clone())),
            Some(Site::Nothing(_)) => None,
            None => Self::asker(&head, address.as_ref()),
        };
        let audit = story.as_ref().and_then(|story| self.audit(story.operation));
        let mute = match audit {
            Some(log) if slow.is_none() => log.ready().await.is_err(),
            _ => false,
        };
        let place = if slow.is_none() { self.clone().place().await } else { None };
        let answer = match (&place, site) {
            (Some(_), None) if mute => {
                scope.leave(body, false);
                respond::error(plain(S3ErrorCode::ServiceUnavailable))
            }
            (Some(_), Some(site)) => {
                scope.leave(body, false);
                self.clone().visit(&head, site, scope.clone()).instrument(span).await
            }
            (Some(_), None) => self.clone().serve(head, body, address, scope.clone()).instrument(span).await,
            (None, _) => {
                scope.leave(body, false);
                slow.unwrap_or_else(|| {
                    metrics::queued_out();
                    respond::error(guard::too_busy())
                })
            }
        };
        let about = About {
            scope: &scope,
            method: &method,
            path: &path,
            query: &query,
            host_id: &self.config.host_id,
            max_xml: self.config.max_xml_bytes as u64,
            date,
            payload,
        };
        let mut answer = match of_site {
            true => respond::finish_page(answer, &about),
            false => respond::finish(answer, &about),
        };
        if let (Some(log), Some(story)) = (audit.filter(|_| !mute), &story)
            && !self.tell(log, story.event(&scope, answer.status())).await
        {
            answer = respond::finish(respond::error(plain(S3ErrorCode::InternalError)), &about);
        }
        if of_sessions {
            answer = sts::finish(answer);
        }
        if let Some((asker, bucket)) = asker.filter(|_| method != Method::OPTIONS) {
            asker.apply(&self.namespace, &bucket, &mut answer);
        }
        metrics::answered(scope.operation(), answer.status(), scope.started.elapsed());
        if let Some(rest) = scope.take_leftover() {
            if rest.begun || !expects {
                tokio::spawn(linger(rest.body));
            } else if http1 {
                // The client still holds its body back. It may send it now or drop it: nobody can tell what comes
                // next on this connection.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        let records = self.records(story, logging, &scope, &answer);
        let body = std::mem::take(answer.body_mut());
        answer.map(|_| Answer::new(body, scope, place, counted, records))
    }

    /// A place among the requests being served; `None` if there was none in time.
    async fn place(self: Arc<Self>) -> Option<OwnedSemaphorePermit> {
        let wait = self.places.clone().acquire_owned();
        tokio::time::timeout(self.config.queue_timeout, wait).await.ok()?.ok()
    }

    /// Who asks from another origin, and of which bucket.
    fn asker(head: &Parts, address: Option<&Address>) -> Option<(Asker, String)> {
        let asker = Asker::of(&head.method, &head.headers)?;
        let address = address.filter(|address| !address.bucket.is_empty())?;
        Some((asker, address.bucket.clone()))
    }

    /// Answers a request to a website.
    async fn visit(self: Arc<Self>, head: &Parts, site: Site, scope: Arc<Scope>) -> HttpResponse {
        if let Err(refused) = guard::check_head(head, &self.config) {
            return respond::error(refused);
        }
        let visit = Visit {
            namespace: &self.namespace,
            head,
            scheme: if self.config.tls.is_some() { "https" } else { "http" },
            ids: (respond::request_id(&scope), respond::extended_id(&scope, &self.config.host_id)),
        };
        let read = |mut request: Request<Body>| {
            request.extensions_mut().insert(scope.clone());
            self.clone().call(request, Way::Whole, scope.clone())
        };
        visit.answer(site, read).await
    }

    async fn serve(
        self: Arc<Self>,
        head: Parts,
        body: Incoming,
        address: Option<Address>,
        scope: Arc<Scope>,
    ) -> HttpResponse {
        if let Err(refused) = self.guard(&head, address.as_ref()) {
            scope.leave(body, false);
            return respond::error(refused);
        }
        if let Some(address) = address.as_ref().filter(|_| head.method == Method::OPTIONS) {
            scope.leave(body, false);
            let resource = if address.key.is_empty() { "BUCKET" } else { "OBJECT" };
            let told = cors::preflight(&self.namespace, &address.bucket, resource, &head.headers, Expose::Preflight);
            return told.unwrap_or_else(respond::error);
        }
        if let Some(address) = address.as_ref().filter(|_| form::is_form(&head)) {
            return self.post(head, body, address, scope).await;
        }
        let slow = may_be_slow(&head);
        let suspect = match sts::is_request(&head) {
            true => Some(Suspect::Sessions),
            false => Suspect::of(&head, address.as_ref(), body.is_end_stream()),
        };
        let body = match self.receive(&head, body, &scope) {
            Ok(body) => body,
            Err(refused) => return respond::error(refused),
        };
        let unsigned =
            head.headers.get("x-amz-content-sha256").is_some_and(|v| Kind::of(v.as_bytes()) == Some(Kind::Unsigned));
        let mut request = Request::from_parts(head, Body::http_body(body));
        if unsigned {
            // S3 takes such a body without trailers, too.
            request.headers_mut().entry("x-amz-trailer").or_insert(HeaderValue::from_static(NO_TRAILER));
        }
        request.extensions_mut().insert(scope.clone());
        if let Some(suspect) = suspect {
            request.extensions_mut().insert(suspect);
        }
        let patience = self.config.keepalive_after;
        let long = address.filter(|address| longkey::is_long(request.method(), address));
        // Who asks is known already where this process itself asks (`insider`).
        let known = request.extensions().get::<Verified>().is_some();
        let way = long.map_or(if known { Way::Inner } else { Way::Whole }, Way::LongKey);
        let answer: BoxFuture<'static, HttpResponse> = self.call(request, way, scope).boxed();
        if slow { keepalive::answer(answer, patience).await } else { answer.await }
    }

    /// Answers a form.
    async fn post(self: Arc<Self>, head: Parts, body: Incoming, address: &Address, scope: Arc<Scope>) -> HttpResponse {
        let body = Received::new(body, scope.clone(), self.config.idle_timeout, None);
        match self.forms.prepare(head, body, address, &scope).await {
            Err(refused) => respond::error(refused),
            Ok((mut put, reply)) => {
                put.extensions_mut().insert(scope.clone());
                reply.apply(self.call(put, Way::Inner, scope).await)
            }
        }
    }

    /// What is refused before s3s sees it.
    fn guard(&self, head: &Parts, address: Option<&Address>) -> S3Result<()> {
        guard::check(head, &self.config)?;
        if let Err(refused) = copysource::check(head) {
            // A bucket that is not there is said first.
            address
                .filter(|_| head.method == Method::PUT)
                .map_or(Ok(()), |address| self.namespace.bucket(&address.bucket).map(|_| ()).or_s3())?;
            return Err(refused);
        }
        if !anonymous::is_anonymous(head) {
            chunked(head)?;
        }
        let query = head.uri.query().unwrap_or_default();
        let Some(address) = address.filter(|_| !sts::is_request(head)) else { return Ok(()) };
        form::check(head, address)?;
        match subresource::check(&head.method, address, query) {
            Err(refused) if anonymous::is_anonymous(head) && *refused.code() == S3ErrorCode::NotImplemented => {
                self.gate.check_unserved(address, query)?;
                Err(refused)
            }
            checked => checked,
        }
    }

    /// The body as s3s gets it.
    fn receive(&self, head: &Parts, body: Incoming, scope: &Arc<Scope>) -> S3Result<Received> {
        let anonymous = anonymous::is_anonymous(head);
        if body.is_end_stream() {
            scope.set_empty();
        }
        // Without a signature there is no framing either: `access` refuses it.
        let chunked = if anonymous { None } else { chunked(head)? };
        let plain = chunked.is_none();
        let mut received = Received::new(body, scope.clone(), self.config.idle_timeout, chunked);
        let mut expected = Digests::default();
        if plain && !is_object_body(head) {
            expected = digests(head)?;
        }
        // s3s compares this one for those who sign.
        let payload = head.headers.get("x-amz-content-sha256").and_then(|v| anonymous::digest(v.as_bytes()));
        if let Some(sha256) = payload.filter(|_| anonymous) {
            expected.expect_sha256(sha256);
        }
        received.expect(expected);
        Ok(received)
    }

    async fn call(self: Arc<Self>, request: Request<Body>, way: Way, scope: Arc<Scope>) -> HttpResponse {
        let call = async {
            match way {
                Way::Whole => self.s3.call(request).await,
                Way::Inner => self.long.call(request).await,
                Way::LongKey(address) => match self.long.prepare(request, address).await {
                    Ok(request) => self.long.call(request).await,
                    Err(refused) => Ok(respond::error(refused)),
                },
            }
        };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(Ok(answer)) => respond::with_checksum_names(answer, scope.operation()),
            Ok(Err(e)) => {
                error!(error = ?e, "an answer could not be built");
                respond::error(plain(S3ErrorCode::InternalError))
            }
            Err(_) => {
                metrics::panicked();
                error!("a request ended in a bug");
                respond::error(plain(S3ErrorCode::InternalError))
            }
        }
    }
}

/// Which way a request goes.
enum Way {
    /// Through all of s3s.
    Whole,
    /// Past the signature, which was checked here.
    Inner,
    /// The same, with a short key in place of the long one.
    LongKey(Address),
}

fn builder(
    config: &S3Config,
    namespace: &Namespace,
    accounts: &Arc<dyn Credentials>,
    bucket_logs: &Arc<BucketLogs>,
    gate: Gate,
) -> S3ServiceBuilder {
    let service = Service {
        targets: config.notification_targets.clone().into(),
        namespace: namespace.clone(),
        region: config.region.clone(),
        versioning: config.versioning,
        accounts: accounts.clone(),
        bucket_logs: bucket_logs.clone(),
    };
    let mut builder = S3ServiceBuilder::new(service);
    let mut s3s_config = s3s::config::S3Config::default();
    s3s_config.xml_max_body_size = config.max_xml_bytes;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(s3s_config))));
    builder.set_auth(Secrets(accounts.clone()));
    builder.set_access(gate);
    if let Some(domains) = Domains::new(&config.domains) {
        builder.set_host(domains);
    }
    builder
}

/// How a body comes in chunks, if it does. s3s decodes chunks for every operation and takes any length for none.
fn chunked(head: &Parts) -> S3Result<Option<(Kind, Trailer)>> {
    let Some(payload) = head.headers.get("x-amz-content-sha256").map(|v| v.as_bytes()) else { return Ok(None) };
    let Some(kind) = Kind::of(payload) else { return Ok(None) };
    if !is_object_body(head) {
        return Err(invalid_request("The value of x-amz-content-sha256 header is invalid."));
    }
    let length = head.headers.get("x-amz-decoded-content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_none() {
        return Err(plain(S3ErrorCode::MissingContentLength));
    }
    let named = head.headers.get("x-amz-trailer").and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned());
    match (kind, named) {
        (Kind::Signed, None) if payload.ends_with(b"-TRAILER") => Err(from_failure(&BodyFailure::Trailer)),
        (kind, Some(name)) => Ok(Some((kind, Trailer::Named(name)))),
        (kind, None) => Ok(Some((kind, Trailer::Nothing))),
    }
}

fn has_query(head: &Parts, name: &str) -> bool {
    form_pairs(head.uri.query().unwrap_or_default()).any(|(key, _)| key == name)
}

/// Operations that may read and write a whole object before they have an answer.
fn may_be_slow(head: &Parts) -> bool {
    let complete = head.method == Method::POST && has_query(head, "uploadId");
    complete || (head.method == Method::PUT && head.headers.contains_key("x-amz-copy-source"))
}

/// PutObject and UploadPart check their own bodies; everything else with a body is XML.
fn is_object_body(head: &Parts) -> bool {
    let of_subresource = |(name, _): (String, String)| subresource::is_known(&name);
    head.method == Method::PUT && !form_pairs(head.uri.query().unwrap_or_default()).any(of_subresource)
}

/// What an XML body's headers promise of it. (CompleteMultipartUpload's checksum headers are the object's.)
fn digests(head: &Parts) -> S3Result<Digests> {
    let mut digests = Digests::default();
    if let Some(md5) = ops::put::md5(&head.headers)? {
        digests.expect_md5(md5.to_vec());
    }
    if head.method == Method::POST && has_query(head, "uploadId") {
        return Ok(digests);
    }
    if let Some((algorithm, value)) = checksum::in_header(&head.headers)? {
        digests.expect_checksum(algorithm, value);
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, uri: &str) -> Parts {
        Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn object_bodies_are_told_from_xml() {
        assert!(is_object_body(&head(Method::PUT, "/b/k")));
        assert!(is_object_body(&head(Method::PUT, "/b/k?partNumber=1&uploadId=x")));
        assert!(!is_object_body(&head(Method::PUT, "/b/k?tagging")));
        assert!(!is_object_body(&head(Method::POST, "/b?delete")));
        assert!(may_be_slow(&head(Method::POST, "/b/k?uploadId=x")));
        assert!(!may_be_slow(&head(Method::POST, "/b/k?uploads")));
        assert!(!may_be_slow(&head(Method::PUT, "/b/k?partNumber=1&uploadId=x")));
    }

    #[test]
    fn xml_digests_must_be_well_formed() {
        let mut parts = head(Method::POST, "/b?delete");
        parts.headers.insert("content-md5", "nonsense".parse().unwrap());
        assert!(digests(&parts).is_err());
        parts.headers.insert("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==".parse().unwrap());
        assert!(digests(&parts).is_ok());
        parts.headers.insert("x-amz-checksum-crc32", "AAA=".parse().unwrap());
        assert!(digests(&parts).is_err());
        parts.headers.insert("x-amz-checksum-crc32", "AAAAAA==".parse().unwrap());
        assert!(digests(&parts).is_ok());
        parts.headers.insert("x-amz-checksum-crc32c", "AAAAAA==".parse().unwrap());
        assert!(digests(&parts).is_err(), "two of them");
        parts.headers.remove("x-amz-checksum-crc32");
        parts.headers.remove("x-amz-checksum-crc32c");
        parts.headers.insert("x-amz-checksum-sha3", "AAAAAA==".parse().unwrap());
        assert!(digests(&parts).is_err(), "one that nobody would verify");
    }
}
