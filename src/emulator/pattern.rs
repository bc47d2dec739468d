//! Texts with the wildcards `*` and `?`, as in policies and filters.

/// Returns whether `text` matches `pattern`, where `*` is any run of characters and `?` is any one. Linear in
/// space; the worst case in time is the product of both lengths.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    matches(&pattern.chars().map(Piece::of).collect::<Vec<_>>(), text)
}

/// A piece of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Any text.
    Any,
    /// Any one character.
    One,
    /// This one.
    Char(char),
}

impl Piece {
    /// Returns the meaning of `c` without escapes.
    pub(super) fn of(c: char) -> Self {
        match c {
            '*' => Self::Any,
            '?' => Self::One,
            c => Self::Char(c),
        }
    }
}

/// Returns whether the whole `text` matches `pattern`.
pub(super) fn matches(pattern: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(&piece) if piece == Piece::One || piece == Piece::Char(text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|piece| *piece == Piece::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_edge_cases() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "", false),
            ("i-?", "i-1", true),
            ("**", "x", true),
            ("a", "ab", false),
        ] {
            assert_eq!(like(pattern, text), matches, "{pattern} {text}");
        }
    }
}
