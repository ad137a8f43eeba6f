//! A form's policy: what it may hold, in the words of AWS where it is none or does not hold.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fields::Fields;
use crate::error::fail;

fn invalid(what: impl std::fmt::Display) -> S3Error {
    let mut error = fail(S3ErrorCode::Custom("InvalidPolicyDocument".into()), format!("Invalid Policy: {what}"));
    error.set_status_code(hyper::StatusCode::BAD_REQUEST);
    error
}

fn refused(what: impl std::fmt::Display) -> S3Error {
    fail(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {what}"))
}

/// The error of a form that came too late.
pub(super) fn expired() -> S3Error {
    refused("Policy expired.")
}

/// A parsed policy that has not expired.
#[derive(Debug)]
pub(super) struct Policy {
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    /// A field is this, or begins with it.
    Field { name: String, value: String, prefix: bool, shown: String },
    /// The file has so many bytes.
    Length(u64, u64),
}

impl Policy {
    /// Reads a policy as a form brings it, in base64.
    pub(super) fn parse(encoded: &str, now: OffsetDateTime) -> S3Result<Self> {
        let encoded = encoded.trim();
        if encoded.is_empty() {
            return Err(invalid("Expecting '{' but found End-of-Input"));
        }
        let json = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded));
        let json = json.map_err(|_| invalid("invalid Base64 encoding."))?;
        let Ok(Value::Object(document)) = serde_json::from_slice(&json) else { return Err(invalid("Invalid JSON.")) };
        let Some(expiration) = document.get("expiration") else { return Err(invalid("Policy missing expiration.")) };
        let Some(conditions) = document.get("conditions") else { return Err(invalid("Policy missing conditions.")) };
        if let Some(other) = document.keys().find(|name| !matches!(name.as_str(), "expiration" | "conditions")) {
            return Err(invalid(format!("Unexpected: \"{other}\"")));
        }
        let Some(conditions) = conditions.as_array() else {
            return Err(invalid("Invalid 'conditions' value: must be a List."));
        };
        let Some(expiration) = expiration.as_str() else { return Err(invalid("Invalid JSON.")) };
        let Ok(end) = OffsetDateTime::parse(expiration, &Rfc3339) else {
            return Err(invalid(format!("Invalid 'expiration' value: '{expiration}'")));
        };
        let conditions = conditions.iter().map(Condition::read).collect::<S3Result<_>>()?;
        if end < now {
            return Err(expired());
        }
        Ok(Self { conditions })
    }

    /// Whether a form holds to it: every field that it sends must have a condition, and every condition must hold. (How
    /// long the file may be is [`Self::length`].)
    pub(super) fn evaluate(&self, bucket: &str, fields: &Fields) -> S3Result<()> {
        let covers =
            |wanted: &str| self.conditions.iter().any(|c| matches!(c, Condition::Field { name, .. } if name == wanted));
        for (name, _) in fields.iter() {
            let free = matches!(name, "file" | "policy" | "x-amz-signature") || name.starts_with("x-ignore-");
            if !free && !covers(name) {
                return Err(refused(format!("Extra input fields: {name}")));
            }
        }
        for condition in &self.conditions {
            let Condition::Field { name, value, prefix, shown } = condition else { continue };
            let sent = if name == "bucket" { Some(bucket) } else { fields.get(name) };
            let holds = match (sent, prefix) {
                (None, _) => false,
                (Some(sent), false) => sent == value,
                // Of a list of types each must begin so.
                (Some(sent), true) if name == "content-type" => {
                    sent.split(',').all(|one| one.trim().starts_with(value))
                }
                (Some(sent), true) => sent.starts_with(value),
            };
            if !holds {
                return Err(refused(format!("Policy Condition failed: {shown}")));
            }
        }
        if covers("bucket") { Ok(()) } else { Err(refused("Extra input fields: bucket")) }
    }

    /// How long the file may be.
    pub(super) fn length(&self, (mut min, mut max): (u64, u64)) -> (u64, u64) {
        for condition in &self.conditions {
            if let Condition::Length(from, to) = condition {
                (min, max) = (min.max(*from), max.min(*to));
            }
        }
        (min, max)
    }
}

impl Condition {
    fn read(value: &Value) -> S3Result<Self> {
        match value {
            Value::Object(pairs) => {
                let mut pairs = pairs.iter();
                let (Some((name, value)), None) = (pairs.next(), pairs.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                    ));
                };
                let Some(value) = value.as_str() else {
                    return Err(invalid("Invalid Simple-Condition: value must be a string."));
                };
                let name = name.to_lowercase();
                let shown = format!("[\"eq\", \"${name}\", \"{value}\"]");
                Ok(Self::Field { name, value: value.to_owned(), prefix: false, shown })
            }
            Value::Array(arguments) => Self::operation(arguments, value),
            _ => Err(invalid("Invalid condition test: must be a List or Object.")),
        }
    }

    fn operation(arguments: &[Value], whole: &Value) -> S3Result<Self> {
        let Some(operation) = arguments.first() else {
            return Err(invalid("Invalid Condition: missing operation identifier."));
        };
        let Some(operation) = operation.as_str() else { return Err(invalid("Invalid JSON.")) };
        if !matches!(operation, "eq" | "starts-with" | "content-length-range") {
            return Err(invalid(format!("Invalid Condition: unknown operation '{operation}'.")));
        }
        let [_, first, second] = arguments else {
            return Err(invalid(format!("Invalid {operation}: wrong number of arguments.")));
        };
        if operation == "content-length-range" {
            let (Some(min), Some(max)) = (number(first), number(second)) else { return Err(invalid("Invalid JSON.")) };
            return Ok(Self::Length(min, max));
        }
        let value = match second {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(invalid("Invalid JSON.")),
        };
        let Some(field) = first.as_str() else { return Err(invalid("Invalid JSON.")) };
        let shown = whole.to_string();
        match field.strip_prefix('$').filter(|name| !name.trim().is_empty()) {
            Some(name) => {
                Ok(Self::Field { name: name.to_lowercase(), value, prefix: operation == "starts-with", shown })
            }
            None => Err(refused(format!("Policy Condition failed: {shown}"))),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> S3Result<Policy> {
        Policy::parse(&STANDARD.encode(json), OffsetDateTime::UNIX_EPOCH)
    }

    fn problem(json: &str) -> String {
        parse(json).unwrap_err().message().unwrap_or_default().to_owned()
    }

    fn with(condition: &str) -> String {
        format!(
            "{{\"expiration\": \"2044-01-01T00:00:00.5Z\", \"conditions\": [{{\"bucket\": \"bkt\"}}, {condition}]}}"
        )
    }

    #[test]
    fn what_is_no_policy_is_said() {
        let at =
            |text: &str| Policy::parse(text, OffsetDateTime::UNIX_EPOCH).unwrap_err().message().unwrap().to_owned();
        assert!(at("").ends_with("End-of-Input") && at("in_valid").ends_with("Base64 encoding."));
        for (json, says) in [
            ("nonsense", "Invalid JSON."),
            ("[]", "Invalid JSON."),
            ("{\"conditions\": []}", "missing expiration."),
            ("{\"expiration\": \"2044-01-01T00:00:00Z\"}", "missing conditions."),
            ("{\"expiration\": true, \"conditions\": []}", "Invalid JSON."),
            ("{\"expiration\": \"soon\", \"conditions\": []}", "Invalid 'expiration' value: 'soon'"),
            ("{\"expiration\": \"2044-01-01T00:00:00Z\", \"conditions\": 1}", "must be a List."),
            ("{\"expiration\": \"2044-01-01T00:00:00Z\", \"conditions\": [], \"x\": 1}", "Unexpected: \"x\""),
            ("{\"expiration\": \"1960-01-01T00:00:00Z\", \"conditions\": []}", "Policy expired."),
            (&with("true"), "must be a List or Object."),
            (&with("[]"), "missing operation identifier."),
            (&with("[\"is\", \"$key\", \"a\"]"), "unknown operation 'is'."),
            (&with("[\"eq\", \"$key\"]"), "Invalid eq: wrong number of arguments."),
            (&with("[\"eq\", \"key\", \"a\"]"), "Policy Condition failed: [\"eq\",\"key\",\"a\"]"),
            (&with("[\"eq\", \"$key\", true]"), "Invalid JSON."),
            (&with("[\"content-length-range\", 1, \"x\"]"), "Invalid JSON."),
            (&with("{\"a\": \"1\", \"b\": \"2\"}"), "exactly one property specified."),
            (&with("{\"a\": 1}"), "value must be a string."),
        ] {
            assert!(problem(json).ends_with(says), "{json}: {}", problem(json));
        }
    }

    fn check(condition: &str, fields: &[(&str, &str)]) -> String {
        let result = parse(&with(condition)).unwrap().evaluate("bkt", &Fields::of(fields));
        result.map_or_else(|e| e.message().unwrap().replace("Invalid according to Policy: ", ""), |()| "ok".to_owned())
    }

    #[test]
    fn conditions_hold_or_not() {
        let exact = "[\"eq\", \"$Key\", \"a\"]";
        assert_eq!(check(exact, &[("key", "a"), ("policy", "p"), ("x-ignore-x", "1")]), "ok");
        assert_eq!(check(exact, &[("key", "b")]), "Policy Condition failed: [\"eq\",\"$Key\",\"a\"]");
        assert!(check(exact, &[]).starts_with("Policy Condition failed"));
        assert_eq!(check(exact, &[("key", "a"), ("acl", "private")]), "Extra input fields: acl");
        assert_eq!(check("{\"acl\": \"x\"}", &[("acl", "y")]), "Policy Condition failed: [\"eq\", \"$acl\", \"x\"]");
        let types = "[\"starts-with\", \"$content-type\", \"text/\"]";
        assert_eq!(check(types, &[("content-type", "text/plain, text/html")]), "ok");
        assert!(check(types, &[("content-type", "text/plain, image/png")]).starts_with("Policy Condition failed"));
        assert_eq!(check("[\"starts-with\", \"$key\", \"\"]", &[("key", "anything")]), "ok");
        let other = parse(&with("{\"bucket\": \"other\"}")).unwrap();
        assert!(other.evaluate("bkt", &Fields::of(&[])).is_err());
        let without = parse("{\"expiration\": \"2044-01-01T00:00:00Z\", \"conditions\": []}").unwrap();
        assert!(without.evaluate("bkt", &Fields::of(&[])).unwrap_err().message().unwrap().ends_with("fields: bucket"));
    }

    #[test]
    fn lengths_narrow() {
        let policy =
            parse(&with("[\"content-length-range\", 1, 10], [\"content-length-range\", \"0\", \"7\"]")).unwrap();
        assert_eq!(policy.length((0, 100)), (1, 7));
    }
}
