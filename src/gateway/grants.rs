//! Re-validates the grants of open terminals.
//!
//! Only a definite denial ends a terminal: a revoked token, a signed-out cookie, a former member, a removed workspace, a
//! claim that no longer holds. An outage ends nothing.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, stream};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::State;
use super::auth::{AuthMode, Credential, Grant, may_speak_for};
use super::cookies::PageCookie;
use super::error::ApiError;
use super::secret::Fingerprint;
use crate::session::Kill;
use crate::workspace::{Principal, Status, Workspace, WorkspaceId, can_communicate};

/// The most concurrent queries.
const MAX_QUESTIONS: usize = 16;

/// The grants of the open terminals, by session.
#[derive(Debug, Default)]
pub(super) struct Grants {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    grants: HashMap<Uuid, Grant>,
    /// Whether a task re-validates.
    is_watched: bool,
}

/// Keeps a session's grant under re-validation until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    state: Arc<State>,
    session: Uuid,
}

impl Grants {
    /// Replaces the credential `before` by `now`: the same user signed in again.
    pub(super) fn renew(&self, before: &PageCookie, now: &PageCookie) {
        for grant in self.lock().grants.values_mut() {
            if let Credential::Page(cookie) = &mut grant.credential
                && cookie.fingerprint == before.fingerprint
            {
                *cookie = now.clone();
            }
        }
    }

    /// Returns the current grants; `None`, which stops the task, if there are none.
    fn open(&self) -> Option<Vec<(Uuid, Grant)>> {
        let mut table = self.lock();
        table.is_watched = !table.grants.is_empty();
        table.is_watched.then(|| table.grants.iter().map(|(id, grant)| (*id, grant.clone())).collect())
    }

    /// Returns whether a task re-validates.
    #[cfg(test)]
    pub(super) fn is_watched(&self) -> bool {
        self.lock().is_watched
    }

    /// Returns whether the grant of `session` is unchanged since the query.
    fn is_unchanged(&self, session: Uuid, grant: &Grant) -> bool {
        let asked = grant.credential.fingerprint();
        self.lock().grants.get(&session).is_some_and(|now| now.credential.fingerprint() == asked)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.grants.lock().grants.remove(&self.session);
    }
}

impl State {
    /// Re-validates `grant` periodically until the returned guard is dropped. Must be called in a tokio runtime.
    pub(super) fn hold(self: &Arc<Self>, session: Uuid, grant: Grant) -> Held {
        let mut table = self.grants.lock();
        table.grants.insert(session, grant);
        if !std::mem::replace(&mut table.is_watched, true) {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
        drop(table);
        Held { state: Arc::clone(self), session }
    }

    /// Queries each credential, workspace and claim once, and ends the terminals that are denied.
    async fn recheck(&self, open: Vec<(Uuid, Grant)>) {
        let answers = Answers::of(self, &open).await;
        for (session, grant) in open {
            if let Err(reason) = answers.judge(&grant)
                && self.grants.is_unchanged(session, &grant)
                && self.sessions.kill(session, Kill::Revoked)
            {
                tracing::info!(%session, workspace = %grant.workspace, reason, "access was revoked");
            }
        }
    }
}

/// Re-validates until no grant is left or the gateway is gone.
async fn watch(state: Weak<State>) {
    let mut began = Instant::now();
    loop {
        let Some(interval) = state.upgrade().map(|state| state.config().recheck_interval) else { return };
        sleep_until(began + interval).await;
        began = Instant::now();
        let Some(state) = state.upgrade() else { return };
        let Some(open) = state.grants.open() else { return };
        // In its own task, so that a panic does not end re-validation.
        let recheck = tokio::spawn(async move { state.recheck(open).await });
        if let Err(error) = recheck.await {
            tracing::error!(%error, "re-validation of open terminals failed");
        }
    }
}

/// The answer to a query.
#[derive(Debug)]
enum Answer<T> {
    Yes(T),
    No,
    /// Unknown, because of an outage.
    Unknown,
}

/// The answers of one round.
struct Answers {
    principals: HashMap<Option<Fingerprint>, Answer<Principal>>,
    workspaces: HashMap<WorkspaceId, Answer<()>>,
    claims: HashMap<(WorkspaceId, WorkspaceId), Answer<()>>,
}

impl Answers {
    async fn of(state: &State, open: &[(Uuid, Grant)]) -> Self {
        let (directory, control_plane) = (&Source::default(), &Source::default());
        let mut principals = Questions::new();
        let mut workspaces = Questions::new();
        let mut claims = Questions::new();
        for (_, grant) in open {
            let Grant { credential, workspace, caller } = grant;
            principals.entry(credential.fingerprint()).or_insert_with(|| {
                let source =
                    if matches!(credential, Credential::Session(_)) { control_plane } else { directory };
                source.ask(state.whose(credential, AuthMode::Recheck)).boxed()
            });
            workspaces.entry(*workspace).or_insert_with(|| {
                let found = state.ask(state.directory.find(*workspace));
                let is_there = |found: Workspace| (found.status != Status::Removed).then_some(());
                directory.ask(found.map_ok(move |found| found.and_then(is_there))).boxed()
            });
            if let Some(caller) = *caller {
                claims.entry((caller, *workspace)).or_insert_with(|| {
                    let may = state.ask(can_communicate(state.directory.as_ref(), caller, *workspace));
                    directory.ask(may.map_ok(|may| may.then_some(()))).boxed()
                });
            }
        }
        let (principals, workspaces, claims) = tokio::join!(all(principals), all(workspaces), all(claims));
        Self { principals, workspaces, claims }
    }

    /// Returns whether `grant` still holds, as far as known, or why not.
    fn judge(&self, grant: &Grant) -> Result<(), &'static str> {
        match self.principals.get(&grant.credential.fingerprint()) {
            Some(Answer::No) => return Err("the credential is no longer valid"),
            Some(Answer::Yes(principal)) => {
                if !principal.may_open(grant.workspace) {
                    return Err("the credential no longer opens this workspace");
                }
                let believed = |caller| may_speak_for(principal, &grant.credential, caller);
                if !grant.caller.is_none_or(believed) {
                    return Err("the credential no longer acts for the caller");
                }
            }
            _ => {}
        }
        if let Some(Answer::No) = self.workspaces.get(&grant.workspace) {
            return Err("the workspace is gone");
        }
        let claim = grant.caller.and_then(|caller| self.claims.get(&(caller, grant.workspace)));
        if let Some(Answer::No) = claim {
            return Err("the caller may no longer reach this workspace");
        }
        Ok(())
    }
}

/// The sources of answers; one that is out is not queried again in the same round.
#[derive(Default)]
struct Source {
    is_out: AtomicBool,
}

impl Source {
    async fn ask<T>(&self, question: impl Future<Output = Result<Option<T>, ApiError>>) -> Answer<T> {
        if self.is_out.load(Ordering::Relaxed) {
            return Answer::Unknown;
        }
        match question.await {
            Ok(Some(yes)) => Answer::Yes(yes),
            Ok(None) => Answer::No,
            // The source is up; other queries may succeed.
            Err(ApiError::Unusable(_)) => Answer::Unknown,
            Err(_) => {
                self.is_out.store(true, Ordering::Relaxed);
                Answer::Unknown
            }
        }
    }
}

/// Queries by subject, so that each runs once.
type Questions<'a, K, T> = HashMap<K, BoxFuture<'a, Answer<T>>>;

/// Runs the queries concurrently.
fn all<'a, K, T>(questions: Questions<'a, K, T>) -> BoxFuture<'a, HashMap<K, Answer<T>>>
where
    K: Eq + Hash + Send + 'a,
    T: Send + 'a,
{
    let asked = stream::iter(questions).map(|(about, question)| question.map(move |answer| (about, answer)));
    asked.buffer_unordered(MAX_QUESTIONS).collect().boxed()
}
