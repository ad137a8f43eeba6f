//! Requests that nobody signed: what they may never do, with AWS's words, and what their bodies may be.

use http::HeaderMap;
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::error::{fail, invalid_request, payload_mismatch, plain, with_detail};
use crate::guard::form_pairs;

/// Refuses what needs an account whatever a bucket says.
pub(crate) fn check_operation(operation: &str) -> S3Result<()> {
    let message = match operation {
        "ListBuckets" | "UploadPartCopy" | "DeleteObjects" => return Err(plain(S3ErrorCode::AccessDenied)),
        "GetBucketOwnershipControls" => "s3:GetBucketOwnershipControls does not support Anonymous requests!",
        "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => {
            "s3:PutBucketOwnershipControls does not support Anonymous requests!"
        }
        "PutBucketAcl" | "PutObjectAcl" | "SelectObjectContent" | "CreateBucket" => {
            "Anonymous users cannot invoke this API. Please authenticate."
        }
        "CopyObject" => "Anonymous users cannot copy objects. Please authenticate.",
        "CreateMultipartUpload" => "Anonymous users cannot initiate multipart uploads. Please authenticate.",
        _ => return Ok(()),
    };
    Err(fail(S3ErrorCode::AccessDenied, message))
}

/// What is refused although the bucket allows it: policies are for accounts, and who did not sign gets answers as they
/// are.
pub(crate) fn check_allowed(operation: &str, query: Option<&str>) -> S3Result<()> {
    let method = match operation {
        "GetBucketPolicy" => "GET",
        "PutBucketPolicy" => "PUT",
        "DeleteBucketPolicy" => "DELETE",
        "GetObject" | "HeadObject" if query.is_some_and(|q| q.split('&').any(|p| p.starts_with("response-"))) => {
            return Err(invalid_request(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        _ => return Ok(()),
    };
    let mut refused = with_detail(plain(S3ErrorCode::MethodNotAllowed), "Method", method);
    refused = with_detail(refused, "ResourceType", "BUCKETPOLICY");
    refused.set_status_code(StatusCode::METHOD_NOT_ALLOWED);
    Err(refused)
}

/// Bodies that are framed with signatures need a signer; so does, here, the framing without.
pub(crate) fn check_body(headers: &HeaderMap) -> S3Result<()> {
    match headers.get("x-amz-content-sha256").map(|v| v.as_bytes()) {
        Some(b"STREAMING-UNSIGNED-PAYLOAD-TRAILER") => Err(fail(
            S3ErrorCode::NotImplemented,
            "Anonymous requests with trailers are not implemented by this server",
        )),
        Some(value) if value.starts_with(b"STREAMING-") => Err(unsupported()),
        // What is no digest is no body's.
        Some(value) if !value.is_empty() && value != b"UNSIGNED-PAYLOAD" && digest(value).is_none() => {
            Err(payload_mismatch(&String::from_utf8_lossy(value), None))
        }
        _ => Ok(()),
    }
}

fn unsupported() -> S3Error {
    invalid_request(
        "Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or \
         STREAMING-UNSIGNED-PAYLOAD-TRAILER.",
    )
}

/// The SHA-256 that a request says its body has: s3s looks at it only where there is a signature.
pub(crate) fn digest(value: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(value, &mut digest).ok().map(|()| digest)
}

/// Whether a request bears no signature.
pub(crate) fn is_anonymous(head: &http::request::Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    let signs = |name: &str| matches!(name, "X-Amz-Signature" | "X-Amz-Credential" | "X-Amz-Algorithm");
    !head.headers.contains_key(http::header::AUTHORIZATION) && !form_pairs(query).any(|(name, _)| signs(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(uri: &str, signed: bool) -> bool {
        let mut request = http::Request::builder().uri(uri);
        if signed {
            request = request.header("authorization", "anything");
        }
        is_anonymous(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_claims_a_signature_is_not_anonymous() {
        assert!(anonymous("/b/k", false) && anonymous("/b/k?prefix=X-Amz-Signature", false));
        assert!(!anonymous("/b/k", true));
        for query in ["X-Amz-Signature=1", "a=b&X%2DAmz-Credential=x", "X-Amz-Algorithm"] {
            assert!(!anonymous(&format!("/b/k?{query}"), false), "{query}");
        }
    }

    #[test]
    fn bodies_without_a_signer() {
        let code = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-content-sha256", value.parse().unwrap());
            check_body(&headers).map_or_else(|e| e.code().as_str().to_owned(), |()| "ok".to_owned())
        };
        assert_eq!(code("UNSIGNED-PAYLOAD"), "ok");
        assert_eq!(code(&"ab".repeat(32)), "ok");
        assert_eq!(code("ab"), "XAmzContentSHA256Mismatch");
        assert_eq!(code("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), "InvalidRequest");
        assert_eq!(code("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "NotImplemented");
        assert!(check_body(&HeaderMap::new()).is_ok());
    }
}
