//! The operator's two entrances: an HTTP listener with health and metrics (no authentication, loopback by default), and
//! a unix socket in the data directory for commands (its owner and root only).

pub mod api;
pub mod audit;
pub mod client;
pub mod error;
pub mod health;
pub mod http;
pub mod iam;
mod import;
mod keys;
mod pins;
pub mod socket;
pub mod wire;
