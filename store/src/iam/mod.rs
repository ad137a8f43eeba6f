//! Who may do what: documents in, a decision out. Nothing here reads a store, a clock or a socket: what a decision
//! depends on is in its arguments.
//!
//! [`policy`] is the form of a policy document, [`evaluate`] the one function that decides by any number of them
//! (bucket policies; identity policies are documents without a principal). [`condition`] are its conditions,
//! [`identity`] what accounts and roles are given, [`acl`] access control lists, [`bucket`] all that a bucket says about access, taken together. [`validate`] is what
//! a bucket policy must be to be accepted, with S3's wording.

pub mod acl;
pub mod action;
pub mod bucket;
pub mod condition;
pub mod context;
pub mod evaluate;
pub mod identity;
pub mod operator;
mod parse;
mod pattern;
pub mod policy;
pub mod validate;

#[cfg(test)]
mod tests;

pub use acl::{Acl, Grant, Grantee, Permission};
pub use bucket::{AccessBlock, BucketRules, Ownership, Refusal};
pub use context::Context;
pub use evaluate::{Decision, Question, Who, decide};
pub use identity::Identity;
pub use policy::Policy;
