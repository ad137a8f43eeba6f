//! What IPFS Cluster's REST API says. Fields that nobody reads are left out; unknown ones are no error.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::ipfs::service::PinStatus;

/// Go writes `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A cluster peer: `id`, `peers`.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerInfo {
    /// Its identity.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub peername: String,
    /// Its program's version.
    #[serde(default)]
    pub version: String,
    /// Identities of the peers that it knows, its own too.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster_peers: Vec<String>,
    /// Why it cannot be asked; empty if it can.
    #[serde(default)]
    pub error: String,
    /// Its Kubo.
    #[serde(default)]
    pub ipfs: PeerId,
}

/// An IPFS peer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PeerId {
    /// Its identity; empty if it is not there.
    #[serde(default)]
    pub id: String,
    /// Where it listens.
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Why it cannot be asked.
    #[serde(default)]
    pub error: String,
}

/// A pin of the global set: `allocations`, and the answer to pins that are added or removed.
#[derive(Clone, Debug, Deserialize)]
pub struct Allocation {
    /// Its root.
    pub cid: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Peers that hold it; empty is all of them.
    #[serde(default, deserialize_with = "or_default")]
    pub allocations: Vec<String>,
    /// Least number of peers.
    #[serde(default)]
    pub replication_factor_min: i32,
    /// Largest number of peers.
    #[serde(default)]
    pub replication_factor_max: i32,
    /// How deep: `recursive` or `direct`.
    #[serde(default)]
    pub mode: String,
    /// When it goes by itself (RFC 3339); year 1 is never.
    #[serde(default)]
    pub expire_at: String,
    /// What is kept with it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// Addresses of peers that have the bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub origins: Vec<String>,
    /// The pin that it is a changed version of.
    #[serde(default)]
    pub pin_update: Option<String>,
}

/// One peer's view of a pin.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerPin {
    /// The peer's name.
    #[serde(default)]
    pub peername: String,
    /// `pinned`, `pinning`, `pin_queued`, `pin_error`, `remote` …
    pub status: String,
    /// Why it failed.
    #[serde(default)]
    pub error: String,
    /// How often it tried.
    #[serde(default)]
    pub attempt_count: u32,
}

/// Every peer's view of a pin: `pins`.
#[derive(Clone, Debug, Deserialize)]
pub struct GlobalPinInfo {
    /// Its root.
    pub cid: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Peers that are to hold it; empty is all of them.
    #[serde(default, deserialize_with = "or_default")]
    pub allocations: Vec<String>,
    /// What is kept with it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// Views by peer identity.
    #[serde(default, deserialize_with = "or_default")]
    pub peer_map: BTreeMap<String, PeerPin>,
}

impl GlobalPinInfo {
    /// The same in the service's words.
    pub fn summary(&self) -> PinStatus {
        let mut status = PinStatus { metadata: self.metadata.clone(), ..PinStatus::default() };
        let mut holders = 0;
        for (peer, view) in &self.peer_map {
            match view.status.as_str() {
                "remote" | "sharded" => continue,
                "pinned" => status.pinned += 1,
                "pinning" => {
                    status.pending += 1;
                    status.pinning += 1;
                }
                "pin_queued" | "queued" => status.pending += 1,
                "pin_error" | "cluster_error" | "error" | "unexpectedly_unpinned" => {
                    let name = if view.peername.is_empty() { peer } else { &view.peername };
                    let error = if view.error.is_empty() { &view.status } else { &view.error };
                    status.errors.push((name.clone(), error.clone()));
                }
                // unpinned, unpinning, unpin_queued, unpin_error, undefined
                _ => {}
            }
            holders += 1;
        }
        let allocated = u32::try_from(self.allocations.len()).unwrap_or(u32::MAX);
        status.wanted = if allocated > 0 { allocated } else { holders };
        status
    }
}

/// Which pins `pins` shows, by status; several may be joined by commas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusFilter {
    /// All.
    All,
    /// Failed, or found missing.
    Troubled,
    /// Waiting or fetching.
    Pending,
    /// Held.
    Pinned,
}

impl StatusFilter {
    /// As the API has it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Troubled => "cluster_error,pin_error,unexpectedly_unpinned",
            Self::Pending => "pinning,pin_queued",
            Self::Pinned => "pinned",
        }
    }
}

/// Something that a peer measures: `monitor/metrics/NAME`.
#[derive(Clone, Debug, Deserialize)]
pub struct Metric {
    /// What.
    pub name: String,
    /// Which peer.
    pub peer: String,
    /// How much.
    pub value: String,
    /// Until when it holds, in nanoseconds since 1970.
    #[serde(default)]
    pub expire: i64,
    /// Whether it is one.
    #[serde(default)]
    pub valid: bool,
}

/// A metric that a peer no longer sends: `health/alerts`.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    /// The metric.
    pub name: String,
    /// The peer.
    pub peer: String,
    /// Since when.
    #[serde(default)]
    pub triggered_at: String,
}

/// What garbage collection took away: `ipfs/gc`.
#[derive(Clone, Debug, Deserialize)]
pub struct GcReport {
    /// Of each peer, its error, if it has one.
    #[serde(default, deserialize_with = "or_default")]
    pub peer_map: BTreeMap<String, PeerGc>,
}

/// The same of one peer.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerGc {
    /// Its name.
    #[serde(default)]
    pub peername: String,
    /// What went wrong.
    #[serde(default)]
    pub error: String,
}

/// A line of `add`.
#[derive(Clone, Debug, Deserialize)]
pub struct AddedOutput {
    /// Name of what was added.
    #[serde(default)]
    pub name: String,
    /// Its root.
    pub cid: String,
    /// Bytes of the whole DAG.
    #[serde(default)]
    pub size: u64,
    /// Peers that hold it.
    #[serde(default, deserialize_with = "or_default")]
    pub allocations: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 1.1.6 wrote it, shortened.
    const SOME: &str = r#"{"cid":"bafkqaaa","name":"n","allocations":null,"origins":[],"created":"2026-11-23T00:00:00Z",
        "metadata":{"k":"v"},"peer_map":{
        "A":{"peername":"peer0","ipfs_peer_id":"x","ipfs_peer_addresses":[],"status":"pinned","timestamp":"t","error":"","attempt_count":0,"priority_pin":false},
        "B":{"peername":"peer1","status":"pin_error","error":"no route","attempt_count":2},
        "C":{"peername":"peer2","status":"pinning","error":""},
        "D":{"peername":"peer3","status":"remote","error":""}}}"#;

    #[test]
    fn a_pin_is_summed_up() {
        let info: GlobalPinInfo = serde_json::from_str(SOME).unwrap();
        let status = info.summary();
        assert_eq!((status.wanted, status.pinned, status.pending, status.pinning), (3, 1, 1, 1));
        assert_eq!(status.errors, [("peer1".to_owned(), "no route".to_owned())]);
        assert_eq!(status.metadata["k"], "v");
        assert!(status.is_known() && !status.is_complete());
    }

    #[test]
    fn allocations_say_how_many() {
        let mut info: GlobalPinInfo = serde_json::from_str(SOME).unwrap();
        info.allocations = vec!["A".to_owned()];
        assert!(info.summary().is_complete());
        info.peer_map.values_mut().for_each(|peer| peer.status = "unpinned".to_owned());
        assert!(!info.summary().is_known());
    }
}
