//! The one table of settings. Flags, environment variables, keys of the configuration file, `config dump`,
//! docs/CONFIGURATION.md and packaging/pinfold.toml are all made from it, so that no form can drift from another.
//!
//! over 500 lines because it is one table; those of IPFS and of what is kept elsewhere stand with their types.

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path; a relative one is taken from the working directory.
    Path,
    /// `HOST:PORT`, or `off`.
    Address,
    /// Bytes: `64MiB`, `1.5GB`, `4096`.
    Size,
    /// A length of time: `500ms`, `5s`, `1m30s`.
    Duration,
    /// A whole number.
    Count,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A level or a filter (`info`, `info,pinfold_s3=debug`).
    LogFilter,
    /// A list of texts.
    TextList,
    /// A list of mounts (`DIR[=BUCKET[/PREFIX]][:ro]`).
    MountList,
}

impl Kind {
    /// Several values: repeated flags, `;` in the environment, an array in the file.
    pub fn is_list(self) -> bool {
        matches!(self, Self::TextList | Self::MountList)
    }

    /// How help and documents call the value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Path => "PATH",
            Self::Address => "ADDR",
            Self::Size => "SIZE",
            Self::Duration => "TIME",
            Self::Count => "NUMBER",
            Self::Choice(_) => "WORD",
            Self::LogFilter => "LEVEL",
            Self::TextList => "TEXT",
            Self::MountList => "MOUNT",
        }
    }
}

/// Where help and documents put a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Data and life cycle.
    Node,
    /// The S3 endpoint.
    S3,
    /// What goes to and comes from IPFS.
    Ipfs,
    /// The mounts.
    Mount,
    /// Metadata: log and replica.
    Metadata,
    /// Bytes on disk.
    Storage,
    /// Logs.
    Log,
    /// Accounts and keys elsewhere.
    Elsewhere,
}

impl Group {
    /// All groups in the order of documents.
    pub const ALL: [Self; 8] =
        [Self::Node, Self::S3, Self::Ipfs, Self::Mount, Self::Metadata, Self::Storage, Self::Log, Self::Elsewhere];

    /// Heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::S3 => "S3 endpoint",
            Self::Ipfs => "IPFS",
            Self::Mount => "Mounts",
            Self::Metadata => "Metadata",
            Self::Storage => "Storage",
            Self::Log => "Logs",
            Self::Elsewhere => "Accounts and keys elsewhere",
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name: as it is in the file, upper-cased after `PINFOLD_` in the environment, with dashes as a flag.
    pub name: &'static str,
    /// Group.
    pub group: Group,
    /// Kind of value.
    pub kind: Kind,
    /// The default in text form; `None` where there is none.
    pub default: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
    /// What else an operator should know; may be empty.
    pub details: &'static str,
    /// `SIGHUP` and `pinfold reload` apply a new value.
    pub reload: bool,
}

impl Setting {
    /// The environment variable.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The flag without its dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// Every setting's environment variable begins with this.
pub const ENV_PREFIX: &str = "PINFOLD_";

/// `PINFOLD_*` variables that are not settings, and what they are.
pub const OTHER_ENV: [(&str, &str); 10] = [
    ("PINFOLD_CONFIG", "Path of the configuration file (`--config`)."),
    ("PINFOLD_ROOT_ACCESS_KEY", "Access key of the root account; needs PINFOLD_ROOT_SECRET_KEY beside it."),
    (
        "PINFOLD_ROOT_SECRET_KEY",
        "Secret key of the root account. It has no flag and no key in the file: both would show it.",
    ),
    (
        "PINFOLD_MASTER_KEY",
        "The master key, as the file of master_key_file has it (commas between keys). It has no flag: that would show it.",
    ),
    ("PINFOLD_IAM_LDAP_BIND_PASS", "Password of iam_ldap_bind_dn."),
    ("PINFOLD_IAM_VAULT_ROOT_TOKEN", "Token for the Vault server that has the accounts."),
    ("PINFOLD_IAM_VAULT_ROLE_SECRET", "Secret id of iam_vault_role_id."),
    ("PINFOLD_MASTER_KEY_VAULT_TOKEN", "Token for the Vault server that wraps the master key."),
    ("PINFOLD_MASTER_KEY_VAULT_ROLE_SECRET", "Secret id of master_key_vault_role_id."),
    ("PINFOLD_BIN", "Used by the test suites only: the binary they drive. The daemon ignores it."),
];

/// `PINFOLD_TEST_*` belongs to the test suites; the daemon ignores it.
pub const TEST_ENV_PREFIX: &str = "PINFOLD_TEST_";

/// All settings, in the order of documents.
pub const SETTINGS: &[Setting] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Setting]] = &[OWN, &super::provider::SETTINGS, &super::ipfs::SETTINGS, &super::elsewhere::SETTINGS];

const fn count(parts: &[&[Setting]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// Constants cannot be chained.
const fn joined<const N: usize>(parts: &[&[Setting]]) -> [Setting; N] {
    let mut all = [parts[0][0]; N];
    let (mut part, mut at, mut to) = (0, 0, 0);
    while part < parts.len() {
        while at < parts[part].len() {
            all[to] = parts[part][at];
            (at, to) = (at + 1, to + 1);
        }
        (part, at) = (part + 1, 0);
    }
    all
}

const OWN: &[Setting] = &[
    Setting {
        name: "data",
        group: Group::Node,
        kind: Kind::Path,
        default: Some("/var/lib/pinfold"),
        help: "Data directory: log, replica, chunks, admin socket, root credentials.",
        details: "Created with mode 0700 if it is not there. One daemon a directory: a second is refused.",
        reload: false,
    },
    Setting {
        name: "admin",
        group: Group::Node,
        kind: Kind::Address,
        default: Some("127.0.0.1:9001"),
        help: "Address of /health/live, /health/ready and /metrics; `off` for none.",
        details: "There is no authentication here: keep it on the loopback or behind a firewall. Commands of the operator do \
                  not use it; they go over DATA/admin.sock, which only the daemon's user and root may use.",
        reload: false,
    },
    Setting {
        name: "console",
        group: Group::Node,
        kind: Kind::Address,
        default: Some("off"),
        help: "Address of the web console, such as 127.0.0.1:9002; `off` for none.",
        details: "Whoever has an account signs in with its keys and sees what S3 lets that account see; administrators also see \
                  accounts and the node. It needs the S3 endpoint and has its TLS: without, keep it on the loopback, since \
                  browsers send it secret keys.",
        reload: false,
    },
    Setting {
        name: "shutdown_timeout",
        group: Group::Node,
        kind: Kind::Duration,
        default: Some("30s"),
        help: "How long a stop may take: draining S3, publishing written files, unmounting.",
        details: "When it is over the daemon ends at once with exit code 70. Acknowledged writes are safe either way: they are \
                  in the log. Keep systemd's TimeoutStopSec= above it.",
        reload: false,
    },
    Setting {
        name: "root_credentials_file",
        group: Group::Node,
        kind: Kind::Path,
        default: None,
        help: "File with the root account's keys; DATA/root-credentials if not set.",
        details: "Two lines, PINFOLD_ROOT_ACCESS_KEY=… and PINFOLD_ROOT_SECRET_KEY=…, mode 0600: a file that others can read \
                  is refused. The environment variables of these names win over the file. At the very first start, with \
                  neither, keys are made and written to DATA/root-credentials, and printed once if there is a terminal.",
        reload: false,
    },
    Setting {
        name: "master_key_file",
        group: Group::Node,
        kind: Kind::Path,
        default: None,
        help: "File with the master key, which wraps the keys of encrypted buckets; DATA/master-key if not set.",
        details: "A line of 64 hexadecimal digits, mode 0600; further lines are older keys, which still unwrap. \
                  PINFOLD_MASTER_KEY wins over the file. DATA/master-key is made at the first start: a key that lies beside the \
                  data protects what goes to IPFS and what is copied without it, not a stolen disk. Without the key what is \
                  encrypted is lost: keep a copy apart. A file that is named here must be there.",
        reload: false,
    },
    Setting {
        name: "s3",
        group: Group::S3,
        kind: Kind::Address,
        default: Some("127.0.0.1:9000"),
        help: "Address of the S3 endpoint; `off` for none.",
        details: "",
        reload: false,
    },
    Setting {
        name: "s3_region",
        group: Group::S3,
        kind: Kind::Text,
        default: Some("us-east-1"),
        help: "Region that clients sign for.",
        details: "",
        reload: false,
    },
    Setting {
        name: "s3_domain",
        group: Group::S3,
        kind: Kind::TextList,
        default: None,
        help: "Domain below which buckets are host names (BUCKET.DOMAIN); may be given several times.",
        details: "Path style (HOST/BUCKET/KEY) always works.",
        reload: false,
    },
    Setting {
        name: "s3_versioning",
        group: Group::S3,
        kind: Kind::Choice(&["on", "off"]),
        default: Some("on"),
        help: "Whether buckets can keep versions.",
        details: "Each bucket turns it on for itself. `off` is VersityGW without a versioning directory: PutBucketVersioning is \
                  refused, and object lock binds what a key holds instead of versions.",
        reload: false,
    },
    Setting {
        name: "website_domain",
        group: Group::S3,
        kind: Kind::TextList,
        default: None,
        help: "Domain below which buckets are static websites (BUCKET.DOMAIN); may be given several times.",
        details: "At the S3 address, by the name of the host; the domain itself is the bucket of its name. It wins over s3_domain.",
        reload: false,
    },
    Setting {
        name: "notification_target",
        group: Group::S3,
        kind: Kind::TextList,
        default: None,
        help: "Where bucket notifications may go, as NAME=URL; may be given several times.",
        details: "NAME is what PutBucketNotificationConfiguration calls it (an ARN such as arn:pinfold:sqs:::hook). By the URL each event is \
                  POSTed as JSON (http://, https://), published (nats://HOST/SUBJECT, redis-channel://HOST/DATABASE/CHANNEL) or appended to \
                  a list (redis://HOST/DATABASE/LIST) until it was taken, for a day at most. USER:PASSWORD@ goes before the host of NATS and Redis.",
        reload: false,
    },
    Setting {
        name: "notification_ca_file",
        group: Group::S3,
        kind: Kind::Path,
        default: None,
        help: "PEM file with the authorities that certificates of https notification targets are checked against.",
        details: "The system's own unless set.",
        reload: false,
    },
    Setting {
        name: "s3_tls_cert",
        group: Group::S3,
        kind: Kind::Path,
        default: None,
        help: "PEM file with the certificate chain; turns TLS on, together with s3_tls_key.",
        details: "The path is fixed at start; SIGHUP reads the file again.",
        reload: false,
    },
    Setting {
        name: "s3_tls_key",
        group: Group::S3,
        kind: Kind::Path,
        default: None,
        help: "PEM file with the certificate's private key.",
        details: "The path is fixed at start; SIGHUP reads the file again.",
        reload: false,
    },
    Setting {
        name: "s3_max_connections",
        group: Group::S3,
        kind: Kind::Count,
        default: Some("10000"),
        help: "Connections at once; more wait until one ends.",
        details: "",
        reload: false,
    },
    Setting {
        name: "s3_max_requests",
        group: Group::S3,
        kind: Kind::Count,
        default: Some("1024"),
        help: "Requests at once; more wait some seconds and then get 503 SlowDown.",
        details: "This bounds memory: a request holds at most about 2 MiB.",
        reload: false,
    },
    Setting {
        name: "s3_header_timeout",
        group: Group::S3,
        kind: Kind::Duration,
        default: Some("60s"),
        help: "How long a connection may take for a request's whole head; also how long an idle one is kept.",
        details: "",
        reload: false,
    },
    Setting {
        name: "s3_idle_timeout",
        group: Group::S3,
        kind: Kind::Duration,
        default: Some("60s"),
        help: "A body that brings no byte for this long, or an answer of which none is taken, is given up.",
        details: "",
        reload: false,
    },
    Setting {
        name: "s3_requests_per_ip",
        group: Group::S3,
        kind: Kind::Count,
        default: Some("0"),
        help: "Requests a second of one client's address (of an IPv6 network of 64 bits), as many at once; 0 is no limit.",
        details: "More get 503 SlowDown with Retry-After before their signature is looked at.",
        reload: true,
    },
    Setting {
        name: "s3_requests_per_account",
        group: Group::S3,
        kind: Kind::Count,
        default: Some("0"),
        help: "Requests a second of one account; 0 is no limit.",
        details: "",
        reload: true,
    },
    Setting {
        name: "s3_requests_per_bucket",
        group: Group::S3,
        kind: Kind::Count,
        default: Some("0"),
        help: "Requests a second to one bucket; 0 is no limit.",
        details: "",
        reload: true,
    },
    Setting {
        name: "s3_bytes_per_ip",
        group: Group::S3,
        kind: Kind::Size,
        default: Some("0"),
        help: "Bytes of bodies a second, in both directions together, of one client's address; 0 is no limit.",
        details: "Bodies then flow no faster; nothing is refused for it.",
        reload: true,
    },
    Setting {
        name: "s3_bytes_per_account",
        group: Group::S3,
        kind: Kind::Size,
        default: Some("0"),
        help: "The same of one account; 0 is no limit.",
        details: "",
        reload: true,
    },
    Setting {
        name: "s3_bytes_per_bucket",
        group: Group::S3,
        kind: Kind::Size,
        default: Some("0"),
        help: "The same of one bucket; 0 is no limit.",
        details: "",
        reload: true,
    },
    Setting {
        name: "mount",
        group: Group::Mount,
        kind: Kind::MountList,
        default: None,
        help: "A mount, DIR[=BUCKET[/PREFIX]][:ro]; may be given several times.",
        details: "Without `=` the mount shows all buckets as directories. `:ro` mounts read-only. A backslash before `=`, `:`, `;` \
                  or a backslash makes it part of the name.",
        reload: false,
    },
    Setting {
        name: "mount_passthrough",
        group: Group::Mount,
        kind: Kind::Choice(&["auto", "on", "off"]),
        default: Some("auto"),
        help: "Whether the kernel reads and writes whole local files without the daemon.",
        details: "`auto` uses it where the kernel, the data disk and the daemon's rights allow it (it needs CAP_SYS_ADMIN); `on` \
                  refuses a mount that cannot have it.",
        reload: false,
    },
    Setting {
        name: "mount_threads",
        group: Group::Mount,
        kind: Kind::Count,
        default: Some("0"),
        help: "Threads a mount that answer the kernel; 0 is one a core, at most 8.",
        details: "",
        reload: false,
    },
    Setting {
        name: "engine",
        group: Group::Metadata,
        kind: Kind::Choice(&["sled", "fjall", "memory"]),
        default: Some("sled"),
        help: "Engine of the metadata replica.",
        details: "A data directory whose replica another disk engine made is refused until `pinfold meta convert` has carried \
                  it over. `memory` keeps nothing on disk: it makes the replica from the log at every start, and puts away \
                  what a disk engine had made.",
        reload: false,
    },
    Setting {
        name: "cache",
        group: Group::Metadata,
        kind: Kind::Size,
        default: Some("256MiB"),
        help: "Memory for the replica's cache.",
        details: "sled needs at least 256MiB: with a smaller cache it takes more memory, not less. Choose engine fjall for less.",
        reload: false,
    },
    Setting {
        name: "commit_interval",
        group: Group::Metadata,
        kind: Kind::Duration,
        default: Some("1s"),
        help: "How long an operation of the mount may wait until the log is synced.",
        details: "Bounds what a power cut takes from files that were closed without fsync. S3 writes and fsync never wait for it.",
        reload: false,
    },
    Setting {
        name: "publish_after",
        group: Group::Storage,
        kind: Kind::Duration,
        default: Some("5s"),
        help: "A written file is published (chunked, hashed, named by its CID) this long after its last close.",
        details: "Files of up to 4 KiB after 100 ms. A GET, HEAD or LIST of the key and a clean unmount publish at once.",
        reload: false,
    },
    Setting {
        name: "publish_at_most",
        group: Group::Storage,
        kind: Kind::Duration,
        default: Some("60s"),
        help: "A file that is written to without rest is published this often.",
        details: "",
        reload: false,
    },
    Setting {
        name: "inline_max",
        group: Group::Storage,
        kind: Kind::Size,
        default: Some("4KiB"),
        help: "Objects up to this size travel inside the log record: one sync in all.",
        details: "",
        reload: false,
    },
    Setting {
        name: "reserve",
        group: Group::Storage,
        kind: Kind::Size,
        default: Some("1GiB"),
        help: "Free space on the data disk that writes never use up.",
        details: "A write that would is refused: ENOSPC at the mount, 507 over S3.",
        reload: false,
    },
    Setting {
        name: "scrub_rate",
        group: Group::Storage,
        kind: Kind::Size,
        default: Some("8MiB"),
        help: "Bytes a second at which resting content is read and compared with its CIDs; 0 is never.",
        details: "Damage is logged with CID, file and place, and counted as a failed round of the worker `scrub`.",
        reload: false,
    },
    Setting {
        name: "access_log",
        group: Group::Log,
        kind: Kind::Path,
        default: None,
        help: "File for a line a request in VersityGW's form; `stdout`, `stderr` or `-` for the process's own.",
        details: "Opened anew by SIGHUP and `pinfold reload`, for who rotates it. No request waits for it: lines that its disk \
                  does not take in time are dropped, counted and said. Not together with log_webhook_url.",
        reload: false,
    },
    Setting {
        name: "admin_access_log",
        group: Group::Log,
        kind: Kind::Path,
        default: None,
        help: "The same for requests to the admin API on the S3 endpoint, in VersityGW's shorter form.",
        details: "",
        reload: false,
    },
    Setting {
        name: "log_webhook_url",
        group: Group::Log,
        kind: Kind::Text,
        default: None,
        help: "URL that gets each request's line as JSON, as VersityGW sends it.",
        details: "A POST each, which may take a second. An https URL is checked against the system's certificates.",
        reload: false,
    },
    Setting {
        name: "bucket_log_interval",
        group: Group::Log,
        kind: Kind::Duration,
        default: Some("5m"),
        help: "How old the first line of a bucket's log (PutBucketLogging) is when the log is put into its bucket.",
        details: "Before that if it has 1MiB. Lines wait in memory, 16MiB at most; a crash loses them.",
        reload: false,
    },
    Setting {
        name: "audit_log",
        group: Group::Log,
        kind: Kind::Choice(&["on", "off"]),
        default: Some("on"),
        help: "Whether operations on accounts, rights and buckets are written to DATA/audit before they are answered.",
        details: "Each line carries the hash of the one before; `pinfold audit verify` finds what was removed, changed or \
                  reordered. While it cannot be written such operations are refused.",
        reload: false,
    },
    Setting {
        name: "audit_file_size",
        group: Group::Log,
        kind: Kind::Size,
        default: Some("64MiB"),
        help: "Size at which the audit log begins its next file.",
        details: "Files are never deleted: what is archived goes from the oldest on.",
        reload: false,
    },
    Setting {
        name: "lifecycle_interval",
        group: Group::Storage,
        kind: Kind::Duration,
        default: Some("1h"),
        help: "Pause between two rounds in which buckets' lifecycle rules are applied.",
        details: "The first round comes a minute after a start, or after this if it is less.",
        reload: false,
    },
    Setting {
        name: "lifecycle_day",
        group: Group::Storage,
        kind: Kind::Duration,
        default: Some("24h"),
        help: "How long a day of a lifecycle rule is.",
        details: "Less than 24h is for trying rules out: objects then go that much sooner, for good.",
        reload: false,
    },
    Setting {
        name: "log_level",
        group: Group::Log,
        kind: Kind::LogFilter,
        default: Some("info"),
        help: "Level, or a filter by module (`info,pinfold_s3=debug`).",
        details: "Secrets are never logged, at any level.",
        reload: true,
    },
    Setting {
        name: "log_format",
        group: Group::Log,
        kind: Kind::Choice(&["human", "json"]),
        default: Some("human"),
        help: "Lines for people, or one JSON object a line; on standard error.",
        details: "",
        reload: false,
    },
];

/// The setting called `name`.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name == name)
}

#[cfg(test)]
mod tests {
    use super::{OTHER_ENV, SETTINGS, TEST_ENV_PREFIX};

    #[test]
    fn names_are_unique_and_no_setting_takes_a_fixed_variable() {
        for (i, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..i].iter().all(|other| other.name != setting.name), "{} twice", setting.name);
            assert!(OTHER_ENV.iter().all(|(name, _)| *name != setting.env()), "{} is taken", setting.env());
            assert!(!setting.env().starts_with(TEST_ENV_PREFIX));
            assert!(setting.help.ends_with('.'), "{}: help is one sentence", setting.name);
        }
    }
}
