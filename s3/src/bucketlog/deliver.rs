//! The worker `bucket-logs`: puts what has waited long enough into its target.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pinfold_store::chunk::WriteOptions;
use pinfold_store::meta::rows::ObjectHeaders;
use pinfold_store::namespace::Encrypt;
use pinfold_store::namespace::s3_types::{Precondition, PutMeta, PutRequest};
use pinfold_store::types::{Caller, ETag, Id};
use pinfold_store::{Error, ErrorKind, Result};
use time::OffsetDateTime;
use tracing::{info, warn};

use super::BucketLogs;
use super::batches::Batch;
use crate::auth::Credentials;

/// The worker's name.
const NAME: &str = "bucket-logs";

pub(super) struct Worker {
    logs: Arc<BucketLogs>,
    interval: Duration,
    region: String,
    accounts: Arc<dyn Credentials>,
    /// Sources and targets of logs that could not be put the last time: said once, until they can be again.
    failing: HashSet<(String, String)>,
}

impl Worker {
    pub(super) fn new(
        logs: Arc<BucketLogs>,
        interval: Duration,
        region: String,
        accounts: Arc<dyn Credentials>,
    ) -> Self {
        Self { logs, interval, region, accounts, failing: HashSet::new() }
    }

    /// Until the logs are closed; then once more, for all that waits.
    pub(super) async fn run(mut self) {
        let closing = self.logs.closing.clone();
        let pause = (self.interval / 10).clamp(Duration::from_millis(50), Duration::from_secs(10));
        while !closing.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.logs.full.notified() => {}
                () = closing.cancelled() => {}
            }
            let age = if closing.is_cancelled() { Duration::ZERO } else { self.interval };
            self.round(age).await;
        }
        self.logs.closed.cancel();
    }

    async fn round(&mut self, age: Duration) {
        let (due, dropped) = {
            let mut waiting = self.logs.waiting.lock();
            (waiting.due(age), waiting.take_dropped())
        };
        if dropped > 0 {
            warn!(lines = dropped, worker = NAME, "lines of buckets' logs were dropped: too many wait");
        }
        for batch in due {
            let log = (batch.target.source.clone(), batch.target.bucket.clone());
            match self.put(&batch).await {
                Ok(()) => {
                    metrics::counter!("pinfold_s3_bucket_log_lines_total").increment(batch.lines);
                    if self.failing.remove(&log) {
                        info!(bucket = log.0, to = log.1, worker = NAME, "a bucket's log is delivered again");
                    }
                }
                Err(error) => {
                    metrics::counter!("pinfold_s3_bucket_log_dropped_total").increment(batch.lines);
                    if self.failing.insert(log.clone()) {
                        let (bucket, to) = log;
                        warn!(bucket, to, %error, worker = NAME, "a bucket's log cannot be delivered; lines are dropped");
                    }
                }
            }
            self.logs.waiting.lock().gone(&batch);
        }
    }

    async fn put(&self, batch: &Batch) -> Result<()> {
        let (namespace, target) = (&self.logs.namespace, &batch.target);
        let to = namespace.bucket(&target.bucket)?;
        // Another one by now, or somebody else's: what is asked of it is not for them.
        if to.owner != target.owner {
            return Err(Error::new(ErrorKind::NotPermitted, "the log's target belongs to another account")
                .with("owner", to.owner));
        }
        let mut caller = Caller::worker(NAME);
        if let Some(owner) = self.accounts.find(&to.owner).await? {
            (caller.uid, caller.gid) = (owner.uid, owner.gid);
        }
        let sealing = namespace.sealing(&caller, &to.name, &Encrypt::AsBucket).await?;
        let options = WriteOptions { md5: true, size_hint: Some(batch.text.len() as u64) };
        let mut writer = namespace.writer_sealed(&to.name, options, sealing)?;
        let text = batch.text.clone();
        let written = tokio::task::spawn_blocking(move || {
            writer.write(text.as_bytes())?;
            writer.finish()
        });
        let written: Result<_> =
            written.await.map_err(|e| Error::new(ErrorKind::Internal, "writing a log ended in a bug").caused_by(e))?;
        let content = written?;
        let etag = ETag(hex::encode(content.md5.unwrap_or_default()));
        let headers = ObjectHeaders { content_type: Some("text/plain".to_owned()), ..ObjectHeaders::default() };
        let put = PutRequest {
            content,
            etag,
            meta: PutMeta { headers, ..PutMeta::default() },
            precondition: Precondition::default(),
        };
        let unique = u64::from_be_bytes(Id::random().0[8..].try_into().unwrap_or_default());
        let key = target.key(OffsetDateTime::now_utc(), batch.day, &self.region, unique);
        namespace.put(&caller, &to.name, key.as_bytes(), put).await.map(drop)
    }
}
