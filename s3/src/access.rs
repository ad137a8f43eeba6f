//! Who may do what: the root account and administrators everything; the others what lies in buckets they own; new
//! buckets need the role `userplus`; nobody is let in without a signature. (Bucket policies and ACLs are not there
//! yet: reads of a bucket's ACL say exactly this, the owner's full control.)

use std::sync::Arc;

use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::{Caller, Door};
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3ErrorCode, S3Request, S3Result};

use crate::auth::Credentials;
use crate::error::{OrS3, internal, plain};
use crate::scope::Scope;

/// Who asks, and for which bucket: what `check` found out, for the operation.
pub(crate) struct Access {
    /// The account that signed.
    pub(crate) account: Account,
    /// The bucket of the request's path, if it names one that exists.
    pub(crate) bucket: Option<BucketInfo>,
    /// The request's shared state.
    pub(crate) scope: Arc<Scope>,
}

impl Access {
    /// The caller that goes into the commit record.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            principal: self.account.access.clone(),
            door: Door::S3,
            request: self.scope.id,
            uid: self.account.uid,
            gid: self.account.gid,
            admin: self.account.role == Role::Admin,
            bypass_governance: false,
            mount: 0,
        }
    }

    /// A caller for one of several commits of one request (DeleteObjects): each needs an identity of its own.
    pub(crate) fn caller_of_many(&self) -> Caller {
        Caller { request: pinfold_store::types::Id::random(), ..self.caller() }
    }

    /// The bucket of the path. A bug if the operation has none.
    pub(crate) fn bucket(&self) -> S3Result<&BucketInfo> {
        self.bucket.as_ref().ok_or_else(|| internal("an operation without its bucket", self.scope.operation()))
    }

    /// AccessDenied unless the account may use `bucket`.
    pub(crate) fn allow(&self, bucket: &BucketInfo) -> S3Result<()> {
        allow(&self.account, bucket)
    }
}

fn allow(account: &Account, bucket: &BucketInfo) -> S3Result<()> {
    if account.role == Role::Admin || bucket.owner == account.access {
        return Ok(());
    }
    Err(plain(S3ErrorCode::AccessDenied))
}

/// What `check` left for the operation.
pub(crate) fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Access>> {
    match request.extensions.get::<Arc<Access>>() {
        Some(access) => Ok(access.clone()),
        None => Err(internal("an operation was called without an access check", request.uri.path())),
    }
}

/// The access key whose signature was verified on the way in, on the inner pass of a request whose headers were
/// mended (`route`).
#[derive(Clone)]
pub(crate) struct Verified(pub(crate) String);

/// The check that s3s calls once the signature is verified.
pub(crate) struct Gate {
    pub(crate) accounts: Arc<dyn Credentials>,
    pub(crate) namespace: Namespace,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = crate::metrics::operation(cx.s3_op().name());
        let scope = match cx.extensions_mut().get::<Arc<Scope>>() {
            Some(scope) => scope.clone(),
            None => return Err(internal("a request without its scope", operation)),
        };
        scope.set_operation(operation);
        let verified = cx.extensions_mut().remove::<Verified>();
        let signer = verified.map(|v| v.0).or_else(|| cx.credentials().map(|c| c.access_key.clone()));
        let Some(signer) = signer else { return Err(plain(S3ErrorCode::AccessDenied)) };
        let Some(account) = self.accounts.find(&signer).or_s3()? else {
            return Err(plain(S3ErrorCode::InvalidAccessKeyId));
        };
        let bucket = match (operation, cx.s3_path().get_bucket_name()) {
            ("ListBuckets", _) => None,
            ("CreateBucket", _) => {
                if account.role == Role::User {
                    return Err(plain(S3ErrorCode::AccessDenied));
                }
                None
            }
            (_, Some(name)) => {
                let bucket = self.namespace.bucket(name).or_s3()?;
                allow(&account, &bucket)?;
                check_expected_owner(cx, &bucket)?;
                Some(bucket)
            }
            (_, None) => {
                if account.role != Role::Admin {
                    return Err(plain(S3ErrorCode::AccessDenied));
                }
                None
            }
        };
        cx.extensions_mut().insert(Arc::new(Access { account, bucket, scope }));
        Ok(())
    }
}

/// `x-amz-expected-bucket-owner`: a guard of the client against somebody else's bucket.
fn check_expected_owner(cx: &S3AccessContext<'_>, bucket: &BucketInfo) -> S3Result<()> {
    match cx.headers().get("x-amz-expected-bucket-owner") {
        Some(expected) if expected.as_bytes() != bucket.owner.as_bytes() => Err(plain(S3ErrorCode::AccessDenied)),
        _ => Ok(()),
    }
}
