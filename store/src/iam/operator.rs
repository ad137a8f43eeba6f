//! The operators of conditions: what each makes of one value of the policy and one of the request.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::Context;
use super::pattern;

/// What is compared, and how. A negated operator is the other one's answer turned round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Comparison {
    /// The same text.
    String,
    /// The same text but for ASCII case.
    StringIgnoringCase,
    /// A pattern.
    Like,
    /// Numbers.
    Number(Order),
    /// Points in time.
    Date(Order),
    /// `true` or `false`.
    Bool,
    /// Base64 of the same bytes.
    Binary,
    /// An address in a network.
    Ip,
    /// ARNs: their six parts, each a pattern.
    Arn,
}

/// How two values lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Order {
    /// Equal.
    Equal,
    /// The request's is less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// The request's is greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// One operator of a condition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operator {
    /// `Null`: whether the request has no such key.
    Null,
    /// A comparison.
    Compare {
        /// Of what.
        comparison: Comparison,
        /// `…Not…`: no value of the policy may match.
        negated: bool,
        /// `…IfExists`: holds where the request has no such key.
        if_exists: bool,
        /// Which of the request's values must pass.
        values: Quantifier,
    },
}

/// Which of the request's values must pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quantifier {
    /// The one there is.
    One,
    /// `ForAllValues:`: each; holds where there is none.
    All,
    /// `ForAnyValue:`: at least one.
    Any,
}

impl Operator {
    /// By its name, which has case.
    pub fn parse(name: &str) -> Option<Self> {
        let (values, rest) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return None,
        };
        if rest == "Null" {
            return (values == Quantifier::One).then_some(Self::Null);
        }
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (comparison, negated) = match rest {
            "StringEquals" => (Comparison::String, false),
            "StringNotEquals" => (Comparison::String, true),
            "StringEqualsIgnoreCase" => (Comparison::StringIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::StringIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "Bool" => (Comparison::Bool, false),
            "BinaryEquals" => (Comparison::Binary, false),
            "IpAddress" => (Comparison::Ip, false),
            "NotIpAddress" => (Comparison::Ip, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            other => ordered(other)?,
        };
        Some(Self::Compare { comparison, negated, if_exists, values })
    }

    /// Whether the condition holds for the request's values of its key.
    pub(super) fn holds(self, allowed: &[String], found: &[String], variables: Option<&Context>) -> bool {
        let (comparison, negated, if_exists, values) = match self {
            Self::Null => return allowed.iter().any(|v| v.eq_ignore_ascii_case("true") == found.is_empty()),
            Self::Compare { comparison, negated, if_exists, values } => (comparison, negated, if_exists, values),
        };
        if found.is_empty() {
            return if_exists || values == Quantifier::All || (negated && values == Quantifier::One);
        }
        let passes = |value: &String| allowed.iter().any(|a| comparison.matches(a, value, variables)) != negated;
        match values {
            // Of several values (which a key that has one should not have) none may be what is excluded.
            Quantifier::One if negated => found.iter().all(passes),
            Quantifier::One | Quantifier::Any => found.iter().any(passes),
            Quantifier::All => found.iter().all(passes),
        }
    }
}

fn ordered(name: &str) -> Option<(Comparison, bool)> {
    let (kind, order): (fn(Order) -> Comparison, &str) = match name.strip_prefix("Numeric") {
        Some(order) => (Comparison::Number, order),
        None => (Comparison::Date, name.strip_prefix("Date")?),
    };
    Some(match order {
        "Equals" => (kind(Order::Equal), false),
        "NotEquals" => (kind(Order::Equal), true),
        "LessThan" => (kind(Order::Less), false),
        "LessThanEquals" => (kind(Order::LessOrEqual), false),
        "GreaterThan" => (kind(Order::Greater), false),
        "GreaterThanEquals" => (kind(Order::GreaterOrEqual), false),
        _ => return None,
    })
}

impl Comparison {
    /// Whether a value of the policy and one of the request match. What cannot be read matches nothing.
    fn matches(self, allowed: &str, found: &str, variables: Option<&Context>) -> bool {
        match self {
            Self::Like => return pattern::matches(allowed, found, variables),
            Self::Arn => return arn_matches(allowed, found, variables),
            _ => {}
        }
        let Some(allowed) = pattern::expand(allowed, variables) else { return false };
        match self {
            Self::String | Self::Binary => allowed == found,
            Self::StringIgnoringCase => allowed.eq_ignore_ascii_case(found),
            Self::Bool => allowed.eq_ignore_ascii_case(found),
            Self::Number(order) => order.of(number(found), number(&allowed)),
            Self::Date(order) => order.of(date(found), date(&allowed)),
            Self::Ip => match (Network::parse(&allowed), found.parse::<IpAddr>()) {
                (Some(network), Ok(address)) => network.contains(address),
                _ => false,
            },
            Self::Like | Self::Arn => false,
        }
    }
}

impl Order {
    fn of<T: PartialOrd>(self, found: Option<T>, allowed: Option<T>) -> bool {
        let (Some(found), Some(allowed)) = (found, allowed) else { return false };
        match self {
            Self::Equal => found == allowed,
            Self::Less => found < allowed,
            Self::LessOrEqual => found <= allowed,
            Self::Greater => found > allowed,
            Self::GreaterOrEqual => found >= allowed,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

/// A point in time: RFC 3339, a day, or seconds since 1970. Nanoseconds since then.
fn date(text: &str) -> Option<i128> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(i128::from(seconds) * 1_000_000_000);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    OffsetDateTime::parse(&whole, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
}

/// Patterns of ARNs match part by part, so that a `*` never reaches over a colon but in the last one.
fn arn_matches(allowed: &str, found: &str, variables: Option<&Context>) -> bool {
    let (allowed, found): (Vec<&str>, Vec<&str>) = (allowed.splitn(6, ':').collect(), found.splitn(6, ':').collect());
    allowed.len() == 6 && found.len() == 6 && allowed.iter().zip(found).all(|(a, f)| pattern::matches(a, f, variables))
}

/// A network, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    base: u128,
    bits: u32,
    v4: bool,
}

impl Network {
    /// Reads `10.0.0.0/8`, `10.0.0.1`, `2001:db8::/32`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (base, v4) = number_of(address);
        let width = if v4 { 32 } else { 128 };
        let bits = match prefix {
            None => width,
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse().ok().filter(|b| *b <= width)?
            }
            Some(_) => return None,
        };
        Some(Self { base, bits, v4 })
    }

    /// Whether it is every address there is.
    pub fn is_everything(&self) -> bool {
        self.bits == 0
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (number, v4) = number_of(address.to_canonical());
        let width = if self.v4 { 32 } else { 128 };
        let shift = width - self.bits;
        v4 == self.v4 && number.checked_shr(shift).unwrap_or(0) == self.base.checked_shr(shift).unwrap_or(0)
    }
}

fn number_of(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(name: &str, allowed: &[&str], found: &[&str]) -> bool {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        Operator::parse(name).unwrap().holds(&own(allowed), &own(found), None)
    }

    #[test]
    fn names_have_case_and_null_takes_no_suffix() {
        for strange in ["stringequals", "NullIfExists", "ForSomeValues:StringEquals", "ForAnyValue:Null", "Numeric", ""]
        {
            assert_eq!(Operator::parse(strange), None, "{strange}");
        }
        for name in ["ForAllValues:StringLikeIfExists", "DateLessThanEquals", "ArnNotLikeIfExists", "Null"] {
            assert!(Operator::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn each_compares_as_aws_does() {
        for (name, allowed, found, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "a*", "ab", false),
            ("StringEqualsIgnoreCase", "AB", "ab", true),
            ("StringNotEquals", "a", "b", true),
            ("StringLike", "a*?", "abc", true),
            ("StringNotLike", "a*", "abc", false),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "11", true),
            ("NumericLessThan", "10", "9", true),
            ("NumericLessThan", "10", "10", false),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericGreaterThan", "9", "10", true),
            ("NumericGreaterThanEquals", "10", "9", false),
            ("NumericEquals", "ten", "ten", false),
            ("DateEquals", "2026-01-01", "2026-01-01T00:00:00Z", true),
            ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59+00:00", true),
            ("DateGreaterThan", "0", "2025-12-31T23:59:59Z", true),
            ("DateGreaterThan", "never", "2025-12-31T23:59:59Z", false),
            ("Bool", "TRUE", "true", true),
            ("Bool", "true", "false", false),
            ("BinaryEquals", "aGk=", "aGk=", true),
            ("IpAddress", "10.0.0.0/8", "10.9.8.7", true),
            ("IpAddress", "10.0.0.0/8", "11.0.0.1", false),
            ("IpAddress", "10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("IpAddress", "0.0.0.0/0", "1.2.3.4", true),
            ("IpAddress", "2001:db8::/32", "2001:db8::1", true),
            ("IpAddress", "2001:db8::/32", "2001:db9::1", false),
            ("IpAddress", "0.0.0.0/0", "2001:db9::1", false),
            ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", true),
            ("NotIpAddress", "0.0.0.0/0", "11.0.0.1", false),
            ("ArnLike", "arn:aws:iam::*:user/a*", "arn:aws:iam::1:user/abc", true),
            ("ArnLike", "arn:aws:iam*user/a", "arn:aws:iam::1:user/a", false),
            ("ArnNotEquals", "arn:aws:iam::1:user/a", "arn:aws:iam::1:user/b", true),
        ] {
            assert_eq!(holds(name, &[allowed], &[found]), expected, "{name} {allowed} {found}");
        }
    }

    #[test]
    fn what_is_not_there_matches_only_exclusions() {
        for (name, expected) in [
            ("StringEquals", false),
            ("StringNotEquals", true),
            ("IpAddress", false),
            ("NotIpAddress", true),
            ("StringEqualsIfExists", true),
            ("NumericLessThanIfExists", true),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
        ] {
            assert_eq!(holds(name, &["1.2.3.4"], &[]), expected, "{name}");
        }
        assert!(holds("Null", &["true"], &[]) && !holds("Null", &["true"], &["x"]));
        assert!(holds("Null", &["false"], &["x"]) && !holds("Null", &["false"], &[]));
    }

    #[test]
    fn several_values() {
        assert!(holds("StringEquals", &["a", "b"], &["b"]), "one of the policy's is enough");
        assert!(!holds("StringNotEquals", &["a", "b"], &["b"]), "none of the policy's may match");
        assert!(holds("ForAllValues:StringEquals", &["a", "b"], &["a", "b"]));
        assert!(!holds("ForAllValues:StringEquals", &["a", "b"], &["a", "c"]));
        assert!(holds("ForAnyValue:StringEquals", &["a", "b"], &["a", "c"]));
        assert!(!holds("ForAnyValue:StringEquals", &["a", "b"], &["c"]));
        assert!(holds("ForAnyValue:StringNotEquals", &["a"], &["a", "c"]));
        assert!(!holds("StringNotEquals", &["a"], &["a", "c"]));
    }

    #[test]
    fn networks_are_whole() {
        for bad in ["not-an-ip", "300.1.1.1/40", "10.0.0.0/33", "true", "", "10.0.0.0/", "10.0.0.0/+8", "::/129"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
        assert!(Network::parse("::/0").unwrap().is_everything());
    }
}
