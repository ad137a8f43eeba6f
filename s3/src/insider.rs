//! A way into the S3 door for a part of this process that has found out by itself who asks: the node's web console. Its
//! requests are those of S3, meet the same guard, access check, limits and metrics, and differ in one thing: nobody signed them.
//!
//! Who asks travels in the request's extensions, which no client can reach.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::body::{Body, Incoming};

use crate::access::Verified;
use crate::door::Door;
use crate::peer::Peer;

/// Whoever stands behind a request: found out by the caller, who answers for it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Access key of the account.
    pub access: String,
    /// The client's address.
    pub address: IpAddr,
    /// The client's connection is encrypted.
    pub tls: bool,
}

/// The way in; from [`crate::S3Server::insider`].
#[derive(Clone)]
pub struct Insider(Arc<Door>);

impl Insider {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self(door)
    }

    /// Answers `request`, whose target is path style (`/BUCKET/KEY?…`) whatever its host, as if `known` had signed it.
    /// Headers that would make it somebody else's, or another origin's, are dropped.
    pub async fn call(
        &self,
        known: Known,
        request: Request<Incoming>,
    ) -> Response<impl Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>> + Send + use<>> {
        let (mut head, body) = request.into_parts();
        for name in [AUTHORIZATION, COOKIE, ORIGIN, HeaderName::from_static("x-amz-security-token")] {
            head.headers.remove(name);
        }
        // A name would be looked up among the domains of buckets and websites.
        head.headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
        let target = head.uri.path_and_query().cloned();
        head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
        head.extensions.insert(Peer { address: known.address, tls: known.tls, session: None });
        head.extensions.insert(Verified(Some(known.access)));
        self.0.clone().handle(Request::from_parts(head, body)).await
    }
}
