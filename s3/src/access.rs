//! Who may do what. The root account and administrators may do everything; for the others the bucket's owner, policy,
//! access control list and public access block decide together (`pinfold_store::iam`), of which the policy's Deny comes
//! first. New buckets need the role `userplus`.

use std::sync::Arc;

use pinfold_store::iam::action::LIST_ALL_BUCKETS;
use pinfold_store::iam::{BucketRules, Context, Decision, Identity, Permission, Question, Refusal, Who, decide};
use pinfold_store::namespace::s3_types::BucketInfo;
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::{Caller, Door};
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Request, S3Result};

use crate::address::Address;
use crate::error::{OrS3, fail, internal, payload_mismatch, plain};
use crate::guard::{OF_NOTHING, form_pairs};
use crate::identity::{Identities, SessionToken};
use crate::longkey::LongKey;
use crate::ops::rename;
use crate::rules::Rules;
use crate::scope::Scope;
use crate::{anonymous, request_context, wants};

/// Owner and group of what nobody in particular puts: `nobody`.
const NOBODY: u32 = 65_534;
/// Seeing an object's CID, and how it is pinned.
const READ_CID: &str = "pinfold:ReadCid";

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
    identity: Identity,
}

impl Access {
    /// Nobody asks documents about administrators, but about their sessions that were narrowed.
    fn is_unlimited(&self) -> bool {
        self.account.role == Role::Admin && self.identity.limit.is_none()
    }

    fn who(&self) -> Who<'_> {
        if self.anonymous { Who::Anonymous } else { Who::Account(&self.account.access) }
    }

    /// What documents say of something that is asked of no bucket, or of one that is not there yet: Allow, Deny, or Silent, where
    /// the account's role decides.
    pub(crate) fn decide(&self, action: &str, resource: &str) -> Decision {
        let question = Question { who: self.who(), action, resource, context: &self.context };
        let own = self.identity.decide(&question);
        match self.identity.limit(&question) {
            Decision::Allow if self.account.role == Role::Admin => Decision::Allow,
            Decision::Allow => own,
            // What a session was not given, no role gives it.
            _ => Decision::Deny,
        }
    }

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
        if self.is_unlimited() {
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
        let question = Question { who: self.who(), action, resource: &resource, context: &self.context };
        if self.account.role == Role::Admin {
            return match self.identity.limit(&question) {
                Decision::Allow => Ok(()),
                _ => Err(plain(S3ErrorCode::AccessDenied)),
            };
        }
        let kind = match self.rules.of(bucket)?.check(&bucket.owner, &question, permission, &self.identity) {
            Ok(()) => return Ok(()),
            Err(Refusal::Explicit) if !self.anonymous => "a resource-based",
            Err(Refusal::ExplicitOfIdentity) => "an identity-based",
            Err(_) => return Err(plain(S3ErrorCode::AccessDenied)),
        };
        Err(fail(
            S3ErrorCode::AccessDenied,
            format!(
                "User: {} is not authorized to perform: {action} on resource: \"{resource}\" with an explicit deny in \
                 {kind} policy",
                self.account.access
            ),
        ))
    }
}

impl Access {
    /// Whether a policy, the bucket's or one of the account's own, allows it `action` on a key in so many words: neither its role nor that it owns
    /// the bucket is asked.
    pub(crate) fn is_granted(&self, bucket: &BucketInfo, key: &str, action: &str) -> S3Result<bool> {
        let resource = format!("arn:aws:s3:::{}/{key}", bucket.name);
        let question = Question { who: self.who(), action, resource: &resource, context: &self.context };
        let said = decide(self.rules.of(bucket)?.policy.as_ref(), &question).max(self.identity.decide(&question));
        Ok(said == Decision::Allow && self.identity.limit(&question) == Decision::Allow)
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
    pub(crate) identities: Arc<Identities>,
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
        scope.note(|facts| facts.signer.clone_from(&signer));
        if let (Some(payer), Some(signer)) = (scope.payer(), &signer) {
            payer.admit_account(signer)?;
        }
        check_empty(cx.headers(), &scope, signer.is_none())?;
        let token = cx.extensions_mut().get::<SessionToken>().map(|SessionToken(token)| token.clone());
        let (account, identity) = match &signer {
            None => {
                anonymous::check_operation(operation)?;
                (nobody(), Identity::default())
            }
            Some(signer) => self.identities.of(signer, token.as_deref()).await?,
        };
        let context = match (account.role, &identity.limit) {
            (Role::Admin, None) => Context::default(),
            _ => request_context::read(cx, signer.as_ref().map(|_| account.access.as_str())),
        };
        let owner = cx.extensions_mut().remove::<MadeFor>().map(|MadeFor(account)| account);
        let rules = self.rules.clone();
        let anonymous = signer.is_none();
        let mut access = Access { account, owner, bucket: None, scope, anonymous, rules, context, identity };
        match (operation, cx.s3_path().get_bucket_name()) {
            ("ListBuckets", _) => match access.decide(LIST_ALL_BUCKETS, "arn:aws:s3:::*") {
                Decision::Deny => return Err(plain(S3ErrorCode::AccessDenied)),
                Decision::Allow | Decision::Silent => {}
            },
            ("CreateBucket", name) => {
                let resource = format!("arn:aws:s3:::{}", name.unwrap_or_default());
                let may = match access.decide("s3:CreateBucket", &resource) {
                    Decision::Allow => true,
                    Decision::Silent => access.account.role != Role::User,
                    Decision::Deny => false,
                };
                if !may {
                    return Err(plain(S3ErrorCode::AccessDenied));
                }
            }
            (_, Some(name)) => {
                let bucket = self.namespace.bucket(name).or_s3()?;
                if let Some(payer) = access.scope.payer() {
                    payer.admit_bucket(name)?;
                }
                access.scope.note(|facts| facts.owner = Some(bucket.owner.clone()));
                check_bucket(cx, &access, &bucket, operation)?;
                check_expected_owner(cx, &bucket)?;
                let key = key(cx);
                if !key.is_empty() && access.may(&bucket, &key, READ_CID, None).is_ok() {
                    access.scope.set_shows_cid();
                }
                access.bucket = Some(bucket);
            }
            (_, None) if !access.is_unlimited() => return Err(plain(S3ErrorCode::AccessDenied)),
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
            identity: Identity::default(),
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

/// The object's key; empty if the request names none.
fn key(cx: &mut S3AccessContext<'_>) -> String {
    let long = cx.extensions_mut().get::<LongKey>().map(|LongKey(key)| key.clone());
    match (long, cx.s3_path()) {
        (Some(key), _) => key,
        (None, S3Path::Object { key, .. }) => key.to_string(),
        (None, _) => String::new(),
    }
}

fn check_bucket(cx: &mut S3AccessContext<'_>, access: &Access, bucket: &BucketInfo, operation: &str) -> S3Result<()> {
    // Each of its keys is asked for by itself.
    if operation != "DeleteObjects" && !access.is_unlimited() {
        let key = key(cx);
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
