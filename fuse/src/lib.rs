//! Pinfold's mount: the namespace as a POSIX file system, through the kernel's FUSE.
//!
//! ```text
//! kernel → fuser's threads → fs (one method a request) → door: entry · handle · dir · xattr → namespace
//!                                                        └ syncs: a small pool for what waits (fsync, release …)
//! S3 writes → notify (one thread a mount) → kernel: forget this name, these attributes, these pages
//! ```
//!
//! [`Mount::start`] mounts and [`Mount::stop`] unmounts; everything else is private. This crate knows no S3 type; the
//! namespace knows no FUSE type.

mod attr;
mod caller;
mod company;
mod config;
mod dir;
mod door;
mod entry;
mod errno;
mod fs;
mod handle;
mod known;
mod metrics;
mod mount;
mod mountpoint;
mod notify;
mod passthrough;
mod pool;
mod privilege;
mod session;
mod xattr;

pub use config::{MountConfig, Passthrough, Ttls};
pub use mount::Mount;
