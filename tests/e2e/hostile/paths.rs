//! Paths that climb, and ids that are none.

use super::gateway;
use super::wire::{Answer, ask, request};
use crate::lab::{PUBLIC_ORIGIN, TOKEN, WORKSPACE};

/// What no answer may have: the beginning of a file of this machine, or of the program's.
const FOREIGN: [&str; 5] = ["root:", "[package]", "[[workspace]]", "allowed_origins", "BEGIN"];

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert!(matches!(answer.status, 400..=499), "{what}: {answer:?}");
    assert!(FOREIGN.iter().all(|text| !answer.body.contains(text)), "{what}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_climbs_out_of_the_page() {
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
            // After many of them nothing more is looked at.
            is_refused(&answer, &format!("{method} {path}"));
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_not_looked_for() {
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
            ("GET", "/sessions"),
            ("PUT", "/files"),
        ] {
            let answer =
                ask(gateway.addr(), 17, request(method, &format!("/workspaces/{id}{rest}"), &headers)).await;
            is_refused(&answer, &format!("{method} {id}{rest}"));
            assert!(!answer.head.contains("x-evil"), "{answer:?}");
        }
    }
    // The same id in other letters is the same workspace or none; it is no other.
    let shown = ask(gateway.addr(), 18, request("GET", &format!("/workspaces/{upper}"), &headers)).await;
    assert!(shown.status == 404 || shown.body.contains(WORKSPACE), "{shown:?}");
    assert_eq!(gateway.world.emulator.open_tunnels(), 0);
    let log = gateway.stop().await;
    assert!(log.lines().all(|line| line.len() < 4000), "a path is logged within bounds");
}
