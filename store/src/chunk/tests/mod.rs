//! Tests of the store as a whole, beyond what [`super::conformance`] asks of it.

mod basics;
mod crash;
pub(super) mod index_double;
