//! What an account, or a session of one, is given by its own documents.

use std::sync::Arc;

use super::evaluate::{Decision, Question, decide};
use super::policy::Policy;

/// The account number in all ARNs of accounts and roles: there is but one.
pub const ACCOUNT_NUMBER: &str = "000000000000";

/// Policies that come with whoever asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Those of the account and its groups, or of the role.
    pub policies: Vec<Arc<Policy>>,
    /// What a session was narrowed to when it was made: it gives nothing by itself.
    pub limit: Option<Arc<Policy>>,
}

impl Identity {
    /// What its policies say.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        decide(self.policies.iter().map(|policy| &**policy), question)
    }

    /// What its session is narrowed to; Allow if it is not narrowed.
    pub fn limit(&self, question: &Question<'_>) -> Decision {
        self.limit.as_ref().map_or(Decision::Allow, |limit| decide([&**limit], question))
    }
}

/// The ARN of a role.
pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT_NUMBER}:role/{name}")
}

/// The name of the role that an ARN is of; `None` if it is of no role.
pub fn role_of(arn: &str) -> Option<&str> {
    let (_, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_arns() {
        assert_eq!(role_of(&role_arn("reader")), Some("reader"));
        assert_eq!(role_of("arn:aws:iam::123456789012:role/some/path/reader"), Some("reader"));
        assert_eq!(role_of("arn:aws:iam::123456789012:user/reader"), None);
        assert_eq!(role_of("reader"), None);
    }
}
