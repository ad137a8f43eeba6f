//! Configuration: flag over environment over file over default, each value parsed whatever its rank, unknown names
//! refused, nothing corrected. [`load`] gives a [`NodeConfig`] that is valid as a whole, or every problem at once.

pub mod dump;
pub mod elsewhere;
pub mod flags;
mod ipfs;
mod provider;
pub mod settings;
pub mod source;
pub mod value;
mod watch;

pub use provider::ProviderSettings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinfold_store::types::BucketName;

pub use ipfs::IpfsSettings;
use settings::{Kind, SETTINGS};
use source::{Origin, Problems, Raw, RawMap};
use value::{Listen, MountSpec};

use crate::notify::Targets;

/// Read if it is there and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/pinfold/pinfold.toml";

/// The name of the file with the root account's keys within the data directory.
pub const ROOT_CREDENTIALS: &str = "root-credentials";

/// Everything a node needs to know, checked.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Data directory, absolute.
    pub data: PathBuf,
    /// Health and metrics.
    pub admin: Listen,
    /// The web console.
    pub console: Listen,
    /// What IPFS peers may ask.
    pub provider: ProviderSettings,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// File of the root account's keys.
    pub root_credentials_file: PathBuf,
    /// File of the master key, if it is named.
    pub master_key_file: Option<PathBuf>,
    /// The S3 endpoint.
    pub s3: S3Settings,
    /// Mounts, with absolute directories.
    pub mounts: Vec<MountSpec>,
    /// How each of them, and each that is added later, is served.
    pub mounting: MountSettings,
    /// The store.
    pub store: StoreSettings,
    /// Logs.
    pub log: LogSettings,
    /// Logs of requests and operations.
    pub records: RecordSettings,
    /// IPFS.
    pub ipfs: IpfsSettings,
    /// Accounts and keys elsewhere.
    pub elsewhere: elsewhere::ElsewhereSettings,
}

/// The S3 endpoint.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Address.
    pub listen: Listen,
    /// Region.
    pub region: String,
    /// Domains of virtual-host style.
    pub domains: Vec<String>,
    /// Whether buckets can keep versions.
    pub versioning: bool,
    /// Domains of static websites.
    pub website_domains: Vec<String>,
    /// Where bucket notifications may go: names and sinks.
    pub notification_targets: Targets,
    /// What their https is checked against; the system's authorities unless set.
    pub notification_authorities: Option<PathBuf>,
    /// How long a bucket's log waits to be put.
    pub bucket_log_interval: Duration,
    /// Certificate chain and key, both PEM.
    pub tls: Option<TlsFiles>,
    /// Connections at once.
    pub max_connections: usize,
    /// Requests at once.
    pub max_requests: usize,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long nothing may move.
    pub idle_timeout: Duration,
    /// Rates.
    pub limits: LimitSettings,
}

/// Rates a second of requests and of bytes; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests of one address, account, bucket.
    pub requests: [u64; 3],
    /// Bytes of one address, account, bucket.
    pub bytes: [u64; 3],
}

/// Where the certificate lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Whether the kernel reads and writes whole local files without the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passthrough {
    /// Where kernel, disk and rights allow it.
    WherePossible,
    /// A mount that cannot have it is refused.
    Required,
    /// Never.
    Off,
}

/// How mounts are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountSettings {
    /// Whether mounts may use the kernel's passthrough.
    pub passthrough: Passthrough,
    /// Threads a mount; 0 chooses.
    pub threads: usize,
}

/// Engine of the metadata replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// sled.
    Sled,
    /// fjall.
    Fjall,
    /// In memory.
    Memory,
}

/// The store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Engine of the replica.
    pub engine: Engine,
    /// Bytes of the replica's cache.
    pub cache: u64,
    /// Longest wait of a mount's operation for the log's sync.
    pub commit_interval: Duration,
    /// Publish a written file that rests this long.
    pub publish_after: Duration,
    /// Publish a file without rest this often.
    pub publish_at_most: Duration,
    /// Largest object inside a log record, in bytes.
    pub inline_max: u64,
    /// Bytes of the disk to leave free.
    pub reserve: u64,
    /// Bytes a second that the scrub reads; 0 is never.
    pub scrub_rate: u64,
    /// Pause between two rounds of the lifecycle worker.
    pub lifecycle_interval: Duration,
    /// How long a day of a lifecycle rule is.
    pub lifecycle_day: Duration,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Level or filter.
    pub filter: String,
    /// One JSON object a line.
    pub json: bool,
}

/// Logs of requests and operations.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// File for requests.
    pub access: Option<String>,
    /// File for requests to the admin API.
    pub admin_access: Option<String>,
    /// URL for requests.
    pub webhook: Option<String>,
    /// Whether there is an audit log.
    pub audit: bool,
    /// Bytes of one of its files.
    pub audit_file_size: u64,
}

/// What [`load`] reads from.
pub struct Sources {
    /// `--config`.
    pub config_flag: Option<PathBuf>,
    /// Flags, raw.
    pub flags: RawMap,
    /// The process's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The file that is read if no other is named and it exists.
    pub default_file: PathBuf,
}

impl Sources {
    /// The process's own environment with these flags.
    pub fn of_process(config_flag: Option<PathBuf>, flags: RawMap) -> Self {
        Self { config_flag, flags, env: std::env::vars_os().collect(), default_file: DEFAULT_FILE.into() }
    }
}

/// A checked configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: NodeConfig,
    /// The value in force of every setting that has one, in text form.
    pub effective: RawMap,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Why a configuration was refused: one line a problem.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is refused:\n{}", .0.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Problems);

/// Reads all sources and checks the whole.
pub fn load(sources: Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Problems::new();
    let from_env = source::from_env(sources.env.iter().cloned(), &mut problems);
    let env_file = sources.env.iter().find(|(name, _)| name == "PINFOLD_CONFIG").map(|(_, v)| PathBuf::from(v));
    let (file, from_file) = read_file(sources.config_flag.or(env_file), &sources.default_file, &mut problems);

    let mut effective = RawMap::new();
    let defaults = SETTINGS.iter().filter_map(|s| {
        let raw = Raw { texts: vec![s.default?.to_owned()], origin: Origin::Default };
        Some((s.name, raw))
    });
    for map in [defaults.collect(), from_file, from_env, sources.flags] {
        for (name, raw) in map {
            check(name, &raw, &mut problems);
            effective.insert(name, raw);
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }
    let config = Build { values: &effective, problems: &mut problems }.node();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, effective, file }),
        _ => Err(ConfigError(problems)),
    }
}

/// The named file must be there; the default one may be.
fn read_file(named: Option<PathBuf>, default: &Path, problems: &mut Problems) -> (Option<PathBuf>, RawMap) {
    let (path, must) = named.map_or_else(|| (default.to_owned(), false), |path| (path, true));
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let map = source::from_file(&path, &text, problems);
            (Some(path), map)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => (None, RawMap::new()),
        Err(error) => {
            problems.push(format!("cannot read the configuration file {}: {error}", path.display()));
            (None, RawMap::new())
        }
    }
}

/// Parses a value for its kind alone, so that a bad one is refused even where a better source hides it.
fn check(name: &'static str, raw: &Raw, problems: &mut Problems) {
    let Some(setting) = settings::find(name) else { return };
    for text in &raw.texts {
        let verdict = match setting.kind {
            Kind::Text | Kind::Path | Kind::TextList if text.is_empty() => Err("an empty value".to_owned()),
            Kind::Text | Kind::Path | Kind::TextList => Ok(()),
            Kind::Address => value::listen(text).map(drop),
            Kind::Size => value::size(text).map(drop),
            Kind::Duration => value::duration(text).map(drop),
            Kind::Count => value::count(text).map(drop),
            Kind::Choice(words) if words.contains(&text.as_str()) => Ok(()),
            Kind::Choice(words) => Err(format!("`{text}` is none of {}", words.join(", "))),
            Kind::LogFilter => crate::telemetry::parse_filter(text).map(drop),
            Kind::MountList => value::mount(text).map(drop),
        };
        if let Err(why) = verdict {
            problems.push(format!("{name} ({}): {why}", raw.origin));
        }
    }
}

/// Turns texts that each parse into the whole, and checks what no value shows alone.
struct Build<'a> {
    values: &'a RawMap,
    problems: &'a mut Problems,
}

impl Build<'_> {
    fn node(mut self) -> Option<NodeConfig> {
        let data = self.path("data")?;
        let root_credentials_file = self.path("root_credentials_file").unwrap_or_else(|| data.join(ROOT_CREDENTIALS));
        let master_key_file = self.path("master_key_file");
        let config = NodeConfig {
            admin: self.parsed("admin", value::listen)?,
            console: self.parsed("console", value::listen)?,
            provider: provider::build(&mut self)?,
            shutdown_timeout: self.parsed("shutdown_timeout", value::duration)?,
            root_credentials_file,
            master_key_file,
            s3: self.s3()?,
            mounts: self.mounts(&data),
            mounting: self.mounting()?,
            store: self.store()?,
            log: LogSettings { filter: self.text("log_level")?.to_owned(), json: self.text("log_format")? == "json" },
            records: self.records()?,
            ipfs: self.ipfs()?,
            elsewhere: self.elsewhere()?,
            data,
        };
        if let (Listen::At(s3), Listen::At(admin)) = (&config.s3.listen, &config.admin)
            && s3 == admin
            && !s3.ends_with(":0")
        {
            self.refuse("admin", "the S3 endpoint listens there already");
        }
        if let Listen::At(console) = &config.console {
            let taken = [&config.s3.listen, &config.admin].into_iter().any(|at| *at == config.console);
            if taken && !console.ends_with(":0") {
                self.refuse("console", "the S3 endpoint or health and metrics listen there already");
            }
            if config.s3.listen == Listen::Off {
                self.refuse("console", "it shows what the S3 endpoint serves, which is off");
            }
        }
        if let Listen::At(provider) = &config.provider.listen {
            let taken = [&config.s3.listen, &config.admin, &config.console].into_iter();
            if taken.into_iter().any(|at| *at == config.provider.listen) && !provider.ends_with(":0") {
                self.refuse("provider", "another listener of this node listens there already");
            }
        }
        if config.shutdown_timeout < Duration::from_secs(1) {
            self.refuse("shutdown_timeout", "a stop needs at least 1s");
        }
        Some(config)
    }

    fn s3(&mut self) -> Option<S3Settings> {
        let tls = self.tls("s3_tls_cert", "s3_tls_key");
        let texts = |name: &str| self.values.get(name).map(|raw| raw.texts.clone()).unwrap_or_default();
        let (domains, website_domains) = (texts("s3_domain"), texts("website_domain"));
        let (notification_targets, authorities) = self.notification_targets();
        let listen = self.parsed("s3", value::listen)?;
        let region = self.text("s3_region")?.to_owned();
        let versioning = self.text("s3_versioning")? == "on";
        let max_connections = self.count("s3_max_connections", 1, 1 << 20)?;
        let max_requests = self.count("s3_max_requests", 1, 1 << 16)?;
        let header_timeout = self.timeout("s3_header_timeout")?;
        let idle_timeout = self.timeout("s3_idle_timeout")?;
        let limits = self.limits()?;
        let bucket_log_interval = self.parsed("bucket_log_interval", value::duration)?;
        if bucket_log_interval < Duration::from_millis(100) {
            self.refuse("bucket_log_interval", "it is at least 100ms");
        }
        Some(S3Settings {
            listen,
            region,
            domains,
            versioning,
            website_domains,
            notification_targets,
            notification_authorities: authorities,
            bucket_log_interval,
            tls,
            max_connections,
            max_requests,
            header_timeout,
            idle_timeout,
            limits,
        })
    }

    fn mounting(&mut self) -> Option<MountSettings> {
        let passthrough = match self.text("mount_passthrough")? {
            "on" => Passthrough::Required,
            "off" => Passthrough::Off,
            _ => Passthrough::WherePossible,
        };
        Some(MountSettings { passthrough, threads: self.count("mount_threads", 0, 64)? })
    }

    fn store(&mut self) -> Option<StoreSettings> {
        let store = StoreSettings {
            engine: match self.text("engine")? {
                "fjall" => Engine::Fjall,
                "memory" => Engine::Memory,
                _ => Engine::Sled,
            },
            cache: self.parsed("cache", value::size)?,
            commit_interval: self.parsed("commit_interval", value::duration)?,
            publish_after: self.parsed("publish_after", value::duration)?,
            publish_at_most: self.parsed("publish_at_most", value::duration)?,
            inline_max: self.parsed("inline_max", value::size)?,
            reserve: self.parsed("reserve", value::size)?,
            scrub_rate: self.parsed("scrub_rate", value::size)?,
            lifecycle_interval: self.parsed("lifecycle_interval", value::duration)?,
            lifecycle_day: self.parsed("lifecycle_day", value::duration)?,
        };
        if store.cache < 1 << 20 {
            self.refuse("cache", "at least 1MiB is needed");
        } else if store.engine == Engine::Sled && store.cache < 256 << 20 {
            self.refuse("cache", "sled needs at least 256MiB; choose engine fjall for less");
        }
        if store.inline_max > 64 << 10 {
            self.refuse("inline_max", "at most 64KiB fit into a record");
        }
        if store.commit_interval.is_zero() || store.commit_interval > Duration::from_secs(60) {
            self.refuse("commit_interval", "it lies between 1ms and 60s");
        }
        if store.lifecycle_interval < Duration::from_millis(100) {
            self.refuse("lifecycle_interval", "it is at least 100ms");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&store.lifecycle_day) {
            self.refuse("lifecycle_day", "it lies between 1s and 24h");
        }
        if store.publish_at_most < store.publish_after {
            self.refuse("publish_at_most", "it is shorter than publish_after");
        }
        Some(store)
    }

    fn mounts(&mut self, data: &Path) -> Vec<MountSpec> {
        let texts = self.values.get("mount").map(|raw| raw.texts.clone()).unwrap_or_default();
        let mut mounts: Vec<MountSpec> = Vec::with_capacity(texts.len());
        for text in texts {
            let Ok(spec) = value::mount(&text) else { continue };
            match check_mount(spec, data) {
                Ok(spec) if mounts.iter().any(|m| m.dir == spec.dir) => {
                    self.refuse("mount", &format!("{} is given twice", spec.dir.display()));
                }
                Ok(spec) => mounts.push(spec),
                Err(why) => self.refuse("mount", &why),
            }
        }
        mounts
    }

    fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(settings::find(name).is_some(), "{name} is not in the table");
        self.values.get(name)?.texts.last().map(String::as_str)
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> value::Parsed<T>) -> Option<T> {
        // Parsed once before, by `check`: this cannot fail now.
        parse(self.text(name)?).ok()
    }

    /// A number within these bounds.
    fn count(&mut self, name: &str, least: usize, most: usize) -> Option<usize> {
        let number = self.parsed(name, value::count)?;
        let number = usize::try_from(number).ok().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.refuse(name, &format!("it lies between {least} and {most}"));
        }
        number
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        std::path::absolute(self.text(name)?).ok()
    }

    fn refuse(&mut self, name: &str, why: &str) {
        let place = self.values.get(name).map(|raw| format!(" ({})", raw.origin)).unwrap_or_default();
        self.problems.push(format!("{name}{place}: {why}"));
    }
}

/// Makes the directory absolute; refuses a bad bucket name and a directory that contains, or lies in, the data.
pub fn check_mount(mut spec: MountSpec, data: &Path) -> Result<MountSpec, String> {
    spec.dir = std::path::absolute(&spec.dir).map_err(|e| format!("{}: {e}", spec.dir.display()))?;
    if let Some(bucket) = &spec.bucket {
        BucketName::new(bucket.as_str()).map_err(|e| e.to_string())?;
    }
    if spec.dir.starts_with(data) || data.starts_with(&spec.dir) {
        return Err(format!("{} and the data directory {} contain each other", spec.dir.display(), data.display()));
    }
    Ok(spec)
}

#[cfg(test)]
mod tests;
