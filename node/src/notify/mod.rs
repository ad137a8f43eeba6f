//! Delivers bucket notifications: one task a target takes what waits for it in the store, in order, and removes what was
//! taken. A target that is not there holds nobody else up; its notices wait for a day.

mod nats;
mod redis;
mod url;
mod webhook;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pinfold_s3::notification;
use pinfold_store::namespace::Namespace;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use nats::Nats;
use redis::Redis;
use webhook::Webhook;

use crate::steps;

/// Pause while nothing waits.
const IDLE: Duration = Duration::from_millis(200);
/// Pauses after failures: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Notices taken at a time.
const BATCH: usize = 64;
/// After so many seconds a notice that nobody took is given up.
const KEEP: i64 = 24 * 3600;

/// A receiver must have answered within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes of handing a message over.
pub type Delivered<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Where messages go.
pub trait Sink: std::fmt::Debug + Send + Sync + 'static {
    /// Hands a message over; `Ok` once the other side has it. It may be dropped at any time, and tried again.
    fn deliver<'a>(&'a self, message: &'a str) -> Delivered<'a>;
}

/// Sinks by the names that buckets call them.
pub type Targets = Vec<(String, Arc<dyn Sink>)>;

/// The sink of a URL, by its scheme. `authorities` is a file of those that https is checked against.
pub fn sink(url: &str, authorities: Option<&Path>) -> Result<Arc<dyn Sink>, String> {
    Ok(match url.split_once("://").map(|(scheme, _)| scheme) {
        Some("http" | "https") => Arc::new(Webhook::new(url, authorities)?),
        Some("nats") => Arc::new(Nats::new(url)?),
        Some("redis" | redis::CHANNEL) => Arc::new(Redis::new(url)?),
        _ => return Err("the URL begins with none of http, https, nats, redis, redis-channel".to_owned()),
    })
}

/// A target: its name, and where it is.
pub struct Target {
    /// Name (an ARN).
    pub name: String,
    /// Where its messages go.
    pub sink: Arc<dyn Sink>,
}

/// Begins to deliver, until `stop`.
pub fn start(
    namespace: &Namespace,
    targets: Vec<Target>,
    region: &str,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let start = |target: Target| {
        let delivery = Delivery { namespace: namespace.clone(), target: Arc::new(target), region: region.to_owned() };
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = delivery.run() => {}
            }
        })
    };
    targets.into_iter().map(start).collect()
}

struct Delivery {
    namespace: Namespace,
    target: Arc<Target>,
    region: String,
}

impl Delivery {
    async fn run(self) {
        let mut failures: u32 = 0;
        loop {
            let pause = match self.round().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => IDLE,
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(receiver = self.target.name, %error, "notifications cannot be delivered; they wait");
                    }
                    metrics::counter!("pinfold_node_notification_failures_total", "target" => self.target.name.clone())
                        .increment(1);
                    failures += 1;
                    tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)).await;
                    continue;
                }
            };
            if failures > 0 {
                tracing::info!(receiver = self.target.name, "notifications are delivered again");
                failures = 0;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Delivers what waits, a batch at most. Whether there may be more.
    async fn round(&self) -> Result<bool, String> {
        let (namespace, target) = (self.namespace.clone(), Arc::clone(&self.target));
        let read = steps::blocking(move || namespace.notices(&target.name, BATCH)).await;
        let mut waiting = read.map_err(|e| e.to_string())?;
        let full = waiting.len() == BATCH;
        let now = self.namespace.clock_now().secs;
        let (mut taken, mut failed) = (0, None);
        for notice in waiting.iter().map(|waiting| &waiting.notice) {
            if now - notice.time.secs > KEEP {
                tracing::warn!(
                    receiver = self.target.name,
                    bucket = notice.bucket,
                    "a notification is given up after a day"
                );
                taken += 1;
                continue;
            }
            let message = notification::message(notice, &self.region, "pinfold");
            let sent = tokio::time::timeout(PATIENCE, self.target.sink.deliver(&message)).await;
            if let Err(error) = sent.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
                failed = Some(error);
                break;
            }
            metrics::counter!("pinfold_node_notifications_total", "target" => self.target.name.clone()).increment(1);
            taken += 1;
        }
        waiting.truncate(taken);
        if !waiting.is_empty() {
            let namespace = self.namespace.clone();
            let done = steps::blocking(move || namespace.notices_done(&waiting)).await;
            done.map_err(|e| e.to_string())?;
        }
        failed.map_or(Ok(full), Err)
    }
}
