//! `--eice-options`: `key=value,key=value`, or JSON (`awscli/shorthand.py`, `ssh.py`).

use serde_json::Value as Json;

use super::error::ShimError;
use super::python::{int, repr};

/// The option's name, for errors.
const NAME: &str = "--eice-options";
/// The valid keys.
const KEYS: [&str; 3] = ["maxTunnelDuration", "endpointId", "dnsName"];

/// The endpoint options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EiceOptions {
    pub(super) max_tunnel_duration: Option<i64>,
    pub(super) endpoint_id: Option<String>,
    pub(super) dns_name: Option<String>,
    /// Whether any option is given.
    pub(super) is_given: bool,
}

impl EiceOptions {
    /// Parses `text`.
    ///
    /// # Errors
    /// aws-cli's errors, in its order.
    pub(super) fn parse(text: &str) -> Result<Self, ShimError> {
        let pairs = if text.trim_start().starts_with('{') { json(text)? } else { shorthand(text)? };
        let mut options = Self { is_given: !pairs.is_empty(), ..Self::default() };
        let mut wrong = Vec::new();
        for (key, value) in &pairs {
            let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            match (key.as_str(), value) {
                ("maxTunnelDuration", Json::Number(number)) if number.is_i64() => {
                    options.max_tunnel_duration = number.as_i64();
                }
                ("maxTunnelDuration", other) => wrong.push(wrong_type(key, other, "int")),
                ("endpointId", Json::String(_)) => options.endpoint_id = text,
                ("dnsName", Json::String(_)) => options.dns_name = text,
                ("endpointId" | "dnsName", other) => wrong.push(wrong_type(key, other, "str")),
                _ => {
                    let known = KEYS.join(", ");
                    wrong.push(format!("Unknown parameter in input: \"{key}\", must be one of: {known}"));
                }
            }
        }
        if wrong.is_empty() {
            Ok(options)
        } else {
            Err(ShimError::param(format!("Parameter validation failed:\n{}", wrong.join("\n"))))
        }
    }
}

fn wrong_type(key: &str, value: &Json, expected_type: &str) -> String {
    let (shown, is) = match value {
        Json::Null => ("None".to_owned(), "NoneType"),
        Json::Bool(true) => ("True".to_owned(), "bool"),
        Json::Bool(false) => ("False".to_owned(), "bool"),
        Json::Number(number) => (number.to_string(), if number.is_f64() { "float" } else { "int" }),
        Json::String(text) => (text.clone(), "str"),
        Json::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), repr)).collect();
            (format!("[{}]", items.join(", ")), "list")
        }
        Json::Object(_) => (value.to_string(), "dict"),
    };
    format!(
        "Invalid type for parameter {key}, value: {shown}, type: <class '{is}'>, valid types: <class '{expected_type}'>"
    )
}

fn json(text: &str) -> Result<Vec<(String, Json)>, ShimError> {
    match serde_json::from_str::<serde_json::Map<String, Json>>(text) {
        Ok(map) => Ok(map.into_iter().collect()),
        Err(error) => {
            Err(ShimError::parameter(NAME, &format!("Invalid JSON: {error}\nJSON received: {text}")))
        }
    }
}

/// Parses shorthand pairs and converts numeric values.
fn shorthand(text: &str) -> Result<Vec<(String, Json)>, ShimError> {
    let mut parser = ShorthandParser { text, at: 0 };
    let mut pairs: Vec<(String, Json)> = Vec::new();
    loop {
        let start = parser.at;
        let (key, values) = parser.pair().map_err(|why| ShimError::parameter(NAME, &why))?;
        if pairs.iter().any(|(known, _)| *known == key) {
            let why = format!(
                "Second instance of key \"{key}\" encountered for input:\n{}\nThis is often because there is a \
                 preceding \",\" instead of a space.",
                parser.marked(start)
            );
            return Err(ShimError::parameter(NAME, &why));
        }
        let value = match values.as_slice() {
            [text] if key == "maxTunnelDuration" => Json::from(int(text).map_err(ShimError::general)?),
            [text] => Json::from(text.as_str()),
            several => Json::from(several),
        };
        pairs.push((key, value));
        if parser.at >= text.len() {
            return Ok(pairs);
        }
        parser.expect(',').map_err(|why| ShimError::parameter(NAME, &why))?;
    }
}

struct ShorthandParser<'a> {
    text: &'a str,
    at: usize,
}

impl ShorthandParser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Returns the whole text with a mark under `at`.
    fn marked(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let line_end =
            self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |n| at + n);
        let (consumed, remaining) = self.text.split_at_checked(line_end).unwrap_or((self.text, ""));
        format!("{consumed}\n{}^{remaining}", " ".repeat(column))
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        self.skip_blanks();
        if self.next() == Some(token) {
            self.at += token.len_utf8();
            self.skip_blanks();
            return Ok(());
        }
        let found = self.next().map_or_else(|| "EOF".to_owned(), |c| c.to_string());
        Err(format!("Expected: '{token}', received: '{found}' for input:\n {}", self.marked(self.at)))
    }

    /// Parses a key and its value, or several values separated by commas, up to the next key.
    fn pair(&mut self) -> Result<(String, Vec<String>), String> {
        let is_key = |c: char| c.is_ascii_alphanumeric() || "-_.#/:".contains(c);
        let key: String = self.rest().chars().take_while(|&c| is_key(c)).collect();
        self.at += key.len();
        self.expect('=')?;
        let mut values = vec![self.value(true)?];
        self.skip_blanks();
        while self.next() == Some(',') {
            let comma = self.at;
            self.expect(',')?;
            // A word before `=` is the next key, not another value.
            match self.value(false) {
                Ok(value) if matches!(self.next_after_blanks(), None | Some(',')) && !value.is_empty() => {
                    values.push(value);
                    self.skip_blanks();
                }
                Err(why) if self.at >= self.text.len() => return Err(why),
                _ => {
                    self.at = comma;
                    break;
                }
            }
        }
        Ok((key, values))
    }

    fn next_after_blanks(&mut self) -> Option<char> {
        self.skip_blanks();
        self.next()
    }

    /// Parses a quoted or plain value. Only the first value of a key may contain `=`.
    fn value(&mut self, is_first: bool) -> Result<String, String> {
        match self.next() {
            None => Ok(String::new()),
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            Some(_) => {
                let mut value = String::new();
                let mut chars = self.rest().chars();
                let mut len = 0;
                while let Some(c) = chars.next() {
                    if c == '\\' && chars.as_str().starts_with(',') {
                        chars.next();
                        value.push(',');
                        len += 2;
                    } else if matches!(c, ',' | '\'' | '"' | ']' | '}') || (c == '=' && !is_first) {
                        break;
                    } else {
                        value.push(c);
                        len += c.len_utf8();
                    }
                }
                self.at += len;
                Ok(value.trim_end().to_owned())
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let start = self.at;
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, next)) if next == quote || next == '\\' => value.push(next),
                    Some((_, next)) => value.extend(['\\', next]),
                    None => value.push('\\'),
                },
                c if c == quote => {
                    self.at += at + c.len_utf8();
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        let kind = if quote == '\'' { "singled quoted" } else { "double quoted" };
        Err(format!("Expected: '<{kind}>', received: '<none>' for input:\n {}", self.marked(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let error = EiceOptions::parse(text).unwrap_err();
        error.message().to_owned()
    }

    #[test]
    fn shorthand_equals_json() {
        let expected = EiceOptions {
            max_tunnel_duration: Some(60),
            endpoint_id: Some("eice-1".into()),
            dns_name: Some("a.b".into()),
            is_given: true,
        };
        for text in [
            "maxTunnelDuration=60,endpointId=eice-1,dnsName=a.b",
            " endpointId = eice-1 , maxTunnelDuration = 60 ,dnsName='a.b'",
            r#"{"maxTunnelDuration": 60, "endpointId": "eice-1", "dnsName": "a.b"}"#,
            r#"endpointId="eice-1",dnsName=a.b,maxTunnelDuration=60"#,
        ] {
            assert_eq!(EiceOptions::parse(text.trim_start()).unwrap(), expected, "{text}");
        }
        assert_eq!(EiceOptions::parse("{}").unwrap(), EiceOptions::default());
        let empty = EiceOptions::parse("endpointId=").unwrap();
        assert_eq!((empty.endpoint_id, empty.is_given), (None, true));
    }

    /// The expected texts are from aws-cli 2.36.7.
    #[test]
    fn errors_match_aws_cli() {
        let invalid = "An error occurred (ParamValidation): Parameter validation failed:\n";
        let parsing = "An error occurred (ParamValidation): Error parsing parameter '--eice-options': ";
        for (text, expected) in [
            ("foo", format!("{parsing}Expected: '=', received: 'EOF' for input:\n foo\n   ^")),
            ("", format!("{parsing}Expected: '=', received: 'EOF' for input:\n \n^")),
            (
                "bogus=1",
                format!(
                    "{invalid}Unknown parameter in input: \"bogus\", must be one of: maxTunnelDuration, endpointId, \
                     dnsName"
                ),
            ),
            (
                r#"{"endpointId":1}"#,
                format!(
                    "{invalid}Invalid type for parameter endpointId, value: 1, type: <class 'int'>, valid types: \
                     <class 'str'>"
                ),
            ),
            (
                "endpointId=a,b",
                format!(
                    "{invalid}Invalid type for parameter endpointId, value: ['a', 'b'], type: <class 'list'>, valid \
                     types: <class 'str'>"
                ),
            ),
            ("maxTunnelDuration=abc", "invalid literal for int() with base 10: 'abc'".to_owned()),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        assert!(
            message("{bad").contains("Invalid JSON: ") && message("{bad").ends_with("JSON received: {bad")
        );
        assert!(message("endpointId=a,endpointId=b").contains("Second instance of key \"endpointId\""));
        assert!(message("endpointId='a").contains("Expected: '<singled quoted>', received: '<none>'"));
    }
}
