//! What a directory of accounts said, remembered for a time, so that no request waits for it that need not.
//!
//! - An answer is taken for `ttl`; that there is no account, or that one cannot be read, for [`NEGATIVE`].
//! - One question at a time is asked about one access key, whoever waits for it; [`AT_ONCE`] in all: strangers' guesses cannot take
//!   all of the directory.
//! - A directory that does not answer is asked again after [`PAUSE`]; until then nobody waits for it. Answers not older than `prune`
//!   are taken meanwhile: who could remove an account there cannot reach it either, and an outage of it would be one of every
//!   client. An access key that it never told of is refused as Unavailable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use pinfold_s3::AccountChange;
use pinfold_store::namespace::Account;
use pinfold_store::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use super::Directory;
use crate::config::elsewhere::CacheSettings;

/// How long it is believed that there is no such account.
const NEGATIVE: Duration = Duration::from_secs(5);
/// How long a directory that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a question may take in all; each call of a directory takes less.
const PATIENCE: Duration = Duration::from_secs(12);
/// Questions at once.
const AT_ONCE: usize = 16;
/// Answers that are kept: of accounts, and of access keys without one.
const MOST: usize = 16 * 1024;

type Answer = Result<Option<Account>>;
type Asked = Shared<BoxFuture<'static, Answer>>;

struct Told {
    answer: Answer,
    at: Instant,
}

#[derive(Default)]
struct State {
    accounts: HashMap<String, Told>,
    /// Access keys without an account, or with one that cannot be read.
    others: HashMap<String, Told>,
    asked: HashMap<String, (u64, Asked)>,
    /// Of the next question.
    number: u64,
    /// Since when it does not answer, until when it is left alone, and what came of the last try.
    down: Option<(Instant, Instant, Error)>,
    pruned: Option<Instant>,
}

struct Inner {
    directory: Arc<dyn Directory>,
    ttl: Duration,
    prune: Duration,
    places: Semaphore,
    state: Mutex<State>,
}

/// A directory with a memory.
pub struct Cached(Arc<Inner>);

/// Whether the directory itself is what failed.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut)
}

impl Cached {
    /// Without settings every request asks anew.
    pub fn new(directory: Arc<dyn Directory>, settings: Option<CacheSettings>) -> Self {
        let CacheSettings { ttl, prune } =
            settings.unwrap_or(CacheSettings { ttl: Duration::ZERO, prune: Duration::ZERO });
        Self(Arc::new(Inner { directory, ttl, prune, places: Semaphore::new(AT_ONCE), state: Mutex::default() }))
    }

    /// The account of an access key.
    pub async fn get(&self, access: &str) -> Answer {
        let asked = {
            let now = Instant::now();
            let mut state = self.0.state.lock();
            if let Some(answer) = self.0.remembered(&state, access, now) {
                return answer;
            }
            let asked = self.0.asked(&mut state, access);
            // One finds out whether it answers again. Who can do without does not wait for that, and nobody else asks meanwhile.
            if let Some((since, _, error)) = state.down.clone() {
                let instead = self.0.instead(state.accounts.get(access), now, &error);
                state.down = Some((since, now + PATIENCE, error));
                if instead.is_ok() {
                    return instead;
                }
            }
            asked
        };
        asked.await
    }

    /// Makes one; AlreadyExists.
    pub async fn create(&self, account: &Account) -> Result<()> {
        self.written(&account.access, self.0.directory.create(account)).await
    }

    /// Changes one; NotFound.
    pub async fn change(&self, access: &str, change: AccountChange) -> Result<()> {
        self.written(access, self.0.directory.change(access, change)).await
    }

    /// Deletes one; NotFound.
    pub async fn delete(&self, access: &str) -> Result<()> {
        self.written(access, self.0.directory.delete(access)).await
    }

    /// All of them, as the directory has them now.
    pub async fn list(&self) -> Result<Vec<Account>> {
        self.0.directory.list().await
    }

    /// What was remembered or is being asked may be of before: it is forgotten whatever came of the change.
    async fn written(&self, access: &str, write: impl Future<Output = Result<()>>) -> Result<()> {
        let done = write.await;
        let mut state = self.0.state.lock();
        state.accounts.remove(access);
        state.others.remove(access);
        state.asked.remove(access);
        done
    }
}

impl Inner {
    /// What can be said without asking.
    fn remembered(&self, state: &State, access: &str, now: Instant) -> Option<Answer> {
        let age = |told: &Told| now.saturating_duration_since(told.at);
        let account = state.accounts.get(access);
        if let Some(told) = account.filter(|told| age(told) < self.ttl) {
            return Some(told.answer.clone());
        }
        if let Some(told) = state.others.get(access).filter(|told| age(told) < self.ttl.min(NEGATIVE)) {
            return Some(told.answer.clone());
        }
        let (_, until, error) = state.down.as_ref()?;
        (now < *until).then(|| self.instead(account, now, error))
    }

    /// What is said while the directory does not answer.
    fn instead(&self, account: Option<&Told>, now: Instant, error: &Error) -> Answer {
        match account.filter(|told| now.saturating_duration_since(told.at) < self.prune) {
            Some(told) => told.answer.clone(),
            None => Err(error.clone()),
        }
    }

    /// The question that is being asked about an access key, or a new one.
    fn asked(self: &Arc<Self>, state: &mut State, access: &str) -> Asked {
        // One that ended without being told of broke off.
        if let Some((_, asked)) = state.asked.get(access).filter(|(_, asked)| asked.peek().is_none()) {
            return asked.clone();
        }
        state.number += 1;
        let asked = Arc::clone(self).ask(access.to_owned(), state.number, state.down.is_some());
        state.asked.insert(access.to_owned(), (state.number, asked.clone()));
        asked
    }

    /// Asks on a task of its own: that a client goes away ends no question that others wait for.
    fn ask(self: Arc<Self>, access: String, number: u64, probes: bool) -> Asked {
        let task = tokio::spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, async {
                let _place = self.places.acquire().await;
                // It may have gone away while others were asking.
                match self.down_until().filter(|(until, _)| !probes && Instant::now() < *until) {
                    Some((_, error)) => Err(error),
                    None => self.directory.get(&access).await,
                }
            });
            let answer = answer.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::TimedOut, "the directory of accounts did not answer in time"))
            });
            self.tell(&access, number, answer)
        });
        let broken =
            |e| Error::new(ErrorKind::Unavailable, "a question to the directory of accounts broke off").caused_by(e);
        task.map(move |done| done.unwrap_or_else(|e| Err(broken(e)))).boxed().shared()
    }

    fn down_until(&self) -> Option<(Instant, Error)> {
        self.state.lock().down.as_ref().map(|(_, until, error)| (*until, error.clone()))
    }

    /// Remembers an answer and gives what the client hears.
    fn tell(&self, access: &str, number: u64, answer: Answer) -> Answer {
        let now = Instant::now();
        let mut state = self.state.lock();
        // A change came between: what was asked before it is not remembered.
        let current = state.asked.get(access).is_some_and(|(of, _)| *of == number);
        if current {
            state.asked.remove(access);
        }
        match &answer {
            Err(error) if is_outage(error) => {
                self.failed(&mut state, error, now);
                return self.instead(state.accounts.get(access), now, error);
            }
            Err(error) => tracing::warn!(access, %error, "an account of the directory is refused"),
            Ok(_) => {}
        }
        if let Some((since, _, _)) = state.down.take() {
            tracing::info!(directory = self.directory.name(), down = ?now - since, "the directory of accounts answers again");
        }
        if current && !self.ttl.is_zero() {
            self.remember(&mut state, access, answer.clone(), now);
        }
        answer
    }

    fn failed(&self, state: &mut State, error: &Error, now: Instant) {
        let since = match state.down.take() {
            Some((since, _, _)) => since,
            None => {
                let directory = self.directory.name();
                tracing::error!(directory, %error, "the directory of accounts does not answer; what it said before is used while that lasts");
                now
            }
        };
        state.down = Some((since, now + PAUSE, error.clone()));
    }

    fn remember(&self, state: &mut State, access: &str, answer: Answer, now: Instant) {
        if state.pruned.is_none_or(|at| now - at >= self.ttl) {
            state.pruned = Some(now);
            state.accounts.retain(|_, told| now - told.at < self.prune);
            state.others.retain(|_, told| now - told.at < NEGATIVE);
        }
        let (into, from) = match &answer {
            Ok(Some(_)) => (&mut state.accounts, &mut state.others),
            _ => (&mut state.others, &mut state.accounts),
        };
        from.remove(access);
        // Whichever comes first: a map has no order that anybody could aim at.
        if into.len() >= MOST
            && !into.contains_key(access)
            && let Some(other) = into.keys().next().cloned()
        {
            into.remove(&other);
        }
        into.insert(access.to_owned(), Told { answer, at: now });
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
