//! The actions there are, and which are about objects.

use super::pattern;

/// Actions on objects.
const OF_OBJECTS: [&str; 26] = [
    "s3:AbortMultipartUpload",
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectLegalHold",
    "s3:GetObjectRetention",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "s3:RenameObject",
    "s3:RestoreObject",
];

/// Actions on buckets.
const OF_BUCKETS: [&str; 49] = [
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucketWebsite",
    "s3:GetAccelerateConfiguration",
    "s3:GetAnalyticsConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetIntelligentTieringConfiguration",
    "s3:GetInventoryConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetMetricsConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutAccelerateConfiguration",
    "s3:PutAnalyticsConfiguration",
    "s3:PutBucketAcl",
    "s3:PutBucketCORS",
    "s3:PutBucketLogging",
    "s3:PutBucketNotification",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketRequestPayment",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutBucketWebsite",
    "s3:PutEncryptionConfiguration",
    "s3:PutIntelligentTieringConfiguration",
    "s3:PutInventoryConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutMetricsConfiguration",
    "s3:PutReplicationConfiguration",
];

/// What is asked of IPFS, which AWS does not have.
const OF_IPFS: [&str; 4] = ["pinfold:Pin", "pinfold:ReadCid", "pinfold:SetReplication", "pinfold:Unpin"];

/// What is asked of no bucket: policies of accounts say something about it, those of buckets cannot.
const OF_NO_BUCKET: [&str; 2] = [ASSUME_ROLE, LIST_ALL_BUCKETS];

/// Taking a role.
pub const ASSUME_ROLE: &str = "sts:AssumeRole";
/// Seeing what buckets there are.
pub const LIST_ALL_BUCKETS: &str = "s3:ListAllMyBuckets";

/// Whether a pattern of a policy names an action that there is.
pub(super) fn is_known(text: &str) -> bool {
    is_of_buckets(text) || has_service(text, &["s3", "sts"]) && is_any(text, &OF_NO_BUCKET)
}

/// Whether it names one that bucket policies know.
pub(super) fn is_of_buckets(text: &str) -> bool {
    (text == "*" || has_service(text, &["s3", "pinfold"]))
        && (is_any(text, &OF_OBJECTS) || is_any(text, &OF_BUCKETS) || is_any(text, &OF_IPFS))
}

/// Whether it names nothing but the taking of roles.
pub(super) fn is_of_roles(text: &str) -> bool {
    has_service(text, &["sts"]) && is_any(text, &[ASSUME_ROLE])
}

fn is_any(text: &str, actions: &[&str]) -> bool {
    actions.iter().any(|a| pattern::matches_ignoring_case(text, a))
}

/// A wildcard does not stand for the service.
fn has_service(text: &str, services: &[&str]) -> bool {
    text.split_once(':').is_some_and(|(service, _)| services.iter().any(|s| service.eq_ignore_ascii_case(s)))
}

/// What a pattern of a policy is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// Everything there is.
    Everything,
    /// Objects (perhaps buckets, too).
    Objects,
    /// Buckets only.
    Buckets,
}

pub(super) fn about(text: &str) -> About {
    let mut of_objects = OF_OBJECTS.iter().chain(&OF_IPFS);
    if text == "*" || text.eq_ignore_ascii_case("s3:*") {
        About::Everything
    } else if of_objects.any(|a| pattern::matches_ignoring_case(text, a)) {
        About::Objects
    } else {
        About::Buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_order() {
        assert!(OF_OBJECTS.is_sorted() && OF_BUCKETS.is_sorted() && OF_IPFS.is_sorted());
    }

    #[test]
    fn what_is_no_action_is_not_known() {
        for bad in [
            "invalid_action",
            "s3",
            "s3:",
            "s4:GetObject",
            "ss3:ListBucket",
            "s3x:PutBucketAcl",
            ":GetObject",
            "s3::GetObject",
            "s3:Put-Object",
            "s3:GetObject:",
            "s3:*Obj??ect*",
            "s3:????",
            "s3:*:",
            "???PutObject",
            "s3:Abort?",
            "s3:??Abort*",
        ] {
            assert!(!is_known(bad), "{bad}");
        }
        for good in ["*", "s3:*", "s3:Get*", "s3:getobject", "pinfold:*", "s3:???Object"] {
            assert!(is_known(good) && is_of_buckets(good), "{good}");
        }
        for good in ["s3:ListAllMyBuckets", "sts:*", "STS:AssumeRole"] {
            assert!(is_known(good) && !is_of_buckets(good), "{good}");
        }
        assert!(is_of_roles("sts:Assume*") && !is_of_roles("*") && !is_of_roles("s3:*"));
        assert!(!is_known("sts:GetSessionToken"), "nobody needs leave for it");
    }
}
