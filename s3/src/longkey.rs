//! Keys of more than 1,024 bytes. S3 has none and s3s refuses them before anything else, but a path on the mount may be
//! longer, and what is there can be listed, read, copied and deleted over S3 (S10), not created.
//!
//! s3s gets such a request with a short key in the place of the long one. It cannot check the signature then, so that
//! `sigv4` does it before; the operation takes the real key from the request's extensions.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Method, Request};
use pinfold_store::types::MAX_KEY_LEN;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse, S3Result};
use time::OffsetDateTime;

use crate::access::Verified;
use crate::address::Address;
use crate::anonymous;
use crate::auth::Credentials;
use crate::convert::key::percent_decode;
use crate::error::internal;
use crate::route::{mend, without_signature};
use crate::sigv4;

/// What stands for a long key on its way through s3s.
const SHORT: &str = "a-long-key";

/// The key of a request, where it is longer than s3s takes.
#[derive(Clone)]
pub(crate) struct LongKey(pub(crate) String);

/// The key of a copy's source, likewise.
#[derive(Clone)]
pub(crate) struct LongSource(pub(crate) String);

/// The way of such requests.
pub(crate) struct LongKeys {
    inner: Arc<S3Service>,
    accounts: Arc<dyn Credentials>,
}

/// Whether a request goes this way: those that create nothing and have no body.
pub(crate) fn is_long(method: &Method, address: &Address) -> bool {
    address.key.len() > MAX_KEY_LEN && matches!(*method, Method::GET | Method::HEAD | Method::DELETE)
}

impl LongKeys {
    /// `inner` must know no route and take our word for who signed.
    pub(crate) fn new(inner: Arc<S3Service>, accounts: Arc<dyn Credentials>) -> Self {
        Self { inner, accounts }
    }

    /// Checks the signature and puts the short key in place.
    pub(crate) async fn prepare(&self, request: Request<Body>, address: Address) -> S3Result<Request<Body>> {
        let (mut head, body) = request.into_parts();
        let known = head.extensions.remove::<Verified>();
        let signer = match (known, anonymous::is_anonymous(&head)) {
            (Some(Verified(known)), _) => known,
            (None, true) => None,
            (None, false) => {
                Some(sigv4::verify(&head, &address.path, &*self.accounts, OffsetDateTime::now_utc()).await?)
            }
        };
        head.uri = with_short_key(without_signature(&head.uri)?, &address)?;
        mend(&mut head.headers);
        head.headers.remove(AUTHORIZATION);
        head.extensions.insert(Verified(signer));
        head.extensions.insert(LongKey(address.key));
        Ok(Request::from_parts(head, body))
    }

    /// Answers what came of [`Self::prepare`].
    pub(crate) async fn call(&self, request: Request<Body>) -> Result<HttpResponse, HttpError> {
        self.inner.call(request).await
    }
}

fn with_short_key(uri: Uri, address: &Address) -> S3Result<Uri> {
    let path = if address.in_host { format!("/{SHORT}") } else { format!("/{}/{SHORT}", address.bucket) };
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let target: PathAndQuery =
        format!("{path}{query}").parse().map_err(|e| internal("a short path does not parse", e))?;
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|e| internal("a URI with a short path does not parse", e))
}

/// A copy's source with a long key: the header that stands for it, and the key.
pub(crate) fn source(headers: &HeaderMap) -> Option<(HeaderValue, LongSource)> {
    let text = headers.get("x-amz-copy-source")?.to_str().ok().filter(|text| text.len() > MAX_KEY_LEN)?;
    let (path, version) = text.split_once("?versionId=").map_or((text, None), |(path, id)| (path, Some(id)));
    let path = percent_decode(path, false)?;
    let (bucket, key) = path.trim_start_matches('/').split_once('/')?;
    if key.len() <= MAX_KEY_LEN {
        return None;
    }
    let version = version.map(|id| format!("?versionId={id}")).unwrap_or_default();
    let short = HeaderValue::try_from(format!("{bucket}/{SHORT}{version}")).ok()?;
    Some((short, LongSource(key.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(uri: &str) -> Address {
        let head = Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        Address::read(&head, None).unwrap()
    }

    #[test]
    fn only_reads_and_deletes_of_long_keys_go_this_way() {
        let (long, short) = (format!("/bkt/{}", "k".repeat(1025)), format!("/bkt/{}", "k".repeat(1024)));
        let encoded = format!("/bkt/{}", "%41".repeat(1024));
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            assert!(is_long(&method, &address(&long)));
            assert!(!is_long(&method, &address(&short)) && !is_long(&method, &address(&encoded)));
        }
        assert!(!is_long(&Method::PUT, &address(&long)) && !is_long(&Method::POST, &address(&long)));
    }

    #[test]
    fn the_short_key_takes_the_long_ones_place() {
        let long = format!("/bkt/{}?tagging", "k".repeat(1025));
        let short = with_short_key(long.parse().unwrap(), &address(&long)).unwrap();
        assert_eq!(short, "/bkt/a-long-key?tagging");
        let in_host = Address { in_host: true, ..address(&long) };
        assert_eq!(with_short_key(long.parse().unwrap(), &in_host).unwrap(), "/a-long-key?tagging");
    }

    #[test]
    fn sources_are_read_as_s3s_reads_them() {
        let read = |text: &str| {
            let mut map = HeaderMap::new();
            map.insert("x-amz-copy-source", text.parse().unwrap());
            source(&map).map(|(header, key)| (header.to_str().unwrap().to_owned(), key.0.len()))
        };
        assert_eq!(read(&format!("/bkt/{}", "k".repeat(1025))), Some(("bkt/a-long-key".to_owned(), 1025)));
        assert_eq!(
            read(&format!("bkt%2F{}?versionId=null", "%41".repeat(2000))),
            Some(("bkt/a-long-key?versionId=null".to_owned(), 2000))
        );
        assert_eq!(read(&format!("bkt/{}", "%41".repeat(1024))), None);
        assert_eq!(read("bkt/short"), None);
    }
}
