//! Words for ssh_config(5), so that ssh and the shell that it starts read what was meant.
//!
//! A line is read up to four times: by ssh for its words, by ssh for `%` tokens and `${VARIABLE}`, and where it is a
//! ProxyCommand by the user's shell. Quotes mean one thing to ssh and another to a shell, so that a word in quotes which
//! ends in a backslash is whole for the one and open for the other. A backslash before each character that is not plain
//! means the same to both.

use crate::cli::exit;
use crate::cli::failure::Failure;

/// `text` as one word of a ProxyCommand.
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

/// `text` as one word of an option that ssh reads by itself and in which it looks for tokens.
pub(super) fn config_word(text: &str) -> Result<String, Failure> {
    literal_word(&without_tokens(text)?)
}

/// `text` with nothing in it that ssh would take for a token or a variable.
pub(super) fn without_tokens(text: &str) -> Result<String, Failure> {
    if text.contains("${") {
        return Err(Failure::new(exit::USAGE, format!("ssh reads `${{` in {text:?} as a variable's name"))
            .with_hint("choose a name without it"));
    }
    Ok(text.replace('%', "%%"))
}

/// `text` as one word of an option in which ssh looks for no tokens.
pub(super) fn literal_word(text: &str) -> Result<String, Failure> {
    readable(text)?;
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+=,%*?!~[]".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// What has a line's end or another control character in it cannot be said in ssh_config at all.
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
    fn plain_words_stay_as_they_are() {
        for plain in ["/usr/local/bin/eice", "arn:aws:iam::1:role/x", "--region=eu-west-1", "a@b.c"] {
            assert_eq!(shell_word(plain).unwrap(), plain);
            assert_eq!(config_word(plain).unwrap(), plain);
        }
        assert_eq!(shell_word("/a b/it's 100%").unwrap(), r"/a\ b/it\'s\ 100%%");
        assert_eq!(config_word("/a b/100%").unwrap(), r#""/a b/100%%""#);
    }

    #[test]
    fn what_no_line_can_say_is_refused() {
        for bad in ["a\nb", "a\0b", "a\rb", "\u{1b}[2J"] {
            assert_eq!(shell_word(bad).unwrap_err().code(), exit::USAGE);
            assert_eq!(config_word(bad).unwrap_err().code(), exit::USAGE);
        }
        assert_eq!(config_word("/run/${USER}").unwrap_err().code(), exit::USAGE);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Of what ssh hands to a shell, once it has read its tokens.
        #[test]
        fn a_shell_reads_each_word_as_it_was(words in prop::collection::vec("[ -~é]{0,12}", 1..5)) {
            let quoted: Vec<_> = words.iter().map(|word| shell_word(word).unwrap()).collect();
            let line = quoted.join(" ").replace("%%", "%");
            let script = format!("printf '%s\\n' {line}");
            let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            let expected: String = words.iter().map(|word| format!("{word}\n")).collect();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{}", script);
        }
    }
}
