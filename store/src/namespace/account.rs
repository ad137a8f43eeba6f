//! Accounts. Roles are VersityGW's.

use serde::{Deserialize, Serialize};

use super::Namespace;
use super::txn::Rows;
use crate::error::{Error, ErrorKind, Result};
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

impl RowValue for Account {}

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

    /// Deletes an account; NotFound.
    pub async fn delete_account(&self, caller: &Caller, access: &str) -> Result<()> {
        let deleted = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            let key = schema::account(access);
            if txn.row::<Account>(&key)?.is_none() {
                return Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access));
            }
            txn.delete(key);
            Ok(())
        })?;
        self.0.acknowledged(caller, deleted).await
    }
}
