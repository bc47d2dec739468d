//! Each reason to reject a received request, and valid variations that must pass.

#![allow(clippy::unwrap_used, reason = "a broken set-up ends the test")]

use std::time::Duration;

use eice_proto::sigv4::{
    self, Form, Malformed, PayloadHash, ReceivedRequest, Request, Scope, ScopePart, Verified, VerifyError,
    VerifyPolicy, verify,
};
use eice_proto::{Credentials, Timestamp, TunnelRequest};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "eice-1.example.com";
const NOON: Timestamp = Timestamp::from_unix(1_785_326_400);

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET, Some("to/k+e=n".into()))
}

fn scope() -> Scope {
    Scope::new("eu-west-1", "ec2-instance-connect")
}

/// Returns the presigned target, without X-Amz-Expires.
fn target() -> String {
    let request = TunnelRequest::new(HOST.parse().unwrap(), "eice-1".parse().unwrap(), [10, 0, 0, 1].into());
    request.presign(&credentials(), "eu-west-1", NOON, None).path_and_query().to_owned()
}

fn check_at(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now: Timestamp,
) -> Result<Verified, VerifyError> {
    let request = ReceivedRequest { method, path_and_query: target, headers, payload: PayloadHash::of(body) };
    let lookup = |key: &str, token: Option<&str>| {
        (key == "AKIDEXAMPLE" && token == Some("to/k+e=n")).then_some(SECRET)
    };
    verify(&request, lookup, &scope(), now, &VerifyPolicy::default())
}

fn query(target: &str) -> Result<Verified, VerifyError> {
    check_at("GET", target, &[("host", HOST)], b"", NOON)
}

const BODY: &[u8] = b"{\"InstanceId\":\"i-1\"}";

/// Returns an API call's headers, signed.
fn headers() -> Vec<(String, String)> {
    let given = [
        ("Host", HOST),
        ("Content-Type", "application/x-amz-json-1.1"),
        ("X-Amz-Target", "S.SendSSHPublicKey"),
    ];
    let request =
        Request { method: "POST", path: "/", params: &[], headers: &given, payload: PayloadHash::of(BODY) };
    let signed = sigv4::sign(&request, &credentials(), &scope(), NOON);
    given.into_iter().chain(signed.headers()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn header(headers: &[(String, String)], body: &[u8], now: Timestamp) -> Result<Verified, VerifyError> {
    let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    check_at("POST", "/", &headers, body, now)
}

/// Returns the headers with one value replaced; an empty value removes the header.
fn with(name: &str, value: &str) -> Vec<(String, String)> {
    let mut headers = headers();
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    if !value.is_empty() {
        headers.push((name.into(), value.into()));
    }
    headers
}

#[test]
fn unchanged_requests_are_accepted() {
    let verified = query(&target()).unwrap();
    assert_eq!((verified.form, verified.access_key_id.as_str()), (Form::Query, "AKIDEXAMPLE"));
    assert_eq!(verified.valid_until, NOON.saturating_add(300), "the default window");
    let verified = header(&headers(), BODY, NOON).unwrap();
    assert_eq!((verified.form, verified.signed_at), (Form::Header, NOON));
}

#[test]
fn each_query_fault_has_its_reason() {
    let target = target();
    let swap = |from: &str, to: &str| query(&target.replacen(from, to, 1)).unwrap_err();
    let malformed = |fault: Malformed| VerifyError::Malformed(fault);

    assert_eq!(query("/openTunnel").unwrap_err(), VerifyError::Missing);
    assert_eq!(query("/openTunnel?a=b").unwrap_err(), VerifyError::Missing);
    assert_eq!(
        swap("&X-Amz-Signature=", "&x-amz-signature="),
        malformed(Malformed::Absent("X-Amz-Signature"))
    );
    assert_eq!(swap("&X-Amz-Date=", "&X-Amz-Dat="), malformed(Malformed::Absent("X-Amz-Date")));
    assert_eq!(swap("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), malformed(Malformed::Algorithm));
    assert_eq!(swap("%2Faws4_request", ""), malformed(Malformed::Credential));
    assert_eq!(swap("Date=20260729T", "Date=2026-07-29T"), malformed(Malformed::Date));
    assert_eq!(swap("SignedHeaders=host", "SignedHeaders=Host"), malformed(Malformed::SignedHeaders));
    assert_eq!(swap("SignedHeaders=host", "SignedHeaders=host%3Bhost"), malformed(Malformed::SignedHeaders));
    assert_eq!(swap("SignedHeaders=host", "SignedHeaders="), malformed(Malformed::SignedHeaders));
    assert_eq!(swap("SignedHeaders=host", "SignedHeaders=range"), VerifyError::UnsignedHeader("host".into()));
    assert_eq!(swap("SignedHeaders=host", "SignedHeaders=host%3Brange"), VerifyError::BadSignature);
    assert_eq!(swap("remotePort=22", "remotePort=22%"), malformed(Malformed::PercentEscape));
    assert_eq!(swap("remotePort=22", "remotePort=23"), VerifyError::BadSignature);
    for (path, what) in
        [("/openTunnel?", "//openTunnel?"), ("/openTunnel?", "/a/../openTunnel?"), ("/open", "open")]
    {
        assert_eq!(swap(path, what), malformed(Malformed::Path));
    }
    for expires in ["0", "604801", "-1", "+60", "1e3", "", "99999999999"] {
        let changed = format!("{target}&X-Amz-Expires={}", expires.replace('+', "%2B"));
        assert_eq!(query(&changed).unwrap_err(), malformed(Malformed::Expires), "{expires}");
    }
    let upper =
        target.rsplit_once('=').map(|(head, tail)| format!("{head}={}", tail.to_uppercase())).unwrap();
    assert_eq!(query(&upper).unwrap_err(), malformed(Malformed::Signature));
    assert_eq!(query(&target[..target.len() - 1]).unwrap_err(), malformed(Malformed::Signature));
    let token = swap("Token=to%2Fk%2Be%3Dn", "Token=to%2Fk+e%3Dn");
    assert!(matches!(token, VerifyError::UnknownKey { .. }), "a bare + is a space: {token:?}");
    let key = swap("AKIDEXAMPLE", "AKIDOTHER");
    assert_eq!(key, VerifyError::UnknownKey { access_key_id: "AKIDOTHER".into() });
}

#[test]
fn each_scope_part_is_compared() {
    let part = |from: &str, to: &str| match query(&target().replacen(from, to, 1)).unwrap_err() {
        VerifyError::ScopeMismatch { part, received, .. } => (part, received),
        other => panic!("{other:?}"),
    };
    assert_eq!(part("%2F20260729", "%2F20260728"), (ScopePart::Date, "20260728".into()));
    assert_eq!(part("%2Feu-west-1", "%2Feu-west-2"), (ScopePart::Region, "eu-west-2".into()));
    assert_eq!(
        part("%2Fec2-instance", "%2Fec3-instance"),
        (ScopePart::Service, "ec3-instance-connect".into())
    );
    assert_eq!(part("aws4_request", "aws5_request"), (ScopePart::Terminator, "aws5_request".into()));
}

#[test]
fn validity_is_exact_to_the_second() {
    let at = |seconds: i64| {
        let now = Timestamp::from_unix(NOON.as_unix().checked_add_signed(seconds).unwrap());
        (check_at("GET", &target(), &[("Host", HOST)], b"", now), header(&headers(), BODY, now))
    };
    for seconds in [-300, 0, 300] {
        assert!(matches!(at(seconds), (Ok(_), Ok(_))), "{seconds}");
    }
    let expired = VerifyError::Expired { by: Duration::from_secs(1) };
    assert_eq!(at(301), (Err(expired.clone()), Err(expired)));
    let early = VerifyError::NotYetValid { by: Duration::from_secs(1) };
    assert_eq!(at(-301), (Err(early.clone()), Err(early)));
}

#[test]
fn host_is_verified_as_received() {
    let check = |headers: &[(&str, &str)]| check_at("GET", &target(), headers, b"", NOON).map(|_| ());
    assert_eq!(check(&[("HOST", " eice-1.example.com ")]), Ok(()));
    assert_eq!(check(&[("Host", "eice-1.example.com:443")]), Err(VerifyError::BadSignature));
    assert_eq!(check(&[]), Err(VerifyError::BadSignature));
    assert_eq!(check(&[("Host", HOST), ("host", HOST)]), Err(VerifyError::DuplicateHeader("host".into())));
}

#[test]
fn each_header_fault_has_its_reason() {
    let authorization = headers().pop().unwrap().1;
    let swap = |from: &str, to: &str| {
        header(&with("Authorization", &authorization.replacen(from, to, 1)), BODY, NOON).unwrap_err()
    };
    let malformed = |fault: Malformed| VerifyError::Malformed(fault);
    assert_eq!(header(&with("Authorization", ""), BODY, NOON).unwrap_err(), VerifyError::Missing);
    assert_eq!(swap("AWS4-HMAC-SHA256", "Bearer"), malformed(Malformed::Algorithm));
    assert_eq!(swap("Signature=", "Sign="), malformed(Malformed::Authorization));
    assert_eq!(swap(", Signature=", ", Credential=x, Signature="), malformed(Malformed::Authorization));
    assert_eq!(swap("host;", ""), VerifyError::UnsignedHeader("host".into()));
    assert_eq!(swap(";x-amz-target", ""), VerifyError::UnsignedHeader("x-amz-target".into()));
    assert_eq!(swap(";x-amz-security-token", ""), VerifyError::UnsignedHeader("x-amz-security-token".into()));
    assert_eq!(
        header(&with("X-Amz-Date", ""), BODY, NOON).unwrap_err(),
        malformed(Malformed::Absent("X-Amz-Date"))
    );
    assert_eq!(header(&headers(), b"{}", NOON).unwrap_err(), VerifyError::BadSignature, "another body");
    assert_eq!(header(&with("X-Amz-Target", "S.Other"), BODY, NOON).unwrap_err(), VerifyError::BadSignature);
    let unsigned = [headers(), vec![("X-Amz-Extra".into(), "1".into())]].concat();
    assert_eq!(header(&unsigned, BODY, NOON).unwrap_err(), VerifyError::UnsignedHeader("x-amz-extra".into()));
    let spaced = authorization.replace(", ", " ,  ");
    assert!(header(&with("Authorization", &spaced), BODY, NOON).is_ok(), "space around commas");
    assert!(header(&with("Authorization", &authorization.replace(", ", ",")), BODY, NOON).is_ok(), "none");
}

#[test]
fn two_signatures_are_rejected() {
    let authorization = headers().pop().unwrap().1;
    let both = check_at("GET", &target(), &[("Host", HOST), ("Authorization", &authorization)], b"", NOON);
    assert_eq!(both.unwrap_err(), VerifyError::Malformed(Malformed::TwoSignatures));
}

#[test]
fn errors_hide_token_and_signature() {
    let target = target().replacen("remotePort=22", "remotePort=23", 1);
    let signature = target.rsplit_once('=').unwrap().1;
    let error = query(&target).unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains("to/k") && !printed.contains(signature));
}
