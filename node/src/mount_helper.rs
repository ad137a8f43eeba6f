//! `mount -t fuse.pinfold`, fstab(5) and `umount`: what mount(8) runs, by its conventions (mount(8), *external helpers*).
//!
//! The daemon mounts; these commands ask it, so that what it mounts is ended, published and counted like its other mounts.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use hyper::Method;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};

use crate::admin::client::AdminClient;
use crate::admin::wire;
use crate::config::flags::SettingFlags;
use crate::config::value::{MountSpec, duration};
use crate::failure::{ExitCode, Failure};

/// How often a daemon that does not answer yet is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// `mount-helper`.
#[derive(Args, Debug)]
pub struct MountHelperArgs {
    /// `pinfold`, or `pinfold:BUCKET[/PREFIX]`
    source: String,
    /// The mount point; made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Options, comma separated
    #[arg(short, value_name = "OPTIONS", value_delimiter = ',')]
    options: Vec<String>,
    /// Pass over options that are not known
    #[arg(short)]
    sloppy: bool,
    /// Check everything and do not mount
    #[arg(short)]
    fake: bool,
    /// Means nothing here: there is no table to leave alone
    #[arg(short)]
    no_table: bool,
    /// Say what was mounted
    #[arg(short)]
    verbose: bool,
    /// Type of the file system, as mount(8) tells it
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
}

/// `umount-helper`.
#[derive(Args, Debug)]
pub struct UmountHelperArgs {
    /// The mount point
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Take it out of the tree now, let go when nobody uses it any more
    #[arg(short)]
    lazy: bool,
    /// Although the daemon does not answer
    #[arg(short)]
    force: bool,
    /// Means nothing here
    #[arg(short)]
    no_table: bool,
    /// Mount read-only if it is busy: not done here
    #[arg(short)]
    read_only: bool,
    /// Say what was done
    #[arg(short)]
    verbose: bool,
    /// Type of the file system, as umount(8) tells it
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Options, as umount(8) passes them on
    #[arg(short, value_name = "OPTIONS")]
    options: Option<String>,
}

/// Options of fstab that say who mounts and when, or ask for what every mount of ours does. mount(8) has heard them; they are
/// passed over.
const OTHERS: [&str; 33] = [
    "_netdev",
    "async",
    "atime",
    "auto",
    "comment",
    "defaults",
    "diratime",
    "exec",
    "group",
    "iversion",
    "lazytime",
    "loud",
    "nodev",
    "noauto",
    "noatime",
    "nodiratime",
    "nofail",
    "nogroup",
    "noiversion",
    "nolazytime",
    "noowner",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nouser",
    "nousers",
    "owner",
    "relatime",
    "rbind",
    "silent",
    "strictatime",
    "user",
    "users",
];

/// What the options say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    read_only: bool,
    /// The mount is there and is to become read-only, or writable again.
    remount: bool,
    data: Option<PathBuf>,
    config: Option<PathBuf>,
    wait: Duration,
}

impl Options {
    fn parse(texts: &[String], sloppy: bool) -> Result<Self, String> {
        let mut options = Self::default();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(n, v)| (n, Some(v)));
            let wanted = || value.filter(|v| !v.is_empty()).ok_or_else(|| format!("option `{name}` needs a value"));
            match name {
                "ro" => options.read_only = true,
                "rw" => options.read_only = false,
                "data" => options.data = Some(wanted()?.into()),
                "config" => options.config = Some(wanted()?.into()),
                "wait" => options.wait = duration(wanted()?)?,
                "remount" => options.remount = true,
                "suid" | "dev" | "noexec" | "sync" | "dirsync" | "mand" if !sloppy => {
                    return Err(format!(
                        "option `{name}` cannot be had: a mount is nosuid, nodev and exec for its life"
                    ));
                }
                other if sloppy || OTHERS.contains(&other) || other.starts_with("x-") || other.starts_with("X-") => {}
                other => return Err(format!("option `{other}` is not known")),
            }
        }
        Ok(options)
    }
}

fn refused(message: String) -> Failure {
    // mount(8): incorrect invocation.
    Failure::message(ExitCode::Failed, message)
}

/// Runs one conversation with the daemon. A failure of it is mount(8)'s.
fn talk<T>(
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    conversation: impl AsyncFnOnce(AdminClient) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let loaded = SettingFlags::client(config, data).load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(conversation(AdminClient::new(&loaded.config.data)))
}

/// What mount(8) runs for the type `fuse.pinfold`.
pub fn mount(args: &MountHelperArgs) -> Result<(), Failure> {
    let options = Options::parse(&args.options, args.sloppy).map_err(refused)?;
    let (bucket, prefix) = MountSpec::parse_source(&args.source).map_err(refused)?;
    let spec = MountSpec { dir: std::path::absolute(&args.dir)?, bucket, prefix, read_only: options.read_only };
    if args.fake {
        return Ok(());
    }
    if options.remount {
        return remount(&spec);
    }
    let until = Instant::now() + options.wait;
    let asked = talk(options.config, options.data, async |daemon| {
        loop {
            match there(&daemon, &spec).await {
                // The daemon had it from before its start, or somebody else was quicker.
                Ok(true) => return Ok(()),
                Err(failure) if failure.code() == ExitCode::NoDaemon && Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                found => {
                    found?;
                    return daemon.post::<wire::Mount>("/v1/mounts", &wire::Mount::from(&spec)).await.map(drop);
                }
            }
        }
    });
    asked.map_err(of_mount)?;
    if args.verbose {
        crate::output::print(&format!("{} mounted on {}\n", spec.source(), spec.dir.display()))?;
    }
    Ok(())
}

/// Nothing is asked of the daemon: whether a mount may be written to is the kernel's to refuse. One that the daemon made
/// read-only stays so for it.
fn remount(spec: &MountSpec) -> Result<(), Failure> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    flags.set(MountFlags::RDONLY, spec.read_only);
    mount_remount(&spec.dir, flags, c"").map_err(|errno| {
        of_mount(Failure::message(ExitCode::Failed, format!("{}: {}", spec.dir.display(), io::Error::from(errno))))
    })
}

/// Whether just this is mounted there.
async fn there(daemon: &AdminClient, spec: &MountSpec) -> Result<bool, Failure> {
    let mounts: Vec<wire::Mount> = daemon.get("/v1/mounts").await?;
    Ok(mounts.into_iter().map(MountSpec::from).any(|mounted| mounted == *spec))
}

fn of_mount(failure: Failure) -> Failure {
    Failure::message(ExitCode::MountFailed, failure)
}

/// What umount(8) runs for it. Busy if programs have files open there, as for any mount; what was written is published when
/// this returns, if the daemon answers.
pub fn umount(args: &UmountHelperArgs) -> Result<(), Failure> {
    let dir = std::path::absolute(&args.dir)?;
    let mut flags = UnmountFlags::NOFOLLOW;
    flags.set(UnmountFlags::DETACH, args.lazy);
    flags.set(UnmountFlags::FORCE, args.force);
    unmount(&dir, flags).map_err(|errno| {
        let error = io::Error::from(errno);
        of_mount(Failure::message(ExitCode::Failed, format!("{}: {error}", dir.display())))
    })?;
    if !args.lazy && !args.force {
        settle(&dir);
    }
    if args.verbose {
        crate::output::print(&format!("{} unmounted\n", dir.display()))?;
    }
    Ok(())
}

/// Waits until the daemon has published what was written. One that does not answer, or has forgotten the mount, has nothing
/// to be waited for: what was written is then in its live files.
fn settle(dir: &Path) {
    let request = wire::Unmount { dir: dir.display().to_string() };
    let told = talk(None, None, async |daemon| daemon.tell(Method::POST, "/v1/mounts/remove", &request).await);
    if let Err(failure) = told {
        tracing::debug!(%failure, "the daemon was not asked to publish");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>(), false)
    }

    #[test]
    fn options_are_ours_or_mounts_or_refused() {
        let all = parse("rw,ro,_netdev,nofail,x-systemd.requires=pinfold.service,data=/d,config=/c.toml,wait=1m30s");
        let expected = Options {
            read_only: true,
            remount: false,
            data: Some("/d".into()),
            config: Some("/c.toml".into()),
            wait: Duration::from_secs(90),
        };
        assert_eq!(all, Ok(expected));
        assert_eq!(parse(""), Ok(Options::default()));
        for (text, named) in [
            ("allow_other", "allow_other"),
            ("wait", "wait"),
            ("wait=soon", "soon"),
            ("data=", "data"),
            ("suid", "suid"),
        ] {
            assert!(parse(text).is_err_and(|e| e.contains(named)), "{text}");
        }
        assert_eq!(Options::parse(&["allow_other".to_owned()], true), Ok(Options::default()));
    }

    #[test]
    fn a_source_names_a_bucket_and_a_prefix() {
        let spec = |text: &str| MountSpec::parse_source(text);
        assert_eq!(spec("pinfold"), Ok((None, String::new())));
        assert_eq!(spec("pinfold:pics"), Ok((Some("pics".to_owned()), String::new())));
        assert_eq!(spec("pinfold:pics/2026/raw/"), Ok((Some("pics".to_owned()), "2026/raw".to_owned())));
        for wrong in ["", "pics", "pinfold:", "pinfold/pics", "pinfolds"] {
            assert!(spec(wrong).is_err(), "{wrong}");
        }
    }
}
