//! Finds the paths in a source text that start at the crate's root.

use crate::lexer::{Token, tokens};

/// A path from the crate's root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) named: Named,
    pub(crate) text: String,
}

/// The item that a path names below the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// This module.
    Module(String),
    /// The root itself, so that any module may follow.
    Root,
}

/// Returns every such path in `source`, the text of the module `of`.
pub(crate) fn paths(of: &[&str], source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // The enclosing inline modules, with the brace depth at which each started.
    let (mut inline, mut depth) = (Vec::<usize>::new(), 0_usize);
    let mut i = 0;
    while i < tokens.len() {
        let before = if i == 0 { "" } else { text(i - 1) };
        match text(i) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if text(i + 2) == "{" => {
                inline.push(depth);
                depth += 1;
                i += 3;
                continue;
            }
            // `pub(crate)`, `pub(super)`: a visibility, not a path.
            "crate" | "super" | "self" if before == "(" && i >= 2 && text(i - 2) == "pub" => {}
            "crate" if before == "extern" && text(i + 1) == "self" => found.push(root(&tokens[i])),
            "crate" if before == "extern" => {}
            "crate" => i = follow(&tokens, i + 1, 0, &mut found),
            // The crate by its own name: `eice::x`, `::eice::x`, not `a::eice`.
            "eice" if text(i + 1) == "::" && (before != "::" || i < 2 || !is_name(text(i - 2))) => {
                i = follow(&tokens, i + 1, 0, &mut found);
            }
            "super" | "self" if before != "::" => {
                i = follow(&tokens, i, of.len() + inline.len(), &mut found);
            }
            _ => {}
        }
        i += 1;
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

fn root(token: &Token) -> Path {
    Path { line: token.line, named: Named::Root, text: "the root".into() }
}

/// Follows a path from the token `i`, `above` modules below the root, through groups; returns its last token.
fn follow(tokens: &[Token], mut i: usize, mut above: usize, found: &mut Vec<Path>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let last = |i: usize| i.saturating_sub(1).min(tokens.len().saturating_sub(1));
    loop {
        match text(i) {
            "::" => i += 1,
            "super" => {
                above = above.saturating_sub(1);
                i += 1;
                if above == 0 && text(i) != "::" {
                    found.push(root(&tokens[last(i)]));
                    return last(i);
                }
            }
            // `self` at the start, or in a group, where it is the module of the group.
            "self" => {
                i += 1;
                if above == 0 && text(i) != "::" {
                    found.push(root(&tokens[last(i)]));
                    return last(i);
                }
            }
            "{" => {
                i += 1;
                while i < tokens.len() && text(i) != "}" {
                    i = follow(tokens, i, above, found) + 1;
                    // On to the next member, past `as name`.
                    while !matches!(text(i), "," | "}" | "") {
                        i = if text(i) == "{" { closing(tokens, i) + 1 } else { i + 1 };
                    }
                    if text(i) == "," {
                        i += 1;
                    }
                }
                return i.min(tokens.len().saturating_sub(1));
            }
            "*" if above == 0 => {
                found.push(root(&tokens[i]));
                return i;
            }
            name if above == 0 && is_name(name) && name != "as" => {
                let named = Named::Module(name.to_owned());
                let end = (i..tokens.len())
                    .take_while(|k| is_name(text(*k)) || matches!(text(*k), "::" | "{"))
                    .take(8);
                let text = end.map(text).collect();
                found.push(Path { line: tokens[i].line, named, text });
                // The rest belongs to that module; the caller's braces must stay balanced.
                return if text_is_group(tokens, i) { closing(tokens, i + 2) } else { i };
            }
            _ if above == 0 => {
                found.push(root(&tokens[last(i)]));
                return last(i);
            }
            // A name below the root: `super::queue`, `self::x`.
            _ => return last(i).max(i.saturating_sub(1)),
        }
    }
}

/// Returns whether the name at `i` is followed by a group: `name::{…}`.
fn text_is_group(tokens: &[Token], i: usize) -> bool {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    text(i + 1) == "::" && text(i + 2) == "{"
}

/// Returns the brace that closes the one at `i`.
fn closing(tokens: &[Token], i: usize) -> usize {
    let mut depth = 0_usize;
    for (k, token) in tokens.iter().enumerate().skip(i) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return k;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Returns the occurrences of `sequences` (`["Instant", "now"]` is `Instant::now`) in `source`: line and text.
pub(crate) fn sequences(source: &str, sequences: &[&[&str]]) -> Vec<(usize, String)> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        for sequence in sequences {
            let here = sequence.iter().enumerate().all(|(n, name)| {
                tokens.get(i + 2 * n).is_some_and(|token| token.text == *name)
                    && (n == 0 || tokens[i + 2 * n - 1].text == "::")
            });
            if here {
                found.push((token.line, sequence.join("::")));
            }
        }
    }
    found
}
