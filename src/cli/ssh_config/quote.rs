//! Quotes words for ssh_config(5) and for the shell that ssh starts.
//!
//! A line is parsed several times: by ssh into words, by ssh for `%` tokens and `${VARIABLE}`, and for a ProxyCommand
//! by the user's shell. ssh and a shell parse quotes differently: a quoted word that ends in a backslash is complete
//! for one and unterminated for the other. A backslash before each special character has the same meaning for both.

use crate::cli::exit;
use crate::cli::failure::Failure;

/// Quotes `text` as one word of a ProxyCommand.
pub(super) fn shell_word(text: &str) -> Result<String, Failure> {
    readable(text)?;
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => word.push_str("%%"),
            c if c.is_alphanumeric() || "-_./:@+=,".contains(c) => word.push(c),
            c => word.extend(['\\', c]),
        }
    }
    Ok(if word.is_empty() { "''".to_owned() } else { word })
}

/// Quotes `text` as one word of an option in which ssh expands tokens.
pub(super) fn config_word(text: &str) -> Result<String, Failure> {
    literal_word(&without_tokens(text)?)
}

/// Escapes what ssh would expand in `text` as a token or a variable.
pub(super) fn without_tokens(text: &str) -> Result<String, Failure> {
    if text.contains("${") {
        return Err(Failure::new(exit::USAGE, format!("ssh reads `${{` in {text:?} as a variable's name"))
            .with_hint("choose a name without it"));
    }
    Ok(text.replace('%', "%%"))
}

/// Quotes `text` as one word of an option without token expansion.
pub(super) fn literal_word(text: &str) -> Result<String, Failure> {
    readable(text)?;
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+=,%*?!~[]".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Rejects control characters, which ssh_config cannot express.
fn readable(text: &str) -> Result<(), Failure> {
    match text.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(c) => Err(Failure::new(exit::USAGE, format!("{text:?} has the character {c:?}"))
            .with_hint("choose a name without it: ssh_config cannot carry it")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_are_unquoted() {
        for plain in ["/usr/local/bin/eice", "arn:aws:iam::1:role/x", "--region=eu-west-1", "a@b.c"] {
            assert_eq!(shell_word(plain).unwrap(), plain);
            assert_eq!(config_word(plain).unwrap(), plain);
        }
        assert_eq!(shell_word("/a b/it's 100%").unwrap(), r"/a\ b/it\'s\ 100%%");
        assert_eq!(config_word("/a b/100%").unwrap(), r#""/a b/100%%""#);
    }

    #[test]
    fn control_characters_are_refused() {
        for bad in ["a\nb", "a\0b", "a\rb", "\u{1b}[2J"] {
            assert_eq!(shell_word(bad).unwrap_err().code(), exit::USAGE);
            assert_eq!(config_word(bad).unwrap_err().code(), exit::USAGE);
        }
        assert_eq!(config_word("/run/${USER}").unwrap_err().code(), exit::USAGE);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// What ssh passes to a shell after expanding tokens.
        #[test]
        fn shell_words_round_trip(words in prop::collection::vec("[ -~é]{0,12}", 1..5)) {
            let quoted: Vec<_> = words.iter().map(|word| shell_word(word).unwrap()).collect();
            let line = quoted.join(" ").replace("%%", "%");
            let script = format!("printf '%s\\n' {line}");
            let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            let expected: String = words.iter().map(|word| format!("{word}\n")).collect();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{}", script);
        }
    }
}
