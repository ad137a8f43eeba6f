//! Metadata: the commit log is the truth, the replica is its view.
//!
//! - [`record`]: what one operation changes, as physical after-images.
//! - [`schema`]: keys and values of the replica's rows.
//! - [`log`]: the commit log.
//! - [`MetaStore`]: the narrow ordered key-value trait behind which the replica's engines ([`engine`]) stand.
//! - [`Metadata`]: log, overlay and replica behind one face; what the namespace uses.

mod applier;
mod apply;
pub(crate) mod aside;
mod bucket_row;
mod build;
pub mod checkpoint;
mod checkpointer;
mod comfort;
mod config;
mod convert;
mod cursors;
pub mod engine;
mod fsck;
pub mod iam_row;
pub mod kept;
mod layout;
pub mod log;
mod merge;
mod open;
mod overlay;
pub mod pin_row;
mod progress;
pub mod record;
mod repair;
mod replica;
mod room;
pub mod rows;
pub mod schema;
pub mod seal;
#[cfg(test)]
mod tests;

use crate::error::Result;

pub use apply::BlockSink;
pub use comfort::Discomfort;
pub use config::{MetaConfig, MetaStats, Opened};
pub use convert::{convert, rebuild};
pub use engine::EngineKind;
pub use fsck::{Findings, Problem, Remedy, ReplicaReport, fsck};
pub use layout::Layout;
pub use open::Prepared;
pub use progress::{Progress, Quiet};
pub use repair::{Repaired, repair};
pub use replica::Metadata;

/// One row change: `None` deletes.
pub type RowChange = (Vec<u8>, Option<Vec<u8>>);

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// An ordered key-value database: one keyspace of byte strings, as little as the replica needs, so that any engine
/// can stand behind it. Nothing of an engine's own (trees, transactions, watches, ids) may leak through.
///
/// Any number of threads read and apply; every reader sees an applied batch whole or not at all, per call.
pub trait MetaStore: Send + Sync + 'static {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Up to `limit` rows with `start <= key < end` in byte order.
    fn range(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Vec<Row>>;

    /// The last row with `start <= key < end`.
    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<Row>>;

    /// Applies all changes of `batch` atomically: after a crash all of them are there or none.
    fn apply(&self, batch: &[RowChange]) -> Result<()>;

    /// Returns when everything applied before is durable: it survives a power cut.
    fn flush(&self) -> Result<()>;

    /// Bytes that the engine can still write, whatever others do to the disk: it sets them aside here, where its files
    /// allow that. Else what the disk has free now.
    fn room(&self) -> Result<u64>;

    /// Size figures, cheap enough for a metrics scrape.
    fn stats(&self) -> Result<StoreStats>;

    /// The engine's name: `sled`, `fjall` or `memory`.
    fn engine(&self) -> &'static str;

    /// How many keys a batch should have at most, where it may be split.
    fn batch_keys(&self) -> usize {
        1000
    }
}

/// What an engine says of its size.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreStats {
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Rows, where the engine counts them cheaply.
    pub rows: Option<u64>,
}
