//! Pinfold's S3 door: an HTTP endpoint that speaks the S3 API over [`pinfold_store::namespace::Namespace`].
//!
//! The way of one request: [`server`] accepts a connection → `door` gives the request an id, refuses what `guard` does
//! not let through (SigV2, foreign regions, unsigned headers) or `subresource` does not know, bounds its body → s3s checks the signature with the
//! secrets of [`auth`] → `access` decides whether the account may → `service` calls one function of `ops`, which
//! translates (`convert`), streams bytes (`body`) and calls the namespace → `error` words what went wrong → `door`
//! finishes the answer (ids, `Resource`, metrics, what `cors` tells other origins).
//!
//! Three kinds of requests leave that way at `door`: a browser's `form` becomes the PutObject that it means, a preflight
//! request is answered by `cors`, and a host below a website's domain by `website`, which reads objects as anybody may.
//!
//! `insider` is a way in for this process itself, which has found out by other means who asks.
//!
//! Nothing here knows the mount, and nothing of s3s or HTTP goes into the store.

pub mod auth;
pub mod config;
pub mod insider;
pub mod metrics;
pub mod notification;
pub mod post;
pub mod server;
pub mod tls;

mod access;
mod accesslog;
mod address;
mod admin;
mod anonymous;
mod body;
mod bucketlog;
mod checksum;
mod convert;
mod copysource;
mod cors;
mod crc;
mod door;
mod error;
mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(all(test, not(feature = "fuzzing")))]
mod fuzzing;
mod guard;
mod host;
mod identity;
mod keepalive;
mod lifecycle;
mod limits;
mod longkey;
mod operation;
mod ops;
mod peer;
mod request_context;
mod respond;
mod route;
mod rules;
mod scope;
mod service;
mod session;
mod sigv4;
mod story;
mod sts;
mod subresource;
mod wants;
mod website;

pub use accesslog::AccessLogConfig;
pub use auth::{AccountChange, AccountSource, Credentials};
pub use config::S3Config;
pub use limits::{LimitConfig, Rates};
pub use server::S3Server;
pub use session::{Sessions, is_temporary};
