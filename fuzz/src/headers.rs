//! With any headers, only requests with the valid token, the gateway's host name and an allowed origin are accepted; no
//! response contains a secret.
//!
//! The input is a byte that selects the request, then its header lines.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{HeaderMap, Method, Request, Response};
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

#[path = "harness.rs"]
#[allow(dead_code, reason = "shared with other targets")]
mod harness;

use harness::{HOST as OUR_HOST, ORIGIN as OUR_ORIGIN, TOKEN, TerminalStub, WORKSPACE};

/// The largest response, in bytes. The page is not requested here.
const MAX_BODY: usize = 16 << 10;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_all().build().expect("a runtime"));
}

pub fn run(data: &[u8]) {
    let Some((&which, lines)) = data.split_first() else { return };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            is_let_in_by_right(which, &headers).await;
            is_not_mistaken_for_another(&headers).await;
        });
    });
}

/// Asserts that only the token, the gateway's host name, and no origin or an allowed one are accepted.
async fn is_let_in_by_right(which: u8, headers: &HeaderMap) {
    let gateway = harness::gateway(&TerminalStub::new(), |_| {});
    let (method, path) = match which % 6 {
        0 => (Method::GET, "/workspaces".to_owned()),
        1 => (Method::GET, format!("/workspaces/{WORKSPACE}")),
        2 => (Method::GET, format!("/workspaces/{WORKSPACE}/terminal")),
        3 => (Method::POST, format!("/workspaces/{WORKSPACE}/terminal/ticket")),
        4 => (Method::POST, "/auth/session".to_owned()),
        _ => (Method::GET, format!("/workspaces/{WORKSPACE}/terminal/sessions")),
    };
    let answer = ask(&gateway, method, &path, headers.clone(), Ipv4Addr::LOCALHOST.into()).await;
    let status = answer.status().as_u16();
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
    };
    // Only the scheme's default port may be given.
    let is = |value: &[u8], ours: &str| {
        let value = value.to_ascii_lowercase();
        value.strip_suffix(b":80").unwrap_or(&value) == ours.as_bytes()
    };
    let is_ours = one(HOST).is_some_and(|host| is(host, OUR_HOST));
    let is_page = !headers.contains_key(ORIGIN) || one(ORIGIN).is_some_and(|origin| is(origin, OUR_ORIGIN));
    let has_token = one(AUTHORIZATION)
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .is_some_and(|token| token.trim_ascii() == TOKEN.as_bytes());
    // A terminal request without an upgrade gets 426, after authentication.
    let is_in = matches!(status, 200..=299 | 101 | 426);
    assert!(!is_in || (is_ours && is_page && has_token), "{status} {path} {headers:?}");
    assert!(is_ours || status == 403, "{status} {path} {headers:?}");
    let is_plain = headers.keys().all(|name| [HOST, ORIGIN, AUTHORIZATION].contains(name));
    assert!(is_in || !(is_ours && is_page && has_token && is_plain), "{status} {path} {headers:?}");

    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, MAX_BODY).await.expect("a small answer");
    for (name, value) in &parts.headers {
        assert!(!contains(value.as_bytes(), TOKEN.as_bytes()), "{name} has the token");
    }
    assert!(!contains(&body, TOKEN.as_bytes()), "the token is in a response");
    if !is_in {
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let reason = answer["error"].as_str();
        assert!(body.is_empty() || reason.is_some(), "{status} {:?}", String::from_utf8_lossy(&body));
        assert!(reason.is_none_or(|reason| !reason.contains(char::is_control)));
    }
}

/// Behind a proxy, the rate limit applies to the address that the proxy appended, regardless of entries before it.
async fn is_not_mistaken_for_another(headers: &HeaderMap) {
    let gateway = harness::gateway(&TerminalStub::new(), |config| {
        config.trusted_proxies = 1;
        config.max_wrong_tokens = 1;
    });
    let name = HeaderName::from_static("x-forwarded-for");
    let behind = |claimed: Option<&HeaderValue>, token: &str| {
        let mut behind = HeaderMap::new();
        behind.insert(HOST, HeaderValue::from_static(OUR_HOST));
        behind.insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a value"));
        if let Some(claimed) = claimed {
            behind.append(name.clone(), claimed.clone());
        }
        behind.append(name.clone(), HeaderValue::from_static("192.0.2.1"));
        behind
    };
    let proxy = IpAddr::from([10, 0, 0, 1]);
    for claimed in headers.get_all(&name).iter().take(3) {
        let wrong = ask(&gateway, Method::GET, "/workspaces", behind(Some(claimed), "wrong"), proxy).await;
        assert!(matches!(wrong.status().as_u16(), 401 | 429), "{claimed:?}");
        for claimed in [Some(claimed), None] {
            let wrong = ask(&gateway, Method::GET, "/workspaces", behind(claimed, "wrong"), proxy).await;
            assert_eq!(wrong.status().as_u16(), 429, "{claimed:?} was believed");
            // Wrong tokens of others at the same address refuse no right one.
            let right = ask(&gateway, Method::GET, "/workspaces", behind(claimed, TOKEN), proxy).await;
            assert_eq!(right.status().as_u16(), 200, "{claimed:?}");
        }
    }
}

async fn ask(
    gateway: &eice::gateway::Gateway,
    method: Method,
    path: &str,
    headers: HeaderMap,
    peer: IpAddr,
) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    *request.headers_mut() = headers;
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
    gateway.router().call(request).await.expect("an answer")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
