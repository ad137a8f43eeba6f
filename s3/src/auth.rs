//! Who may sign requests, and where accounts are kept: the root account, then those of the namespace or of a directory
//! elsewhere.

use std::sync::Arc;

use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::Caller;
use pinfold_store::{Error, ErrorKind, Result};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3ErrorCode, S3Result};

use crate::error::{OrS3, plain, with_detail};
use crate::session::Sessions;

/// What of an account is to change.
#[derive(Clone, Default)]
pub struct AccountChange {
    /// The secret key.
    pub secret: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// POSIX user.
    pub uid: Option<u32>,
    /// POSIX group.
    pub gid: Option<u32>,
    /// Project.
    pub project: Option<u32>,
}

impl AccountChange {
    /// The account as it is then.
    pub fn apply(self, account: Account) -> Account {
        Account {
            secret: self.secret.unwrap_or(account.secret),
            role: self.role.unwrap_or(account.role),
            uid: self.uid.unwrap_or(account.uid),
            gid: self.gid.unwrap_or(account.gid),
            project: self.project.unwrap_or(account.project),
            access: account.access,
        }
    }
}

/// Finds accounts by their access key, and keeps them.
#[async_trait::async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// The account of an access key; `None` if there is none. Unavailable while nobody can say.
    async fn find(&self, access: &str) -> Result<Option<Account>>;

    /// Temporary credentials, if there are any.
    fn sessions(&self) -> Option<&Sessions> {
        None
    }

    /// What a signature of this access key is made with: an account's secret or a session's.
    async fn secret(&self, access: &str) -> Result<Option<String>> {
        // A session's key is known without asking; an account that has such a name wins.
        match self.find(access).await? {
            Some(account) => Ok(Some(account.secret)),
            None => Ok(self.sessions().and_then(|sessions| sessions.secret(access))),
        }
    }

    /// Makes an account; AlreadyExists.
    async fn create(&self, caller: &Caller, account: Account) -> Result<()> {
        let _ = caller;
        Err(Error::new(ErrorKind::Unsupported, "accounts cannot be made here").with("access", account.access))
    }

    /// Changes one; NotFound.
    async fn change(&self, caller: &Caller, access: &str, change: AccountChange) -> Result<()> {
        let _ = (caller, change);
        Err(Error::new(ErrorKind::Unsupported, "accounts cannot be changed here").with("access", access))
    }

    /// Deletes one and what it was granted; NotFound.
    async fn delete(&self, caller: &Caller, access: &str) -> Result<()> {
        let _ = caller;
        Err(Error::new(ErrorKind::Unsupported, "accounts cannot be deleted here").with("access", access))
    }

    /// All but the root account.
    async fn list(&self) -> Result<Vec<Account>> {
        Ok(Vec::new())
    }

    /// Whether accounts are kept elsewhere: the namespace then knows none.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

/// The usual source: the root account, which is in no database, then the namespace's accounts.
pub struct AccountSource {
    root: Account,
    namespace: Namespace,
    sessions: Sessions,
}

impl AccountSource {
    /// `root` wins over an account of the namespace with the same access key, and is an administrator whatever its
    /// role says.
    pub fn new(root: Account, namespace: Namespace) -> Result<Self> {
        let root = Account { role: Role::Admin, ..root };
        let sessions = Sessions::new(&root.secret)?;
        Ok(Self { root, namespace, sessions })
    }
}

#[async_trait::async_trait]
impl Credentials for AccountSource {
    async fn find(&self, access: &str) -> Result<Option<Account>> {
        if access == self.root.access {
            return Ok(Some(self.root.clone()));
        }
        self.namespace.account(access)
    }

    fn sessions(&self) -> Option<&Sessions> {
        Some(&self.sessions)
    }

    async fn create(&self, caller: &Caller, account: Account) -> Result<()> {
        // The root account is in no table.
        if account.access == self.root.access {
            return Err(Error::new(ErrorKind::AlreadyExists, "the account exists").with("access", account.access));
        }
        self.namespace.set_account(caller, account, false).await
    }

    async fn change(&self, caller: &Caller, access: &str, change: AccountChange) -> Result<()> {
        let changed = self.namespace.change_account(caller, access, |account| {
            *account = change.apply(account.clone());
            Ok(())
        });
        changed.await
    }

    async fn delete(&self, caller: &Caller, access: &str) -> Result<()> {
        self.namespace.delete_account(caller, access).await
    }

    async fn list(&self) -> Result<Vec<Account>> {
        self.namespace.accounts()
    }
}

/// Hands secrets to s3s, which computes and compares the signatures (in constant time).
pub(crate) struct Secrets(pub(crate) Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.secret(access_key).await.or_s3()? {
            Some(secret) => Ok(SecretKey::from(secret)),
            None => Err(with_detail(plain(S3ErrorCode::InvalidAccessKeyId), "AWSAccessKeyId", access_key)),
        }
    }
}

/// The account of AWS's own examples.
#[cfg(test)]
pub(crate) mod example {
    use pinfold_store::Result;
    use pinfold_store::namespace::{Account, Role};

    use super::Credentials;

    /// The access key of AWS's examples, in two pieces: it is no secret, and looks like one.
    pub(crate) const EXAMPLE: &str = concat!("AKIAIOSFODN", "N7EXAMPLE");

    /// Nobody else.
    pub(crate) struct One;

    #[async_trait::async_trait]
    impl Credentials for One {
        async fn find(&self, access: &str) -> Result<Option<Account>> {
            let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
            let account = Account { access: access.to_owned(), secret, role: Role::Admin, uid: 0, gid: 0, project: 0 };
            Ok((access == EXAMPLE).then_some(account))
        }
    }
}
