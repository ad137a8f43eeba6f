//! What the door asks and tells of every request: its client's rate, the audit log, the access log.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::request::Parts;
use hyper::Method;
use pinfold_store::audit::{AuditLog, Event};
use s3s::HttpResponse;

use super::Door;
use crate::address::Address;
use crate::limits::{LimitConfig, Limits, Payer};
use crate::peer::Peer;
use crate::scope::Scope;
use crate::server::progress::Progress;
use crate::story::Story;
use crate::{form, operation, respond};

/// Lines of the audit log that refusals of requests without a good signature may take: a second, and at once.
const STRANGERS: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const STRANGERS_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// How often strangers may be told of.
pub(super) fn strangers() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(STRANGERS).allow_burst(STRANGERS_AT_ONCE))
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
    pub(super) fn story(&self, head: &Parts, address: Option<&Address>) -> Option<Story> {
        let form = address.is_some() && form::is_form(head);
        let copies = head.headers.contains_key("x-amz-copy-source");
        let query = head.uri.query().unwrap_or_default();
        let operation = operation::of(&head.method, address, query, copies, form);
        let wanted = self.logs.sink(head.method == Method::PATCH).is_some() || self.audit(operation).is_some();
        wanted.then(|| Story::of(head, address, operation))
    }

    /// The audit log, if an operation belongs there.
    pub(super) fn audit(&self, operation: &str) -> Option<&AuditLog> {
        self.config.audit.as_ref().filter(|_| operation::is_audited(operation))
    }

    /// Tells the audit log; false if an account's operation could not be told.
    pub(super) async fn tell(&self, log: &AuditLog, event: Event) -> bool {
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
