//! Two nodes in one process: nothing in a node is the process's.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use pinfold_node::admin::client::AdminClient;
use pinfold_node::admin::wire;
use pinfold_node::config::source::{Origin, Raw, RawMap};
use pinfold_node::config::{Loaded, Sources, load};
use pinfold_node::failure::Failure;
use pinfold_node::node::{Addresses, Inputs, run};
use pinfold_node::signals::{Signal, channel};
use pinfold_node::telemetry::Telemetry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

fn configuration(data: &Path) -> Loaded {
    let mut flags = RawMap::new();
    let settings = [
        ("data", data.to_str().unwrap()),
        ("s3", "127.0.0.1:0"),
        ("admin", "127.0.0.1:0"),
        ("engine", "memory"),
        ("reserve", "0"),
    ];
    for (name, text) in settings {
        flags.insert(name, Raw { texts: vec![text.to_owned()], origin: Origin::Flag(name.to_owned()) });
    }
    load(Sources { config_flag: None, flags, env: Vec::new(), default_file: "/nonexistent".into() }).unwrap()
}

struct Running {
    orders: mpsc::Sender<Signal>,
    addresses: Addresses,
    client: AdminClient,
    task: JoinHandle<Result<(), Failure>>,
}

async fn start(data: &Path, key: &'static str) -> Running {
    let (orders_in, orders) = channel();
    let loaded = configuration(data);
    let again = loaded.clone();
    let inputs = Inputs {
        loaded,
        reread: Box::new(move || Ok(again.clone())),
        var: Box::new(move |name| match name {
            name if name.contains("ACCESS") => Some(key.into()),
            name if name.contains("SECRET") => Some("a-long-secret".into()),
            _ => None,
        }),
        telemetry: Telemetry::detached().unwrap(),
        orders_in: orders_in.clone(),
        orders,
    };
    let (tell, told) = oneshot::channel();
    let task = tokio::spawn(run(inputs, move |addresses| tell.send(addresses).unwrap()));
    let Ok(addresses) = told.await else { panic!("it ended: {}", task.await.unwrap().unwrap_err()) };
    Running { orders: orders_in, addresses, client: AdminClient::new(data), task }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_run_beside_each_other_and_one_stops() {
    let base = tempfile::tempdir().unwrap();
    let (first_data, second_data) = (base.path().join("one"), base.path().join("two"));
    let first = start(&first_data, "first").await;
    let second = start(&second_data, "second").await;
    assert_ne!(first.addresses.s3, second.addresses.s3);

    let request = wire::CreateBucket { name: "only-in-first".to_owned(), owner: None, profile: None };
    let bucket: wire::Bucket = first.client.post("/v1/buckets", &request).await.unwrap();
    assert_eq!(bucket.owner, "first");
    let others: Vec<wire::Bucket> = second.client.get("/v1/buckets").await.unwrap();
    assert!(others.is_empty());

    // A third on the data of the first is refused and leaves it alone.
    let (orders_in, orders) = channel();
    let inputs = Inputs {
        loaded: configuration(&first_data),
        reread: Box::new(|| unreachable!("nobody asks")),
        var: Box::new(|_| None),
        telemetry: Telemetry::detached().unwrap(),
        orders_in,
        orders,
    };
    let refused = run(inputs, |_| panic!("it must not serve")).await.unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");

    first.orders.send(Signal::Stop).await.unwrap();
    first.task.await.unwrap().unwrap();
    assert!(first.client.get::<wire::Status>("/v1/status").await.is_err());
    let status: wire::Status = second.client.get("/v1/status").await.unwrap();
    assert_eq!(status.state, "serving");

    // Stopped cleanly: it starts again on its data, in the same process.
    let first = start(&first_data, "first").await;
    let buckets: Vec<wire::Bucket> = first.client.get("/v1/buckets").await.unwrap();
    assert_eq!(buckets.len(), 1);
    for node in [first, second] {
        node.orders.send(Signal::Stop).await.unwrap();
        node.task.await.unwrap().unwrap();
    }
}
