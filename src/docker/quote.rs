//! The one quoting function.

/// A text with a NUL byte, which no shell can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a NUL byte cannot be quoted")]
#[non_exhaustive]
pub struct NulByte;

/// `word` as one word of a POSIX shell's command line: what stands in single quotes stands for itself, save the
/// single quote, which is written `'\''` (POSIX.1-2017, Shell Command Language, 2.2.2).
///
/// A word that needs no quotes gets none.
///
/// # Errors
/// [`NulByte`] when `word` holds one: the shell would see the text up to it, with its quote open.
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

/// The same for bytes, such as a path's. What is not UTF-8 is written by `printf`, so that the text stays text on its
/// way through whatever reads it as such.
///
/// # Errors
/// [`NulByte`] when `word` holds one.
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

    /// What a real `sh` makes of the words of `line`: each followed by a NUL.
    fn words(line: &str) -> Vec<u8> {
        words_by(&["/bin/sh"], line)
    }

    /// The same by another shell.
    fn words_by(shell: &[&str], line: &str) -> Vec<u8> {
        let script = format!(r"printf '%s\0' {line}");
        let output = Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn words_that_need_no_quotes_get_none() {
        assert_eq!(quote("docker").unwrap(), "docker");
        assert_eq!(quote("").unwrap(), "''");
        assert_eq!(quote("a'b").unwrap(), r"'a'\''b'");
        assert_eq!(quote("~").unwrap(), "'~'");
        assert_eq!(quote("A=1").unwrap(), "'A=1'");
        assert_eq!(quote("a\0b"), Err(NulByte));
    }

    #[test]
    fn text_is_quoted_alike_as_text_and_as_bytes() {
        for text in ["", "plain", "a'b", "\u{e9}\n"] {
            assert_eq!(quote_bytes(text.as_bytes()), quote(text));
        }
        assert_eq!(quote_bytes(b"a\xff\n").unwrap(), "a\"$(printf '\\377')\"'\n'");
        assert_eq!(quote_bytes(b"a\0\xff"), Err(NulByte));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_sh_reads_back_the_bytes_of_a_path(
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
        fn a_real_sh_reads_back_what_was_quoted(
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
