//! Accounts. Roles are VersityGW's.

use serde::{Deserialize, Serialize};

use super::Namespace;
use super::txn::Rows;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::iam_row::{GrantsRow, IamRow};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::rows::RowValue;
use crate::meta::schema;
use crate::types::Caller;

/// An account. `admin` may do everything, `userplus` may create buckets, `user` may not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Accounts of version 1.
#[derive(Deserialize)]
struct AccountV1 {
    access: String,
    secret: String,
    role: Role,
    uid: u32,
    gid: u32,
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

impl RowValue for Account {
    const VERSION: u8 = 2;
    fn decode_old(from: u8, bytes: &[u8]) -> Option<postcard::Result<Self>> {
        (from == 1).then(|| {
            postcard::from_bytes(bytes).map(|AccountV1 { access, secret, role, uid, gid }| Self {
                access,
                secret,
                role,
                uid,
                gid,
                project: 0,
            })
        })
    }
}

impl Namespace {
    /// The account of an access key.
    pub fn account(&self, access: &str) -> Result<Option<Account>> {
        self.0.row(&schema::account(access))
    }

    /// All accounts by access key (the root account is not among them).
    pub fn accounts(&self) -> Result<Vec<Account>> {
        let prefix = schema::account("");
        let rows = self.0.meta.range(&prefix, &schema::prefix_end(&prefix), usize::MAX)?;
        rows.iter().map(|(_, value)| Account::decode(value)).collect()
    }

    /// Creates (AlreadyExists) or, with `replace`, updates (NotFound) an account.
    pub async fn set_account(&self, caller: &Caller, account: Account, replace: bool) -> Result<()> {
        if account.access.is_empty() || account.access.len() > 128 || account.secret.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "an account has an access key of 1 to 128 bytes and a secret",
            ));
        }
        let set = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(&account.access);
            match (txn.row::<Account>(&key)?.is_some(), replace) {
                (true, false) => {
                    Err(Error::new(ErrorKind::AlreadyExists, "the account exists").with("access", &account.access))
                }
                (false, true) => {
                    Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", &account.access))
                }
                _ => txn.put(key, &account),
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
            let Some(mut account) = txn.row::<Account>(&key)? else {
                return Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access));
            };
            change(&mut account)?;
            txn.put(key, &Account { access: access.to_owned(), ..account })
        })?;
        self.0.acknowledged(caller, changed).await
    }

    /// Deletes an account; NotFound.
    pub async fn delete_account(&self, caller: &Caller, access: &str) -> Result<()> {
        let deleted = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(access);
            if txn.row::<Account>(&key)?.is_none() {
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

    #[test]
    fn accounts_of_version_1_are_read() {
        let old = Account::decode(&hex::decode(VERSION_1).unwrap()).unwrap();
        let expected = Account {
            access: "alice".into(),
            secret: "alicesec".into(),
            role: Role::UserPlus,
            uid: 1000,
            gid: 1001,
            project: 0,
        };
        assert_eq!(old, expected);
        let new = Account { project: 7, ..old };
        let bytes = new.encode().unwrap();
        assert_eq!((bytes[0], Account::decode(&bytes).unwrap()), (2, new));
    }
}
