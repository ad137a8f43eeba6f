//! Access control lists of buckets.

use serde::{Deserialize, Serialize};

use super::evaluate::Who;

/// What a bucket's owner gives to others. The owner's own full control goes without saying.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Acl {
    /// The grants, in order.
    pub grants: Vec<Grant>,
}

/// One grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// Who is given something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grantee {
    /// An account by its access key.
    Account(String),
    /// Everybody, also who did not sign.
    AllUsers,
    /// Every account.
    AuthenticatedUsers,
}

/// What can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// All of the others.
    FullControl,
    /// Writing objects.
    Write,
    /// Changing the list.
    WriteAcp,
    /// Listing and reading.
    Read,
    /// Reading the list.
    ReadAcp,
}

impl Permission {
    /// S3's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Write => "WRITE",
            Self::WriteAcp => "WRITE_ACP",
            Self::Read => "READ",
            Self::ReadAcp => "READ_ACP",
        }
    }

    /// By S3's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FullControl, Self::Write, Self::WriteAcp, Self::Read, Self::ReadAcp]
            .into_iter()
            .find(|p| p.as_str() == name)
    }
}

impl Acl {
    /// One of S3's ready-made lists; `None` if there is none of this name.
    pub fn canned(name: &str) -> Option<Self> {
        let to = |grantee: Grantee, permissions: &[Permission]| Self {
            grants: permissions.iter().map(|p| Grant { grantee: grantee.clone(), permission: *p }).collect(),
        };
        match name {
            "private" => Some(Self::default()),
            "public-read" => Some(to(Grantee::AllUsers, &[Permission::Read])),
            "public-read-write" => Some(to(Grantee::AllUsers, &[Permission::Read, Permission::Write])),
            "authenticated-read" => Some(to(Grantee::AuthenticatedUsers, &[Permission::Read])),
            _ => None,
        }
    }

    /// Whether it gives anything to everybody, or to every account.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|g| !matches!(g.grantee, Grantee::Account(_)))
    }

    /// Whether it gives this. With `ignore_public`, what it gives to groups does not count.
    pub fn allows(&self, who: Who<'_>, permission: Permission, ignore_public: bool) -> bool {
        self.grants.iter().any(|grant| {
            let meant = match (&grant.grantee, who) {
                (Grantee::Account(name), Who::Account(access)) => name == access,
                (Grantee::Account(_), Who::Anonymous) => false,
                (Grantee::AllUsers, _) => !ignore_public,
                (Grantee::AuthenticatedUsers, who) => !ignore_public && who != Who::Anonymous,
            };
            meant && (grant.permission == permission || grant.permission == Permission::FullControl)
        })
    }
}
