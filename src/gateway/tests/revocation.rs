//! Revocation closes open terminals; an outage does not.

use std::time::{Duration, Instant};

use super::memory::Memory;
use super::*;
use crate::gateway::control_plane::script::{Plane, Reply};
use crate::workspace::Status;

const PAGE: (&str, &str) = ("Origin", ORIGIN);
const SESSION: (&str, &str) = ("Cookie", "wos-session=1");
const REVOKED: &str = "You may not open this workspace any more.\r\n";
const INTERVAL: Duration = Duration::from_millis(20);

/// A gateway that re-validates at once, over a workspace and its sibling.
struct Lab {
    server: Server,
    memory: Arc<Memory>,
    plane: Plane,
    id: WorkspaceId,
    sibling: WorkspaceId,
    elsewhere: WorkspaceId,
}

async fn lab() -> Lab {
    lab_where(Mode::Open).await
}

/// The same, with this behavior of connecting.
async fn lab_where(mode: Mode) -> Lab {
    let plane = Plane::start(Reply::member("u_1")).await;
    let memory = Arc::new(Memory::default());
    let root = memory.workspace(None);
    let (id, sibling) = (memory.workspace(Some(root)), memory.workspace(Some(root)));
    let elsewhere = memory.workspace(Some(sibling));
    memory.token("of-it", &[id]);
    memory.token("org", &[]);
    let configure = |config: &mut Config| {
        config.recheck_interval = INTERVAL;
        // No terminal here is ended by it.
        config.attach_timeout = SOON * 100;
        config.platform.control_plane = Some(plane.config("acme"));
    };
    let server = Server::with(script(mode), memory.clone(), configure, |_| Router::new()).await;
    Lab { server, memory, plane, id, sibling, elsewhere }
}

impl Lab {
    fn path(&self) -> String {
        format!("/workspaces/{}/terminal", self.id)
    }

    async fn open(&self, headers: &[(&str, &str)]) -> Socket {
        self.server.socket(&self.path(), headers).await.unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// Waits until every open terminal was re-validated once more.
    async fn asked_again(&self) {
        self.memory.asked();
        let began = Instant::now();
        // The second query shows that the first round has ended.
        let mut found = 0;
        while found < 2 {
            assert!(began.elapsed() < SOON, "no query arrived");
            tokio::task::yield_now().await;
            found += self.memory.asked().into_iter().filter(|question| *question == "find").count();
        }
    }

    async fn cookie(&self, token: &str, before: &str) -> String {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), PAGE, ("Cookie", before), ("Content-Length", "0")];
        let answer = self.server.http("POST /auth/session", &headers).await;
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

/// Asserts that the terminal was closed by a revocation.
async fn revoked(mut socket: Socket) {
    let (_, text, close) = read_to_close(&mut socket).await;
    assert_eq!(close, Some((4403, "access revoked".into())));
    assert_eq!(text, REVOKED);
}

/// Asserts that the terminal continues.
async fn alive(lab: &Lab, socket: &mut Socket) {
    use futures_util::SinkExt as _;
    let before = lab.server.script.seen().written.len();
    socket.send(Message::text("x")).await.unwrap();
    lab.server.script.until("input", |seen| seen.written.len() > before).await;
}

#[tokio::test]
async fn revoked_token_closes_its_terminals() {
    let lab = lab().await;
    let mine = lab.open(&[("Authorization", "Bearer of-it")]).await;
    let mut others = lab.open(&[("Authorization", "Bearer org")]).await;
    lab.asked_again().await;
    lab.memory.revoke("of-it");
    revoked(mine).await;
    alive(&lab, &mut others).await;
}

/// Reads the end of a terminated `eicterm.v1` viewer: the close, and the `error` before it.
async fn cut_short(mut socket: Socket) -> (Option<(u16, String)>, serde_json::Value) {
    let (_, text, close) = read_to_close(&mut socket).await;
    let error = text.rfind("{\"t\":\"error\"").map(|at| serde_json::from_str(&text[at..]).unwrap());
    (close, error.unwrap_or_default())
}

#[tokio::test]
async fn unattached_viewer_is_closed_at_once() {
    let eicterm = ("Sec-WebSocket-Protocol", "eicterm.v1");
    let lab = lab().await;
    let mut others = lab.open(&[("Authorization", "Bearer org"), eicterm]).await;
    let socket = lab.open(&[("Authorization", "Bearer of-it"), eicterm]).await;
    lab.server.script.until("connecting", |seen| seen.connects == 2).await;
    lab.memory.revoke("of-it");
    let (close, error) = cut_short(socket).await;
    assert_eq!(close, Some((4403, "access revoked".into())));
    assert_eq!((&error["code"], &error["message"]), (&"ended".into(), &REVOKED.trim_end().into()));
    // The other one may still attach late.
    let attach = Message::binary(&b"\x10{\"cols\":80,\"rows\":24}"[..]);
    futures_util::SinkExt::send(&mut others, attach).await.unwrap();
    lab.server.script.until("the terminal", |seen| seen.requests.len() == 1).await;
}

#[tokio::test]
async fn unattached_viewer_gets_every_reason() {
    use crate::session::Kill;
    let eicterm = ("Sec-WebSocket-Protocol", "eicterm.v1");
    let mut lab = lab().await;
    let socket = lab.open(&[("Authorization", "Bearer org"), eicterm]).await;
    let session = lab.server.gateway.sessions().list()[0].id;
    assert!(lab.server.gateway.sessions().kill(session, Kill::Request));
    assert_eq!(cut_short(socket).await.0, Some((4404, "ended".into())));
    let socket = lab.open(&[("Authorization", "Bearer org"), eicterm]).await;
    lab.server.drain();
    assert_eq!(cut_short(socket).await.0, Some((1001, "gateway restarting".into())));
}

#[tokio::test]
async fn revocation_abandons_connecting() {
    let lab = lab_where(Mode::Hang).await;
    let bearer = ("Authorization", "Bearer of-it");
    let legacy = lab.open(&[bearer]).await;
    let mut eicterm = lab.open(&[bearer, ("Sec-WebSocket-Protocol", "eicterm.v1")]).await;
    let attach = Message::binary(&b"\x10{\"cols\":80,\"rows\":24}"[..]);
    futures_util::SinkExt::send(&mut eicterm, attach).await.unwrap();
    assert!(matches!(next(&mut eicterm).await, Some(Ok(Message::Text(hello))) if hello.contains("hello")));
    lab.server.script.until("connecting", |seen| seen.connects == 2).await;
    lab.memory.revoke("of-it");
    revoked(legacy).await;
    assert_eq!(cut_short(eicterm).await.0, Some((4403, "access revoked".into())));
    lab.server.script.until("giving up", |seen| seen.abandoned == 2).await;
    lab.server.idle().await;
}

#[tokio::test]
async fn reload_revokes_the_admin_token() {
    let lab = lab().await;
    let mut config = Config::clone(&lab.server.gateway.state.config());
    config.platform.admin_token = BearerToken::new("admin").map(|token| token.digest());
    lab.server.gateway.reconfigure(config.clone());
    let socket = lab.open(&[("Authorization", "Bearer admin")]).await;
    lab.asked_again().await;
    config.platform.admin_token = BearerToken::new("another").map(|token| token.digest());
    lab.server.gateway.reconfigure(config);
    revoked(socket).await;
}

#[tokio::test]
async fn moved_token_closes_its_terminals() {
    let lab = lab().await;
    let socket = lab.open(&[("Authorization", "Bearer of-it")]).await;
    lab.memory.token("of-it", &[lab.sibling]);
    revoked(socket).await;
}

#[tokio::test]
async fn removed_workspace_closes_terminals() {
    for gone in
        [|lab: &Lab| lab.memory.set_status(lab.id, Status::Removed), |lab: &Lab| lab.memory.delete(lab.id)]
    {
        let lab = lab().await;
        let socket = lab.open(&[("Authorization", "Bearer org")]).await;
        lab.memory.set_status(lab.id, Status::Paused);
        lab.asked_again().await;
        assert_eq!(lab.server.gateway.sessions().live(), 1, "any other status ends nothing");
        gone(&lab);
        revoked(socket).await;
    }
}

#[tokio::test]
async fn removed_member_loses_terminals() {
    let lab = lab().await;
    let socket = lab.open(&[SESSION, PAGE]).await;
    let began = Instant::now();
    lab.plane.reply(Reply::stranger());
    revoked(socket).await;
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for the kept answer");
    let again = lab.server.socket(&lab.path(), &[SESSION, PAGE]).await.unwrap_err();
    assert_eq!(again.status, 401, "and the kept answer is gone");
}

#[tokio::test]
async fn sign_out_closes_terminals() {
    let lab = lab().await;
    let first = lab.cookie("of-it", "").await;
    let mut socket = lab.open(&[("Cookie", &first), PAGE]).await;
    // The page's link, opened again: a new cookie of the same user.
    let second = lab.cookie("of-it", &first).await;
    assert_ne!(first, second);
    lab.asked_again().await;
    alive(&lab, &mut socket).await;
    assert_eq!(lab.server.http("DELETE /auth/session", &[("Cookie", &second), PAGE]).await.status, 204);
    revoked(socket).await;

    let first = lab.cookie("of-it", "").await;
    let socket = lab.open(&[("Cookie", &first), PAGE]).await;
    lab.cookie("org", &first).await;
    revoked(socket).await;
}

#[tokio::test]
async fn ticket_terminal_ends_with_issuer() {
    let lab = lab().await;
    let open = async |credential: (&str, &str), claim: &str| {
        let headers = [credential, PAGE, ("X-Workspace-ID", claim), ("Content-Length", "0")];
        let answer = lab.server.http(&format!("POST {}/ticket", lab.path()), &headers).await;
        let offers = format!("eicterm.v1, ticket.{}", answer.json()["ticket"].as_str().unwrap());
        let mut socket = lab.open(&[PAGE, ("Sec-WebSocket-Protocol", &offers)]).await;
        let attach = Message::binary(&b"\x10{\"cols\":80,\"rows\":24}"[..]);
        futures_util::SinkExt::send(&mut socket, attach).await.unwrap();
        socket
    };
    let revoked = async |mut socket| {
        let (_, text, close) = read_to_close(&mut socket).await;
        assert_eq!(close, Some((4403, "access revoked".into())), "{text}");
    };
    let by_token = open(("Authorization", "Bearer of-it"), "").await;
    let by_session = open(SESSION, "").await;
    lab.memory.revoke("of-it");
    revoked(by_token).await;
    assert_eq!(lab.server.gateway.sessions().live(), 1);
    lab.plane.reply(Reply::stranger());
    revoked(by_session).await;
    // And with its original claim.
    let claimed = open(("Authorization", "Bearer org"), &lab.sibling.to_string()).await;
    lab.memory.change(lab.sibling, |workspace| workspace.parent = Some(lab.elsewhere));
    revoked(claimed).await;
}

#[tokio::test]
async fn lost_claim_closes_one_terminal() {
    let lab = lab().await;
    let sibling = lab.sibling.to_string();
    let bearer = ("Authorization", "Bearer org");
    let claimed = lab.open(&[bearer, ("X-Workspace-ID", &sibling)]).await;
    let mut plain = lab.open(&[bearer]).await;
    lab.asked_again().await;
    lab.memory.change(lab.sibling, |workspace| workspace.parent = Some(lab.elsewhere));
    revoked(claimed).await;
    alive(&lab, &mut plain).await;

    // A token that no longer acts for the caller.
    lab.memory.change(lab.sibling, |workspace| workspace.parent = Some(lab.id));
    lab.memory.token("of-both", &[lab.id, lab.sibling]);
    let headers = [("Authorization", "Bearer of-both"), ("X-Workspace-ID", sibling.as_str())];
    let socket = lab.open(&headers).await;
    lab.memory.token("of-both", &[lab.id]);
    revoked(socket).await;
}

#[tokio::test]
async fn end_of_development_closes_terminals() {
    let lab = lab().await;
    let mut config = Config::clone(&lab.server.gateway.state.config());
    config.platform.environment = crate::gateway::Environment::Development;
    lab.server.gateway.reconfigure(config.clone());
    let socket = lab.open(&[PAGE]).await;
    config.platform.environment = crate::gateway::Environment::Production;
    lab.server.gateway.reconfigure(config);
    revoked(socket).await;
}

#[tokio::test]
async fn outage_closes_nothing() {
    let lab = lab().await;
    let sibling = lab.sibling.to_string();
    let mut by_session = lab.open(&[SESSION, PAGE]).await;
    let mut by_token = lab.open(&[("Authorization", "Bearer org"), ("X-Workspace-ID", &sibling)]).await;
    lab.plane.reply(Reply::Says(500, String::new()));
    lab.memory.set_down(true);
    lab.memory.revoke("org");
    // The first query of each round fails, and no other follows.
    let asked = lab.plane.seen().len();
    let began = Instant::now();
    while lab.plane.seen().len() < asked + 3 {
        assert!(began.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    alive(&lab, &mut by_token).await;
    alive(&lab, &mut by_session).await;
    lab.memory.set_down(false);
    revoked(by_token).await;
    alive(&lab, &mut by_session).await;
}

#[tokio::test]
async fn invalid_entry_closes_nothing() {
    let lab = lab().await;
    let org = ("Authorization", "Bearer org");
    let mut spoilt = lab.open(&[org]).await;
    let path = format!("/workspaces/{}/terminal", lab.sibling);
    let other = lab.server.socket(&path, &[org]).await.unwrap();
    lab.memory.spoil(lab.id);
    // Not an outage: in every round both workspaces are queried after the one token.
    lab.asked_again().await;
    let mut asked = lab.memory.asked();
    while asked.iter().filter(|question| **question == "authenticate").count() < 20 {
        tokio::task::yield_now().await;
        asked.extend(lab.memory.asked());
    }
    let rounds: Vec<_> = asked.split(|question| *question == "authenticate").collect();
    let [_, whole @ .., _] = &rounds[..] else { panic!("{asked:?}") };
    assert!(whole.iter().all(|round| *round == ["find", "find"]), "{asked:?}");

    alive(&lab, &mut spoilt).await;
    lab.memory.set_status(lab.sibling, Status::Removed);
    revoked(other).await;
    alive(&lab, &mut spoilt).await;
    lab.memory.revoke("org");
    revoked(spoilt).await;
}

#[tokio::test]
async fn rechecks_are_shared_per_credential() {
    let lab = lab().await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(lab.open(&[("Authorization", "Bearer org")]).await);
    }
    lab.asked_again().await;
    lab.memory.asked();
    let mut asked = Vec::new();
    while asked.len() < 20 {
        tokio::task::yield_now().await;
        asked.extend(lab.memory.asked());
    }
    assert!(asked.windows(2).all(|two| two[0] != two[1]), "{asked:?}");

    sockets.clear();
    let began = Instant::now();
    while lab.server.gateway.state.grants.is_watched() {
        assert!(began.elapsed() < SOON, "a query arrived");
        tokio::task::yield_now().await;
    }
    // It starts again with the next terminal.
    let socket = lab.open(&[("Authorization", "Bearer of-it")]).await;
    lab.memory.revoke("of-it");
    revoked(socket).await;
}

#[tokio::test]
async fn the_watch_ends_with_the_gateway() {
    let lab = lab().await;
    let Lab { mut server, memory, plane, id, .. } = lab;
    let path = format!("/workspaces/{id}/terminal");
    let socket = server.socket(&path, &[("Authorization", "Bearer org")]).await.unwrap();
    let state = Arc::downgrade(&server.gateway.state);
    server.drain();
    drop(socket);
    timeout(SOON, &mut server.task).await.unwrap().unwrap().unwrap();
    drop(server);
    let began = Instant::now();
    while state.strong_count() > 0 {
        assert!(began.elapsed() < SOON, "something holds the gateway");
        tokio::task::yield_now().await;
    }
    drop((memory, plane));
}
