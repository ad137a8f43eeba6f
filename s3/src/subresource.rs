//! Subresources (`?acl`, `?annotation` …) that this server does not serve. s3s 0.14.1 knows those of its day and takes
//! a request with any other for one without: `DELETE /bucket/key?annotation` would delete the object,
//! `PUT /bucket/key?encryption` replace it by an empty one, `DELETE /bucket?metadataConfiguration` delete the bucket.
//!
//! So each name that S3 has is either served for its method or `501 NotImplemented`; and on a request that writes,
//! any other name that has no value, as subresources have none, is refused too: it may be one of tomorrow. (Parameters
//! with values that mean nothing are ignored, as on AWS.)

use hyper::Method;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::address::Address;
use crate::error::{bad_argument, fail, invalid_request, plain, with_detail};
use crate::guard::form_pairs;

/// All names that S3 has, in order.
const KNOWN: [&str; 40] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Whether S3 has a subresource of this name.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.binary_search(&name).is_ok()
}

/// Whether a query names any.
pub(crate) fn any_known(query: &str) -> bool {
    form_pairs(query).any(|(name, _)| is_known(&name))
}

/// Those that are served. (`?acl` is answered: ACLs are off.)
fn served(method: &Method, of_bucket: bool) -> &'static [&'static str] {
    match (method, of_bucket) {
        (&Method::GET | &Method::HEAD, true) => &[
            "acl",
            "cors",
            "encryption",
            "lifecycle",
            "location",
            "logging",
            "notification",
            "object-lock",
            "ownershipControls",
            "policy",
            "policyStatus",
            "publicAccessBlock",
            "tagging",
            "uploads",
            "versioning",
            "versions",
            "website",
        ],
        (&Method::GET | &Method::HEAD, false) => &["acl", "attributes", "legal-hold", "retention", "tagging"],
        (&Method::PUT, true) => &[
            "acl",
            "cors",
            "encryption",
            "lifecycle",
            "logging",
            "notification",
            "object-lock",
            "ownershipControls",
            "policy",
            "publicAccessBlock",
            "tagging",
            "versioning",
            "website",
        ],
        (&Method::PUT, false) => &["acl", "legal-hold", "renameObject", "retention", "tagging"],
        (&Method::POST, true) => &["delete"],
        (&Method::POST, false) => &["uploads"],
        (&Method::DELETE, true) => &[
            "cors",
            "encryption",
            "lifecycle",
            "ownershipControls",
            "policy",
            "publicAccessBlock",
            "tagging",
            "website",
        ],
        (&Method::DELETE, false) => &["tagging"],
        _ => &[],
    }
}

/// Parameters that say more about an operation and may well be empty.
const PARAMETERS: [&str; 4] = ["x-id", "partNumber", "uploadId", "versionId"];

/// Refuses what is not served.
pub(crate) fn check(method: &Method, address: &Address, query: &str) -> S3Result<()> {
    let served = served(method, address.key.is_empty());
    let writes = matches!(*method, Method::PUT | Method::POST | Method::DELETE);
    if *method == Method::POST && address.bucket.is_empty() {
        return Err(not_allowed(method, "SERVICE"));
    }
    let (mut number, mut upload, mut other, mut rename) = (false, false, 0, false);
    for (name, value) in form_pairs(query) {
        let name = name.as_str();
        other += usize::from(is_known(name));
        rename |= name == "renameObject";
        number |= name == "partNumber";
        upload |= name == "uploadId";
        if served.contains(&name) || PARAMETERS.contains(&name) || name.starts_with("X-Amz-") {
            continue;
        }
        if *method == Method::GET && !address.key.is_empty() && matches!(name, "uploads" | "versions") {
            return Err(invalid_request(match name {
                "uploads" => "Key is not expected for the GET method ?uploads subresource",
                _ => "There is no such thing as the ?versions sub-resource for a key",
            }));
        }
        if is_known(name) || (writes && value.is_empty()) {
            let what = format!("The subresource \"{name}\" is not implemented for {method} by this server");
            return Err(fail(S3ErrorCode::NotImplemented, what));
        }
    }
    if rename && (other > 1 || number || upload) {
        let what = "The subresource \"renameObject\" is not implemented together with others by this server";
        return Err(fail(S3ErrorCode::NotImplemented, what));
    }
    // With only one of the two s3s would put an object.
    if *method == Method::PUT && number && !upload {
        let what = "This operation does not accept partNumber without uploadId";
        return Err(bad_argument("partNumber", "partNumber", what));
    }
    if *method == Method::PUT && upload && !number {
        return Err(not_allowed(method, "UPLOAD"));
    }
    if *method == Method::POST && !address.key.is_empty() && !upload && other == 0 {
        return Err(not_allowed(method, "SERVICE"));
    }
    Ok(())
}

fn not_allowed(method: &Method, resource: &str) -> S3Error {
    let error = with_detail(plain(S3ErrorCode::MethodNotAllowed), "Method", method.as_str());
    with_detail(error, "ResourceType", resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: Method, key: &str, query: &str) -> String {
        let address =
            Address { bucket: "bkt".to_owned(), key: key.to_owned(), in_host: false, path: format!("/bkt/{key}") };
        check(&method, &address, query).map_or_else(|e| e.code().as_str().to_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn names_are_in_order() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn ruling28_what_s3s_does_not_know_is_refused() {
        for (method, key, query) in [
            (Method::PUT, "k", "renameObject&tagging"),
            (Method::PUT, "k", "renameObject=&partNumber=1&uploadId=x"),
            (Method::PUT, "", "renameObject"),
            (Method::PUT, "k", "encryption"),
            (Method::PUT, "k", "annotation=x"),
            (Method::DELETE, "k", "annotation"),
            (Method::DELETE, "k", "acl"),
            (Method::DELETE, "k", "of-tomorrow"),
            (Method::DELETE, "", "metadataConfiguration"),
            (Method::DELETE, "", "versioning"),
            (Method::PUT, "", "abac"),
            (Method::POST, "k", "select&select-type=2"),
            (Method::GET, "", "abac"),
            (Method::GET, "k", "annotation"),
            (Method::GET, "", "delete"),
        ] {
            assert_eq!(code(method.clone(), key, query), "NotImplemented", "{method} {key} {query}");
        }
    }

    #[test]
    fn what_is_served_goes_on() {
        for (method, key, query) in [
            (Method::PUT, "k", "x-id=PutObject"),
            (Method::PUT, "k", "x-mine=1&X-Amz-Signature=00"),
            (Method::PUT, "k", "partNumber=1&uploadId=x"),
            (Method::PUT, "k", "partNumber=&uploadId="),
            (Method::PUT, "k", "tagging"),
            (Method::PUT, "k", "renameObject"),
            (Method::POST, "", "delete"),
            (Method::POST, "k", "uploads="),
            (Method::POST, "k", "uploadId=x"),
            (Method::DELETE, "k", "versionId="),
            (Method::GET, "", "prefix=&delimiter=&list-type=2"),
            (Method::GET, "k", "1700000000"),
            (Method::GET, "k", "response-content-type="),
        ] {
            assert_eq!(code(method.clone(), key, query), "ok", "{method} {key} {query}");
        }
    }

    #[test]
    fn half_a_part_is_no_object() {
        assert_eq!(code(Method::PUT, "k", "partNumber=1"), "InvalidArgument");
        assert_eq!(code(Method::PUT, "k", "uploadId=x"), "MethodNotAllowed");
    }

    #[test]
    fn what_has_no_meaning_is_said() {
        assert_eq!(code(Method::POST, "k", ""), "MethodNotAllowed");
        assert_eq!(code(Method::POST, "k", "x=1"), "MethodNotAllowed");
        assert_eq!(code(Method::GET, "k", "uploads"), "InvalidRequest");
        assert_eq!(code(Method::GET, "k", "versions"), "InvalidRequest");
    }
}
