//! Accounts that are kept elsewhere, in the forms of VersityGW: LDAP entries, secrets of Vault. One place is chosen; its accounts
//! then are the only ones beside the root account, which no directory can take over.

mod cache;
mod ldap;
mod source;
mod vault;

use std::ffi::OsString;
use std::sync::Arc;

use async_trait::async_trait;
use pinfold_s3::AccountChange;
use pinfold_store::namespace::{Account, Role};
use pinfold_store::{Error, ErrorKind, Result};

use crate::config::elsewhere::{DirectorySettings, ElsewhereSettings};
use crate::config_secret;

pub use cache::Cached;
pub use source::Elsewhere;

/// Variable with the password of LDAP's bind.
const BIND_PASS: &str = "PINFOLD_IAM_LDAP_BIND_PASS";
/// Variable with a token of Vault's.
const ROOT_TOKEN: &str = "PINFOLD_IAM_VAULT_ROOT_TOKEN";
/// Variable with the secret of an AppRole.
const ROLE_SECRET: &str = "PINFOLD_IAM_VAULT_ROLE_SECRET";

/// Largest number of accounts that are listed.
const MOST_LISTED: usize = 100_000;

/// A directory of accounts. Every call ends within a time of its own. Errors: Unavailable and TimedOut say that the directory cannot be
/// asked now, Corrupt that an account cannot be read.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// What it is, for logs: no secret is in it.
    fn name(&self) -> String;

    /// The account of an access key.
    async fn get(&self, access: &str) -> Result<Option<Account>>;

    /// Makes one; AlreadyExists.
    async fn create(&self, account: &Account) -> Result<()>;

    /// Changes one; NotFound.
    async fn change(&self, access: &str, change: AccountChange) -> Result<()>;

    /// Deletes one; NotFound.
    async fn delete(&self, access: &str) -> Result<()>;

    /// All of them.
    async fn list(&self) -> Result<Vec<Account>>;
}

/// The directory that the configuration names, with its cache; none if accounts are the namespace's. Asks it nothing.
pub fn open(
    settings: &ElsewhereSettings,
    var: &(dyn Fn(&str) -> Option<OsString> + Send),
) -> Result<Option<Arc<Cached>>> {
    let directory: Arc<dyn Directory> = match &settings.directory {
        None => return Ok(None),
        Some(DirectorySettings::Ldap(ldap)) => {
            let pass = config_secret::read(var, BIND_PASS, ldap.bind_pass_file.as_deref())?;
            let pass = pass.ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "there is no password for LDAP's bind")
                    .with("variable", BIND_PASS)
                    .with("setting", "iam_ldap_bind_pass_file")
            })?;
            Arc::new(ldap::Ldap::new(ldap.clone(), pass))
        }
        Some(DirectorySettings::Vault(vault)) => {
            let login = crate::vault::login(&vault.server, var, ROOT_TOKEN, ROLE_SECRET)?;
            Arc::new(vault::Kv::new(vault.clone(), crate::vault::Client::new(&vault.server, login)?))
        }
    };
    tracing::info!(directory = directory.name(), "accounts are kept elsewhere");
    Ok(Some(Arc::new(Cached::new(directory, settings.cache))))
}

/// VersityGW's name of a role.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::UserPlus => "userplus",
        Role::User => "user",
    }
}

fn role(name: &str) -> Option<Role> {
    match name {
        "admin" => Some(Role::Admin),
        "userplus" => Some(Role::UserPlus),
        "user" => Some(Role::User),
        _ => None,
    }
}

/// An account of a directory that is none.
fn unreadable(access: &str, what: &'static str) -> Error {
    Error::corrupt("an account of the directory cannot be read").with("access", access).with("what", what)
}
