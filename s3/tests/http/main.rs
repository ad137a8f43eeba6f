//! The S3 door with real requests: a server on the loopback over a namespace in a temporary folder.

#![allow(clippy::unwrap_used)] // helpers of tests, outside the functions that clippy knows as tests

mod auth;
mod buckets;
mod checksums;
mod conditions;
mod copies;
mod hostile;
mod listing;
mod multipart;
mod objects;
mod server;
mod support;
