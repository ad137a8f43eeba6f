//! ListObjects, V1 and V2.

use super::support::Server;

async fn filled(keys: &[&str]) -> Server {
    let server = Server::with_bucket().await;
    for key in keys {
        server.put(&format!("/bkt/{key}"), "x").await.ok();
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_prefixes_and_delimiters() {
    let server = filled(&["a", "a-", "a/1", "a/2", "a0", "b/x/y", "c"]).await;
    let all = server.get("/bkt?list-type=2").await.ok();
    assert_eq!(all.elements("Key"), ["a", "a-", "a/1", "a/2", "a0", "b/x/y", "c"]);
    assert_eq!((all.element("KeyCount"), all.element("IsTruncated")), (Some("7"), Some("false")));
    assert!(all.element("Owner").is_none());
    assert!(server.get("/bkt?list-type=2&fetch-owner=true").await.ok().element("Owner").is_some());
    let rolled = server.get("/bkt?list-type=2&delimiter=%2F").await.ok();
    assert_eq!(rolled.elements("Key"), ["a", "a-", "a0", "c"]);
    assert!(rolled.text().contains("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"));
    assert_eq!(server.get("/bkt?list-type=2&prefix=a%2F").await.ok().elements("Key"), ["a/1", "a/2"]);
    assert_eq!(
        server.get("/bkt?list-type=2&start-after=a%2F1").await.ok().elements("Key"),
        ["a/2", "a0", "b/x/y", "c"]
    );
    let (mut keys, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = server.get(&format!("/bkt?list-type=2&max-keys=3{token}")).await.ok();
        keys.extend(page.elements("Key").into_iter().map(str::to_owned));
        pages += 1;
        match page.element("NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!((keys.len(), pages), (7, 3));
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_goes_on_at_its_marker() {
    let server = filled(&["a", "b/1", "b/2", "c"]).await;
    let first = server.get("/bkt?delimiter=%2F&max-keys=2").await.ok();
    assert_eq!((first.element("NextMarker"), first.element("IsTruncated")), (Some("b/"), Some("true")));
    assert!(first.element("Owner").is_some());
    assert_eq!(server.get("/bkt?delimiter=%2F&marker=b%2F").await.ok().elements("Key"), ["c"]);
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_parameters() {
    let server = filled(&["sp%20ace", "a%2Bb", "%01x"]).await;
    let shown = server.get("/bkt?list-type=2&encoding-type=url").await.ok();
    assert_eq!(shown.elements("Key"), ["%01x", "a%2Bb", "sp%20ace"]);
    let none = server.get("/bkt?list-type=2&max-keys=0").await.ok();
    assert_eq!((none.elements("Key").len(), none.element("IsTruncated")), (0, Some("false")));
    for bad in ["max-keys=-1", "max-keys=x", "max-keys=99999999999", "continuation-token=zz~", "encoding-type=rot13"] {
        server.get(&format!("/bkt?list-type=2&{bad}")).await.refused(400, "InvalidArgument");
    }
    server.close().await;
}
