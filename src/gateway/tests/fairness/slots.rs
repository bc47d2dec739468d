//! Terminals, file writes and diagnoses: shares of one user and one workspace.

use super::*;

const BODY: &str = r#"{"content":"x"}"#;

fn terminal_of(id: &str) -> String {
    format!("/workspaces/{id}/terminal")
}

/// How many tunnels an endpoint carries.
const TUNNELS: usize = 20;

#[tokio::test]
async fn one_user_cannot_take_a_whole_endpoint() {
    let server = start(diagnosable(), |_| {}).await;
    let (mut terminals, mut files, mut diagnoses) = (Vec::new(), Vec::new(), Vec::new());
    let refused = loop {
        match server.socket(&terminal_of(OTHERS), &[ATTACKER]).await {
            Ok(socket) => terminals.push(socket),
            Err(answer) => break answer,
        }
    };
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("too_many_terminals")));
    server.script.until("the terminals", |seen| seen.connects == terminals.len()).await;
    let connects = terminals.len();
    for n in 0..=3 {
        // The fourth one is beyond the share.
        server.script.until("the writes", |seen| seen.connects == connects + n).await;
        let mut stream =
            send_head(&server, &format!("PUT /workspaces/{OTHERS}/files/{n}"), ATTACKER, BODY.len()).await;
        stream.write_all(BODY.as_bytes()).await.unwrap();
        files.push(stream);
    }
    assert_eq!(status(files.pop().unwrap()).await, 429);
    for id in [OTHERS, MINE] {
        diagnoses.push(send_head(&server, &format!("GET {}/diagnose", terminal_of(id)), ATTACKER, 0).await);
    }
    server.script.until("the diagnoses", |seen| seen.diagnoses == 2).await;
    assert!(connects + 3 + 2 < TUNNELS, "{connects} terminals");

    // The neighbor opens a terminal and writes a file.
    let _terminal = server.socket(&terminal_of(MINE), &[NEIGHBOR]).await.unwrap();
    server.script.until("the neighbor's terminal", |seen| seen.connects == connects + 4).await;
    let mut file = send_head(&server, &format!("PUT /workspaces/{MINE}/files/a"), NEIGHBOR, BODY.len()).await;
    file.write_all(BODY.as_bytes()).await.unwrap();
    server.script.until("the neighbor's write", |seen| seen.connects == connects + 5).await;
}

/// One whose connections and diagnoses do not end.
fn diagnosable() -> Script {
    let mut script = script(Mode::Hang);
    script.report =
        Some(|| crate::model::Report::new(Default::default(), Default::default(), Default::default()));
    script.may_report.send_replace(false);
    script
}

#[tokio::test]
async fn one_users_diagnoses_leave_some_to_others() {
    let configure = |config: &mut Config| {
        config.max_diagnoses = 2;
        config.max_diagnoses_per_user = 1;
    };
    let server = start(diagnosable(), configure).await;
    let _first = send_head(&server, &format!("GET {}/diagnose", terminal_of(OTHERS)), ATTACKER, 0).await;
    server.script.until("the diagnosis", |seen| seen.diagnoses == 1).await;
    let second = send_head(&server, &format!("GET {}/diagnose", terminal_of(MINE)), ATTACKER, 0).await;
    assert_eq!(status(second).await, 429);
    let _neighbor = send_head(&server, &format!("GET {}/diagnose", terminal_of(MINE)), NEIGHBOR, 0).await;
    server.script.until("the neighbor's diagnosis", |seen| seen.diagnoses == 2).await;
}

#[tokio::test]
async fn one_workspace_leaves_write_slots() {
    let server = start(script(Mode::Hang), |config| config.max_file_requests_per_user = 9).await;
    let mut writes = Vec::new();
    for n in 0..4 {
        server.script.until("the writes", |seen| seen.connects == n).await;
        let mut stream =
            send_head(&server, &format!("PUT /workspaces/{MINE}/files/a"), NEIGHBOR, BODY.len()).await;
        stream.write_all(BODY.as_bytes()).await.unwrap();
        writes.push(stream);
    }
    assert_eq!(status(writes.pop().unwrap()).await, 429);
    let mut other =
        send_head(&server, &format!("PUT /workspaces/{OTHERS}/files/a"), ATTACKER, BODY.len()).await;
    other.write_all(BODY.as_bytes()).await.unwrap();
    server.script.until("the other workspace's write", |seen| seen.connects == 4).await;
}
