//! What the door asks and tells of every request: its client's rate, the audit log, the access log.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::request::Parts;
use hyper::Method;
use pinfold_store::audit::{AuditLog, Event};
use s3s::HttpResponse;
use time::OffsetDateTime;

use super::Door;
use crate::address::{self, Address};
use crate::body::outgoing::Records;
use crate::bucketlog::{Entry, Target};
use crate::limits::{LimitConfig, Limits, Payer};
use crate::peer::Peer;
use crate::scope::Scope;
use crate::server::progress::Progress;
use crate::story::Story;
use crate::website::Site;
use crate::{form, operation, respond, sts};

/// Lines of the audit log that refusals of requests without a good signature may take: a second, and at once.
const STRANGERS: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const STRANGERS_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// How often strangers may be told of.
pub(super) fn strangers() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(STRANGERS).allow_burst(STRANGERS_AT_ONCE))
}

/// What the log of a bucket needs of a request's head.
pub(super) struct Logging {
    target: Arc<Target>,
    /// Bucket and key, if a website was asked.
    at_site: Option<(String, String)>,
    version: String,
    host: String,
}

impl Door {
    /// The refusal of a client that asks too often, before anything else costs anything.
    pub(super) fn slow_down(&self, head: &Parts, scope: &Scope) -> Option<HttpResponse> {
        let peer = head.extensions.get::<Peer>().copied();
        let payer = Payer::new(self.limits.read().clone(), peer, head.extensions.get::<Arc<Progress>>().cloned())?;
        let admitted = payer.admit_ip();
        scope.set_payer(payer);
        admitted.err().map(respond::error)
    }

    /// Other rates from now on; the same ones go on as they are.
    pub(crate) fn set_limits(&self, config: LimitConfig) {
        let mut limits = self.limits.write();
        if limits.config != config {
            *limits = Arc::new(Limits::new(config));
        }
    }

    /// What logs are to tell of a request; none if nobody listens.
    pub(super) fn story(&self, head: &Parts, address: Option<&Address>, of_bucket: bool) -> Option<Story> {
        let form = address.is_some() && form::is_form(head);
        let copies = head.headers.contains_key("x-amz-copy-source");
        let query = head.uri.query().unwrap_or_default();
        let operation = match sts::is_request(head) {
            true => operation::SESSIONS,
            false => operation::of(&head.method, address, query, copies, form),
        };
        let wanted =
            of_bucket || self.logs.sink(head.method == Method::PATCH).is_some() || self.audit(operation).is_some();
        wanted.then(|| Story::of(head, address, operation))
    }

    /// Where the log of a request's bucket goes, if it has one.
    pub(super) fn logging(&self, head: &Parts, address: Option<&Address>, site: Option<&Site>) -> Option<Logging> {
        let bucket = match site {
            Some(Site::Bucket(bucket)) => bucket.as_str(),
            Some(Site::Nothing(_)) => return None,
            None => &address?.bucket,
        };
        let target = self.bucket_logs.of(bucket)?;
        let path = |bucket: &str| (bucket.to_owned(), head.uri.path().trim_start_matches('/').to_owned());
        Some(Logging {
            target,
            at_site: site.map(|_| path(bucket)),
            version: format!("{:?}", head.version),
            host: address::host(head).unwrap_or_default().to_owned(),
        })
    }

    /// What is to be told of a request once its answer is gone.
    pub(super) fn records(
        &self,
        story: Option<Story>,
        logging: Option<Logging>,
        scope: &Scope,
        answer: &HttpResponse,
    ) -> Option<Box<Records>> {
        let story = story?;
        let of_admin = story.of_admin();
        let of_all = self.logs.sink(of_admin).is_some();
        if !of_all && logging.is_none() {
            return None;
        }
        let record = story.record(scope, &self.config, answer.status(), answer.headers());
        let of_bucket = logging.map(|logging| {
            let mut record = record.clone();
            let of_site = logging.at_site.is_some();
            if let Some((bucket, key)) = logging.at_site {
                (record.bucket, record.key) = (bucket, key);
            }
            record.bucket_owner.clone_from(&logging.target.owner);
            let facts = scope.facts();
            Entry {
                target: logging.target,
                record,
                time: OffsetDateTime::now_utc() - scope.started.elapsed(),
                operation: story.operation_of(scope),
                method: story.method().clone(),
                version: logging.version,
                host: logging.host,
                signed: story.signed(),
                status: answer.status().as_u16(),
                of_site,
                removed: facts.removed,
            }
        });
        let of_all = of_all.then_some((record, of_admin));
        Some(Box::new(Records { of_all, logs: self.logs.clone(), of_bucket, bucket_logs: self.bucket_logs.clone() }))
    }

    /// The audit log, if an operation belongs there.
    pub(super) fn audit(&self, operation: &str) -> Option<&AuditLog> {
        self.config.audit.as_ref().filter(|_| operation::is_audited(operation))
    }

    /// Tells the audit log; false if an account's operation could not be told.
    pub(super) async fn tell(&self, log: &AuditLog, event: Event) -> bool {
        if event.operation == sts::WHO_AM_I {
            return true;
        }
        if event.verified {
            // The log itself says what is wrong with it.
            return log.write(event).await.is_ok();
        }
        match self.strangers.check() {
            Ok(()) => log.offer(event),
            Err(_) => log.leave_out(),
        }
        true
    }
}
