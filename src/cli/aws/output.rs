//! Output formats (`awscli/formatter.py`, `awscli/text.py`).

use super::table;
use super::value::{Value, sorted};

/// An output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    #[default]
    Json,
    Text,
    Table,
    Yaml,
    YamlStream,
    Off,
}

impl Output {
    /// Returns the format called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "text" => Self::Text,
            "table" => Self::Table,
            "yaml" => Self::Yaml,
            "yaml-stream" => Self::YamlStream,
            "off" => Self::Off,
            _ => return None,
        })
    }
}

/// Formats `value`; `title` and `color` are for tables.
pub(super) fn render(format: Output, title: &str, value: &Value, color: bool) -> String {
    let mut out = String::new();
    match format {
        Output::Off => {}
        Output::Text => text(value, None, &mut out),
        Output::Table => table::render(title, value, color, &mut out),
        // An operation without a result has an empty map, which is not printed.
        _ if matches!(value, Value::Map(entries) if entries.is_empty()) => {}
        Output::Json => {
            json(value, 0, &mut out);
            out.push('\n');
        }
        Output::Yaml => yaml_document(value, &mut out),
        Output::YamlStream => yaml_document(&Value::List(vec![value.clone()]), &mut out),
    }
    out
}

fn quoted(text: &str) -> String {
    // Serializing a string cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn json(value: &Value, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                line(out, depth + 1);
                json(item, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                line(out, depth + 1);
                out.push_str(&quoted(key));
                out.push_str(": ");
                json(value, depth + 1, out);
            }
            line(out, depth);
            out.push('}');
        }
    }
}

/// Writes tab-separated scalars; nested values follow on separate lines after their key in capitals.
fn text(value: &Value, key: Option<&str>, out: &mut String) {
    let write = |out: &mut String, cells: &[&str]| {
        out.push_str(&cells.join("\t"));
        out.push('\n');
    };
    let key_cell = key.map(str::to_uppercase);
    match value {
        Value::Map(entries) => {
            let (scalars, rest) = sorted(entries);
            if !scalars.is_empty() {
                let mut cells: Vec<&str> = key_cell.as_deref().into_iter().collect();
                cells.extend(scalars.iter().filter_map(|(_, value)| value.scalar()));
                write(out, &cells);
            }
            for (key, value) in rest {
                text(value, Some(key), out);
            }
        }
        Value::List(items) => {
            let (scalars, rest): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.is_scalar());
            let cells: Vec<&str> = scalars.iter().filter_map(|item| item.scalar()).collect();
            match key_cell.as_deref() {
                Some(key) => cells.iter().for_each(|cell| write(out, &[key, cell])),
                None if cells.is_empty() => {}
                None => write(out, &cells),
            }
            for item in rest {
                text(item, key, out);
            }
        }
        scalar => write(out, &[scalar.scalar().unwrap_or_default()]),
    }
}

/// Writes a document. A single scalar is written as JSON, as in aws-cli, to avoid YAML's `...`.
fn yaml_document(value: &Value, out: &mut String) {
    if value.is_scalar() {
        json(value, 0, out);
        out.push('\n');
    } else {
        yaml(value, 0, out);
    }
}

/// Writes block style with sorted keys. The caller has written the indentation of the first line.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = |n: usize, out: &mut String| {
        if n > 0 {
            out.push_str(&"  ".repeat(depth));
        }
    };
    match value {
        Value::List(items) if items.is_empty() => out.push_str("[]\n"),
        Value::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
        Value::List(items) => {
            for (n, item) in items.iter().enumerate() {
                indent(n, out);
                out.push_str("- ");
                yaml(item, depth + 1, out);
            }
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key);
            for (n, (key, value)) in entries.into_iter().enumerate() {
                indent(n, out);
                out.push_str(&yaml_text(key));
                out.push(':');
                match value {
                    // A list in a map is not indented further, but a map is.
                    Value::List(items) if !items.is_empty() => {
                        out.push('\n');
                        out.push_str(&"  ".repeat(depth));
                        yaml(value, depth, out);
                    }
                    Value::Map(entries) if !entries.is_empty() => {
                        out.push('\n');
                        out.push_str(&"  ".repeat(depth + 1));
                        yaml(value, depth + 1, out);
                    }
                    value => {
                        out.push(' ');
                        yaml(value, depth + 1, out);
                    }
                }
            }
        }
        Value::Null => out.push_str("null\n"),
        Value::Bool(value) => out.push_str(if *value { "true\n" } else { "false\n" }),
        Value::Text(text) => {
            out.push_str(&yaml_text(text));
            out.push('\n');
        }
    }
}

/// Formats a string as YAML 1.2: plain if that is unambiguous, else quoted.
fn yaml_text(text: &str) -> String {
    if text.chars().any(char::is_control) {
        return quoted(text);
    }
    let first_is_plain =
        text.chars().next().is_some_and(|c| c.is_alphanumeric() || "_/.$(+;<>^~".contains(c));
    let is_plain = first_is_plain
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !is_ambiguous(text);
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Returns whether YAML would parse `text` as a number, date, boolean or null.
fn is_ambiguous(text: &str) -> bool {
    let words = ["null", "Null", "NULL", "~", "true", "True", "TRUE", "false", "False", "FALSE", "=", "<<"];
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && number.chars().all(|c| c.is_ascii_hexdigit() || "._xob+-:eE".contains(c))
        && (number.parse::<f64>().is_ok()
            || number.replace('_', "").parse::<f64>().is_ok()
            || number.starts_with("0x")
            || number.starts_with("0o")
            || [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&number)
            || is_date(number));
    words.contains(&text) || is_number
}

/// Returns whether `text` is a YAML date, such as `2026-07-29`.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    matches!(parts.as_slice(), [4, 1..=2, 1..=2]) && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn identity() -> Value {
        Value::Map(vec![
            ("UserId".into(), t("AIDA")),
            ("Account".into(), t("123456789012")),
            ("Arn".into(), t("arn:aws:iam::123456789012:user/dev")),
        ])
    }

    #[test]
    fn json_keeps_order_and_indents_by_four() {
        let expected = "{\n    \"UserId\": \"AIDA\",\n    \"Account\": \"123456789012\",\n    \"Arn\": \
                        \"arn:aws:iam::123456789012:user/dev\"\n}\n";
        assert_eq!(render(Output::Json, "", &identity(), false), expected);
        let nested =
            Value::List(vec![Value::List(vec![]), Value::Map(vec![]), Value::Null, t("\u{e9}\u{1}\"")]);
        let expected = "[\n    [],\n    {},\n    null,\n    \"\u{e9}\\u0001\\\"\"\n]\n";
        assert_eq!(render(Output::Json, "", &nested, false), expected);
        assert_eq!(render(Output::Json, "", &Value::Map(vec![]), false), "");
        assert_eq!(render(Output::Off, "", &identity(), false), "");
    }

    #[test]
    fn text_is_tab_separated_by_sorted_keys() {
        let rendered = |value: &Value| render(Output::Text, "", value, false);
        assert_eq!(rendered(&identity()), "123456789012\tarn:aws:iam::123456789012:user/dev\tAIDA\n");
        assert_eq!(rendered(&Value::Null), "None\n");
        assert_eq!(rendered(&Value::List(vec![t("a"), Value::Bool(true)])), "a\tTrue\n");
        assert_eq!(rendered(&Value::List(vec![])), "");
        let deep = Value::Map(vec![("b".into(), Value::List(vec![t("x"), t("y")])), ("a".into(), t("1"))]);
        assert_eq!(rendered(&deep), "1\nB\tx\nB\ty\n");
        let lists = Value::List(vec![Value::List(vec![t("p"), t("q")]), t("s")]);
        assert_eq!(rendered(&lists), "s\np\tq\n");
    }

    #[test]
    fn yaml_quotes_ambiguous_strings() {
        let rendered = |value: &Value| render(Output::Yaml, "", value, false);
        let expected = "Account: '123456789012'\nArn: arn:aws:iam::123456789012:user/dev\nUserId: AIDA\n";
        assert_eq!(rendered(&identity()), expected);
        let stream = render(Output::YamlStream, "", &identity(), false);
        assert_eq!(
            stream,
            "- Account: '123456789012'\n  Arn: arn:aws:iam::123456789012:user/dev\n  UserId: AIDA\n"
        );
        assert_eq!(rendered(&t("lone")), "\"lone\"\n");
        for (text, written) in [
            ("2150fb30-89c4-4992-a7bf-f3fa27bb391c", "2150fb30-89c4-4992-a7bf-f3fa27bb391c"),
            ("1e5", "'1e5'"),
            ("0x1F", "'0x1F'"),
            ("2026-07-29", "'2026-07-29'"),
            ("true", "'true'"),
            ("", "''"),
            ("a: b", "'a: b'"),
            ("- x", "'- x'"),
            ("it's", "it's"),
            ("#x'", "'#x'''"),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(yaml_text(text), written, "{text:?}");
        }
        let list =
            Value::Map(vec![("k".into(), Value::List(vec![t("a"), Value::List(vec![t("b"), t("c")])]))]);
        assert_eq!(rendered(&list), "k:\n- a\n- - b\n  - c\n");
    }
}
