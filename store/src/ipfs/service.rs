//! What the pin manager needs of whoever keeps pins: IPFS Cluster, or a fake with the same behaviour.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::types::Cid;

/// How deep a pin goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum PinMode {
    /// The root and all below it.
    #[default]
    Recursive,
    /// The root alone. IPFS Cluster 1.1.6 takes such a pin for lost: use recursive ones.
    Direct,
}

/// All that can be said of a pin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinOptions {
    /// A name, for people.
    pub name: String,
    /// How deep.
    pub mode: PinMode,
    /// Peers that must hold it at least: -1 is all of them, 0 what the cluster has as its default.
    pub replication_min: i32,
    /// Peers that hold it at most; as above.
    pub replication_max: i32,
    /// Peers to choose first.
    pub user_allocations: Vec<String>,
    /// When it goes by itself.
    pub expire_at: Option<SystemTime>,
    /// Whatever is to be kept with it.
    pub metadata: BTreeMap<String, String>,
    /// An older pin of which this is a changed version: only the difference is fetched.
    pub update: Option<Cid>,
    /// Peers that have the bytes, as multiaddresses with their identity.
    pub origins: Vec<String>,
}

/// What is known of one CID.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinStatus {
    /// Peers that are to hold it.
    pub wanted: u32,
    /// Peers that say they do.
    pub pinned: u32,
    /// Peers that wait or fetch.
    pub pending: u32,
    /// Of these, peers that fetch.
    pub pinning: u32,
    /// Peers that failed, and why.
    pub errors: Vec<(String, String)>,
    /// What was kept with the pin.
    pub metadata: BTreeMap<String, String>,
}

impl PinStatus {
    /// Whether the service knows of the pin at all.
    pub fn is_known(&self) -> bool {
        self.pinned + self.pending > 0 || !self.errors.is_empty()
    }

    /// Whether every peer that is to hold it does.
    pub fn is_complete(&self) -> bool {
        self.pinned > 0 && self.pinned >= self.wanted
    }
}

/// A pin of the whole set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its root.
    pub cid: Cid,
    /// Its name.
    pub name: String,
    /// What is kept with it.
    pub metadata: BTreeMap<String, String>,
}

/// Keeps pins. Every call may be repeated. Errors of kind Unavailable and TimedOut say nothing of the pin: nobody answered.
#[async_trait::async_trait]
pub trait PinService: Send + Sync + 'static {
    /// Asks for a pin; it comes in its own time ([`Self::status`]). One that is there gets these options.
    async fn pin(&self, cid: &Cid, options: &PinOptions) -> Result<()>;

    /// Takes a pin away. Whether there was one.
    async fn unpin(&self, cid: &Cid) -> Result<bool>;

    /// What is known of some CIDs, in their order.
    async fn status(&self, cids: &[Cid]) -> Result<Vec<PinStatus>>;

    /// Has failed peers try again.
    async fn recover(&self, cid: &Cid) -> Result<()>;

    /// Shows every pin, in no order, one in memory; ends early with what `visit` fails with.
    async fn list(&self, visit: &mut (dyn FnMut(Listed) -> Result<()> + Send)) -> Result<()>;

    /// Shows the CIDs with peers that failed, without a walk over the whole set.
    async fn troubled(&self, visit: &mut (dyn FnMut(Cid) -> Result<()> + Send)) -> Result<()>;

    /// Looks which servers answer; Unavailable if none does.
    async fn check(&self) -> Result<()>;
}
