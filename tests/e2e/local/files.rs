//! The files of a local workspace, written through `eice serve` into its container.

use serde_json::{Value, json};

use super::gateway::{Gateway, PUBLIC_NAME};
use crate::lab::{Docker, TOKEN, request};

/// Writes files; returns the response's status and body.
async fn put(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/workspaces/{}/{path}", gateway.workspace);
    let token = format!("Bearer {TOKEN}");
    let headers = [("host", PUBLIC_NAME), ("authorization", token.as_str())];
    let (status, body) = request(gateway.program.addr(), "PUT", &path, &headers, &body.to_string()).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_in_platform_folder() {
    let docker = Docker::shared();
    let gateway = Gateway::start(&docker.host(), "files");
    let one = json!({"content": "it's\n"});
    let (status, body) = put(&gateway, "files/a.md", &one).await;
    assert_eq!((status, body), (404, json!({"error": "container not running"})));

    let container = gateway.container(Docker::SH);
    let (status, body) = put(&gateway, "files/a%20b/c.md", &one).await;
    assert_eq!((status, body), (200, json!({"status": "saved", "path": "a b/c.md"})));
    let said = docker.run([
        "exec",
        &container.name,
        "sh",
        "-c",
        "cat '/configs/a b/c.md'; stat -c %a '/configs/a b/c.md'",
    ]);
    assert_eq!(said, "it's\n644\n");

    let files: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("many/{n}"), json!(format!("{n}")))).collect();
    let (status, body) = put(&gateway, "files", &json!({"files": files})).await;
    let replaced =
        json!({"status": "replaced", "workspace": gateway.workspace, "files": 50, "source": "container"});
    assert_eq!((status, body), (200, replaced));
    let said = docker.run([
        "exec",
        &container.name,
        "sh",
        "-c",
        "cat /configs/many/7 /configs/many/42; ls /configs/many | wc -l",
    ]);
    assert_eq!(said.trim(), "74250");
    container.is_idle();
}
