//! Rows of who may do what beside buckets' documents: policies by name, and who has them. Names are of ASCII letters, digits
//! and `_+=,.@-`, as AWS's; an account's is its access key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rows::RowValue;

/// Policies and groups, by their names.
pub type Names = BTreeSet<String>;

/// One kind of such rows.
pub trait IamRow: RowValue + Clone + Send + 'static {
    /// Its byte in the key.
    const KIND: u8;
    /// What it is, for messages.
    const WHAT: &'static str;

    /// The policies that it names.
    fn policies(&self) -> Option<&Names> {
        None
    }

    /// The groups that it names.
    fn groups(&self) -> Option<&Names> {
        None
    }
}

/// A policy for accounts, groups and roles.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The document, JSON as it was given.
    pub document: String,
}

/// A group of accounts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GroupRow {
    /// Policies of everybody in it.
    pub policies: Names,
}

/// What an account has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GrantsRow {
    /// Its own policies.
    pub policies: Names,
    /// The groups that it is in.
    pub groups: Names,
}

/// A role, which accounts take for a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleRow {
    /// The document that says who may take it.
    pub trust: String,
    /// Its policies.
    pub policies: Names,
    /// The longest session, in seconds.
    pub max_seconds: u32,
}

impl RowValue for PolicyRow {}
impl RowValue for GroupRow {}
impl RowValue for GrantsRow {}
impl RowValue for RoleRow {}

impl IamRow for PolicyRow {
    const KIND: u8 = b'p';
    const WHAT: &'static str = "policy";
}

impl IamRow for GroupRow {
    const KIND: u8 = b'g';
    const WHAT: &'static str = "group";
    fn policies(&self) -> Option<&Names> {
        Some(&self.policies)
    }
}

impl IamRow for GrantsRow {
    const KIND: u8 = b'a';
    const WHAT: &'static str = "account";
    fn policies(&self) -> Option<&Names> {
        Some(&self.policies)
    }
    fn groups(&self) -> Option<&Names> {
        Some(&self.groups)
    }
}

impl IamRow for RoleRow {
    const KIND: u8 = b'r';
    const WHAT: &'static str = "role";
    fn policies(&self) -> Option<&Names> {
        Some(&self.policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What version 1 wrote.
    #[test]
    fn version_1_is_read() {
        let policy = PolicyRow { document: "{}".to_owned() };
        let group = GroupRow { policies: names(&["a", "b"]) };
        let grants = GrantsRow { policies: names(&["a"]), groups: names(&["devs"]) };
        let role = RoleRow { trust: "{}".to_owned(), policies: names(&["a"]), max_seconds: 3600 };
        assert_eq!(hex::encode(policy.encode().unwrap()), "01027b7d");
        assert_eq!(hex::encode(group.encode().unwrap()), "010201610162");
        assert_eq!(hex::encode(grants.encode().unwrap()), "01010161010464657673");
        assert_eq!(hex::encode(role.encode().unwrap()), "01027b7d010161901c");
        assert_eq!(RoleRow::decode(&role.encode().unwrap()).unwrap(), role);
    }
}
