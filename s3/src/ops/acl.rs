//! Access control lists of buckets. (Objects have none of their own: `head::acl` shows their owner's full control.)

use hyper::{HeaderMap, StatusCode};
use pinfold_store::iam::bucket::document;
use pinfold_store::iam::{Acl, BucketRules, Grant, Grantee, Permission};
use s3s::dto::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, Grant as SentGrant, Grantee as SentGrantee,
    Permission as SentPermission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{full_control, owner, set_document, to_json};
use crate::access;
use crate::error::{OrS3, bad_argument, fail, invalid_argument, invalid_request, plain};
use crate::service::Service;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// Headers that grant, and what.
const HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-full-control", Permission::FullControl),
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
];

/// What a request's headers say of a list.
pub(crate) struct Sent {
    /// Its `x-amz-acl`.
    pub(crate) canned: Option<String>,
    granted: bool,
}

impl Sent {
    /// Reads and checks the headers; a ready-made list that there is none of is refused.
    pub(crate) fn read(headers: &HeaderMap) -> S3Result<Self> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
        let canned = text("x-amz-acl").map(str::to_owned);
        if let Some(name) = &canned
            && Acl::canned(name).is_none()
        {
            return Err(bad_argument("x-amz-acl", name, "The canned ACL you provided is not valid"));
        }
        Ok(Self { canned, granted: HEADERS.iter().any(|(name, _)| text(name).is_some()) })
    }

    /// Nothing is asked for.
    pub(crate) fn is_nothing(&self) -> bool {
        self.canned.is_none() && !self.granted
    }

    /// The list they make.
    pub(crate) async fn list(&self, service: &Service, headers: &HeaderMap) -> S3Result<Acl> {
        match &self.canned {
            Some(_) if self.granted => {
                Err(invalid_request("Specifying both Canned ACLs and Header Grants is not allowed."))
            }
            Some(name) => Ok(Acl::canned(name).unwrap_or_default()),
            None => granted(service, headers).await,
        }
    }
}

async fn granted(service: &Service, headers: &HeaderMap) -> S3Result<Acl> {
    let mut grants = Vec::new();
    for (name, permission) in HEADERS {
        let Some(value) = headers.get(name).filter(|v| !v.is_empty()) else { continue };
        let value = value.to_str().map_err(|_| bad_argument(name, "", "The header is not valid"))?;
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (kind, of) = part.split_once('=').map_or(("id", part), |(kind, of)| (kind.trim(), of));
            let of = of.trim().trim_matches('"');
            let grantee = match kind {
                "id" => Some(Grantee::Account(of.to_owned())),
                "uri" => group(of),
                _ => None,
            };
            let grantee = grantee.ok_or_else(|| bad_argument(name, part, "Argument format not recognized"))?;
            push(&mut grants, Grant { grantee, permission });
        }
    }
    checked(service, grants).await
}

fn push(grants: &mut Vec<Grant>, grant: Grant) {
    if !grants.contains(&grant) {
        grants.push(grant);
    }
}

fn group(uri: &str) -> Option<Grantee> {
    match uri {
        ALL_USERS | "all-users" => Some(Grantee::AllUsers),
        AUTHENTICATED_USERS | "authenticated-users" => Some(Grantee::AuthenticatedUsers),
        _ => None,
    }
}

/// The list, if all its accounts exist.
async fn checked(service: &Service, grants: Vec<Grant>) -> S3Result<Acl> {
    for grant in &grants {
        if let Grantee::Account(name) = &grant.grantee
            && service.accounts.find(name).await.or_s3()?.is_none()
        {
            return Err(bad_argument("id", name, "Invalid id"));
        }
    }
    Ok(Acl { grants })
}

fn malformed() -> S3Error {
    let mut error = plain(S3ErrorCode::MalformedACLError);
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}

/// The list of a body. The owner's own full control is not kept: it goes without saying.
fn from_body(sent: AccessControlPolicy, owner: &str) -> S3Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for grant in sent.grants.unwrap_or_default() {
        let permission = grant.permission.and_then(|p| Permission::parse(p.as_str())).ok_or_else(malformed)?;
        let grantee = grant.grantee.ok_or_else(malformed)?;
        let id = grantee.id.filter(|id| !id.is_empty());
        let grantee = match grantee.type_.as_str() {
            Type::CANONICAL_USER => id.map(Grantee::Account),
            Type::GROUP => grantee.uri.or(id).and_then(|uri| group(&uri)),
            _ => None,
        };
        let grant = Grant { grantee: grantee.ok_or_else(malformed)?, permission };
        if grant != (Grant { grantee: Grantee::Account(owner.to_owned()), permission: Permission::FullControl }) {
            push(&mut grants, grant);
        }
    }
    let said = sent.owner.and_then(|o| o.id).filter(|id| !id.is_empty()).ok_or_else(malformed)?;
    if said != owner {
        return Err(invalid_argument("Invalid id"));
    }
    Ok(grants)
}

/// GetBucketAcl. Where lists are off, the owner's full control is all there is.
pub(crate) async fn get(
    _: &Service,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let access = access::of(&request)?;
    let name = &access.bucket()?.owner;
    let rules = access.rules()?;
    let mut grants = vec![full_control(name)];
    if rules.ownership.has_lists() {
        grants.extend(rules.acl.grants.iter().map(shown));
    }
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(grants), owner: Some(owner(name)) }))
}

/// A grant as S3 shows it. Groups have AWS's URI and, as VersityGW's have, an id.
fn shown(grant: &Grant) -> SentGrant {
    let (id, type_, uri) = match &grant.grantee {
        Grantee::Account(name) => (name.clone(), Type::CANONICAL_USER, None),
        Grantee::AllUsers => ("all-users".to_owned(), Type::GROUP, Some(ALL_USERS)),
        Grantee::AuthenticatedUsers => ("authenticated-users".to_owned(), Type::GROUP, Some(AUTHENTICATED_USERS)),
    };
    SentGrant {
        grantee: Some(SentGrantee {
            display_name: uri.is_none().then(|| id.clone()),
            email_address: None,
            id: Some(id),
            type_: Type::from_static(type_),
            uri: uri.map(str::to_owned),
        }),
        permission: Some(SentPermission::from_static(grant.permission.as_str())),
    }
}

/// PutBucketAcl: a ready-made list, grants in headers, or a body.
pub(crate) async fn put(
    service: &Service,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let access = access::of(&request)?;
    let (name, rules) = (&access.bucket()?.owner, access.rules()?);
    let sent = Sent::read(&request.headers)?;
    if !rules.ownership.has_lists() {
        return Err(plain(S3ErrorCode::AccessControlListNotSupported));
    }
    let acl = match request.input.access_control_policy {
        Some(body) => {
            let grants = from_body(body, name)?;
            if !sent.is_nothing() {
                return Err(fail(S3ErrorCode::UnexpectedContent, "This request does not support content."));
            }
            checked(service, grants).await?
        }
        None if sent.is_nothing() => return Err(plain(S3ErrorCode::MissingSecurityHeader)),
        None => sent.list(service, &request.headers).await?,
    };
    check_block(&rules, &acl)?;
    set_document(service, &access, document::ACL, Some(to_json(&acl)?)).await?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

fn check_block(rules: &BucketRules, acl: &Acl) -> S3Result<()> {
    match rules.block {
        Some(block) if block.block_public_acls && acl.is_public() => Err(plain(S3ErrorCode::AccessDenied)),
        _ => Ok(()),
    }
}

/// PutObjectAcl: objects have no lists.
pub(crate) async fn put_object(
    _: &Service,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let lists = access::of(&request)?.rules()?.ownership.has_lists();
    Err(plain(if lists { S3ErrorCode::NotImplemented } else { S3ErrorCode::AccessControlListNotSupported }))
}

/// For [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(sent: AccessControlPolicy) {
    let _ = from_body(sent, "owner");
}
