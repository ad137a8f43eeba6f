//! All that a bucket says about access, taken together: its policy, its access control list, who owns what is in it,
//! and what its public access block forbids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::acl::{Acl, Permission};
use super::evaluate::{Decision, Question, Who, decide};
use super::identity::Identity;
use super::policy::Policy;
use crate::error::{Error, Result};

/// Names of the documents in a bucket's settings.
pub mod document {
    /// The policy, as it was sent.
    pub const POLICY: &str = "policy";
    /// The access control list.
    pub const ACL: &str = "acl";
    /// The object ownership; none is `BucketOwnerEnforced`.
    pub const OWNERSHIP: &str = "ownershipControls";
    /// The public access block; none forbids nothing.
    pub const BLOCK: &str = "publicAccessBlock";
}

/// Who owns new objects, and with it whether access control lists count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ownership {
    /// The bucket's owner; lists do not count.
    #[default]
    BucketOwnerEnforced,
    /// The bucket's owner where the writer agrees.
    BucketOwnerPreferred,
    /// Who wrote them.
    ObjectWriter,
    /// The setting was deleted: as [`Self::ObjectWriter`].
    Deleted,
}

impl Ownership {
    /// S3's name; none once it was deleted.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::BucketOwnerEnforced => Some("BucketOwnerEnforced"),
            Self::BucketOwnerPreferred => Some("BucketOwnerPreferred"),
            Self::ObjectWriter => Some("ObjectWriter"),
            Self::Deleted => None,
        }
    }

    /// By S3's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter]
            .into_iter()
            .find(|o| o.as_str() == Some(name))
    }

    /// As it is stored.
    pub fn stored(self) -> &'static str {
        self.as_str().unwrap_or("deleted")
    }

    /// Whether access control lists count.
    pub fn has_lists(self) -> bool {
        self != Self::BucketOwnerEnforced
    }
}

/// What of public access is forbidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessBlock {
    /// New lists may not be public.
    pub block_public_acls: bool,
    /// What lists give to groups does not count.
    pub ignore_public_acls: bool,
    /// New policies may not be public.
    pub block_public_policy: bool,
    /// What a public policy allows does not count but for the owner.
    pub restrict_public_buckets: bool,
}

/// A bucket's documents about access, read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketRules {
    /// Its policy.
    pub policy: Option<Policy>,
    /// Its access control list.
    pub acl: Acl,
    /// Its object ownership.
    pub ownership: Ownership,
    /// Its public access block, if one is set.
    pub block: Option<AccessBlock>,
}

/// Why something may not be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing allows it.
    Implicit,
    /// The bucket's policy denies it.
    Explicit,
    /// A policy of the one who asks does.
    ExplicitOfIdentity,
}

impl BucketRules {
    /// Reads the documents of a bucket's settings; Corrupt if one cannot be read.
    pub fn read(documents: &BTreeMap<String, String>) -> Result<Self> {
        let corrupt = |name: &str| Error::corrupt("a bucket's document cannot be read").with("document", name);
        let mut rules = Self::default();
        if let Some(text) = documents.get(document::POLICY) {
            rules.policy = Some(Policy::parse(text).map_err(|e| corrupt(document::POLICY).with("reason", e.0))?);
        }
        if let Some(text) = documents.get(document::ACL) {
            rules.acl = serde_json::from_str(text).map_err(|e| corrupt(document::ACL).caused_by(e))?;
        }
        if let Some(text) = documents.get(document::OWNERSHIP) {
            rules.ownership = match text.as_str() {
                "deleted" => Ownership::Deleted,
                name => Ownership::parse(name).ok_or_else(|| corrupt(document::OWNERSHIP))?,
            };
        }
        if let Some(text) = documents.get(document::BLOCK) {
            rules.block = Some(serde_json::from_str(text).map_err(|e| corrupt(document::BLOCK).caused_by(e))?);
        }
        Ok(rules)
    }

    /// Whether the policy gives everybody something.
    pub fn is_public(&self) -> bool {
        self.policy.as_ref().is_some_and(Policy::is_public)
    }

    /// Whether the one who asks may. What any document denies is denied, to the owner as well; what none denies, the owner
    /// may; others where the bucket's policy, a policy of their own or, as far as lists count, the list allows it. A
    /// session that was narrowed may nothing else.
    pub fn check(
        &self,
        owner: &str,
        question: &Question<'_>,
        permission: Option<Permission>,
        identity: &Identity,
    ) -> std::result::Result<(), Refusal> {
        let block = self.block.unwrap_or_default();
        let is_owner = question.who == Who::Account(owner);
        let decision = decide(&self.policy, question);
        let allowed = decision == Decision::Allow && !(block.restrict_public_buckets && self.is_public());
        let listed = || {
            self.ownership.has_lists()
                && permission.is_some_and(|p| self.acl.allows(question.who, p, block.ignore_public_acls))
        };
        let (own, limit) = (identity.decide(question), identity.limit(question));
        if decision == Decision::Deny {
            return Err(Refusal::Explicit);
        }
        if own == Decision::Deny || limit == Decision::Deny {
            return Err(Refusal::ExplicitOfIdentity);
        }
        match is_owner || allowed || own == Decision::Allow || listed() {
            true if limit == Decision::Allow => Ok(()),
            _ => Err(Refusal::Implicit),
        }
    }
}
