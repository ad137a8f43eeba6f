//! AWS's names of operations in server access logs: `REST.METHOD.RESOURCE`.

use hyper::Method;

/// The resource of an operation by its S3 name. AWS's documentation names few of them; the others are those that its
/// logs are known to have.
fn resource(operation: &str) -> &'static str {
    match operation {
        "ListParts" | "CompleteMultipartUpload" | "AbortMultipartUpload" => "UPLOAD",
        "ListMultipartUploads" | "CreateMultipartUpload" => "UPLOADS",
        "UploadPart" | "UploadPartCopy" => "PART",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" | "CreateBucket" | "DeleteBucket" => "BUCKET",
        "ListObjectVersions" => "BUCKETVERSIONS",
        "DeleteObjects" => "MULTI_OBJECT_DELETE",
        "Options" => "PREFLIGHT",
        "RenameObject" => "RENAME",
        "GetObjectAttributes" => "OBJECT_ATTRIBUTES",
        "RestoreObject" => "RESTORE",
        other => of_subresource(
            other.strip_prefix("Get").or(other.strip_prefix("Put")).or(other.strip_prefix("Delete")).unwrap_or(other),
        ),
    }
}

fn of_subresource(name: &str) -> &'static str {
    match name {
        "BucketAcl" | "ObjectAcl" => "ACL",
        "BucketCors" => "CORS",
        "BucketEncryption" => "ENCRYPTION",
        "BucketLifecycle" | "BucketLifecycleConfiguration" => "LIFECYCLE",
        "BucketLocation" => "LOCATION",
        "BucketLogging" => "LOGGING_STATUS",
        "BucketNotificationConfiguration" => "NOTIFICATION",
        "BucketOwnershipControls" => "OWNERSHIP_CONTROLS",
        "BucketPolicy" => "BUCKETPOLICY",
        "BucketPolicyStatus" => "POLICY_STATUS",
        "BucketRequestPayment" => "REQUEST_PAYMENT",
        "BucketTagging" => "TAGGING",
        "BucketVersioning" => "VERSIONING",
        "BucketWebsite" => "WEBSITE",
        "ObjectLegalHold" => "OBJECT_LOCK_LEGALHOLD",
        "ObjectLockConfiguration" => "OBJECT_LOCK_CONFIGURATION",
        "ObjectRetention" => "OBJECT_LOCK_RETENTION",
        "ObjectTagging" => "OBJECT_TAGGING",
        "PublicAccessBlock" => "PUBLIC_ACCESS_BLOCK",
        // GetObject, PutObject, PostObject, HeadObject, CopyObject, and what is no operation.
        _ => "OBJECT",
    }
}

/// AWS's name of what was asked.
pub(super) fn name(operation: &str, method: &Method, of_site: bool) -> String {
    let door = if of_site { "WEBSITE" } else { "REST" };
    let method = match operation {
        "CopyObject" | "UploadPartCopy" => "COPY",
        _ => method.as_str(),
    };
    format!("{door}.{method}.{}", resource(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_awss_names() {
        for (operation, method, expected) in [
            ("GetObject", Method::GET, "REST.GET.OBJECT"),
            ("CopyObject", Method::PUT, "REST.COPY.OBJECT"),
            ("UploadPartCopy", Method::PUT, "REST.COPY.PART"),
            ("ListObjectsV2", Method::GET, "REST.GET.BUCKET"),
            ("GetBucketVersioning", Method::GET, "REST.GET.VERSIONING"),
            ("GetBucketLogging", Method::GET, "REST.GET.LOGGING_STATUS"),
            ("PutBucketPolicy", Method::PUT, "REST.PUT.BUCKETPOLICY"),
            ("DeleteObjects", Method::POST, "REST.POST.MULTI_OBJECT_DELETE"),
            ("CreateMultipartUpload", Method::POST, "REST.POST.UPLOADS"),
            ("CompleteMultipartUpload", Method::POST, "REST.POST.UPLOAD"),
            ("Options", Method::OPTIONS, "REST.OPTIONS.PREFLIGHT"),
        ] {
            assert_eq!(name(operation, &method, false), expected);
        }
        assert_eq!(name("GetObject", &Method::GET, true), "WEBSITE.GET.OBJECT");
    }
}
