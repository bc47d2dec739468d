//! The handshake: the bytes of the head, and the responses of fixtures/handshake.

#![allow(clippy::unwrap_used, reason = "a broken set-up ends the test")]

use eice_proto::handshake::{Handshake, MAX_BODY, RejectionCode, RejectionKind, Upgrade, classify};
use eice_proto::{Credentials, PresignedUrl, Timestamp, TunnelRequest};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    name: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    #[serde(default)]
    accepted: bool,
    fault: Option<String>,
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    #[serde(default)]
    about_time: bool,
}

fn url(authority: &str) -> PresignedUrl {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("the-token".into()));
    let endpoint = "eice-1".parse().unwrap();
    let request = TunnelRequest::new(authority.parse().unwrap(), endpoint, [10, 0, 0, 1].into());
    request.presign(&credentials, "eu-west-1", Timestamp::from_unix(1_785_326_400), Some(60))
}

/// Returns the upgrade with the key of RFC 6455, section 1.3.
fn upgrade() -> Upgrade {
    Upgrade::new(&url("eice-1.example.com"), *b"the sample nonce", "eice/0.1")
}

#[test]
fn head_matches_aws_cli() {
    let url = url("127.0.0.1:9443");
    let upgrade = Upgrade::new(&url, *b"the sample nonce", "eice/0.1\r\nX-Evil: 1");
    let head = std::str::from_utf8(upgrade.head()).unwrap();
    let expected = [
        &format!("GET {} HTTP/1.1", url.path_and_query()),
        "Host: 127.0.0.1:9443",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "User-Agent: eice/0.1X-Evil: 1",
        "",
        "",
    ];
    assert_eq!(head.split("\r\n").collect::<Vec<_>>(), expected);
    assert!(!format!("{upgrade:?}").contains("Signature"), "the head is redacted");
}

#[test]
fn each_fixture_response_is_classified() {
    let text = std::fs::read_to_string("../fixtures/handshake/responses.json").unwrap();
    let responses: Vec<Response> = serde_json::from_str(&text).unwrap();
    assert!(responses.len() >= 20);
    for expected in responses {
        let name = &expected.name;
        let got = upgrade().conclude(expected.status, &expected.headers, expected.body.as_bytes());
        match got {
            Err(fault) => assert_eq!(Some(fault.to_string()), expected.fault, "{name}"),
            Ok(Handshake::Accepted { request_id, .. }) => {
                assert!(expected.accepted && expected.fault.is_none(), "{name}");
                assert_eq!(request_id, expected.request_id, "{name}");
            }
            Ok(Handshake::Rejected(rejection)) => {
                assert_eq!(Some(format!("{:?}", rejection.kind())), expected.kind, "{name}");
                assert_eq!(rejection.code, expected.code, "{name}");
                assert_eq!(Some(rejection.message.clone()), expected.message, "{name}");
                assert_eq!(rejection.request_id, expected.request_id, "{name}");
                assert_eq!(rejection.is_about_time(), expected.about_time, "{name}");
                assert_eq!(rejection.status, expected.status, "{name}");
                assert!(!rejection.to_string().contains(char::is_control), "{name}");
            }
        }
    }
}

#[test]
fn huge_body_is_truncated() {
    let none: [(&str, &str); 0] = [];
    for body in [vec![b'x'; MAX_BODY * 2], vec![0xff; MAX_BODY], vec![b'['; MAX_BODY], vec![b' '; MAX_BODY]] {
        let Handshake::Rejected(rejection) = classify(500, &none, &body) else { panic!("accepted") };
        assert!(rejection.message.chars().count() <= 1024);
    }
}

#[test]
fn rejection_round_trips() {
    for (code, kind) in [
        (RejectionCode::InvalidParameter, RejectionKind::InvalidParameter),
        (RejectionCode::AccessDenied, RejectionKind::Denied),
        (RejectionCode::NotFound, RejectionKind::NotFound),
        (RejectionCode::Throttled, RejectionKind::Throttled),
        (RejectionCode::Internal, RejectionKind::Service),
        (RejectionCode::Unavailable, RejectionKind::Service),
    ] {
        let body = code.body("say \"when\"");
        assert!(body.starts_with("{\"ErrorCode\":\"") && body.contains("\",\"Message\":\""), "{body}");
        let headers = [("x-amzn-RequestId", "r")];
        let Handshake::Rejected(rejection) = classify(code.status(), &headers, body.as_bytes()) else {
            panic!("accepted")
        };
        assert_eq!((rejection.kind(), rejection.message.as_str()), (kind, "say \"when\""));
        assert_eq!(rejection.code.as_deref(), Some(code.code()));
    }
}
