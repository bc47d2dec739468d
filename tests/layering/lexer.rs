//! Splits Rust source into names and punctuation, without comments and literals.

/// A name or punctuation mark, with its line number, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Returns the names (without `r#`), `::`, and every other mark as a separate token.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut i, mut line, mut out) = (0, 1, Vec::new());
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => i = block_comment(&chars, i),
            '"' => i = string(&chars, i),
            'r' | 'b' | 'c' if literal_prefix(&chars, i).is_some() => {
                i = literal_prefix(&chars, i).unwrap();
            }
            '\'' => i = char_or_lifetime(&chars, i),
            c if c == '_' || c.is_alphabetic() => {
                if c == 'r' && at(i + 1) == '#' {
                    i += 2;
                }
                let from = i;
                while at(i) == '_' || at(i).is_alphanumeric() {
                    i += 1;
                }
                out.push(Token { text: chars[from..i].iter().collect(), line });
            }
            c if c.is_ascii_digit() => {
                while at(i) == '_' || at(i).is_alphanumeric() {
                    i += 1;
                }
            }
            ':' if at(i + 1) == ':' => {
                out.push(Token { text: "::".into(), line });
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    out.push(Token { text: c.into(), line });
                }
                i += 1;
            }
        }
        line += chars[start..i].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// Returns the end of the block comment that starts at `i`; they nest.
fn block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// Returns the end of the string whose opening quote is at `i`.
fn string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// Returns the end of the literal with a prefix (`r"`, `br#"`, `b'` …) at `i`, if there is one.
fn literal_prefix(chars: &[char], i: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut j = i;
    while matches!(at(j), 'r' | 'b' | 'c') && j < i + 2 {
        j += 1;
    }
    let raw = chars[i..j].contains(&'r');
    let hashes = (j..).take_while(|k| raw && at(*k) == '#').count();
    match at(j + hashes) {
        '"' if raw => {
            let mut k = j + hashes + 1;
            while k < chars.len() && !(at(k) == '"' && (1..=hashes).all(|n| at(k + n) == '#')) {
                k += 1;
            }
            Some((k + 1 + hashes).min(chars.len()))
        }
        '"' => Some(string(chars, j)),
        '\'' if chars[i..j] == ['b'] => Some(char_or_lifetime(chars, j)),
        _ => None,
    }
}

/// Returns the end of the character literal or lifetime at `i`.
fn char_or_lifetime(chars: &[char], i: usize) -> usize {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    if at(i + 1) == '\\' {
        let mut j = i + 3;
        while j < chars.len() && at(j) != '\'' {
            j += 1;
        }
        return (j + 1).min(chars.len());
    }
    if at(i + 2) == '\'' {
        return i + 3;
    }
    // A lifetime is skipped with its name, so that `'crate` is not a path.
    let mut j = i + 1;
    while at(j) == '_' || at(j).is_alphanumeric() {
        j += 1;
    }
    j
}
