//! What every [`crate::meta::MetaStore`] must do.
/// Placeholder
pub fn meta_store() {}
