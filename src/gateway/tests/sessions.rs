//! Listing and ending open terminals.

use serde_json::json;

use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");

fn list_of(id: &str) -> String {
    format!("GET /workspaces/{id}/terminal/sessions")
}

#[tokio::test]
async fn listed_terminal_can_be_ended() {
    let server = Server::start(script(Mode::Open)).await;
    assert_eq!(server.http(&list_of(MINE), &[BEARER]).await.json(), json!([]));
    let mut socket = server.terminal().await;
    server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    server.script.say(b"hello");
    assert!(matches!(next(&mut socket).await, Some(Ok(Message::Binary(data))) if data.as_ref() == b"hello"));

    let listed = server.http(&list_of(MINE), &[BEARER]).await.json();
    let [session] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&session["workspace"], &session["user"]), (&json!(MINE), &json!("ci")));
    assert_eq!((&session["input_bytes"], &session["output_bytes"]), (&json!(0), &json!(5)));
    assert!(session["age_secs"].as_u64().unwrap() < 60);
    let opened_at = session["opened_at"].as_str().unwrap();
    assert!(opened_at.len() == 20 && opened_at.starts_with("20") && opened_at.ends_with('Z'), "{opened_at}");
    assert_eq!(server.http("GET /terminal/sessions", &[BEARER]).await.json(), listed);

    let end = format!("DELETE /workspaces/{MINE}/terminal/sessions/{}", session["id"].as_str().unwrap());
    let answer = server.http(&end, &[BEARER]).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!(close, Some((4404, "ended".into())));
    assert_eq!(text, "The terminal was ended by an operator.\r\n");
    server.idle().await;
    assert_eq!(server.http(&end, &[BEARER]).await.status, 404, "it is over");
}

#[tokio::test]
async fn foreign_session_is_not_found() {
    let directory = Arc::new(FileDirectory::parse(&two_tokens()).unwrap());
    let server = Server::with(script(Mode::Open), directory, |_| {}, |_| Router::new()).await;
    let _socket = server.terminal().await;
    server.script.until("the terminal", |seen| !seen.requests.is_empty()).await;
    let session = server.gateway.sessions().list().first().unwrap().id;
    let other = ("Authorization", "Bearer other");
    let end = |workspace: &str, session: &str| {
        format!("DELETE /workspaces/{workspace}/terminal/sessions/{session}")
    };
    // The caller may open that workspace, but the session is in another.
    for (id, header) in [(OTHERS, other), (OTHERS, BEARER)] {
        let answer = server.http(&end(id, &session.to_string()), &[header]).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (404, &json!("session not found")),
            "{header:?}"
        );
    }
    for unknown in ["x", "00000000-0000-4000-8000-000000000000", "%2e%2e", "%00"] {
        let answer = server.http(&end(MINE, unknown), &[BEARER]).await;
        assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("session not found")), "{unknown}");
    }
    // The caller may not open this one.
    let answer = server.http(&end(MINE, &session.to_string()), &[other]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid workspace auth token")));
    assert_eq!(server.http(&list_of(MINE), &[other]).await.status, 401);
    assert_eq!(server.http("GET /terminal/sessions", &[other]).await.json(), json!([]), "none of theirs");
    for request in [list_of(MINE), end(MINE, &session.to_string()), "GET /terminal/sessions".into()] {
        assert_eq!(server.http(&request, &[]).await.status, 401, "{request}");
        let evil = [BEARER, ("Origin", "https://evil.test")];
        assert_eq!(server.http(&request, &evil).await.status, 403, "{request}");
    }
    assert_eq!(server.gateway.sessions().live(), 1, "it goes on");
}

/// Two workspaces: the token `abc` opens both, `other` the second.
fn two_tokens() -> String {
    let workspace = |id: &str| format!("[[workspace]]\nid = {id:?}\nname = \"w\"\ninstance = \"i-1\"\n");
    let token = |name: &str, workspaces: &str| {
        let digest = BearerToken::new(name).unwrap().digest();
        format!("[[token]]\nname = {name:?}\nsha256 = \"{digest}\"\nworkspaces = {workspaces}\n")
    };
    let tokens = token("abc", "\"*\"") + &token("other", &format!("[{OTHERS:?}]"));
    workspace(MINE) + &workspace(OTHERS) + &tokens
}
