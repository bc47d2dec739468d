//! A request is accepted only with a signature made with the secret, and parsing one never panics.
//!
//! The input is a request: a request line (`GET /path?query`), then header lines. It is verified verbatim, which must
//! fail except for the test vectors; then its query is signed and must verify, and must fail again after any change.

use eice_proto::sigv4::{PayloadHash, ReceivedRequest, Scope, VerifyError, VerifyPolicy, verify};
use eice_proto::{Credentials, Timestamp, sigv4};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOON: u64 = 1_785_326_400; // 2026-07-29T12:00:00Z, the clock of most of fixtures/sigv4

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let Some((method, target)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let scope = Scope::new("eu-west-1", "ec2-instance-connect");
    let now = Timestamp::from_unix(NOON);
    let policy = VerifyPolicy::default();
    let check = |method: &str, target: &str, headers: &[(&str, &str)], secret: &'static str| {
        let received =
            ReceivedRequest { method, path_and_query: target, headers, payload: PayloadHash::EMPTY };
        verify(&received, |_, _| Some(secret), &scope, now, &policy)
    };

    // With another secret, nothing is accepted.
    match check(method, target, &headers, "a secret that no input was signed with") {
        Ok(verified) => panic!("let in: {verified:?}"),
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
    // With the vectors' secret it may be accepted, and then spelling and order do not matter.
    if check(method, target, &headers, SECRET).is_ok()
        && let Some((path, query)) = target.split_once('?')
    {
        let mut pieces: Vec<&str> = query.split('&').collect();
        pieces.reverse();
        let reversed = format!("{path}?{}", pieces.join("&"));
        assert!(check(method, &reversed, &headers, SECRET).is_ok(), "order matters");
        assert!(check(method, &format!("{target}&extra=1"), &headers, SECRET).is_err(), "an addition passes");
        let doubled = format!("{target}&{}", pieces[0]);
        assert!(
            pieces[0].is_empty() || check(method, &doubled, &headers, SECRET).is_err(),
            "a double passes"
        );
    }
    // What we sign is accepted, or refused for its form, never for its signature.
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, Some(text.chars().take(64).collect()));
    let host = headers.first().map_or("host", |(_, value)| value);
    let request = sigv4::Request {
        method,
        path: "/openTunnel",
        params: &[("p", target)],
        headers: &[("host", host)],
        payload: PayloadHash::EMPTY,
    };
    let signed = sigv4::presign(&request, &credentials, &scope, now, None);
    let target = format!("/openTunnel?{}", signed.query());
    match check(method, &target, &[("Host", host)], SECRET) {
        Ok(_) => {
            let other = format!("{host}x");
            let changed = check(method, &target, &[("Host", &other)], SECRET);
            assert_eq!(changed, Err(VerifyError::BadSignature), "another host passes");
        }
        Err(VerifyError::Malformed(_)) => {}
        Err(error) => panic!("our own signature is refused: {error:?}"),
    }
}
