//! Pinfold's store: everything that both doors share. It knows no HTTP server, no S3 type and no FUSE type.
//!
//! Modules use only those above them in this list (a test greps for back edges):
//! `types error → crypto → iam → audit → unixfs → meta → chunk → ipfs → pin → namespace`.

pub mod audit;
pub mod chunk;
pub mod clock;
pub mod crypto;
pub mod error;
pub mod iam;
pub mod ipfs;
pub mod meta;
pub mod namespace;
pub mod pin;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod types;
pub mod unixfs;
pub mod worker;

pub use error::{Error, ErrorKind, IoContext, Result, Retry};
