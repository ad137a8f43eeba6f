//! The provider's gateway over the blocks of CAR files, for suites that bring their own blocks:
//! `cargo run --release -p pinfold --example gateway_over_cars -- 127.0.0.1:8080 FILE.car …`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use pinfold_node::listener;
use pinfold_node::provider::access::Access;
use pinfold_node::provider::{Needs, Provider, multiaddr};
use pinfold_store::Result;
use pinfold_store::ipfs::peer::PeerId;
use pinfold_store::ipfs::serve::{Source, not_here};
use pinfold_store::types::Cid;
use pinfold_store::unixfs::BlockSource;
use tokio_util::sync::CancellationToken;

/// By hash: a block is the same under any codec.
struct Blocks(HashMap<Vec<u8>, Bytes>);

impl BlockSource for Blocks {
    fn block(&self, cid: &Cid) -> Result<Bytes> {
        self.0.get(&cid.hash().to_bytes()).cloned().ok_or_else(|| not_here(cid))
    }
}

impl Source for Blocks {
    fn len(&self, cid: &Cid) -> Result<Option<u64>> {
        Ok(self.0.get(&cid.hash().to_bytes()).map(|bytes| bytes.len() as u64))
    }
}

/// A length, and what follows it.
fn section<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (section, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(section)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("HOST:PORT FILE.car …")?;
    let mut blocks = HashMap::new();
    for file in args {
        let bytes = std::fs::read(&file)?;
        let mut rest = bytes.as_slice();
        section(&mut rest).ok_or("a CAR without a header")?;
        while !rest.is_empty() {
            let section = section(&mut rest).ok_or("a CAR that is cut off")?;
            let mut block = section;
            let cid = Cid::read_bytes(&mut block)?;
            blocks.insert(cid.hash().to_bytes(), Bytes::copy_from_slice(block));
        }
    }
    let (bound, listener) = listener::bind(&address).await?;
    let provider = Provider::new(Needs {
        source: Arc::new(Blocks(blocks)),
        access: Access::default(),
        peer: PeerId::of_ed25519(&[0; 32]),
        addresses: vec![multiaddr(bound, false)],
        answers: 64,
        cars: 16,
    });
    listener::serve(listener, None, Arc::new(provider), Duration::from_secs(1), CancellationToken::new()).await;
    Ok(())
}
