//! Pinfold's store: everything that both doors share. It knows no HTTP server, no S3 type and no FUSE type.
//!
//! Modules use only those above them in this list (a test greps for back edges):
//! `types error → meta, unixfs → chunk → namespace`.

pub mod chunk;
pub mod error;
pub mod meta;
pub mod types;
pub mod unixfs;

pub use error::{Error, ErrorKind, IoContext, Result, Retry};
