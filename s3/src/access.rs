//! Who may do what. The root account and administrators may do everything; for the others the bucket's owner, policy,
//! access control list and public access block decide together (`pinfold_store::iam`), of which the policy's Deny comes
//! first. New buckets need the role `userplus`.

use std::sync::Arc;

use pinfold_store::iam::{BucketRules, Context, Decision, Permission, Question, Refusal, Who, decide};
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::{Caller, Door};
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Request, S3Result};

use crate::address::Address;
use crate::auth::Credentials;
use crate::error::{OrS3, fail, internal, payload_mismatch, plain};
use crate::guard::{OF_NOTHING, form_pairs};
use crate::longkey::LongKey;
use crate::ops::rename;
use crate::rules::Rules;
use crate::scope::Scope;
use crate::{anonymous, request_context, wants};

/// Owner and group of what nobody in particular puts: `nobody`.
const NOBODY: u32 = 65_534;

/// Who asks, and for which bucket: what `check` found out, for the operation.
pub(crate) struct Access {
    /// The account that signed; one that stands for nobody, if none did.
    pub(crate) account: Account,
    /// The account that a new bucket is for, if another made it.
    pub(crate) owner: Option<Account>,
    /// The bucket of the request's path, if it names one that exists.
    pub(crate) bucket: Option<BucketInfo>,
    /// The request's shared state.
    pub(crate) scope: Arc<Scope>,
    anonymous: bool,
    rules: Arc<Rules>,
    context: Context,
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

    /// What the bucket of the path says about access.
    pub(crate) fn rules(&self) -> S3Result<Arc<BucketRules>> {
        self.rules.of(self.bucket()?)
    }

    /// AccessDenied unless `action` on a key of `bucket` (or, if it is empty, the bucket itself) is allowed.
    pub(crate) fn may(
        &self,
        bucket: &BucketInfo,
        key: &str,
        action: &str,
        permission: Option<Permission>,
    ) -> S3Result<()> {
        if self.account.role == Role::Admin {
            return Ok(());
        }
        // Names with `.` and `..` in them cannot be here, but who means something else by them shall not gain by it.
        if let Some(plain) = without_dots(key) {
            self.may(bucket, &plain, action, permission)?;
        }
        let resource = match key {
            "" => format!("arn:aws:s3:::{}", bucket.name),
            key => format!("arn:aws:s3:::{}/{key}", bucket.name),
        };
        let who = if self.anonymous { Who::Anonymous } else { Who::Account(&self.account.access) };
        let question = Question { who, action, resource: &resource, context: &self.context };
        match self.rules.of(bucket)?.check(&bucket.owner, &question, permission) {
            Ok(()) => Ok(()),
            Err(Refusal::Explicit) if !self.anonymous => Err(fail(
                S3ErrorCode::AccessDenied,
                format!(
                    "User: {} is not authorized to perform: {action} on resource: \"{resource}\" with an explicit deny \
                     in a resource-based policy",
                    self.account.access
                ),
            )),
            Err(_) => Err(plain(S3ErrorCode::AccessDenied)),
        }
    }
}

impl Access {
    /// Whether the bucket's policy allows this account `action` on a key in so many words: neither its role nor that it owns
    /// the bucket is asked.
    pub(crate) fn is_granted(&self, bucket: &BucketInfo, key: &str, action: &str) -> S3Result<bool> {
        let resource = format!("arn:aws:s3:::{}/{key}", bucket.name);
        let who = if self.anonymous { Who::Anonymous } else { Who::Account(&self.account.access) };
        let question = Question { who, action, resource: &resource, context: &self.context };
        Ok(decide(self.rules.of(bucket)?.policy.as_ref(), &question) == Decision::Allow)
    }
}

/// What `check` left for the operation.
pub(crate) fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Access>> {
    match request.extensions.get::<Arc<Access>>() {
        Some(access) => Ok(access.clone()),
        None => Err(internal("an operation was called without an access check", request.uri.path())),
    }
}

/// The access key whose signature was verified on the way in, on the inner pass of a request whose headers were
/// mended (`route`); none if there was no signature.
#[derive(Clone)]
pub(crate) struct Verified(pub(crate) Option<String>);

/// The account that a bucket is made for, by an administrator.
#[derive(Clone)]
pub(crate) struct MadeFor(pub(crate) Account);

/// The check that s3s calls once the signature is verified.
pub(crate) struct Gate {
    pub(crate) accounts: Arc<dyn Credentials>,
    pub(crate) namespace: Namespace,
    pub(crate) rules: Arc<Rules>,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name().to_owned();
        let operation = match operation.as_str() {
            "PutObject" if rename::is_asked(cx.uri()) => rename::OPERATION,
            operation => operation,
        };
        let scope = match cx.extensions_mut().get::<Arc<Scope>>() {
            Some(scope) => scope.clone(),
            None => return Err(internal("a request without its scope", operation)),
        };
        scope.set_operation(crate::metrics::operation(operation));
        let signer = match cx.extensions_mut().remove::<Verified>() {
            Some(Verified(signer)) => signer,
            None => cx.credentials().map(|c| c.access_key.clone()),
        };
        check_empty(cx.headers(), &scope, signer.is_none())?;
        let account = match &signer {
            None => {
                anonymous::check_operation(operation)?;
                nobody()
            }
            Some(signer) => match self.accounts.find(signer).or_s3()? {
                Some(account) => account,
                None => return Err(plain(S3ErrorCode::InvalidAccessKeyId)),
            },
        };
        // Nobody asks policies about administrators.
        let context = match account.role {
            Role::Admin => Context::default(),
            _ => request_context::read(cx, signer.as_deref()),
        };
        let owner = cx.extensions_mut().remove::<MadeFor>().map(|MadeFor(account)| account);
        let rules = self.rules.clone();
        let mut access = Access { account, owner, bucket: None, scope, anonymous: signer.is_none(), rules, context };
        match (operation, cx.s3_path().get_bucket_name()) {
            ("ListBuckets", _) => {}
            ("CreateBucket", _) if access.account.role == Role::User => return Err(plain(S3ErrorCode::AccessDenied)),
            ("CreateBucket", _) => {}
            (_, Some(name)) => {
                let bucket = self.namespace.bucket(name).or_s3()?;
                check_bucket(cx, &access, &bucket, operation)?;
                check_expected_owner(cx, &bucket)?;
                access.bucket = Some(bucket);
            }
            (_, None) if access.account.role != Role::Admin => return Err(plain(S3ErrorCode::AccessDenied)),
            (_, None) => {}
        }
        cx.extensions_mut().insert(Arc::new(access));
        Ok(())
    }
}

impl Gate {
    /// Whether somebody who did not sign may hear that what he asks for is not served.
    pub(crate) fn check_unserved(&self, address: &Address, query: &str) -> S3Result<()> {
        let has = |name: &str| form_pairs(query).any(|(key, _)| key == name);
        if has("select") {
            return anonymous::check_operation("SelectObjectContent");
        }
        let bucket = self.namespace.bucket(&address.bucket).or_s3()?;
        let action = if has("restore") { "s3:RestoreObject" } else { "" };
        let access = Access {
            account: nobody(),
            owner: None,
            bucket: None,
            scope: Scope::new(),
            anonymous: true,
            rules: self.rules.clone(),
            context: Context::default(),
        };
        access.may(&bucket, &address.key, action, None)
    }
}

/// The key with `.` and `..` resolved as a path has them; `None` if it has none.
fn without_dots(key: &str) -> Option<String> {
    if !key.split('/').any(|part| matches!(part, "." | "..")) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A request without a body whose digest is another one's: s3s looks at digests of bodies that are read.
fn check_empty(headers: &http::HeaderMap, scope: &Scope, anonymous: bool) -> S3Result<()> {
    let Some(said) = headers.get("x-amz-content-sha256").map(|v| v.as_bytes()).filter(|_| scope.is_empty()) else {
        return Ok(());
    };
    match anonymous::digest(said) {
        Some(digest) if hex::encode(digest) == OF_NOTHING => Ok(()),
        None if !anonymous || said.is_empty() || said == b"UNSIGNED-PAYLOAD" || said.starts_with(b"STREAMING-") => {
            Ok(())
        }
        _ => Err(payload_mismatch(&String::from_utf8_lossy(said), Some(OF_NOTHING))),
    }
}

fn check_bucket(cx: &mut S3AccessContext<'_>, access: &Access, bucket: &BucketInfo, operation: &str) -> S3Result<()> {
    // Each of its keys is asked for by itself.
    if operation != "DeleteObjects" && access.account.role != Role::Admin {
        let long = cx.extensions_mut().get::<LongKey>().map(|LongKey(key)| key.clone());
        let key = match (long, cx.s3_path()) {
            (Some(key), _) => key,
            (None, S3Path::Object { key, .. }) => key.to_string(),
            (None, _) => String::new(),
        };
        let version = form_pairs(cx.uri().query().unwrap_or_default())
            .any(|(name, value)| name == "versionId" && !value.is_empty());
        let Some(wants) = wants::of(operation, version, cx.headers()) else {
            return Err(plain(S3ErrorCode::AccessDenied));
        };
        // Lists let everybody upload, not meddle with others' uploads.
        let uploads = access.anonymous && matches!(operation, "AbortMultipartUpload" | "ListParts");
        let permission = wants.permission.filter(|_| !uploads);
        for action in wants.actions {
            access.may(bucket, &key, action, permission)?;
        }
    }
    if access.anonymous {
        anonymous::check_allowed(operation, cx.uri().query())?;
        anonymous::check_body(cx.headers())?;
    }
    Ok(())
}

/// Who stands for requests without a signature.
fn nobody() -> Account {
    Account {
        access: "anonymous".to_owned(),
        secret: String::new(),
        role: Role::User,
        uid: NOBODY,
        gid: NOBODY,
        project: 0,
    }
}

/// `x-amz-expected-bucket-owner`: a guard of the client against somebody else's bucket.
fn check_expected_owner(cx: &S3AccessContext<'_>, bucket: &BucketInfo) -> S3Result<()> {
    match cx.headers().get("x-amz-expected-bucket-owner") {
        Some(expected) if expected.as_bytes() != bucket.owner.as_bytes() => Err(plain(S3ErrorCode::AccessDenied)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved() {
        assert_eq!(without_dots("a/b"), None);
        assert_eq!(without_dots("a..b/..."), None);
        assert_eq!(without_dots("public/../private").as_deref(), Some("private"));
        assert_eq!(without_dots("./a//b/..").as_deref(), Some("a"));
        assert_eq!(without_dots("../..").as_deref(), Some(""));
    }
}
