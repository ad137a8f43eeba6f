//! Server access logs of buckets (PutBucketLogging): a line a request in AWS's form, put into another bucket as objects by
//! the worker `bucket-logs`, some minutes later.
//!
//! No request waits for it. Lines are kept in memory, boundedly; those that find no room, and those whose target does not
//! take them, are dropped, counted and said. A crash loses what was not put yet: AWS's logs are best effort, too. The
//! worker's own writes pass no door, so that no log tells of itself.

mod batches;
mod deliver;
mod line;
mod names;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pinfold_store::meta::rows::BucketSettings;
use pinfold_store::namespace::Namespace;
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::types::Id;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use batches::Batches;

pub(crate) use line::{Entry, Removed};
pub(crate) use target::{Target, check};

use crate::auth::Credentials;

/// The name of the document that says where a bucket's log goes.
pub(crate) const DOCUMENT: &str = "logging";
/// Buckets whose configuration is remembered; then all are forgotten.
const MOST: usize = 4096;
/// How long a stop waits for the last lines to be put.
const CLOSE: Duration = Duration::from_secs(5);

/// Settings, and what was read from them.
type Read = (Arc<BucketSettings>, Option<Arc<Target>>);

/// The logs of all buckets of a server.
pub(crate) struct BucketLogs {
    namespace: Namespace,
    /// Some bucket has a log: without, no request is looked at.
    any: AtomicBool,
    read: RwLock<HashMap<Id, Read>>,
    waiting: Mutex<Batches>,
    full: Notify,
    closing: CancellationToken,
    closed: CancellationToken,
}

impl BucketLogs {
    /// Of the buckets of `namespace`.
    pub(crate) fn new(namespace: Namespace) -> Arc<Self> {
        let any = match namespace.buckets() {
            Ok(buckets) => buckets.iter().any(|bucket| bucket.settings.documents.contains_key(DOCUMENT)),
            // Whoever asks for a bucket will find out.
            Err(_) => true,
        };
        Arc::new(Self {
            namespace,
            any: AtomicBool::new(any),
            read: RwLock::default(),
            waiting: Mutex::default(),
            full: Notify::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Starts the worker, which puts a log once it is `interval` old. Needs a runtime.
    pub(crate) fn start(self: &Arc<Self>, interval: Duration, region: String, accounts: Arc<dyn Credentials>) {
        let worker = deliver::Worker::new(self.clone(), interval, region, accounts);
        tokio::spawn(worker.run());
    }

    /// From now on requests are looked at.
    pub(crate) fn begin(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Where the log of a bucket of this name goes, if it has one.
    pub(crate) fn of(&self, bucket: &str) -> Option<Arc<Target>> {
        if !self.any.load(Ordering::Relaxed) || bucket.is_empty() {
            return None;
        }
        self.target(&self.namespace.bucket(bucket).ok()?)
    }

    fn target(&self, bucket: &BucketInfo) -> Option<Arc<Target>> {
        let text = bucket.settings.documents.get(DOCUMENT)?;
        if let Some((settings, target)) = self.read.read().get(&bucket.id)
            && Arc::ptr_eq(settings, &bucket.settings)
            && target.as_ref().is_none_or(|target| target.owner == bucket.owner)
        {
            return target.clone();
        }
        let target = match Target::read(bucket, text) {
            Ok(target) => target.map(Arc::new),
            Err(error) => {
                warn!(
                    bucket = bucket.name,
                    ?error,
                    "a bucket's logging configuration cannot be read; nothing is logged"
                );
                None
            }
        };
        let mut read = self.read.write();
        if read.len() >= MOST {
            read.clear();
        }
        read.insert(bucket.id, (bucket.settings.clone(), target.clone()));
        target
    }

    /// Takes a request's lines; never waits.
    pub(crate) fn write(&self, entry: &Entry) {
        let mut full = false;
        let lines = entry.lines();
        let mut waiting = self.waiting.lock();
        for line in &lines {
            match waiting.add(&entry.target, entry.time, line) {
                Ok(is_full) => full |= is_full,
                Err(batches::NoRoom) => metrics::counter!("pinfold_s3_bucket_log_dropped_total").increment(1),
            }
        }
        drop(waiting);
        if full {
            self.full.notify_one();
        }
    }

    /// Puts what waits, boundedly. The worker has ended afterwards.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        if tokio::time::timeout(CLOSE, self.closed.cancelled()).await.is_err() {
            warn!("the last lines of buckets' logs could not be put in time");
        }
    }
}
