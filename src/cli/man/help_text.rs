//! Parses the text after a verb's options: paragraphs, and headed lists of terms.

/// The text after the options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HelpText {
    /// Paragraphs without a heading, each in one line.
    pub(super) paragraphs: Vec<String>,
    /// The lists, in order.
    pub(super) sections: Vec<Section>,
}

/// `Heading:` and the indented lines below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) items: Vec<Item>,
}

/// A term and its meaning; an example without an explanation is a term alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) term: String,
    pub(super) meaning: String,
}

impl HelpText {
    /// Parses `text` in the format of the help texts: blocks separated by empty lines. A block of indented lines below
    /// a line that ends in a colon is a list; a fully indented block continues the list before it; any other is a
    /// paragraph.
    pub(super) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let block = block.trim_matches('\n');
            let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
            let is_list = |lines: &str| !lines.is_empty() && lines.lines().all(|line| line.starts_with(' '));
            if let Some(heading) = first.strip_suffix(':')
                && !first.starts_with(' ')
                && is_list(rest)
            {
                read.sections.push(Section { heading: heading.to_owned(), items: items(rest) });
            } else if let (true, Some(section)) = (is_list(block), read.sections.last_mut()) {
                section.items.extend(items(block));
            } else {
                read.paragraphs.push(words(block));
            }
        }
        read
    }
}

/// Parses the items of a list: a line at the list's indentation starts an item, a deeper line continues it. Two spaces
/// separate the term from its meaning.
fn items(list: &str) -> Vec<Item> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let own = list.lines().map(indentation).min().unwrap_or(0);
    let mut items: Vec<Item> = Vec::new();
    for line in list.lines() {
        let text = line.trim();
        match items.last_mut() {
            Some(item) if indentation(line) > own => {
                if !item.meaning.is_empty() {
                    item.meaning.push(' ');
                }
                item.meaning.push_str(&words(text));
            }
            _ => {
                let (term, meaning) = text.split_once("  ").unwrap_or((text, ""));
                items.push(Item { term: term.to_owned(), meaning: words(meaning) });
            }
        }
    }
    items
}

/// Joins `text` into one line with single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_paragraphs_are_parsed() {
        let text = "Examples:\n  eice a              the first\n  eice b --long \\\n\nA paragraph\nof two lines.\n\n\
                    Environment:\n  A, B    one\n          and more\n  LONG_NAME_OF_IT\n          another\n\n  \
                    C  after a gap\n\nnot a list:\nhere";
        let read = HelpText::parse(text);
        assert_eq!(read.paragraphs, ["A paragraph of two lines.", "not a list: here"]);
        let item = |term: &str, meaning: &str| Item { term: term.into(), meaning: meaning.into() };
        let section = |heading: &str, items| Section { heading: heading.into(), items };
        assert_eq!(
            read.sections,
            [
                section("Examples", vec![item("eice a", "the first"), item("eice b --long \\", "")]),
                section(
                    "Environment",
                    vec![
                        item("A, B", "one and more"),
                        item("LONG_NAME_OF_IT", "another"),
                        item("C", "after a gap")
                    ]
                ),
            ]
        );
    }

    #[test]
    fn parsing_loses_no_text() {
        for text in ["", "\n\n\n", "a", "  indented at first", "Heading:", "Heading:\n\n  list", ":\n  x"] {
            let read = HelpText::parse(text);
            let items = read.sections.iter().flat_map(|section| {
                let items = section.items.iter().map(|item| format!("{} {}", item.term, item.meaning));
                std::iter::once(section.heading.clone()).chain(items)
            });
            let all = items.chain(read.paragraphs.iter().cloned()).collect::<Vec<_>>().join(" ");
            for word in text.split([' ', ':', '\n']) {
                assert!(all.contains(word), "{word:?} of {text:?} is not in {all:?}");
            }
        }
    }
}
