//! The S3 operation that a request means, by its target alone: for logs, which name it even where it was refused before
//! s3s knew. Names are S3's, `Unknown` where there is none.

use hyper::Method;

use crate::address::Address;
use crate::guard::form_pairs;

/// Nothing that S3 has.
pub(crate) const UNKNOWN: &str = "Unknown";

/// A form to the token service, whose body says what it wants.
pub(crate) const SESSIONS: &str = "SecurityTokenService";

/// Subresources of a bucket: name, and the operations that read, write and delete it.
const OF_BUCKETS: [(&str, &str, &str, &str); 21] = [
    ("accelerate", "GetBucketAccelerateConfiguration", "PutBucketAccelerateConfiguration", UNKNOWN),
    ("acl", "GetBucketAcl", "PutBucketAcl", UNKNOWN),
    (
        "analytics",
        "GetBucketAnalyticsConfiguration",
        "PutBucketAnalyticsConfiguration",
        "DeleteBucketAnalyticsConfiguration",
    ),
    ("cors", "GetBucketCors", "PutBucketCors", "DeleteBucketCors"),
    ("encryption", "GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption"),
    (
        "intelligent-tiering",
        "GetBucketIntelligentTieringConfiguration",
        "PutBucketIntelligentTieringConfiguration",
        "DeleteBucketIntelligentTieringConfiguration",
    ),
    (
        "inventory",
        "GetBucketInventoryConfiguration",
        "PutBucketInventoryConfiguration",
        "DeleteBucketInventoryConfiguration",
    ),
    ("lifecycle", "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"),
    ("location", "GetBucketLocation", UNKNOWN, UNKNOWN),
    ("logging", "GetBucketLogging", "PutBucketLogging", UNKNOWN),
    ("metrics", "GetBucketMetricsConfiguration", "PutBucketMetricsConfiguration", "DeleteBucketMetricsConfiguration"),
    ("notification", "GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration", UNKNOWN),
    ("object-lock", "GetObjectLockConfiguration", "PutObjectLockConfiguration", UNKNOWN),
    ("ownershipControls", "GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"),
    ("policy", "GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
    ("policyStatus", "GetBucketPolicyStatus", UNKNOWN, UNKNOWN),
    ("publicAccessBlock", "GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock"),
    ("replication", "GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication"),
    ("requestPayment", "GetBucketRequestPayment", "PutBucketRequestPayment", UNKNOWN),
    ("versioning", "GetBucketVersioning", "PutBucketVersioning", UNKNOWN),
    ("website", "GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"),
];

/// What a request means. `form` says that its body is a browser's form.
pub(crate) fn of(method: &Method, address: Option<&Address>, query: &str, copies: bool, form: bool) -> &'static str {
    let Some(address) = address else { return UNKNOWN };
    match *method {
        Method::PATCH => return of_admin(&address.path),
        Method::OPTIONS => return "Options",
        _ if form => return "PostObject",
        _ => {}
    }
    let has = |wanted: &str| !query.is_empty() && form_pairs(query).any(|(name, _)| name == wanted);
    if address.bucket.is_empty() {
        return if *method == Method::GET { "ListBuckets" } else { UNKNOWN };
    }
    if address.key.is_empty() { of_bucket(method, query, has) } else { of_object(method, copies, has) }
}

fn of_bucket(method: &Method, query: &str, has: impl Fn(&str) -> bool) -> &'static str {
    if !query.is_empty() {
        for (name, get, put, delete) in OF_BUCKETS.into_iter().filter(|(name, ..)| has(name)) {
            match *method {
                // One of several analytics, inventories …
                Method::GET if get.ends_with("Configuration") && MANY.contains(&name) && !has("id") => return UNKNOWN,
                Method::GET => return get,
                Method::PUT => return put,
                Method::DELETE => return delete,
                _ => {}
            }
        }
    }
    match *method {
        Method::GET if has("tagging") => "GetBucketTagging",
        Method::PUT if has("tagging") => "PutBucketTagging",
        Method::DELETE if has("tagging") => "DeleteBucketTagging",
        Method::GET if has("versions") => "ListObjectVersions",
        Method::GET if has("uploads") => "ListMultipartUploads",
        Method::GET if form_pairs(query).any(|(name, value)| name == "list-type" && value == "2") => "ListObjectsV2",
        Method::GET => "ListObjects",
        Method::HEAD => "HeadBucket",
        Method::PUT => "CreateBucket",
        Method::DELETE => "DeleteBucket",
        Method::POST if has("delete") => "DeleteObjects",
        _ => UNKNOWN,
    }
}

/// Those of which a bucket may have several.
const MANY: [&str; 4] = ["analytics", "intelligent-tiering", "inventory", "metrics"];

fn of_object(method: &Method, copies: bool, has: impl Fn(&str) -> bool) -> &'static str {
    match *method {
        Method::GET if has("acl") => "GetObjectAcl",
        Method::GET if has("attributes") => "GetObjectAttributes",
        Method::GET if has("tagging") => "GetObjectTagging",
        Method::GET if has("retention") => "GetObjectRetention",
        Method::GET if has("legal-hold") => "GetObjectLegalHold",
        Method::GET if has("uploadId") => "ListParts",
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::PUT if has("acl") => "PutObjectAcl",
        Method::PUT if has("tagging") => "PutObjectTagging",
        Method::PUT if has("retention") => "PutObjectRetention",
        Method::PUT if has("legal-hold") => "PutObjectLegalHold",
        Method::PUT if has("renameObject") => "RenameObject",
        Method::PUT if has("uploadId") && copies => "UploadPartCopy",
        Method::PUT if has("uploadId") => "UploadPart",
        Method::PUT if copies => "CopyObject",
        Method::PUT => "PutObject",
        Method::DELETE if has("tagging") => "DeleteObjectTagging",
        Method::DELETE if has("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        Method::POST if has("uploads") => "CreateMultipartUpload",
        Method::POST if has("uploadId") => "CompleteMultipartUpload",
        Method::POST if has("restore") => "RestoreObject",
        Method::POST if has("select") => "SelectObjectContent",
        _ => UNKNOWN,
    }
}

fn of_admin(path: &str) -> &'static str {
    match path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), "")) {
        ("create-user", "") => "admin_CreateUser",
        ("update-user", "") => "admin_UpdateUser",
        ("delete-user", "") => "admin_DeleteUser",
        ("list-users", "") => "admin_ListUsers",
        ("change-bucket-owner", "") => "admin_ChangeBucketOwner",
        ("list-buckets", "") => "admin_ListBuckets",
        (_, "create") => "admin_CreateBucket",
        _ => UNKNOWN,
    }
}

/// Whether an operation goes into the audit log: who may do what, and what a bucket does by itself. Reading accounts is
/// one of them, since their secrets come with them.
pub(crate) fn is_audited(operation: &str) -> bool {
    match operation {
        SESSIONS
        | "CreateBucket"
        | "DeleteBucket"
        | "PutObjectAcl"
        | "PutObjectRetention"
        | "PutObjectLegalHold"
        | "PutBucketTagging"
        | "DeleteBucketTagging"
        | "PutPublicAccessBlock"
        | "DeletePublicAccessBlock"
        | "PutObjectLockConfiguration" => true,
        "admin_ListBuckets" => false,
        other => other.starts_with("PutBucket") || other.starts_with("DeleteBucket") || other.starts_with("admin_"),
    }
}

/// VersityGW's name of it.
pub(crate) fn versitygw(operation: &str) -> String {
    match operation {
        UNKNOWN | SESSIONS | "Other" => "ActionUnDetected".to_owned(),
        "ListBuckets" => "s3_ListAllMyBuckets".to_owned(),
        admin if admin.starts_with("admin_") => admin.to_owned(),
        other => format!("s3_{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn name(method: &str, uri: &str) -> &'static str {
        let head = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
        let address = Address::read(&head, None);
        of(&head.method, address.as_ref(), head.uri.query().unwrap_or_default(), false, false)
    }

    #[test]
    fn operations_have_their_names() {
        for (method, uri, wanted) in [
            ("GET", "/", "ListBuckets"),
            ("GET", "/b", "ListObjects"),
            ("GET", "/b/?list-type=2&prefix=a", "ListObjectsV2"),
            ("GET", "/b?versions", "ListObjectVersions"),
            ("PUT", "/b", "CreateBucket"),
            ("PUT", "/b?policy", "PutBucketPolicy"),
            ("DELETE", "/b?lifecycle", "DeleteBucketLifecycle"),
            ("DELETE", "/b/", "DeleteBucket"),
            ("PUT", "/b/k?policy", "PutObject"),
            ("PUT", "/b/k?partNumber=1&uploadId=x", "UploadPart"),
            ("DELETE", "/b/k?uploadId=x", "AbortMultipartUpload"),
            ("PATCH", "/create-user", "admin_CreateUser"),
            ("PATCH", "/b/create", "admin_CreateBucket"),
            ("PATCH", "/b/k", UNKNOWN),
            ("OPTIONS", "/b/k", "Options"),
            ("BREW", "/b/k", UNKNOWN),
        ] {
            assert_eq!(name(method, uri), wanted, "{method} {uri}");
        }
    }

    #[test]
    fn what_changes_rights_and_buckets_is_audited() {
        for yes in [
            "PutBucketPolicy",
            "DeleteBucketLifecycle",
            "CreateBucket",
            "PutPublicAccessBlock",
            "admin_CreateUser",
            "admin_ListUsers",
        ] {
            assert!(is_audited(yes), "{yes}");
        }
        for no in ["PutObject", "GetBucketPolicy", "DeleteObject", "ListObjectsV2", "admin_ListBuckets", UNKNOWN] {
            assert!(!is_audited(no), "{no}");
        }
        assert_eq!(versitygw("ListBuckets"), "s3_ListAllMyBuckets");
        assert_eq!(versitygw("admin_ListUsers"), "admin_ListUsers");
        assert_eq!(versitygw(UNKNOWN), "ActionUnDetected");
    }
}
