//! An openTunnel query keeps its meaning when it is signed and parsed again.

use eice_proto::{Credentials, Timestamp, TunnelParams, TunnelRequest};

pub fn run(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    let Ok(params) = TunnelParams::parse(query) else { return };
    let authority = "eice.example.com".parse().expect("a host name");
    let mut request =
        TunnelRequest::new(authority, params.endpoint.clone(), params.address).with_port(params.port);
    request.max_duration = params.max_duration;
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None);
    let url = request.presign(&credentials, "eu-west-1", Timestamp::from_unix(0), Some(60));
    let (_, query) = url.path_and_query().split_once('?').expect("a query");
    assert_eq!(TunnelParams::parse(query), Ok(params));
}
