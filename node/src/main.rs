//! The `pinfold` binary.

use std::process::ExitCode;

use clap::Parser;
use pinfold_node::cli::Cli;
use pinfold_node::{cmd, output};

fn main() -> ExitCode {
    match cmd::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.code() as u8)
        }
    }
}
