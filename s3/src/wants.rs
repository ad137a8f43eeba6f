//! What each operation asks for: actions of policies, and the permission that access control lists know it by.
//!
//! A bucket's list gives what AWS's does: READ lists, WRITE puts and deletes. Objects have no lists of their own here,
//! so that READ of the bucket also reads them (as with VersityGW).

use http::HeaderMap;
use pinfold_store::iam::Permission;

/// What an operation asks for. All actions must be allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Actions.
    pub(crate) actions: Vec<&'static str>,
    /// What gives it in an access control list; `None`: nothing does.
    pub(crate) permission: Option<Permission>,
}

const NONE: Option<Permission> = None;
const READ: Option<Permission> = Some(Permission::Read);
const WRITE: Option<Permission> = Some(Permission::Write);
const READ_ACP: Option<Permission> = Some(Permission::ReadAcp);
const WRITE_ACP: Option<Permission> = Some(Permission::WriteAcp);

/// Operations on buckets, and on objects whatever their version.
const SIMPLE: [(&str, &str, Option<Permission>); 52] = [
    ("HeadBucket", "s3:ListBucket", READ),
    ("ListObjects", "s3:ListBucket", READ),
    ("ListObjectsV2", "s3:ListBucket", READ),
    ("ListObjectVersions", "s3:ListBucketVersions", READ),
    ("ListMultipartUploads", "s3:ListBucketMultipartUploads", READ),
    ("DeleteBucket", "s3:DeleteBucket", NONE),
    ("GetBucketAcl", "s3:GetBucketAcl", READ_ACP),
    ("PutBucketAcl", "s3:PutBucketAcl", WRITE_ACP),
    ("GetBucketLocation", "s3:GetBucketLocation", NONE),
    ("GetBucketPolicy", "s3:GetBucketPolicy", NONE),
    ("PutBucketPolicy", "s3:PutBucketPolicy", NONE),
    ("DeleteBucketPolicy", "s3:DeleteBucketPolicy", NONE),
    ("GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", NONE),
    ("GetBucketOwnershipControls", "s3:GetBucketOwnershipControls", NONE),
    ("PutBucketOwnershipControls", "s3:PutBucketOwnershipControls", NONE),
    ("DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls", NONE),
    ("GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", NONE),
    ("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", NONE),
    ("DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock", NONE),
    ("GetBucketTagging", "s3:GetBucketTagging", NONE),
    ("PutBucketTagging", "s3:PutBucketTagging", NONE),
    ("DeleteBucketTagging", "s3:PutBucketTagging", NONE),
    // Who may list may know whether there are versions: VersityGW's rule.
    ("GetBucketVersioning", "s3:GetBucketVersioning", READ),
    ("PutBucketVersioning", "s3:PutBucketVersioning", NONE),
    ("GetBucketCors", "s3:GetBucketCORS", NONE),
    ("PutBucketCors", "s3:PutBucketCORS", NONE),
    ("DeleteBucketCors", "s3:PutBucketCORS", NONE),
    ("GetBucketWebsite", "s3:GetBucketWebsite", NONE),
    ("PutBucketWebsite", "s3:PutBucketWebsite", NONE),
    ("DeleteBucketWebsite", "s3:DeleteBucketWebsite", NONE),
    ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", NONE),
    ("PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration", NONE),
    ("DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", NONE),
    ("GetBucketEncryption", "s3:GetEncryptionConfiguration", NONE),
    ("PutBucketEncryption", "s3:PutEncryptionConfiguration", NONE),
    ("DeleteBucketEncryption", "s3:PutEncryptionConfiguration", NONE),
    ("GetBucketLogging", "s3:GetBucketLogging", NONE),
    ("PutBucketLogging", "s3:PutBucketLogging", NONE),
    ("GetBucketNotificationConfiguration", "s3:GetBucketNotification", NONE),
    ("PutBucketNotificationConfiguration", "s3:PutBucketNotification", NONE),
    ("GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", NONE),
    ("PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration", NONE),
    ("GetObjectLegalHold", "s3:GetObjectLegalHold", NONE),
    ("PutObjectLegalHold", "s3:PutObjectLegalHold", NONE),
    ("GetObjectRetention", "s3:GetObjectRetention", NONE),
    ("UploadPart", "s3:PutObject", WRITE),
    ("UploadPartCopy", "s3:PutObject", WRITE),
    ("CompleteMultipartUpload", "s3:PutObject", WRITE),
    ("AbortMultipartUpload", "s3:AbortMultipartUpload", WRITE),
    ("ListParts", "s3:ListMultipartUploadParts", WRITE),
    ("RestoreObject", "s3:RestoreObject", NONE),
    ("SelectObjectContent", "s3:GetObject", READ),
];

/// Operations on an object or one version of it.
const VERSIONED: [(&str, [&str; 2], Option<Permission>); 8] = [
    ("GetObject", ["s3:GetObject", "s3:GetObjectVersion"], READ),
    ("HeadObject", ["s3:GetObject", "s3:GetObjectVersion"], READ),
    ("DeleteObject", ["s3:DeleteObject", "s3:DeleteObjectVersion"], WRITE),
    ("GetObjectAcl", ["s3:GetObjectAcl", "s3:GetObjectVersionAcl"], READ_ACP),
    ("PutObjectAcl", ["s3:PutObjectAcl", "s3:PutObjectVersionAcl"], WRITE_ACP),
    ("GetObjectTagging", ["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], NONE),
    ("PutObjectTagging", ["s3:PutObjectTagging", "s3:PutObjectVersionTagging"], NONE),
    ("DeleteObjectTagging", ["s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"], NONE),
];

/// What an operation asks for; `None` for one that nobody but administrators may call.
pub(crate) fn of(operation: &str, version: bool, headers: &HeaderMap) -> Option<Wants> {
    if let Some((_, action, permission)) = SIMPLE.iter().find(|(name, _, _)| *name == operation) {
        return Some(Wants { actions: vec![action], permission: *permission });
    }
    if let Some((_, actions, permission)) = VERSIONED.iter().find(|(name, _, _)| *name == operation) {
        return Some(Wants { actions: vec![actions[usize::from(version)]], permission: *permission });
    }
    let has = |name: &str| headers.get(name).is_some_and(|v| !v.is_empty());
    match operation {
        "GetObjectAttributes" => {
            let actions = match version {
                false => vec!["s3:GetObject", "s3:GetObjectAttributes"],
                true => vec!["s3:GetObjectVersion", "s3:GetObjectVersionAttributes"],
            };
            Some(Wants { actions, permission: READ })
        }
        "PutObjectRetention" => {
            let mut actions = vec!["s3:PutObjectRetention"];
            if bypasses(headers) {
                actions.push("s3:BypassGovernanceRetention");
            }
            Some(Wants { actions, permission: NONE })
        }
        "PutObject" | "PostObject" | "CreateMultipartUpload" | "CopyObject" => {
            let mut actions = vec!["s3:PutObject"];
            if has("x-amz-tagging") {
                actions.push("s3:PutObjectTagging");
            }
            if has("x-amz-object-lock-legal-hold") {
                actions.push("s3:PutObjectLegalHold");
            }
            if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
                actions.push("s3:PutObjectRetention");
            }
            if has("x-amz-acl") || GRANTS.iter().any(|name| has(name)) {
                actions.push("s3:PutObjectAcl");
            }
            // A list's WRITE puts objects; what else is asked with it takes more.
            Some(Wants { permission: WRITE.filter(|_| actions.len() == 1), actions })
        }
        _ => None,
    }
}

/// Headers that grant.
pub(crate) const GRANTS: [&str; 5] = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

fn bypasses(headers: &HeaderMap) -> bool {
    headers.get("x-amz-bypass-governance-retention").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(operation: &str, version: bool, names: &[&'static str]) -> Vec<&'static str> {
        let headers = names.iter().map(|n| (http::HeaderName::from_static(n), "true".parse().unwrap())).collect();
        of(operation, version, &headers).unwrap().actions
    }

    #[test]
    fn more_is_asked_for_more() {
        assert_eq!(actions("PutObject", false, &[]), ["s3:PutObject"]);
        assert_eq!(actions("CopyObject", false, &["x-amz-tagging"]), ["s3:PutObject", "s3:PutObjectTagging"]);
        let locked = ["x-amz-object-lock-mode", "x-amz-object-lock-legal-hold"];
        let expected = ["s3:PutObject", "s3:PutObjectLegalHold", "s3:PutObjectRetention"];
        assert_eq!(actions("CreateMultipartUpload", false, &locked), expected);
        assert_eq!(actions("GetObject", true, &[]), ["s3:GetObjectVersion"]);
        assert_eq!(actions("GetObjectAttributes", false, &[]), ["s3:GetObject", "s3:GetObjectAttributes"]);
        let bypass = ["x-amz-bypass-governance-retention"];
        assert_eq!(
            actions("PutObjectRetention", false, &bypass),
            ["s3:PutObjectRetention", "s3:BypassGovernanceRetention"]
        );
        assert_eq!(of("WriteGetObjectResponse", false, &HeaderMap::new()), None);
    }
}
