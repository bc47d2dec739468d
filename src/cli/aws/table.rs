//! Tables (`awscli/table.py`): a title, columns that fill the width, and one row per line; transposed if they would
//! be wider than the terminal.

use std::io;

use super::value::{Value, sorted};
use crate::cli::raw;

/// The width without a terminal.
const DEFAULT_WIDTH: usize = 80;
/// The padding of each cell.
const PADDING: usize = 4;

/// Writes `value` as a table with `title`.
pub(super) fn render(title: &str, value: &Value, color: bool, out: &mut String) {
    let mut sections = Vec::new();
    if !build(&mut sections, Some(title), value, 0) {
        return;
    }
    let terminal = raw::size(io::stdout()).map_or(DEFAULT_WIDTH, |size| usize::from(size.cols()));
    write(sections, terminal, color, out);
}

#[derive(Debug, Default)]
struct Section {
    title: String,
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
    depth: usize,
}

/// Adds the sections of `value`; returns false if it is empty.
fn build(sections: &mut Vec<Section>, title: Option<&str>, value: &Value, depth: usize) -> bool {
    if value.is_empty() {
        return false;
    }
    if let Some(title) = title {
        sections.push(Section { title: title.to_owned(), depth, ..Section::default() });
    }
    match value {
        Value::Map(entries) => {
            let (scalars, rest) = sorted(entries);
            if let Some(section) = sections.last_mut() {
                match scalars.as_slice() {
                    [] => {}
                    [(key, value)] => section.rows.push(row([*key, value.scalar().unwrap_or_default()])),
                    several => {
                        section.headers = row(several.iter().map(|(key, _)| *key));
                        section.rows.push(row(several.iter().filter_map(|(_, value)| value.scalar())));
                    }
                }
            }
            for (key, value) in rest {
                build(sections, Some(key), value, depth + 1);
            }
        }
        Value::List(items) => {
            for item in items {
                let cells = match item {
                    Value::List(cells) if cells.iter().all(Value::is_scalar) => {
                        row(cells.iter().filter_map(Value::scalar))
                    }
                    scalar if scalar.is_scalar() => row(scalar.scalar()),
                    deeper => {
                        build(sections, title, deeper, depth);
                        continue;
                    }
                };
                if let Some(section) = sections.last_mut() {
                    section.rows.push(cells);
                }
            }
        }
        _ => {}
    }
    true
}

fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}

fn len(text: &str) -> usize {
    text.chars().count()
}

impl Section {
    /// Returns the width of each column's widest cell.
    fn columns(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for line in std::iter::once(&self.headers).chain(&self.rows) {
            for (n, cell) in line.iter().enumerate() {
                match widths.get_mut(n) {
                    Some(width) => *width = (*width).max(len(cell)),
                    None => widths.push(len(cell)),
                }
            }
        }
        widths
    }

    fn width(&self) -> usize {
        let cells: usize = self.columns().iter().map(|width| width + PADDING).sum();
        (len(&self.title) + 2 + 2 * self.depth).max(cells + 2 + 2 * self.depth)
    }

    /// Returns the column widths scaled to `width`.
    fn stretched(&self, width: usize) -> Vec<usize> {
        let columns: Vec<usize> = self.columns().iter().map(|width| width + PADDING).collect();
        let sum: usize = columns.iter().sum();
        if sum == 0 {
            return columns;
        }
        // Halves round to even, as in Python.
        let scale = |cells: usize| {
            let (whole, rest) = (cells * width / sum, cells * width % sum);
            whole + usize::from(rest * 2 > sum || (rest * 2 == sum && whole % 2 == 1))
        };
        let mut columns: Vec<usize> = columns.into_iter().map(scale).collect();
        loop {
            let total: usize = columns.iter().sum();
            let count = columns.len();
            let off = total.abs_diff(width).min(count);
            if off == 0 {
                return columns;
            }
            if total > width {
                columns.iter_mut().take(off).for_each(|column| *column = column.saturating_sub(1));
            } else {
                columns.iter_mut().rev().take(off).for_each(|column| *column += 1);
            }
        }
    }

    /// Transposes a single row into rows of key and value.
    fn transposed(self) -> Self {
        match self.rows.as_slice() {
            [only] if !self.headers.is_empty() => {
                let pairs = self.headers.iter().zip(only);
                let rows = pairs.map(|(key, value)| vec![key.clone(), value.clone()]).collect();
                Self { rows, headers: Vec::new(), ..self }
            }
            _ => self,
        }
    }
}

fn write(mut sections: Vec<Section>, terminal: usize, color: bool, out: &mut String) {
    let widest = |sections: &[Section]| sections.iter().map(Section::width).max().unwrap_or_default();
    let mut width = widest(&sections);
    if width > terminal {
        sections = sections.into_iter().map(Section::transposed).collect();
        width = widest(&sections);
    }
    out.push_str(&"-".repeat(width));
    out.push('\n');
    for section in &sections {
        let bar = if color { "\u{1b}[2m\u{1b}[33m|\u{1b}[0m" } else { "|" }.repeat(section.depth);
        let mut line = |text: &str| {
            out.push_str(&bar);
            out.push_str(text);
            out.push_str(&bar);
            out.push('\n');
        };
        let width = width - 2 * section.depth;
        if !section.title.is_empty() {
            line(&centered(&section.title, width, "|"));
            if section.headers.is_empty() && section.rows.is_empty() {
                line(&format!("+{}+", "-".repeat(width.saturating_sub(2))));
            }
        }
        let columns = section.stretched(width);
        let rule = || {
            let mut rule = String::from("+");
            for (n, column) in columns.iter().enumerate() {
                rule.push_str(&"-".repeat(column.saturating_sub(if n == 0 { 2 } else { 1 })));
                rule.push('+');
            }
            rule
        };
        if !section.headers.is_empty() {
            line(&rule());
            let cells = columns.iter().zip(&section.headers).enumerate();
            let cells = cells.map(|(n, (width, cell))| centered(cell, *width, if n == 0 { "|" } else { "" }));
            line(&cells.collect::<String>());
        }
        if !section.rows.is_empty() {
            line(&rule());
            for row in &section.rows {
                let cells = columns.iter().zip(row).enumerate();
                let cells = cells.map(|(n, (width, cell))| left(cell, *width, n == 0, color));
                line(&cells.collect::<String>());
            }
            line(&rule());
        }
    }
}

fn centered(text: &str, width: usize, edge: &str) -> String {
    let before = (width / 2).saturating_sub(len(text) / 2 + 1);
    let after = width.saturating_sub(1 + edge.len() + before + len(text));
    format!("{edge}{}{text}{}|", " ".repeat(before), " ".repeat(after))
}

fn left(text: &str, width: usize, is_first: bool, color: bool) -> String {
    let edge = if is_first { "|" } else { "" };
    let padding = if width > len(text) + 2 + edge.len() { 2 } else { 0 };
    let after = width.saturating_sub(edge.len() + padding + len(text) + 1);
    let (on, off) = if color { ("\u{1b}[1m\u{1b}[34m", "\u{1b}[0m") } else { ("", "") };
    format!("{edge}{}{on}{text}{off}{}|", " ".repeat(padding), " ".repeat(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn table(value: &Value, terminal: usize) -> String {
        let (mut sections, mut out) = (Vec::new(), String::new());
        build(&mut sections, Some("GetCallerIdentity"), value, 0);
        write(sections, terminal, false, &mut out);
        out
    }

    /// The expected tables are from aws-cli 2.36.7.
    #[test]
    fn wide_table_is_transposed() {
        let identity = Value::Map(vec![
            ("UserId".into(), t("AIDAF5E349073AEBF74DX")),
            ("Account".into(), t("123456789012")),
            ("Arn".into(), t("arn:aws:iam::123456789012:user/developer")),
        ]);
        let transposed = "\
---------------------------------------------------------
|                   GetCallerIdentity                   |
+---------+---------------------------------------------+
|  Account|  123456789012                               |
|  Arn    |  arn:aws:iam::123456789012:user/developer   |
|  UserId |  AIDAF5E349073AEBF74DX                      |
+---------+---------------------------------------------+
";
        assert_eq!(table(&identity, 80), transposed);
        let one = Value::Map(vec![("a".into(), t("123456789012"))]);
        let expected = "\
-----------------------
|  GetCallerIdentity  |
+---+-----------------+
|  a|  123456789012   |
+---+-----------------+
";
        assert_eq!(table(&one, 80), expected);
        let pair = Value::List(vec![t("123456789012"), t("arn:aws:iam::123456789012:user/developer")]);
        let expected = "\
----------------------------------------------
|              GetCallerIdentity             |
+--------------------------------------------+
|  123456789012                              |
|  arn:aws:iam::123456789012:user/developer  |
+--------------------------------------------+
";
        assert_eq!(table(&pair, 80), expected);
        let scalar = "-------------------\n|GetCallerIdentity|\n+-----------------+\n";
        assert_eq!(table(&t("123456789012"), 80), scalar);
        let inner = Value::Map(vec![
            ("y".into(), t("arn:aws:iam::123456789012:user/developer")),
            ("x".into(), t("123456789012")),
        ]);
        let deep = Value::Map(vec![("b".into(), inner), ("a".into(), t("AIDAF5E349073AEBF74DX"))]);
        let expected = "\
----------------------------------------------------------------
|                       GetCallerIdentity                      |
+---------+----------------------------------------------------+
|  a      |  AIDAF5E349073AEBF74DX                             |
+---------+----------------------------------------------------+
||                              b                             ||
|+---------------+--------------------------------------------+|
||       x       |                     y                      ||
|+---------------+--------------------------------------------+|
||  123456789012 |  arn:aws:iam::123456789012:user/developer  ||
|+---------------+--------------------------------------------+|
";
        assert_eq!(table(&deep, 80), expected);
        let mut nothing = String::new();
        render("GetCallerIdentity", &Value::Null, false, &mut nothing);
        assert_eq!(nothing, "");
        let wide = table(&identity, 200);
        assert_eq!(wide.lines().count(), 7, "{wide}");
        assert!(wide.lines().all(|line| len(line) == len(wide.lines().next().unwrap())), "{wide}");
    }
}
