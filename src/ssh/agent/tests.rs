//! The agent with russh's agent client, and with a client that violates the protocol.

use futures_util::FutureExt;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Verifier;
use russh::keys::{PublicKey, agent};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;

use super::*;

fn agent_with(known: watch::Receiver<Option<bool>>) -> (Agent, EphemeralKey) {
    let key = EphemeralKey::generate().unwrap();
    let known: KeyKnown = Arc::new(move || {
        let mut known = known.clone();
        async move { known.wait_for(Option::is_some).await.is_ok_and(|known| *known == Some(true)) }.boxed()
    });
    (Agent::new(key.clone(), "eice", known).unwrap(), key)
}

fn agent() -> (Agent, EphemeralKey) {
    agent_with(watch::channel(Some(true)).1)
}

/// Returns the client's end of a connection to `agent`.
fn connected(agent: &Agent) -> DuplexStream {
    let (ours, theirs) = duplex(1 << 20);
    let agent = agent.clone();
    tokio::spawn(async move { agent.serve(theirs).await });
    ours
}

fn public(key: &EphemeralKey) -> PublicKey {
    PublicKey::from_openssh(&key.public_openssh().unwrap()).unwrap()
}

/// Sends one request and returns the answer; `None` if the agent closes instead.
async fn ask(stream: &mut DuplexStream, request: &[u8]) -> Option<Bytes> {
    let mut message = BytesMut::new();
    put_string(&mut message, request);
    stream.write_all(&message).await.unwrap();
    read(stream).await.unwrap()
}

#[tokio::test]
async fn agent_lists_its_key_and_signs() {
    let (agent, key) = agent();
    let mut client = AgentClient::connect(connected(&agent));
    let identities = client.request_identities().await.unwrap();
    let [agent::AgentIdentity::PublicKey { key: named, comment }] = identities.as_slice() else {
        panic!("{identities:?}")
    };
    assert_eq!((named.key_data(), comment.as_str()), (public(&key).key_data(), "eice"));
    let data = b"what ssh wants signed".to_vec();
    let identity = identities.into_iter().next().unwrap();
    let signed = client.sign_request(&identity, None, data.clone()).await.unwrap();
    // The client returns the signed data with the signature appended.
    let mut signature = Bytes::from(signed).split_off(data.len());
    let mut signature = string(&mut signature).unwrap();
    assert_eq!(string(&mut signature).unwrap(), "ssh-ed25519");
    let signature = Signature::new(russh::keys::Algorithm::Ed25519, string(&mut signature).unwrap()).unwrap();
    public(&key).key_data().verify(&data, &signature).unwrap();
    assert!(public(&key).key_data().verify(b"something else", &signature).is_err());
}

#[tokio::test]
async fn key_is_listed_only_once_known() {
    let (announce, known) = watch::channel(None);
    let (agent, _) = agent_with(known);
    let mut stream = connected(&agent);
    let asking = ask(&mut stream, &[REQUEST_IDENTITIES]);
    tokio::pin!(asking);
    tokio::select! {
        answer = &mut asking => panic!("{answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    announce.send_replace(Some(true));
    assert_eq!(asking.await.unwrap()[0], IDENTITIES_ANSWER);
}

#[tokio::test]
async fn unknown_key_ends_the_connection() {
    let (agent, _) = agent_with(watch::channel(Some(false)).1);
    assert_eq!(ask(&mut connected(&agent), &[REQUEST_IDENTITIES]).await, None);
}

#[tokio::test]
async fn other_requests_fail() {
    let (agent, key) = agent();
    let mut stream = connected(&agent);
    let failure: &[u8] = &[FAILURE];
    // Add, remove, lock, smartcards, extensions such as session-bind@openssh.com, and unknown requests.
    for kind in (0..=255).filter(|kind| ![REQUEST_IDENTITIES, SIGN_REQUEST].contains(kind)) {
        let answer = ask(&mut stream, &[kind, 0, 0, 0, 1, b'x']).await.unwrap();
        assert_eq!(answer, failure, "{kind}");
    }
    // Signatures by another key, and truncated requests.
    let other = EphemeralKey::generate().unwrap();
    let mut whole = BytesMut::new();
    whole.put_u8(SIGN_REQUEST);
    put_string(&mut whole, &key.public_bytes().unwrap());
    put_string(&mut whole, b"data");
    whole.put_u32(0);
    let mut of_another = BytesMut::new();
    of_another.put_u8(SIGN_REQUEST);
    put_string(&mut of_another, &other.public_bytes().unwrap());
    put_string(&mut of_another, b"data");
    of_another.put_u32(0);
    assert_eq!(ask(&mut stream, &of_another).await.unwrap(), failure);
    for cut in 1..whole.len() - 4 {
        assert_eq!(ask(&mut stream, &whole[..cut]).await.unwrap(), failure, "{cut}");
    }
    assert_eq!(ask(&mut stream, &whole).await.unwrap()[0], SIGN_RESPONSE);
}

#[tokio::test]
async fn oversized_or_empty_request_disconnects() {
    let (agent, _) = agent();
    for length in [0, MAX_REQUEST + 1, u32::MAX] {
        let mut stream = connected(&agent);
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "{length}");
    }
}

#[test]
fn debug_redacts_the_key() {
    let (agent, _) = agent();
    assert_eq!(format!("{agent:?}"), "Agent { comment: \"eice\", .. }");
}
