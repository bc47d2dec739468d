//! A small evaluator of IAM policy documents.
//!
//! It supports `Effect`, `Action`/`NotAction`, `Resource`/`NotResource` with `*` and `?`, and the condition
//! operators of [`OPERATORS`], each also with `IfExists`. A document with anything else is rejected when it is
//! parsed, so that no unsupported clause can grant anything. An explicit deny wins; a condition on a key that
//! the request lacks does not match.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pattern::like;

/// The supported condition operators. A document that is malformed or uses an unsupported feature.
const OPERATORS: [&str; 16] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "ArnEquals",
    "ArnLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "IpAddress",
    "NotIpAddress",
];

/// The most statements of a document.
const MAX_STATEMENTS: usize = 100;

/// An IAM policy document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct IamPolicy {
    statements: Vec<Statement>,
}

/// A document that is malformed or says something that is not supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy document: {0}")]
pub struct InvalidPolicy(String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    allow: bool,
    action: Patterns,
    resource: Patterns,
    conditions: Vec<Condition>,
}

/// Patterns of which one must match, or none if negated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patterns {
    patterns: Vec<String>,
    negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    operator: &'static str,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

/// The context of a request: condition keys (in lower case) and their values.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    keys: BTreeMap<String, String>,
}

impl Context {
    /// Adds a key and its value.
    #[must_use]
    pub(super) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.keys.insert(key.to_ascii_lowercase(), value.to_string());
        self
    }

    /// Adds a resource's tags, under both of AWS's names.
    #[must_use]
    pub(super) fn with_tags(mut self, tags: &BTreeMap<String, String>) -> Self {
        for (key, value) in tags {
            self = self
                .with(&format!("aws:ResourceTag/{key}"), value)
                .with(&format!("ec2:ResourceTag/{key}"), value);
        }
        self
    }
}

/// The combined decision of the policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement allows it.
    ImplicitDeny,
    /// A statement denies it.
    ExplicitDeny,
}

/// Returns the decision of `policies` on `action` and `resource`.
pub(super) fn decide(policies: &[IamPolicy], action: &str, resource: &str, context: &Context) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.iter().flat_map(|policy| &policy.statements) {
        if statement.matches(action, resource, context) {
            if !statement.allow {
                return Decision::ExplicitDeny;
            }
            decision = Decision::Allowed;
        }
    }
    decision
}

impl IamPolicy {
    /// Returns the least privilege for a terminal: describe and console output for everything, OpenTunnel and
    /// SendSSHPublicKey for resources with the tag `Role=workspace`, and CloudTrail lookups.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a literal, covered by a test")]
    pub fn terminal() -> Self {
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [
                        "ec2:DescribeInstances", "ec2:DescribeInstanceConnectEndpoints",
                        "ec2:DescribeSecurityGroups", "ec2:GetConsoleOutput",
                        "sts:AssumeRole", "cloudtrail:LookupEvents"
                    ],
                    "Resource": "*"
                },
                {
                    "Effect": "Allow",
                    "Action": "ec2-instance-connect:OpenTunnel",
                    "Resource": "arn:*:ec2:*:*:instance-connect-endpoint/*",
                    "Condition": {
                        "StringEquals": { "aws:ResourceTag/Role": "workspace" },
                        "NumericEquals": { "ec2-instance-connect:remotePort": "22" }
                    }
                },
                {
                    "Effect": "Allow",
                    "Action": "ec2-instance-connect:SendSSHPublicKey",
                    "Resource": "arn:*:ec2:*:*:instance/*",
                    "Condition": { "StringEquals": { "aws:ResourceTag/Role": "workspace" } }
                }
            ]
        })
        .try_into()
        .expect("the literal is a policy")
    }

    /// Returns a policy that allows everything.
    #[must_use]
    pub fn allow_all() -> Self {
        let all = || Patterns { patterns: vec!["*".into()], negated: false };
        Self {
            statements: vec![Statement {
                allow: true,
                action: all(),
                resource: all(),
                conditions: Vec::new(),
            }],
        }
    }
}

impl FromStr for IamPolicy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        serde_json::from_str::<Value>(text).map_err(|error| InvalidPolicy(error.to_string()))?.try_into()
    }
}

impl TryFrom<Value> for IamPolicy {
    type Error = InvalidPolicy;

    fn try_from(document: Value) -> Result<Self, InvalidPolicy> {
        // A document may also be a JSON text, as AWS stores it.
        if let Value::String(text) = document {
            return text.parse();
        }
        let Value::Object(mut members) = document else {
            return Err(InvalidPolicy("is not an object".into()));
        };
        let statements = match members.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(InvalidPolicy("has no Statement".into())),
        };
        members.retain(|member, _| member != "Version" && member != "Id");
        if let Some(member) = members.keys().next() {
            return Err(InvalidPolicy(format!("member {member:?} is not supported")));
        }
        if statements.len() > MAX_STATEMENTS {
            return Err(InvalidPolicy(format!("has more than {MAX_STATEMENTS} statements")));
        }
        Ok(Self { statements: statements.into_iter().map(Statement::parse).collect::<Result<_, _>>()? })
    }
}

impl Statement {
    fn parse(value: Value) -> Result<Self, InvalidPolicy> {
        let Value::Object(mut members) = value else {
            return Err(InvalidPolicy("a statement is not an object".into()));
        };
        let allow = match members.remove("Effect").as_ref().and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(InvalidPolicy("Effect must be Allow or Deny".into())),
        };
        let mut patterns = |name: &str| {
            let negated = format!("Not{name}");
            match (members.remove(name), members.remove(&negated)) {
                (Some(value), None) => Ok(Patterns { patterns: texts(value)?, negated: false }),
                (None, Some(value)) => Ok(Patterns { patterns: texts(value)?, negated: true }),
                _ => Err(InvalidPolicy(format!("a statement needs either {name} or {negated}"))),
            }
        };
        let (action, resource) = (patterns("Action")?, patterns("Resource")?);
        let mut conditions = Vec::new();
        if let Some(value) = members.remove("Condition") {
            let Value::Object(operators) = value else {
                return Err(InvalidPolicy("Condition is not an object".into()));
            };
            for (name, keys) in operators {
                let (plain, if_exists) = match name.strip_suffix("IfExists") {
                    Some(plain) => (plain, true),
                    None => (name.as_str(), false),
                };
                let operator = OPERATORS
                    .into_iter()
                    .find(|known| *known == plain)
                    .ok_or_else(|| InvalidPolicy(format!("condition {name:?} is not supported")))?;
                let Value::Object(keys) = keys else {
                    return Err(InvalidPolicy(format!("condition {name:?} is not an object")));
                };
                for (key, value) in keys {
                    let key = key.to_ascii_lowercase();
                    conditions.push(Condition { operator, if_exists, key, values: texts(value)? });
                }
            }
        }
        members.remove("Sid");
        match members.keys().next() {
            Some(member) => Err(InvalidPolicy(format!("member {member:?} is not supported"))),
            None => Ok(Self { allow, action, resource, conditions }),
        }
    }

    fn matches(&self, action: &str, resource: &str, context: &Context) -> bool {
        // Actions are case-insensitive, resources are case-sensitive.
        self.action.matches(&action.to_ascii_lowercase(), true)
            && self.resource.matches(resource, false)
            && self.conditions.iter().all(|condition| condition.holds(context))
    }
}

impl Patterns {
    fn matches(&self, text: &str, lower: bool) -> bool {
        let any = self.patterns.iter().any(|pattern| {
            if lower { like(&pattern.to_ascii_lowercase(), text) } else { like(pattern, text) }
        });
        any != self.negated
    }
}

impl Condition {
    fn holds(&self, context: &Context) -> bool {
        let Some(actual) = context.keys.get(&self.key) else {
            return self.if_exists;
        };
        let any = |test: &dyn Fn(&str) -> bool| self.values.iter().any(|value| test(value));
        let number = |test: fn(f64, f64) -> bool| {
            any(&|value| match (actual.parse(), value.parse()) {
                (Ok(actual), Ok(value)) => test(actual, value),
                _ => false,
            })
        };
        let within = || any(&|block| actual.parse().is_ok_and(|address| is_within(address, block)));
        match self.operator {
            "StringEquals" => any(&|value| value == actual),
            "StringNotEquals" => !any(&|value| value == actual),
            "StringEqualsIgnoreCase" => any(&|value| value.eq_ignore_ascii_case(actual)),
            "StringNotEqualsIgnoreCase" => !any(&|value| value.eq_ignore_ascii_case(actual)),
            "StringLike" | "ArnEquals" | "ArnLike" => any(&|value| like(value, actual)),
            "StringNotLike" => !any(&|value| like(value, actual)),
            "NumericEquals" => number(|a, b| a == b),
            "NumericNotEquals" => !number(|a, b| a == b),
            "NumericLessThan" => number(|a, b| a < b),
            "NumericLessThanEquals" => number(|a, b| a <= b),
            "NumericGreaterThan" => number(|a, b| a > b),
            "NumericGreaterThanEquals" => number(|a, b| a >= b),
            "IpAddress" => within(),
            "NotIpAddress" => !within(),
            _ => false,
        }
    }
}

/// Converts a text, number or boolean, or a list of them, to texts.
fn texts(value: Value) -> Result<Vec<String>, InvalidPolicy> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Number(number) => Ok(vec![number.to_string()]),
        Value::Bool(flag) => Ok(vec![flag.to_string()]),
        Value::Array(values) => {
            values.into_iter().map(texts).collect::<Result<Vec<_>, _>>().map(|texts| texts.concat())
        }
        Value::Null | Value::Object(_) => Err(InvalidPolicy("a value is not a text or a list".into())),
    }
}

/// Returns whether `address` is in the CIDR block, or equals it.
pub(super) fn is_within(address: IpAddr, block: &str) -> bool {
    let (base, bits) = match block.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (block, Some(128)),
    };
    let shift = |bits: Option<u32>, width: u32| bits.map(|bits| width - bits.min(width));
    match (address, base.parse::<IpAddr>()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(base))) => shift(bits, 32).is_some_and(|shift| {
            address.to_bits().checked_shr(shift).unwrap_or(0)
                == base.to_bits().checked_shr(shift).unwrap_or(0)
        }),
        (IpAddr::V6(address), Ok(IpAddr::V6(base))) => shift(bits, 128).is_some_and(|shift| {
            address.to_bits().checked_shr(shift).unwrap_or(0)
                == base.to_bits().checked_shr(shift).unwrap_or(0)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
