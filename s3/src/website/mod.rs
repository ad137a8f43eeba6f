//! Static websites: a bucket's objects for browsers, at `BUCKET.DOMAIN` of a configured domain: index and error
//! documents, redirections by rule and by object, errors as pages. Objects are read as anybody may read them: what a
//! bucket does not make public is not there.

mod config;
mod page;
mod serve;

pub(crate) use config::{check, missing};
pub(crate) use serve::{Site, Sites, Visit};

/// The name of a bucket's document.
pub(crate) const DOCUMENT: &str = "website";
