//! The fallback where peers cannot pull from this node: a DAG's blocks go to one Kubo before the pin is asked for.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::ledger::Ledger;
use crate::error::{Error, ErrorKind, Result};
use crate::ipfs::{BlockWalk, KuboClient};
use crate::types::Cid;

/// Blocks on their way: each has at most 2 MiB.
const IN_FLIGHT: usize = 4;

/// Brings a DAG to where peers find it.
#[async_trait::async_trait]
pub trait Push: Send + Sync + 'static {
    /// Brings all blocks below `root`. NotFound if one is not here.
    async fn push(&self, ledger: Arc<dyn Ledger>, root: Cid) -> Result<()>;
}

/// Brings it to a Kubo, as a CAR.
pub struct KuboPush(pub KuboClient);

#[async_trait::async_trait]
impl Push for KuboPush {
    async fn push(&self, ledger: Arc<dyn Ledger>, root: Cid) -> Result<()> {
        let (blocks, taken) = mpsc::channel::<Result<Bytes>>(IN_FLIGHT);
        let reader = tokio::task::spawn_blocking(move || {
            for piece in BlockWalk::new(root, |cid: &Cid| ledger.block(cid)) {
                let failed = piece.as_ref().err().cloned();
                // Nobody takes any more: the import failed, and says so itself.
                if blocks.blocking_send(piece).is_err() {
                    return Ok(());
                }
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            Ok(())
        });
        let stream = futures::stream::unfold(taken, |mut taken| async move { Some((taken.recv().await?, taken)) });
        let imported = self.0.dag_import(reqwest::Body::wrap_stream(stream.boxed()), false).await;
        let read = reader.await.map_err(|e| Error::new(ErrorKind::Internal, "a reader ended early").caused_by(e))?;
        // What the reader met is the cause of what the import says.
        read?;
        let imported = imported?;
        metrics::counter!("pinfold_store_pin_pushed_bytes_total").increment(imported.bytes);
        Ok(())
    }
}
