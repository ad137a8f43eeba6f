//! The flag form of the settings: one flag a setting, made from the table.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::settings::{Kind, SETTINGS, Setting};
use super::source::{Origin, Raw, RawMap};
use super::{ConfigError, Loaded, Sources, load};

/// `--config` and a flag for every setting.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags {
    config: Option<PathBuf>,
    flags: RawMap,
}

impl SettingFlags {
    /// Flags of a client command: the file and the data directory only.
    pub fn client(config: Option<PathBuf>, data: Option<PathBuf>) -> Self {
        let data = data.map(|path| {
            let texts = vec![path.to_string_lossy().into_owned()];
            ("data", Raw { texts, origin: Origin::Flag("data".to_owned()) })
        });
        Self { config, flags: data.into_iter().collect() }
    }

    /// Loads the configuration with these flags and the process's environment.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(Sources::of_process(self.config.clone(), self.flags.clone()))
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let default = setting.default.map(|d| format!(", default: {d}")).unwrap_or_default();
    let words = match setting.kind {
        Kind::Choice(words) => format!(", one of: {}", words.join(", ")),
        _ => String::new(),
    };
    let action = if setting.kind.is_list() { ArgAction::Append } else { ArgAction::Set };
    let hint = match setting.kind {
        Kind::Path => ValueHint::AnyPath,
        Kind::MountList => ValueHint::DirPath,
        _ => ValueHint::Other,
    };
    let help = format!("{} [env: {}{default}{words}]", setting.help, setting.env());
    let long_help = if setting.details.is_empty() { help.clone() } else { format!("{help}\n\n{}", setting.details) };
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.kind.placeholder())
        .action(action)
        .value_hint(hint)
        .help(help)
        .long_help(long_help)
        .help_heading(setting.group.title())
}

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file [env: PINFOLD_CONFIG, default: /etc/pinfold/pinfold.toml if it is there]");
        command.arg(config).args(SETTINGS.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = RawMap::new();
        for setting in SETTINGS {
            let given = matches.try_get_many::<String>(setting.name);
            let given = given.map_err(|e| clap::Error::raw(ErrorKind::InvalidValue, format!("{e}\n")))?;
            if let Some(texts) = given {
                let origin = Origin::Flag(setting.flag());
                flags.insert(setting.name, Raw { texts: texts.cloned().collect(), origin });
            }
        }
        Ok(Self { config: matches.get_one::<PathBuf>("config").cloned(), flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
