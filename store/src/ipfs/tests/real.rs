//! Both clients against the real programs, where the harness names them (`tests/pins`); without them the tests say so and are
//! skipped.

use crate::error::ErrorKind;
use crate::ipfs::{
    AddOptions, BlockWalk, ClientSettings, ClusterClient, KuboClient, PinOptions, RecoverScope, StatusFilter,
};
use crate::testkit::pin_service;
use crate::types::Cid;
use crate::unixfs::{Block, Link, Node, RAW, raw_cid};
use bytes::Bytes;

fn urls(name: &str) -> Option<ClientSettings> {
    let urls = std::env::var(name).ok();
    if urls.is_none() {
        eprintln!("skipped: needs Kubo and IPFS Cluster ({name})");
    }
    urls.map(|urls| ClientSettings::new(urls.split(',').map(str::to_owned).collect()))
}

fn clients() -> Option<(ClusterClient, KuboClient, KuboClient)> {
    let (cluster, kubo) = (urls("PINFOLD_TEST_CLUSTER_URLS")?, urls("PINFOLD_TEST_KUBO_URLS")?);
    let one = ClientSettings { urls: vec![kubo.urls[0].clone()], ..kubo.clone() };
    Some((ClusterClient::new(cluster).unwrap(), KuboClient::new(kubo).unwrap(), KuboClient::new(one).unwrap()))
}

/// A root with two leaves, by CID, root first.
fn dag(seed: &str) -> Vec<(Cid, Bytes)> {
    let leaves = [Block::raw(format!("{seed} 1")), Block::raw(format!("{seed} 2"))];
    let link =
        |block: &Block| Link { cid: block.cid, name: Some(String::new()), tsize: Some(block.bytes.len() as u64) };
    let root = Block::dag_pb(Node { links: leaves.iter().map(link).collect(), data: None }.encode());
    [root].into_iter().chain(leaves).map(|block| (block.cid, block.bytes)).collect()
}

fn car(blocks: &[(Cid, Bytes)]) -> Vec<u8> {
    let find = |cid: &Cid| Ok(blocks.iter().find(|(name, _)| name == cid).map(|(_, bytes)| bytes.clone()));
    BlockWalk::new(blocks[0].0, find).collect::<crate::Result<Vec<_>>>().unwrap().concat()
}

#[tokio::test]
async fn the_cluster_is_a_pin_service() {
    let Some((cluster, _, kubo)) = clients() else { return };
    let blocks = ["one", "two"].map(|text| Bytes::from(format!("conformance {text}")));
    kubo.block_put(RAW, blocks.to_vec()).await.unwrap();
    pin_service(&cluster, &blocks.map(|block| raw_cid(&block))).await;
}

#[tokio::test]
async fn every_call_of_the_cluster() {
    let Some((all, _, kubo)) = clients() else { return };
    // What one peer was told the others hear a moment later: this is about one.
    let Some(urls) = urls("PINFOLD_TEST_CLUSTER_URLS") else { return };
    let cluster = ClusterClient::new(ClientSettings { urls: vec![urls.urls[0].clone()], ..urls }).unwrap();
    assert_eq!(cluster.version().await.unwrap(), "1.1.6");
    let id = cluster.id().await.unwrap();
    assert!(!id.ipfs.id.is_empty() && id.error.is_empty());
    assert_eq!(cluster.peers().await.unwrap().len(), id.cluster_peers.len());
    assert_eq!(all.check().await, id.cluster_peers.len());
    assert!(!cluster.metrics("freespace").await.unwrap().is_empty());
    cluster.alerts().await.unwrap();

    let blocks = dag("every call");
    let root = blocks[0].0;
    kubo.dag_import(car(&blocks).into(), false).await.unwrap();
    let options = PinOptions {
        name: "every".to_owned(),
        replication_min: 1,
        replication_max: 2,
        user_allocations: vec![id.id.clone()],
        origins: kubo.id().await.unwrap().addresses.unwrap_or_default(),
        expire_at: Some(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)),
        ..PinOptions::default()
    };
    let pin = cluster.pin(&root, &options).await.unwrap();
    assert_eq!((pin.replication_factor_min, pin.replication_factor_max, pin.mode.as_str()), (1, 2, "recursive"));
    assert!(pin.allocations.contains(&id.id) && pin.allocations.len() <= 2, "{pin:?}");
    assert!(pin.expire_at.starts_with("20"), "{}", pin.expire_at);
    assert_eq!(cluster.allocation(&root).await.unwrap().name, "every");
    assert_eq!(cluster.recover(&root, RecoverScope::Everywhere).await.unwrap().cid, root.to_string());
    cluster.recover_all(RecoverScope::Here).await.unwrap();
    cluster.filtered(StatusFilter::Pending, &mut |_| Ok(())).await.unwrap();
    let mut all = Vec::new();
    let mut visit = |info: crate::ipfs::GlobalPinInfo| {
        all.push(info.cid);
        Ok(())
    };
    cluster.filtered(StatusFilter::All, &mut visit).await.unwrap();
    assert!(all.contains(&root.to_string()));
    cluster.unpin(&root).await.unwrap();

    // A CAR through the cluster keeps its shape.
    let blocks = dag("by the cluster");
    let add = AddOptions { car: true, local: true };
    let everywhere = PinOptions { replication_min: -1, replication_max: -1, ..PinOptions::default() };
    let added = cluster.add(car(&blocks).into(), add, &everywhere).await.unwrap();
    assert_eq!(added.cid, blocks[0].0.to_string());
    cluster.unpin(&blocks[0].0).await.unwrap();
    let nobody = cluster.unpin(&raw_cid(b"nobody pins this")).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
    let broken = cluster.add(b"no CAR at all".to_vec().into(), add, &everywhere).await.unwrap_err();
    assert!(!broken.to_string().is_empty(), "an error in the trailer is an error: {broken}");
}

#[tokio::test]
async fn every_call_of_kubo() {
    let Some((_, all, kubo)) = clients() else { return };
    assert_eq!(kubo.version().await.unwrap(), "0.43.0");
    assert!(kubo.id().await.unwrap().agent_version.starts_with("kubo/"));
    assert!(all.check().await >= 1);
    let blocks = dag("kubo");
    let root = blocks[0].0;
    let imported = kubo.dag_import(car(&blocks).into(), true).await.unwrap();
    assert_eq!((imported.root, imported.blocks), (Some(root.to_string()), 3));
    assert_eq!(kubo.block_get(&root).await.unwrap(), blocks[0].1);
    assert_eq!(kubo.block_stat(&blocks[1].0, true).await.unwrap().size, blocks[1].1.len() as u64);
    let missing = kubo.block_stat(&raw_cid(b"nobody has this"), true).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    let mut exported = Vec::new();
    let mut visit = |piece: Bytes| {
        exported.extend_from_slice(&piece);
        Ok(())
    };
    kubo.dag_export(&root, &mut visit).await.unwrap();
    assert_eq!(exported, car(&blocks), "Kubo writes the same CAR");

    assert!(kubo.is_pinned(&root).await.unwrap());
    let mut pins = Vec::new();
    let mut visit = |pin: crate::ipfs::KuboPin| {
        pins.push(pin.cid);
        Ok(())
    };
    kubo.pins(&mut visit).await.unwrap();
    assert!(pins.contains(&root.to_string()));
    let newer = dag("kubo, newer");
    kubo.dag_import(car(&newer).into(), false).await.unwrap();
    kubo.pin_update(&root, &newer[0].0).await.unwrap();
    assert!(kubo.is_pinned(&root).await.unwrap(), "the old pin stays");
    for cid in [root, newer[0].0] {
        assert!(kubo.pin_rm(&cid).await.unwrap());
        assert!(!kubo.pin_rm(&cid).await.unwrap());
        assert!(!kubo.is_pinned(&cid).await.unwrap());
    }
    kubo.pin_add(&root, "named", &mut |_| ()).await.unwrap();
    assert!(kubo.pin_rm(&root).await.unwrap());
    assert!(kubo.repo_stat().await.unwrap().storage_max > 0);
    let peers = kubo.swarm_peers().await.unwrap();
    if let Some(peer) = peers.first() {
        kubo.swarm_connect(&format!("{}/p2p/{}", peer.addr, peer.peer)).await.unwrap();
    }
    assert!(kubo.dag_import(b"no CAR".to_vec().into(), true).await.is_err());
}
