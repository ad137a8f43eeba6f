//! Accounts in LDAP: an entry below the base is one if it has all the classes; attributes are its fields.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Mod, Scope, SearchEntry, dn_escape, ldap_escape};
use pinfold_s3::AccountChange;
use pinfold_store::namespace::Account;
use pinfold_store::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Directory, MOST_LISTED, role, role_name, unreadable};
use crate::config::elsewhere::LdapSettings;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(4);
/// How long all pages of a list may take.
const LIST: Duration = Duration::from_secs(30);
/// Entries in one answer: servers refuse longer ones.
const PAGE: i32 = 500;

// What servers answer (RFC 4511, appendix A).
const NO_SUCH_OBJECT: u32 = 32;
const ENTRY_ALREADY_EXISTS: u32 = 68;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;

/// An LDAP server.
pub(super) struct Ldap {
    settings: LdapSettings,
    pass: Zeroizing<String>,
    /// The one connection, which takes many questions at once.
    open: Mutex<Option<ldap3::Ldap>>,
}

fn failed(error: LdapError) -> Error {
    match error {
        LdapError::Timeout { .. } => Error::new(ErrorKind::TimedOut, "the LDAP server does not answer in time"),
        LdapError::LdapResult { result } => refused(result.rc, &result.text),
        // An error's text names hosts and codes, not what was sent.
        other => Error::new(ErrorKind::Unavailable, "the LDAP server cannot be asked").with("reason", other),
    }
}

fn refused(code: u32, text: &str) -> Error {
    let (kind, what) = match code {
        NO_SUCH_OBJECT => (ErrorKind::NotFound, "the account does not exist"),
        ENTRY_ALREADY_EXISTS => (ErrorKind::AlreadyExists, "the account exists"),
        BUSY | UNAVAILABLE => (ErrorKind::Unavailable, "the LDAP server is busy"),
        _ => (ErrorKind::Internal, "the LDAP server refuses"),
    };
    Error::new(kind, what).with("code", code).with("text", text)
}

/// What the directory says to a question is about the directory, not about an account: it cannot be asked.
fn as_outage(error: Error) -> Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::Unavailable => error,
        _ => Error::new(ErrorKind::Unavailable, "the LDAP server answers no questions").with("reason", error),
    }
}

/// Asks over the connection, and once more over a new one if that broke.
macro_rules! asked {
    ($this:expr, $ldap:ident => $question:expr) => {
        async {
            let first: Result<_, LdapError> = async {
                let mut $ldap = $this.connection().await?;
                $question
            }
            .await;
            match first {
                Err(error) if $this.forget(&error).await => {
                    let mut $ldap = $this.connection().await?;
                    $question
                }
                done => done,
            }
        }
    };
}

impl Ldap {
    pub(super) fn new(settings: LdapSettings, pass: Zeroizing<String>) -> Self {
        Self { settings, pass, open: Mutex::default() }
    }

    /// The connection, made anew if it is none any more.
    async fn connection(&self) -> Result<ldap3::Ldap, LdapError> {
        let mut open = self.open.lock().await;
        if let Some(ldap) = open.as_mut()
            && !ldap.is_closed()
        {
            return Ok(ldap.clone());
        }
        *open = None;
        let settings =
            LdapConnSettings::new().set_conn_timeout(CONNECT).set_no_tls_verify(self.settings.tls_skip_verify);
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &self.settings.url).await?;
        tokio::spawn(async move {
            // Its end shows in the next question.
            let _ = connection.drive().await;
        });
        ldap.with_timeout(CONNECT).simple_bind(&self.settings.bind_dn, &self.pass).await?.success()?;
        *open = Some(ldap.clone());
        Ok(ldap)
    }

    /// Forgets a connection that broke: true if a new one may do better. Who did not answer in time may have gone without a word.
    async fn forget(&self, error: &LdapError) -> bool {
        let broken = matches!(
            error,
            LdapError::Io { .. } | LdapError::OpSend { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream
        );
        if broken || matches!(error, LdapError::Timeout { .. }) {
            *self.open.lock().await = None;
        }
        broken
    }

    fn attributes(&self) -> [&str; 6] {
        let s = &self.settings;
        [&s.access, &s.secret, &s.role, &s.user_id, &s.group_id, &s.project_id]
    }

    fn filter(&self, access: Option<&str>) -> String {
        filter(&self.settings.object_classes, &self.settings.access, access)
    }

    /// The entry of an access key. Servers compare names without their case; we do not.
    async fn entry(&self, access: &str) -> Result<Option<SearchEntry>> {
        let (filter, attributes) = (self.filter(Some(access)), self.attributes());
        let base = &self.settings.query_base;
        let found = asked!(self, ldap => {
            let (found, _) =
                ldap.with_timeout(QUESTION).search(base, Scope::Subtree, &filter, attributes).await?.success()?;
            Ok(found)
        });
        let found = found.await.map_err(|e| as_outage(failed(e)))?;
        let mut entries = found.into_iter().map(SearchEntry::construct);
        Ok(entries.find(|entry| first(entry, &self.settings.access).is_some_and(|name| name == access)))
    }

    async fn pages(&self, ldap: &mut ldap3::Ldap, filter: &str) -> Result<Vec<SearchEntry>, LdapError> {
        let pages: Vec<Box<dyn Adapter<_, _>>> = vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let attributes = self.attributes().map(str::to_owned).to_vec();
        let base = &self.settings.query_base;
        let mut stream = ldap.streaming_search_with(pages, base, Scope::Subtree, filter, attributes).await?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await? {
            entries.push(SearchEntry::construct(entry));
            if entries.len() > MOST_LISTED {
                return Ok(entries);
            }
        }
        stream.finish().await.success()?;
        Ok(entries)
    }

    fn account(&self, entry: &SearchEntry) -> Result<Account> {
        let s = &self.settings;
        let access = first(entry, &s.access).ok_or_else(|| unreadable(&entry.dn, "no access key"))?;
        let number = |attribute: &str, what| {
            let number = first(entry, attribute).and_then(|text| text.trim().parse().ok());
            number.ok_or_else(|| unreadable(access, what))
        };
        let secret = first(entry, &s.secret).filter(|secret| !secret.is_empty());
        let role = first(entry, &s.role).and_then(role);
        Ok(Account {
            secret: secret.ok_or_else(|| unreadable(access, "the secret key"))?.to_owned(),
            role: role.ok_or_else(|| unreadable(access, "the role"))?,
            uid: number(&s.user_id, "the user's id")?,
            gid: number(&s.group_id, "the group's id")?,
            project: number(&s.project_id, "the project's id")?,
            access: access.to_owned(),
        })
    }

    /// The name of an account's entry; NotFound.
    async fn dn(&self, access: &str) -> Result<String> {
        let entry = self.entry(access).await?;
        let missing = || Error::new(ErrorKind::NotFound, "the account does not exist").with("access", access);
        entry.map(|entry| entry.dn).ok_or_else(missing)
    }
}

/// The first value of an attribute. Names of attributes have no case.
fn first<'a>(entry: &'a SearchEntry, attribute: &str) -> Option<&'a str> {
    let values = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    values.and_then(|(_, values)| values.first()).map(String::as_str)
}

/// VersityGW's filter: all the classes, and the access key.
fn filter(classes: &[String], attribute: &str, access: Option<&str>) -> String {
    let classes: String = classes.iter().map(|class| format!("(objectClass={class})")).collect();
    let access = access.map(|access| format!("({attribute}={})", ldap_escape(access))).unwrap_or_default();
    format!("(&{classes}{access})")
}

#[async_trait]
impl Directory for Ldap {
    fn name(&self) -> String {
        format!("LDAP {}", self.settings.url)
    }

    async fn get(&self, access: &str) -> Result<Option<Account>> {
        self.entry(access).await?.map(|entry| self.account(&entry)).transpose()
    }

    async fn create(&self, account: &Account) -> Result<()> {
        // The name may be taken by an entry that lies deeper.
        if self.entry(&account.access).await?.is_some() {
            return Err(refused(ENTRY_ALREADY_EXISTS, ""));
        }
        let s = &self.settings;
        let dn = format!("{}={},{}", s.access, dn_escape(account.access.as_str()), s.query_base);
        let fields = [
            (&s.access, account.access.clone()),
            (&s.secret, account.secret.clone()),
            (&s.role, role_name(account.role).to_owned()),
            (&s.group_id, account.gid.to_string()),
            (&s.user_id, account.uid.to_string()),
            (&s.project_id, account.project.to_string()),
        ];
        let classes = ("objectClass".to_owned(), s.object_classes.iter().cloned().collect());
        let fields = fields.into_iter().map(|(name, value)| (name.clone(), HashSet::from([value])));
        let attributes: Vec<(String, HashSet<String>)> = std::iter::once(classes).chain(fields).collect();
        let made = asked!(self, ldap => ldap.with_timeout(QUESTION).add(&dn, attributes.clone()).await?.success());
        made.await.map(drop).map_err(failed)
    }

    async fn change(&self, access: &str, change: AccountChange) -> Result<()> {
        let s = &self.settings;
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let fields = [
            (&s.secret, change.secret),
            (&s.group_id, number(change.gid)),
            (&s.user_id, number(change.uid)),
            (&s.project_id, number(change.project)),
            (&s.role, change.role.map(|role| role_name(role).to_owned())),
        ];
        let dn = self.dn(access).await?;
        let replace = |name: &String, value| Mod::Replace(name.clone(), HashSet::from([value]));
        let fields: Vec<_> = fields.into_iter().filter_map(|(name, value)| Some(replace(name, value?))).collect();
        if fields.is_empty() {
            return Ok(());
        }
        let changed = asked!(self, ldap => ldap.with_timeout(QUESTION).modify(&dn, fields.clone()).await?.success());
        changed.await.map(drop).map_err(failed)
    }

    async fn delete(&self, access: &str) -> Result<()> {
        let dn = self.dn(access).await?;
        let deleted = asked!(self, ldap => ldap.with_timeout(QUESTION).delete(&dn).await?.success());
        deleted.await.map(drop).map_err(failed)
    }

    async fn list(&self) -> Result<Vec<Account>> {
        let filter = self.filter(None);
        let listed = tokio::time::timeout(LIST, asked!(self, ldap => self.pages(&mut ldap, &filter).await));
        let slow = |_| Error::new(ErrorKind::TimedOut, "the LDAP server does not list its accounts in time");
        let entries = listed.await.map_err(slow)?.map_err(|e| as_outage(failed(e)))?;
        if entries.len() > MOST_LISTED {
            return Err(Error::new(ErrorKind::TooMany, "too many accounts to list").with("maximum", MOST_LISTED));
        }
        entries.iter().map(|entry| self.account(entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn an_access_key_cannot_widen_the_filter() {
        let classes = ["top".to_owned(), "person".to_owned()];
        assert_eq!(filter(&classes, "uid", Some("alice")), "(&(objectClass=top)(objectClass=person)(uid=alice))");
        assert_eq!(filter(&classes[..1], "uid", None), "(&(objectClass=top))");
        assert_eq!(
            filter(&classes[..1], "uid", Some("*)(uid=\\\0")),
            "(&(objectClass=top)(uid=\\2a\\29\\28uid=\\5c\\00))"
        );
    }
}
