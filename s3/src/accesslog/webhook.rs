//! Lines as JSON to a URL, each a POST that may take a second. Several at a time, over connections that stay open.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tracing::{info, warn};

use super::{Form, Order, Waiting};
use crate::post::{Connection, Target};

/// POSTs at once.
const AT_ONCE: usize = 8;
/// How long one may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends what comes until told to close.
pub(super) async fn work(target: Target, queue: mpsc::UnboundedReceiver<Order>, waiting: Arc<Waiting>) {
    let queue = Mutex::new(queue);
    let failing = std::sync::atomic::AtomicBool::new(false);
    let one = || async {
        let mut open = Connection::default();
        loop {
            let order = queue.lock().await.recv().await;
            let line = match order {
                None => return,
                Some(Order::Reopen) => continue,
                Some(Order::Close(done)) => {
                    // Those who are sending end by themselves, within the patience; the others find a closed queue.
                    queue.lock().await.close();
                    let _ = done.send(());
                    return;
                }
                Some(Order::Line(line)) => line,
            };
            waiting.took(&line);
            waiting.say_dropped(Form::Json);
            let sent = tokio::time::timeout(PATIENCE, target.post(&mut open, line)).await;
            let problem = match sent {
                Ok(Ok(())) => None,
                Ok(Err(e)) => Some(e.to_string()),
                Err(_) => Some("it takes too long".to_owned()),
            };
            let fails = problem.is_some();
            let failed = failing.swap(fails, std::sync::atomic::Ordering::Relaxed);
            match problem {
                Some(why) => {
                    metrics::counter!("pinfold_s3_access_log_dropped_total", "log" => "webhook").increment(1);
                    if !failed {
                        warn!(
                            host = target.authority(),
                            why, "the access log's webhook cannot be reached; lines are dropped"
                        );
                    }
                }
                None if failed => info!(host = target.authority(), "the access log's webhook takes lines again"),
                None => {}
            }
        }
    };
    futures::future::join_all((0..AT_ONCE).map(|_| one())).await;
}
