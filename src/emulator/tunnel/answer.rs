//! The answer to the upgrade, and the ways in which it can go wrong.

use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::admit::Refused;
use crate::emulator::faults::{Refusal, UpgradeFault};

/// The head of the 101: neither an extension nor a subprotocol, for aws-cli fails on either.
pub(super) fn switching(key: &str, request_id: &str, fault: Option<&UpgradeFault>) -> String {
    let mut head =
        String::from("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    match fault {
        Some(UpgradeFault::NoAccept) => {}
        Some(UpgradeFault::WrongAccept) => {
            head.push_str("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n")
        }
        _ => head.push_str(&format!("Sec-WebSocket-Accept: {}\r\n", derive_accept_key(key.as_bytes()))),
    }
    match fault {
        Some(UpgradeFault::Extension) => head.push_str("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        Some(UpgradeFault::Subprotocol) => head.push_str("Sec-WebSocket-Protocol: surprise\r\n"),
        _ => {}
    }
    head.push_str(&format!("x-amzn-RequestId: {request_id}\r\n\r\n"));
    head
}

/// The answer of an upgrade that is refused: a JSON object with exactly `ErrorCode` and `Message`.
pub(super) fn refused(refused: &Refused, request_id: &str) -> String {
    let body = json!({ "ErrorCode": refused.code, "Message": refused.message }).to_string();
    write(refused.status, &body, true, request_id)
}

/// The answer that the knob prescribes.
pub(super) fn prescribed(refusal: &Refusal, request_id: &str) -> String {
    write(refusal.status, &refusal.body, refusal.content_length, request_id)
}

fn write(status: u16, body: &str, content_length: bool, request_id: &str) -> String {
    let reason = axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
    text.push_str("Content-Type: application/json\r\n");
    if content_length {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str(&format!("Connection: close\r\nx-amzn-RequestId: {request_id}\r\n\r\n{body}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_101_answers_the_key_of_the_rfc() {
        let head = switching("dGhlIHNhbXBsZSBub25jZQ==", "id", None);
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!head.contains("Extensions") && !head.contains("Protocol:"));
        assert!(head.ends_with("x-amzn-RequestId: id\r\n\r\n"));
    }

    #[test]
    fn a_refusal_reads_as_aws_writes_it() {
        let text = refused(&Refused::new(400, "InvalidParameter", "no"), "id");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.ends_with("\r\n\r\n{\"ErrorCode\":\"InvalidParameter\",\"Message\":\"no\"}"));
        assert!(text.contains("Content-Length: 47\r\n"), "{text}");
    }
}
