//! The decision: an explicit Deny wins, then any Allow, else nothing was said.

use super::context::Context;
use super::pattern;
use super::policy::{Effect, Policy, Principal, Selection, Statement, Version};

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who<'a> {
    /// Somebody who did not sign.
    Anonymous,
    /// An account by its access key.
    Account(&'a str),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub who: Who<'a>,
    /// An action, such as `s3:GetObject`.
    pub action: &'a str,
    /// The ARN of what it is asked for.
    pub resource: &'a str,
    /// What conditions may ask.
    pub context: &'a Context,
}

/// What documents say to a question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Decision {
    /// Nothing.
    Silent,
    /// An Allow matches and no Deny.
    Allow,
    /// A Deny matches.
    Deny,
}

/// What all these documents together say. Their order, and that of their statements, means nothing.
pub fn decide<'a>(policies: impl IntoIterator<Item = &'a Policy>, question: &Question<'_>) -> Decision {
    let mut decision = Decision::Silent;
    for policy in policies {
        let variables = policy.version == Version::V2012;
        for statement in &policy.statements {
            // A statement whose effect nobody knows (never accepted) might be a Deny.
            let effect = if statement.effect == Effect::Allow { Decision::Allow } else { Decision::Deny };
            if effect > decision && applies(statement, question, variables) {
                decision = effect;
            }
        }
    }
    decision
}

fn applies(statement: &Statement, question: &Question<'_>, variables: bool) -> bool {
    let variables = variables.then_some(question.context);
    statement.principal.as_ref().is_none_or(|p| is_meant(p, question.who))
        && statement.action.selects(|pattern| pattern::matches_ignoring_case(pattern, question.action))
        && statement.resource.selects(|pattern| pattern::matches(pattern, question.resource, variables))
        && statement.condition.hold(question.context, variables)
}

fn is_meant(principals: &Selection<Principal>, who: Who<'_>) -> bool {
    principals.selects(|principal| match (principal, who) {
        (Principal::Everybody, _) => true,
        (Principal::Account(name), Who::Account(access)) => name == access,
        (Principal::Account(_), Who::Anonymous) => false,
    })
}
