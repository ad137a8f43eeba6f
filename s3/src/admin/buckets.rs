//! Buckets and their owners.

use hyper::{Method, Request, StatusCode};
use pinfold_store::namespace::Account;
use pinfold_store::types::Caller;
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Admin, done, error, parameter, xml};
use crate::access::{MadeFor, Verified};
use crate::body::upload::to_the_end;
use crate::convert::tags::NewBucketTags;
use crate::error::{OrS3, internal, plain};

/// Largest body of a new bucket: fifty tags in UTF-8, and room.
const MAX_BODY: usize = 128 * 1024;

impl Admin {
    async fn account(&self, access: &str) -> S3Result<Account> {
        self.accounts.find(access).await.or_s3()?.ok_or_else(error::no_such_user)
    }

    pub(super) fn list_buckets(&self) -> S3Result<S3Response<Body>> {
        let buckets = self.namespace.buckets().or_s3()?;
        let xml = xml::buckets(buckets.iter().map(|b| (b.name.as_str(), b.owner.as_str())));
        Ok(done(StatusCode::OK, xml))
    }

    pub(super) async fn change_bucket_owner(
        &self,
        caller: &Caller,
        request: &S3Request<Body>,
    ) -> S3Result<S3Response<Body>> {
        let owner = self.account(&parameter(request, "owner")).await?.access;
        let (namespace, caller, bucket) = (self.namespace.clone(), caller.clone(), parameter(request, "bucket"));
        to_the_end(async move { namespace.set_bucket_owner(&caller, &bucket, owner).await }).await?;
        Ok(done(StatusCode::OK, String::new()))
    }

    /// CreateBucket with all its headers, for somebody.
    pub(super) async fn create_bucket(
        &self,
        caller: &Caller,
        mut request: S3Request<Body>,
    ) -> S3Result<S3Response<Body>> {
        let owner = request.headers.get("x-vgw-owner").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if owner.is_empty() {
            return Err(error::missing_owner());
        }
        let owner = self.account(owner).await?;
        let bucket = request.uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
        let target = format!("/{bucket}").parse().map_err(|e| internal("a bucket's path does not parse", e))?;
        let body = request.input.store_all_limited(MAX_BODY).await;
        let body = body.map_err(|_| plain(S3ErrorCode::MaxMessageLengthExceeded))?;
        if let Some(tags) = NewBucketTags::read(&body)? {
            request.extensions.insert(tags);
        }
        let mut inner = Request::new(Body::from(body));
        *inner.method_mut() = Method::PUT;
        *inner.uri_mut() = target;
        *inner.headers_mut() = request.headers;
        *inner.extensions_mut() = request.extensions;
        inner.headers_mut().remove(http::header::AUTHORIZATION);
        inner.extensions_mut().insert(Verified(Some(caller.principal.clone())));
        inner.extensions_mut().insert(MadeFor(owner));
        let answer = self.inner.call(inner).await.map_err(|e| internal("an inner pass failed", format!("{e:?}")))?;
        let (head, body) = answer.into_parts();
        let mut answer = S3Response::with_headers(body, head.headers);
        answer.status = Some(if head.status == StatusCode::OK { StatusCode::CREATED } else { head.status });
        answer.extensions = head.extensions;
        Ok(answer)
    }
}
