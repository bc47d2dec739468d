//! Quoting for a POSIX shell.

/// A text with a NUL byte, which cannot be passed to a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a NUL byte cannot be quoted")]
#[non_exhaustive]
pub struct NulByte;

/// Quotes `word` as one word of a POSIX shell's command line: everything in single quotes is literal, except
/// the single quote, which is written `'\''` (POSIX.1-2017, Shell Command Language, 2.2.2).
///
/// A word that needs no quotes gets none.
///
/// # Errors
/// [`NulByte`] when `word` contains one: the shell would see the text before it, with an open quote.
pub fn quote(word: &str) -> Result<String, NulByte> {
    if word.contains('\0') {
        return Err(NulByte);
    }
    let is_plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b',' | b'+' | b'@')
    };
    if !word.is_empty() && word.bytes().all(is_plain) {
        return Ok(word.to_owned());
    }
    Ok(format!("'{}'", word.replace('\'', r"'\''")))
}

/// Quotes bytes, such as a path. Bytes that are not UTF-8 are written with `printf`, so that the command line
/// stays valid text for every program that it passes through.
///
/// # Errors
/// [`NulByte`] when `word` contains one.
pub fn quote_bytes(word: &[u8]) -> Result<String, NulByte> {
    if word.contains(&0) {
        return Err(NulByte);
    }
    if let Ok(text) = std::str::from_utf8(word) {
        return quote(text);
    }
    let mut quoted = String::new();
    for chunk in word.utf8_chunks() {
        if !chunk.valid().is_empty() {
            quoted.push_str(&quote(chunk.valid())?);
        }
        if !chunk.invalid().is_empty() {
            let octal: String = chunk.invalid().iter().map(|byte| format!("\\{byte:03o}")).collect();
            quoted.push_str(&format!("\"$(printf '{octal}')\""));
        }
    }
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// Returns the words that a real `sh` reads from `line`, each followed by a NUL.
    fn words(line: &str) -> Vec<u8> {
        words_by(&["/bin/sh"], line)
    }

    /// Returns the same for another shell.
    fn words_by(shell: &[&str], line: &str) -> Vec<u8> {
        let script = format!(r"printf '%s\0' {line}");
        let output = Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn plain_words_stay_unquoted() {
        assert_eq!(quote("docker").unwrap(), "docker");
        assert_eq!(quote("").unwrap(), "''");
        assert_eq!(quote("a'b").unwrap(), r"'a'\''b'");
        assert_eq!(quote("~").unwrap(), "'~'");
        assert_eq!(quote("A=1").unwrap(), "'A=1'");
        assert_eq!(quote("a\0b"), Err(NulByte));
    }

    #[test]
    fn text_and_bytes_quote_alike() {
        for text in ["", "plain", "a'b", "\u{e9}\n"] {
            assert_eq!(quote_bytes(text.as_bytes()), quote(text));
        }
        assert_eq!(quote_bytes(b"a\xff\n").unwrap(), "a\"$(printf '\\377')\"'\n'");
        assert_eq!(quote_bytes(b"a\0\xff"), Err(NulByte));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn quoted_bytes_round_trip_in_every_sh(
            paths in proptest::collection::vec(proptest::collection::vec(1_u8..=255, 0..24), 1..4),
        ) {
            let line: Vec<_> = paths.iter().map(|path| quote_bytes(path).unwrap()).collect();
            let mut expected = Vec::new();
            for path in &paths {
                expected.extend_from_slice(path);
                expected.push(0);
            }
            for shell in [&["/bin/sh"][..], &["/bin/bash"], &["/bin/busybox", "sh"]] {
                prop_assert_eq!(&words_by(shell, &line.join(" ")), &expected, "{:?}", shell);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn quoted_text_round_trips_in_sh(
            values in proptest::collection::vec("[^\0]{0,40}", 1..4),
            nasty in proptest::collection::vec(
                proptest::sample::select(vec!["'", "\\", "\n", "$(id)", "`id`", "\"", " ", "*", "!", "-n", "&", ";", "#", "\u{7f}", "\u{e9}"]),
                0..12,
            ),
        ) {
            let mut values = values;
            values.push(nasty.concat());
            let line: Vec<_> = values.iter().map(|value| quote(value).unwrap()).collect();
            let mut expected = Vec::new();
            for value in &values {
                expected.extend_from_slice(value.as_bytes());
                expected.push(0);
            }
            prop_assert_eq!(words(&line.join(" ")), expected);
        }
    }
}
