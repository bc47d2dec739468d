//! Python behavior that is visible to users: quoting, number parsing and close matches.

/// Returns Python's `repr()` of a string.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Parses like Python's `int()`: surrounding white space, a sign and single underscores between digits are allowed.
///
/// # Errors
/// Python's message, also for numbers outside of `i64`.
pub(super) fn int(text: &str) -> Result<i64, String> {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let is_number = !digits.is_empty()
        && digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let number = is_number.then(|| trimmed.replace('_', "").parse().ok()).flatten();
    number.ok_or_else(|| format!("invalid literal for int() with base 10: {}", repr(text)))
}

/// Returns the three closest words, closest first, like `difflib.get_close_matches` with aws-cli's cutoff.
pub(super) fn close_matches<'a>(word: &str, choices: &[&'a str]) -> Vec<&'a str> {
    const CUTOFF: f64 = 0.8;
    const MOST: usize = 3;
    /// The comparison takes quadratic time; nobody types longer words.
    const MAX_LEN: usize = 100;
    if word.chars().count() > MAX_LEN {
        return Vec::new();
    }
    let mut near: Vec<(f64, &str)> =
        choices.iter().map(|&choice| (ratio(choice, word), choice)).filter(|(r, _)| *r >= CUTOFF).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(a.1)));
    near.into_iter().take(MOST).map(|(_, choice)| choice).collect()
}

/// Returns the similarity of two words, from 0 to 1 (Ratcliff and Obershelp: twice the matching characters over
/// all).
fn ratio(a: &str, b: &str) -> f64 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let all = a.len() + b.len();
    if all == 0 {
        return 1.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "lengths of words")]
    let ratio = 2.0 * matching(&a, &b) as f64 / all as f64;
    ratio
}

/// Counts the characters of the longest common run, and recursively of the parts left and right of it.
fn matching(a: &[char], b: &[char]) -> usize {
    let (mut at_a, mut at_b, mut longest) = (0, 0, 0);
    for i in 0..a.len() {
        for j in 0..b.len() {
            let run = a.iter().skip(i).zip(b.iter().skip(j)).take_while(|(x, y)| x == y).count();
            if run > longest {
                (at_a, at_b, longest) = (i, j, run);
            }
        }
    }
    if longest == 0 {
        return 0;
    }
    let (left_a, rest_a) = a.split_at(at_a);
    let (left_b, rest_b) = b.split_at(at_b);
    let (right_a, right_b) = (rest_a.split_at(longest).1, rest_b.split_at(longest).1);
    longest + matching(left_a, left_b) + matching(right_a, right_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_matches_python() {
        assert_eq!(repr("abc"), "'abc'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("'\"\n\u{1}"), "'\\'\"\\n\\x01'");
    }

    #[test]
    fn int_matches_python() {
        for (text, number) in [("22", 22), (" 22\n", 22), ("+2_2", 22), ("-1", -1), ("007", 7)] {
            assert_eq!(int(text), Ok(number), "{text:?}");
        }
        for text in ["", "x", "1.0", "1__0", "_1", "0x10", "- 1", "99999999999999999999"] {
            assert_eq!(
                int(text).unwrap_err(),
                format!("invalid literal for int() with base 10: {}", repr(text))
            );
        }
    }

    #[test]
    fn close_matches_share_most_characters() {
        let choices = ["open-tunnel", "ssh", "send-ssh-public-key"];
        assert_eq!(close_matches("open-tunne", &choices), ["open-tunnel"]);
        assert_eq!(close_matches("sendsshpublickey", &choices), ["send-ssh-public-key"]);
        assert!(close_matches("s3", &choices).is_empty());
        assert!(close_matches(&"s".repeat(101), &choices).is_empty());
        assert!((ratio("abcd", "bcde") - 0.75).abs() < 1e-9);
    }
}
