//! Policies by name, and the accounts, groups and roles that have them.

use crate::error::{Error, ErrorKind, Result};
use crate::iam::validate;
use crate::meta::iam_row::{GrantsRow, GroupRow, IamRow, PolicyRow, RoleRow};
use crate::meta::record::{Op, SYSTEM_STREAM};
use crate::meta::schema;
use crate::namespace::Namespace;
use crate::types::Caller;

use super::account::AccountRow;
use super::engine::Engine;
use super::txn::{Rows, Txn};

/// The longest name, as AWS has it.
const MAX_NAME: usize = 128;
/// The most policies that something has.
const MAX_POLICIES: usize = 20;
/// The most groups that an account is in.
const MAX_GROUPS: usize = 10;
/// Seconds that sessions may last: AWS's bounds for roles.
const SESSION: std::ops::RangeInclusive<u32> = 900..=43_200;

impl Namespace {
    /// What is stored under a name.
    pub fn iam<T: IamRow>(&self, name: &str) -> Result<Option<T>> {
        self.0.row(&schema::iam(T::KIND, name))
    }

    /// All of a kind, by name.
    pub fn iam_all<T: IamRow>(&self) -> Result<Vec<(String, T)>> {
        self.0.iam_all()
    }

    /// The documents of an account's own policies and of its groups', by name, each once.
    pub fn policies_of_account(&self, access: &str) -> Result<Vec<(String, String)>> {
        let Some(grants) = self.iam::<GrantsRow>(access)? else { return Ok(Vec::new()) };
        let mut names = grants.policies;
        for group in &grants.groups {
            names.extend(self.iam::<GroupRow>(group)?.unwrap_or_default().policies);
        }
        self.documents(names)
    }

    /// The documents of a role's policies, by name.
    pub fn policies_of_role(&self, role: &RoleRow) -> Result<Vec<(String, String)>> {
        self.documents(role.policies.iter().cloned())
    }

    /// One that is missing is an error: it may have denied something.
    fn documents(&self, names: impl IntoIterator<Item = String>) -> Result<Vec<(String, String)>> {
        let read = |name: String| match self.iam::<PolicyRow>(&name)? {
            Some(row) => Ok((name, row.document)),
            None => Err(Error::corrupt("a policy that is attached is not there").with("policy", name)),
        };
        names.into_iter().map(read).collect()
    }

    /// Stores a policy, group or role, or what an account has; what was there before is replaced. InvalidArgument says what
    /// is wrong with it, NotFound what it names and is not there.
    pub async fn set_iam<T: IamRow + Checked>(&self, caller: &Caller, name: &str, row: T) -> Result<()> {
        self.set_checked(caller, name, row, T::KIND == GrantsRow::KIND).await
    }

    /// The same of what an account has that is kept `elsewhere`: whether there is such a one was found out there.
    pub async fn set_grants(&self, caller: &Caller, name: &str, row: GrantsRow, elsewhere: bool) -> Result<()> {
        self.set_checked(caller, name, row, !elsewhere).await
    }

    async fn set_checked<T: IamRow + Checked>(
        &self,
        caller: &Caller,
        name: &str,
        row: T,
        of_account: bool,
    ) -> Result<()> {
        check_name::<T>(name)?;
        row.check()?;
        let too_many = |what: &'static str, most: usize| {
            Error::new(ErrorKind::InvalidArgument, what).with("maximum", most).with("name", name)
        };
        if row.policies().is_some_and(|policies| policies.len() > MAX_POLICIES) {
            return Err(too_many("too many policies", MAX_POLICIES));
        }
        if row.groups().is_some_and(|groups| groups.len() > MAX_GROUPS) {
            return Err(too_many("too many groups", MAX_GROUPS));
        }
        let set = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            if of_account && txn.row::<AccountRow>(&schema::account(name))?.is_none() {
                return Err(missing::<T>(name));
            }
            for policy in row.policies().into_iter().flatten() {
                exists::<PolicyRow>(txn, policy)?;
            }
            for group in row.groups().into_iter().flatten() {
                exists::<GroupRow>(txn, group)?;
            }
            txn.put(schema::iam(T::KIND, name), &row)
        })?;
        self.0.acknowledged(caller, set).await
    }

    /// Removes one; NotFound, or NotEmpty if something has it.
    pub async fn delete_iam<T: IamRow>(&self, caller: &Caller, name: &str) -> Result<()> {
        let engine = self.0.clone();
        let deleted = self.0.commit(caller, SYSTEM_STREAM, Op::Account, |txn| {
            exists::<T>(txn, name)?;
            let user = match T::KIND {
                PolicyRow::KIND => engine.has_policy(name)?,
                GroupRow::KIND => engine.in_use::<GrantsRow>(|row| row.groups.contains(name))?,
                _ => None,
            };
            if let Some(user) = user {
                return Err(Error::new(ErrorKind::NotEmpty, "it is in use").with(T::WHAT, name).with("by", user));
            }
            txn.delete(schema::iam(T::KIND, name));
            Ok(())
        })?;
        self.0.acknowledged(caller, deleted).await
    }
}

/// What a row must be beside what it names.
pub trait Checked {
    /// InvalidArgument, with what is wrong.
    fn check(&self) -> Result<()>;
}

fn malformed(wrong: crate::iam::policy::Malformed) -> Error {
    Error::new(ErrorKind::InvalidArgument, "the policy is not valid").with("reason", wrong.0)
}

impl Checked for PolicyRow {
    fn check(&self) -> Result<()> {
        validate::identity_policy(&self.document).map(drop).map_err(malformed)
    }
}

impl Checked for RoleRow {
    fn check(&self) -> Result<()> {
        if !SESSION.contains(&self.max_seconds) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a role's sessions last 900 to 43200 seconds")
                .with("seconds", self.max_seconds));
        }
        validate::trust_policy(&self.trust).map(drop).map_err(malformed)
    }
}

impl Checked for GroupRow {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Checked for GrantsRow {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn check_name<T: IamRow>(name: &str) -> Result<()> {
    let usual = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    // Those of accounts are what they are.
    if T::KIND == GrantsRow::KIND || !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(usual) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "a name has 1 to 128 ASCII letters, digits and _+=,.@-")
        .with(T::WHAT, name))
}

fn missing<T: IamRow>(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "there is none of this name").with(T::WHAT, name)
}

fn exists<T: IamRow>(txn: &Txn<'_>, name: &str) -> Result<()> {
    match txn.row::<T>(&schema::iam(T::KIND, name))? {
        Some(_) => Ok(()),
        None => Err(missing::<T>(name)),
    }
}

impl Engine {
    fn iam_all<T: IamRow>(&self) -> Result<Vec<(String, T)>> {
        let prefix = schema::iam(T::KIND, "");
        let rows = self.meta.range(&prefix, &schema::prefix_end(&prefix), usize::MAX)?;
        rows.iter()
            .map(|(key, value)| Ok((String::from_utf8_lossy(&key[prefix.len()..]).into_owned(), T::decode(value)?)))
            .collect()
    }

    fn in_use<T: IamRow>(&self, uses: impl Fn(&T) -> bool) -> Result<Option<String>> {
        let found = self.iam_all::<T>()?.into_iter().find(|(_, row)| uses(row));
        Ok(found.map(|(name, _)| format!("{} {name}", T::WHAT)))
    }

    fn has_policy(&self, policy: &str) -> Result<Option<String>> {
        if let Some(user) = self.in_use::<GroupRow>(|row| row.policies.contains(policy))? {
            return Ok(Some(user));
        }
        if let Some(user) = self.in_use::<RoleRow>(|row| row.policies.contains(policy))? {
            return Ok(Some(user));
        }
        self.in_use::<GrantsRow>(|row| row.policies.contains(policy))
    }
}
