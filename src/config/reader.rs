//! Reads settings one by one and collects every problem, so that all are reported at once.

use std::fmt::Display;
use std::str::FromStr;

use super::lookup::Lookup;

/// One invalid setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
#[non_exhaustive]
pub struct Problem {
    /// The setting: `gateway.listen` of the file, or the name of an environment variable.
    pub place: String,
    /// Why it is invalid.
    pub message: String,
}

impl Problem {
    /// Returns the problem `message` of the setting `place`.
    #[must_use]
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// Reads a file's tables; the environment takes precedence.
pub(super) struct SettingsReader<'a> {
    root: toml::Table,
    env: &'a dyn Lookup,
    problems: Vec<Problem>,
    /// Every setting that was read, as `table.key`.
    asked: Vec<String>,
}

/// One table of the file. A key that was not read by [`SettingsReader::end`] is unknown.
pub(super) struct Section {
    name: &'static str,
    table: toml::Table,
    /// The keys that were read.
    asked: Vec<String>,
}

impl Section {
    fn take(&mut self, key: &str) -> Option<toml::Value> {
        self.asked.push(format!("{}.{key}", self.name));
        self.table.remove(key)
    }
}

impl<'a> SettingsReader<'a> {
    /// Parses `text`. Invalid TOML is one problem.
    pub(super) fn new(text: &str, env: &'a dyn Lookup) -> Self {
        let (root, problems) = match text.parse::<toml::Table>() {
            Ok(root) => (root, Vec::new()),
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                (toml::Table::new(), vec![Problem::new(format!("line {line}"), error.message())])
            }
        };
        Self { root, env, problems, asked: Vec::new() }
    }

    /// Removes and returns the table `[name]`, empty if absent.
    pub(super) fn section(&mut self, name: &'static str) -> Section {
        let table = match self.root.remove(name) {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                self.problem(name, format!("it must be a table, [{name}]"));
                toml::Table::new()
            }
        };
        Section { name, table, asked: Vec::new() }
    }

    /// Reports the problem `why` if `key` is present.
    pub(super) fn refuse(&mut self, section: &mut Section, key: &str, why: &str) {
        if section.take(key).is_some() {
            self.problem(format!("{}.{key}", section.name), why);
        }
    }

    /// Ends a section and reports its unknown keys.
    pub(super) fn end(&mut self, section: Section) {
        self.asked.extend(section.asked);
        for key in section.table.keys() {
            self.problems.push(Problem::new(format!("{}.{key}", section.name), "there is no such setting"));
        }
    }

    /// Returns every setting that was read.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    /// Reports unknown tables and returns every problem.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for key in self.root.keys() {
            self.problems.push(Problem::new(key.clone(), "there is no such table"));
        }
        self.problems
    }

    /// Returns a variable of the environment.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        self.env.value(name)
    }

    /// Returns the number of problems so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Adds a problem.
    pub(super) fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    /// Returns the name and the text of the variable `env`, else of `key`.
    fn text(&mut self, section: &mut Section, key: &str, env: Option<&str>) -> Option<(String, String)> {
        let place = format!("{}.{key}", section.name);
        let in_file = section.take(key);
        if let Some(name) = env
            && let Some(value) = self.env.value(name)
        {
            return Some((name.to_owned(), value));
        }
        match in_file? {
            toml::Value::String(text) => Some((place, text)),
            toml::Value::Integer(number) => Some((place, number.to_string())),
            toml::Value::Boolean(flag) => Some((place, flag.to_string())),
            other => {
                self.problem(place, format!("it must be a text, not {}", indefinite(&other)));
                None
            }
        }
    }

    /// Returns the value of the variable `env`, else of `key`.
    pub(super) fn value<T: FromStr<Err: Display>>(
        &mut self,
        section: &mut Section,
        key: &str,
        env: Option<&str>,
    ) -> Option<T> {
        let (place, text) = self.text(section, key, env)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(place, error.to_string());
                None
            }
        }
    }

    /// Returns the values of the comma-separated variable `env`, else of the array `key`; `None` without either. Each
    /// invalid value is a problem of its own.
    pub(super) fn list<T: FromStr<Err: Display>>(
        &mut self,
        section: &mut Section,
        key: &str,
        env: Option<&str>,
    ) -> Option<Vec<T>> {
        let place = format!("{}.{key}", section.name);
        let in_file = section.take(key);
        let from_env = env.and_then(|name| self.env.value(name).map(|value| (name.to_owned(), value)));
        let (place, texts) = match (from_env, in_file) {
            (Some((name, value)), _) => {
                let texts = value.split(',').map(str::trim).filter(|text| !text.is_empty());
                (name, texts.map(str::to_owned).collect::<Vec<_>>())
            }
            (None, Some(toml::Value::Array(values))) => {
                let mut texts = Vec::with_capacity(values.len());
                for value in values {
                    match value {
                        toml::Value::String(text) => texts.push(text),
                        other => {
                            self.problem(&place, format!("each must be a text, not {}", indefinite(&other)))
                        }
                    }
                }
                (place, texts)
            }
            (None, Some(other)) => {
                self.problem(place, format!("it must be an array of texts, not {}", indefinite(&other)));
                return None;
            }
            (None, None) => return None,
        };
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse::<T>() {
                Ok(value) => values.push(value),
                Err(error) => self.problem(&place, error.to_string()),
            }
        }
        Some(values)
    }

    /// Returns `key` in whole seconds, `min` to `max`.
    pub(super) fn seconds(
        &mut self,
        section: &mut Section,
        key: &str,
        min: u64,
        max: u64,
    ) -> Option<std::time::Duration> {
        self.number(section, key, min, max).map(std::time::Duration::from_secs)
    }

    /// Returns the whole number `key`, `min` to `max`.
    pub(super) fn number(&mut self, section: &mut Section, key: &str, min: u64, max: u64) -> Option<u64> {
        let place = format!("{}.{key}", section.name);
        let number = match section.take(key)? {
            toml::Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        };
        match number {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                self.problem(place, format!("it must be a whole number, {min} to {max}"));
                None
            }
        }
    }

    /// Returns the flag `key`.
    pub(super) fn flag(&mut self, section: &mut Section, key: &str) -> Option<bool> {
        match section.take(key)? {
            toml::Value::Boolean(flag) => Some(flag),
            other => {
                let place = format!("{}.{key}", section.name);
                self.problem(place, format!("it must be true or false, not {}", indefinite(&other)));
                None
            }
        }
    }
}

/// Returns the type of `value` with its article: `a table`, `an array`.
fn indefinite(value: &toml::Value) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn environment_wins_over_the_file() {
        let env = BTreeMap::from([
            ("EICE_A".to_owned(), "127.0.0.1:1".to_owned()),
            ("EICE_B".to_owned(), "nonsense".to_owned()),
        ]);
        let text = "[s]\na = '127.0.0.1:2'\nc = 7\nd = [1, 'x']\ne = 'x'\nn = 11\n[t]\n";
        let mut reader = SettingsReader::new(text, &env);
        let mut section = reader.section("s");
        assert_eq!(
            reader.value::<SocketAddr>(&mut section, "a", Some("EICE_A")).unwrap(),
            "127.0.0.1:1".parse().unwrap()
        );
        assert_eq!(reader.value::<SocketAddr>(&mut section, "b", Some("EICE_B")), None);
        assert_eq!(reader.value::<SocketAddr>(&mut section, "c", None), None);
        assert_eq!(reader.list::<u16>(&mut section, "d", None), Some(vec![]));
        assert_eq!(reader.number(&mut section, "n", 1, 10), None);
        reader.end(section);
        let places: Vec<_> = reader.finish().into_iter().map(|problem| problem.place).collect();
        assert_eq!(places, ["EICE_B", "s.c", "s.d", "s.d", "s.n", "s.e", "t"]);
    }

    #[test]
    fn invalid_toml_names_its_line() {
        let env = BTreeMap::new();
        let problems = SettingsReader::new("[a]\nb = \n", &env).finish();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].place, "line 2");
    }
}
