//! Command lines as Python's argparse reads them, for one positional argument at most: aws-cli is built on it, so
//! what it takes, refuses and says is what argparse does (Python 3.11's `argparse.py`).

use std::collections::{BTreeMap, BTreeSet};

use super::python::{close_matches, repr};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// One value.
    Value,
    /// One value or none.
    MaybeValue,
    /// Nothing, and it ends the parsing: `--version`.
    Version,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    /// With its dashes.
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// The values it may have; empty means any.
    pub(super) choices: &'static [&'static str],
    pub(super) required: bool,
}

/// The positional argument.
#[derive(Clone, Debug)]
pub(super) struct Positional {
    pub(super) name: &'static str,
    /// The values it may have; empty means any, and that it may be left out.
    pub(super) choices: Vec<&'static str>,
}

/// What is understood.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) options: &'a [Opt],
    pub(super) positional: Option<Positional>,
}

/// What was understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    values: BTreeMap<&'static str, String>,
    given: BTreeSet<&'static str>,
    pub(super) positional: Option<String>,
    /// What was not, in order.
    pub(super) extras: Vec<String>,
}

impl Parsed {
    /// The value of the option `name`, dashes included.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether the option `name` was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains(name)
    }
}

/// Why parsing came to no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The version is asked for.
    Version,
    /// The command line is wrong; argparse's words.
    Wrong(String),
}

/// What an argument is taken for, before anything is consumed.
#[derive(Clone, Debug)]
enum Kind<'a> {
    /// A value, or the positional argument.
    Plain,
    /// `--`.
    Dashes,
    /// An option, with the value behind its `=`; `None` for one that is not known.
    Option(Option<(&'a Opt, Option<String>)>),
}

impl Parser<'_> {
    /// Takes what it knows of `args` and leaves the rest, as argparse's `parse_known_args`.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn parse_known(&self, args: &[String]) -> Result<Parsed, Stop> {
        let mut reading = Reading {
            args,
            kinds: self.kinds(args)?,
            wanting: self.positional.as_ref(),
            parsed: Parsed::default(),
        };
        reading.run()?;
        let parsed = reading.parsed;
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
            Err(Stop::Wrong(format!("the following arguments are required: {}", names.join(", "))))
        }
    }

    fn kinds(&self, args: &[String]) -> Result<Vec<Kind<'_>>, Stop> {
        let mut kinds = Vec::with_capacity(args.len());
        let mut behind_dashes = false;
        for arg in args {
            kinds.push(if behind_dashes {
                Kind::Plain
            } else if arg == "--" {
                behind_dashes = true;
                Kind::Dashes
            } else {
                self.kind(arg)?
            });
        }
        Ok(kinds)
    }

    fn kind(&self, arg: &str) -> Result<Kind<'_>, Stop> {
        if !arg.starts_with('-') || arg.len() == 1 {
            return Ok(Kind::Plain);
        }
        let known = |name: &str| self.options.iter().find(|option| option.name == name);
        if let Some(option) = known(arg) {
            return Ok(Kind::Option(Some((option, None))));
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg, None),
        };
        if value.is_some()
            && let Some(option) = known(name)
        {
            return Ok(Kind::Option(Some((option, value))));
        }
        if arg.starts_with("--") {
            let meant: Vec<_> = self.options.iter().filter(|option| option.name.starts_with(name)).collect();
            match meant.as_slice() {
                [] => {}
                [option] => return Ok(Kind::Option(Some((option, value)))),
                several => {
                    let names: Vec<_> = several.iter().map(|option| option.name).collect();
                    let could = names.join(", ");
                    return Err(Stop::Wrong(format!("ambiguous option: {arg} could match {could}")));
                }
            }
        }
        if is_negative_number(arg) || arg.contains(' ') {
            return Ok(Kind::Plain);
        }
        Ok(Kind::Option(None))
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

struct Reading<'a> {
    args: &'a [String],
    kinds: Vec<Kind<'a>>,
    wanting: Option<&'a Positional>,
    parsed: Parsed,
}

impl Reading<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let is_option = |kind: &Kind<'_>| matches!(kind, Kind::Option(_));
        let mut at = 0;
        while let Some(next) = self.kinds.iter().skip(at).position(is_option).map(|ahead| at + ahead) {
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
        matches!(self.kinds.get(at), Some(Kind::Plain))
    }

    fn past_dashes(&self, from: usize) -> usize {
        from + self.kinds.iter().skip(from).take_while(|kind| matches!(kind, Kind::Dashes)).count()
    }

    /// The positional argument at `at`, with any `--` around it; returns where it ends.
    fn take_positional(&mut self, at: usize) -> Result<usize, Stop> {
        let Some(positional) = self.wanting else { return Ok(at) };
        let start = self.past_dashes(at);
        if !self.is_plain(start) {
            // One that may be left out is done with here, even when it was.
            if !positional.choices.is_empty() {
                return Ok(at);
            }
            self.wanting = None;
            return Ok(start);
        }
        self.wanting = None;
        let value = self.args.get(start).cloned().unwrap_or_default();
        check(positional.name, &positional.choices, &value)?;
        self.parsed.positional = Some(value);
        Ok(self.past_dashes(start + 1))
    }

    /// The option at `at`, with its value; returns where it ends.
    fn take_option(&mut self, at: usize) -> Result<usize, Stop> {
        let Some(Kind::Option(found)) = self.kinds.get(at).cloned() else { return Ok(at + 1) };
        let Some((option, explicit)) = found else {
            self.parsed.extras.extend(self.args.get(at).cloned());
            return Ok(at + 1);
        };
        let (value, end) = match (option.takes, explicit) {
            (Takes::Nothing | Takes::Version, Some(explicit)) => {
                let name = option.name;
                let quoted = repr(&explicit);
                return Err(Stop::Wrong(format!("argument {name}: ignored explicit argument {quoted}")));
            }
            (Takes::Version, None) => return Err(Stop::Version),
            (Takes::Nothing, None) => (None, at + 1),
            (_, Some(explicit)) => (Some(explicit), at + 1),
            (Takes::MaybeValue, None) if !self.is_plain(at + 1) => (None, at + 1),
            (_, None) if self.is_plain(at + 1) => (self.args.get(at + 1).cloned(), at + 2),
            (_, None) => {
                return Err(Stop::Wrong(format!("argument {}: expected one argument", option.name)));
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

fn check(name: &str, choices: &[&str], value: &str) -> Result<(), Stop> {
    if choices.is_empty() || choices.contains(&value) {
        return Ok(());
    }
    let mut said = format!("argument {name}: Found invalid choice '{value}'\n");
    let close = close_matches(value, choices);
    if !close.is_empty() {
        said.push_str("\nMaybe you meant:\n");
        for word in close {
            said.push_str("\n  * ");
            said.push_str(word);
        }
    }
    Err(Stop::Wrong(said))
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

    fn parse(choices: &[&'static str], args: &[&str]) -> Result<Parsed, Stop> {
        let positional = Some(Positional { name: "command", choices: choices.to_vec() });
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Parser { options: OPTIONS, positional }.parse_known(&args)
    }

    fn wrong(args: &[&str]) -> String {
        match parse(&["sts", "ssh"], args) {
            Err(Stop::Wrong(said)) => said,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn options_stand_before_between_and_behind_in_each_spelling() {
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
        assert_eq!(parsed.value("--region"), Some(""), "the last one counts");
        assert_eq!(parsed.value("--output"), Some("text"));
    }

    #[test]
    fn what_is_not_known_is_left_in_order_and_takes_no_value() {
        let parsed =
            parse(&["sts"], &["sts", "--x", "1", "op", "--region", "r", "--y=2", "-z", "-5"]).unwrap();
        assert_eq!(parsed.extras, ["--x", "1", "op", "--y=2", "-z", "-5"]);
        assert!(wrong(&["--x", "1", "sts"]).starts_with("argument command: Found invalid choice '1'"));
    }

    #[test]
    fn dashes_end_the_options() {
        let parsed = parse(&["sts"], &["sts", "--", "--region", "r"]).unwrap();
        assert_eq!(parsed.value("--region"), None);
        assert_eq!(parsed.extras, ["--region", "r"]);
        let parsed = parse(&[], &["--region", "r", "--", "-x"]).unwrap();
        assert_eq!(parsed.positional.as_deref(), Some("-x"));
    }

    #[test]
    fn a_positional_that_may_be_left_out_takes_the_first_word() {
        let parsed = parse(&[], &["a", "b", "--region", "r"]).unwrap();
        assert_eq!(parsed.positional.as_deref(), Some("a"));
        assert_eq!(parsed.extras, ["b"]);
        assert_eq!(parse(&[], &["--region", "r"]).unwrap().positional, None);
    }

    #[test]
    fn mistakes_are_told_in_argparses_words() {
        assert_eq!(wrong(&["sts", "--region"]), "argument --region: expected one argument");
        assert_eq!(wrong(&["sts", "--region", "--output", "x"]), "argument --region: expected one argument");
        assert_eq!(
            wrong(&["--no-"]),
            "ambiguous option: --no- could match --no-sign-request, --no-verify-ssl"
        );
        let said = wrong(&["--no-sign-request=it's", "sts"]);
        assert_eq!(said, "argument --no-sign-request: ignored explicit argument \"it's\"");
        assert_eq!(wrong(&["--region", "r"]), "the following arguments are required: command");
        assert_eq!(wrong(&["--output", "xml", "sts"]), "argument --output: Found invalid choice 'xml'\n");
        let said = "argument command: Found invalid choice 'sssh'\n\nMaybe you meant:\n\n  * ssh";
        assert_eq!(wrong(&["sssh"]), said);
    }

    #[test]
    fn the_version_comes_before_what_is_wrong_behind_it_only() {
        assert_eq!(parse(&["sts"], &["--version", "nonsense"]), Err(Stop::Version));
        assert!(matches!(parse(&["sts"], &["nonsense", "--version"]), Err(Stop::Wrong(_))));
    }

    #[test]
    fn a_value_that_may_be_left_out_may() {
        let parsed = parse(&["sts"], &["sts", "--skeleton"]).unwrap();
        assert!(parsed.has("--skeleton") && parsed.value("--skeleton").is_none());
        assert_eq!(parse(&["sts"], &["sts", "--skeleton", "out"]).unwrap().value("--skeleton"), Some("out"));
    }
}
