//! Bodies that do not come, and too many of them.

use super::*;

const BODY: &str = r#"{"content":"x"}"#;

fn file_of(id: &str) -> String {
    format!("PUT /workspaces/{id}/files/a")
}

#[tokio::test]
async fn bodies_that_do_not_come_take_no_slot() {
    let server = start(script(Mode::Hang), |config| config.max_file_requests = 2).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(send_head(&server, &file_of(OTHERS), ATTACKER, 1 << 20).await);
    }
    eventually("the heads", || server.gateway.state.in_progress.taken() == 20).await;
    assert_eq!(server.gateway.state.writers.taken(), 0);
    let mut neighbor = send_head(&server, &file_of(MINE), NEIGHBOR, BODY.len()).await;
    neighbor.write_all(BODY.as_bytes()).await.unwrap();
    server.script.until("the neighbor's write", |seen| seen.connects == 1).await;
    assert_eq!(server.gateway.state.writers.taken(), 1);
    drop((waiting, neighbor));
    eventually("all is given back", || server.gateway.state.in_progress.taken() == 0).await;
    assert_eq!((server.gateway.state.writers.taken(), server.gateway.state.bodies.taken()), (0, 0));
}

#[tokio::test]
async fn bodies_of_one_user_leave_memory_to_others() {
    let server = start(script(Mode::Hang), |config| config.max_files_body = 1000).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut stream = send_head(&server, &file_of(OTHERS), ATTACKER, 1000).await;
        stream.write_all(&[b' '; 999]).await.unwrap();
        waiting.push(stream);
    }
    eventually("the bodies", || server.gateway.state.bodies.taken() == 4 * 999).await;
    let mut beyond = send_head(&server, &file_of(OTHERS), ATTACKER, 1000).await;
    beyond.write_all(&[b' '; 999]).await.unwrap();
    assert_eq!(status(beyond).await, 429);
    let mut neighbor = send_head(&server, &file_of(MINE), NEIGHBOR, BODY.len()).await;
    neighbor.write_all(BODY.as_bytes()).await.unwrap();
    server.script.until("the neighbor's write", |seen| seen.connects == 1).await;
    drop(waiting);
}

#[tokio::test]
async fn one_user_leaves_connections() {
    let server = start(script(Mode::Hang), |_| {}).await;
    let mut waiting = Vec::new();
    for _ in 0..128 {
        waiting.push(send_head(&server, &file_of(OTHERS), ATTACKER, 10).await);
    }
    eventually("the heads", || server.gateway.state.in_progress.taken() == 128).await;
    let refused = server.http("GET /workspaces", &[ATTACKER]).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("busy")));
    assert_eq!(server.http("GET /workspaces", &[NEIGHBOR]).await.status, 200);
    drop(waiting);
    eventually("all is given back", || server.gateway.state.in_progress.taken() == 0).await;
    assert_eq!(server.http("GET /workspaces", &[ATTACKER]).await.status, 200);
}
