//! Renders one manual page with the man macros.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help_text::{HelpText, Section};

/// Section 1: user commands.
pub(super) const SECTION: &str = "1";

/// Returns the name of `command`'s page, such as `eice-ssh`.
pub(super) fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// Renders the page of `command`, which must be built.
pub(super) fn render(command: &Command) -> io::Result<Vec<u8>> {
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    let help = HelpText::parse(&help.map(ToString::to_string).unwrap_or_default());
    let man = Man::new(command.clone());
    let mut out = Vec::new();

    // Without a date, since the page is generated from the program. Written by hand, because the empty argument must be
    // kept.
    let title = name(command).to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH \"{title}\" \"{SECTION}\" \"\" \"eice {version}\" \"User Commands\"")?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    paragraphs(&help.paragraphs).to_writer(&mut out)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        let mut options = Vec::new();
        man.render_options_section(&mut options)?;
        // clap_mangen's empty line before possible values, in the form that man(7) allows.
        let options = String::from_utf8_lossy(&options).replace("\n.br\n\n.br\n", "\n.sp\n");
        out.write_all(options.as_bytes())?;
    }
    if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    for section in &help.sections {
        list(section).to_writer(&mut out)?;
    }
    if name(command) != "eice" {
        let mut roff = Roff::default();
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("eice"), roman("(1)")]);
        roff.to_writer(&mut out)?;
    }
    Ok(out)
}

fn paragraphs(texts: &[String]) -> Roff {
    let mut roff = Roff::default();
    for text in texts {
        roff.control("PP", []);
        roff.text([roman(text)]);
    }
    roff
}

fn list(section: &Section) -> Roff {
    let mut roff = Roff::default();
    // The name that man(7) has for it.
    let heading = match section.heading.to_uppercase().as_str() {
        "EXIT CODES" => "EXIT STATUS".to_owned(),
        other => other.to_owned(),
    };
    roff.control("SH", [heading.as_str()]);
    for (index, item) in section.items.iter().enumerate() {
        if !item.meaning.is_empty() {
            roff.control("TP", []);
            roff.text([bold(&item.term)]);
            roff.text([roman(&item.meaning)]);
        } else {
            if index > 0 {
                roff.control("PP", []);
            }
            roff.text([bold(&item.term)]);
        }
    }
    roff
}
