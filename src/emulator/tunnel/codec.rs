//! WebSocket frames as bytes (RFC 6455, section 5.2) for the server: incoming frames are masked, outgoing ones
//! are not.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use eice_proto::tunnel::{Frame, Opcode};

/// The longest accepted payload of one frame. aws-cli sends at most 65,000 bytes.
const MAX_PAYLOAD: u64 = 1024 * 1024;

/// An invalid frame, with the code to close with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadFrame {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

/// Takes the next complete frame out of `buffer`; `None` when it is incomplete.
pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, BadFrame> {
    let bad = |reason| Err(BadFrame { code: 1002, reason });
    let [first, second, rest @ ..] = &buffer[..] else { return Ok(None) };
    let (first, second) = (*first, *second);
    if first & 0x70 != 0 {
        return bad("reserved bits are set");
    }
    if second & 0x80 == 0 {
        return bad("a client's frames must be masked");
    }
    let Some(opcode) = opcode_of(first & 0x0f) else { return bad("unknown opcode") };
    let (wide, length) = match second & 0x7f {
        126 => match rest {
            [a, b, ..] => (2, u64::from(u16::from_be_bytes([*a, *b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (8, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        short => (0, u64::from(short)),
    };
    if length > MAX_PAYLOAD {
        return Err(BadFrame { code: 1009, reason: "the frame is too long" });
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(mask) = rest.get(wide..).and_then(|rest| rest.first_chunk::<4>()).copied() else {
        return Ok(None);
    };
    let head = 2 + wide + 4;
    if buffer.len() < head + length {
        // Reserve all of it at once instead of growing repeatedly.
        buffer.reserve(head + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(head);
    let mut payload = buffer.split_to(length);
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(Some(Frame { fin: first & 0x80 != 0, opcode, payload: payload.freeze() }))
}

/// Appends `frame` to `out`, unmasked.
pub(super) fn encode(frame: &Frame, out: &mut BytesMut) {
    head(number_of(frame.opcode) | if frame.fin { 0x80 } else { 0 }, 0, frame.payload.len() as u64, out);
    out.put_slice(&frame.payload);
}

/// Appends a frame's first bytes.
fn head(first: u8, mask_bit: u8, length: u64, out: &mut BytesMut) {
    out.put_u8(first);
    match length {
        0..=125 => out.put_u8(mask_bit | u8::try_from(length).unwrap_or(0)),
        126..=0xffff => {
            out.put_u8(mask_bit | 126);
            out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
        }
        _ => {
            out.put_u8(mask_bit | 127);
            out.put_u64(length);
        }
    }
}

/// Appends a header that claims `length` bytes, and `payload`.
pub(super) fn claim(length: u64, payload: &[u8], out: &mut BytesMut) {
    head(0x82, 0, length, out);
    out.put_slice(payload);
}

/// Appends a masked BINARY frame, which a server must not send.
pub(super) fn masked(payload: &[u8], out: &mut BytesMut) {
    head(0x82, 0x80, payload.len() as u64, out);
    out.put_slice(&[0; 4]);
    out.put_slice(payload);
}

/// Appends a data frame in three fragments with a PING between them.
pub(super) fn fragmented(payload: &Bytes, out: &mut BytesMut) {
    let third = payload.len() / 3;
    let pieces = [payload.slice(..third), payload.slice(third..2 * third), payload.slice(2 * third..)];
    for (at, piece) in pieces.into_iter().enumerate() {
        let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
        encode(&Frame { fin: at == 2, opcode, payload: piece }, out);
        if at < 2 {
            encode(&Frame::new(Opcode::Ping, Bytes::from_static(b"between")), out);
        }
    }
}

fn opcode_of(number: u8) -> Option<Opcode> {
    Some(match number {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return None,
    })
}

fn number_of(opcode: Opcode) -> u8 {
    match opcode {
        Opcode::Continuation => 0,
        Opcode::Text => 1,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
        // `Opcode` is non-exhaustive; only data frames are created here otherwise.
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a client's frame, masked with a non-zero key.
    fn client(first: u8, payload: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        head(first, 0x80, payload.len() as u64, &mut bytes);
        let key = [0x37, 0xfa, 0x21, 0x3d];
        bytes.put_slice(&key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    #[test]
    fn frames_of_every_length_decode() {
        for length in [0, 1, 125, 126, 65_000, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let whole = client(0x82, &payload);
            let mut buffer = BytesMut::new();
            for byte in whole.iter().take(whole.len() - 1) {
                buffer.put_u8(*byte);
                if buffer.len() < 20 {
                    assert_eq!(decode(&mut buffer), Ok(None));
                }
            }
            assert_eq!(decode(&mut buffer), Ok(None));
            buffer.put_u8(whole[whole.len() - 1]);
            let frame = decode(&mut buffer).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.fin, &frame.payload[..]), (Opcode::Binary, true, &payload[..]));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn illegal_frame_is_rejected() {
        let code = |bytes: &[u8]| decode(&mut BytesMut::from(bytes)).unwrap_err().code;
        assert_eq!(code(&[0x82, 0x00]), 1002, "unmasked");
        assert_eq!(code(&[0xc2, 0x80]), 1002, "reserved bit");
        assert_eq!(code(&[0x83, 0x80]), 1002, "unknown opcode");
        assert_eq!(code(&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0]), 1009, "2^40 bytes");
    }

    #[test]
    fn fragmented_splits_in_three() {
        let mut out = BytesMut::new();
        fragmented(&Bytes::from_static(b"ABCD"), &mut out);
        assert_eq!(&out[..], b"\x02\x01A\x89\x07between\x00\x01B\x89\x07between\x80\x02CD",);
    }
}
