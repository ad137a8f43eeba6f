//! Accounts. Roles are VersityGW's. Signatures need secret keys as they are, so that they are stored, wrapped by the master key.

use serde::{Deserialize, Serialize};

use super::Namespace;
use super::txn::Rows;
use crate::crypto::{Keyring, MasterKey};
use crate::error::{Error, ErrorKind, Result};
use crate::meta::iam_row::{GrantsRow, IamRow};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::rows::RowValue;
use crate::meta::schema;
use crate::types::Caller;

/// An account. `admin` may do everything, `userplus` may create buckets, `user` may not.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Access key: also the canonical id.
    pub access: String,
    /// Secret key.
    pub secret: String,
    /// Role.
    pub role: Role,
    /// POSIX owner of what it puts.
    pub uid: u32,
    /// POSIX group of what it puts.
    pub gid: u32,
    /// Project of what it puts, as file systems count quotas by (from version 2 on). Kept for those who ask; nothing
    /// here counts by it.
    pub project: u32,
}

/// An account as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountRow {
    access: String,
    secret: StoredSecret,
    role: Role,
    uid: u32,
    gid: u32,
    project: u32,
}

/// A secret key as it is stored (from version 3 on).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum StoredSecret {
    /// As it is: by a node without a master key, or before version 3.
    Plain(String),
    /// Wrapped by the master key, for this access key alone.
    Wrapped(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// Accounts of version 1 and 2.
#[derive(Deserialize)]
struct AccountV1 {
    access: String,
    secret: String,
    role: Role,
    uid: u32,
    gid: u32,
}

/// What version 2 has more.
#[derive(Deserialize)]
struct AccountV2 {
    first: AccountV1,
    project: u32,
}

fn purpose(access: &str) -> String {
    format!("secret key of account {access}")
}

impl AccountRow {
    fn seal(account: Account, keys: &Keyring) -> Result<Self> {
        let Account { access, secret, role, uid, gid, project } = account;
        let secret = match keys.master() {
            Ok(master) => StoredSecret::Wrapped(master.wrap(&purpose(&access), secret.as_bytes())?),
            Err(e) if e.kind() == ErrorKind::KeyUnavailable => StoredSecret::Plain(secret),
            Err(e) => return Err(e),
        };
        Ok(Self { access, secret, role, uid, gid, project })
    }

    fn open(self, keys: &Keyring) -> Result<Account> {
        let Self { access, secret, role, uid, gid, project } = self;
        let secret = match secret {
            StoredSecret::Plain(secret) => secret,
            StoredSecret::Wrapped(wrapped) => {
                let bytes =
                    keys.master()?.unwrap(&purpose(&access), &wrapped).map_err(|e| e.with("access", &access))?;
                String::from_utf8(bytes.to_vec()).map_err(|_| Error::corrupt("a secret key is no text"))?
            }
        };
        Ok(Account { access, secret, role, uid, gid, project })
    }

    /// Whether the master key that there is would wrap it otherwise.
    fn is_behind(&self, master: &MasterKey) -> bool {
        match &self.secret {
            StoredSecret::Plain(_) => true,
            StoredSecret::Wrapped(wrapped) => master.is_older(wrapped),
        }
    }
}

/// Never shows the secret.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("access", &self.access).field("role", &self.role).finish_non_exhaustive()
    }
}

/// What an account may do in general.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Own buckets, and may create buckets.
    UserPlus,
    /// Own buckets only.
    User,
}

impl RowValue for AccountRow {
    const VERSION: u8 = 3;
    fn decode_old(from: u8, bytes: &[u8]) -> Option<postcard::Result<Self>> {
        let upgraded = |AccountV1 { access, secret, role, uid, gid }: AccountV1, project| Self {
            access,
            secret: StoredSecret::Plain(secret),
            role,
            uid,
            gid,
            project,
        };
        match from {
            1 => Some(postcard::from_bytes(bytes).map(|first| upgraded(first, 0))),
            2 => Some(postcard::from_bytes(bytes).map(|AccountV2 { first, project }| upgraded(first, project))),
            _ => None,
        }
    }
}

impl Namespace {
    /// The account of an access key.
    pub fn account(&self, access: &str) -> Result<Option<Account>> {
        match self.0.row::<AccountRow>(&schema::account(access))? {
            Some(row) => row.open(&self.0.keys).map(Some),
            None => Ok(None),
        }
    }

    /// All accounts by access key (the root account is not among them).
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let prefix = schema::account("");
        let rows = self.0.meta.range(&prefix, &schema::prefix_end(&prefix), usize::MAX)?;
        rows.iter().map(|(_, value)| AccountRow::decode(value)?.open(&self.0.keys)).collect()
    }

    /// Creates (AlreadyExists) or, with `replace`, updates (NotFound) an account.
    pub async fn set_account(&self, caller: &Caller, account: Account, replace: bool) -> Result<()> {
        if account.access.is_empty() || account.access.len() > 128 || account.secret.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "an account has an access key of 1 to 128 bytes and a secret",
            ));
        }
        let row = AccountRow::seal(account, &self.0.keys)?;
        let set = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(&row.access);
            match (txn.row::<AccountRow>(&key)?.is_some(), replace) {
                (true, false) => {
                    Err(Error::new(ErrorKind::AlreadyExists, "the account exists").with("access", &row.access))
                }
                (false, true) => {
                    Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", &row.access))
                }
                _ => txn.put(key, &row),
            }
        })?;
        self.0.acknowledged(caller, set).await
    }

    /// Changes an account (NotFound), but not its access key. `change` sees it as of the log's head and may refuse.
    pub async fn change_account(
        &self,
        caller: &Caller,
        access: &str,
        change: impl FnOnce(&mut Account) -> Result<()>,
    ) -> Result<()> {
        let changed = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(access);
            let Some(row) = txn.row::<AccountRow>(&key)? else {
                return Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access));
            };
            let mut account = row.open(&self.0.keys)?;
            change(&mut account)?;
            txn.put(key, &AccountRow::seal(Account { access: access.to_owned(), ..account }, &self.0.keys)?)
        })?;
        self.0.acknowledged(caller, changed).await
    }

    /// Wraps the secret keys of all accounts by the current master key that are not; answers how many were not. Without a
    /// master key there is nothing to do.
    pub async fn rewrap_accounts(&self, caller: &Caller) -> Result<u64> {
        let Ok(master) = self.0.keys.master() else { return Ok(0) };
        let prefix = schema::account("");
        let rows = self.0.meta.range(&prefix, &schema::prefix_end(&prefix), usize::MAX)?;
        let (mut wrapped, mut failed) = (0, None);
        for (_, value) in &rows {
            let row = AccountRow::decode(value)?;
            if !row.is_behind(&master) {
                continue;
            }
            match self.change_account(caller, &row.access, |_| Ok(())).await {
                Ok(()) => wrapped += 1,
                // It was deleted meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // The others are not to wait for it.
                Err(e) if matches!(e.kind(), ErrorKind::KeyUnavailable | ErrorKind::Corrupt) => failed = Some(e),
                Err(e) => return Err(e),
            }
        }
        failed.map_or(Ok(wrapped), Err)
    }

    /// Deletes an account; NotFound.
    pub async fn delete_account(&self, caller: &Caller, access: &str) -> Result<()> {
        let deleted = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(access);
            if txn.row::<AccountRow>(&key)?.is_none() {
                return Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access));
            }
            txn.delete(key);
            let grants = schema::iam(GrantsRow::KIND, access);
            if txn.row::<GrantsRow>(&grants)?.is_some() {
                txn.delete(grants);
            }
            Ok(())
        })?;
        self.0.acknowledged(caller, deleted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote: alice, alicesec, userplus, 1000, 1001.
    const VERSION_1: &str = "0105616c69636508616c69636573656301e807e907";

    /// What version 2 wrote of the same, project 7.
    const VERSION_2: &str = "0205616c69636508616c69636573656301e807e90707";

    fn alice(project: u32) -> Account {
        let (access, secret) = ("alice".into(), "alicesec".into());
        Account { access, secret, role: Role::UserPlus, uid: 1000, gid: 1001, project }
    }

    fn keyring(key: Option<&str>) -> Keyring {
        let master = key.map(|digits| MasterKey::parse(&digits.repeat(8)).unwrap());
        Keyring::new("there-is-none", master)
    }

    #[test]
    fn older_accounts_are_read() {
        for (hex, project) in [(VERSION_1, 0), (VERSION_2, 7)] {
            let old = AccountRow::decode(&hex::decode(hex).unwrap()).unwrap();
            assert!(old.open(&keyring(None)).unwrap() == alice(project), "version {}", &hex[..2]);
        }
    }

    #[test]
    fn secrets_are_wrapped_for_their_own_account() {
        let (keys, other) = (keyring(Some("01234567")), keyring(Some("89abcdef")));
        let row = AccountRow::seal(alice(7), &keys).unwrap();
        let bytes = row.encode().unwrap();
        assert_eq!(bytes[0], 3);
        assert!(!bytes.windows(8).any(|w| w == b"alicesec"));
        let read = || AccountRow::decode(&bytes).unwrap();
        assert!(read().open(&keys).unwrap() == alice(7));
        assert_eq!(read().open(&other).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(read().open(&keyring(None)).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        let moved = AccountRow { access: "mallory".into(), ..read() };
        assert_eq!(moved.open(&keys).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(!read().is_behind(&keys.master().unwrap()) && read().is_behind(&other.master().unwrap()));
        assert!(AccountRow::seal(alice(7), &keyring(None)).unwrap().is_behind(&keys.master().unwrap()));
    }
}
