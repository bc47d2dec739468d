//! Three cases in which `russh::keys::known_hosts` would trust too much or block, and what this code does instead.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::keys::known_hosts::{check_known_hosts_path, known_host_keys_path, learn_known_hosts_path};
use russh::keys::{PublicKey, parse_public_key_base64};
use tokio::time::timeout;

use super::sshd::Sshd;
use super::*;
use crate::ssh::HostKeySource;
use crate::ssh::host_keys::{FileHostKeys, HostKey, KeyOrigin, StoreError};

const LONG: Duration = Duration::from_secs(30);

fn key() -> HostKey {
    HostKey::parse(&any_public()).unwrap()
}

fn any_public() -> String {
    EphemeralKey::generate().unwrap().public_openssh().unwrap()
}

fn raw(line: &str) -> PublicKey {
    parse_public_key_base64(line.split(' ').nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn other_algorithm_is_not_an_unknown_key() {
    let (server, other_kind) = (Sshd::new(&["ed25519"], ""), Sshd::new(&["ecdsa"], ""));
    // russh: "no such key is known", so the caller would learn it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    learn_known_hosts_path("i-1", 22, &raw(&server.host_key("ed25519")), &file).unwrap();
    assert!(!check_known_hosts_path("i-1", 22, &raw(&other_kind.host_key("ecdsa")), &file).unwrap());

    let keys = Arc::new(MemoryHostKeys::new());
    let user = "root".parse().unwrap();
    let config = Config::default();
    let attempt = async |server: &Sshd| {
        let (stream, _child) = server.connect();
        handshake(stream, &config, tofu(&keys), &user, &ignore).await
    };
    attempt(&server).await.unwrap();
    let error = attempt(&other_kind).await.unwrap_err();
    assert!(matches!(&error, Error::HostKeyMissing { pinned, .. } if pinned.len() == 1), "{error}");
    assert_eq!(keys.pins().iter().count(), 1, "nothing was learnt");
    // A server that has both shows the pinned one, not the one that it prefers.
    let both = Sshd::new(&["ed25519", "ecdsa"], "");
    let keys = Arc::new(MemoryHostKeys::new());
    keys.pin(&scope(), &HostKey::parse(&both.host_key("ecdsa")).unwrap()).unwrap();
    let (stream, _child) = both.connect();
    handshake(stream, &config, tofu(&keys), &user, &ignore).await.unwrap();
}

#[tokio::test]
async fn unreadable_store_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    // Root may read every file, but a socket cannot be opened as a file.
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(known_host_keys_path("i-1", 22, &path).unwrap().is_empty(), "russh: nothing is known");

    let store = FileHostKeys::new(&path);
    assert!(matches!(store.known(&scope()).await, Err(StoreError::Io { .. })));
    assert!(matches!(store.learn(&scope(), &[key()], KeyOrigin::FirstUse).await, Err(StoreError::Io { .. })));
    let server = Sshd::new(&["ed25519"], "");
    let (stream, _child) = server.connect();
    let check = HostKeyCheck::pinned(scope(), Arc::new(store), HostKeyPolicy::TrustOnFirstUse);
    let refused = handshake(stream, &Config::default(), check, &"root".parse().unwrap(), &ignore).await;
    assert!(matches!(refused, Err(Error::HostKeyStore(_))), "{:?}", refused.err());
}

#[tokio::test(flavor = "current_thread")]
async fn slow_disk_does_not_block_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.json");
    // Opening a pipe for reading waits for a writer. russh would block this very thread.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let store = FileHostKeys::new(&path);
    let is_known = Arc::new(AtomicBool::new(false));
    let looking = tokio::spawn({
        let (store, is_known) = (store.clone(), Arc::clone(&is_known));
        async move {
            let known = store.known(&scope()).await;
            is_known.store(true, Ordering::SeqCst);
            known
        }
    });
    // The only thread serves others meanwhile: a whole handshake.
    let server = Sshd::new(&["ed25519"], "");
    let (stream, _child) = server.connect();
    timeout(LONG, connect(stream, &server.key, &Config::default())).await.unwrap().unwrap();
    assert!(!is_known.load(Ordering::SeqCst));
    tokio::task::spawn_blocking(move || fs::write(path, r#"{"version":1,"hosts":{}}"#))
        .await
        .unwrap()
        .unwrap();
    assert!(timeout(LONG, looking).await.unwrap().unwrap().unwrap().keys.is_empty());
}
