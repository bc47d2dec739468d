//! A parser with the semantics of Python's argparse, for at most one positional argument. aws-cli is built on
//! argparse, so what it accepts, rejects and prints is what argparse does (Python 3.11's `argparse.py`).

use std::collections::{BTreeMap, BTreeSet};

use super::python::{close_matches, repr};

/// The arity of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// No value.
    Nothing,
    /// One value.
    Value,
    /// An optional value.
    MaybeValue,
    /// No value; ends parsing: `--version`.
    Version,
}

/// An option definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    /// The name, dashes included.
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// The valid values; empty allows any.
    pub(super) choices: &'static [&'static str],
    pub(super) required: bool,
}

/// The positional argument.
#[derive(Clone, Debug)]
pub(super) struct Positional {
    pub(super) name: &'static str,
    /// The valid values; empty allows any, and makes the argument optional.
    pub(super) choices: Vec<&'static str>,
}

/// The definition of a command line.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) options: &'a [Opt],
    pub(super) positional: Option<Positional>,
}

/// The result of parsing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    values: BTreeMap<&'static str, String>,
    given: BTreeSet<&'static str>,
    pub(super) positional: Option<String>,
    /// Unknown arguments, in order.
    pub(super) extras: Vec<String>,
}

impl Parsed {
    /// Returns the value of the option `name`, dashes included.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns whether the option `name` was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains(name)
    }
}

/// Why parsing stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParseStop {
    /// `--version` was given.
    Version,
    /// The command line is invalid; argparse's message.
    Invalid(String),
}

/// The classification of an argument before parsing.
#[derive(Clone, Debug)]
enum Token<'a> {
    /// A value or the positional argument.
    Plain,
    /// `--`.
    Dashes,
    /// An option, with its `=` value; `None` for an unknown one.
    Option(Option<(&'a Opt, Option<String>)>),
}

impl Parser<'_> {
    /// Parses the known arguments of `args` and returns the rest, like argparse's `parse_known_args`.
    ///
    /// # Errors
    /// [`ParseStop`].
    pub(super) fn parse_known(&self, args: &[String]) -> Result<Parsed, ParseStop> {
        let mut state = ParseState {
            args,
            tokens: self.tokens(args)?,
            positional: self.positional.as_ref(),
            parsed: Parsed::default(),
        };
        state.run()?;
        let parsed = state.parsed;
        let mut missing: Vec<_> = self.options.iter().filter(|o| o.required && !parsed.has(o.name)).collect();
        let mut names: Vec<&str> = missing.drain(..).map(|option| option.name).collect();
        if let Some(positional) = &self.positional
            && !positional.choices.is_empty()
            && parsed.positional.is_none()
        {
            names.push(positional.name);
        }
        if names.is_empty() {
            Ok(parsed)
        } else {
            Err(ParseStop::Invalid(format!("the following arguments are required: {}", names.join(", "))))
        }
    }

    fn tokens(&self, args: &[String]) -> Result<Vec<Token<'_>>, ParseStop> {
        let mut tokens = Vec::with_capacity(args.len());
        let mut after_dashes = false;
        for arg in args {
            tokens.push(if after_dashes {
                Token::Plain
            } else if arg == "--" {
                after_dashes = true;
                Token::Dashes
            } else {
                self.token(arg)?
            });
        }
        Ok(tokens)
    }

    fn token(&self, arg: &str) -> Result<Token<'_>, ParseStop> {
        if !arg.starts_with('-') || arg.len() == 1 {
            return Ok(Token::Plain);
        }
        let known = |name: &str| self.options.iter().find(|option| option.name == name);
        if let Some(option) = known(arg) {
            return Ok(Token::Option(Some((option, None))));
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg, None),
        };
        if value.is_some()
            && let Some(option) = known(name)
        {
            return Ok(Token::Option(Some((option, value))));
        }
        if arg.starts_with("--") {
            let meant: Vec<_> = self.options.iter().filter(|option| option.name.starts_with(name)).collect();
            match meant.as_slice() {
                [] => {}
                [option] => return Ok(Token::Option(Some((option, value)))),
                several => {
                    let names: Vec<_> = several.iter().map(|option| option.name).collect();
                    let could = names.join(", ");
                    return Err(ParseStop::Invalid(format!("ambiguous option: {arg} could match {could}")));
                }
            }
        }
        if is_negative_number(arg) || arg.contains(' ') {
            return Ok(Token::Plain);
        }
        Ok(Token::Option(None))
    }
}

/// argparse's `^-\d+$|^-\d*\.\d+$`.
fn is_negative_number(arg: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = arg.strip_prefix('-') else { return false };
    match rest.split_once('.') {
        Some((whole, part)) => digits(whole) && !part.is_empty() && digits(part),
        None => !rest.is_empty() && digits(rest),
    }
}

struct ParseState<'a> {
    args: &'a [String],
    tokens: Vec<Token<'a>>,
    positional: Option<&'a Positional>,
    parsed: Parsed,
}

impl ParseState<'_> {
    fn run(&mut self) -> Result<(), ParseStop> {
        let is_option = |token: &Token<'_>| matches!(token, Token::Option(_));
        let mut at = 0;
        while let Some(next) = self.tokens.iter().skip(at).position(is_option).map(|ahead| at + ahead) {
            if at != next {
                let end = self.take_positional(at)?;
                if end > at {
                    at = end;
                    continue;
                }
                self.parsed.extras.extend(self.args.iter().take(next).skip(at).cloned());
            }
            at = self.take_option(next)?;
        }
        let end = self.take_positional(at)?;
        self.parsed.extras.extend(self.args.iter().skip(end).cloned());
        Ok(())
    }

    fn is_plain(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), Some(Token::Plain))
    }

    fn past_dashes(&self, from: usize) -> usize {
        from + self.tokens.iter().skip(from).take_while(|token| matches!(token, Token::Dashes)).count()
    }

    /// Consumes the positional argument at `at`, with any `--` around it; returns the next index.
    fn take_positional(&mut self, at: usize) -> Result<usize, ParseStop> {
        let Some(positional) = self.positional else { return Ok(at) };
        let start = self.past_dashes(at);
        if !self.is_plain(start) {
            // An optional argument is settled here, even if it is absent.
            if !positional.choices.is_empty() {
                return Ok(at);
            }
            self.positional = None;
            return Ok(start);
        }
        self.positional = None;
        let value = self.args.get(start).cloned().unwrap_or_default();
        check(positional.name, &positional.choices, &value)?;
        self.parsed.positional = Some(value);
        Ok(self.past_dashes(start + 1))
    }

    /// Consumes the option at `at` with its value; returns the next index.
    fn take_option(&mut self, at: usize) -> Result<usize, ParseStop> {
        let Some(Token::Option(found)) = self.tokens.get(at).cloned() else { return Ok(at + 1) };
        let Some((option, explicit)) = found else {
            self.parsed.extras.extend(self.args.get(at).cloned());
            return Ok(at + 1);
        };
        let (value, end) = match (option.takes, explicit) {
            (Takes::Nothing | Takes::Version, Some(explicit)) => {
                let name = option.name;
                let quoted = repr(&explicit);
                return Err(ParseStop::Invalid(format!(
                    "argument {name}: ignored explicit argument {quoted}"
                )));
            }
            (Takes::Version, None) => return Err(ParseStop::Version),
            (Takes::Nothing, None) => (None, at + 1),
            (_, Some(explicit)) => (Some(explicit), at + 1),
            (Takes::MaybeValue, None) if !self.is_plain(at + 1) => (None, at + 1),
            (_, None) if self.is_plain(at + 1) => (self.args.get(at + 1).cloned(), at + 2),
            (_, None) => {
                return Err(ParseStop::Invalid(format!("argument {}: expected one argument", option.name)));
            }
        };
        self.parsed.given.insert(option.name);
        if let Some(value) = value {
            check(option.name, option.choices, &value)?;
            self.parsed.values.insert(option.name, value);
        }
        Ok(end)
    }
}

fn check(name: &str, choices: &[&str], value: &str) -> Result<(), ParseStop> {
    if choices.is_empty() || choices.contains(&value) {
        return Ok(());
    }
    let mut message = format!("argument {name}: Found invalid choice '{value}'\n");
    let close = close_matches(value, choices);
    if !close.is_empty() {
        message.push_str("\nMaybe you meant:\n");
        for word in close {
            message.push_str("\n  * ");
            message.push_str(word);
        }
    }
    Err(ParseStop::Invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        Opt { name: "--region", takes: Takes::Value, choices: &[], required: false },
        Opt { name: "--output", takes: Takes::Value, choices: &["json", "text"], required: false },
        Opt { name: "--no-sign-request", takes: Takes::Nothing, choices: &[], required: false },
        Opt { name: "--no-verify-ssl", takes: Takes::Nothing, choices: &[], required: false },
        Opt { name: "--skeleton", takes: Takes::MaybeValue, choices: &[], required: false },
        Opt { name: "--version", takes: Takes::Version, choices: &[], required: false },
    ];

    fn parse(choices: &[&'static str], args: &[&str]) -> Result<Parsed, ParseStop> {
        let positional = Some(Positional { name: "command", choices: choices.to_vec() });
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Parser { options: OPTIONS, positional }.parse_known(&args)
    }

    fn wrong(args: &[&str]) -> String {
        match parse(&["sts", "ssh"], args) {
            Err(ParseStop::Invalid(message)) => message,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn options_may_be_anywhere() {
        for args in [
            ["--region", "r", "sts", "--no-sign-request"],
            ["sts", "--region", "r", "--no-sign-request"],
            ["--no-sign", "sts", "--reg", "r"],
        ] {
            let parsed = parse(&["sts"], &args).unwrap();
            assert_eq!(parsed.positional.as_deref(), Some("sts"), "{args:?}");
            assert_eq!(parsed.value("--region"), Some("r"), "{args:?}");
            assert!(parsed.has("--no-sign-request") && parsed.extras.is_empty(), "{args:?}");
        }
        let parsed = parse(&["sts"], &["sts", "--region=a=b", "--out=text", "--region="]).unwrap();
        assert_eq!(parsed.value("--region"), Some(""), "the last one applies");
        assert_eq!(parsed.value("--output"), Some("text"));
    }

    #[test]
    fn unknown_arguments_keep_order() {
        let parsed =
            parse(&["sts"], &["sts", "--x", "1", "op", "--region", "r", "--y=2", "-z", "-5"]).unwrap();
        assert_eq!(parsed.extras, ["--x", "1", "op", "--y=2", "-z", "-5"]);
        assert!(wrong(&["--x", "1", "sts"]).starts_with("argument command: Found invalid choice '1'"));
    }

    #[test]
    fn double_dash_ends_options() {
        let parsed = parse(&["sts"], &["sts", "--", "--region", "r"]).unwrap();
        assert_eq!(parsed.value("--region"), None);
        assert_eq!(parsed.extras, ["--region", "r"]);
        let parsed = parse(&[], &["--region", "r", "--", "-x"]).unwrap();
        assert_eq!(parsed.positional.as_deref(), Some("-x"));
    }

    #[test]
    fn optional_positional_takes_first_word() {
        let parsed = parse(&[], &["a", "b", "--region", "r"]).unwrap();
        assert_eq!(parsed.positional.as_deref(), Some("a"));
        assert_eq!(parsed.extras, ["b"]);
        assert_eq!(parse(&[], &["--region", "r"]).unwrap().positional, None);
    }

    #[test]
    fn errors_match_argparse() {
        assert_eq!(wrong(&["sts", "--region"]), "argument --region: expected one argument");
        assert_eq!(wrong(&["sts", "--region", "--output", "x"]), "argument --region: expected one argument");
        assert_eq!(
            wrong(&["--no-"]),
            "ambiguous option: --no- could match --no-sign-request, --no-verify-ssl"
        );
        let message = wrong(&["--no-sign-request=it's", "sts"]);
        assert_eq!(message, "argument --no-sign-request: ignored explicit argument \"it's\"");
        assert_eq!(wrong(&["--region", "r"]), "the following arguments are required: command");
        assert_eq!(wrong(&["--output", "xml", "sts"]), "argument --output: Found invalid choice 'xml'\n");
        let message = "argument command: Found invalid choice 'sssh'\n\nMaybe you meant:\n\n  * ssh";
        assert_eq!(wrong(&["sssh"]), message);
    }

    #[test]
    fn version_precedes_later_errors_only() {
        assert_eq!(parse(&["sts"], &["--version", "nonsense"]), Err(ParseStop::Version));
        assert!(matches!(parse(&["sts"], &["nonsense", "--version"]), Err(ParseStop::Invalid(_))));
    }

    #[test]
    fn optional_value_may_be_absent() {
        let parsed = parse(&["sts"], &["sts", "--skeleton"]).unwrap();
        assert!(parsed.has("--skeleton") && parsed.value("--skeleton").is_none());
        assert_eq!(parse(&["sts"], &["sts", "--skeleton", "out"]).unwrap().value("--skeleton"), Some("out"));
    }
}
