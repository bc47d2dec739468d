//! Properties: what is signed is accepted, nothing else is, and tunnels carry bytes without loss.

#![allow(clippy::unwrap_used, reason = "a broken set-up ends the test")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eice_proto::sigv4::{PayloadHash, ReceivedRequest, Scope, VerifyError, VerifyPolicy, verify};
use eice_proto::tunnel::{CloseReason, Config, Event, Frame, Role, Tunnel};
use eice_proto::{Authority, Credentials, MaxDuration, RemotePort, Timestamp, TunnelParams, TunnelRequest};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    request: TunnelRequest,
    credentials: Credentials,
    secret: String,
    region: String,
    now: Timestamp,
    expires: Option<u32>,
}

fn cases() -> impl Strategy<Value = Case> {
    let authority = ("[a-z0-9][a-z0-9.-]{0,40}", prop::option::of(1_u16..));
    let address =
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let asked = (authority, "eice-[0-9a-zA-Z_]{1,32}", 1_u16.., address, prop::option::of(1_u64..=3600));
    let signer = ("[A-Za-z0-9_]{1,40}", "\\PC{1,60}", prop::option::of("\\PC{1,200}"), "[a-z0-9-]{1,20}");
    let time = (0_u64..4_102_444_800, prop::option::of(1_u32..604_800));
    (asked, signer, time).prop_map(|(asked, (key, secret, token, region), (now, expires))| {
        let ((host, host_port), endpoint, port, address, duration) = asked;
        let authority: Authority = match host_port {
            Some(port) => format!("{host}:{port}").parse().unwrap(),
            None => host.parse().unwrap(),
        };
        let mut request = TunnelRequest::new(authority, endpoint.parse().unwrap(), address)
            .with_port(RemotePort::new(port).unwrap());
        request.max_duration = duration.map(|seconds| MaxDuration::from_secs(seconds).unwrap());
        let credentials = Credentials::new(key, &secret, token);
        Case { request, credentials, secret, region, now: Timestamp::from_unix(now), expires }
    })
}

impl Case {
    fn target(&self) -> String {
        let url = self.request.presign(&self.credentials, &self.region, self.now, self.expires);
        url.path_and_query().to_owned()
    }

    fn verify(&self, method: &str, target: &str, host: &str, now: Timestamp) -> Result<(), VerifyError> {
        let headers = [("Accept", "*/*"), ("Host", host)];
        let payload = PayloadHash::EMPTY;
        let request = ReceivedRequest { method, path_and_query: target, headers: &headers, payload };
        let scope = Scope::new(&self.region, Scope::EC2_INSTANCE_CONNECT);
        let lookup = |key: &str, token: Option<&str>| {
            let is_known =
                key == self.credentials.access_key_id() && token == self.credentials.session_token();
            is_known.then(|| self.secret.clone())
        };
        verify(&request, lookup, &scope, now, &VerifyPolicy::default()).map(|_| ())
    }

    fn verify_target(&self, target: &str) -> Result<(), VerifyError> {
        self.verify("GET", target, self.request.authority.as_str(), self.now)
    }
}

/// Returns the query as decoded pairs, without the crate's own decoder.
fn decode(target: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            } else {
                out.push(byte);
            }
        }
        out
    };
    let (_, query) = target.split_once('?').unwrap();
    query
        .split('&')
        .map(|piece| piece.split_once('=').map(|(n, v)| (decode(n), decode(v))).unwrap())
        .collect()
}

/// Returns a query with every byte escaped in lower-case digits: another spelling of the same parameters.
fn respell(pairs: &[(Vec<u8>, Vec<u8>)]) -> String {
    let escape = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pieces = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    format!("/openTunnel?{}", pieces.collect::<Vec<_>>().join("&"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn presigned_url_expires(case in cases()) {
        let target = case.target();
        prop_assert_eq!(case.verify_target(&target), Ok(()));
        let (_, query) = target.split_once('?').unwrap();
        let params = TunnelParams::parse(query).unwrap();
        prop_assert_eq!(&params.endpoint, &case.request.endpoint);
        prop_assert_eq!((params.port, params.address), (case.request.port, case.request.address));
        prop_assert_eq!(params.max_duration, case.request.max_duration);

        let host = case.request.authority.as_str();
        let window = u64::from(case.expires.unwrap_or(300));
        let last = case.now.saturating_add(window);
        prop_assert_eq!(case.verify("GET", &target, host, last), Ok(()));
        let late = case.verify("GET", &target, host, last.saturating_add(7));
        prop_assert_eq!(late, Err(VerifyError::Expired { by: Duration::from_secs(7) }));
        if case.now.as_unix() > 310 {
            let early = Timestamp::from_unix(case.now.as_unix() - 310);
            let answer = case.verify("GET", &target, host, early);
            prop_assert_eq!(answer, Err(VerifyError::NotYetValid { by: Duration::from_secs(10) }));
        }
    }

    #[test]
    fn spelling_and_order_do_not_matter(case in cases(), turns in 0_usize..12) {
        let mut pairs = decode(&case.target());
        let turns = turns % pairs.len();
        pairs.rotate_left(turns);
        prop_assert_eq!(case.verify_target(&respell(&pairs)), Ok(()));
    }

    #[test]
    fn changed_parameter_is_rejected(
        case in cases(), which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        bit in 0_u8..8, in_name in any::<bool>(),
    ) {
        let mut pairs = decode(&case.target());
        let which = which.index(pairs.len());
        let (name, value) = &mut pairs[which];
        let field = if in_name { name } else { value };
        let at = at.index(field.len());
        field[at] ^= 1 << bit;
        let answer = case.verify_target(&respell(&pairs));
        prop_assert!(answer.is_err(), "{:?}", pairs[which]);
    }

    #[test]
    fn altered_parameter_set_fails(case in cases(), which in any::<prop::sample::Index>()) {
        let pairs = decode(&case.target());
        let which = which.index(pairs.len());

        let mut fewer = pairs.clone();
        fewer.remove(which);
        prop_assert!(case.verify_target(&respell(&fewer)).is_err());

        let mut more = pairs.clone();
        more.push((b"extra".to_vec(), b"".to_vec()));
        prop_assert_eq!(case.verify_target(&respell(&more)), Err(VerifyError::BadSignature));

        let mut doubled = pairs.clone();
        doubled.push(pairs[which].clone());
        let answer = case.verify_target(&respell(&doubled));
        prop_assert!(matches!(answer, Err(VerifyError::DuplicateParameter(_))), "{answer:?}");
    }

    #[test]
    fn other_host_path_method_or_secret_fails(case in cases(), other in "[a-z/]{1,8}") {
        let (target, host) = (case.target(), case.request.authority.as_str());
        let path = target.replacen("/openTunnel", &format!("/openTunnel{other}"), 1);
        prop_assert!(case.verify("GET", &path, host, case.now).is_err());
        let path = target.replacen("/openTunnel", "/%6FpenTunnel", 1);
        prop_assert_eq!(case.verify("GET", &path, host, case.now), Err(VerifyError::BadSignature));
        let answer = case.verify("GET", &target, &format!("{host}{other}"), case.now);
        prop_assert_eq!(answer, Err(VerifyError::BadSignature));
        prop_assert_eq!(case.verify("POST", &target, host, case.now), Err(VerifyError::BadSignature));
        let stranger = Case { secret: format!("{}{other}", case.secret), ..case.clone() };
        prop_assert_eq!(stranger.verify("GET", &target, host, case.now), Err(VerifyError::BadSignature));
    }

    #[test]
    fn secrets_are_redacted(case in cases()) {
        let secret = "Xyzzy-the-secret-and-the-token";
        let credentials = Credentials::new("AKID", secret, Some(secret.to_owned()));
        let url = case.request.presign(&credentials, &case.region, case.now, case.expires);
        let signed = case.request.sign(&credentials, &case.region, case.now, case.expires);
        let printed = format!("{credentials:?} {url} {url:?} {signed:?} {:?}", signed.canonical_request());
        prop_assert!(!printed.contains("Xyzzy") && !printed.contains(signed.signature()), "{printed}");
    }
}

/// Splits a frame into the given number of fragments, as a peer may, with a ping after each.
fn fragment(frame: Frame, pieces: usize) -> Vec<Frame> {
    use eice_proto::tunnel::Opcode;
    if frame.opcode != Opcode::Binary {
        return vec![frame];
    }
    let size = frame.payload.len().div_ceil(pieces).max(1);
    let chunks: Vec<Bytes> = (0..frame.payload.len())
        .step_by(size)
        .map(|at| frame.payload.slice(at..(at + size).min(frame.payload.len())))
        .collect();
    let last = chunks.len() - 1;
    let piece = |(at, payload): (usize, Bytes)| {
        let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
        [Frame { fin: at == last, opcode, payload }, Frame::new(Opcode::Ping, vec![at as u8])]
    };
    chunks.into_iter().enumerate().flat_map(piece).collect()
}

/// Moves everything from one end to the other and appends what arrives to `received`.
fn carry(from: &mut Tunnel, to: &mut Tunnel, pieces: usize, received: &mut Vec<u8>, now: Instant) {
    while let Some(frame) = from.poll_transmit() {
        for frame in fragment(frame, pieces) {
            to.handle_frame(frame, now);
            while let Some(event) = to.poll_event() {
                if let Event::Data(bytes) = event {
                    received.extend_from_slice(&bytes);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fragmented_bytes_arrive_without_loss(
        writes in prop::collection::vec((any::<bool>(), 0_usize..40_000), 1..24),
        max_chunk in 1_usize..70_000, max_queued in 1_usize..100_000, pieces in 1_usize..5,
    ) {
        let mut config = Config::default();
        config.max_chunk = max_chunk.max(200);
        config.max_queued = max_queued.max(200);
        let now = Instant::now();
        let mut client = Tunnel::new(Role::Client, config.clone(), now);
        let mut server = Tunnel::new(Role::Server, config, now);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        for (number, (is_up, len)) in writes.into_iter().enumerate() {
            let data: Vec<u8> = (0..len).map(|at| (at * 7 + number) as u8).collect();
            if is_up { up.extend_from_slice(&data) } else { down.extend_from_slice(&data) }
            let mut data = Bytes::from(data);
            while !data.is_empty() {
                let sender = if is_up { &mut client } else { &mut server };
                sender.send(&mut data).unwrap();
                carry(&mut client, &mut server, pieces, &mut at_server, now);
                carry(&mut server, &mut client, pieces, &mut at_client, now);
            }
        }
        client.close(now);
        carry(&mut client, &mut server, pieces, &mut at_server, now);
        prop_assert!(at_server == up && at_client == down);
        prop_assert_eq!(client.close_reason(), Some(&CloseReason::Local));
        prop_assert_eq!(server.close_reason(), Some(&CloseReason::Clean));
    }
}

#[path = "../../fuzz/src/handshake.rs"]
#[allow(clippy::panic, unreachable_pub)]
mod handshake_body;
#[path = "../../fuzz/src/tunnel.rs"]
#[allow(clippy::field_reassign_with_default, unreachable_pub)]
mod tunnel_body;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_never_panic(operations in prop::collection::vec(any::<u8>(), 0..400)) {
        tunnel_body::run(&operations);
    }

    #[test]
    fn random_responses_never_panic(answer in prop::collection::vec(any::<u8>(), 0..400)) {
        handshake_body::run(&answer);
    }
}
