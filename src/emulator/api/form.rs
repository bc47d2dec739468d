//! The parameters of a Query call.

use std::collections::BTreeMap;

use super::fault::ApiError;
use crate::emulator::pattern::{Piece, matches};

/// The most parameters of a call.
const MAX_PARAMETERS: usize = 2000;
/// The most values of a list parameter.
const MAX_LIST: usize = 200;

/// The parameters of a Query call.
#[derive(Debug, Default)]
pub(super) struct Form {
    parameters: BTreeMap<String, String>,
}

/// A filter, which matches if one of its values does. `*` and `?` are wildcards in a value, a backslash escapes
/// them (EC2 API reference, "Filter").
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl Filter {
    /// Returns whether one of the values matches `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.values.iter().any(|value| matches(&pieces(value), text))
    }

    /// Returns whether a filter on tags matches; `None` when it is not a filter on tags.
    pub(super) fn matches_tags(&self, tags: &BTreeMap<String, String>) -> Option<bool> {
        match self.name.as_str() {
            "tag-key" => Some(tags.keys().any(|key| self.matches(key))),
            "tag-value" => Some(tags.values().any(|value| self.matches(value))),
            name => {
                let key = name.strip_prefix("tag:")?;
                Some(tags.get(key).is_some_and(|value| self.matches(value)))
            }
        }
    }
}

fn pieces(value: &str) -> Vec<Piece> {
    let mut chars = value.chars();
    std::iter::from_fn(|| match chars.next()? {
        '\\' => Some(Piece::Char(chars.next().unwrap_or('\\'))),
        c => Some(Piece::of(c)),
    })
    .collect()
}

impl Form {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::new(400, "MalformedQueryString", "The query string is malformed");
        let body = std::str::from_utf8(body).map_err(|_| malformed())?;
        let mut parameters = BTreeMap::new();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() >= MAX_PARAMETERS {
                return Err(malformed());
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else { return Err(malformed()) };
            if parameters.insert(name, value).is_some() {
                return Err(malformed());
            }
        }
        Ok(Self { parameters })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Returns the values of `name.1`, `name.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..=MAX_LIST).map_while(|n| self.get(&format!("{name}.{n}"))).collect()
    }

    /// Returns the values of `Filter.N.Name` and `Filter.N.Value.M`.
    pub(super) fn filters(&self) -> Vec<Filter> {
        let filter = |n| {
            let name = self.get(&format!("Filter.{n}.Name"))?.to_owned();
            let values = self.list(&format!("Filter.{n}.Value")).into_iter().map(str::to_owned).collect();
            Some(Filter { name, values })
        };
        (1..=MAX_LIST).map_while(filter).collect()
    }
}

/// Decodes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_parses_lists_and_filters() {
        let body =
            b"Action=X&InstanceId.1=i-1&InstanceId.2=i-2&Filter.1.Name=tag%3ARole&Filter.1.Value.1=work*\
            &Filter.1.Value.2=a+b";
        let form = Form::parse(body).unwrap();
        assert_eq!(form.get("Action"), Some("X"));
        assert_eq!(form.list("InstanceId"), ["i-1", "i-2"]);
        let filters = form.filters();
        assert_eq!(filters[0].name, "tag:Role");
        assert_eq!(filters[0].values, ["work*", "a b"]);
        let tags = [("Role".to_owned(), "workspace".to_owned())].into();
        assert_eq!(filters[0].matches_tags(&tags), Some(true));
        assert_eq!(filters[0].matches_tags(&BTreeMap::new()), Some(false));
    }

    #[test]
    fn malformed_form_is_rejected() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2"] {
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = (0..=MAX_PARAMETERS).map(|n| format!("a{n}=1&")).collect::<String>();
        assert!(Form::parse(many.as_bytes()).is_err());
    }
}
