//! The calls, all of them POST.

use bytes::Bytes;
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;

use super::types::{BlockStat, ImportLine, ImportedRoot, KuboId, KuboPin, RepoStat, SwarmPeer};
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::request::{Ask, Http};
use crate::ipfs::settings::ClientSettings;
use crate::types::Cid;

/// A client of some Kubo nodes, any of which may answer: what one has, the others need not have.
pub struct KuboClient {
    http: Http,
}

fn ask(call: &str) -> Ask {
    Ask::post(format!("api/v0/{call}"))
}

/// Kubo says so in words.
fn is_not_pinned(error: &Error) -> bool {
    error.context("message").is_some_and(|message| message.contains("not pinned"))
}

impl KuboClient {
    /// A client for these nodes. InvalidArgument for URLs and certificates that are none.
    pub fn new(settings: ClientSettings) -> Result<Self> {
        Ok(Self { http: Http::new("kubo", settings)? })
    }

    /// URLs of nodes that are left alone, since they failed.
    pub fn left_alone(&self) -> Vec<String> {
        self.http.endpoints.left_alone()
    }

    /// Who a node is.
    pub async fn id(&self) -> Result<KuboId> {
        self.http.json(&ask("id")).await
    }

    /// A node's version.
    pub async fn version(&self) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Version {
            version: String,
        }
        Ok(self.http.json::<Version>(&ask("version")).await?.version)
    }

    /// How many nodes answer, each asked by itself.
    pub async fn check(&self) -> usize {
        self.http.check(&ask("version")).await
    }

    /// Stores blocks, none above 2 MiB, without a pin. What they are stored as, in their order.
    pub async fn block_put(&self, codec: u64, blocks: Vec<Bytes>) -> Result<Vec<BlockStat>> {
        let codec = match codec {
            crate::unixfs::RAW => "raw",
            crate::unixfs::DAG_PB => "dag-pb",
            _ => {
                return Err(
                    Error::new(ErrorKind::InvalidArgument, "blocks of this codec are not put").with("codec", codec)
                );
            }
        };
        let asked = blocks.len();
        let ask = ask("block/put").with("cid-codec", codec).with("mhtype", "sha2-256").with("pin", false);
        let form = blocks
            .into_iter()
            .fold(Form::new(), |form, block| form.part("file", Part::stream(Body::from(block)).file_name("block")));
        let mut lines = self.http.once(&ask, |request| request.multipart(form)).await?;
        let mut stored = Vec::with_capacity(asked);
        while let Some(line) = lines.next().await? {
            stored.push(line);
        }
        if stored.len() == asked {
            return Ok(stored);
        }
        Err(Error::new(ErrorKind::Io, "Kubo did not take every block").with("taken", stored.len()))
    }

    /// A block's bytes, compared with its CID.
    pub async fn block_get(&self, cid: &Cid) -> Result<Bytes> {
        let bytes = self.http.bytes(&ask("block/get").with("arg", cid)).await?;
        crate::unixfs::verify(cid, &bytes)?;
        Ok(bytes.into())
    }

    /// A block's length, of a node that has it here if `offline`; NotFound.
    pub async fn block_stat(&self, cid: &Cid, offline: bool) -> Result<BlockStat> {
        let asked = self.http.json(&ask("block/stat").with("arg", cid).with("offline", offline)).await;
        asked.map_err(|error: Error| match error.context("message") {
            Some(message) if message.contains("not found") => {
                Error::new(ErrorKind::NotFound, "Kubo does not have the block").with("cid", cid)
            }
            _ => error,
        })
    }

    /// Takes a CAR in. Without `pin_roots` its blocks are there until Kubo collects.
    pub async fn dag_import(&self, car: Body, pin_roots: bool) -> Result<ImportedRoot> {
        let ask = ask("dag/import").with("pin-roots", pin_roots).with("stats", true).with("silent", false);
        let form = Form::new().part("file", Part::stream(car).file_name("car"));
        let mut lines = self.http.once(&ask, |request| request.multipart(form)).await?;
        let mut imported = ImportedRoot { root: None, blocks: 0, bytes: 0 };
        while let Some(line) = lines.next::<ImportLine>().await? {
            if let Some(root) = line.root {
                if !root.pin_error_msg.is_empty() {
                    let error = Error::new(ErrorKind::Io, "Kubo cannot pin what it imported");
                    return Err(error.with("message", root.pin_error_msg));
                }
                imported.root = Some(root.cid.cid);
            }
            if let Some(stats) = line.stats {
                (imported.blocks, imported.bytes) = (stats.block_count, stats.block_bytes_count);
            }
        }
        Ok(imported)
    }

    /// Shows a DAG as a CAR, piece by piece.
    pub async fn dag_export(&self, root: &Cid, visit: &mut (dyn FnMut(Bytes) -> Result<()> + Send)) -> Result<()> {
        let mut pieces = self.http.lines(&ask("dag/export").with("arg", root).with("progress", false)).await?;
        while let Some(piece) = pieces.piece().await? {
            visit(piece)?;
        }
        Ok(())
    }

    /// Pins a DAG, which may have to be fetched: `progress` hears how many blocks have come.
    pub async fn pin_add(&self, cid: &Cid, name: &str, progress: &mut (dyn FnMut(u64) + Send)) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Line {
            #[serde(default)]
            pins: Option<Vec<String>>,
            #[serde(default)]
            progress: Option<u64>,
        }
        let mut ask = ask("pin/add").with("arg", cid).with("recursive", true).with("progress", true);
        if !name.is_empty() {
            ask = ask.with("name", name);
        }
        let mut lines = self.http.lines(&ask).await?;
        let mut pinned = false;
        while let Some(line) = lines.next::<Line>().await? {
            line.progress.into_iter().for_each(&mut *progress);
            pinned |= line.pins.is_some_and(|pins| !pins.is_empty());
        }
        if pinned { Ok(()) } else { Err(Error::new(ErrorKind::Io, "Kubo did not pin").with("cid", cid)) }
    }

    /// Takes a recursive pin away. Whether there was one.
    pub async fn pin_rm(&self, cid: &Cid) -> Result<bool> {
        match self.http.bytes(&ask("pin/rm").with("arg", cid)).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_pinned(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pins a changed version of a pinned DAG: only the difference is fetched. The old pin stays.
    pub async fn pin_update(&self, old: &Cid, new: &Cid) -> Result<()> {
        let ask = ask("pin/update").with("arg", old).with("arg", new).with("unpin", false);
        self.http.bytes(&ask).await.map(drop)
    }

    /// Whether a CID is pinned recursively.
    pub async fn is_pinned(&self, cid: &Cid) -> Result<bool> {
        let ask = ask("pin/ls").with("arg", cid).with("type", "recursive").with("stream", true);
        match self.http.bytes(&ask).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_pinned(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Shows all recursive pins (`all` would walk every DAG), one in memory.
    pub async fn pins(&self, visit: &mut (dyn FnMut(KuboPin) -> Result<()> + Send)) -> Result<()> {
        let ask = ask("pin/ls").with("type", "recursive").with("stream", true).with("names", true);
        let mut lines = self.http.lines(&ask).await?;
        while let Some(pin) = lines.next().await? {
            visit(pin)?;
        }
        Ok(())
    }

    /// Sizes of a node's repository.
    pub async fn repo_stat(&self) -> Result<RepoStat> {
        self.http.json(&ask("repo/stat").with("size-only", true)).await
    }

    /// Takes away what nothing pins. How many blocks.
    pub async fn repo_gc(&self) -> Result<u64> {
        let mut lines = self.http.lines(&ask("repo/gc").with("stream-errors", true)).await?;
        let mut count = 0;
        while lines.next::<serde::de::IgnoredAny>().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Peers that a node is connected to.
    pub async fn swarm_peers(&self) -> Result<Vec<SwarmPeer>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Peers {
            #[serde(default)]
            peers: Option<Vec<SwarmPeer>>,
        }
        Ok(self.http.json::<Peers>(&ask("swarm/peers")).await?.peers.unwrap_or_default())
    }

    /// Connects a node to another, by a multiaddress with its identity.
    pub async fn swarm_connect(&self, address: &str) -> Result<()> {
        self.http.bytes(&ask("swarm/connect").with("arg", address)).await.map(drop)
    }
}
