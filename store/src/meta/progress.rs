//! stub
/// stub
pub trait Progress: Send + Sync {
    /// stub
    fn report(&self, task: &'static str, done: u64, total: Option<u64>);
}
/// stub
pub struct Quiet;
impl Progress for Quiet {
    fn report(&self, _: &'static str, _: u64, _: Option<u64>) {}
}
