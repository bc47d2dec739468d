//! Every response to an upgrade is bounded, printable, and a rejection unless it is a 101.
//!
//! The input is a status as two bytes, then header lines up to an empty one, then the body.

use eice_proto::handshake::{Handshake, MAX_BODY, classify};

pub fn run(data: &[u8]) {
    let Some((status, rest)) = data.split_at_checked(2) else { return };
    let status = u16::from_be_bytes([status[0], status[1]]);
    let head_len = rest.windows(2).position(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
    let (head, body) = rest.split_at(head_len);
    let head = String::from_utf8_lossy(head);
    let headers: Vec<(&str, &str)> = head.lines().filter_map(|line| line.split_once(':')).collect();

    match classify(status, &headers, body) {
        Handshake::Accepted { request_id, .. } => {
            assert_eq!(status, 101);
            assert!(request_id.is_none_or(|id| is_printable(&id, 128)));
        }
        Handshake::Rejected(rejection) => {
            assert_ne!(status, 101);
            assert_eq!(rejection.status, status);
            assert!(is_printable(&rejection.message, 1024));
            assert!(rejection.code.as_deref().is_none_or(|code| !code.is_empty() && is_printable(code, 128)));
            assert!(is_printable(&rejection.to_string(), 2048));
            let is_text =
                body.len() <= MAX_BODY && body.iter().any(u8::is_ascii_alphanumeric) && body[0] != b'{';
            assert!(!is_text || !rejection.message.is_empty(), "a body that says something is not lost");
            // The kind of a rejection never depends on the status alone.
            let Handshake::Rejected(other) = classify(599, &headers, body) else { panic!("accepted") };
            assert_eq!(other.kind(), rejection.kind());
        }
    }
}

fn is_printable(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars && !text.contains(char::is_control)
}
