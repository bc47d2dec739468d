//! Reads tables of a TOML document field by field and collects every problem with its line, where a derived
//! deserializer would stop at the first.

use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// Every problem found so far in `text`.
pub(super) struct Problems<'a> {
    text: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes `message` at the byte `offset` of the text.
    pub(super) fn add(&mut self, offset: usize, message: impl Display) {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.found.push(Problem { line, message: message.to_string() });
    }

    /// All of them, by line.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| problem.line);
        self.found
    }
}

/// One table, and which of its fields were asked for.
pub(super) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    name: &'static str,
    offset: usize,
    known: Vec<&'static str>,
}

impl<'t, 'i> Fields<'t, 'i> {
    /// The fields of the table `name` that begins at `offset`.
    pub(super) fn new(table: &'t DeTable<'i>, name: &'static str, offset: usize) -> Self {
        Self { table, name, offset, known: Vec::new() }
    }

    /// Where the table begins.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the value of `key` and its offset.
    pub(super) fn value(&mut self, key: &'static str) -> Option<(&'t DeValue<'i>, usize)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key).map(|value| (value.get_ref(), value.span().start))
    }

    /// The string at `key`.
    pub(super) fn string(
        &mut self,
        problems: &mut Problems<'_>,
        key: &'static str,
    ) -> Option<(&'t str, usize)> {
        let (value, offset) = self.value(key)?;
        let text = value.as_str();
        if text.is_none() {
            problems.add(offset, format_args!("{key} must be a string, not {}", a(value)));
        }
        text.map(|text| (text, offset))
    }

    /// The string at `key`, parsed.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        problems: &mut Problems<'_>,
        key: &'static str,
    ) -> Option<T> {
        let (text, offset) = self.string(problems, key)?;
        text.parse().map_err(|error| problems.add(offset, format_args!("{key}: {error}"))).ok()
    }

    /// The string at `key` when `accept` takes it.
    pub(super) fn checked(
        &mut self,
        problems: &mut Problems<'_>,
        key: &'static str,
        must: &str,
        accept: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let (text, offset) = self.string(problems, key)?;
        if accept(text) {
            return Some(text.to_owned());
        }
        let text: String = text.chars().take(80).collect();
        problems.add(offset, format_args!("{key}: {text:?} must be {must}"));
        None
    }

    /// The integer at `key`, in its one decimal spelling, parsed.
    pub(super) fn integer<T: FromStr<Err: Display>>(
        &mut self,
        problems: &mut Problems<'_>,
        key: &'static str,
    ) -> Option<T> {
        let (value, offset) = self.value(key)?;
        match value.as_integer().filter(|integer| integer.radix() == 10) {
            Some(integer) => integer
                .as_str()
                .parse()
                .map_err(|error| problems.add(offset, format_args!("{key}: {error}")))
                .ok(),
            None => {
                problems.add(offset, format_args!("{key} must be a decimal number, not {}", a(value)));
                None
            }
        }
    }

    /// Returns the strings of the array at `key`, each with its offset.
    pub(super) fn strings(
        &mut self,
        problems: &mut Problems<'_>,
        key: &'static str,
    ) -> Option<Vec<(&'t str, usize)>> {
        let (value, offset) = self.value(key)?;
        let Some(array) = value.as_array() else {
            problems.add(offset, format_args!("{key} must be an array of strings, not {}", a(value)));
            return None;
        };
        let mut strings = Vec::with_capacity(array.len());
        for item in array.iter() {
            let offset = item.span().start;
            match item.get_ref().as_str() {
                Some(text) => strings.push((text, offset)),
                None => {
                    problems.add(offset, format_args!("{key} must hold strings, not {}", a(item.get_ref())))
                }
            }
        }
        Some(strings)
    }

    /// Notes that `key` is missing.
    pub(super) fn missing(&self, problems: &mut Problems<'_>, key: &'static str) {
        if !self.table.contains_key(key) {
            problems.add(self.offset, format_args!("[[{}]] needs {key}", self.name));
        }
    }

    /// Reports every key that was not read. Call it last.
    pub(super) fn refuse_unknown(self, problems: &mut Problems<'_>) {
        for key in self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let known = self.known.join(", ");
            problems.add(
                key.span().start,
                format_args!("unknown key {:?} in [[{}]]; it may have: {known}", key.get_ref(), self.name),
            );
        }
    }
}

/// The tables of the array of tables at `key`.
pub(super) fn tables<'t, 'i>(
    root: &'t DeTable<'i>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Vec<Fields<'t, 'i>> {
    let Some(value) = root.get(key) else { return Vec::new() };
    let items: &[Spanned<DeValue<'i>>] = match value.get_ref() {
        DeValue::Array(array) => array.as_ref(),
        _ => {
            problems.add(value.span().start, format_args!("write [[{key}]]: there may be several"));
            &[]
        }
    };
    let mut tables = Vec::with_capacity(items.len());
    for item in items {
        let offset = item.span().start;
        match item.get_ref() {
            DeValue::Table(table) => tables.push(Fields::new(table, key, offset)),
            other => problems.add(offset, format_args!("{key} must be tables, not {}", a(other))),
        }
    }
    tables
}

fn a(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}
