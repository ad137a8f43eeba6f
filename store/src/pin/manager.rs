//! The manager: takes intents in turn, makes calls within its width, writes what came of them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use super::decide::{Task, Todo, decide};
use super::jobs::{Done, LOOK_BATCH, Tools};
use super::ledger::{Change, Digest, Ledger, RowUpdate};
use super::push::Push;
use super::settings::PinSettings;
use super::tally::Tally;
use super::turns::Turns;
use super::width::Width;
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::PinService;
use crate::meta::pin_row::PinClass;

/// Pause while nothing is due.
const TICK: Duration = Duration::from_millis(100);
/// Intents of a class that are read at a time.
const READ: usize = 128;
/// Pauses while nobody answers: the first and the longest.
const DOWN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Keeps pins. [`Self::run`] is its life.
pub struct Manager {
    pub(super) tools: Tools,
    pub(super) tally: Tally,
}

type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

impl Manager {
    /// A manager. `push` brings the bytes to the peers where they cannot pull them.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        service: Arc<dyn PinService>,
        push: Option<Arc<dyn Push>>,
        settings: PinSettings,
    ) -> Result<Self> {
        let owner = ledger.owner()?.to_string();
        let settings = Arc::new(settings);
        Ok(Self { tools: Tools { ledger, service, push, settings, owner }, tally: Tally::default() })
    }

    /// How many pins there are; shared.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Works until told to stop. A call that is on its way then is cut off: its intent is still there, and calls may be
    /// repeated.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            while let Err(error) = self.count().await {
                tracing::error!(%error, "pins cannot be counted");
                tokio::time::sleep(DOWN.1).await;
            }
            tokio::join!(Worker::new(&self).run(), self.watch_trouble(), self.reconcile_for_ever());
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Counts the pins that are known.
    async fn count(&self) -> Result<()> {
        let mut from = Some([0; 32]);
        while let Some(at) = from {
            let rows = blocking(&self.tools.ledger, move |ledger| ledger.rows(&at, 1000)).await?;
            rows.iter().for_each(|(_, row)| self.tally.moved(None, Some(row.state)));
            from = rows.last().and_then(|(last, _)| next_digest(last));
        }
        self.tally.publish();
        Ok(())
    }
}

/// The digest that follows.
pub(crate) fn next_digest(digest: &Digest) -> Option<Digest> {
    let mut next = *digest;
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

/// Runs what may wait for the disk on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    ledger: &Arc<dyn Ledger>,
    work: impl FnOnce(&dyn Ledger) -> Result<T> + Send + 'static,
) -> Result<T> {
    let ledger = Arc::clone(ledger);
    let done = tokio::task::spawn_blocking(move || work(&*ledger)).await;
    done.map_err(|e| Error::new(ErrorKind::Internal, "a worker of the pin manager ended early").caused_by(e))?
}

/// The state of the work.
struct Worker<'a> {
    of: &'a Manager,
    turns: Turns,
    width: Width,
    /// CIDs that somebody works on.
    busy: HashSet<Digest>,
    /// Decided, and not begun.
    ready: VecDeque<(Task, Todo)>,
    jobs: FuturesUnordered<Job>,
    /// Nobody answers.
    down: bool,
    /// Times in a row that nobody answered, or that one answered checks and nothing else.
    falls: u32,
    /// The log has it.
    said: bool,
}

impl<'a> Worker<'a> {
    fn new(of: &'a Manager) -> Self {
        let settings = &of.tools.settings;
        Self {
            of,
            turns: Turns::default(),
            width: Width::new(settings.workers, settings.slow),
            busy: HashSet::new(),
            ready: VecDeque::new(),
            jobs: FuturesUnordered::new(),
            down: false,
            falls: 0,
            said: false,
        }
    }

    async fn run(mut self) {
        loop {
            if self.down && self.jobs.is_empty() {
                self.wait_for_service().await;
            }
            if !self.down
                && let Err(error) = self.fill().await
            {
                tracing::error!(%error, "intents to pin cannot be read");
                tokio::time::sleep(DOWN.1).await;
            }
            if self.jobs.is_empty() {
                tokio::time::sleep(TICK).await;
                continue;
            }
            let mut done = Vec::new();
            tokio::select! {
                Some(one) = self.jobs.next() => done.push(one),
                () = tokio::time::sleep(TICK) => {}
            }
            while let Some(Some(one)) = self.jobs.next().now_or_never() {
                done.push(one);
            }
            if let Err(error) = self.settle(done).await {
                tracing::error!(%error, "what came of pins cannot be written; it is done again");
                tokio::time::sleep(DOWN.1).await;
            }
        }
    }

    /// Begins as many jobs as the width allows.
    async fn fill(&mut self) -> Result<()> {
        if self.jobs.len() >= self.width.get() {
            return Ok(());
        }
        if self.ready.is_empty() {
            self.read().await?;
        }
        let mut looks = Vec::new();
        while self.jobs.len() < self.width.get() {
            let Some((task, todo)) = self.ready.pop_front() else { break };
            let tools = self.of.tools.clone();
            match todo {
                Todo::Pin { row, terms, instead } => self.jobs.push(Box::pin(tools.pin(task, *row, terms, instead))),
                Todo::Unpin { cid } => self.jobs.push(Box::pin(tools.unpin(task, cid))),
                Todo::Look { row } => looks.push((task, *row)),
                Todo::Nothing | Todo::Forget => {}
            }
            if looks.len() == LOOK_BATCH {
                self.jobs.push(Box::pin(self.of.tools.clone().look(std::mem::take(&mut looks))));
            }
        }
        if !looks.is_empty() {
            self.jobs.push(Box::pin(self.of.tools.clone().look(looks)));
        }
        Ok(())
    }

    /// Reads intents, decides, and settles at once what needs no call.
    async fn read(&mut self) -> Result<()> {
        let (busy, defaults) = (self.busy.clone(), self.of.tools.settings.terms.clone());
        let tasks = blocking(&self.of.tools.ledger, move |ledger| {
            let mut classes: [Vec<(Task, Todo)>; 3] = Default::default();
            let mut known: HashMap<Digest, (PinClass, usize)> = HashMap::new();
            for class in PinClass::ALL {
                // Those that are worked on are still there.
                let due = ledger.due(class, READ + busy.len())?;
                let mut holders: HashMap<Digest, Vec<Vec<u8>>> = HashMap::new();
                let list = &mut classes[usize::from(class.byte())];
                for intent in due {
                    if busy.contains(&intent.digest) {
                        continue;
                    }
                    // Several intents of one CID are one task; those of a lesser class have their own turn, with nothing to do.
                    match known.get(&intent.digest) {
                        Some((of, _)) if *of != class => continue,
                        Some((_, at)) => {
                            let (task, _): &mut (Task, Todo) = &mut list[*at];
                            task.rows.push(intent.row_key);
                            holders.entry(intent.digest).or_default().extend(intent.holder);
                            continue;
                        }
                        None => {}
                    }
                    known.insert(intent.digest, (class, list.len()));
                    holders.entry(intent.digest).or_default().extend(intent.holder);
                    let task = Task { digest: intent.digest, class, rows: vec![intent.row_key], before: None };
                    list.push((task, Todo::Nothing));
                }
                for (task, todo) in list.iter_mut() {
                    let holders = holders.remove(&task.digest).unwrap_or_default();
                    let standing = ledger.standing(&task.digest, &holders)?;
                    *todo = decide(&standing, task.class, &defaults, ledger.now());
                    task.before = standing.row;
                }
            }
            Ok(classes)
        })
        .await?;
        let mut lists = tasks.map(VecDeque::from);
        let mut settled = Vec::new();
        while let Some(class) = self.turns.next(|class| !lists[usize::from(class.byte())].is_empty()) {
            let Some((task, todo)) = lists[usize::from(class.byte())].pop_front() else { continue };
            self.busy.insert(task.digest);
            let row = match todo {
                Todo::Nothing => RowUpdate::Keep,
                Todo::Forget => RowUpdate::Remove,
                todo => {
                    self.ready.push_back((task, todo));
                    continue;
                }
            };
            let change = Change { digest: task.digest, done: task.rows.clone(), row, again: None };
            settled.push((task, Some(change)));
        }
        self.write(settled).await
    }

    async fn settle(&mut self, done: Vec<Done>) -> Result<()> {
        let mut settled = Vec::new();
        for one in done {
            match one.down {
                None => {
                    self.width.took(one.took);
                    if !self.down {
                        self.falls = 0;
                    }
                }
                Some(error) => {
                    if self.falls == 0 {
                        tracing::warn!(%error, "nobody takes pins; they wait");
                        self.said = true;
                        metrics::gauge!("pinfold_store_pin_service_up").set(0.0);
                    }
                    if !self.down {
                        self.falls = self.falls.saturating_add(1);
                    }
                    self.down = true;
                }
            }
            settled.extend(one.tasks);
        }
        self.write(settled).await
    }

    /// Writes what changed; the CIDs are free again, whatever comes of it.
    async fn write(&mut self, settled: Vec<(Task, Option<Change>)>) -> Result<()> {
        let mut changes = Vec::with_capacity(settled.len());
        for (task, change) in settled {
            self.busy.remove(&task.digest);
            changes.extend(change);
        }
        if changes.is_empty() {
            return Ok(());
        }
        let moves = blocking(&self.of.tools.ledger, move |ledger| ledger.settle(&changes)).await?;
        self.of.tally.moved_all(&moves);
        Ok(())
    }

    /// Asks until somebody answers.
    async fn wait_for_service(&mut self) {
        // What was decided may be decided otherwise by then.
        for (task, _) in self.ready.drain(..) {
            self.busy.remove(&task.digest);
        }
        tokio::time::sleep(super::outcome::pause(DOWN.0, DOWN.1, self.falls)).await;
        match self.of.tools.service.check().await {
            Ok(()) => {
                self.down = false;
                metrics::gauge!("pinfold_store_pin_service_up").set(1.0);
                // Once: one that answers checks and nothing else is not told of each time.
                if std::mem::take(&mut self.said) {
                    tracing::info!("pins are taken again");
                }
            }
            Err(_) => self.falls = self.falls.saturating_add(1),
        }
    }
}
