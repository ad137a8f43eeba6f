use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pinfold_s3::AccountChange;
use pinfold_store::namespace::{Account, Role};
use pinfold_store::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use super::{Cached, MOST};
use crate::config::elsewhere::CacheSettings;
use crate::directory::Directory;

/// A directory in memory that can be held up and be taken down.
#[derive(Default)]
struct Fake {
    accounts: Mutex<Vec<Account>>,
    asked: AtomicUsize,
    failing: Mutex<Option<ErrorKind>>,
    panicking: Mutex<bool>,
    /// Holds answers up, until it is told.
    gate: Mutex<Option<Arc<Notify>>>,
}

fn account(access: &str, secret: &str) -> Account {
    Account { access: access.into(), secret: secret.into(), role: Role::User, uid: 1, gid: 2, project: 3 }
}

impl Fake {
    fn with(names: &[&str]) -> Arc<Self> {
        let fake = Self::default();
        *fake.accounts.lock() = names.iter().map(|name| account(name, "first")).collect();
        Arc::new(fake)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Directory for Fake {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    async fn get(&self, access: &str) -> Result<Option<Account>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let said = self.accounts.lock().iter().find(|a| a.access == access).cloned();
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        assert!(!*self.panicking.lock(), "a library gives up");
        match *self.failing.lock() {
            Some(kind) => Err(Error::new(kind, "no answer")),
            None => Ok(said),
        }
    }

    async fn create(&self, account: &Account) -> Result<()> {
        self.accounts.lock().push(account.clone());
        Ok(())
    }

    async fn change(&self, access: &str, change: AccountChange) -> Result<()> {
        let mut accounts = self.accounts.lock();
        let one = accounts.iter_mut().find(|a| a.access == access).unwrap();
        *one = change.apply(one.clone());
        Ok(())
    }

    async fn delete(&self, access: &str) -> Result<()> {
        self.accounts.lock().retain(|a| a.access != access);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Account>> {
        Ok(self.accounts.lock().clone())
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn cached(fake: &Arc<Fake>, ttl: Duration, prune: Duration) -> Cached {
    Cached::new(Arc::clone(fake) as Arc<dyn Directory>, Some(CacheSettings { ttl, prune }))
}

fn secret(answer: Result<Option<Account>>) -> Option<String> {
    answer.unwrap().map(|account| account.secret)
}

#[tokio::test]
async fn an_answer_is_asked_for_once() {
    let fake = Fake::with(&["alice"]);
    let cache = cached(&fake, HOUR, HOUR);
    for _ in 0..3 {
        assert_eq!(secret(cache.get("alice").await).as_deref(), Some("first"));
        assert!(cache.get("nobody").await.unwrap().is_none());
    }
    assert_eq!(fake.asked(), 2);
    let without = Cached::new(fake.clone(), None);
    for _ in 0..3 {
        assert!(without.get("alice").await.unwrap().is_some());
    }
    assert_eq!(fake.asked(), 5);
}

#[tokio::test]
async fn who_asks_the_same_waits_for_the_same_answer() {
    let fake = Fake::with(&["alice"]);
    let gate = Arc::new(Notify::new());
    *fake.gate.lock() = Some(gate.clone());
    let cache = Arc::new(cached(&fake, HOUR, HOUR));
    let askers: Vec<_> = (0..20)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get("alice").await })
        })
        .collect();
    while fake.asked() == 0 {
        tokio::task::yield_now().await;
    }
    // One that goes away takes the answer from nobody.
    askers[0].abort();
    gate.notify_one();
    for asker in askers.into_iter().skip(1) {
        assert_eq!(secret(asker.await.unwrap()).as_deref(), Some("first"));
    }
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn a_change_is_seen_at_once_even_by_who_was_asking() {
    let fake = Fake::with(&["alice"]);
    let cache = Arc::new(cached(&fake, HOUR, HOUR));
    let gate = Arc::new(Notify::new());
    *fake.gate.lock() = Some(gate.clone());
    let early = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get("alice").await }
    });
    while fake.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let change = AccountChange { secret: Some("second".to_owned()), ..AccountChange::default() };
    cache.change("alice", change).await.unwrap();
    *fake.gate.lock() = None;
    gate.notify_one();
    // It asked before the change: what it heard is told to nobody after it.
    assert_eq!(secret(early.await.unwrap()).as_deref(), Some("first"));
    assert_eq!(secret(cache.get("alice").await).as_deref(), Some("second"));
    cache.delete("alice").await.unwrap();
    assert!(cache.get("alice").await.unwrap().is_none());
    cache.create(&account("alice", "third")).await.unwrap();
    assert_eq!(secret(cache.get("alice").await).as_deref(), Some("third"));
}

#[tokio::test]
async fn an_outage_ends_nobody_who_was_known_and_lets_nobody_wait() {
    let fake = Fake::with(&["alice"]);
    // Each answer is old at once.
    let cache = cached(&fake, Duration::from_nanos(1), HOUR);
    assert!(cache.get("alice").await.unwrap().is_some());
    *fake.failing.lock() = Some(ErrorKind::Unavailable);
    let before = fake.asked();
    for _ in 0..50 {
        assert_eq!(secret(cache.get("alice").await).as_deref(), Some("first"));
        assert_eq!(cache.get("stranger").await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(fake.asked() - before, 1, "a directory that is down is left alone");
    // It is asked again after a while, and its word counts.
    *fake.failing.lock() = None;
    fake.accounts.lock().clear();
    cache.0.state.lock().down.as_mut().unwrap().1 = std::time::Instant::now();
    while cache.get("alice").await.is_ok_and(|found| found.is_some()) {
        tokio::task::yield_now().await;
    }
    assert!(cache.0.state.lock().down.is_none());
}

#[tokio::test]
async fn what_is_too_old_is_no_answer_in_an_outage() {
    let fake = Fake::with(&["alice"]);
    let cache = cached(&fake, Duration::from_nanos(1), Duration::from_nanos(1));
    assert!(cache.get("alice").await.unwrap().is_some());
    *fake.failing.lock() = Some(ErrorKind::TimedOut);
    assert_eq!(cache.get("alice").await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_no_outage_of_the_others() {
    let fake = Fake::with(&["alice"]);
    let cache = cached(&fake, HOUR, HOUR);
    *fake.failing.lock() = Some(ErrorKind::Corrupt);
    assert_eq!(cache.get("bad").await.unwrap_err().kind(), ErrorKind::Corrupt);
    *fake.failing.lock() = None;
    assert!(cache.get("alice").await.unwrap().is_some());
    // Believed for a moment, not asked by each request.
    assert_eq!(cache.get("bad").await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn a_question_that_broke_off_is_asked_again() {
    let fake = Fake::with(&["alice"]);
    let cache = cached(&fake, HOUR, HOUR);
    *fake.panicking.lock() = true;
    assert_eq!(cache.get("alice").await.unwrap_err().kind(), ErrorKind::Unavailable);
    *fake.panicking.lock() = false;
    assert!(cache.get("alice").await.unwrap().is_some());
}

#[tokio::test]
async fn memory_is_bounded_and_strangers_push_no_account_out() {
    let fake = Fake::with(&["alice"]);
    let cache = cached(&fake, HOUR, HOUR);
    assert!(cache.get("alice").await.unwrap().is_some());
    for n in 0..MOST + 100 {
        assert!(cache.get(&format!("guess{n}")).await.unwrap().is_none());
    }
    {
        let state = cache.0.state.lock();
        assert_eq!((state.accounts.len(), state.others.len(), state.asked.len()), (1, MOST, 0));
    }
    let before = fake.asked();
    assert!(cache.get("alice").await.unwrap().is_some());
    assert_eq!(fake.asked(), before);
}
