//! Encryption at rest: keys, and how bytes are sealed with them. It knows no object, no row and no file but its own keys'.
//!
//! - [`MasterKey`] wraps every other secret; it comes from a file or the environment and is never written with the data.
//!
//! Keys are wiped from memory when they are dropped, and no type here shows one by `Debug`.

mod aead;
mod master;

pub use master::{KeyName, MasterKey, Secret, WRAPPED_EXTRA};
