//! The one table from the store's errors to S3's, AWS's wording of S3's errors, and the one place that logs them.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{HeaderValue, RETRY_AFTER};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use tracing::{error, warn};

use pinfold_store::{Error, ErrorKind};

use crate::convert::key::url_encode;
use crate::convert::version;
use crate::form;
use crate::scope::{BodyFailure, Scope};

/// The S3 code of a kind of store error, for an object operation.
fn code(kind: ErrorKind) -> S3ErrorCode {
    match kind {
        ErrorKind::NotFound => S3ErrorCode::NoSuchKey,
        // No operation here opens by inode; if one did, the same request would find the name's new object.
        ErrorKind::Stale => S3ErrorCode::ServiceUnavailable,
        ErrorKind::NoSuchBucket => S3ErrorCode::NoSuchBucket,
        ErrorKind::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        ErrorKind::NoSuchVersion => S3ErrorCode::NoSuchVersion,
        ErrorKind::MethodNotAllowed => S3ErrorCode::MethodNotAllowed,
        ErrorKind::AlreadyExists => S3ErrorCode::BucketAlreadyExists,
        ErrorKind::NotEmpty => S3ErrorCode::BucketNotEmpty,
        ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidArgument
        | ErrorKind::NotUtf8
        | ErrorKind::CrossesBuckets => S3ErrorCode::InvalidArgument,
        ErrorKind::NameTooLong => S3ErrorCode::KeyTooLongError,
        ErrorKind::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        ErrorKind::InvalidRange => S3ErrorCode::InvalidRange,
        ErrorKind::InvalidPart => S3ErrorCode::InvalidPart,
        ErrorKind::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        ErrorKind::PartTooSmall => S3ErrorCode::EntityTooSmall,
        ErrorKind::KeyRequired | ErrorKind::KeyNotApplicable => S3ErrorCode::InvalidRequest,
        ErrorKind::PermissionDenied | ErrorKind::NotPermitted | ErrorKind::ObjectLocked | ErrorKind::KeyUnavailable => {
            S3ErrorCode::AccessDenied
        }
        ErrorKind::TooLarge => S3ErrorCode::EntityTooLarge,
        ErrorKind::BadDigest => S3ErrorCode::BadDigest,
        ErrorKind::NoSpace => S3ErrorCode::Custom("InsufficientStorage".into()),
        ErrorKind::QuotaExceeded => S3ErrorCode::Custom("QuotaExceeded".into()),
        ErrorKind::TooMany | ErrorKind::Busy => S3ErrorCode::SlowDown,
        ErrorKind::Unavailable | ErrorKind::TimedOut => S3ErrorCode::ServiceUnavailable,
        ErrorKind::Unsupported => S3ErrorCode::NotImplemented,
        // Corrupt, Io, Internal, NoAttribute, and whatever kind comes later: the client can do nothing about it.
        _ => S3ErrorCode::InternalError,
    }
}

/// AWS's message for a code; `None` where the code alone does not say what is wrong.
pub(crate) fn message(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessControlListNotSupported" => "The bucket does not allow ACLs.",
        "AccessDenied" => "Access Denied.",
        "InvalidBucketAclWithObjectOwnership" => {
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        }
        "MalformedACLError" => {
            "The XML you provided was not well-formed or did not validate against our published schema."
        }
        "MissingSecurityHeader" => "Your request was missing a required header.",
        "NoSuchBucketPolicy" => "The bucket policy does not exist.",
        "NoSuchPublicAccessBlockConfiguration" => "The public access block configuration was not found",
        "OwnershipControlsNotFoundError" => "The bucket ownership controls were not found.",
        "UnexpectedContent" => "This request does not support content.",
        "BadDigest" => "The Content-MD5 you specified did not match what we received.",
        "BucketAlreadyExists" => {
            "The requested bucket name is not available. The bucket name can not be an existing collection, and the \
             bucket namespace is shared by all users of the system. Please select a different name and try again."
        }
        "BucketAlreadyOwnedByYou" => {
            "Your previous request to create the named bucket succeeded and you already own it."
        }
        "BucketNotEmpty" => "The bucket you tried to delete is not empty.",
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed object size.",
        "EntityTooSmall" => "Your proposed upload is smaller than the minimum allowed size",
        "ExpiredToken" => "The provided token has expired.",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header",
        "InsufficientStorage" => "No space left on device.",
        "InternalError" => "We encountered an internal error, please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidChunkSizeError" => "Only the last chunk is allowed to have a size less than 8192 bytes",
        "InvalidDigest" => "The Content-Md5 you specified is not valid.",
        "InvalidLocationConstraint" => "The specified location-constraint is not valid",
        "InvalidPart" => {
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
             specified entity tag may not match the part's entity tag."
        }
        "InvalidEncryptionAlgorithmError" => {
            "The encryption request you specified is not valid. The valid value is AES256."
        }
        "InvalidPartNumber" => "The requested partnumber is not satisfiable.",
        "InvalidPartOrder" => "The list of parts was not in ascending order. Parts must be ordered by part number.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidStorageClass" => "The storage class you specified is not valid",
        "InvalidToken" => "The provided token is malformed or otherwise invalid.",
        "InvalidURI" => "The specified URI couldn't be parsed.",
        "KeyTooLongError" => "Your key is too long.",
        "MalformedTrailerError" => {
            "The request contained trailing data that was not well-formed or did not conform to our published schema."
        }
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema.",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MetadataTooLarge" => "Your metadata headers exceed the maximum allowed metadata size",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request Body is empty",
        "NoSuchBucket" => "The specified bucket does not exist.",
        "NoSuchObjectLockConfiguration" => "The specified object does not have a ObjectLock configuration.",
        "ObjectLockConfigurationNotFoundError" => "Object Lock configuration does not exist for this bucket.",
        "VersioningNotConfigured" => "Versioning has not been configured for the gateway.",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchTagSet" => "The TagSet does not exist.",
        "NoSuchUpload" => {
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been \
             aborted or completed."
        }
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => "A header you provided implies functionality that is not implemented.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold.",
        "QuotaExceeded" => "The quota of the bucket is used up.",
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",

        "RequestTimeout" => {
            "Your socket connection to the server was not read from or written to within the timeout period."
        }
        "ServiceUnavailable" => "Service is unable to handle request.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method."
        }
        "SlowDown" => "Please reduce your request rate.",
        "XAmzContentSHA256Mismatch" => "The provided 'x-amz-content-sha256' header does not match what was computed.",
        _ => return None,
    })
}

/// An error with AWS's own message for its code.
pub(crate) fn plain(code: S3ErrorCode) -> S3Error {
    match message(code.as_str()) {
        Some(text) => S3Error::with_message(code, text),
        None => S3Error::new(code),
    }
}

/// An error with a message of its own.
pub(crate) fn fail(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::with_message(code, message)
}

/// A header that carries a detail of an error (`NAME=VALUE`, the value percent-encoded) from where it is made to where
/// the document is finished; it never leaves the server.
pub(crate) const DETAIL: &str = "x-pinfold-error-detail";

/// Too much at once; `wait` is when it may be asked again.
pub(crate) fn slow_down(wait: Duration) -> S3Error {
    let mut error = plain(S3ErrorCode::SlowDown);
    let mut headers = error.headers().cloned().unwrap_or_default();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    error.set_headers(headers);
    error
}

/// The same error with one more element in its document, as AWS has them (`ArgumentName`, `Key`, `BucketName` …).
pub(crate) fn with_detail(mut error: S3Error, name: &'static str, value: &str) -> S3Error {
    let mut headers = error.headers().cloned().unwrap_or_default();
    if let Ok(detail) = HeaderValue::try_from(format!("{name}={}", url_encode(value.as_bytes()))) {
        headers.append(DETAIL, detail);
    }
    error.set_headers(headers);
    error
}

/// `400 InvalidArgument` that names the argument.
pub(crate) fn bad_argument(name: &'static str, value: &str, message: impl Into<Cow<'static, str>>) -> S3Error {
    let error = with_detail(invalid_argument(message), "ArgumentName", name);
    if value.is_empty() { error } else { with_detail(error, "ArgumentValue", value) }
}

/// `400 InvalidArgument`.
pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> S3Error {
    fail(S3ErrorCode::InvalidArgument, message)
}

/// `400 InvalidRequest`.
pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> S3Error {
    fail(S3ErrorCode::InvalidRequest, message)
}

/// A code that s3s does not know, with the status AWS gives it.
pub(crate) fn custom(code: &'static str, status: hyper::StatusCode) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::Custom(code.into()));
    if let Some(text) = message(code) {
        error.set_message(text);
    }
    error.set_status_code(status);
    error
}

/// The same with words of its own.
pub(crate) fn custom_message(code: &'static str, status: hyper::StatusCode, text: String) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), text);
    error.set_status_code(status);
    error
}

/// The S3 error of a store error. Logs what the operator must know: a failure of the node at `error`, its being busy,
/// full or stopping at `warn`. What the client did wrong is not logged.
pub(crate) fn from_store(e: Error) -> S3Error {
    let code = code(e.kind());
    let mut answer = plain(code.clone());
    match code {
        S3ErrorCode::InternalError => error!(error = %e, kind = ?e.kind(), "request failed"),
        S3ErrorCode::SlowDown | S3ErrorCode::ServiceUnavailable => {
            warn!(error = %e, kind = ?e.kind(), "request refused for now");
        }
        S3ErrorCode::Custom(_) if e.kind() == ErrorKind::QuotaExceeded => {
            answer.set_status_code(hyper::StatusCode::FORBIDDEN);
        }
        S3ErrorCode::Custom(_) => {
            warn!(error = %e, "no space for a write");
            answer.set_status_code(hyper::StatusCode::INSUFFICIENT_STORAGE);
        }
        S3ErrorCode::InvalidArgument | S3ErrorCode::NotImplemented => answer.set_message(e.message().to_owned()),
        S3ErrorCode::AccessDenied if e.kind() == ErrorKind::ObjectLocked => {
            answer.set_message("Access Denied because object protected by object lock.");
        }
        S3ErrorCode::InvalidRequest if e.kind() == ErrorKind::KeyRequired => answer.set_message(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to \
             retrieve the object.",
        ),
        S3ErrorCode::InvalidRequest if e.kind() == ErrorKind::KeyNotApplicable => {
            answer.set_message("The encryption parameters are not applicable to this object.");
        }
        S3ErrorCode::AccessDenied if e.kind() == ErrorKind::KeyUnavailable => {
            // The operator has to know: clients are refused what they may have.
            warn!(error = %e, "a key is not available");
            answer.set_message("The key that encrypts this content is not available.");
        }
        S3ErrorCode::BucketNotEmpty if e.message().contains("versions") => {
            answer.set_message(
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
            );
        }
        _ => {}
    }
    let id = |name| e.context(name).and_then(|text| text.parse().ok()).map(version::show);
    if let Some(marker) = id("marker") {
        answer = with_headers(answer, [("x-amz-delete-marker", "true".to_owned()), ("x-amz-version-id", marker)]);
    }
    if let Some(missing) = id("version").filter(|_| e.kind() == ErrorKind::NoSuchVersion) {
        answer = with_detail(answer, "VersionId", &missing);
    }
    for (element, name) in details(e.kind()) {
        if let Some(value) = e.context(name) {
            answer = with_detail(answer, element, value);
        }
    }
    answer
}

fn with_headers<const N: usize>(mut error: S3Error, more: [(&'static str, String); N]) -> S3Error {
    let mut headers = error.headers().cloned().unwrap_or_default();
    for (name, value) in more {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    error.set_headers(headers);
    error
}

/// What AWS's document of an error has beside the message, and what the store calls it.
fn details(kind: ErrorKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        ErrorKind::NotFound => &[("Key", "key")],
        ErrorKind::NoSuchVersion => &[("Key", "key")],
        ErrorKind::NoSuchBucket | ErrorKind::NotEmpty | ErrorKind::AlreadyExists => &[("BucketName", "bucket")],
        ErrorKind::NoSuchUpload => &[("UploadId", "upload")],
        ErrorKind::PreconditionFailed => &[("Condition", "condition")],
        ErrorKind::InvalidPart => &[("PartNumber", "part")],
        ErrorKind::PartTooSmall => {
            &[("ProposedSize", "size"), ("MinSizeAllowed", "minimum"), ("PartNumber", "part"), ("ETag", "etag")]
        }
        ErrorKind::TooLarge => &[("ProposedSize", "bytes"), ("MaxSizeAllowed", "maximum")],
        ErrorKind::NameTooLong => &[("Size", "bytes"), ("MaxSizeAllowed", "maximum")],
        _ => &[],
    }
}

/// What a failure of a request's body means to its client.
pub(crate) fn from_failure(failure: &BodyFailure) -> S3Error {
    match failure {
        BodyFailure::Incomplete => fail(S3ErrorCode::IncompleteBody, "The request body terminated unexpectedly"),
        BodyFailure::Timeout => plain(S3ErrorCode::RequestTimeout),
        BodyFailure::Framing => fail(S3ErrorCode::IncompleteBody, "The request body terminated unexpectedly"),
        BodyFailure::ChunkTooLarge => {
            let mut error = custom("InvalidChunkSizeError", hyper::StatusCode::BAD_REQUEST);
            error.set_message("The chunk is larger than this server accepts.");
            error
        }
        BodyFailure::ChunkTooSmall(number, size) => {
            let error = custom("InvalidChunkSizeError", hyper::StatusCode::BAD_REQUEST);
            let error = with_detail(error, "Chunk", &number.to_string());
            with_detail(error, "BadChunkSize", &size.to_string())
        }
        BodyFailure::Trailer => custom("MalformedTrailerError", hyper::StatusCode::BAD_REQUEST),
        BodyFailure::Form => form::malformed(),
        BodyFailure::FileTooLarge(size, max) => {
            let error = with_detail(plain(S3ErrorCode::EntityTooLarge), "ProposedSize", &size.to_string());
            with_detail(error, "MaxSizeAllowed", &max.to_string())
        }
        BodyFailure::FileTooSmall(size, min) => {
            let error = with_detail(plain(S3ErrorCode::EntityTooSmall), "ProposedSize", &size.to_string());
            with_detail(error, "MinSizeAllowed", &min.to_string())
        }
        BodyFailure::Sha256 { expected, found } => payload_mismatch(&hex::encode(expected), Some(&hex::encode(found))),
        BodyFailure::Md5 => plain(S3ErrorCode::BadDigest),
        BodyFailure::Checksum(algorithm) => checksum_mismatch(algorithm),
    }
}

/// A body whose SHA-256 is another than the one said; `found` where it was computed.
pub(crate) fn payload_mismatch(said: &str, found: Option<&str>) -> S3Error {
    let error = custom("XAmzContentSHA256Mismatch", hyper::StatusCode::BAD_REQUEST);
    let error = with_detail(error, "ClientComputedContentSHA256", said);
    match found {
        Some(found) => with_detail(error, "S3ComputedContentSHA256", found),
        None => error,
    }
}

/// A checksum that does not match what arrived.
pub(crate) fn checksum_mismatch(algorithm: &str) -> S3Error {
    fail(S3ErrorCode::BadDigest, format!("The {algorithm} you specified did not match the calculated checksum."))
}

/// The error of a body stream. s3s's stream errors are private types, so that their text is all there is to tell them
/// apart (a test holds them against the real ones); what our own reader of the body noticed goes first.
pub(crate) fn from_body(source: &StdError, scope: &Scope) -> S3Error {
    if let Some(failure) = scope.failure() {
        return from_failure(&failure);
    }
    let text = source.to_string();
    if text.contains("Sha256Mismatch") {
        custom("XAmzContentSHA256Mismatch", hyper::StatusCode::BAD_REQUEST)
    } else if text.contains("SignatureMismatch") {
        plain(S3ErrorCode::SignatureDoesNotMatch)
    } else if text.contains("Trailer") || scope.trailing() {
        custom("MalformedTrailerError", hyper::StatusCode::BAD_REQUEST)
    } else {
        plain(S3ErrorCode::IncompleteBody)
    }
}

/// `?` on the store's results.
pub(crate) trait OrS3<T> {
    /// Translates and, where it is the node's fault, logs the error.
    fn or_s3(self) -> S3Result<T>;
}

impl<T> OrS3<T> for pinfold_store::Result<T> {
    fn or_s3(self) -> S3Result<T> {
        self.map_err(from_store)
    }
}

/// A bug of this crate (a task that panicked, an answer that cannot be built): logged, and a 500.
pub(crate) fn internal(what: &'static str, source: impl std::fmt::Display) -> S3Error {
    error!(error = %source, "{what}");
    plain(S3ErrorCode::InternalError)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind the store has today, so that a new one is looked at here.
    const KINDS: [(ErrorKind, &str, u16); 38] = [
        (ErrorKind::NotFound, "NoSuchKey", 404),
        (ErrorKind::Stale, "ServiceUnavailable", 503),
        (ErrorKind::NoSuchBucket, "NoSuchBucket", 404),
        (ErrorKind::NoSuchUpload, "NoSuchUpload", 404),
        (ErrorKind::NoSuchVersion, "NoSuchVersion", 404),
        (ErrorKind::MethodNotAllowed, "MethodNotAllowed", 405),
        (ErrorKind::ObjectLocked, "AccessDenied", 403),
        (ErrorKind::AlreadyExists, "BucketAlreadyExists", 409),
        (ErrorKind::IsADirectory, "InvalidArgument", 400),
        (ErrorKind::NotADirectory, "InvalidArgument", 400),
        (ErrorKind::NotEmpty, "BucketNotEmpty", 409),
        (ErrorKind::InvalidArgument, "InvalidArgument", 400),
        (ErrorKind::NameTooLong, "KeyTooLongError", 400),
        (ErrorKind::NotUtf8, "InvalidArgument", 400),
        (ErrorKind::CrossesBuckets, "InvalidArgument", 400),
        (ErrorKind::PreconditionFailed, "PreconditionFailed", 412),
        (ErrorKind::InvalidRange, "InvalidRange", 416),
        (ErrorKind::InvalidPart, "InvalidPart", 400),
        (ErrorKind::InvalidPartOrder, "InvalidPartOrder", 400),
        (ErrorKind::PartTooSmall, "EntityTooSmall", 400),
        (ErrorKind::PermissionDenied, "AccessDenied", 403),
        (ErrorKind::KeyUnavailable, "AccessDenied", 403),
        (ErrorKind::KeyRequired, "InvalidRequest", 400),
        (ErrorKind::KeyNotApplicable, "InvalidRequest", 400),
        (ErrorKind::NotPermitted, "AccessDenied", 403),
        (ErrorKind::TooLarge, "EntityTooLarge", 400),
        (ErrorKind::BadDigest, "BadDigest", 400),
        (ErrorKind::NoSpace, "InsufficientStorage", 507),
        (ErrorKind::QuotaExceeded, "QuotaExceeded", 403),
        (ErrorKind::TooMany, "SlowDown", 503),
        (ErrorKind::NoAttribute, "InternalError", 500),
        (ErrorKind::Corrupt, "InternalError", 500),
        (ErrorKind::Unavailable, "ServiceUnavailable", 503),
        (ErrorKind::TimedOut, "ServiceUnavailable", 503),
        (ErrorKind::Busy, "SlowDown", 503),
        (ErrorKind::Unsupported, "NotImplemented", 501),
        (ErrorKind::Io, "InternalError", 500),
        (ErrorKind::Internal, "InternalError", 500),
    ];

    #[test]
    fn every_kind_has_its_code_status_and_message() {
        for (kind, code, status) in KINDS {
            let answer = from_store(Error::new(kind, "something went wrong").with("key", "k"));
            assert_eq!(answer.code().as_str(), code, "{kind:?}");
            assert_eq!(answer.status_code().map(|s| s.as_u16()), Some(status), "{kind:?}");
            assert!(answer.message().is_some_and(|m| !m.is_empty()), "{kind:?}");
        }
    }

    #[test]
    fn nothing_inner_leaks_into_an_internal_error() {
        let answer = from_store(Error::new(ErrorKind::Io, "secret path").with("path", "/data/x"));
        assert!(!answer.message().unwrap_or_default().contains("secret"));
    }
}
