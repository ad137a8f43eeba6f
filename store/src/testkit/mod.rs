//! Conformance suites: one for each trait that has several implementations. An implementation's own tests call its
//! suite; a suite panics where the contract does not hold.
#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

mod commit_log;
mod meta_store;
mod pin_service;
pub mod sample;

pub use commit_log::commit_log;
pub use meta_store::meta_store;
pub use pin_service::{FakePins, pin_service};
