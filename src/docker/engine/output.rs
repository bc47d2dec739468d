//! Reads the output of an exec with backpressure.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, ReadHalf};

use super::attach::Attached;
use crate::model::TerminalEvent;

/// The read buffer, in bytes.
const READ_SIZE: usize = 16 << 10;

/// The length of a frame's header, in bytes (Engine API, "Attach to a container", stream format).
const HEADER: usize = 8;

/// The reading half of an exec's streams.
pub(super) struct ExecReader {
    read: ReadHalf<Attached>,
    decoder: Decoder,
    /// Returned again before anything else.
    unread: Option<TerminalEvent>,
}

impl ExecReader {
    /// Returns a reader of a PTY's output, or of frames of stdout and stderr.
    pub(super) fn new(read: ReadHalf<Attached>, tty: bool) -> Self {
        Self { read, decoder: Decoder::new(tty), unread: None }
    }

    /// Returns the next bytes; `None` at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<TerminalEvent>> {
        if let Some(event) = self.unread.take() {
            return Ok(Some(event));
        }
        loop {
            if let Some(event) = self.decoder.take()? {
                return Ok(Some(event));
            }
            self.decoder.buffer.reserve(READ_SIZE);
            if self.read.read_buf(&mut self.decoder.buffer).await? == 0 {
                return self.decoder.end().map(|()| None);
            }
        }
    }

    /// Makes `event` the next one to be returned.
    pub(super) fn unread(&mut self, event: TerminalEvent) {
        self.unread = Some(event);
    }

    /// Skips `echo` if the output begins with it.
    pub(super) fn skip_echo(&mut self, echo: &'static [u8]) {
        if let Format::Raw { echo: skipped } = &mut self.decoder.format {
            *skipped = echo;
        }
    }
}

/// Decodes bytes to events. A frame is passed on in pieces as it arrives, so its length is never buffered.
struct Decoder {
    buffer: BytesMut,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    /// The raw output of a PTY.
    Raw {
        /// The echo to skip.
        echo: &'static [u8],
    },
    /// Frames of two streams.
    Frames {
        /// Whether the current frame is stderr.
        stderr: bool,
        /// The number of its bytes that are still to come.
        left: usize,
    },
}

impl Decoder {
    fn new(tty: bool) -> Self {
        let format = if tty { Format::Raw { echo: b"" } } else { Format::Frames { stderr: false, left: 0 } };
        Self { buffer: BytesMut::new(), format }
    }

    /// Returns the next event from the buffer.
    fn take(&mut self) -> io::Result<Option<TerminalEvent>> {
        match &mut self.format {
            Format::Raw { echo } => {
                while let (Some(expected), Some(came)) = (echo.first(), self.buffer.first()) {
                    if expected == came {
                        self.buffer.advance(1);
                        *echo = &echo[1..];
                    } else {
                        *echo = b"";
                    }
                }
                let is_empty = self.buffer.is_empty();
                Ok((!is_empty).then(|| TerminalEvent::Output(self.buffer.split().freeze())))
            }
            Format::Frames { stderr, left } => {
                while *left == 0 {
                    let Some((header, _)) = self.buffer.split_first_chunk::<HEADER>() else {
                        return Ok(None);
                    };
                    let [stream, _, _, _, length @ ..] = *header;
                    *stderr = match stream {
                        0 | 1 => false,
                        // Stream 3 carries the engine's own errors.
                        2 | 3 => true,
                        other => {
                            let message = format!("the Docker engine sent a frame of unknown stream {other}");
                            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                        }
                    };
                    *left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                    self.buffer.advance(HEADER);
                }
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let piece = self.buffer.split_to(self.buffer.len().min(*left)).freeze();
                *left -= piece.len();
                Ok(Some(if *stderr { TerminalEvent::Stderr(piece) } else { TerminalEvent::Output(piece) }))
            }
        }
    }

    /// Handles the end of the output.
    fn end(&self) -> io::Result<()> {
        match self.format {
            Format::Frames { left, .. } if left > 0 || !self.buffer.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the Docker engine closed the connection within a frame",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn decoded(decoder: &mut Decoder, bytes: &[u8]) -> io::Result<Vec<TerminalEvent>> {
        decoder.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = decoder.take()? {
            events.push(event);
        }
        Ok(events)
    }

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, data].concat()
    }

    #[test]
    fn pty_output_passes_unchanged() {
        let mut decoder = Decoder::new(true);
        for bytes in [&[0_u8, 1, 2][..], &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 9], b"\r\n"] {
            let events = decoded(&mut decoder, bytes).unwrap();
            assert_eq!(events, [TerminalEvent::Output(Bytes::copy_from_slice(bytes))]);
        }
        assert!(decoder.end().is_ok());
    }

    #[test]
    fn echo_is_skipped_once_at_the_start() {
        let out = |text: &'static [u8]| TerminalEvent::Output(Bytes::from_static(text));
        for (pieces, expected) in [
            (&[&b"\r"[..], b"\n$ \r\n"][..], &[out(b"$ \r\n")][..]),
            (&[b"\r\n", b"\r\n"], &[out(b"\r\n")]),
            (&[b"$ \r\n"], &[out(b"$ \r\n")]),
        ] {
            let mut decoder = Decoder::new(true);
            decoder.format = Format::Raw { echo: b"\r\n" };
            let events: Vec<_> =
                pieces.iter().flat_map(|piece| decoded(&mut decoder, piece).unwrap()).collect();
            assert_eq!(events, expected);
        }
    }

    #[test]
    fn partial_frame_is_an_error() {
        let mut decoder = Decoder::new(false);
        assert_eq!(decoded(&mut decoder, b"OCI runtime").unwrap_err().kind(), io::ErrorKind::InvalidData);
        for half in [&frame(1, b"abc")[..10], &[1, 0, 0][..]] {
            let mut decoder = Decoder::new(false);
            decoded(&mut decoder, half).unwrap();
            assert_eq!(decoder.end().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        // A huge announced length must not be allocated.
        let mut decoder = Decoder::new(false);
        let events = decoded(&mut decoder, &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, b'x']).unwrap();
        assert_eq!(events, [TerminalEvent::Output(Bytes::from_static(b"x"))]);
    }

    proptest! {
        #[test]
        fn frames_decode_across_any_chunking(
            frames in proptest::collection::vec((1_u8..=2, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 1_usize..50,
        ) {
            let mut decoder = Decoder::new(false);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let wire: Vec<u8> = frames.iter().flat_map(|(stream, data)| frame(*stream, data)).collect();
            for piece in wire.chunks(cut) {
                for event in decoded(&mut decoder, piece).unwrap() {
                    match event {
                        TerminalEvent::Output(data) => out.extend_from_slice(&data),
                        TerminalEvent::Stderr(data) => err.extend_from_slice(&data),
                        other => panic!("{other:?}"),
                    }
                }
            }
            prop_assert!(decoder.end().is_ok());
            let of = |stream| -> Vec<u8> {
                frames.iter().filter(|frame| frame.0 == stream).flat_map(|frame| frame.1.clone()).collect()
            };
            prop_assert_eq!(out, of(1));
            prop_assert_eq!(err, of(2));
        }
    }
}
