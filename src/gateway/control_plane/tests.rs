//! Queries to a server of this process, over real sockets.

use std::error::Error as _;

use axum::http::header::COOKIE;
use futures_util::future::join_all;

use super::script::{Plane, Question, Reply};
use super::*;

fn cookies(line: &str) -> SessionCookies {
    SessionCookies::of(&HeaderMap::from_iter([(COOKIE, line.parse().unwrap())])).unwrap()
}

/// Returns the user of the session cookie `line`.
async fn ask(members: &Members, plane: &Plane, line: &str) -> Result<Option<String>, ControlPlaneError> {
    let member = members.member(&plane.config("acme"), &cookies(line), AuthMode::Use).await?;
    Ok(member.map(|member| member.name))
}

fn because(error: &ControlPlaneError) -> String {
    error.source().unwrap().to_string()
}

#[test]
fn our_cookies_are_not_forwarded() {
    let of = |lines: &[&str]| {
        let headers = lines.iter().map(|line| (COOKIE, line.parse().unwrap()));
        SessionCookies::of(&HeaderMap::from_iter(headers)).map(|cookies| cookies.0.to_string())
    };
    let ours = format!("__Host-eice-session-443={}", "0".repeat(64));
    assert_eq!(of(&[&format!("a=1; {ours};b=2")]).unwrap(), "a=1; b=2");
    assert_eq!(of(&["a=1", &ours, "eice-session-8080=x; c=3"]).unwrap(), "a=1; c=3");
    assert_eq!(of(&[&ours]), None);
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[" ; ;"]), None);
    assert_eq!(of(&["a=\u{e4}"]), None, "a cookie that is not text is no session");
    assert_eq!(of(&[&"x".repeat(MAX_COOKIES + 1)]), None);
    assert!(!format!("{:?}", cookies("a=canary")).contains("canary"));
}

#[tokio::test]
async fn member_query_matches_the_platform() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let members = Members::new();
    for _ in 0..3 {
        let member =
            members.member(&plane.config("acme"), &cookies("a=1; b=2"), AuthMode::Use).await.unwrap();
        let expected = Principal::of_kind("member:u_1", CredentialKind::Member, Access::All);
        assert_eq!(member, Some(expected));
    }
    let question = Question {
        uri: "/cp/auth/tenant-member?slug=acme".into(),
        cookie: "a=1; b=2".into(),
        agent: "molecule-tenant-platform/session-verifier".into(),
    };
    assert_eq!(plane.seen(), [question]);
}

#[tokio::test]
async fn answers_are_cached_and_forgotten() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let members = Members::new();
    ask(&members, &plane, "s=member").await.unwrap();
    plane.reply(Reply::stranger());
    ask(&members, &plane, "s=stranger").await.unwrap();
    let kept = |line: &str, seconds: u64| {
        let key = Fingerprint::of(&[b"acme", cookies(line).0.as_bytes()]);
        members.answers().get(&key, Instant::now() + Duration::from_secs(seconds)).is_some()
    };
    assert!(kept("s=member", 25) && !kept("s=member", 30));
    assert!(kept("s=stranger", 0) && !kept("s=stranger", 5));
    members.forget();
    assert_eq!(ask(&members, &plane, "s=member").await.unwrap(), None);
    assert_eq!(plane.seen().len(), 3);
}

#[tokio::test]
async fn what_is_no_membership_is_a_no() {
    let plane = Plane::start(Reply::stranger()).await;
    let members = Members::new();
    for (n, (status, body)) in [
        (401, ""),
        (403, "no"),
        (404, ""),
        (200, r#"{"member":false,"user_id":"u_1"}"#),
        (200, r#"{"user_id":"u_1"}"#),
        (200, r#"{"member":true}"#),
        (200, r#"{"member":true,"user_id":""}"#),
        (200, "{}"),
    ]
    .into_iter()
    .enumerate()
    {
        plane.reply(Reply::Says(status, body.into()));
        let line = format!("s={n}");
        assert_eq!(ask(&members, &plane, &line).await.unwrap(), None, "{status} {body}");
        plane.reply(Reply::member("u_1"));
        assert_eq!(ask(&members, &plane, &line).await.unwrap(), None, "the answer is cached");
    }
}

#[tokio::test]
async fn outages_are_not_cached() {
    let plane = Plane::start(Reply::stranger()).await;
    let elsewhere = Plane::start(Reply::member("u_1")).await;
    let members = Members::new();
    let huge = format!(r#"{{"member":true,"user_id":"u_1","x":"{}"}}"#, "x".repeat(MAX_ANSWER));
    let long = format!(r#"{{"member":true,"user_id":"{}"}}"#, "x".repeat(MAX_USER_ID + 1));
    for (reply, cause) in [
        (Reply::Says(500, String::new()), "it answered 500"),
        (Reply::Says(503, "{}".into()), "it answered 503"),
        (Reply::Says(429, String::new()), "it answered 429"),
        (Reply::Says(204, String::new()), "it answered 204"),
        (Reply::Redirects(elsewhere.url()), "it answered 302"),
        (Reply::Says(200, "<html>canary</html>".into()), "it answered no membership"),
        (Reply::Says(200, String::new()), "it answered no membership"),
        (Reply::Says(200, r#"{"member":true,"user_id":7}"#.into()), "it answered no membership"),
        (Reply::Says(200, r#"{"member":"yes","user_id":"u_1"}"#.into()), "it answered no membership"),
        (Reply::Says(200, huge), "length limit exceeded"),
        (Reply::Says(200, long), "it answered a user's id above 200 bytes"),
    ] {
        plane.reply(reply);
        let error = ask(&members, &plane, "s=1").await.unwrap_err();
        assert!(because(&error).starts_with(cause), "{} is not {cause}", because(&error));
        assert!(!because(&error).contains("canary"));
    }
    assert!(elsewhere.seen().is_empty(), "cookies followed a redirect");
    assert_eq!(members.answers().len(), 0);
    plane.reply(Reply::member("u_1"));
    assert_eq!(ask(&members, &plane, "s=1").await.unwrap().as_deref(), Some("member:u_1"));

    let gone = plane.stop().await;
    let refused = members.member(&gone, &cookies("s=2"), AuthMode::Use).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn missing_answer_times_out() {
    let plane = Plane::start(Reply::Hangs).await;
    let members = Members::new();
    let began = Instant::now();
    let error = ask(&members, &plane, "s=1").await.unwrap_err();
    assert_eq!(because(&error), "it did not answer in time");
    assert!(began.elapsed() >= ANSWER_TIMEOUT && began.elapsed() < ANSWER_TIMEOUT * 3);
}

#[tokio::test]
async fn concurrent_queries_are_shared() {
    let plane = Plane::start(Reply::Hangs).await;
    let members = Members::new();
    for reply in [Reply::Says(500, String::new()), Reply::member("u_1")] {
        plane.reply(Reply::Hangs);
        let before = plane.seen().len();
        let all = join_all((0..50).map(|_| ask(&members, &plane, "s=1")));
        let release = async {
            while plane.seen().len() == before {
                tokio::task::yield_now().await;
            }
            plane.reply(reply);
        };
        let (answers, ()) = tokio::join!(all, release);
        assert_eq!(plane.seen().len(), before + 1);
        let is_same =
            |answer: &Result<Option<String>, ControlPlaneError>| answer.is_ok() == answers[0].is_ok();
        assert!(answers.iter().all(is_same));
    }
    assert!(members.flights().is_empty(), "a flight stayed");
    // A caller that leaves during its query leaves nothing behind and blocks nobody.
    plane.reply(Reply::Hangs);
    assert!(timeout(Duration::from_millis(50), ask(&members, &plane, "s=2")).await.is_err());
    assert!(members.flights().is_empty());
    plane.reply(Reply::member("u_2"));
    assert_eq!(ask(&members, &plane, "s=2").await.unwrap().as_deref(), Some("member:u_2"));
}

#[tokio::test]
async fn organisations_are_told_apart() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let members = Members::new();
    let ask = async |slug| {
        let member = members.member(&plane.config(slug), &cookies("s=1"), AuthMode::Use).await;
        member.unwrap().is_some()
    };
    assert!(ask("acme").await);
    plane.reply(Reply::stranger());
    assert!(!ask("bob").await && ask("acme").await);
    assert_eq!(plane.seen().len(), 2);
}

#[tokio::test]
async fn recheck_bypasses_and_renews_cache() {
    let plane = Plane::start(Reply::member("u_1")).await;
    let members = Members::new();
    let config = plane.config("acme");
    let ask = async |purpose| members.member(&config, &cookies("s=1"), purpose).await.unwrap().is_some();
    assert!(ask(AuthMode::Use).await);
    plane.reply(Reply::stranger());
    assert!(ask(AuthMode::Use).await);
    assert!(!ask(AuthMode::Recheck).await);
    assert!(!ask(AuthMode::Use).await, "the newest answer is cached");
}

#[tokio::test]
async fn user_id_is_escaped_in_logs() {
    let plane = Plane::start(Reply::member("u\u{1b}[2J\nforged")).await;
    let name = ask(&Members::new(), &plane, "s=1").await.unwrap().unwrap();
    assert!(name.starts_with("member:u") && !name.chars().any(char::is_control), "{name}");
}

#[cfg(feature = "emulator")]
#[tokio::test]
async fn untrusted_certificate_is_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let body = r#"{"member":true,"user_id":"u_1"}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let plane = ControlPlane::new(&format!("https://localhost:{port}"), "acme").unwrap();
    let ask = async |members: Members| members.member(&plane, &cookies("s=1"), AuthMode::Use).await;
    assert!(ask(Members::new()).await.is_err(), "no trusted authority signed it");
    let trusting = Members { trusted: Some(vec![certificate]), ..Members::new() };
    assert!(ask(trusting).await.unwrap().is_some());
    task.abort();
}
