//! The cluster as the pin manager sees it.

use std::collections::HashMap;

use super::client::{ClusterClient, RecoverScope, STATUS_BATCH};
use super::types::StatusFilter;
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::service::{Listed, PinOptions, PinService, PinStatus};
use crate::types::Cid;

fn read_cid(text: &str) -> Result<Cid> {
    text.parse().map_err(|e: cid::Error| {
        Error::new(ErrorKind::Unavailable, "an IPFS Cluster peer names what is no CID").with("cid", text).caused_by(e)
    })
}

#[async_trait::async_trait]
impl PinService for ClusterClient {
    async fn pin(&self, cid: &Cid, options: &PinOptions) -> Result<()> {
        Self::pin(self, cid, options).await.map(drop)
    }

    async fn unpin(&self, cid: &Cid) -> Result<bool> {
        match self.unpin_anywhere(cid).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn status(&self, cids: &[Cid]) -> Result<Vec<PinStatus>> {
        let mut found = HashMap::with_capacity(cids.len());
        for batch in cids.chunks(STATUS_BATCH) {
            for info in self.statuses(batch).await? {
                found.insert(read_cid(&info.cid)?, info.summary());
            }
        }
        Ok(cids.iter().map(|cid| found.remove(cid).unwrap_or_default()).collect())
    }

    async fn recover(&self, cid: &Cid) -> Result<()> {
        Self::recover(self, cid, RecoverScope::Everywhere).await.map(drop)
    }

    async fn list(&self, visit: &mut (dyn FnMut(Listed) -> Result<()> + Send)) -> Result<()> {
        self.allocations(&mut |pin| visit(Listed { cid: read_cid(&pin.cid)?, name: pin.name, metadata: pin.metadata }))
            .await
    }

    async fn troubled(&self, visit: &mut (dyn FnMut(Cid) -> Result<()> + Send)) -> Result<()> {
        self.filtered(StatusFilter::Troubled, &mut |info| visit(read_cid(&info.cid)?)).await
    }

    async fn check(&self) -> Result<()> {
        match Self::check(self).await {
            0 => Err(Error::new(ErrorKind::Unavailable, "no IPFS Cluster peer answers")),
            _ => Ok(()),
        }
    }
}
