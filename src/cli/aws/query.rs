//! `--query`: the subset of JMESPath that is useful for responses with a few scalars.
//!
//! `a`, `"a b"`, `a.b`, `a | b`, `@`, `(a)`, `[a, b]`, `{x: a, y: b}`, `'text'`, `[0]`, `[*]`, `[]`. Everything
//! else (functions, filters, comparisons, slices, literals) is an error. The full language would require a library,
//! for two responses that contain no lists at all.

use super::value::Value;

/// The maximum nesting depth.
const MAX_DEPTH: usize = 32;
/// The maximum length, in bytes.
const MAX_LEN: usize = 4096;

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query(Node);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Current,
    Text(String),
    Field(String),
    Index(i64),
    /// `[*]` or `[]`: each element of a list; `[]` also flattens nested lists.
    Each {
        flatten: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// Applies the second to the result of the first; `null` stays `null`, unlike in a pipe.
    Then(Box<Node>, Box<Node>),
    /// Applies the second to each element of the first.
    ForEach(Box<Node>, Box<Node>),
    Pipe(Box<Node>, Box<Node>),
}

impl Query {
    /// Parses `text`.
    ///
    /// # Errors
    /// The reason, phrased to follow "Bad value for --query".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LEN {
            return Err(format!("it is longer than {MAX_LEN} bytes"));
        }
        let mut parser = QueryParser { text, at: 0, depth: 0 };
        let node = parser.pipe()?;
        parser.skip_blanks();
        if parser.at < text.len() { Err(parser.syntax_error()) } else { Ok(Self(node)) }
    }

    /// Evaluates the query on `value`.
    pub(super) fn search(&self, value: &Value) -> Value {
        self.0.search(value)
    }
}

impl Node {
    fn search(&self, value: &Value) -> Value {
        let is_null = matches!(value, Value::Null);
        match self {
            Self::Current => value.clone(),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Field(name) => value.member(name).cloned().unwrap_or(Value::Null),
            Self::Index(index) => match value {
                Value::List(items) => {
                    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                    let at = if *index < 0 { len.saturating_add(*index) } else { *index };
                    let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                    item.cloned().unwrap_or(Value::Null)
                }
                _ => Value::Null,
            },
            Self::Each { flatten } => match value {
                Value::List(items) if *flatten => Value::List(items.iter().flat_map(flattened).collect()),
                Value::List(_) => value.clone(),
                _ => Value::Null,
            },
            Self::List(_) | Self::Map(_) if is_null => Value::Null,
            Self::List(nodes) => Value::List(nodes.iter().map(|node| node.search(value)).collect()),
            Self::Map(nodes) => {
                let mut entries: Vec<(String, Value)> = Vec::new();
                for (key, node) in nodes {
                    let found = node.search(value);
                    match entries.iter_mut().find(|(known, _)| known == key) {
                        Some(entry) => entry.1 = found,
                        None => entries.push((key.clone(), found)),
                    }
                }
                Value::Map(entries)
            }
            Self::Then(first, second) => match first.search(value) {
                Value::Null => Value::Null,
                found => second.search(&found),
            },
            Self::ForEach(first, second) => match first.search(value) {
                Value::List(items) => {
                    let found = items.iter().map(|item| second.search(item));
                    Value::List(found.filter(|found| !matches!(found, Value::Null)).collect())
                }
                _ => Value::Null,
            },
            Self::Pipe(first, second) => second.search(&first.search(value)),
        }
    }
}

fn flattened(item: &Value) -> Vec<Value> {
    match item {
        Value::List(items) => items.clone(),
        other => vec![other.clone()],
    }
}

struct QueryParser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl QueryParser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Consumes `token` if it is next, and returns whether it was.
    fn eat(&mut self, token: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len_utf8();
        }
        found
    }

    fn need(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn syntax_error(&self) -> String {
        let marked =
            format!("\n\"{}\"\n{}^", self.text, " ".repeat(self.text.chars().count().min(self.at) + 1));
        match self.rest().chars().next() {
            None => format!("Invalid jmespath expression: Incomplete expression:{marked}"),
            Some(c) => format!(
                "Invalid jmespath expression, or a part of JMESPath that this aws does not know (it has a.b, a | b, \
                 @, [a, b], {{x: a}}, 'text', [0], [*] and []), at {c:?}:{marked}"
            ),
        }
    }

    fn pipe(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let mut node = self.chain()?;
        while self.eat('|') {
            node = Node::Pipe(Box::new(node), Box::new(self.chain()?));
        }
        self.depth -= 1;
        Ok(node)
    }

    /// Parses a primary expression followed by dots and brackets.
    fn chain(&mut self) -> Result<Node, String> {
        let node = self.first()?;
        self.links(node)
    }

    fn links(&mut self, mut node: Node) -> Result<Node, String> {
        loop {
            if self.eat('.') {
                let next = if self.eat('[') {
                    self.list()?
                } else if self.eat('{') {
                    self.map()?
                } else {
                    Node::Field(self.name()?)
                };
                node = Node::Then(Box::new(node), Box::new(next));
            } else if self.eat('[') {
                let next = self.bracket()?;
                let is_projection = matches!(next, Node::Each { .. });
                node = Node::Then(Box::new(node), Box::new(next));
                if is_projection {
                    return self.projection(node);
                }
            } else {
                return Ok(node);
            }
        }
    }

    /// Parses what follows `[*]` or `[]`, to apply it to each element.
    fn projection(&mut self, node: Node) -> Result<Node, String> {
        let rest = self.links(Node::Current)?;
        Ok(if rest == Node::Current { node } else { Node::ForEach(Box::new(node), Box::new(rest)) })
    }

    fn first(&mut self) -> Result<Node, String> {
        if self.eat('@') {
            Ok(Node::Current)
        } else if self.eat('(') {
            let node = self.pipe()?;
            self.need(')')?;
            Ok(node)
        } else if self.eat('{') {
            self.map()
        } else if self.eat('\'') {
            self.quoted('\'').map(Node::Text)
        } else if self.eat('[') {
            match self.rest().trim_start().chars().next() {
                Some('*' | ']' | '-' | '0'..='9') => {
                    let node = self.bracket()?;
                    if matches!(node, Node::Each { .. }) { self.projection(node) } else { Ok(node) }
                }
                _ => self.list(),
            }
        } else {
            self.name().map(Node::Field)
        }
    }

    /// Parses `*]`, `]` or `NUMBER]`.
    fn bracket(&mut self) -> Result<Node, String> {
        if self.eat(']') {
            return Ok(Node::Each { flatten: true });
        }
        if self.eat('*') {
            self.need(']')?;
            return Ok(Node::Each { flatten: false });
        }
        self.skip_blanks();
        let len = self.rest().find(|c: char| !(c == '-' || c.is_ascii_digit())).unwrap_or(self.rest().len());
        let index = self
            .rest()
            .get(..len)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| self.syntax_error())?;
        self.at += len;
        self.need(']')?;
        Ok(Node::Index(index))
    }

    fn list(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.pipe()?];
        while self.eat(',') {
            nodes.push(self.pipe()?);
        }
        self.need(']')?;
        Ok(Node::List(nodes))
    }

    fn map(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        loop {
            let key = self.name()?;
            self.need(':')?;
            nodes.push((key, self.pipe()?));
            if !self.eat(',') {
                self.need('}')?;
                return Ok(Node::Map(nodes));
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        if self.eat('"') {
            return self.quoted('"');
        }
        let len = self
            .rest()
            .find(|c: char| !(c == '_' || c.is_ascii_alphanumeric()))
            .unwrap_or_else(|| self.rest().len());
        let name = self.rest().get(..len).unwrap_or_default().to_owned();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.syntax_error());
        }
        self.at += len;
        Ok(name)
    }

    /// Returns the text up to the next `quote`; a backslash escapes the next character.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c if c == quote => {
                    self.at += at + c.len_utf8();
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.syntax_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn answer() -> Value {
        Value::Map(vec![
            ("Account".into(), t("1")),
            ("Arn".into(), t("a")),
            (
                "L".into(),
                Value::List(vec![Value::Map(vec![("x".into(), t("p"))]), t("q"), Value::List(vec![t("r")])]),
            ),
        ])
    }

    fn search(query: &str) -> Value {
        Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).search(&answer())
    }

    #[test]
    fn supported_subset_matches_jmespath() {
        let map = |key: &str, value: Value| Value::Map(vec![(key.into(), value)]);
        for (query, expected) in [
            ("Account", t("1")),
            (" \"Account\" ", t("1")),
            ("@.Account", t("1")),
            ("Nope", Value::Null),
            ("Nope.Deeper", Value::Null),
            ("Nope.[Account]", Value::Null),
            ("[Account,Arn]", Value::List(vec![t("1"), t("a")])),
            ("[Account,Arn][1]", t("a")),
            ("[Account,Arn] | [-1]", t("a")),
            ("[Account,Arn][7]", Value::Null),
            ("{b: Arn, a: Account}", Value::Map(vec![("b".into(), t("a")), ("a".into(), t("1"))])),
            ("{x: {y: Arn}}.x.y", t("a")),
            ("(Account | @)", t("1")),
            ("'it\\'s'", t("it's")),
            ("L[*].x", Value::List(vec![t("p")])),
            ("L[0].{k: x}", map("k", t("p"))),
            ("L[] | [2]", t("r")),
            ("Account[0]", Value::Null),
            ("[*]", Value::Null),
            ("[Nope]", Value::List(vec![Value::Null])),
        ] {
            assert_eq!(search(query), expected, "{query}");
        }
    }

    #[test]
    fn unsupported_query_error_has_position() {
        for bad in [
            "",
            "a[",
            "a.",
            "a b",
            "length(@)",
            "[?a]",
            "a == b",
            "`1`",
            "a[0:1]",
            "{a}",
            "&a",
            "'open",
            "*",
            "a||b",
            "[1",
        ] {
            let error = Query::parse(bad).unwrap_err();
            assert!(error.starts_with("Invalid jmespath expression"), "{bad}: {error}");
            assert!(error.ends_with('^'), "{bad}: {error}");
        }
        assert!(Query::parse("a[").unwrap_err().contains("Incomplete expression"));
        assert!(Query::parse(&"(".repeat(100)).unwrap_err().contains("too deeply"));
        assert!(Query::parse(&"a".repeat(5000)).is_err());
    }
}
