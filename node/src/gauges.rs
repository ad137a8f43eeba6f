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
        let Some(namespace) = self.opened.get() else { return };
        if let Ok(disk) = namespace.statfs() {
            metrics::gauge!("pinfold_node_disk_bytes").set(disk.total as f64);
            metrics::gauge!("pinfold_node_disk_available_bytes").set(disk.available as f64);
        }
        store(namespace);
    }
}

/// The store's figures. What it cannot tell now keeps its last value.
fn store(namespace: &Namespace) {
    if let Ok(meta) = namespace.metadata().stats() {
        metrics::counter!("pinfold_store_log_records_total").absolute(meta.log.records);
        metrics::counter!("pinfold_store_log_groups_total").absolute(meta.log.groups);
        metrics::counter!("pinfold_store_log_sync_nanoseconds_total").absolute(meta.log.sync_nanos);
        metrics::gauge!("pinfold_store_log_bytes").set(meta.log.bytes as f64);
        metrics::gauge!("pinfold_store_log_head").set(meta.head as f64);
        metrics::gauge!("pinfold_store_log_durable").set(meta.durable as f64);
        metrics::gauge!("pinfold_store_replica_applied").set(meta.applied as f64);
        metrics::gauge!("pinfold_store_replica_disk_bytes").set(meta.store.disk_bytes as f64);
        metrics::gauge!("pinfold_store_replica_live_bytes").set(meta.live_bytes as f64);
        metrics::gauge!("pinfold_store_replica_discomfort", "of" => "disk")
            .set(f64::from(u8::from(meta.discomfort.disk)));
        metrics::gauge!("pinfold_store_replica_discomfort", "of" => "size")
            .set(f64::from(u8::from(meta.discomfort.size)));
        metrics::gauge!("pinfold_store_replica_discomfort", "of" => "memory")
            .set(f64::from(u8::from(meta.discomfort.memory)));
        metrics::gauge!("pinfold_store_overlay_bytes").set(meta.overlay_bytes as f64);
    }
    if let Ok(chunks) = namespace.chunks().usage() {
        metrics::gauge!("pinfold_store_objects").set(chunks.objects as f64);
        metrics::gauge!("pinfold_store_object_bytes").set(chunks.object_bytes as f64);
        metrics::gauge!("pinfold_store_slabs").set(chunks.slabs as f64);
        metrics::gauge!("pinfold_store_slab_live_bytes").set(chunks.slab_live_bytes as f64);
        metrics::gauge!("pinfold_store_slab_disk_bytes").set(chunks.slab_disk_bytes as f64);
        metrics::gauge!("pinfold_store_collect_waiting").set(chunks.waiting as f64);
    }
    let swept = namespace.lifecycle_swept();
    for (what, count) in
        [("object", swept.objects), ("version", swept.versions), ("marker", swept.markers), ("upload", swept.uploads)]
    {
        metrics::counter!("pinfold_store_lifecycle_removed_total", "what" => what).absolute(count);
    }
    metrics::counter!("pinfold_store_lifecycle_locked_total").absolute(swept.locked);
    metrics::counter!("pinfold_store_lifecycle_looked_at_total").absolute(swept.looked_at);
    for worker in namespace.workers() {
        metrics::counter!("pinfold_store_worker_rounds_total", "worker" => worker.name).absolute(worker.rounds);
        metrics::counter!("pinfold_store_worker_failures_total", "worker" => worker.name).absolute(worker.failed);
    }
}
