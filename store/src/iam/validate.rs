//! What a policy must be to be accepted: a bucket's, in S3's words, an account's, and a role's trust policy.

use super::action::{self, About};
use super::condition::Condition;
use super::operator::Network;
use super::parse::{ARN, INVALID_ACTION, INVALID_PRINCIPAL, INVALID_RESOURCE, missing};
use super::policy::{Effect, Malformed, Policy, Principal, Selection, Statement, Version};

/// Largest document, in bytes.
pub const MAX_POLICY: usize = 20 * 1024;

/// Reads the policy of `bucket` and says what is wrong with it. `exists` says whether there is an account; its error
/// is passed on.
pub fn bucket_policy<E>(
    text: &str,
    bucket: &str,
    mut exists: impl FnMut(&str) -> Result<bool, E>,
) -> Result<Result<Policy, Malformed>, E> {
    let policy = match read(text) {
        Ok(policy) => policy,
        Err(wrong) => return Ok(Err(wrong)),
    };
    for statement in &policy.statements {
        if let Err(wrong) = check_effect(statement) {
            return Ok(Err(wrong));
        }
        let Some(principal) = &statement.principal else { return Ok(Err(missing("Principal"))) };
        for name in principal.list() {
            if let Principal::Account(access) = name
                && !exists(access)?
            {
                return Ok(Err(Malformed::new(INVALID_PRINCIPAL)));
            }
        }
        if let Err(wrong) = check(statement, bucket) {
            return Ok(Err(wrong));
        }
    }
    Ok(Ok(policy))
}

/// Reads a policy that accounts, groups and roles are given, or that narrows a session.
pub fn identity_policy(text: &str) -> Result<Policy, Malformed> {
    let policy = read(text)?;
    for statement in &policy.statements {
        check_effect(statement)?;
        if statement.principal.is_some() {
            return Err(Malformed::new("Policy document should not specify a principal."));
        }
        check_conditions(statement)?;
    }
    Ok(policy)
}

/// Reads the policy that says who may take a role.
pub fn trust_policy(text: &str) -> Result<Policy, Malformed> {
    let policy = read(text)?;
    for statement in &policy.statements {
        check_effect(statement)?;
        if statement.principal.is_none() {
            return Err(missing("Principal"));
        }
        match &statement.action {
            Selection::Any(list) if list.iter().all(|a| action::is_of_roles(a)) => {}
            _ => return Err(Malformed::new("AssumeRole policy may only specify STS AssumeRole actions.")),
        }
        check_conditions(statement)?;
    }
    Ok(policy)
}

fn read(text: &str) -> Result<Policy, Malformed> {
    if text.len() > MAX_POLICY {
        return Err(Malformed::new("Policy exceeds the maximum allowed document size."));
    }
    let policy = Policy::parse(text)?;
    match policy.version {
        Version::Other(_) => Err(Malformed::new("The policy must contain a valid version string")),
        _ => Ok(policy),
    }
}

fn check_effect(statement: &Statement) -> Result<(), Malformed> {
    match &statement.effect {
        Effect::Other(effect) => Err(Malformed::new(format!("Invalid effect: {effect}"))),
        // It would allow everybody else everything, for good.
        Effect::Allow if matches!(statement.principal, Some(Selection::Not(_))) => {
            Err(Malformed::new("Allow with NotPrincipal is not allowed."))
        }
        _ => Ok(()),
    }
}

fn check(statement: &Statement, bucket: &str) -> Result<(), Malformed> {
    if !statement.action.list().iter().all(|a| action::is_of_buckets(a)) {
        return Err(Malformed::new(INVALID_ACTION));
    }
    if !statement.resource.list().iter().all(|r| is_of(r, bucket)) {
        return Err(Malformed::new(INVALID_RESOURCE));
    }
    check_conditions(statement)?;
    let (Selection::Any(actions), Selection::Any(resources)) = (&statement.action, &statement.resource) else {
        return Ok(());
    };
    let objects = resources.iter().any(|r| r.contains('/') || reaches_objects(r, bucket));
    let buckets = resources.iter().any(|r| !r.contains('/'));
    for action in actions {
        let fits = match action::about(action) {
            About::Everything => true,
            About::Objects => objects,
            About::Buckets => buckets,
        };
        if !fits {
            return Err(Malformed::new("Action does not apply to any resource(s) in statement"));
        }
    }
    Ok(())
}

/// `arn:aws:s3:::bucket*` means the bucket and what is in it.
fn reaches_objects(resource: &str, bucket: &str) -> bool {
    path_of(resource, bucket).is_some_and(|rest| rest.starts_with('*'))
}

/// What follows the bucket's name in a resource; `None` for another bucket's.
fn path_of<'a>(resource: &'a str, bucket: &str) -> Option<&'a str> {
    resource.strip_prefix(ARN)?.strip_prefix(bucket)
}

fn is_of(resource: &str, bucket: &str) -> bool {
    path_of(resource, bucket).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*', '?']))
}

fn check_conditions(statement: &Statement) -> Result<(), Malformed> {
    let concrete: Vec<&str> = match &statement.action {
        Selection::Any(list) => list.iter().map(String::as_str).filter(|a| !a.contains(['*', '?'])).collect(),
        Selection::Not(_) => Vec::new(),
    };
    statement.condition.iter().try_for_each(|condition| check_condition(condition, &concrete))
}

fn check_condition(condition: &Condition, concrete: &[&str]) -> Result<(), Malformed> {
    let applies: fn(&str) -> bool = match condition.key.as_str() {
        "aws:sourceip"
        | "aws:currenttime"
        | "aws:epochtime"
        | "aws:securetransport"
        | "aws:useragent"
        | "aws:referer"
        | "aws:principalarn"
        | "aws:principaltype"
        | "aws:username"
        | "aws:userid"
        | "aws:multifactorauthage"
        | "aws:multifactorauthpresent"
        | "s3:authtype"
        | "s3:signatureversion"
        | "s3:x-amz-content-sha256" => |_| true,
        "s3:prefix" | "s3:delimiter" | "s3:max-keys" => |a| matches!(a, "s3:ListBucket" | "s3:ListBucketVersions"),
        "s3:x-amz-acl"
        | "s3:x-amz-grant-read"
        | "s3:x-amz-grant-write"
        | "s3:x-amz-grant-read-acp"
        | "s3:x-amz-grant-write-acp"
        | "s3:x-amz-grant-full-control" => |a| matches!(a, "s3:PutObject" | "s3:PutBucketAcl" | "s3:PutObjectAcl"),
        "s3:x-amz-copy-source"
        | "s3:x-amz-metadata-directive"
        | "s3:x-amz-storage-class"
        | "s3:if-match"
        | "s3:if-none-match" => |a| a == "s3:PutObject",
        "s3:versionid" => |a| a.contains("Version") && a.contains("Object"),
        key if key.starts_with("s3:requestobjecttag/") || key == "s3:requestobjecttagkeys" => {
            |a| matches!(a, "s3:PutObject" | "s3:PutObjectTagging" | "s3:PutObjectVersionTagging")
        }
        _ => return Err(Malformed::new("Policy has an invalid condition key")),
    };
    if !concrete.iter().all(|action| applies(action)) {
        return Err(Malformed::new("Conditions do not apply to combination of actions and resources in statement"));
    }
    if condition.key == "aws:sourceip" && !condition.values.iter().all(|v| Network::parse(v).is_some()) {
        return Err(Malformed::new("Invalid IP address in Conditions"));
    }
    Ok(())
}
