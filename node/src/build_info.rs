//! What this binary was built from; filled in by build.rs.

/// Version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of the sources; `unknown` outside a repository.
pub const COMMIT: &str = env!("PINFOLD_BUILD_COMMIT");
/// Compiler.
pub const RUSTC: &str = env!("PINFOLD_BUILD_RUSTC");
/// Target triple.
pub const TARGET: &str = env!("PINFOLD_BUILD_TARGET");
/// Cargo's profile.
pub const PROFILE: &str = env!("PINFOLD_BUILD_PROFILE");

/// What `--version` prints after the name.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PINFOLD_BUILD_COMMIT"),
    ", ",
    env!("PINFOLD_BUILD_PROFILE"),
    ", ",
    env!("PINFOLD_BUILD_TARGET"),
    ", ",
    env!("PINFOLD_BUILD_RUSTC"),
    ")"
);
