//! The `pinfold` binary.
fn main() {}
