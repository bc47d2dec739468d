//! Parser of shared configuration files: sections with properties.

use std::collections::BTreeMap;

/// The properties of a section. The value of a nested property is its lines, each preceded by a line feed.
pub(in crate::aws) type Section = BTreeMap<String, String>;

/// Returns the sections of `text` by the words between their brackets. Repeated sections and properties are merged;
/// the last value applies.
///
/// # Errors
/// The number of the first malformed line, counted from 1, and the reason.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Section)>, String> {
    let mut sections: Vec<(String, Section)> = Vec::new();
    // The property that an indented line continues, and its own indentation.
    let mut open: Option<(String, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let wrong = |why: &str| format!("line {}: {why}", number + 1);
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some((key, level)) = &open
            && indent > *level
            && let Some((_, section)) = sections.last_mut()
        {
            let value = section.entry(key.clone()).or_default();
            value.push('\n');
            value.push_str(without_comment(content));
            continue;
        }
        if let Some(header) = content.strip_prefix('[') {
            let (name, _) = header.rsplit_once(']').ok_or_else(|| wrong("a section must end with ']'"))?;
            sections.push((name.trim().to_owned(), Section::new()));
            open = None;
            continue;
        }
        let (_, section) = sections.last_mut().ok_or_else(|| wrong("there is no section before it"))?;
        let property = content.split_once(['=', ':']).filter(|(key, _)| !key.trim().is_empty());
        let (key, value) = property.ok_or_else(|| wrong("it is not a property: name = value"))?;
        let key = key.trim().to_ascii_lowercase();
        section.insert(key.clone(), without_comment(value).trim().to_owned());
        open = Some((key, indent));
    }
    Ok(sections)
}

/// Strips a trailing comment, which starts with `#` or `;` after white space.
fn without_comment(value: &str) -> &str {
    let mut after_space = false;
    for (at, character) in value.char_indices() {
        if after_space && matches!(character, '#' | ';') {
            return value[..at].trim_end();
        }
        after_space = character.is_whitespace();
    }
    value
}

/// Splits `text` into words as a POSIX shell does; `None` when a quote is not closed.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        end if end == character => break,
                        '\\' if character == '"' => match characters.next()? {
                            escaped @ ('"' | '\\') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_belong_to_their_section() {
        let text = "# comment\n[default]\nRegion = eu-west-1 # Ireland\nkey=a=b#c\n; note\n[services x]\nec2 =\n  \
                    endpoint_url = http://e\n  # no\n  other = 1\n[default]\noutput: text\n[odd] ; note\n  a = 1\n  b = 2\n";
        let sections = parse(text).unwrap();
        let value = |n: usize, key: &str| sections[n].1.get(key).map(String::as_str);
        let names: Vec<_> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["default", "services x", "default", "odd"]);
        assert_eq!(value(0, "region"), Some("eu-west-1"));
        assert_eq!(value(0, "key"), Some("a=b#c"));
        assert_eq!(value(1, "ec2"), Some("\nendpoint_url = http://e\nother = 1"));
        assert_eq!(value(2, "output"), Some("text"));
        assert_eq!((value(3, "a"), value(3, "b")), (Some("1"), Some("2")), "indented alike");
    }

    #[test]
    fn malformed_line_is_named() {
        for (text, line) in
            [("a = 1", "line 1"), ("[x]\nnonsense", "line 2"), ("[x\n", "line 1"), ("[x]\n= 1", "line 2")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(line), "{text:?}: {error}");
        }
    }

    #[test]
    fn words_are_split_as_in_a_shell() {
        for (text, expected) in [
            ("profile dev", Some(vec!["profile", "dev"])),
            ("profile \"my prof\"", Some(vec!["profile", "my prof"])),
            ("profile 'a \"b'", Some(vec!["profile", "a \"b"])),
            ("profile \"a\\\"b\\c\"", Some(vec!["profile", "a\"b\\c"])),
            ("profile my\\ prof", Some(vec!["profile", "my prof"])),
            ("  ''", Some(vec![""])),
            ("profile \"open", None),
            ("profile \\", None),
            ("", Some(vec![])),
        ] {
            let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(words(text), expected, "{text:?}");
        }
    }
}
