//! Pages of a list, and their tokens.

use super::fault::ApiError;

/// A page of results.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_token: Option<String>,
}

/// Returns the page of `items` that starts at `token`, with at most `size` items. A token is bound to its
/// `action`.
pub(super) fn page<T>(
    action: &str,
    items: Vec<T>,
    size: usize,
    token: Option<&str>,
) -> Result<Page<T>, ApiError> {
    let start = match token {
        None => 0,
        Some(token) => parse(action, token)
            .filter(|start| *start < items.len().max(1))
            .ok_or_else(|| ApiError::new(400, "InvalidNextToken", "The specified token is not valid."))?,
    };
    let total = items.len();
    let items: Vec<T> = items.into_iter().skip(start).take(size).collect();
    let end = start + items.len();
    Ok(Page { items, next_token: (end < total).then(|| write(action, end)) })
}

/// Parses `MaxResults` within `range`; the default is its end.
pub(super) fn max_results(
    text: Option<&str>,
    range: std::ops::RangeInclusive<usize>,
) -> Result<usize, ApiError> {
    let Some(text) = text else { return Ok(*range.end()) };
    text.parse().ok().filter(|count| range.contains(count)).ok_or_else(|| {
        let message = format!(
            "Value ( {} ) for parameter maxResults is invalid. Expecting a value between {} and {}.",
            text.chars().take(20).collect::<String>(),
            range.start(),
            range.end()
        );
        ApiError::new(400, "InvalidMaxResults", message)
    })
}

/// Writes a token that does not look like a number.
fn write(action: &str, start: usize) -> String {
    format!("{action}:{start}").bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(action: &str, token: &str) -> Option<usize> {
    if token.len() > 200 || !token.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..token.len()).step_by(2).map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok()).collect();
    let text = String::from_utf8(bytes?).ok()?;
    let (of, start) = text.split_once(':')?;
    (of == action).then(|| start.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_list_once() {
        let all: Vec<u32> = (0..7).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let page = page("A", all.clone(), 3, token.as_deref()).unwrap();
            seen.extend(page.items);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        for bad in ["", "zz", "41", &write("B", 3), &write("A", 7), "é", "4"] {
            assert!(page("A", all.clone(), 3, Some(bad)).is_err(), "{bad}");
        }
        assert!(max_results(Some("0"), 1..=50).is_err());
        assert!(max_results(Some("51"), 1..=50).is_err());
        assert_eq!(max_results(None, 1..=50), Ok(50));
    }
}
