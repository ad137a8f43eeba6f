//! Who may sign requests: the root account and the accounts of the namespace.

use std::sync::Arc;

use pinfold_store::Result;
use pinfold_store::namespace::{Account, Namespace};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3ErrorCode, S3Result};

use crate::error::{OrS3, plain, with_detail};
use crate::session::Sessions;

/// Finds accounts by their access key.
pub trait Credentials: Send + Sync + 'static {
    /// The account of an access key; `None` if there is none. Errors are the store's.
    fn find(&self, access: &str) -> Result<Option<Account>>;

    /// Temporary credentials, if there are any.
    fn sessions(&self) -> Option<&Sessions> {
        None
    }

    /// What a signature of this access key is made with: an account's secret or a session's.
    fn secret(&self, access: &str) -> Result<Option<String>> {
        match self.find(access)? {
            Some(account) => Ok(Some(account.secret)),
            None => Ok(self.sessions().and_then(|sessions| sessions.secret(access))),
        }
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
        let root = Account { role: pinfold_store::namespace::Role::Admin, ..root };
        let sessions = Sessions::new(&root.secret)?;
        Ok(Self { root, namespace, sessions })
    }
}

impl Credentials for AccountSource {
    fn find(&self, access: &str) -> Result<Option<Account>> {
        if access == self.root.access {
            return Ok(Some(self.root.clone()));
        }
        self.namespace.account(access)
    }

    fn sessions(&self) -> Option<&Sessions> {
        Some(&self.sessions)
    }
}

/// Hands secrets to s3s, which computes and compares the signatures (in constant time).
pub(crate) struct Secrets(pub(crate) Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.secret(access_key).or_s3()? {
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

    impl Credentials for One {
        fn find(&self, access: &str) -> Result<Option<Account>> {
            let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
            let account = Account { access: access.to_owned(), secret, role: Role::Admin, uid: 0, gid: 0, project: 0 };
            Ok((access == EXAMPLE).then_some(account))
        }
    }
}
