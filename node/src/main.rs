//! The `pinfold` binary.
//!
//! It allocates with jemalloc: measured against glibc's malloc and mimalloc (docs/BENCHMARKS.md, *The allocator*).

use std::process::ExitCode;

use clap::Parser;
use pinfold_node::cli::Cli;
use pinfold_node::{cmd, output};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cmd::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.code() as u8)
        }
    }
}
