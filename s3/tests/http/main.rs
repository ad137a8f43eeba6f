//! The S3 door with real requests: a server on the loopback over a namespace in a temporary folder.

// In a test's helper, too, what fails is the test.
#![allow(clippy::unwrap_used)]

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
