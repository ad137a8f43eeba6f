//! What policies may ask about a request.

use http::{HeaderMap, Uri};
use pinfold_store::iam::Context;
use pinfold_store::iam::identity::{ACCOUNT_NUMBER, role_of};
use s3s::S3Request;
use s3s::access::S3AccessContext;
use time::OffsetDateTime;

use crate::convert::time::iso_now;
use crate::guard::form_pairs;
use crate::peer::Peer;
use crate::wants::GRANTS;

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

/// Reads a request. `signer` is the access key of the account that signed it, or the ARN of the role.
pub(crate) fn read(cx: &mut S3AccessContext<'_>, signer: Option<&str>) -> Context {
    let peer = cx.extensions_mut().get::<Peer>().copied();
    of_parts(peer, cx.uri(), cx.headers(), signer)
}

/// The same of a request that is for no bucket.
pub(crate) fn of<T>(request: &S3Request<T>, signer: &str) -> Context {
    of_parts(request.extensions.get::<Peer>().copied(), &request.uri, &request.headers, Some(signer))
}

fn of_parts(peer: Option<Peer>, uri: &Uri, headers: &HeaderMap, signer: Option<&str>) -> Context {
    let mut context = Context::default();
    let now = OffsetDateTime::now_utc();
    context.add("aws:CurrentTime", iso_now());
    context.add("aws:EpochTime", now.unix_timestamp().to_string());
    if let Some(Peer { address, tls }) = peer {
        context.add("aws:SourceIp", address.to_canonical().to_string());
        context.add("aws:SecureTransport", tls.to_string());
    }
    match signer {
        Some(name) => {
            context.add("aws:userid", name);
            if role_of(name).is_some() {
                context.add("aws:PrincipalArn", name);
                context.add("aws:PrincipalType", "AssumedRole");
            } else {
                context.add("aws:username", name);
                context.add("aws:PrincipalArn", format!("arn:aws:iam::{ACCOUNT_NUMBER}:user/{name}"));
                context.add("aws:PrincipalType", "User");
            }
            context.add("s3:signatureversion", "AWS4-HMAC-SHA256");
        }
        None => {
            context.add("aws:userid", "anonymous");
            context.add("aws:PrincipalType", "Anonymous");
        }
    }
    let query = uri.query().unwrap_or_default();
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
    read_headers(headers, &mut context);
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
