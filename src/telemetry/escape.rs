//! A writer that escapes control characters.

use std::io::{self, Write};

/// Writes one event at a time, with every control character except the final newline as `\u00XX`.
///
/// The form is JSON's, so that a JSON line stays valid. Each call of [`write`](Write::write) must be one whole
/// event, which is how `tracing_subscriber`'s formatter calls it.
#[derive(Debug)]
pub struct Escaped<W> {
    inner: W,
}

impl<W: Write> Escaped<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Returns the inner writer.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (line, end) = match event.strip_suffix(b"\n") {
            Some(line) => (line, &b"\n"[..]),
            None => (event, &b""[..]),
        };
        let text = String::from_utf8_lossy(line);
        let mut safe = Vec::with_capacity(event.len());
        let mut buffer = [0; 4];
        for c in text.chars() {
            if c.is_control() {
                write!(safe, "\\u{:04x}", u32::from(c))?;
            } else {
                safe.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
        }
        safe.extend_from_slice(end);
        self.inner.write_all(&safe)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_cannot_control_a_terminal() {
        let mut out = Escaped::new(Vec::new());
        let event = "a\u{1b}]0;title\u{7}b\r\nfake line\tc\u{9b}31m\u{7f}\u{e9}\n";
        assert_eq!(out.write(event.as_bytes()).unwrap(), event.len());
        let written = String::from_utf8(out.into_inner()).unwrap();
        assert_eq!(
            written,
            "a\\u001b]0;title\\u0007b\\u000d\\u000afake line\\u0009c\\u009b31m\\u007f\u{e9}\n"
        );
    }

    #[test]
    fn json_line_stays_valid() {
        let mut out = Escaped::new(Vec::new());
        out.write_all(b"{\"message\":\"x\xc2\x9by\"}\n").unwrap();
        let line = out.into_inner();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["message"], "x\u{9b}y");
    }
}
