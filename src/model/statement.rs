//! A statement of an IAM policy, as plain data: made where AWS is known, shown where it is not.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// What a condition asks: operator, then key, then the values of which one must fit.
pub type Conditions = BTreeMap<&'static str, BTreeMap<String, Texts>>;

/// A statement that allows something. It serialises as IAM reads it, its members in the order in which people
/// write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Statement {
    /// Its name: letters and digits, no other of the policy's.
    pub sid: String,
    /// Always `Allow`: what is not allowed is denied.
    effect: &'static str,
    /// The actions, as `service:Name`.
    pub action: Texts,
    /// The ARNs that they are allowed on, with `*` for any text.
    pub resource: Texts,
    /// When.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
}

impl Statement {
    /// Allows `action` on `resource`, whenever.
    #[must_use]
    pub fn allow(sid: impl Into<String>, action: impl Into<Texts>, resource: impl Into<Texts>) -> Self {
        Self {
            sid: sid.into(),
            effect: "Allow",
            action: action.into(),
            resource: resource.into(),
            condition: Conditions::new(),
        }
    }

    /// Only when one of `values` fits the condition key `key` by `operator`. No value at all is no condition.
    #[must_use]
    pub fn when(mut self, operator: &'static str, key: impl Into<String>, values: impl Into<Texts>) -> Self {
        let values = values.into();
        if !values.0.is_empty() {
            self.condition.entry(operator).or_default().insert(key.into(), values);
        }
        self
    }
}

/// One text or several. One alone is written without brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Texts(pub Vec<String>);

impl From<&str> for Texts {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl From<String> for Texts {
    fn from(text: String) -> Self {
        Self(vec![text])
    }
}

impl<T: ToString> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(|text| text.to_string()).collect())
    }
}

impl Serialize for Texts {
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
    fn it_reads_as_people_write_it() {
        let statement =
            Statement::allow("Key", "ec2-instance-connect:SendSSHPublicKey", "arn:aws:ec2:*:*:instance/*")
                .when("StringEquals", "ec2:osuser", Texts::from_iter(["a", "b"]))
                .when("StringEquals", "aws:ResourceTag/Role", "workspace")
                .when("IpAddress", "ec2-instance-connect:privateIpAddress", Texts::default());
        assert_eq!(
            serde_json::to_string(&statement).unwrap(),
            r#"{"Sid":"Key","Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"aws:ResourceTag/Role":"workspace","ec2:osuser":["a","b"]}}}"#
        );
    }
}
