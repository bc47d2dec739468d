//! A writer that lets no control character through.

use std::io::{self, Write};

/// Writes one event at a time, every control character but the line's own end as `\u00XX`.
///
/// The form is JSON's, so that a JSON line stays one. Each call of [`write`](Write::write) is taken for one
/// whole event, which is how `tracing_subscriber`'s formatter calls it.
#[derive(Debug)]
pub struct Escaped<W> {
    inner: W,
}

impl<W: Write> Escaped<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// What was written to.
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
    fn nothing_in_an_event_can_drive_a_terminal_or_forge_a_line() {
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
    fn a_json_line_stays_json() {
        let mut out = Escaped::new(Vec::new());
        out.write_all(b"{\"message\":\"x\xc2\x9by\"}\n").unwrap();
        let line = out.into_inner();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["message"], "x\u{9b}y");
    }
}
