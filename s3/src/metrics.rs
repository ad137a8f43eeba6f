//! Metrics of the S3 door. `operation` is S3's name of the operation (`PutObject` …), `Other` for one that this server
//! does not offer, `Unknown` for a request that was refused before its operation was known.
//!
//! | name | kind | labels | meaning |
//! |---|---|---|---|
//! | `pinfold_s3_requests_total` | counter | `operation`, `status` | answered requests, by HTTP status |
//! | `pinfold_s3_request_duration_seconds` | histogram | `operation` | request head read to the answer's last byte handed over |
//! | `pinfold_s3_first_byte_seconds` | histogram | `operation` | request head read to the answer's head |
//! | `pinfold_s3_received_bytes_total` | counter | `operation` | bytes of request bodies, as framed |
//! | `pinfold_s3_sent_bytes_total` | counter | `operation` | bytes of answers' bodies |
//! | `pinfold_s3_aborted_total` | counter | `operation` | answers that the client did not take to their end |
//! | `pinfold_s3_requests_in_flight` | gauge | | requests being served |
//! | `pinfold_s3_requests_queued_out_total` | counter | | requests refused with SlowDown for want of a place |
//! | `pinfold_s3_connections` | gauge | | open connections |
//! | `pinfold_s3_connections_total` | counter | | accepted connections |
//! | `pinfold_s3_tls_failures_total` | counter | | failed TLS handshakes |
//! | `pinfold_s3_limited_total` | counter | `by` | requests refused with SlowDown by a rate (`ip`, `account`, `bucket`) |
//! | `pinfold_s3_paced_total` | counter | `by` | times that a body waited for a byte rate |
//! | `pinfold_s3_access_log_lines_total` | counter | `log` | lines handed to the access log (`file`, `webhook`, `admin`) |
//! | `pinfold_s3_access_log_dropped_total` | counter | `log` | lines that could not be written |
//! | `pinfold_s3_bucket_log_lines_total` | counter | | lines of buckets' logs (PutBucketLogging) that were put |
//! | `pinfold_s3_bucket_log_dropped_total` | counter | | lines that found no room, or whose target did not take them |
//! | `pinfold_s3_panics_total` | counter | | requests that ended in a bug |

use std::time::Duration;

use hyper::StatusCode;

/// The operations this server offers; their names label metrics, so that no client can invent labels.
const OPERATIONS: [&str; 67] = [
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketLifecycle",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketTagging",
    "DeleteBucketWebsite",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "DeletePublicAccessBlock",
    "GetBucketAcl",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketLifecycleConfiguration",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetPublicAccessBlock",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PutBucketAcl",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "RenameObject",
    "UploadPart",
    "UploadPartCopy",
];

/// The label of an operation.
pub(crate) fn operation(name: &str) -> &'static str {
    OPERATIONS.binary_search(&name).map_or("Other", |i| OPERATIONS[i])
}

pub(crate) fn answered(operation: &'static str, status: StatusCode, first_byte: Duration) {
    metrics::counter!("pinfold_s3_requests_total", "operation" => operation, "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!("pinfold_s3_first_byte_seconds", "operation" => operation).record(first_byte);
}

pub(crate) fn finished(operation: &'static str, took: Duration, received: u64, sent: u64, whole: bool) {
    metrics::histogram!("pinfold_s3_request_duration_seconds", "operation" => operation).record(took);
    if received > 0 {
        metrics::counter!("pinfold_s3_received_bytes_total", "operation" => operation).increment(received);
    }
    if sent > 0 {
        metrics::counter!("pinfold_s3_sent_bytes_total", "operation" => operation).increment(sent);
    }
    if !whole {
        metrics::counter!("pinfold_s3_aborted_total", "operation" => operation).increment(1);
    }
}

pub(crate) fn queued_out() {
    metrics::counter!("pinfold_s3_requests_queued_out_total").increment(1);
}

pub(crate) fn limited(by: &'static str) {
    metrics::counter!("pinfold_s3_limited_total", "by" => by).increment(1);
}

pub(crate) fn paced(by: &'static str) {
    metrics::counter!("pinfold_s3_paced_total", "by" => by).increment(1);
}

pub(crate) fn panicked() {
    metrics::counter!("pinfold_s3_panics_total").increment(1);
}

pub(crate) fn tls_failed() {
    metrics::counter!("pinfold_s3_tls_failures_total").increment(1);
}

/// A gauge that counts while it lives.
pub(crate) struct Counted(&'static str);

impl Counted {
    /// One more request being served.
    pub(crate) fn request() -> Self {
        Self::new("pinfold_s3_requests_in_flight")
    }

    /// One more open connection.
    pub(crate) fn connection() -> Self {
        metrics::counter!("pinfold_s3_connections_total").increment(1);
        Self::new("pinfold_s3_connections")
    }

    fn new(name: &'static str) -> Self {
        metrics::gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        assert!(OPERATIONS.is_sorted());
        assert_eq!(operation("GetObject"), "GetObject");
        assert_eq!(operation("SelectObjectContent"), "Other");
    }
}
