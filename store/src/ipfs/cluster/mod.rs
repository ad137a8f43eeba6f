//! IPFS Cluster's REST API (1.1.6), typed.

mod client;
mod service;
mod types;

pub use client::{AddOptions, ClusterClient, RecoverScope};
pub use types::{
    AddedOutput, Alert, Allocation, GcReport, GlobalPinInfo, Metric, PeerId, PeerInfo, PeerPin, StatusFilter,
};
