//! How long work tells how far it is.

/// Told from time to time by work that may take long: replay, rebuild, checkpoint, conversion, verification.
pub trait Progress: Send + Sync {
    /// `done` of `total` (where it is known) of `task` is done. The unit goes with the task: records, rows or bytes.
    fn report(&self, task: &'static str, done: u64, total: Option<u64>);
}

/// Nobody wants to know.
pub struct Quiet;

impl Progress for Quiet {
    fn report(&self, _: &'static str, _: u64, _: Option<u64>) {}
}
