//! The signed-in user, as queried by the page.

use serde_json::json;

use super::*;

const BEARER: (&str, &str) = ("Authorization", "Bearer abc");
const OTHER: (&str, &str) = ("Authorization", "Bearer all");

#[tokio::test]
async fn identity_compares_token_and_session() {
    let server = Server::start(script(Mode::Open)).await;
    let signed_in =
        server.http("POST /auth/session", &[BEARER, ("Origin", ORIGIN), ("Content-Length", "0")]).await;
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let (page, cookie) = (("Origin", ORIGIN), ("Cookie", cookie.as_str()));
    for (headers, name, is_signed_in) in [
        (&[page, cookie][..], "ci", true),
        (&[page, cookie, BEARER], "ci", true),
        (&[page, cookie, OTHER], "org", false),
        (&[page, BEARER], "ci", false),
    ] {
        let answer = server.http("GET /auth/session", headers).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"name": name, "signed_in": is_signed_in})));
        assert_eq!(answer.header("set-cookie"), "", "asking changes nothing");
    }
    let wrong = ("Authorization", "Bearer no");
    for headers in [&[page][..], &[page, cookie, wrong], &[cookie]] {
        assert_eq!(server.http("GET /auth/session", headers).await.status, 401, "{headers:?}");
    }
    let evil = [("Origin", "https://evil.test"), cookie];
    assert_eq!(server.http("GET /auth/session", &evil).await.status, 403);
}
