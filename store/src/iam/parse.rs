//! Reading a policy document's JSON.

use serde_json::{Map, Value};

use super::action;
use super::condition::Conditions;
use super::policy::{Effect, Malformed, Policy, Principal, Selection, Statement, Version};

/// The ARN of everything in S3.
pub(super) const ARN: &str = "arn:aws:s3:::";

/// The ARN of accounts and roles.
const IAM_ARN: &str = "arn:aws:iam::";

pub(super) const INVALID_PRINCIPAL: &str = "Invalid principal in policy";
pub(super) const INVALID_ACTION: &str = "Policy has invalid action";
pub(super) const INVALID_RESOURCE: &str = "Policy has invalid resource";
const INVALID_JSON: &str = "This policy contains invalid Json";

pub(super) fn policy(value: &Value) -> Result<Policy, Malformed> {
    let document = object(value)?;
    known(document, &["Version", "Id", "Statement"])?;
    let statements = document.get("Statement").ok_or_else(|| missing("Statement"))?;
    let statements = match statements {
        Value::Array(list) => list.iter().map(statement).collect::<Result<Vec<_>, _>>()?,
        one => vec![statement(one)?],
    };
    if statements.is_empty() {
        return Err(Malformed::new("Could not parse the policy: Statement is empty!"));
    }
    let version = match document.get("Version") {
        None => Version::V2008,
        Some(Value::String(text)) => match text.as_str() {
            "2008-10-17" => Version::V2008,
            "2012-10-17" => Version::V2012,
            other => Version::Other(other.to_owned()),
        },
        Some(_) => return Err(Malformed::new(INVALID_JSON)),
    };
    Ok(Policy { version, statements })
}

fn statement(value: &Value) -> Result<Statement, Malformed> {
    const FIELDS: [&str; 9] =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let fields = object(value)?;
    known(fields, &FIELDS)?;
    let effect = match fields.get("Effect") {
        None => return Err(missing("Effect")),
        Some(Value::String(text)) => match text.as_str() {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            other => Effect::Other(other.to_owned()),
        },
        Some(_) => return Err(Malformed::new(INVALID_JSON)),
    };
    let principal = either(fields, "Principal", "NotPrincipal", principals)?;
    let action = either(fields, "Action", "NotAction", |v| {
        texts(v, INVALID_ACTION)?
            .into_iter()
            .map(|a| if action::is_known(&a) { Ok(a) } else { Err(Malformed::new(INVALID_ACTION)) })
            .collect()
    })?;
    let resource =
        either(fields, "Resource", "NotResource", |v| texts(v, INVALID_RESOURCE)?.into_iter().map(resource).collect())?;
    let condition = fields.get("Condition").map(Conditions::parse).transpose()?.unwrap_or_default();
    let action = action.ok_or_else(|| missing("Action"))?;
    let resource = match (resource, &action) {
        (Some(resource), _) => resource,
        // Who may take a role is said by the role's own document.
        (None, Selection::Any(list)) if list.iter().all(|a| action::is_of_roles(a)) => {
            Selection::Any(vec!["*".to_owned()])
        }
        (None, _) => return Err(missing("Resource")),
    };
    Ok(Statement { effect, principal, action, resource, condition })
}

/// `*` is every resource; else an ARN of S3 that begins with a bucket, or one of a role.
fn resource(text: String) -> Result<String, Malformed> {
    let path = if text == "*" { Some("*") } else { text.strip_prefix(ARN).or_else(|| text.strip_prefix(IAM_ARN)) };
    match path {
        Some(path) if !path.is_empty() && !path.starts_with('/') => Ok(text),
        _ => Err(Malformed::new(INVALID_RESOURCE)),
    }
}

fn principals(value: &Value) -> Result<Vec<Principal>, Malformed> {
    let names = match value {
        Value::Object(kinds) => {
            let mut names = Vec::new();
            for (kind, value) in kinds {
                if !matches!(kind.as_str(), "AWS" | "CanonicalUser") {
                    return Err(Malformed::new(INVALID_PRINCIPAL));
                }
                names.extend(texts(value, INVALID_PRINCIPAL)?);
            }
            names
        }
        value => texts(value, INVALID_PRINCIPAL)?,
    };
    if names.is_empty() {
        return Err(Malformed::new(INVALID_PRINCIPAL));
    }
    let list: Vec<Principal> = names.iter().map(|name| Principal::new(name)).collect();
    // Beside everybody nobody else can be meant.
    if list.len() > 1 && list.contains(&Principal::Everybody) {
        return Err(Malformed::new(INVALID_PRINCIPAL));
    }
    Ok(list)
}

/// A text or a list of texts; neither may be empty.
fn texts(value: &Value, message: &str) -> Result<Vec<String>, Malformed> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::String(_) => Err(Malformed::new(message)),
        _ => Err(Malformed::new(INVALID_JSON)),
    };
    match value {
        Value::Array(list) if list.is_empty() => Err(Malformed::new(message)),
        Value::Array(list) => list.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn either<T>(
    fields: &Map<String, Value>,
    name: &str,
    not: &str,
    read: impl Fn(&Value) -> Result<Vec<T>, Malformed>,
) -> Result<Option<Selection<T>>, Malformed> {
    match (fields.get(name), fields.get(not)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Selection::Any(read(value)?))),
        (None, Some(value)) => Ok(Some(Selection::Not(read(value)?))),
        (Some(_), Some(_)) => Err(Malformed::new(format!("A statement has both {name} and {not}"))),
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, Malformed> {
    value.as_object().ok_or_else(|| Malformed::new(INVALID_JSON))
}

fn known(fields: &Map<String, Value>, names: &[&str]) -> Result<(), Malformed> {
    match fields.keys().find(|name| !names.contains(&name.as_str())) {
        Some(strange) => Err(Malformed::new(format!("Unknown field {strange}"))),
        None => Ok(()),
    }
}

pub(super) fn missing(field: &str) -> Malformed {
    Malformed::new(format!("Missing required field {field}"))
}
