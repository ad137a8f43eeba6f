//! The mount door on real mounts: a namespace in a folder of its own, mounted, used by system calls and by the S3 side's
//! functions. Each test runs with passthrough and with the daemon serving all bytes. Needs root and /dev/fuse; where
//! they are missing each test says so.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests fail tests, and a child tells its parent

mod attrs;
mod coherence;
mod data;
mod lifecycle;
mod names;
mod rig;
