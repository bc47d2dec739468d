//! Which host keys a connection accepts, and the check of the server's key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Algorithm;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::witness::{Testimony, Verdict, Witness, WitnessError};
use super::{Fingerprint, HostKey, HostKeyScope, HostKeySource, KeyOrigin, Known, Learned};
use crate::model::Stage;
use crate::ssh::Error;
use crate::ssh::config::{HOST_KEY_ALGORITHMS, Timeouts};
use crate::ssh::deadline::within;

/// How to treat a host key that is not pinned. A key that differs from a pinned one always fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// Pin the first key that is seen. If a witness answers in time, its answer counts: a confirmed key is pinned
    /// together with the others that the witness knows, a contradicted one is refused.
    #[default]
    TrustOnFirstUse,
    /// Pin what a witness confirms, and refuse everything else.
    Witnessed,
    /// Refuse it.
    Strict,
}

/// Which host keys a connection accepts.
pub struct HostKeyCheck(Option<Pinned>);

struct Pinned {
    rule: Rule,
    witness: Option<Witness>,
    /// The pinned keys, once they were looked up.
    known: Option<Known>,
    asked: Option<Asked>,
}

/// The policy, and where pinned keys are stored.
struct Rule {
    scope: HostKeyScope,
    source: Arc<dyn HostKeySource>,
    policy: HostKeyPolicy,
}

/// A pending request to a witness; it is aborted on drop.
type Asked = AbortOnDropHandle<Result<Testimony, Box<dyn std::error::Error + Send + Sync>>>;

impl HostKeyCheck {
    /// Accepts the keys that `source` has pinned for `scope`; `policy` decides if there are none.
    #[must_use]
    pub fn pinned(scope: HostKeyScope, source: Arc<dyn HostKeySource>, policy: HostKeyPolicy) -> Self {
        let rule = Rule { scope, source, policy };
        Self(Some(Pinned { rule, witness: None, known: None, asked: None }))
    }

    /// Accepts any key. An attacker between the endpoint and the instance can then read and change everything.
    #[must_use]
    pub fn danger_accept_any() -> Self {
        Self(None)
    }

    /// Adds a witness for a first key. It is asked only if no key is pinned and the policy requires it.
    #[must_use]
    pub fn with_witness(mut self, witness: Witness) -> Self {
        if let Some(pinned) = &mut self.0 {
            pinned.witness = Some(witness);
        }
        self
    }

    /// Looks up the pinned keys and, if there are none, starts to ask the witness; the answer is awaited when the server
    /// has shown its key. Called early, it costs no time. [`handshake`](crate::ssh::handshake()) calls it too.
    ///
    /// # Errors
    /// [`Error::HostKeyStore`], [`Error::Timeout`].
    pub async fn prepare(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        let Some(pinned) = &mut self.0 else { return Ok(()) };
        if pinned.known.is_some() {
            return Ok(());
        }
        let looking = pinned.rule.source.known(&pinned.rule.scope);
        let known = within(Stage::KeyExchange, timeouts.key_exchange, looking).await?;
        let known = known.map_err(Error::HostKeyStore)?;
        if known.keys.is_empty() && pinned.rule.policy != HostKeyPolicy::Strict {
            let witness = pinned.witness.take();
            pinned.asked = witness.map(|witness| AbortOnDropHandle::new(tokio::spawn(witness)));
        }
        pinned.known = Some(known);
        Ok(())
    }

    /// Returns the pinned keys, if they were looked up and there are any.
    fn known(&self) -> Option<(&HostKeyScope, &Known)> {
        let pinned = self.0.as_ref()?;
        Some((&pinned.rule.scope, pinned.known.as_ref()?)).filter(|(_, known)| !known.keys.is_empty())
    }

    /// Returns the host key algorithms to negotiate: the pinned ones, so that a key of another algorithm is not taken
    /// for an unknown one.
    pub(in crate::ssh) fn algorithms(&self) -> Result<Vec<Algorithm>, Error> {
        let Some((_, known)) = self.known() else { return Ok(HOST_KEY_ALGORITHMS.to_vec()) };
        let is_pinned = |algorithm: &&Algorithm| known.keys.iter().any(|key| key.algorithm() == **algorithm);
        let usable: Vec<_> = HOST_KEY_ALGORITHMS.iter().filter(is_pinned).cloned().collect();
        match self.missing() {
            Some(missing) if usable.is_empty() => Err(missing),
            _ => Ok(usable),
        }
    }

    /// Returns the error for a server without a key of a pinned algorithm; `None` if no key is pinned.
    pub(in crate::ssh) fn missing(&self) -> Option<Error> {
        let (scope, known) = self.known()?;
        Some(Error::HostKeyMissing { scope: scope.clone(), pinned: fingerprints(&known.keys) })
    }

    /// Checks the key that the server proved to hold, and pins it if the policy says so.
    pub(in crate::ssh) async fn judge(
        self,
        shown: Option<HostKey>,
        timeouts: &Timeouts,
    ) -> Result<(), Error> {
        let Some(pinned) = self.0 else { return Ok(()) };
        let Some(shown) = shown else {
            return Err(Error::Protocol {
                stage: Stage::KeyExchange,
                source: "the server showed no host key".into(),
            });
        };
        pinned.rule.judge(shown, pinned.known.unwrap_or_default(), pinned.asked, timeouts).await
    }
}

impl Rule {
    async fn judge(
        self,
        shown: HostKey,
        known: Known,
        asked: Option<Asked>,
        timeouts: &Timeouts,
    ) -> Result<(), Error> {
        if known.keys.contains(&shown) {
            if known.to_note.contains(&shown) {
                self.note(&shown, timeouts.key_exchange).await;
            }
            return Ok(());
        }
        if !known.keys.is_empty() {
            return Err(self.changed(&known.keys, &shown));
        }
        let scope = self.scope.clone();
        let verdict = match self.policy {
            HostKeyPolicy::Strict => {
                return Err(Error::HostKeyUnknown { scope, offered: shown.fingerprint() });
            }
            HostKeyPolicy::Witnessed => ask(asked, &shown, timeouts.witness).await,
            HostKeyPolicy::TrustOnFirstUse => ask(asked, &shown, timeouts.witness_grace).await,
        };
        let unverified = match verdict {
            Ok(Verdict::Confirmed(keys)) => {
                tracing::info!(%scope, fingerprint = %shown.fingerprint(), "host key verified by the console");
                return self.learn(&keys, KeyOrigin::Console, timeouts.key_exchange).await;
            }
            Ok(Verdict::Contradicted(listed)) => {
                return Err(Error::HostKeyContradicted {
                    scope,
                    console: listed,
                    offered: shown.fingerprint(),
                });
            }
            Ok(Verdict::Nothing(listed)) => WitnessError::OtherKinds(listed),
            Err(error) => error,
        };
        if self.policy == HostKeyPolicy::Witnessed {
            return Err(Error::HostKeyUnverified { scope, offered: shown.fingerprint(), source: unverified });
        }
        tracing::info!(%scope, fingerprint = %shown.fingerprint(), %unverified, "host key trusted on first use");
        self.learn(&[shown], KeyOrigin::FirstUse, timeouts.key_exchange).await
    }

    /// Pins `keys`, the first of which is the server's.
    async fn learn(&self, keys: &[HostKey], origin: KeyOrigin, after: Duration) -> Result<(), Error> {
        let learning = self.source.learn(&self.scope, keys, origin);
        match within(Stage::KeyExchange, after, learning).await?.map_err(Error::HostKeyStore)? {
            // A source that stores nothing, as for a diagnosis, does not add it.
            Learned::Added => {
                tracing::info!(scope = %self.scope, keys = keys.len(), "host key pinned");
                Ok(())
            }
            Learned::Known => Ok(()),
            Learned::Conflict(pinned) => match keys.first() {
                Some(shown) => Err(self.changed(&pinned, shown)),
                None => Ok(()),
            },
        }
    }

    /// Records that `shown` was seen. Failures are only logged: the store may be read-only.
    async fn note(&self, shown: &HostKey, after: Duration) {
        match timeout(after, self.source.note(&self.scope, shown)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(scope = %self.scope, %error, "cannot note that a host key was seen")
            }
            Err(_) => tracing::debug!(scope = %self.scope, "cannot note in time that a host key was seen"),
        }
    }

    fn changed(&self, pinned: &[HostKey], shown: &HostKey) -> Error {
        Error::HostKeyChanged {
            scope: self.scope.clone(),
            pinned: fingerprints(pinned),
            offered: shown.fingerprint(),
        }
    }
}

/// Returns the witness's verdict on `shown`, if it answers within `patience`.
async fn ask(asked: Option<Asked>, shown: &HostKey, patience: Duration) -> Result<Verdict, WitnessError> {
    match timeout(patience, asked.ok_or(WitnessError::NoWitness)?).await {
        Err(_) => Err(WitnessError::Timeout(patience)),
        Ok(Err(panicked)) => Err(WitnessError::Failed(panicked.into())),
        Ok(Ok(answer)) => Ok(answer.map_err(WitnessError::Failed)?.about(shown)),
    }
}

fn fingerprints(keys: &[HostKey]) -> Vec<Fingerprint> {
    keys.iter().map(HostKey::fingerprint).collect()
}

impl fmt::Debug for HostKeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(pinned) => f
                .debug_struct("HostKeyCheck")
                .field("scope", &pinned.rule.scope)
                .field("policy", &pinned.rule.policy)
                .finish_non_exhaustive(),
            None => f.write_str("HostKeyCheck::danger_accept_any"),
        }
    }
}
