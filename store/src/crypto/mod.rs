//! Encryption at rest: keys, and how bytes are sealed with them. It knows no object, no row and no file but its own keys'.
//!
//! - [`MasterKey`] wraps every other secret; it comes from a file or the environment and is never written with the data.
//! - [`Keyring`] has the buckets' keys, each wrapped in a file of its own.
//! - [`ContentKey`] seals content under one key, chunk by chunk; [`Manifest`] binds the chunks to their places.
//! - [`CustomerKey`] is a key that a client brings with each request.
//! - [`LiveCipher`] keeps a file sealed that is written in place.
//!
//! Keys are wiped from memory when they are dropped, and no type here shows one by `Debug`.

mod aead;
mod content;
mod customer;
mod keyring;
mod live;
mod manifest;
mod master;

pub use content::{ContentKey, Frame, ManifestKey};
pub use customer::CustomerKey;
pub use keyring::{Keyring, Rewrapped};
pub use live::LiveCipher;
pub use manifest::{Manifest, Place};
pub use master::{KeyName, MasterKey, Secret, WRAPPED_EXTRA};
