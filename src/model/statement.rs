//! An IAM policy statement as plain data, so that layers without AWS can show it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// The conditions of a statement: operator, then key, then the values of which one must match.
pub type Conditions = BTreeMap<&'static str, BTreeMap<String, OneOrMany>>;

/// An `Allow` statement. It serializes as IAM reads it, with its members in the customary order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Statement {
    /// Its id: letters and digits, unique in the policy.
    pub sid: String,
    /// Always `Allow`: everything else is denied by default.
    effect: &'static str,
    /// The actions, as `service:Name`.
    pub action: OneOrMany,
    /// The ARNs to which they apply; `*` matches any text.
    pub resource: OneOrMany,
    /// The conditions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
}

impl Statement {
    /// Returns a statement that allows `action` on `resource` unconditionally.
    #[must_use]
    pub fn allow(
        sid: impl Into<String>,
        action: impl Into<OneOrMany>,
        resource: impl Into<OneOrMany>,
    ) -> Self {
        Self {
            sid: sid.into(),
            effect: "Allow",
            action: action.into(),
            resource: resource.into(),
            condition: Conditions::new(),
        }
    }

    /// Adds a condition: one of `values` must match the key `key` by `operator`. Without values, no condition
    /// is added.
    #[must_use]
    pub fn when(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl Into<OneOrMany>,
    ) -> Self {
        let values = values.into();
        if !values.0.is_empty() {
            self.condition.entry(operator).or_default().insert(key.into(), values);
        }
        self
    }
}

/// One text or several. A single one is serialized without brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct OneOrMany(pub Vec<String>);

impl From<&str> for OneOrMany {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl From<String> for OneOrMany {
    fn from(text: String) -> Self {
        Self(vec![text])
    }
}

impl<T: ToString> FromIterator<T> for OneOrMany {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(|text| text.to_string()).collect())
    }
}

impl Serialize for OneOrMany {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_serializes_in_iam_order() {
        let statement =
            Statement::allow("Key", "ec2-instance-connect:SendSSHPublicKey", "arn:aws:ec2:*:*:instance/*")
                .when("StringEquals", "ec2:osuser", OneOrMany::from_iter(["a", "b"]))
                .when("StringEquals", "aws:ResourceTag/Role", "workspace")
                .when("IpAddress", "ec2-instance-connect:privateIpAddress", OneOrMany::default());
        assert_eq!(
            serde_json::to_string(&statement).unwrap(),
            r#"{"Sid":"Key","Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"aws:ResourceTag/Role":"workspace","ec2:osuser":["a","b"]}}}"#
        );
    }
}
