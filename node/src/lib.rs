//! The node: one process that opens the store and serves its doors, and the commands of its operator.
//!
//! - [`node`]: config → build → run → drain; [`steps`] are its steps, [`doors`] calls the other crates.
//! - [`config`]: the one table of settings and its three forms.
//! - [`admin`]: health, metrics, and the socket behind the operator's commands.
//! - [`console`]: the web console. [`provider`]: what IPFS peers ask. Both are served by [`listener`].
//! - [`console`]: the web console.
//! - [`directory`], [`vault`]: accounts and keys that are kept elsewhere.
//! - [`cli`], [`cmd`]: the command line.

pub mod admin;
pub mod announce;
pub mod build_info;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod config_secret;
pub mod console;
pub mod credentials;
pub mod data_dir;
pub mod directory;
pub mod doors;
pub mod failure;
pub mod gauges;
pub mod ipfs;
pub mod listener;
pub mod master_key;
pub mod mount_helper;
pub mod mounts;
pub mod node;
pub mod notify;
pub mod output;
pub mod progress;
pub mod provider;
pub mod remembered;
pub mod service_manager;
pub mod signals;
pub mod steps;
pub mod telemetry;
pub mod vault;
