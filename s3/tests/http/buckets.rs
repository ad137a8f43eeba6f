//! Buckets, and who may do what with them.

use pinfold_store::namespace::Role;

use super::support::{Req, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_buckets_life() {
    let server = Server::start().await;
    assert_eq!(server.put("/pics", "").await.ok().header("location"), "/pics");
    server.put("/pics", "").await.refused(409, "BucketAlreadyOwnedByYou");
    server.put("/Bad_Name", "").await.refused(400, "InvalidBucketName");
    let head = server.head("/pics").await.ok();
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    assert_eq!(server.head("/none").await.status, 404);
    assert_eq!(server.get("/").await.ok().elements("Name"), ["pics"]);
    assert!(server.get("/pics?location").await.ok().text().contains("LocationConstraint"));
    assert!(server.get("/pics?versioning").await.ok().element("Status").is_none());
    let acl = server.get("/pics?acl").await.ok();
    assert_eq!((acl.element("Permission"), acl.element("ID")), (Some("FULL_CONTROL"), Some("root-key")));
    server.put("/pics/deep/key", "x").await.ok();
    server.delete("/pics").await.refused(409, "BucketNotEmpty");
    server.delete("/pics/deep/key").await.ok();
    assert_eq!(server.delete("/pics").await.status, 204);
    server.get("/pics").await.refused(404, "NoSuchBucket");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_and_tags() {
    let server = Server::start().await;
    let at = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    server.put("/here", at("eu-west-1")).await.refused(400, "InvalidLocationConstraint");
    server.put("/here", at("us-east-1")).await.refused(400, "InvalidLocationConstraint");
    server.put("/here", "").await.ok();
    server.get("/here?tagging").await.refused(404, "NoSuchTagSet");
    let tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>a</Value></Tag></TagSet></Tagging>";
    assert_eq!(server.put("/here?tagging", tags).await.status, 204);
    assert_eq!(server.get("/here?tagging").await.ok().elements("Key"), ["team"]);
    assert_eq!(server.delete("/here?tagging").await.status, 204);
    server.get("/here?tagging").await.refused(404, "NoSuchTagSet");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_buckets() {
    let server = Server::start().await;
    for name in ["aaa", "aab", "bbb"] {
        server.put(&format!("/{name}"), "").await.ok();
    }
    let first = server.get("/?max-buckets=2").await.ok();
    assert_eq!(first.elements("Name"), ["aaa", "aab"]);
    let token = first.element("ContinuationToken").unwrap().to_owned();
    let second = server.get(&format!("/?max-buckets=2&continuation-token={token}")).await.ok();
    assert_eq!((second.elements("Name"), second.element("ContinuationToken")), (vec!["bbb"], None));
    assert_eq!(server.get("/?prefix=aa").await.ok().elements("Name"), ["aaa", "aab"]);
    server.get("/?max-buckets=0").await.refused(400, "InvalidArgument");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_see_and_use_their_own() {
    const ANN: (&str, &str) = ("ann", "ann-secret");
    const BOB: (&str, &str) = ("bob", "bob-secret");
    const EVE: (&str, &str) = ("eve", "eve-secret");
    let server = Server::start().await;
    server.add(ANN, Role::UserPlus).await;
    server.add(BOB, Role::User).await;
    server.add(EVE, Role::Admin).await;
    let by = |who, method: &str, path: &str| server.call(Req::new(method, path).by(who));
    by(BOB, "PUT", "/bobs").await.refused(403, "AccessDenied");
    by(ANN, "PUT", "/anns").await.ok();
    server.put("/roots", "").await.ok();
    server.put("/roots/k", "x").await.ok();
    by(ANN, "PUT", "/anns/k").await.ok();
    for (who, path) in [(ANN, "/roots/k"), (BOB, "/anns/k"), (BOB, "/roots")] {
        for method in ["GET", "DELETE"] {
            by(who, method, path).await.refused(403, "AccessDenied");
        }
    }
    assert_eq!(by(BOB, "HEAD", "/anns").await.status, 403);
    by(EVE, "GET", "/anns/k").await.ok();
    by(ANN, "PUT", "/roots").await.refused(409, "BucketAlreadyExists");
    assert_eq!(by(ANN, "GET", "/").await.ok().elements("Name"), ["anns"]);
    assert_eq!(by(EVE, "GET", "/").await.ok().elements("Name"), ["anns", "roots"]);
    assert!(by(BOB, "GET", "/").await.ok().elements("Name").is_empty());
    // A copy needs both its ends.
    let copy = Req::new("PUT", "/anns/stolen").header("x-amz-copy-source", "roots/k").by(ANN);
    server.call(copy).await.refused(403, "AccessDenied");
    let owner = |name: &str| Req::new("GET", "/anns/k").header("x-amz-expected-bucket-owner", name);
    server.call(owner("ann")).await.ok();
    server.call(owner("root-key")).await.refused(403, "AccessDenied");
    server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_says_so() {
    let server = Server::with_bucket().await;
    server.put("/bkt?replication", "<ReplicationConfiguration/>").await.refused(501, "NotImplemented");
    server.get("/bkt?replication").await.refused(501, "NotImplemented");
    let put = |name: &str, value: &str| server.call(Req::new("PUT", "/bkt/k").body("x").header(name, value));
    put("x-amz-server-side-encryption", "aws:kms").await.refused(501, "NotImplemented");
    // This server has no master key.
    put("x-amz-server-side-encryption", "AES256").await.refused(403, "AccessDenied");
    put("x-amz-object-lock-legal-hold", "ON").await.refused(400, "InvalidRequest");
    put("x-amz-acl", "for-nobody").await.refused(400, "InvalidArgument");
    server.get("/bkt/k").await.refused(404, "NoSuchKey");
    server.close().await;
}
