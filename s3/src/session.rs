//! Temporary credentials: an access key, a secret key that follows from it, and a token that says whose they are, for how
//! long, and what they were narrowed to. Nothing of it is stored: the token is sealed under a key that follows from the
//! root account's secret, so that every host of a namespace knows it, and all sessions end when that secret changes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pinfold_store::crypto::MasterKey;
use pinfold_store::{Error, ErrorKind, Result};
use ring::hmac;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What temporary access keys begin with, as AWS's do.
const PREFIX: &str = "ASIA";
const LENGTH: usize = 20;
const PURPOSE: &str = "s3 session token";

/// Whose session it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Principal {
    /// An account's, by its access key.
    Account(String),
    /// One in a role, by its name.
    Role(String),
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The access key that it belongs to.
    access: String,
    /// Whose session.
    pub(crate) principal: Principal,
    /// The session's name; empty without a role.
    pub(crate) name: String,
    /// The policy that it was narrowed to.
    pub(crate) limit: Option<String>,
    /// When it ends, in seconds since 1970.
    pub(crate) expires: i64,
    /// Owner and group of what is put.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What is asked of a session.
pub(crate) struct Wanted {
    pub(crate) principal: Principal,
    pub(crate) name: String,
    pub(crate) limit: Option<String>,
    pub(crate) seconds: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What the client gets.
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    /// Seconds since 1970.
    pub(crate) expires: i64,
}

/// Why a token is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It is none of ours, or another access key's.
    Invalid,
    /// Its time is over.
    Expired,
}

/// Makes and reads temporary credentials.
pub struct Sessions {
    seals: MasterKey,
    secrets: hmac::Key,
}

impl Sessions {
    /// Those of the namespace whose root account has this secret key.
    pub fn new(root_secret: &str) -> Result<Self> {
        let root = hmac::Key::new(hmac::HMAC_SHA256, root_secret.as_bytes());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let seals = MasterKey::parse(&hex::encode(derive("pinfold 2026-11-23 seals session tokens")))?;
        let secrets = hmac::Key::new(hmac::HMAC_SHA256, derive("pinfold 2026-11-23 secrets of sessions").as_ref());
        Ok(Self { seals, secrets })
    }

    /// New credentials.
    pub(crate) fn issue(&self, wanted: Wanted, now: OffsetDateTime) -> Result<Issued> {
        let access = new_access();
        let expires = now.unix_timestamp() + i64::from(wanted.seconds);
        let Wanted { principal, name, limit, uid, gid, .. } = wanted;
        let claims = Claims { access: access.clone(), principal, name, limit, expires, uid, gid };
        let text = serde_json::to_vec(&claims)
            .map_err(|e| Error::new(ErrorKind::Internal, "a session cannot be written").caused_by(e))?;
        let token = URL_SAFE_NO_PAD.encode(self.seals.wrap(PURPOSE, &text)?);
        Ok(Issued { secret: self.derive(&access), access, token, expires })
    }

    /// The secret key of a temporary access key; `None` for one that is not.
    pub(crate) fn secret(&self, access: &str) -> Option<String> {
        is_temporary(access).then(|| self.derive(access))
    }

    /// What the token of an access key says.
    pub(crate) fn read(&self, access: &str, token: &str, now: OffsetDateTime) -> std::result::Result<Claims, Refused> {
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refused::Invalid)?;
        let text = self.seals.unwrap(PURPOSE, &sealed).map_err(|_| Refused::Invalid)?;
        let claims: Claims = serde_json::from_slice(&text).map_err(|_| Refused::Invalid)?;
        if claims.access != access {
            return Err(Refused::Invalid);
        }
        if claims.expires <= now.unix_timestamp() { Err(Refused::Expired) } else { Ok(claims) }
    }

    fn derive(&self, access: &str) -> String {
        STANDARD.encode(&hmac::sign(&self.secrets, access.as_bytes()).as_ref()[..30])
    }
}

/// Whether it looks like a temporary access key.
pub fn is_temporary(access: &str) -> bool {
    access.len() == LENGTH
        && access.starts_with(PREFIX)
        && access.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The last characters of a new ULID are 80 random bits.
fn new_access() -> String {
    format!("{PREFIX}{}", &ulid::Ulid::from_bytes(pinfold_store::types::Id::random().0).to_string()[10..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(sessions: &Sessions, seconds: u32) -> Issued {
        let wanted = Wanted {
            principal: Principal::Role("reader".to_owned()),
            name: "s".to_owned(),
            limit: None,
            seconds,
            uid: 1,
            gid: 2,
        };
        sessions.issue(wanted, OffsetDateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_token_belongs_to_its_key_and_its_time() {
        let sessions = Sessions::new("root-secret").unwrap();
        let (one, other) = (issue(&sessions, 900), issue(&sessions, 900));
        assert!(is_temporary(&one.access) && one.access != other.access);
        assert_eq!(sessions.secret(&one.access).as_ref(), Some(&one.secret));
        assert_eq!(one.secret.len(), 40);
        assert_ne!(one.secret, other.secret);
        assert_eq!(sessions.secret("alice"), None);
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let claims = sessions.read(&one.access, &one.token, at(899)).unwrap();
        assert_eq!((claims.principal, claims.uid), (Principal::Role("reader".to_owned()), 1));
        assert_eq!(sessions.read(&one.access, &one.token, at(900)), Err(Refused::Expired));
        assert_eq!(sessions.read(&one.access, &other.token, at(1)), Err(Refused::Invalid));
        assert_eq!(sessions.read(&one.access, &one.token[1..], at(1)), Err(Refused::Invalid));
        assert_eq!(sessions.read(&one.access, "", at(1)), Err(Refused::Invalid));
        let elsewhere = Sessions::new("another-secret").unwrap();
        assert_eq!(elsewhere.read(&one.access, &one.token, at(1)), Err(Refused::Invalid));
        assert_ne!(elsewhere.secret(&one.access), Some(one.secret));
    }
}
