//! The form of a policy document.

use serde_json::Value;

use super::condition::Conditions;
use super::{identity, parse};

/// A document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its version.
    pub version: Version,
    /// Its statements, none of which depends on another.
    pub statements: Vec<Statement>,
}

/// A document's version. Those of 2008 have no variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Version {
    /// `2008-10-17`, and what a document without one is.
    V2008,
    /// `2012-10-17`.
    V2012,
    /// Anything else, which no document may have.
    Other(String),
}

/// One statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// What follows where it matches.
    pub effect: Effect,
    /// Whom it is about; `None` in documents that are attached to somebody.
    pub principal: Option<Selection<Principal>>,
    /// Actions with wildcards.
    pub action: Selection<String>,
    /// ARNs with wildcards and variables.
    pub resource: Selection<String>,
    /// What else must hold.
    pub condition: Conditions,
}

/// What a statement does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Allows.
    Allow,
    /// Denies, whatever allows.
    Deny,
    /// Anything else, which no statement may have.
    Other(String),
}

/// `Principal` and `NotPrincipal`, `Action` and `NotAction`, `Resource` and `NotResource`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection<T> {
    /// Any of these.
    Any(Vec<T>),
    /// None of these.
    Not(Vec<T>),
}

impl<T> Selection<T> {
    /// Whether `test` selects: any of the list, or none where it is a list of exceptions.
    pub fn selects(&self, test: impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Any(list) => list.iter().any(test),
            Self::Not(list) => !list.iter().any(test),
        }
    }

    /// What is listed.
    pub fn list(&self) -> &[T] {
        match self {
            Self::Any(list) | Self::Not(list) => list,
        }
    }
}

/// Who is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Principal {
    /// `*`: everybody, also who did not sign.
    Everybody,
    /// An account by its access key. (`arn:aws:iam::…:user/NAME` is its name, too.) A role by its ARN.
    Account(String),
}

impl Principal {
    /// Reads the name of a principal.
    pub fn new(text: &str) -> Self {
        if text == "*" {
            return Self::Everybody;
        }
        if let Some(role) = identity::role_of(text) {
            return Self::Account(identity::role_arn(role));
        }
        let user = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":user/"));
        Self::Account(user.map_or(text, |(_, path)| path.rsplit('/').next().unwrap_or(path)).to_owned())
    }
}

/// What is wrong with a document, as S3 words it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed(pub String);

impl Malformed {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Policy {
    /// Reads a document. What it says is not yet looked at ([`super::validate`]).
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !text.starts_with('{') {
            return Err(Malformed::new("Policies must be valid JSON and the first byte must be '{'"));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|_| Malformed::new("This policy contains invalid Json"))?;
        parse::policy(&value)
    }

    /// Whether it gives everybody something (AWS's meaning of public): an Allow for everybody that no condition
    /// narrows to fixed addresses or accounts.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|s| {
            let everybody = match &s.principal {
                Some(Selection::Any(list)) => list.contains(&Principal::Everybody),
                Some(Selection::Not(_)) => true,
                None => false,
            };
            s.effect == Effect::Allow && everybody && !s.condition.fixes_the_caller()
        })
    }
}
