//! The calls.

use std::time::SystemTime;

use reqwest::Body;
use reqwest::multipart::{Form, Part};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::types::{AddedOutput, Alert, Allocation, GcReport, GlobalPinInfo, Metric, PeerInfo, StatusFilter};
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::request::{Ask, Http};
use crate::ipfs::service::{PinMode, PinOptions};
use crate::ipfs::settings::ClientSettings;
use crate::types::Cid;

/// CIDs asked for at once: an URL of a few KiB.
pub(super) const STATUS_BATCH: usize = 64;

/// Which peers try again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecoverScope {
    /// All.
    Everywhere,
    /// The one that is asked.
    Here,
}

/// How `add` is to work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddOptions {
    /// The body is a CAR with one root, whose DAG is kept as it is; else a file, which the cluster cuts by its own rules.
    pub car: bool,
    /// The peer that is asked keeps the blocks; others fetch them from there.
    pub local: bool,
}

/// A client of one cluster: any peer answers.
pub struct ClusterClient {
    pub(super) http: Http,
}

impl ClusterClient {
    /// A client for these peers. InvalidArgument for URLs and certificates that are none.
    pub fn new(settings: ClientSettings) -> Result<Self> {
        Ok(Self { http: Http::new("cluster", settings)? })
    }

    /// URLs of peers that are left alone, since they failed.
    pub fn left_alone(&self) -> Vec<String> {
        self.http.endpoints.left_alone()
    }

    /// Who a peer is.
    pub async fn id(&self) -> Result<PeerInfo> {
        self.http.json(&Ask::get("id")).await
    }

    /// A peer's version.
    pub async fn version(&self) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: String,
        }
        Ok(self.http.json::<Version>(&Ask::get("version")).await?.version)
    }

    /// All peers.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>> {
        let mut lines = self.http.lines(&Ask::get("peers")).await?;
        let mut peers = Vec::new();
        while let Some(peer) = lines.next().await? {
            peers.push(peer);
        }
        Ok(peers)
    }

    /// Asks for a pin. It is in the cluster's set when this returns, and with the peers in its own time.
    pub async fn pin(&self, cid: &Cid, options: &PinOptions) -> Result<Allocation> {
        self.http.json(&with_options(Ask::post(format!("pins/{cid}")), options)?).await
    }

    /// The same for whatever a path leads to (`ipfs/CID/a/b`).
    pub async fn pin_path(&self, path: &str, options: &PinOptions) -> Result<Allocation> {
        self.http.json(&with_options(Ask::post(format!("pins/{}", path.trim_matches('/'))), options)?).await
    }

    /// Takes a pin out of the cluster's set; NotFound.
    pub async fn unpin(&self, cid: &Cid) -> Result<Allocation> {
        self.http.json(&Ask::new(reqwest::Method::DELETE, format!("pins/{cid}"))).await
    }

    /// The same, at whichever peer knows of it: right after a pin that may be the one that was told alone.
    pub(super) async fn unpin_anywhere(&self, cid: &Cid) -> Result<()> {
        self.http.wherever_it_is(&Ask::new(reqwest::Method::DELETE, format!("pins/{cid}"))).await
    }

    /// A pin of the cluster's set; NotFound.
    pub async fn allocation(&self, cid: &Cid) -> Result<Allocation> {
        self.http.json(&Ask::get(format!("allocations/{cid}"))).await
    }

    /// Shows the cluster's set, in no order, one in memory.
    pub async fn allocations(&self, visit: &mut (dyn FnMut(Allocation) -> Result<()> + Send)) -> Result<()> {
        let mut lines = self.http.lines(&Ask::get("allocations").with("filter", "pin")).await?;
        while let Some(pin) = lines.next().await? {
            visit(pin)?;
        }
        Ok(())
    }

    /// All peers' views of a pin. One that is not there is `unpinned` everywhere.
    pub async fn status(&self, cid: &Cid) -> Result<GlobalPinInfo> {
        self.http.json(&Ask::get(format!("pins/{cid}"))).await
    }

    /// The same of some, in no order. At most 64 at once.
    pub async fn statuses(&self, cids: &[Cid]) -> Result<Vec<GlobalPinInfo>> {
        if cids.len() > STATUS_BATCH {
            return Err(Error::new(ErrorKind::InvalidArgument, "too many CIDs at once").with("cids", cids.len()));
        }
        if cids.is_empty() {
            return Ok(Vec::new());
        }
        let list = cids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut lines = self.http.lines(&Ask::get("pins").with("cids", list)).await?;
        let mut found = Vec::with_capacity(cids.len());
        while let Some(info) = lines.next().await? {
            if found.len() == cids.len() {
                return Err(Error::new(ErrorKind::Unavailable, "an IPFS Cluster peer tells of what nobody asked for"));
            }
            found.push(info);
        }
        Ok(found)
    }

    /// Shows the pins of these statuses. Only `All` and `Pinned` make the peers walk over the whole set.
    pub async fn filtered(
        &self,
        filter: StatusFilter,
        visit: &mut (dyn FnMut(GlobalPinInfo) -> Result<()> + Send),
    ) -> Result<()> {
        let mut ask = Ask::get("pins");
        if filter != StatusFilter::All {
            ask = ask.with("filter", filter.text());
        }
        let mut lines = self.http.lines(&ask).await?;
        while let Some(info) = lines.next().await? {
            visit(info)?;
        }
        Ok(())
    }

    /// Peers that failed with a pin try again.
    pub async fn recover(&self, cid: &Cid, scope: RecoverScope) -> Result<GlobalPinInfo> {
        let ask = Ask::post(format!("pins/{cid}/recover")).with("local", scope == RecoverScope::Here);
        self.http.json(&ask).await
    }

    /// Peers try again with whatever failed. How many pins that are.
    pub async fn recover_all(&self, scope: RecoverScope) -> Result<u64> {
        let mut lines = self.http.lines(&Ask::post("pins/recover").with("local", scope == RecoverScope::Here)).await?;
        let mut count = 0;
        while lines.next::<serde::de::IgnoredAny>().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Adds a stream of bytes; the last line is the root. Not repeated, since the bytes go by once.
    pub async fn add(&self, body: Body, add: AddOptions, options: &PinOptions) -> Result<AddedOutput> {
        let mut ask = with_options(Ask::post("add"), options)?.with("stream-channels", true).with("local", add.local);
        if add.car {
            ask = ask.with("format", "car");
        }
        let mut lines = self
            .http
            .once(&ask, |request| request.multipart(Form::new().part("file", Part::stream(body).file_name("file"))))
            .await?;
        let mut last = None;
        while let Some(added) = lines.next::<AddedOutput>().await? {
            last = Some(added);
        }
        last.ok_or_else(|| Error::new(ErrorKind::Io, "an IPFS Cluster peer added nothing"))
    }

    /// Kubo's garbage collection on all peers.
    pub async fn gc(&self) -> Result<GcReport> {
        self.http.json(&Ask::post("ipfs/gc")).await
    }

    /// What all peers measure under a name (`freespace`, `ping`, `pinqueue` …).
    pub async fn metrics(&self, name: &str) -> Result<Vec<Metric>> {
        Ok(self
            .http
            .json::<Option<Vec<Metric>>>(&Ask::get(format!("monitor/metrics/{name}")))
            .await?
            .unwrap_or_default())
    }

    /// What peers no longer send.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        Ok(self.http.json::<Option<Vec<Alert>>>(&Ask::get("health/alerts")).await?.unwrap_or_default())
    }

    /// How many peers answer, each asked by itself; those that do not are left alone for a while.
    pub async fn check(&self) -> usize {
        self.http.check(&Ask::get("health")).await
    }
}

fn with_options(mut ask: Ask, options: &PinOptions) -> Result<Ask> {
    let mode = match options.mode {
        PinMode::Recursive => "recursive",
        PinMode::Direct => "direct",
    };
    ask = ask
        .with("mode", mode)
        .with("replication-min", options.replication_min)
        .with("replication-max", options.replication_max);
    if !options.name.is_empty() {
        ask = ask.with("name", &options.name);
    }
    if !options.user_allocations.is_empty() {
        ask = ask.with("user-allocations", options.user_allocations.join(","));
    }
    if let Some(at) = options.expire_at {
        ask = ask.with("expire-at", rfc3339(at)?);
    }
    for (name, value) in &options.metadata {
        ask = ask.with(&format!("meta-{name}"), value);
    }
    if let Some(old) = &options.update {
        ask = ask.with("pin-update", old);
    }
    if !options.origins.is_empty() {
        ask = ask.with("origins", options.origins.join(","));
    }
    Ok(ask)
}

fn rfc3339(at: SystemTime) -> Result<String> {
    let bad = |_| Error::new(ErrorKind::InvalidArgument, "a pin cannot expire at this time");
    OffsetDateTime::from(at).format(&Rfc3339).map_err(bad)
}
