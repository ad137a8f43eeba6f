//! The node's own metrics (docs/METRICS.md), set when somebody looks.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use pinfold_store::namespace::Namespace;

use crate::admin::health::{Health, Phase};
use crate::admin::http::Watch;
use crate::{build_info, doors};

/// Sets what stays as it is for the life of the process.
pub fn started() {
    metrics::gauge!("pinfold_node_build_info", "version" => build_info::VERSION, "commit" => build_info::COMMIT)
        .set(1.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("pinfold_node_start_time_seconds").set(now.as_secs_f64());
}

/// Sets the number of running mounts.
pub fn mounts(running: usize) {
    metrics::gauge!("pinfold_node_mounts").set(running as f64);
}

/// A node that is being looked at; its store is there once it is open.
pub struct Watched {
    /// The store, once it is open.
    pub opened: Arc<OnceLock<Namespace>>,
    /// The node's health.
    pub health: Health,
}

impl Watch for Watched {
    fn complaint(&self) -> Option<String> {
        self.opened.get().and_then(doors::complaint)
    }

    fn refresh(&self) {
        let serving = self.health.phase().0 == Phase::Serving && self.complaint().is_none();
        metrics::gauge!("pinfold_node_serving").set(if serving { 1.0 } else { 0.0 });
        if let Some(Ok(disk)) = self.opened.get().map(Namespace::statfs) {
            metrics::gauge!("pinfold_node_disk_bytes").set(disk.total as f64);
            metrics::gauge!("pinfold_node_disk_available_bytes").set(disk.available as f64);
        }
    }
}
