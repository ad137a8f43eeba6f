//! Calls to the service, each with what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::OWNER;
use super::decide::Task;
use super::ledger::{Change, Ledger, RowUpdate, millis};
use super::outcome::{failed, looked};
use super::push::Push;
use super::settings::PinSettings;
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::{PinOptions, PinService};
use crate::meta::pin_row::{PinClass, PinRow, PinState, PinTerms};
use crate::types::{Cid, Timestamp};

/// So many CIDs are looked at with one call.
pub(super) const LOOK_BATCH: usize = 64;
/// Failed peers are asked to try again at every so-manieth failed look.
const RECOVER_EVERY: u32 = 3;

/// What every job has.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) service: Arc<dyn PinService>,
    pub(super) push: Option<Arc<dyn Push>>,
    pub(super) settings: Arc<PinSettings>,
    /// Whose pins they are.
    pub(super) owner: String,
}

/// What came of a job.
pub(super) struct Done {
    /// Tasks that are over, changed or not.
    pub(super) tasks: Vec<(Task, Option<Change>)>,
    /// How long the service took.
    pub(super) took: Duration,
    /// Nobody answered: everything stays as it is.
    pub(super) down: Option<Error>,
}

/// Nobody answered, which says nothing of the pin.
fn is_down(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut)
}

impl Tools {
    /// Tells the service that a CID is wanted.
    pub(super) async fn pin(self, task: Task, mut row: PinRow, terms: PinTerms, instead: Option<Cid>) -> Done {
        let began = Instant::now();
        let told = async {
            if let Some(push) = &self.push {
                push.push(Arc::clone(&self.ledger), row.cid).await?;
            }
            if let Some(old) = instead {
                self.service.unpin(&old).await?;
            }
            let options = PinOptions {
                name: terms.name.clone(),
                replication_min: terms.replication_min,
                replication_max: terms.replication_max,
                metadata: BTreeMap::from([(OWNER.to_owned(), self.owner.clone())]),
                ..PinOptions::default()
            };
            self.service.pin(&row.cid, &options).await
        };
        let told = told.await;
        let now = self.ledger.now();
        let (row, wait) = match told {
            Ok(()) => {
                metrics::counter!("pinfold_store_pin_calls_total", "call" => "pin").increment(1);
                row.told = Some((now, terms));
                row.attempts = 0;
                row.error = None;
                if row.state != PinState::Overdue {
                    row.state = PinState::Pinning;
                }
                (row, self.settings.first_look)
            }
            Err(error) if is_down(&error) => return Done::down(vec![task], error),
            Err(error) => {
                metrics::counter!("pinfold_store_pin_failures_total", "call" => "pin").increment(1);
                tracing::debug!(cid = %row.cid, %error, "a pin could not be asked for");
                failed(row, error.to_string(), now, &self.settings)
            }
        };
        let change = change(&task, row, Some(wait), now);
        Done { tasks: vec![(task, Some(change))], took: began.elapsed(), down: None }
    }

    /// Tells the service that a CID is not wanted, unless somebody else has pinned it.
    pub(super) async fn unpin(self, task: Task, cid: Cid) -> Done {
        let began = Instant::now();
        let told = async {
            let status = self.service.status(&[cid]).await?;
            let owner = status.first().and_then(|status| status.metadata.get(OWNER));
            if owner.is_none_or(|owner| *owner != self.owner) && status.first().is_some_and(|s| s.is_known()) {
                tracing::info!(%cid, "a pin that nobody here wants any more is somebody else's now: it stays");
                return Ok(false);
            }
            self.service.unpin(&cid).await
        };
        let change = match told.await {
            Ok(_) => {
                metrics::counter!("pinfold_store_pin_calls_total", "call" => "unpin").increment(1);
                Change { digest: task.digest, done: task.rows.clone(), row: RowUpdate::Remove, again: None }
            }
            Err(error) if is_down(&error) => return Done::down(vec![task], error),
            Err(error) => {
                metrics::counter!("pinfold_store_pin_failures_total", "call" => "unpin").increment(1);
                let now = self.ledger.now();
                let Some(row) = task.before.clone() else {
                    return Done { tasks: vec![(task, None)], took: began.elapsed(), down: None };
                };
                let (row, wait) = failed(row, error.to_string(), now, &self.settings);
                change(&task, row, Some(wait), now)
            }
        };
        Done { tasks: vec![(task, Some(change))], took: began.elapsed(), down: None }
    }

    /// Asks how far some are.
    pub(super) async fn look(self, tasks: Vec<(Task, PinRow)>) -> Done {
        let began = Instant::now();
        let cids: Vec<Cid> = tasks.iter().map(|(_, row)| row.cid).collect();
        let asked = self.service.status(&cids).await;
        let statuses = match asked {
            Ok(statuses) => statuses,
            Err(error) => return Done::down(tasks.into_iter().map(|(task, _)| task).collect(), error),
        };
        let now = self.ledger.now();
        let mut done = Vec::with_capacity(tasks.len());
        for ((task, row), status) in tasks.into_iter().zip(statuses) {
            if !status.errors.is_empty() && row.attempts % RECOVER_EVERY == RECOVER_EVERY - 1 {
                // What comes of it is seen at the next look.
                let _: Result<()> = self.service.recover(&row.cid).await;
            }
            let (row, wait) = looked(row, &status, now, &self.settings);
            let change = change(&task, row, wait, now);
            done.push((task, Some(change)));
        }
        Done { tasks: done, took: began.elapsed(), down: None }
    }
}

impl Done {
    fn down(tasks: Vec<Task>, error: Error) -> Self {
        let tasks = tasks.into_iter().map(|task| (task, None)).collect();
        Self { tasks, took: Duration::ZERO, down: Some(error) }
    }
}

/// Looks after the first few are nobody's who waits.
fn next_class(row: &PinRow) -> PinClass {
    if row.attempts > 8 { PinClass::Background } else { row.class }
}

fn change(task: &Task, row: PinRow, wait: Option<Duration>, now: Timestamp) -> Change {
    let due = |wait: Duration| millis(now).saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    Change {
        digest: task.digest,
        done: task.rows.clone(),
        again: wait.map(|wait| (next_class(&row), due(wait))),
        row: RowUpdate::Set(Box::new(row)),
    }
}
