//! Commands that work on files without a daemon.

use crate::cli::{Client, EngineArg, FsckArgs};
use crate::config::flags::SettingFlags;
use crate::data_dir::{DataDir, IfMissing};
use crate::failure::{ExitCode, Failure};

/// Holds the data directory, so that no daemon starts meanwhile.
fn hold(client: &Client) -> Result<DataDir, Failure> {
    let loaded = SettingFlags::client(client.config.clone(), client.data.clone()).load()?;
    Ok(DataDir::take(&loaded.config.data, IfMissing::Refuse)?)
}

/// `pinfold fsck`.
pub fn fsck(args: &FsckArgs) -> Result<(), Failure> {
    let _data = hold(&args.client)?;
    Err(Failure::message(ExitCode::Failed, "not part of this build"))
}

/// `pinfold meta convert`.
pub fn convert(_to: EngineArg, client: &Client) -> Result<(), Failure> {
    let _data = hold(client)?;
    Err(Failure::message(ExitCode::Failed, "not part of this build"))
}

/// `pinfold meta rebuild`.
pub fn rebuild(client: &Client) -> Result<(), Failure> {
    let _data = hold(client)?;
    Err(Failure::message(ExitCode::Failed, "not part of this build"))
}
