//! The settings of IPFS.

use std::path::PathBuf;
use std::time::Duration;

use super::Build;
use super::settings::{Group, Kind, Setting};
use super::value;

/// IPFS; without cluster URLs nothing is pinned.
#[derive(Clone, Debug)]
pub struct IpfsSettings {
    /// Base URLs of the cluster's peers.
    pub cluster_urls: Vec<String>,
    /// Base URLs of Kubo nodes.
    pub kubo_urls: Vec<String>,
    /// File that says who asks the cluster.
    pub cluster_auth_file: Option<PathBuf>,
    /// File that says who asks Kubo.
    pub kubo_auth_file: Option<PathBuf>,
    /// File of trusted certificates.
    pub ca: Option<PathBuf>,
    /// File of this node's certificate and key.
    pub identity: Option<PathBuf>,
    /// Peers that hold each pin at least and at most; -1 is all.
    pub replication: (i32, i32),
    /// Whether bytes are brought to a Kubo before they are pinned.
    pub push: bool,
    /// Calls at once.
    pub workers: usize,
    /// When a pin is overdue.
    pub deadline: Duration,
    /// Pause between two comparisons of everything.
    pub reconcile: Duration,
}

/// A list between commas.
fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

impl Build<'_> {
    pub(super) fn ipfs(&mut self) -> Option<IpfsSettings> {
        let settings = IpfsSettings {
            cluster_urls: list(self.text("ipfs_cluster_urls")),
            kubo_urls: list(self.text("ipfs_kubo_urls")),
            cluster_auth_file: self.path("ipfs_cluster_auth_file"),
            kubo_auth_file: self.path("ipfs_kubo_auth_file"),
            ca: self.path("ipfs_ca"),
            identity: self.path("ipfs_identity"),
            replication: (self.replicas("ipfs_replication_min")?, self.replicas("ipfs_replication_max")?),
            push: self.text("ipfs_bytes")? == "push",
            workers: self.count("ipfs_workers", 1, 1024)?,
            deadline: self.parsed("ipfs_pin_deadline", value::duration)?,
            reconcile: self.parsed("ipfs_reconcile_interval", value::duration)?,
        };
        let (min, max) = settings.replication;
        if (min == -1) != (max == -1) || min > max {
            self.refuse("ipfs_replication_max", "both are `all`, or neither and it is not the smaller one");
        }
        if settings.push && !settings.cluster_urls.is_empty() && settings.kubo_urls.is_empty() {
            self.refuse("ipfs_bytes", "`push` needs ipfs_kubo_urls");
        }
        if settings.reconcile < Duration::from_secs(1) {
            self.refuse("ipfs_reconcile_interval", "it is at least 1s");
        }
        Some(settings)
    }

    fn replicas(&mut self, name: &str) -> Option<i32> {
        let text = self.text(name)?.to_owned();
        match text.as_str() {
            "all" => Some(-1),
            number => match number.parse() {
                Ok(count) if (1..=1000).contains(&count) => Some(count),
                _ => {
                    self.refuse(name, "it is `all` or a number from 1 to 1000");
                    None
                }
            },
        }
    }
}

/// Their part of the table.
pub(super) const SETTINGS: [Setting; 12] = [
    Setting {
        name: "ipfs_cluster_urls",
        group: Group::Ipfs,
        kind: Kind::Text,
        default: None,
        help: "Base URLs of IPFS Cluster peers (REST API), with commas between; without one nothing is pinned.",
        details: "Any of them answers: they are asked in turn, one that fails is left alone for a while.",
        reload: false,
    },
    Setting {
        name: "ipfs_kubo_urls",
        group: Group::Ipfs,
        kind: Kind::Text,
        default: None,
        help: "Base URLs of Kubo nodes (RPC), with commas between.",
        details: "Used to bring bytes to (ipfs_bytes push).",
        reload: false,
    },
    Setting {
        name: "ipfs_cluster_auth_file",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "File that says who asks the cluster: `basic USER:PASSWORD`, `token USER:PASSWORD` or `bearer TOKEN`.",
        details: "With `token` the password buys a token (POST /token), anew when it is refused. Give the file mode 0600.",
        reload: false,
    },
    Setting {
        name: "ipfs_kubo_auth_file",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "The same for Kubo.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_ca",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "File of certificates (PEM) that are trusted for https URLs besides the system's.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_identity",
        group: Group::Ipfs,
        kind: Kind::Path,
        default: None,
        help: "File of this node's certificate chain and key (PEM), shown to https servers that ask for one.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_replication_min",
        group: Group::Ipfs,
        kind: Kind::Text,
        default: Some("all"),
        help: "Peers that hold each pin at least: `all`, or a number.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_replication_max",
        group: Group::Ipfs,
        kind: Kind::Text,
        default: Some("all"),
        help: "Peers that hold each pin at most: `all`, or a number.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_bytes",
        group: Group::Ipfs,
        kind: Kind::Choice(&["push", "pull"]),
        default: Some("push"),
        help: "How bytes come to the peers: brought to a Kubo before the pin is asked for, or fetched by the peers themselves.",
        details: "`push` needs ipfs_kubo_urls; every pin's blocks then lie in that Kubo until its collector comes, too. `pull` needs peers that find this node's blocks.",
        reload: false,
    },
    Setting {
        name: "ipfs_workers",
        group: Group::Ipfs,
        kind: Kind::Count,
        default: Some("16"),
        help: "Calls to the cluster at once; fewer while they take long.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_pin_deadline",
        group: Group::Ipfs,
        kind: Kind::Duration,
        default: Some("1h"),
        help: "A pin that is not held so long after it was wanted is overdue: logged once, counted, and tried on seldom.",
        details: "",
        reload: false,
    },
    Setting {
        name: "ipfs_reconcile_interval",
        group: Group::Ipfs,
        kind: Kind::Duration,
        default: Some("1h"),
        help: "Pause between two comparisons of all pins with what is wanted and what the cluster has.",
        details: "The first one comes a minute after a start, or after this if it is less.",
        reload: false,
    },
];
