//! Who has signed in: random tokens in cookies. Memory holds their digests only, and ends them with the daemon.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pinfold_store::Result;
use pinfold_store::namespace::Account;
use sha2::{Digest as _, Sha256};

/// A session without a request for so long is over.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// And every one after so long.
pub const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once: of one account, and of all. The one that rested longest makes room.
const OF_ONE: usize = 16;
const OF_ALL: usize = 4096;

type Digest = [u8; 32];

/// The cookie's name. The prefix binds it to this very host and to TLS.
pub fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-pinfold-console" } else { "pinfold-console" }
}

struct Session {
    access: String,
    proof: Digest,
    made: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now - self.made >= LIFE || now - self.used >= IDLE
    }
}

/// The sessions.
pub struct Sessions {
    salt: Digest,
    open: Mutex<HashMap<Digest, Session>>,
}

fn random() -> io::Result<Digest> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

impl Sessions {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { salt: random()?, open: Mutex::default() })
    }

    /// What stands for a secret here. Comparing two of them takes a time that says nothing about either.
    fn proof(&self, secret: &str) -> Digest {
        Sha256::new().chain_update(self.salt).chain_update(secret).finalize().into()
    }

    /// Whether this is the account's secret; without an account it takes as long.
    pub fn is_secret_of(&self, account: Option<&Account>, secret: &str) -> bool {
        let real = self.proof(account.map_or("", |account| account.secret.as_str()));
        account.is_some() && real == self.proof(secret)
    }

    /// A session of this account; the token for its cookie.
    pub fn open(&self, account: &Account) -> io::Result<String> {
        self.open_at(account, Instant::now())
    }

    fn open_at(&self, account: &Account, now: Instant) -> io::Result<String> {
        let token = hex::encode(random()?);
        let session =
            Session { access: account.access.clone(), proof: self.proof(&account.secret), made: now, used: now };
        let mut open = self.open.lock();
        open.retain(|_, session| !session.is_over(now));
        let of_one = |session: &Session| session.access == account.access;
        if open.values().filter(|session| of_one(session)).count() >= OF_ONE {
            drop_oldest(&mut open, of_one);
        } else if open.len() >= OF_ALL {
            drop_oldest(&mut open, |_| true);
        }
        open.insert(digest(&token), session);
        Ok(token)
    }

    /// The account of a session, unless it is over, or the account is gone or has another secret since. `used` puts its end off.
    pub async fn find<F: Future<Output = Result<Option<Account>>>>(
        &self,
        token: &str,
        used: bool,
        account: impl FnOnce(String) -> F,
    ) -> Result<Option<Account>> {
        self.find_at(token, used, account, Instant::now()).await
    }

    async fn find_at<F: Future<Output = Result<Option<Account>>>>(
        &self,
        token: &str,
        used: bool,
        account: impl FnOnce(String) -> F,
        now: Instant,
    ) -> Result<Option<Account>> {
        let key = digest(token);
        let (access, proof) = {
            let mut open = self.open.lock();
            let Some(session) = open.get_mut(&key) else { return Ok(None) };
            if session.is_over(now) {
                open.remove(&key);
                return Ok(None);
            }
            if used {
                session.used = now;
            }
            (session.access.clone(), session.proof)
        };
        let found = account(access).await?.filter(|account| self.proof(&account.secret) == proof);
        if found.is_none() {
            self.open.lock().remove(&key);
        }
        Ok(found)
    }

    /// Ends a session.
    pub fn close(&self, token: &str) {
        self.open.lock().remove(&digest(token));
    }
}

fn digest(token: &str) -> Digest {
    Sha256::digest(token).into()
}

fn drop_oldest(open: &mut HashMap<Digest, Session>, of: impl Fn(&Session) -> bool) {
    let oldest = open.iter().filter(|(_, session)| of(session)).min_by_key(|(_, session)| session.used);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        open.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::{IDLE, LIFE, OF_ONE, Sessions};
    use pinfold_store::namespace::{Account, Role};
    use std::time::{Duration, Instant};

    fn account(access: &str, secret: &str) -> Account {
        Account { access: access.into(), secret: secret.into(), role: Role::User, uid: 0, gid: 0, project: 0 }
    }

    #[test]
    fn a_session_ends_with_time_with_its_account_and_with_its_secret() {
        let sessions = Sessions::new().unwrap();
        let alice = account("alice", "first");
        let start = Instant::now();
        let there = |_| std::future::ready(Ok(Some(alice.clone())));
        let alive =
            |token: &str, used, after| block_on(sessions.find_at(token, used, there, start + after)).unwrap().is_some();
        let second = Duration::from_secs(1);

        let token = sessions.open_at(&alice, start).unwrap();
        assert_eq!(token.len(), 64);
        assert!(alive(&token, true, IDLE - second));
        assert!(alive(&token, false, 2 * IDLE - 2 * second), "it was used in between");
        assert!(!alive(&token, true, 2 * IDLE), "what asks by itself is no use of it");
        assert!(!alive(&token, true, second), "it is gone");

        let token = sessions.open_at(&alice, start).unwrap();
        for part in 1..(LIFE.as_secs() / IDLE.as_secs() * 2) {
            assert!(alive(&token, true, IDLE / 2 * u32::try_from(part).unwrap()));
        }
        assert!(!alive(&token, true, LIFE));

        let token = sessions.open_at(&alice, start).unwrap();
        let other = |_| std::future::ready(Ok(Some(account("alice", "second"))));
        let changed = block_on(sessions.find(&token, true, other)).unwrap();
        assert!(changed.is_none());
        let token = sessions.open_at(&alice, start).unwrap();
        assert!(block_on(sessions.find(&token, true, |_| std::future::ready(Ok(None)))).unwrap().is_none());
        let token = sessions.open_at(&alice, start).unwrap();
        sessions.close(&token);
        assert!(!alive(&token, true, second) && !alive("", true, second));
    }

    #[test]
    fn one_account_pushes_only_its_own_sessions_out() {
        let sessions = Sessions::new().unwrap();
        let start = Instant::now();
        let other = sessions.open_at(&account("bob", "s"), start).unwrap();
        let first = sessions.open_at(&account("alice", "s"), start).unwrap();
        for n in 1..=OF_ONE as u64 {
            sessions.open_at(&account("alice", "s"), start + Duration::from_secs(n)).unwrap();
        }
        let find = |token: &str| {
            let there = |access: String| std::future::ready(Ok(Some(account(&access, "s"))));
            block_on(sessions.find(token, true, there)).unwrap()
        };
        assert!(find(&other).is_some());
        assert!(find(&first).is_none());
        assert_eq!(sessions.open.lock().len(), OF_ONE + 1);
    }

    #[test]
    fn secrets_are_compared_whole() {
        let sessions = Sessions::new().unwrap();
        let alice = account("alice", "secret");
        assert!(sessions.is_secret_of(Some(&alice), "secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!sessions.is_secret_of(Some(&alice), wrong), "{wrong}");
        }
        assert!(!sessions.is_secret_of(None, ""));
    }
}
