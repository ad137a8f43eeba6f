//! Buckets that are made and removed at the mount, in the audit log: before the mount answers, as S3 does it.

use crate::audit::{AuditLog, Event, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Caller;

use super::Namespace;
use super::engine::Engine;

impl Namespace {
    /// What mounts do to buckets is told to `log` from now on. A second log is ignored.
    pub fn set_audit(&self, log: AuditLog) {
        let _ = self.0.audit.set(log);
    }
}

impl Engine {
    /// Runs an operation of a mount on a bucket and tells the audit log of it. Unavailable, and nothing is done, while that
    /// cannot be written. Blocks.
    pub(super) fn audited<T>(
        &self,
        caller: &Caller,
        operation: &str,
        bucket: &str,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(log) = self.audit.get() else { return run() };
        log.ready_blocking()?;
        let done = run();
        let event = event(caller, operation, bucket, done.as_ref().err());
        match &done {
            Ok(_) => log.write_blocking(event)?,
            // Nothing came of it: nobody waits, and no loop can fill the disk faster than it is written.
            Err(_) => log.offer(event),
        }
        done
    }
}

fn event(caller: &Caller, operation: &str, bucket: &str, error: Option<&Error>) -> Event {
    Event {
        time: String::new(),
        operation: operation.to_owned(),
        door: "mount",
        who: caller.principal.clone(),
        verified: true,
        from: format!("uid {} gid {}", caller.uid, caller.gid),
        bucket: bucket.to_owned(),
        key: String::new(),
        target: String::new(),
        result: match error.map(Error::kind) {
            None => Outcome::Done,
            Some(ErrorKind::PermissionDenied | ErrorKind::NotPermitted) => Outcome::Denied,
            Some(_) => Outcome::Failed,
        },
        code: error.map(|error| format!("{:?}", error.kind())).unwrap_or_default(),
        request: caller.request.to_string().to_uppercase(),
        note: String::new(),
    }
}
