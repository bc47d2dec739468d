//! The platform's own client, unchanged, in a real browser, against the serving process and a real sshd.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lab::{GatewayProgram, Sshd, TOKEN, WORKSPACE, World, program};

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_canvas_client_has_its_terminal() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let modules = web.join("node_modules/playwright-core");
    assert!(modules.is_dir(), "the page's tools are not installed: run `make web` (nodejs and npm)");
    program("chromium");
    let sshd = Sshd::start();
    let gateway = GatewayProgram::start(World::of(&sshd).await, "");
    let mut node = Command::new(program("node"));
    node.arg(web.join("e2e/canvas.mjs")).args([&gateway.addr().to_string(), WORKSPACE, TOKEN]);
    node.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&said).unwrap();
    let expected = json!({
        "signedIn": 200,
        "protocol": "",
        "extensions": "",
        // Nobody told a size.
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
