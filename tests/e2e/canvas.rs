//! Canvas in a real browser, against the serving process and a real sshd: today's client, unchanged, and an application
//! on another origin with the `eicterm` client in it.

use serde_json::json;

use crate::lab::{GatewayProgram, Sshd, TOKEN, WORKSPACE, World, plays, request};

#[tokio::test(flavor = "multi_thread")]
async fn legacy_canvas_client_works() {
    let sshd = Sshd::start();
    let gateway = GatewayProgram::start(World::of(&sshd).await, "");
    let told = plays("canvas.mjs", &gateway.addr().to_string(), &[WORKSPACE, TOKEN], &[]).await;
    let expected = json!({
        "signedIn": 200,
        "protocol": "",
        "extensions": "",
        // The client sends no size.
        "process": "size-24 80-term-xterm-256color",
        "echoed": "caf\u{e9}-\u{1f600}",
        "pasted": "1020000",
        "texts": [],
        "close": {"code": 1000, "reason": "", "wasClean": true},
    });
    assert_eq!(told, expected);
    sshd.is_idle();
    gateway.is_idle();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_origin_opens_terminal() {
    let sshd = Sshd::start();
    let origins = [
        "http://acme.localhost",
        // Next to the gateway, and on a separate site.
        "http://canvas.acme.localhost",
        "http://canvas.localhost",
        // The gateway's own page, over plain HTTP under a host name.
        "http://acme.example",
    ];
    let gateway = GatewayProgram::start_for(World::of(&sshd).await, &origins, "");
    let place = gateway.addr().to_string();
    let told = plays("cross_origin.mjs", &place, &[WORKSPACE, TOKEN], &["sign-in-plain.png"]).await;
    let worked = json!({
        "phases": ["connecting", "open", "ended"],
        "seen": "size-43 132-end",
        "exit": 3,
        "text": "The shell ended.",
    });
    for who in ["sibling", "foreign", "cookie", "cookieAlone"] {
        assert_eq!(told[who], worked, "{who}");
    }
    let refused = |why: &str| json!({"status": 401, "why": why});
    assert_eq!(told["nobody"], refused("not-signed-in"));
    assert_eq!(told["wrong"], refused("wrong-token"));
    // A page of another site does not get the strict cookie; a sibling's page does.
    assert_eq!(told["signedIn"], json!([200, refused("not-signed-in"), 200, null]));
    // The browser hides every response from a page that is not allowed, and opens no socket for it.
    let hidden = json!({"status": 0, "why": "origin"});
    for evil in ["evil.acme.localhost", "evil.localhost"] {
        assert_eq!(told[evil], json!([hidden, hidden, 1006, 1006]), "{evil}");
    }
    assert_eq!(told["stolen"], "open", "the ticket was good on the page that it was for");
    let plain = told["plain"].as_str().unwrap();
    assert!(plain.starts_with("The token is good, but under http://acme.example "), "{plain}");
    assert!(plain.contains("Open the page by https"), "{plain}");
    // The gateway refused them: two HTTP requests and two sockets for each of the two pages.
    let (_, metrics) = request(gateway.addr(), "GET", "/metrics", &[], "").await;
    let line = "molecule_terminal_denials_total{reason=\"origin\"} ";
    let denied = metrics.lines().find_map(|text| text.strip_prefix(line)?.parse::<u32>().ok());
    assert!(denied.is_some_and(|denied| denied >= 8), "{metrics}");
    gateway.is_idle();
    sshd.is_idle();
    gateway.stop().await;
}
