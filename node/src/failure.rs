//! How the process ends: every failure of a command has an exit code that scripts and units can rely on.

use std::fmt;

use crate::config::ConfigError;
use crate::credentials::CredentialsError;
use crate::data_dir::DataDirError;

/// Exit codes, as `pinfold --help` lists them. 2 (a wrong command line) is clap's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It did not work.
    Failed = 1,
    /// mount(8): it was not mounted, or not unmounted.
    MountFailed = 32,
    /// The daemon does not answer on its socket (EX_UNAVAILABLE).
    NoDaemon = 69,
    /// A stop took longer than `shutdown_timeout` (EX_SOFTWARE).
    StopTimedOut = 70,
    /// Another process holds the data directory (EX_TEMPFAIL).
    InUse = 75,
    /// Configuration or credentials are refused: starting again changes nothing (EX_CONFIG).
    Config = 78,
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    error: anyhow::Error,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(code: ExitCode, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    /// A failure that is only a message.
    pub fn message(code: ExitCode, message: impl fmt::Display) -> Self {
        Self { code, error: anyhow::anyhow!("{message}") }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(ExitCode::Failed, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(ExitCode::Failed, error)
    }
}

impl From<pinfold_store::Error> for Failure {
    fn from(error: pinfold_store::Error) -> Self {
        // The store's Display tells its sources already: as a source it would be told twice.
        Self::message(ExitCode::Failed, error)
    }
}

impl Failure {
    /// What the store refuses as an argument, or what a certificate file has, was configured.
    pub fn of_setting(error: pinfold_store::Error) -> Self {
        let refused = error.kind() == pinfold_store::ErrorKind::InvalidArgument;
        Self::message(if refused { ExitCode::Config } else { ExitCode::Failed }, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(ExitCode::Config, error)
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        // The source's text is in the message: it would be told twice.
        Self::message(ExitCode::Config, error)
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        let code = match error {
            DataDirError::InUse { .. } => ExitCode::InUse,
            DataDirError::Missing(_) | DataDirError::Io { .. } => ExitCode::Failed,
        };
        Self::message(code, error)
    }
}
