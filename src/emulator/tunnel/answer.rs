//! The response to the upgrade, and its faults.

use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::admit::Rejected;
use crate::emulator::faults::{UpgradeFault, UpgradeRejection};

/// Returns the head of the 101, without an extension or a subprotocol, because aws-cli fails on either.
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

/// Returns the response of a rejected upgrade: a JSON object with exactly `ErrorCode` and `Message`.
pub(super) fn rejected(rejected: &Rejected, request_id: &str) -> String {
    let body = json!({ "ErrorCode": rejected.code, "Message": rejected.message }).to_string();
    write(rejected.status, &body, true, request_id)
}

/// Returns the response that the knob prescribes.
pub(super) fn prescribed(refusal: &UpgradeRejection, request_id: &str) -> String {
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
    fn switching_accepts_the_rfc_key() {
        let head = switching("dGhlIHNhbXBsZSBub25jZQ==", "id", None);
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!head.contains("Extensions") && !head.contains("Protocol:"));
        assert!(head.ends_with("x-amzn-RequestId: id\r\n\r\n"));
    }

    #[test]
    fn rejection_has_aws_format() {
        let text = rejected(&Rejected::new(400, "InvalidParameter", "no"), "id");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.ends_with("\r\n\r\n{\"ErrorCode\":\"InvalidParameter\",\"Message\":\"no\"}"));
        assert!(text.contains("Content-Length: 47\r\n"), "{text}");
    }
}
