//! What policies may ask about a request.

use http::HeaderMap;
use pinfold_store::iam::Context;
use s3s::access::S3AccessContext;
use time::OffsetDateTime;

use crate::convert::time::iso_now;
use crate::guard::form_pairs;
use crate::peer::Peer;
use crate::wants::GRANTS;

/// The account number in our accounts' ARNs: there is but one.
const ACCOUNT: &str = "000000000000";

/// Parameters that are keys of the same name.
const PARAMETERS: [&str; 4] = ["prefix", "delimiter", "max-keys", "versionId"];
/// Headers that are keys of the same name.
const HEADERS: [&str; 7] = [
    "x-amz-acl",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-metadata-directive",
    "x-amz-storage-class",
    "if-match",
    "if-none-match",
];

/// Reads a request. `signer` is the access key that signed it.
pub(crate) fn read(cx: &mut S3AccessContext<'_>, signer: Option<&str>) -> Context {
    let mut context = Context::default();
    let now = OffsetDateTime::now_utc();
    context.add("aws:CurrentTime", iso_now());
    context.add("aws:EpochTime", now.unix_timestamp().to_string());
    if let Some(Peer { address, tls, .. }) = cx.extensions_mut().get::<Peer>().copied() {
        context.add("aws:SourceIp", address.to_canonical().to_string());
        context.add("aws:SecureTransport", tls.to_string());
    }
    match signer {
        Some(name) => {
            context.add("aws:username", name);
            context.add("aws:userid", name);
            context.add("aws:PrincipalArn", format!("arn:aws:iam::{ACCOUNT}:user/{name}"));
            context.add("aws:PrincipalType", "User");
            context.add("s3:signatureversion", "AWS4-HMAC-SHA256");
        }
        None => {
            context.add("aws:userid", "anonymous");
            context.add("aws:PrincipalType", "Anonymous");
        }
    }
    let query = cx.uri().query().unwrap_or_default();
    let mut presigned = false;
    for (name, value) in form_pairs(query) {
        presigned |= name == "X-Amz-Signature";
        if PARAMETERS.contains(&name.as_str()) && !value.is_empty() {
            context.add(&format!("s3:{name}"), value);
        }
    }
    if signer.is_some() {
        context.add("s3:authType", if presigned { "REST-QUERY-STRING" } else { "REST-HEADER" });
    }
    read_headers(cx.headers(), &mut context);
    context
}

fn read_headers(headers: &HeaderMap, context: &mut Context) {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
    for (name, key) in [("user-agent", "aws:UserAgent"), ("referer", "aws:Referer")] {
        if let Some(value) = text(name) {
            context.add(key, value);
        }
    }
    for name in HEADERS.iter().chain(&GRANTS) {
        if let Some(value) = text(name) {
            context.add(&format!("s3:{name}"), value);
        }
    }
    for (name, value) in form_pairs(text("x-amz-tagging").unwrap_or_default()) {
        context.add(&format!("s3:RequestObjectTag/{name}"), value);
        context.add("s3:RequestObjectTagKeys", name);
    }
}
