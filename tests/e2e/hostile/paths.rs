//! Path traversal and invalid ids.

use eice::emulator::InstanceState;

use super::gateway;
use super::wire::{Answer, ask, request};
use crate::lab::{PUBLIC_ORIGIN, TOKEN, WORKSPACE};

/// The start of local files, which no response may contain.
const FOREIGN: [&str; 5] = ["root:", "[package]", "[[workspace]]", "allowed_origins", "BEGIN"];

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert!(matches!(answer.status, 400..=499), "{what}: {answer:?}");
    assert!(FOREIGN.iter().all(|text| !answer.body.contains(text)), "{what}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn path_traversal_is_refused() {
    let gateway = gateway("").await;
    let up =
        ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "%252e%252e%252f", "..%c0%af", "....//"];
    let files = ["etc/passwd", "Cargo.toml", "index.html/../Cargo.toml"];
    let mut paths: Vec<String> = Vec::new();
    for up in up {
        for file in files {
            paths.push(format!("/{}{file}", up.repeat(8)));
            paths.push(format!("/assets/{}{file}", up.repeat(9)));
        }
    }
    for path in [
        "//etc/passwd",
        "///etc/passwd",
        "/\\etc\\passwd",
        "/./etc/passwd",
        "/%00",
        "/index.html%00",
        "/index.html%00.png",
        "/assets/",
        "/assets",
        "/%2fetc%2fpasswd",
        "/file:///etc/passwd",
        "/~root/.ssh/id_ed25519",
        "/.git/config",
        "/src/main.rs",
    ] {
        paths.push(path.to_owned());
    }
    for path in &paths {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = ask(gateway.addr(), 16, request(method, path, &[])).await;
            // After many failures the client is rate limited.
            is_refused(&answer, &format!("{method} {path}"));
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_id_is_not_looked_up() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str()), ("Origin", PUBLIC_ORIGIN)];
    let upper = WORKSPACE.to_uppercase();
    for id in [
        "..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        &format!("{WORKSPACE}%00"),
        &format!("{WORKSPACE}%0d%0aX-Evil:%201"),
        &format!("{WORKSPACE}%2fterminal"),
        &format!("%20{WORKSPACE}"),
        &format!("{{{WORKSPACE}}}"),
        &WORKSPACE.replace('-', ""),
        "'%20OR%20'1'='1",
        "$(id)",
        "*",
        "-",
        &"a".repeat(5000),
        "%ff%fe",
        "%F0%9F%92%A9",
    ] {
        for (method, rest) in [
            ("GET", "/terminal"),
            ("GET", ""),
            ("POST", "/terminal/ticket"),
            ("GET", "/terminal/diagnose"),
            ("GET", "/terminal/sessions"),
            ("PUT", "/files"),
        ] {
            let answer =
                ask(gateway.addr(), 17, request(method, &format!("/workspaces/{id}{rest}"), &headers)).await;
            is_refused(&answer, &format!("{method} {id}{rest}"));
            assert!(!answer.head.contains("x-evil"), "{answer:?}");
        }
    }
    // The same id in another case is the same workspace or none.
    let shown = ask(gateway.addr(), 18, request("GET", &format!("/workspaces/{upper}"), &headers)).await;
    assert!(shown.status == 404 || shown.body.contains(WORKSPACE), "{shown:?}");
    assert_eq!(gateway.world.emulator.open_tunnels(), 0);
    let log = gateway.stop().await;
    assert!(log.lines().all(|line| line.len() < 4000), "a path is logged within bounds");
}

/// With permission to write files, only paths below the workspace's folder are writable.
#[tokio::test(flavor = "multi_thread")]
async fn file_write_stays_in_workspace() {
    let gateway = gateway("").await;
    // Accepted paths fail at the stopped instance, which distinguishes them and writes nothing.
    gateway.world.emulator.set_instance_state(&gateway.world.instance(), InstanceState::Stopped);
    let bearer = format!("Bearer {TOKEN}");
    let put = |path: &str, body: &str| {
        let length = body.len().to_string();
        let headers = [("Authorization", bearer.as_str()), ("Content-Length", &length)];
        let head = request("PUT", &format!("/workspaces/{WORKSPACE}/files{path}"), &headers);
        [&head, body.as_bytes()].concat()
    };
    for path in [
        "..%2fa",
        "%2e%2e/a",
        "../a",
        "a/../../b",
        "a/..",
        ".",
        "%2fetc%2fpasswd",
        "%2f%2fetc/passwd",
        "%00",
        "a%00b",
        "a%0ab",
        "a%0d%0ab",
        "a/%2e%2e/%2e%2e/b",
        "..",
        "",
        "%2f",
        &"a".repeat(20_000),
        &"a/".repeat(5000),
    ] {
        let one = put(&format!("/{path}"), "{\"content\":\"pwned\"}");
        is_refused(&ask(gateway.addr(), 31, one).await, path);
        let several = serde_json::json!({"files": {"good": "x", (decoded(path)): "pwned"}}).to_string();
        is_refused(&ask(gateway.addr(), 32, put("", &several)).await, &several);
    }
    is_refused(&ask(gateway.addr(), 31, put("/%ff", "{\"content\":\"pwned\"}")).await, "%ff");
    assert_eq!(gateway.world.emulator.records().len(), 0, "AWS was asked for nothing");
    // A valid path reaches the instance.
    assert_eq!(ask(gateway.addr(), 31, put("/a/b", "{\"content\":\"x\"}")).await.status / 100, 5);
    gateway.stop().await;
}

/// Returns `path` percent-decoded.
fn decoded(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        decoded.push(char::from(u8::from_str_radix(&piece[..2], 16).unwrap()));
        decoded.push_str(&piece[2..]);
    }
    decoded
}
