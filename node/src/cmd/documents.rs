//! Commands that print what the program knows of itself: configuration, completions, manual pages.

use std::path::Path;

use clap::CommandFactory;

use crate::cli::{Cli, ConfigAction, DumpFormat};
use crate::config::dump;
use crate::config::flags::SettingFlags;
use crate::credentials::CredentialsError;
use crate::failure::{ExitCode, Failure};
use crate::{credentials, doors, output};

/// `pinfold check-config`: the settings, the certificate they name, and the root keys, as far as this user may look.
pub fn check_config(flags: &SettingFlags) -> Result<(), Failure> {
    let loaded = flags.load()?;
    doors::check_tls(&loaded.config).map_err(Failure::of_setting)?;
    match credentials::look(|name| std::env::var_os(name), &loaded.config.root_credentials_file) {
        Err(CredentialsError::Io { path, source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            output::print(&format!("not checked: {} (only the daemon's user and root may read it)\n", path.display()))?;
        }
        found => drop(found?),
    }
    let file = loaded.file.map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    output::print(&format!("the configuration is valid ({file})\n"))
}

/// `pinfold config`.
pub fn config(action: ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Dump { format: DumpFormat::Toml, settings } => {
            output::print(&dump::effective_toml(&settings.load()?.effective))
        }
        ConfigAction::Dump { format: DumpFormat::Json, settings } => {
            output::print(&format!("{:#}\n", dump::effective_json(&settings.load()?.effective)))
        }
        ConfigAction::Reference => output::print(&dump::reference_markdown()),
        ConfigAction::Sample => output::print(&dump::sample_toml()),
    }
}

/// `pinfold completions`.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pinfold", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// `pinfold man`: a page for the program and one for each command.
pub fn man(dir: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::message(ExitCode::Failed, format!("cannot write manual pages into {}: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)
}
