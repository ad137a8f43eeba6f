//! Cross-origin requests: a bucket's rules, and what they say of one request.

mod answer;
mod rules;

pub(crate) use answer::{Asker, Expose, preflight};
pub(crate) use rules::check;

/// The name of a bucket's document.
pub(crate) const DOCUMENT: &str = "cors";
