//! The signing vectors of fixtures/sigv4, made with botocore: each step, signed and verified.

mod support;

use eice_proto::sigv4::{self, PayloadHash, ReceivedRequest, Request, Scope, VerifyPolicy, verify};
use eice_proto::{Timestamp, TunnelParams, TunnelRequest};
use support::Vector;

#[test]
fn vector_count_matches_the_generator() {
    assert_eq!(Vector::all().len(), 29);
    assert!(Vector::all().iter().filter(|vector| vector.form == "query").count() >= 18);
}

#[test]
fn tunnel_request_matches_botocore() {
    for vector in Vector::all().into_iter().filter(|vector| vector.form == "query") {
        let mut request = TunnelRequest::new(
            vector.host.parse().unwrap(),
            vector.endpoint.as_ref().unwrap().parse().unwrap(),
            vector.address.as_ref().unwrap().parse().unwrap(),
        )
        .with_port(vector.port.unwrap().to_string().parse().unwrap());
        request.max_duration = vector.max_duration.map(|duration| duration.to_string().parse().unwrap());
        let signed = request.sign(&vector.credentials(), &vector.region, vector.now(), vector.expires);
        vector.assert_steps(&signed);
        let url = request.presign(&vector.credentials(), &vector.region, vector.now(), vector.expires);
        assert_eq!(url.expose(), vector.url.as_deref().unwrap(), "{}", vector.name);

        let (_, query) = url.path_and_query().split_once('?').unwrap();
        let params = TunnelParams::parse(query).unwrap();
        assert_eq!((params.endpoint, params.port), (request.endpoint, request.port));
        assert_eq!((params.address, params.max_duration), (request.address, request.max_duration));
    }
}

#[test]
fn api_call_matches_botocore() {
    for vector in Vector::all().into_iter().filter(|vector| vector.form == "header") {
        let query = vector.decoded_query();
        let params: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers = support::pairs(vector.given_headers.as_deref().unwrap());
        let request = Request {
            method: &vector.method,
            path: &vector.path,
            params: &params,
            headers: &headers,
            payload: PayloadHash::of(vector.body.as_deref().unwrap().as_bytes()),
        };
        let signed = sigv4::sign(&request, &vector.credentials(), &vector.scope(), vector.now());
        vector.assert_steps(&signed);
        let sent: Vec<_> = headers.iter().copied().chain(signed.headers()).collect();
        assert_eq!(sent, support::pairs(vector.headers.as_deref().unwrap()), "{}", vector.name);
    }
}

#[test]
fn botocore_signatures_verify() {
    for vector in Vector::all() {
        let (target, headers) = vector.received();
        let request = ReceivedRequest {
            method: &vector.method,
            path_and_query: &target,
            headers: &support::pairs(&headers),
            payload: PayloadHash::of(vector.body.as_deref().unwrap_or_default().as_bytes()),
        };
        let lookup = |key: &str, token: Option<&str>| {
            let is_known = key == vector.access_key_id && token == vector.session_token.as_deref();
            is_known.then(|| vector.secret_access_key.clone())
        };
        let verified = verify(&request, lookup, &vector.scope(), vector.now(), &VerifyPolicy::default())
            .unwrap_or_else(|error| panic!("{}: {error:?}", vector.name));
        assert_eq!(verified.canonical_request.as_str(), vector.canonical_request, "{}", vector.name);
        assert_eq!(verified.access_key_id, vector.access_key_id);

        let other = Scope::new(&vector.region, "execute-api");
        assert!(verify(&request, lookup, &other, vector.now(), &VerifyPolicy::default()).is_err());
    }
}

#[test]
fn aws_sigv4_matches_botocore_and_us() {
    for vector in Vector::all().into_iter().filter(|vector| vector.form == "query") {
        assert_eq!(vector.signature, support::aws_sigv4_signature(&vector), "{}", vector.name);
    }
}

#[test]
fn vector_clock_is_parsed() {
    for vector in Vector::all() {
        assert_eq!(vector.clock.parse(), Ok(Timestamp::from_unix(vector.unix)), "{}", vector.name);
        assert_eq!(vector.now().to_string(), vector.clock);
    }
}
