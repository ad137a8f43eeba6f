//! What Kubo's RPC says.

use serde::Deserialize;

/// `id`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KuboId {
    /// Its identity.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its program.
    #[serde(default)]
    pub agent_version: String,
    /// Where it listens.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
}

/// `block/stat`, `block/put`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BlockStat {
    /// The block.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A line of `pin/ls`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KuboPin {
    /// Its root.
    pub cid: String,
    /// `recursive`, `direct` or `indirect`.
    #[serde(rename = "Type", default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// A root of `dag/import`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportedRoot {
    /// The root, if it was asked to be pinned.
    pub root: Option<String>,
    /// Blocks that came.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A line of `dag/import`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImportLine {
    #[serde(default)]
    pub(super) root: Option<ImportRoot>,
    #[serde(default)]
    pub(super) stats: Option<ImportStats>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImportRoot {
    pub(super) cid: Link,
    #[serde(default)]
    pub(super) pin_error_msg: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(rename = "/")]
    pub(super) cid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImportStats {
    pub(super) block_count: u64,
    pub(super) block_bytes_count: u64,
}

/// `repo/stat`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RepoStat {
    /// Bytes in use.
    pub repo_size: u64,
    /// Bytes that may be used.
    pub storage_max: u64,
    /// Blocks; 0 where only sizes were asked for.
    #[serde(default)]
    pub num_objects: u64,
}

/// `swarm/peers`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SwarmPeer {
    /// Its address.
    pub addr: String,
    /// Its identity.
    pub peer: String,
}
