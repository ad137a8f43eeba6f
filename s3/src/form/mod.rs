//! POST Object: an HTML form whose `file` field becomes an object. `door` hands such a request here; what comes out is
//! the PutObject that it means, with the file as a streamed body, and how to answer once that is done.

mod fields;
mod file;
mod policy;
mod reply;
mod signature;

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request};
use s3s::{Body, S3ErrorCode, S3Result};
use time::OffsetDateTime;

pub(crate) use fields::malformed;
pub(crate) use file::FormFile;
pub(crate) use reply::Reply;

use crate::access::Verified;
use crate::address::Address;
use crate::auth::Credentials;
use crate::body::incoming::Received;
use crate::body::upload::MAX_BODY;
use crate::convert::key::url_encode;
use crate::convert::tags;
use crate::error::{bad_argument, fail, internal, invalid_argument, plain, with_detail};
use crate::identity::SessionToken;
use crate::scope::Scope;
use crate::subresource;
use fields::Fields;
use policy::Policy;

/// Form fields that are headers of a PutObject, but those of `x-amz-meta-` and `x-amz-checksum-`.
const HEADERS: [&str; 17] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Whether the body is a form.
pub(crate) fn is_form(head: &Parts) -> bool {
    head.method == Method::POST
        && head.headers.get(CONTENT_TYPE).is_some_and(|value| {
            value.as_bytes().get(..19).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
        })
}

/// Whether this is a POST to a bucket, which only a form may be.
pub(crate) fn is_target(head: &Parts, address: &Address) -> bool {
    head.method == Method::POST && address.is_bucket() && !subresource::any_known(head.uri.query().unwrap_or_default())
}

/// Refuses a form that goes elsewhere, and what goes to a bucket and is none. (s3s takes every form for one to a bucket.)
pub(crate) fn check(head: &Parts, address: &Address) -> S3Result<()> {
    match (is_form(head), is_target(head, address)) {
        (true, false) => Err(fail(S3ErrorCode::NotImplemented, "Only a bucket takes a form")),
        (false, true) => {
            let error = plain(S3ErrorCode::PreconditionFailed);
            Err(with_detail(error, "Condition", "Bucket POST must be of the enclosure-type multipart/form-data"))
        }
        _ => Ok(()),
    }
}

/// What forms need to know.
pub(crate) struct Forms {
    pub(crate) accounts: Arc<dyn Credentials>,
    pub(crate) region: String,
    /// Whether this endpoint speaks TLS.
    pub(crate) https: bool,
}

impl Forms {
    /// Reads a form up to its file and checks who sent it and whether its policy allows it.
    pub(crate) async fn prepare(
        &self,
        head: Parts,
        body: Received,
        address: &Address,
        scope: &Arc<Scope>,
    ) -> S3Result<(Request<Body>, Reply)> {
        let (fields, file) = Fields::read(&head.headers, body, scope).await?;
        let key = fields.get("key").filter(|key| !key.is_empty()).ok_or_else(|| signature::missing("key"))?.to_owned();
        let now = OffsetDateTime::now_utc();
        let signer = signature::verify(&fields, &*self.accounts, &self.region, now).await?;
        let mut range = (0, MAX_BODY);
        if signer.is_some() {
            let policy = Policy::parse(fields.get("policy").unwrap_or_default(), now)?;
            policy.evaluate(&address.bucket, &fields)?;
            range = policy.length(range);
        }
        let mut headers = put_headers(&fields)?;
        let host = head.headers.get(HOST).cloned();
        if let Some(host) = &host {
            headers.insert(HOST, host.clone());
        }
        let reply = Reply::new(&fields, address, &key, host.as_ref(), self.https);
        let file = file.bounded(range, scope.clone());
        let mut put = Request::new(Body::http_body_unsync(file));
        *put.method_mut() = Method::PUT;
        *put.version_mut() = head.version;
        *put.uri_mut() = target(&address.bucket, address.in_host, &key)?.into();
        *put.headers_mut() = headers;
        put.extensions_mut().insert(FormFile);
        if let Some(signer) = signer {
            put.extensions_mut().insert(Verified(Some(signer)));
        }
        if let Some(token) = fields.get("x-amz-security-token").filter(|token| !token.is_empty()) {
            put.extensions_mut().insert(SessionToken(token.to_owned()));
        }
        Ok((put, reply))
    }
}

fn target(bucket: &str, in_host: bool, key: &str) -> S3Result<PathAndQuery> {
    let key = url_encode(key.as_bytes());
    let path = if in_host { format!("/{key}") } else { format!("/{bucket}/{key}") };
    path.parse().map_err(|e| internal("a form's key makes no path", e))
}

/// The headers of the PutObject.
fn put_headers(fields: &Fields) -> S3Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| -> S3Result<()> {
        let name = HeaderName::try_from(name).map_err(|_| invalid_argument("A form field's name is not valid"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| bad_argument("field", value, "A form field's value is not valid"))?;
        headers.insert(name, value);
        Ok(())
    };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        if HEADERS.contains(&name) || name.starts_with("x-amz-meta-") || name.starts_with("x-amz-checksum-") {
            set(name, value)?;
        }
    }
    if let Some(acl) = fields.get("acl").filter(|acl| !acl.is_empty()) {
        set("x-amz-acl", acl)?;
    }
    if let Some(xml) = fields.get("tagging") {
        set("x-amz-tagging", &tags::to_header(&tags::from_document(xml.as_bytes())?))?;
    }
    Ok(headers)
}

/// For [`crate::fuzzing`]: lines `NAME=VALUE` are fields, what follows the first empty line is the policy.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    use base64::Engine;

    let (fields, policy) = match data.windows(2).position(|w| w == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (&[][..], data),
    };
    let text = String::from_utf8_lossy(fields);
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let fields = Fields::of(&pairs);
    let now = OffsetDateTime::UNIX_EPOCH;
    let _ = Policy::parse(&String::from_utf8_lossy(policy), now);
    if let Ok(policy) = Policy::parse(&base64::engine::general_purpose::STANDARD.encode(policy), now) {
        let _ = (policy.evaluate("bucket", &fields), policy.length((0, MAX_BODY)));
    }
    let _ = (put_headers(&fields), multer::parse_boundary(&text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_fields_become_headers() {
        let fields = Fields::of(&[
            ("content-type", "text/plain"),
            ("x-amz-meta-a", "1"),
            ("x-amz-checksum-crc32", "AAAA"),
            ("x-amz-copy-source", "b/k"),
            ("if-match", "x"),
            ("x-amz-signature", "s"),
            ("expires", ""),
            ("acl", "private"),
            ("tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1/2</Value></Tag></TagSet></Tagging>"),
        ]);
        let headers = put_headers(&fields).unwrap();
        let mut names: Vec<&str> = headers.keys().map(|n| n.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "x-amz-acl", "x-amz-checksum-crc32", "x-amz-meta-a", "x-amz-tagging"]);
        assert_eq!(headers["x-amz-tagging"], "a%20b=1%2F2");
        assert_eq!(put_headers(&Fields::of(&[("tagging", "x")])).unwrap_err().code().as_str(), "MalformedXML");
        assert!(put_headers(&Fields::of(&[("x-amz-meta-a", "1\r\nx: y")])).is_err());
    }

    #[test]
    fn forms_go_to_buckets() {
        let code = |uri: &str, content_type: &str| {
            let request = Request::builder().method(Method::POST).uri(uri).header(CONTENT_TYPE, content_type);
            let head = request.body(()).unwrap().into_parts().0;
            let address = Address::read(&head, None).unwrap();
            check(&head, &address).map_or_else(|e| e.code().as_str().to_owned(), |()| "ok".to_owned())
        };
        assert_eq!(code("/bkt", "Multipart/Form-Data; boundary=x"), "ok");
        assert_eq!(code("/bkt/", "multipart/form-data"), "ok");
        assert_eq!(code("/bkt?delete", "application/xml"), "ok");
        assert_eq!(code("/bkt", "application/json"), "PreconditionFailed");
        for uri in ["/", "/bkt/k", "/bkt?delete", "/bkt/k?uploads"] {
            assert_eq!(code(uri, "multipart/form-data; boundary=x"), "NotImplemented", "{uri}");
        }
    }

    #[test]
    fn a_key_makes_a_path() {
        assert_eq!(target("bkt", false, "a b/\u{e9}?x").unwrap(), "/bkt/a%20b/%C3%A9%3Fx");
        assert_eq!(target("bkt", true, "k").unwrap(), "/k");
    }
}
