//! Tests of the store as a whole, beyond what [`super::conformance`] asks of it.

mod basics;
mod crash;
mod index_double;
