//! The only file that knows how the other crates are called: from the node's configuration to the store, the S3
//! endpoint and the mounts.
//! (Interim: the store's engine and the doors are merged from their branches; until then nothing opens.)

use std::net::SocketAddr;

use pinfold_store::namespace::Namespace;
use pinfold_store::unixfs::Profile;
use pinfold_store::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;

use crate::config::value::MountSpec;
use crate::config::{NodeConfig, Passthrough};
use crate::credentials::RootCredentials;

fn not_here(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, "not part of this build").with("part", what)
}

/// How far opening has come: what is done, units done, units in all (0 if unknown).
pub type Progress<'a> = dyn Fn(&str, u64, u64) + Send + Sync + 'a;

/// Opens the store: log, replica, chunks. Blocks.
pub fn open_namespace(_config: &NodeConfig, _progress: &Progress<'_>) -> Result<Namespace> {
    Err(not_here("store"))
}

/// Publishes what is left and closes the store. Blocks.
pub fn close_namespace(_namespace: &Namespace) -> Result<()> {
    Err(not_here("store"))
}

/// Why the store serves no longer, if so.
pub fn complaint(_namespace: &Namespace) -> Option<String> {
    None
}

/// Name of the replica's engine.
pub fn engine_name(_namespace: &Namespace) -> String {
    String::new()
}

/// Makes a checkpoint; answers the sequence number it reaches. Blocks.
pub fn checkpoint(_namespace: &Namespace) -> Result<u64> {
    Err(not_here("store"))
}

/// A profile's name.
pub fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::V1_2025 => "unixfs-v1-2025",
        Profile::KuboClassicV1 => "kubo-classic-v1",
    }
}

/// The S3 endpoint.
pub struct S3Door;

impl S3Door {
    /// Binds.
    pub async fn bind(
        _address: &str,
        _config: &NodeConfig,
        _namespace: Namespace,
        _root: &RootCredentials,
    ) -> Result<Self> {
        Err(not_here("s3"))
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Serves until `stop`, then until the requests in flight are answered.
    pub async fn serve(&self, stop: CancellationToken) -> Result<()> {
        stop.cancelled().await;
        Ok(())
    }

    /// Reads the certificate files again.
    pub fn reload(&self) -> Result<()> {
        Ok(())
    }
}

/// A mount.
pub struct MountDoor;

impl MountDoor {
    /// Mounts. Blocks.
    pub fn start(_spec: &MountSpec, _namespace: Namespace, _passthrough: Passthrough) -> Result<Self> {
        Err(not_here("fuse"))
    }

    /// Takes it out of the tree at once; programs that have it open get errors.
    pub fn detach(&self) {}

    /// Publishes and unmounts. Blocks.
    pub fn stop(self) -> Result<()> {
        Ok(())
    }
}
