//! IPFS: what this node asks of peers, and what it gives to them. No HTTP server here: `node` has that.
//!
//! Clients of IPFS Cluster and of Kubo, over HTTP: several endpoints each, tried in turn, left alone while they fail, found
//! again when they are back. Nothing here decides what is pinned: that is `pin`'s. It talks to a [`PinService`], which
//! [`ClusterClient`] is. What is given to peers is in [`serve`].

mod breaker;
mod cluster;
mod endpoints;
mod failure;
mod kubo;
pub mod peer;
mod request;
pub mod serve;
mod service;
mod settings;
mod stream;

#[cfg(test)]
mod tests;

pub use cluster::{
    AddOptions, AddedOutput, Alert, Allocation, ClusterClient, GcReport, GlobalPinInfo, Metric, PeerId, PeerInfo,
    PeerPin, RecoverScope, StatusFilter,
};
pub use kubo::{BlockStat, BlockWalk, ImportedRoot, KuboClient, KuboId, KuboPin, RepoStat, SwarmPeer};
pub use service::{Listed, PinMode, PinOptions, PinService, PinStatus};
pub use settings::{Auth, ClientSettings, Tls};
