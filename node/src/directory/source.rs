//! The accounts of a directory as the S3 endpoint and the operator's commands know accounts: the root account first, then the
//! directory's. What they are granted (policies, groups) is the namespace's.

use std::sync::Arc;

use async_trait::async_trait;
use pinfold_s3::{AccountChange, Credentials, Sessions};
use pinfold_store::meta::iam_row::GrantsRow;
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::Caller;
use pinfold_store::{Error, ErrorKind, Result};

use super::Cached;

/// The root account and a directory's.
pub struct Elsewhere {
    root: Account,
    directory: Arc<Cached>,
    namespace: Namespace,
    sessions: Sessions,
}

impl Elsewhere {
    /// `root` wins over an account of the directory with the same access key.
    pub fn new(root: Account, directory: Arc<Cached>, namespace: Namespace) -> Result<Self> {
        let root = Account { role: Role::Admin, ..root };
        let sessions = Sessions::new(&root.secret)?;
        Ok(Self { root, directory, namespace, sessions })
    }

    fn not_root(&self, access: &str, kind: ErrorKind) -> Result<()> {
        match access == self.root.access {
            true => Err(Error::new(kind, "this is the root account").with("access", access)),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Credentials for Elsewhere {
    async fn find(&self, access: &str) -> Result<Option<Account>> {
        if access == self.root.access {
            return Ok(Some(self.root.clone()));
        }
        // What no signature can name is nobody: a directory need not hear of it.
        let nameable =
            (1..=128).contains(&access.len()) && access.bytes().all(|b| b.is_ascii_graphic() && !b"/,=".contains(&b));
        // AWS keeps such names for sessions, whose keys follow from the root account's: nobody is asked about each of them.
        if !nameable || pinfold_s3::is_temporary(access) {
            return Ok(None);
        }
        self.directory.get(access).await
    }

    fn sessions(&self) -> Option<&Sessions> {
        Some(&self.sessions)
    }

    async fn create(&self, _: &Caller, account: Account) -> Result<()> {
        self.not_root(&account.access, ErrorKind::AlreadyExists)?;
        self.directory.create(&account).await
    }

    async fn change(&self, _: &Caller, access: &str, change: AccountChange) -> Result<()> {
        self.not_root(access, ErrorKind::NotFound)?;
        self.directory.change(access, change).await
    }

    async fn delete(&self, caller: &Caller, access: &str) -> Result<()> {
        self.not_root(access, ErrorKind::NotFound)?;
        self.directory.delete(access).await?;
        // Who gets the name next gets none of its rights.
        match self.namespace.delete_iam::<GrantsRow>(caller, access).await {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<Vec<Account>> {
        let mut accounts = self.directory.list().await?;
        accounts.retain(|account| account.access != self.root.access);
        accounts.sort_by(|a, b| a.access.cmp(&b.access));
        Ok(accounts)
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}
