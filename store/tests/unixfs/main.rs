//! UnixFS against published fixtures, against an independent implementation, and against hostile bytes.

// Clippy lets tests unwrap, but does not see that this file's helpers are tests too.
#![allow(clippy::unwrap_used)]

mod directories;
mod files;
mod fixtures;
mod hashing;
mod hostile;
mod reading;
mod support;
mod zeros;
