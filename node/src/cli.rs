//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::build_info;
use crate::config::flags::SettingFlags;

/// One namespace, an S3 endpoint and a mounted file system, content-addressed.
#[derive(Parser, Debug)]
#[command(name = "pinfold", version = build_info::VERSION, long_version = build_info::LONG, propagate_version = false)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 32 not mounted (mount(8)), 69 the daemon does not answer, 70 a stop took \
                        too long, 75 the data directory is in use, 78 the configuration is refused."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the daemon
    #[command(
        long_about = "Run the daemon: the S3 endpoint and the mounts, until SIGTERM or SIGINT. SIGHUP reads the TLS \
                            certificate again, opens access logs anew and applies a changed log level and changed rates."
    )]
    Serve(Box<ServeArgs>),
    /// Mount the namespace, a bucket or a prefix (asks the running daemon)
    Mount(MountArgs),
    /// Unmount what the daemon has mounted (publishes written files first)
    Umount(UmountArgs),
    /// Create, list, look at and delete buckets
    Bucket(BucketArgs),
    /// Encryption: a bucket's mode, rotation of the master key, destroying a bucket's key
    Key(crate::cmd::keys::KeyArgs),
    /// Create, list and delete accounts, and change their keys
    User(UserArgs),
    /// Policies, groups and roles, and what accounts have of them
    Iam(crate::cmd::iam::IamArgs),
    /// Pins: look at them, ask for some, give them back
    Pin(crate::cmd::pins::PinArgs),
    /// Show an object: size, CID, ETag, metadata
    Stat(StatArgs),
    /// Show the running daemon: version, doors, mounts, store
    Status(StatusArgs),
    /// Make the daemon read its TLS certificate, log level and rates again and open its access logs anew (as SIGHUP does)
    Reload(StatusArgs),
    /// Print the CID that the store would give local files (needs no daemon)
    Cid(CidArgs),
    /// Check a data directory while no daemon runs on it
    Fsck(FsckArgs),
    /// Convert, rebuild or checkpoint the metadata
    Meta(MetaArgs),
    /// Look at the audit log
    Audit(AuditArgs),
    /// Check the configuration without starting anything
    CheckConfig(Box<ConfigSource>),
    /// Show the configuration in force, or documents made from the table of settings
    Config(ConfigArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// What mount(8) runs for `mount -t fuse.pinfold`
    #[command(hide = true)]
    MountHelper(crate::mount_helper::MountHelperArgs),
    /// What umount(8) runs for it
    #[command(hide = true)]
    UmountHelper(crate::mount_helper::UmountHelperArgs),
    /// Write the manual pages into a directory
    Man {
        /// Where to write them
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// How a client command finds the daemon and prints.
#[derive(Args, Debug, Clone)]
pub struct Client {
    /// Data directory of the daemon [default: from the configuration]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `mount`.
#[derive(Args, Debug)]
pub struct MountArgs {
    /// Where to mount; made if it is not there
    #[arg(value_hint = ValueHint::DirPath, required_unless_present = "list")]
    pub dir: Option<PathBuf>,
    /// Show this bucket instead of all buckets
    #[arg(long)]
    pub bucket: Option<String>,
    /// Show this directory of the bucket
    #[arg(long, requires = "bucket")]
    pub prefix: Option<String>,
    /// Refuse writes
    #[arg(long)]
    pub read_only: bool,
    /// List the mounts instead
    #[arg(long, conflicts_with_all = ["dir", "bucket", "prefix", "read_only"])]
    pub list: bool,
    /// The daemon.
    #[command(flatten)]
    pub client: Client,
}

/// `umount`.
#[derive(Args, Debug)]
pub struct UmountArgs {
    /// The mount point
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The daemon.
    #[command(flatten)]
    pub client: Client,
}

/// `bucket`.
#[derive(Args, Debug)]
pub struct BucketArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: BucketAction,
}

/// What to do with buckets.
#[derive(Subcommand, Debug)]
pub enum BucketAction {
    /// Create a bucket
    Create {
        /// Name
        name: String,
        /// Access key of the account that owns it [default: the root account]
        #[arg(long)]
        owner: Option<String>,
        /// How the DAGs of its objects are cut: decides their CIDs, for good
        #[arg(long, value_enum, default_value = "unixfs-v1-2025")]
        profile: ProfileArg,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// List buckets
    List {
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Delete an empty bucket
    Delete {
        /// Name
        name: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Show a bucket
    Stat {
        /// Name
        name: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Show or set what a bucket may use
    Quota {
        /// Name
        name: String,
        /// Bytes of all objects and versions: 10GiB, or `none`
        #[arg(long, value_name = "SIZE")]
        bytes: Option<String>,
        /// Number of all objects and versions, or `none`
        #[arg(long, value_name = "NUMBER")]
        objects: Option<String>,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Show or set whether a bucket's blocks go out to IPFS peers that ask the provider
    Provide {
        /// Name
        name: String,
        /// `on` (from the start) or `off`
        #[arg(value_enum)]
        set: Option<OnOff>,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Print the CID of a bucket or a directory in it, as `ipfs add -r --hidden` gives it for the mounted directory
    Cid {
        /// BUCKET or BUCKET/DIRECTORY
        #[arg(value_name = "BUCKET[/DIRECTORY]")]
        directory: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// `user`.
#[derive(Args, Debug)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What an account may do in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Everything
    Admin,
    /// Own buckets, and may create buckets
    Userplus,
    /// Own buckets only
    User,
}

/// What to do with accounts.
#[derive(Subcommand, Debug)]
pub enum UserAction {
    /// Create an account; prints its keys once
    Create {
        /// Access key [default: a random one]
        #[arg(long)]
        access: Option<String>,
        /// Read the secret key from standard input instead of making a random one
        #[arg(long)]
        secret_stdin: bool,
        /// Role
        #[arg(long, value_enum, default_value = "user")]
        role: RoleArg,
        /// POSIX owner of the objects it puts
        #[arg(long, default_value_t = 0)]
        uid: u32,
        /// POSIX group of the objects it puts
        #[arg(long, default_value_t = 0)]
        gid: u32,
        /// Project of the objects it puts (kept for tools that ask)
        #[arg(long, default_value_t = 0)]
        project: u32,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// List accounts, without their secrets
    List {
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Take accounts over from VersityGW's users.json
    Import {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Replace accounts that are there already (they are left as they are otherwise)
        #[arg(long)]
        replace: bool,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Delete an account
    Delete {
        /// Access key
        access: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Give an account a new secret key; prints it once
    Passwd {
        /// Access key
        access: String,
        /// Read the secret key from standard input instead of making a random one
        #[arg(long)]
        secret_stdin: bool,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

/// `stat`.
#[derive(Args, Debug)]
pub struct StatArgs {
    /// BUCKET/KEY
    #[arg(value_name = "BUCKET/KEY")]
    pub object: String,
    /// The daemon.
    #[command(flatten)]
    pub client: Client,
}

/// `status`, `reload`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The daemon.
    #[command(flatten)]
    pub client: Client,
}

/// UnixFS profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// 1 MiB chunks, 1024 links, CIDv1, raw leaves: what buckets use by default
    #[value(name = "unixfs-v1-2025")]
    V1_2025,
    /// 256 KiB chunks, 174 links, CIDv1, raw leaves: what `ipfs add --cid-version=1` gave for years
    #[value(name = "kubo-classic-v1")]
    KuboClassicV1,
}

/// `cid`.
#[derive(Args, Debug)]
pub struct CidArgs {
    /// Files and directories (with all that is in them, hidden files too); `-` is standard input
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// How the DAG is cut
    #[arg(long, value_enum, default_value = "unixfs-v1-2025")]
    pub profile: ProfileArg,
}

/// A configuration to read offline.
#[derive(Args, Debug)]
pub struct ConfigSource {
    /// Settings.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// `fsck`.
#[derive(Args, Debug)]
pub struct FsckArgs {
    /// Read every stored byte and compare it with its CID
    #[arg(long)]
    pub verify: bool,
    /// Carry out what helps; everything that is taken away is kept aside
    #[arg(long)]
    pub repair: bool,
    /// Carry it out even where it loses commits
    #[arg(long, requires = "repair")]
    pub accept_loss: bool,
    /// The data directory.
    #[command(flatten)]
    pub client: Client,
}

/// `meta`.
#[derive(Args, Debug)]
pub struct MetaArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: MetaAction,
}

/// Engine of the metadata replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// The default
    Sled,
    /// A log-structured merge tree
    Fjall,
}

/// What to do with the metadata.
#[derive(Subcommand, Debug)]
pub enum MetaAction {
    /// Copy the replica into another engine (no daemon may run)
    Convert {
        /// The engine to convert to
        #[arg(long, value_enum)]
        to: EngineArg,
        /// The data directory.
        #[command(flatten)]
        client: Client,
    },
    /// Delete the replica and make it anew from the log (no daemon may run)
    Rebuild {
        /// The data directory.
        #[command(flatten)]
        client: Client,
    },
    /// Make a checkpoint now (asks the running daemon)
    Checkpoint {
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

/// `audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: AuditAction,
}

/// What to do with the audit log.
#[derive(Subcommand, Debug)]
pub enum AuditAction {
    /// Find what was removed, changed or reordered: names the first bad line (asks the running daemon, if there is one)
    Verify {
        /// Read the files even if a daemon runs
        #[arg(long)]
        offline: bool,
        /// Allow the oldest files to be gone
        #[arg(long)]
        archived: bool,
        /// A line that must be there, as an earlier `verify` or the daemon's own log told it
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<String>,
        /// The data directory.
        #[command(flatten)]
        client: Client,
    },
}

/// `config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// What to print.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// How a dump looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    /// A configuration file
    Toml,
    /// One object
    Json,
}

/// What to print of the configuration.
#[derive(Subcommand, Debug)]
pub enum ConfigAction {
    /// The configuration in force, and where each value came from
    Dump {
        /// Format
        #[arg(long, value_enum, default_value = "toml")]
        format: DumpFormat,
        /// Settings.
        #[command(flatten)]
        settings: Box<SettingFlags>,
    },
    /// The reference of all settings (Markdown)
    Reference,
    /// A commented configuration file with every default
    Sample,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
