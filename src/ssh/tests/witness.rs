//! A first key and a witness's verdict on it, with OpenSSH's server.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::sshd::Sshd;
use super::*;
use crate::ssh::HostKeySource;
use crate::ssh::host_keys::{FileHostKeys, HostKey, KeyOrigin, Testimony, WitnessError};

type Answer = Result<Testimony, Box<dyn std::error::Error + Send + Sync>>;

fn testimony_of(keys: &[&str]) -> Testimony {
    let keys = keys.iter().map(|key| HostKey::parse(key).unwrap()).collect();
    Testimony { keys, ..Testimony::default() }
}

struct Lab {
    server: Sshd,
    keys: Arc<MemoryHostKeys>,
    asked: Arc<AtomicUsize>,
    config: Config,
}

impl Lab {
    fn new() -> Self {
        let server = Sshd::new(&["ed25519", "ecdsa"], "");
        let mut config = Config::default();
        config.timeouts.witness = Duration::from_millis(300);
        Self { server, keys: Arc::default(), asked: Arc::default(), config }
    }

    async fn attempt(
        &self,
        policy: HostKeyPolicy,
        answer: impl Future<Output = Answer> + Send + 'static,
    ) -> Result<(), Error> {
        let asked = Arc::clone(&self.asked);
        let check =
            HostKeyCheck::pinned(scope(), self.keys.clone(), policy).with_witness(Box::pin(async move {
                asked.fetch_add(1, Ordering::SeqCst);
                answer.await
            }));
        let (stream, _child) = self.server.connect();
        handshake(stream, &self.config, check, &"root".parse().unwrap(), &ignore).await.map(drop)
    }

    fn origins(&self) -> Vec<KeyOrigin> {
        self.keys.pins().iter().map(|(_, pin)| pin.origin).collect()
    }
}

#[tokio::test]
async fn confirmed_key_is_pinned() {
    for policy in [HostKeyPolicy::Witnessed, HostKeyPolicy::TrustOnFirstUse] {
        let lab = Lab::new();
        let testimony = testimony_of(&[&lab.server.host_key("ecdsa"), &lab.server.host_key("ed25519")]);
        lab.attempt(policy, async { Ok(testimony) }).await.unwrap();
        assert_eq!(lab.origins(), [KeyOrigin::Console; 2]);
        lab.attempt(policy, async { panic!("asked again") }).await.unwrap();
        assert_eq!(lab.asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn contradicted_key_is_refused() {
    for policy in [HostKeyPolicy::Witnessed, HostKeyPolicy::TrustOnFirstUse] {
        let (lab, other) = (Lab::new(), Sshd::new(&["ed25519"], ""));
        let testimony = testimony_of(&[&other.host_key("ed25519")]);
        let error = lab.attempt(policy, async { Ok(testimony) }).await.unwrap_err();
        assert!(matches!(error, Error::HostKeyContradicted { .. }), "{error}");
        assert_eq!(error.to_string().matches("SHA256:").count(), 2, "{error}");
        assert!(lab.origins().is_empty());
    }
}

#[tokio::test]
async fn silent_witness_counts_if_required() {
    let cases: [fn() -> futures_util::future::BoxFuture<'static, Answer>; 3] = [
        || Box::pin(async { Err("the console is empty".into()) }),
        || Box::pin(pending()),
        || Box::pin(async { panic!("on purpose") }),
    ];
    for (number, answer) in cases.into_iter().enumerate() {
        let lab = Lab::new();
        let error = lab.attempt(HostKeyPolicy::Witnessed, answer()).await.unwrap_err();
        let Error::HostKeyUnverified { source, .. } = &error else { panic!("{number}: {error}") };
        assert_eq!(matches!(source, WitnessError::Timeout(_)), number == 1, "{source}");
        assert!(lab.origins().is_empty());
        lab.attempt(HostKeyPolicy::TrustOnFirstUse, answer()).await.unwrap();
        assert_eq!(lab.origins(), [KeyOrigin::FirstUse]);
    }
    let lab = Lab::new();
    let error = lab.attempt(HostKeyPolicy::Strict, async { Ok(Testimony::default()) }).await.unwrap_err();
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
    assert_eq!(lab.asked.load(Ordering::SeqCst), 0, "no witness is asked if the key is refused anyway");
}

#[tokio::test]
async fn witness_runs_during_the_handshake() {
    let lab = Lab::new();
    let asked = Arc::clone(&lab.asked);
    let (dropped, is_dropped) = tokio::sync::oneshot::channel::<()>();
    let mut check = HostKeyCheck::pinned(scope(), lab.keys.clone(), HostKeyPolicy::Witnessed).with_witness(
        Box::pin(async move {
            let _dropped = dropped;
            asked.fetch_add(1, Ordering::SeqCst);
            pending().await
        }),
    );
    check.prepare(&lab.config.timeouts).await.unwrap();
    let began = Instant::now();
    while lab.asked.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    drop(check);
    let end = tokio::time::timeout(Duration::from_secs(10), is_dropped).await.unwrap();
    assert!(end.is_err(), "the witness was dropped with the check");
}

#[tokio::test]
async fn unwritable_store_accepts_known_keys() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new();
    let path = folder.path().join("hosts.json");
    let old = format!(
        r#"{{"version":1,"hosts":{{"{}":[{{"key":"{}","origin":"pinned","first_seen":7}}]}}}}"#,
        scope(),
        HostKey::parse(&lab.server.host_key("ecdsa")).unwrap().to_openssh()
    );
    std::fs::write(&path, &old).unwrap();
    // The lock file next to it cannot be created.
    std::fs::create_dir(folder.path().join("hosts.json.lock")).unwrap();
    let store = Arc::new(FileHostKeys::new(&path));
    let check = HostKeyCheck::pinned(scope(), store.clone(), HostKeyPolicy::Strict);
    let (stream, _child) = lab.server.connect();
    handshake(stream, &lab.config, check, &"root".parse().unwrap(), &ignore).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), old);
    assert!(store.forget(&scope()).await.is_err());
}
