//! The commands, one function each. `serve` builds the process's runtime and telemetry; the others are one request to
//! the daemon or work on files.

mod ask;
mod audit;
mod cid;
mod cid_tree;
mod documents;
pub mod iam;
pub mod keys;
mod offline;
pub mod pins;
mod report;
mod serve;
mod users_file;
mod verify;

use crate::cli::Command;
use crate::failure::Failure;
use crate::mount_helper;

/// Runs a command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::serve(args.settings),
        Command::Mount(args) => ask::mount(args),
        Command::Umount(args) => ask::umount(&args),
        Command::Bucket(args) => ask::bucket(args.action),
        Command::Key(args) => keys::key(args.action),
        Command::User(args) => ask::user(args.action),
        Command::Iam(args) => iam::iam(args.what),
        Command::Pin(args) => pins::pin(args.action),
        Command::Stat(args) => ask::stat(&args),
        Command::Status(args) => ask::status(&args.client),
        Command::Reload(args) => ask::reload(&args.client),
        Command::Cid(args) => cid::cid(&args),
        Command::Fsck(args) => offline::fsck(&args),
        Command::Meta(args) => match args.action {
            crate::cli::MetaAction::Checkpoint { client } => ask::checkpoint(&client),
            crate::cli::MetaAction::Convert { to, client } => offline::convert(to, &client),
            crate::cli::MetaAction::Rebuild { client } => offline::rebuild(&client),
        },
        Command::Audit(args) => audit::audit(args.action),
        Command::CheckConfig(source) => documents::check_config(&source.settings),
        Command::Config(args) => documents::config(args.action),
        Command::Completions { shell } => documents::completions(shell),
        Command::MountHelper(args) => mount_helper::mount(&args),
        Command::UmountHelper(args) => mount_helper::umount(&args),
        Command::Man { dir } => documents::man(&dir),
    }
}
