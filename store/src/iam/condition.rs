//! Conditions: all operators, all their keys must hold.

use serde_json::Value;

use super::context::Context;
use super::operator::{Comparison, Network, Operator, Quantifier};
use super::policy::Malformed;

/// A statement's conditions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions(Vec<Condition>);

/// One operator over one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// The operator.
    pub operator: Operator,
    /// The key, in lower case.
    pub key: String,
    /// The policy's values.
    pub values: Vec<String>,
}

/// Keys of which a fixed value makes a statement for everybody one for somebody.
const FIXING: [&str; 4] = ["aws:sourceip", "aws:userid", "aws:username", "aws:principalarn"];

impl Conditions {
    pub(super) fn parse(value: &Value) -> Result<Self, Malformed> {
        let invalid = || Malformed::new("This policy contains invalid Json");
        let mut conditions = Vec::new();
        for (name, keys) in value.as_object().ok_or_else(invalid)? {
            let Some(operator) = Operator::parse(name) else {
                return Err(Malformed::new(format!("Invalid Condition type : {name}")));
            };
            for (key, values) in keys.as_object().ok_or_else(invalid)? {
                let values = match values {
                    Value::Array(list) => list.iter().map(text).collect::<Option<Vec<_>>>(),
                    one => text(one).map(|text| vec![text]),
                };
                let values = values.ok_or_else(invalid)?;
                conditions.push(Condition { operator, key: key.to_ascii_lowercase(), values });
            }
        }
        Ok(Self(conditions))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    pub(super) fn hold(&self, context: &Context, variables: Option<&Context>) -> bool {
        self.0.iter().all(|c| c.operator.holds(&c.values, context.get(&c.key), variables))
    }

    /// Whether one of them can hold for fixed addresses or accounts only.
    pub(super) fn fixes_the_caller(&self) -> bool {
        self.0.iter().any(|condition| {
            let Operator::Compare { comparison, negated: false, if_exists: false, values } = condition.operator else {
                return false;
            };
            let fixed = |value: &String| match comparison {
                Comparison::Ip => Network::parse(value).is_some_and(|n| !n.is_everything()),
                _ => !value.contains(['*', '?', '$']),
            };
            values != Quantifier::All && FIXING.contains(&condition.key.as_str()) && condition.values.iter().all(fixed)
        })
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}
