//! Pages of other sites, and foreign host names.

use super::gateway;
use super::wire::{ask, request, upgrade};
use crate::lab::{GatewayProgram, PUBLIC_HOST, PUBLIC_ORIGIN, TOKEN, WORKSPACE};

/// Returns every route that changes or discloses something. The page's files are public.
fn routes() -> Vec<(&'static str, String)> {
    let of = |rest: &str| format!("/workspaces/{WORKSPACE}{rest}");
    vec![
        ("GET", "/workspaces".into()),
        ("GET", of("")),
        ("GET", of("/terminal")),
        ("POST", of("/terminal/ticket")),
        ("GET", of("/terminal/diagnose")),
        ("GET", of("/terminal/sessions")),
        ("DELETE", of("/terminal/sessions/0a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9")),
        ("GET", "/terminal/sessions".into()),
        ("PUT", of("/files")),
        ("PUT", of("/files/a")),
        ("POST", "/auth/session".into()),
        ("DELETE", "/auth/session".into()),
    ]
}

/// Signs in and returns the cookie as `name=value`.
async fn cookie(gateway: &GatewayProgram) -> String {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Origin", PUBLIC_ORIGIN), ("Authorization", bearer.as_str())];
    let answer = ask(gateway.addr(), 1, request("POST", "/auth/session", &headers)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let set = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_origin_is_refused() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    let cookie = cookie(&gateway).await;
    let origins = [
        "https://acme.example",
        "http://acme.example:8080",
        "http://www.acme.example",
        "http://acme.example.evil.test",
        "http://evil-acme.example",
        "http://acme.example@evil.test",
        "http://evil.test#http://acme.example",
        "http://evil.test/http://acme.example",
        "http://acme.example/",
        "http://acme.example.",
        "http://acme.example%2eevil.test",
        "http://acme.example evil",
        "http://localhost:3000",
        "null",
        "*",
        "file://",
        "about:blank",
        "chrome-extension://abcdef",
    ];
    let mut from = 20;
    for (method, path) in routes() {
        // Each route from its own address, to stay below every rate limit.
        from += 1;
        for origin in origins {
            for credential in [("Authorization", bearer.as_str()), ("Cookie", cookie.as_str())] {
                let headers = [("Origin", origin), credential];
                let answer = ask(gateway.addr(), from, request(method, &path, &headers)).await;
                assert_eq!(answer.status, 403, "{method} {path} {origin}: {answer:?}");
                // A script of that page must not be able to read it.
                assert!(!answer.head.contains("access-control-allow-origin: "), "{answer:?}");
            }
        }
        for twice in [[PUBLIC_ORIGIN, "http://evil.test"], ["http://evil.test", PUBLIC_ORIGIN]] {
            let headers = [("Origin", twice[0]), ("Origin", twice[1]), ("Authorization", &bearer)];
            let answer = ask(gateway.addr(), from, request(method, &path, &headers)).await;
            assert_eq!(answer.status, 403, "{method} {path} {twice:?}");
        }
    }
    for origin in origins {
        let headers = [("Origin", origin), ("Cookie", cookie.as_str())];
        assert_eq!(ask(gateway.addr(), 60, upgrade(WORKSPACE, &headers)).await.status, 403, "{origin}");
    }
    // Still signed in. The gateway's own origin is accepted, in any case.
    for origin in [PUBLIC_ORIGIN, "HTTP://Acme.Example", "http://acme.example:80"] {
        let headers = [("Origin", origin), ("Cookie", cookie.as_str())];
        assert_eq!(ask(gateway.addr(), 61, upgrade(WORKSPACE, &headers)).await.status, 101, "{origin}");
    }
    gateway.is_idle();
    gateway.stop().await;
}

/// A form, an image or a link of another site: old browsers send the cookie without an `Origin`.
#[tokio::test(flavor = "multi_thread")]
async fn cookie_without_origin_is_read_only() {
    let gateway = gateway("").await;
    let cookie = cookie(&gateway).await;
    for (method, path) in routes() {
        if path == "/auth/session" {
            continue;
        }
        for (site, status) in [("cross-site", 403), ("same-site", 401), ("none", 401)] {
            let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", site)];
            let answer = ask(gateway.addr(), 62, request(method, &path, &headers)).await;
            assert_eq!(answer.status, status, "{method} {path} {site}: {answer:?}");
        }
    }
    let headers = [("Cookie", cookie.as_str())];
    assert_eq!(ask(gateway.addr(), 62, upgrade(WORKSPACE, &headers)).await.status, 401);
    // A forged Origin or Referer is no credential.
    let forged = [("Origin", PUBLIC_ORIGIN), ("Referer", "http://acme.example/"), ("X-Molecule-Org-Id", "x")];
    assert_eq!(ask(gateway.addr(), 62, upgrade(WORKSPACE, &forged)).await.status, 401);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_host_is_refused() {
    let gateway = gateway("").await;
    let addr = gateway.addr();
    let bearer = format!("Bearer {TOKEN}");
    let rebound = format!("127.0.0.1:{}", addr.port());
    let mut from = 70;
    for (method, path) in routes() {
        from += 1;
        for host in [
            "evil.test",
            rebound.as_str(),
            "localhost",
            "acme.example:8080",
            "acme.example.evil.test",
            "acme.example@evil.test",
            "evil.test,acme.example",
            "acme.example evil.test",
            "acme.example.",
            "",
        ] {
            let headers = [("Host", host), ("Authorization", bearer.as_str())];
            let answer = ask(addr, from, request(method, &path, &headers)).await;
            assert!(matches!(answer.status, 400 | 403), "{method} {path} {host:?}: {answer:?}");
        }
        for hosts in [[PUBLIC_HOST, "evil.test"], ["evil.test", PUBLIC_HOST]] {
            let headers = [("Host", hosts[0]), ("Host", hosts[1]), ("Authorization", &bearer)];
            let answer = ask(addr, from, request(method, &path, &headers)).await;
            assert!(matches!(answer.status, 400 | 403), "{method} {path} {hosts:?}: {answer:?}");
        }
        for target in
            ["http://evil.test", "http://user@acme.example", "http://acme.example:8080", "//evil.test"]
        {
            let headers = [("Authorization", bearer.as_str())];
            let answer = ask(addr, from, request(method, &format!("{target}{path}"), &headers)).await;
            assert!(matches!(answer.status, 400 | 403 | 404 | 405), "{method} {target}{path}: {answer:?}");
        }
    }
    // The gateway does not proxy to other servers, by any method.
    for (method, target) in [("CONNECT", "evil.test:443"), ("CONNECT", "acme.example:80"), ("TRACE", "/")] {
        let answer = ask(addr, 90, request(method, target, &[("Authorization", &bearer)])).await;
        assert!(matches!(answer.status, 400..=499), "{method} {target}: {answer:?}");
        assert!(!answer.body.contains(TOKEN));
    }
    let asterisk = ask(addr, 90, request("OPTIONS", "*", &[])).await;
    assert!(matches!(asterisk.status, 200..=499), "{asterisk:?}");
    gateway.stop().await;
}
