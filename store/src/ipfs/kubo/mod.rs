//! Kubo's RPC (0.43), typed.

mod car;
mod client;
mod types;

pub use car::BlockWalk;
pub use client::KuboClient;
pub use types::{BlockStat, ImportedRoot, KuboId, KuboPin, RepoStat, SwarmPeer};
