//! Who asks, and what they may open: the platform's order (docs/canvas.md, section 1.5), with its holes closed.
//!
//! `Host`, `Origin` and the tenant are checked first, by [`guard()`]; they keep out, and let nobody in. Then, the
//! first of these that is there decides:
//!
//! 1. a bearer token: the administrator's, else one that the directory knows; a wrong one is made good by nothing
//! 2. the control plane's session cookie, where a control plane is configured
//! 3. our own page's cookie
//! 4. a ticket, on a terminal only; it is used up whoever is let in by what
//! 5. nothing at all, in development mode, for peers at hand
//!
//! Both cookies count only from a page of ours. What somebody was let in by stays with their terminal, as a
//! [`Grant`], and is asked again for as long as it is open.

mod claim;
mod credential;
mod guard;
mod headers;
mod peer;
mod tenant;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

pub(super) use claim::{X_WORKSPACE_ID, may_speak_for};
pub(super) use credential::{Credential, Grant, Purpose};
pub(super) use guard::{guard, guard_page};
pub(super) use headers::{bearer, is_cross_site, origin};
pub(super) use peer::{Peer, X_FORWARDED_FOR, peer, peer_of};
pub(super) use tenant::X_MOLECULE_ORG_ID;

use super::account::Asker;
use super::answer::Refusal;
use super::control_plane::SessionCookies;
use super::secret::Fingerprint;
use super::throttle::network;
use super::{State, tickets};
use crate::workspace::{Access, BearerToken, DirectoryError, Kind, Principal, Workspace, WorkspaceId};

/// Somebody who is known and may open a workspace.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) principal: Principal,
    pub(super) workspace: Workspace,
    /// What they were let in by.
    pub(super) grant: Grant,
}

/// Somebody who is known.
struct Known {
    principal: Principal,
    credential: Credential,
    /// The workspace that the ticket's issuer spoke for.
    caller: Option<WorkspaceId>,
}

/// Middleware for routes that others add: lets nobody in who is not known, and tells the handler who it is.
pub(super) async fn require_principal(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match state.authenticate(&parts).await {
        Ok(principal) => {
            parts.extensions.insert(principal);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl State {
    /// Who sent the request; tickets do not count.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Principal, Refusal> {
        Ok(self.identify(parts, None).await?.principal)
    }

    /// Who asks, and the workspace `id`, which they may open.
    pub(super) async fn admit(&self, parts: &Parts, id: &str) -> Result<Admitted, Refusal> {
        if id.is_empty() {
            return Err(Refusal::MissingId);
        }
        self.open(parts, self.identify(parts, None).await?, id).await
    }

    /// As [`Self::admit`], for a terminal: a ticket counts as well.
    pub(super) async fn admit_to_terminal(&self, parts: &Parts, id: &str) -> Result<Admitted, Refusal> {
        if id.is_empty() {
            return Err(Refusal::MissingId);
        }
        let ticket = tickets::offered(&parts.headers).map(|offer| {
            let origin = origin(&parts.headers);
            self.tickets.redeem(offer, id.parse().ok(), origin.as_ref(), Instant::now())
        });
        self.open(parts, self.identify(parts, ticket).await?, id).await
    }

    /// What the directory answers; that it does not answer in time is an outage as well.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, DirectoryError>>,
    ) -> Result<T, Refusal> {
        let began = Instant::now();
        let answer = timeout(self.config().directory_timeout, question).await;
        let outcome = match &answer {
            Ok(Ok(_)) => "answered",
            Ok(Err(error)) if !error.is_outage() => "answered",
            Ok(Err(_)) => "failed",
            Err(_) => "timeout",
        };
        self.metrics.directory_queries.with_label_values(&[outcome]).observe(began.elapsed().as_secs_f64());
        Ok(answer.unwrap_or_else(|_| Err(DirectoryError::new("it did not answer in time")))?)
    }

    /// Whose `token` is, for a request that shows nothing else; it is charged to the token, or else to its peer.
    pub(super) async fn authenticate_bearer(
        &self,
        token: &BearerToken,
        parts: &Parts,
    ) -> Result<Principal, Refusal> {
        let found = self.find_owner(token, peer(parts)).await;
        let shown = Some(Fingerprint::of_token(token));
        let principal = found.map_err(|refusal| self.charge_unknown(parts, shown, refusal))?;
        Asker::is(&parts.extensions, &principal);
        self.charge_user(&parts.extensions, &principal, shown)?;
        Ok(principal)
    }

    /// Whose `token` is. A valid one is never refused; a wrong one counts against `peer`.
    async fn find_owner(&self, token: &BearerToken, peer: IpAddr) -> Result<Principal, Refusal> {
        let lookup = self.owner_of(token, Purpose::Use);
        let found = if self.is_admin(token) {
            lookup.await?
        } else {
            self.token_lookups.run(Fingerprint::of_token(token), peer, lookup).await?
        };
        found.ok_or_else(|| self.wrong(peer))
    }

    /// Who sent the request, by the order above. `ticket` is what the offered one was worth, if one was offered.
    /// The request is charged to the credential, or to its peer where there is no valid one.
    async fn identify(&self, parts: &Parts, ticket: Option<Option<Grant>>) -> Result<Known, Refusal> {
        let token = match bearer(&parts.headers) {
            Ok(token) => token,
            Err(refusal) => return Err(self.charge_unknown(parts, None, refusal)),
        };
        let shown = token.as_ref().map(Fingerprint::of_token);
        let found = self.find_out(parts, token, ticket).await;
        let known = found.map_err(|refusal| self.charge_unknown(parts, shown, refusal))?;
        Asker::is(&parts.extensions, &known.principal);
        self.charge_user(&parts.extensions, &known.principal, known.credential.counts_as())?;
        Ok(known)
    }

    async fn find_out(
        &self,
        parts: &Parts,
        token: Option<BearerToken>,
        ticket: Option<Option<Grant>>,
    ) -> Result<Known, Refusal> {
        let peer = peer(parts);
        let known = |principal, credential, caller| Ok(Known { principal, credential, caller });
        if let Some(token) = token {
            let principal = self.find_owner(&token, peer).await?;
            return known(principal, Credential::Bearer(Arc::new(token)), None);
        }
        let mut outage = None;
        for credential in self.cookies_of(parts) {
            let lookup = self.whose(&credential, Purpose::Use);
            let found = match &credential {
                Credential::Session(cookies) => {
                    self.session_lookups.run(cookies.fingerprint(), peer, lookup).await
                }
                // It was issued for a valid token.
                _ => lookup.await,
            };
            match found {
                Ok(Some(principal)) => return known(principal, credential, None),
                Ok(None) => {}
                // What follows may be good for all that.
                Err(refusal) => outage = Some(refusal),
            }
        }
        if let Some(ticket) = ticket {
            let grant = ticket.ok_or_else(|| self.wrong(peer))?;
            let principal = self.whose(&grant.credential, Purpose::Use).await?;
            let principal = principal.ok_or(Refusal::InvalidToken)?;
            return known(principal, grant.credential, grant.caller);
        }
        if self.config().platform.is_development() && self.is_at_hand(parts) {
            let principal = self.whose(&Credential::Development, Purpose::Use).await?;
            let principal = principal.ok_or(Refusal::MissingToken)?;
            return known(principal, Credential::Development, None);
        }
        Err(outage.unwrap_or(Refusal::MissingToken))
    }

    /// The cookies that count, in their order: a cookie travels with whatever page makes the browser send it, and
    /// only `Origin` tells which page that was.
    fn cookies_of(&self, parts: &Parts) -> impl Iterator<Item = Credential> {
        let counts = headers::come_from_our_page(parts);
        let has_control_plane = self.config().platform.control_plane.is_some();
        let session = SessionCookies::of(&parts.headers).filter(|_| counts && has_control_plane);
        let page = self.cookies.find(&parts.headers, Instant::now()).filter(|_| counts);
        session.map(Credential::Session).into_iter().chain(page.map(Credential::Page))
    }

    /// Charges a request that nobody was found for. During an outage, a token that was valid a moment ago pays for it
    /// itself.
    fn charge_unknown(&self, parts: &Parts, token: Option<Fingerprint>, refusal: Refusal) -> Refusal {
        match token.filter(|token| self.token_lookups.is_good(*token)) {
            Some(credential) => {
                self.charge_credential(&parts.extensions, credential).err().unwrap_or(refusal)
            }
            None => self.charge_peer(&parts.headers, &parts.extensions, refusal),
        }
    }

    /// The workspace `id`, when `known` may open it.
    async fn open(&self, parts: &Parts, known: Known, id: &str) -> Result<Admitted, Refusal> {
        let Known { principal, credential, caller } = known;
        let target: Option<WorkspaceId> = id.parse().ok();
        let is_bound = matches!(principal.access, Access::Only(_));
        if is_bound && !target.is_some_and(|target| principal.may_open(target)) {
            return Err(match principal.kind {
                Kind::Organisation => Refusal::OtherOrganization,
                _ => Refusal::InvalidToken,
            });
        }
        let caller = self.check_claim(parts, id, &principal, &credential).await?.or(caller);
        let workspace = self.find(&principal, id).await?;
        let grant = Grant { credential, workspace: workspace.id, caller };
        Ok(Admitted { principal, workspace, grant })
    }

    /// Notes that `peer` showed something that is nobody's, and returns the error for it.
    fn wrong(&self, peer: IpAddr) -> Refusal {
        let config = self.config();
        let count = self.wrong_tokens.add(network(peer), config.wrong_token_window, Instant::now());
        if count.used > config.max_wrong_tokens {
            Refusal::Throttled(count.left)
        } else {
            Refusal::InvalidToken
        }
    }
}
