//! Signs and verifies one openTunnel URL, compared with aws-sigv4 and with the time of an OpenSSH connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(missing_docs, unreachable_pub, reason = "a benchmark has no users")]

#[path = "../tests/e2e/lab/mod.rs"]
mod lab;
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use eice::proto::sigv4::{PayloadHash, ReceivedRequest, Scope, VerifyPolicy, verify};
use eice::proto::{Credentials, PresignedUrl, Timestamp, TunnelRequest};
use support::openssh::OpenSsh;
use support::paired::Pairs;

const REGION: &str = "eu-west-1";
const HOST: &str = "eice-0123456789abcdef0.4c1b2f3a.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com";
const KEY: &str = "ASIAEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: u64 = 1_785_326_400;
/// One batch is long enough to time and short enough to pair.
const BATCH: u32 = 500;
const PAIRS: usize = 30;

fn main() {
    let token = "IQoJb3JpZ2luX2VjE//abc+def==".repeat(40);
    let ours = Credentials::new(KEY, SECRET, Some(token.clone()));
    let theirs =
        aws_credential_types::Credentials::new(KEY, SECRET, Some(token.clone()), None, "bench").into();
    let request = TunnelRequest::new(
        HOST.parse().unwrap(),
        "eice-0123456789abcdef0".parse().unwrap(),
        "10.0.1.23".parse().unwrap(),
    );
    let now = Timestamp::from_unix(NOW);
    let presign = || request.presign(&ours, REGION, now, Some(60));
    let aws_presign = || aws_sigv4(&theirs);

    let url = presign();
    assert!(url.expose().ends_with(&aws_presign()), "both make the same signature");

    let mut pairs = Pairs::default();
    for _ in 0..PAIRS {
        pairs.push(micros(presign), micros(aws_presign));
    }
    pairs.report("presign", "us", "aws-sigv4");

    let mut pairs = Pairs::default();
    let verify = || verify_once(&url, &token, now);
    for _ in 0..PAIRS {
        pairs.push(micros(verify), micros(aws_presign));
    }
    pairs.report("verify", "us", "aws-sigv4 presign");

    let openssh = OpenSsh::start();
    openssh.connect();
    let mut pairs = Pairs::default();
    for _ in 0..PAIRS / 2 {
        pairs.push_times(one(presign), openssh.connect());
    }
    pairs.report("presign, of a whole connection", "ms", "ssh true");
}

fn verify_once(url: &PresignedUrl, token: &str, now: Timestamp) {
    let request = ReceivedRequest {
        method: "GET",
        path_and_query: url.path_and_query(),
        headers: &[("host", HOST)],
        payload: PayloadHash::EMPTY,
    };
    let lookup = |key: &str, sent: Option<&str>| (key == KEY && sent == Some(token)).then_some(SECRET);
    let scope = Scope::new(REGION, Scope::EC2_INSTANCE_CONNECT);
    black_box(verify(&request, lookup, &scope, now, &VerifyPolicy::default()).unwrap());
}

/// The signature that aws-sigv4 makes of the same request.
fn aws_sigv4(identity: &aws_smithy_runtime_api::client::identity::Identity) -> String {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    settings.session_token_mode = SessionTokenMode::Include;
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name(Scope::EC2_INSTANCE_CONNECT)
        .time(UNIX_EPOCH + Duration::from_secs(NOW))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = format!(
        "https://{HOST}/openTunnel?instanceConnectEndpointId=eice-0123456789abcdef0&remotePort=22\
         &privateIpAddress=10.0.1.23"
    );
    let request = SignableRequest::new("GET", &uri, std::iter::empty(), SignableBody::Bytes(&[])).unwrap();
    sign(request, &params).unwrap().signature().to_owned()
}

fn one<T>(work: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// Microseconds a call, over one batch.
fn micros<T>(work: impl Fn() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        black_box(work());
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}
