//! Accounts in Vault's KV engine, version 2: each a secret `PATH/ACCESS` with the data `{ACCESS: account}`.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use pinfold_s3::AccountChange;
use pinfold_store::namespace::Account;
use pinfold_store::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Directory, MOST_LISTED, role, role_name, unreadable};
use crate::config::elsewhere::VaultAccounts;
use crate::vault::{Client, part};

/// How many times a change is tried that others' changes come before.
const TRIES: usize = 5;

/// An account as VersityGW writes it: each field is there and of its kind.
#[derive(Serialize, Deserialize)]
struct Stored {
    access: String,
    secret: String,
    role: String,
    #[serde(rename = "userID")]
    user: u32,
    #[serde(rename = "groupID")]
    group: u32,
    #[serde(rename = "projectID")]
    project: u32,
}

impl Stored {
    fn of(account: &Account) -> Self {
        Self {
            access: account.access.clone(),
            secret: account.secret.clone(),
            role: role_name(account.role).to_owned(),
            user: account.uid,
            group: account.gid,
            project: account.project,
        }
    }

    fn account(self, access: &str) -> Result<Account> {
        if self.access != access || self.secret.is_empty() {
            return Err(unreadable(access, "its access key or its secret key"));
        }
        Ok(Account {
            role: role(&self.role).ok_or_else(|| unreadable(access, "the role"))?,
            access: self.access,
            secret: self.secret,
            uid: self.user,
            gid: self.group,
            project: self.project,
        })
    }
}

/// A KV engine.
pub(super) struct Kv {
    client: Client,
    mount: String,
    path: String,
}

fn encoded(path: &str) -> String {
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

impl Kv {
    pub(super) fn new(settings: VaultAccounts, client: Client) -> Self {
        Self { client, mount: encoded(&settings.mount), path: encoded(&settings.path) }
    }

    /// Where an account is. A part of dots would be another place.
    fn place(&self, kind: &str, access: &str) -> Result<String> {
        if matches!(access, "" | "." | "..") {
            return Err(Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access));
        }
        Ok(format!("{}/{kind}/{}/{}", self.mount, self.path, part(access)))
    }

    /// An account and its version in the engine.
    async fn read(&self, access: &str) -> Result<Option<(Account, u64)>> {
        let Ok(place) = self.place("data", access) else { return Ok(None) };
        let (status, mut answer) = self.client.ask(Method::GET, &place, None).await?;
        match status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::BAD_REQUEST => return Err(said("Vault's engine does not read it", &answer)),
            _ => {}
        }
        let version = answer["data"]["metadata"]["version"].as_u64().unwrap_or_default();
        let stored = answer["data"]["data"][access].take();
        // serde's error would show the value.
        let stored: Stored = serde_json::from_value(stored).map_err(|_| unreadable(access, "its fields"))?;
        Ok(Some((stored.account(access)?, version)))
    }

    /// Writes it if the engine still has this version (0: none); false if it has another.
    async fn write(&self, account: &Account, version: u64) -> Result<bool> {
        let data = json!({ (account.access.as_str()): Stored::of(account) });
        let body = json!({ "data": data, "options": { "cas": version } });
        let place = self.place("data", &account.access)?;
        let (status, answer) = self.client.ask(Method::POST, &place, Some(&body)).await?;
        match status {
            StatusCode::BAD_REQUEST if errors(&answer).contains("check-and-set") => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(said("Vault's engine does not write it", &answer)),
        }
    }
}

fn errors(answer: &Value) -> String {
    let said: Vec<&str> = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    said.join("; ")
}

fn said(what: &'static str, answer: &Value) -> Error {
    Error::new(ErrorKind::Unavailable, what).with("errors", errors(answer))
}

fn missing(access: &str) -> Error {
    Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access)
}

#[async_trait]
impl Directory for Kv {
    fn name(&self) -> String {
        format!("Vault {}/v1/{}/{}", self.client.url(), self.mount, self.path)
    }

    async fn get(&self, access: &str) -> Result<Option<Account>> {
        Ok(self.read(access).await?.map(|(account, _)| account))
    }

    async fn create(&self, account: &Account) -> Result<()> {
        match self.write(account, 0).await? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AlreadyExists, "the account exists").with("access", &account.access)),
        }
    }

    /// In place: VersityGW deletes and makes it anew, and between these there is none.
    async fn change(&self, access: &str, change: AccountChange) -> Result<()> {
        for _ in 0..TRIES {
            let (account, version) = self.read(access).await?.ok_or_else(|| missing(access))?;
            if self.write(&change.clone().apply(account), version).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Busy, "the account is being changed by others").with("access", access))
    }

    async fn delete(&self, access: &str) -> Result<()> {
        // What is not there is deleted without a word.
        self.read(access).await?.ok_or_else(|| missing(access))?;
        let (status, answer) = self.client.ask(Method::DELETE, &self.place("metadata", access)?, None).await?;
        if status.is_success() { Ok(()) } else { Err(said("Vault's engine does not delete it", &answer)) }
    }

    async fn list(&self) -> Result<Vec<Account>> {
        let place = format!("{}/metadata/{}?list=true", self.mount, self.path);
        let (status, answer) = self.client.ask(Method::GET, &place, None).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let keys = answer["data"]["keys"].as_array();
        let keys = keys.ok_or_else(|| said("Vault's engine does not list its accounts", &answer))?;
        if keys.len() > MOST_LISTED {
            return Err(Error::new(ErrorKind::TooMany, "too many accounts to list").with("maximum", MOST_LISTED));
        }
        let mut accounts = Vec::with_capacity(keys.len());
        // A name with a slash at its end is a folder.
        for access in keys.iter().filter_map(Value::as_str).filter(|key| !key.ends_with('/')) {
            accounts.extend(self.get(access).await?);
        }
        Ok(accounts)
    }
}
