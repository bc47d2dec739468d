//! What the client and server examples share: one request or response head, and a blocking pump of a tunnel.

use std::error::Error;
use std::io::{Read, Write};
use std::time::Instant;

use eice_proto::tunnel::{Frame, Opcode, Tunnel};
use tungstenite::{Message, WebSocket};

/// The credentials of both examples, and the region that they sign for.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const REGION: &str = "eu-west-1";

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// The first line of a request or response, and its headers.
type Head = (String, Vec<(String, String)>);

/// Reads a head byte by byte, so that no later byte is consumed.
pub(crate) fn read_head(stream: &mut impl Read) -> Result<Head, Box<dyn Error>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err("the head is too long".into());
        }
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head)?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    Ok((first, headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()))
}

/// Sends what the tunnel has to send.
pub(crate) fn transmit<S: Read + Write>(
    tunnel: &mut Tunnel,
    socket: &mut WebSocket<S>,
) -> tungstenite::Result<()> {
    while let Some(frame) = tunnel.poll_transmit() {
        let message = match frame.opcode {
            Opcode::Close => {
                // The codec may have replied to the peer's CLOSE already; it flushes what is left.
                let _ = socket.close(None);
                continue;
            }
            Opcode::Ping => Message::Ping(frame.payload),
            Opcode::Pong => Message::Pong(frame.payload),
            _ => Message::Binary(frame.payload),
        };
        socket.send(message)?;
    }
    Ok(())
}

/// Waits for one message and hands it to the tunnel.
pub(crate) fn receive<S: Read + Write>(tunnel: &mut Tunnel, socket: &mut WebSocket<S>) {
    let now = Instant::now();
    match socket.read() {
        Ok(Message::Binary(data)) => tunnel.handle_frame(Frame::new(Opcode::Binary, data), now),
        Ok(Message::Text(text)) => tunnel.handle_frame(Frame::new(Opcode::Text, text), now),
        Ok(Message::Ping(data)) => tunnel.handle_frame(Frame::new(Opcode::Ping, data), now),
        Ok(Message::Pong(data)) => tunnel.handle_frame(Frame::new(Opcode::Pong, data), now),
        Ok(Message::Close(_)) => tunnel.handle_frame(Frame::close(1000, ""), now),
        Ok(Message::Frame(_)) | Err(_) => tunnel.handle_eof(now),
    }
}
