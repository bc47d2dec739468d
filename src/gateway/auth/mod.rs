//! Authentication and access, in the platform's order (docs/canvas.md, section 1.5), without its gaps.
//!
//! [`guard()`] checks `Host`, `Origin` and the tenant first; they only restrict. Then the first credential present decides:
//!
//! 1. a bearer token: the administrator's, else the directory's; a wrong one is not replaced by another credential
//! 2. the control plane's session cookie, if a control plane is configured
//! 3. our own page's cookie
//! 4. a ticket, for a terminal only; it is used up even if another credential decides
//! 5. none, in development mode, for local peers
//!
//! Both cookies count only from our pages. A terminal keeps its credential as a [`Grant`], which is re-validated while it
//! is open.

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
pub(super) use credential::{AuthMode, Credential, Grant};
pub(super) use guard::{guard, guard_page};
pub(super) use headers::{bearer, is_cross_site, origin};
pub(super) use peer::{Peer, X_FORWARDED_FOR, peer, peer_of};
pub(super) use tenant::X_MOLECULE_ORG_ID;

use super::access_log::Caller;
use super::control_plane::SessionCookies;
use super::error::ApiError;
use super::secret::Fingerprint;
use super::throttle::network;
use super::{State, tickets};
use crate::workspace::{
    Access, BearerToken, CredentialKind, DirectoryError, Principal, Workspace, WorkspaceId,
};

/// An authenticated caller that may open a workspace.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) principal: Principal,
    pub(super) workspace: Workspace,
    /// The validated credential.
    pub(super) grant: Grant,
}

/// An authenticated caller.
struct Known {
    principal: Principal,
    credential: Credential,
    /// The workspace that the ticket's issuer claimed.
    caller: Option<WorkspaceId>,
}

/// Middleware for routes that others add: requires authentication, and passes the caller to the handler.
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
    /// Authenticates the request; tickets do not count.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Principal, ApiError> {
        Ok(self.identify(parts, None).await?.principal)
    }

    /// Authenticates the request and returns the workspace `id`, which the caller may open.
    pub(super) async fn admit(&self, parts: &Parts, id: &str) -> Result<Admitted, ApiError> {
        if id.is_empty() {
            return Err(ApiError::MissingId);
        }
        self.open(parts, self.identify(parts, None).await?, id).await
    }

    /// As [`Self::admit`], for a terminal: a ticket counts as well.
    pub(super) async fn admit_to_terminal(&self, parts: &Parts, id: &str) -> Result<Admitted, ApiError> {
        if id.is_empty() {
            return Err(ApiError::MissingId);
        }
        let ticket = tickets::offered(&parts.headers).map(|offer| {
            let origin = origin(&parts.headers);
            self.tickets.redeem(offer, id.parse().ok(), origin.as_ref(), Instant::now())
        });
        self.open(parts, self.identify(parts, ticket).await?, id).await
    }

    /// Returns the directory's answer; a timeout counts as an outage.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, DirectoryError>>,
    ) -> Result<T, ApiError> {
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

    /// Returns the owner of `token`, the request's only credential; charges the token, or the peer if it is invalid.
    pub(super) async fn authenticate_bearer(
        &self,
        token: &BearerToken,
        parts: &Parts,
    ) -> Result<Principal, ApiError> {
        let found = self.find_owner(token, peer(parts)).await;
        let shown = Some(Fingerprint::of_token(token));
        let principal = found.map_err(|refusal| self.charge_unknown(parts, shown, refusal))?;
        Caller::is(&parts.extensions, &principal);
        self.charge_user(&parts.extensions, &principal, shown)?;
        Ok(principal)
    }

    /// Returns the owner of `token`. A valid one is never refused; a wrong one counts against `peer`.
    async fn find_owner(&self, token: &BearerToken, peer: IpAddr) -> Result<Principal, ApiError> {
        let lookup = self.owner_of(token, AuthMode::Use);
        let found = if self.is_admin(token) {
            lookup.await?
        } else {
            self.token_lookups.run(Fingerprint::of_token(token), peer, lookup).await?
        };
        found.ok_or_else(|| self.wrong(peer))
    }

    /// Authenticates the request in the order above. `ticket` is the grant of the offered ticket, if one was offered.
    /// Charges the credential, or the peer without a valid one.
    async fn identify(&self, parts: &Parts, ticket: Option<Option<Grant>>) -> Result<Known, ApiError> {
        let token = match bearer(&parts.headers) {
            Ok(token) => token,
            Err(refusal) => return Err(self.charge_unknown(parts, None, refusal)),
        };
        let shown = token.as_ref().map(Fingerprint::of_token);
        let found = self.find_out(parts, token, ticket).await;
        let known = found.map_err(|refusal| self.charge_unknown(parts, shown, refusal))?;
        Caller::is(&parts.extensions, &known.principal);
        self.charge_user(&parts.extensions, &known.principal, known.credential.counts_as())?;
        Ok(known)
    }

    async fn find_out(
        &self,
        parts: &Parts,
        token: Option<BearerToken>,
        ticket: Option<Option<Grant>>,
    ) -> Result<Known, ApiError> {
        let peer = peer(parts);
        let known = |principal, credential, caller| Ok(Known { principal, credential, caller });
        if let Some(token) = token {
            let principal = self.find_owner(&token, peer).await?;
            return known(principal, Credential::Bearer(Arc::new(token)), None);
        }
        let mut outage = None;
        for credential in self.cookies_of(parts) {
            let lookup = self.whose(&credential, AuthMode::Use);
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
                // A later credential may still be valid.
                Err(refusal) => outage = Some(refusal),
            }
        }
        if let Some(ticket) = ticket {
            let grant = ticket.ok_or_else(|| self.wrong(peer))?;
            let principal = self.whose(&grant.credential, AuthMode::Use).await?;
            let principal = principal.ok_or(ApiError::InvalidToken)?;
            return known(principal, grant.credential, grant.caller);
        }
        if self.config().platform.is_development() && self.is_local_peer(parts) {
            let principal = self.whose(&Credential::Development, AuthMode::Use).await?;
            let principal = principal.ok_or(ApiError::MissingToken)?;
            return known(principal, Credential::Development, None);
        }
        Err(outage.unwrap_or(ApiError::MissingToken))
    }

    /// Returns the cookies that count, in order: a browser sends cookies for any page, and only `Origin` identifies it.
    fn cookies_of(&self, parts: &Parts) -> impl Iterator<Item = Credential> {
        let counts = headers::come_from_our_page(parts);
        let has_control_plane = self.config().platform.control_plane.is_some();
        let session = SessionCookies::of(&parts.headers).filter(|_| counts && has_control_plane);
        let page = self.cookies.find(&parts.headers, Instant::now()).filter(|_| counts);
        session.map(Credential::Session).into_iter().chain(page.map(Credential::Page))
    }

    /// Charges a request without a valid credential to its peer. During an outage, a recently valid token is charged.
    fn charge_unknown(&self, parts: &Parts, token: Option<Fingerprint>, refusal: ApiError) -> ApiError {
        match token.filter(|token| self.token_lookups.is_good(*token)) {
            Some(credential) => {
                self.charge_credential(&parts.extensions, credential).err().unwrap_or(refusal)
            }
            None => self.charge_peer(&parts.headers, &parts.extensions, refusal),
        }
    }

    /// Returns the workspace `id` if `known` may open it.
    async fn open(&self, parts: &Parts, known: Known, id: &str) -> Result<Admitted, ApiError> {
        let Known { principal, credential, caller } = known;
        let target: Option<WorkspaceId> = id.parse().ok();
        let is_bound = matches!(principal.access, Access::Only(_));
        if is_bound && !target.is_some_and(|target| principal.may_open(target)) {
            return Err(match principal.kind {
                CredentialKind::Organization => ApiError::OtherOrganization,
                _ => ApiError::InvalidToken,
            });
        }
        let caller = self.check_claim(parts, id, &principal, &credential).await?.or(caller);
        let workspace = self.find(&principal, id).await?;
        let grant = Grant { credential, workspace: workspace.id, caller };
        Ok(Admitted { principal, workspace, grant })
    }

    /// Counts an unknown credential of `peer`, and returns the error.
    fn wrong(&self, peer: IpAddr) -> ApiError {
        let config = self.config();
        let count = self.wrong_tokens.add(network(peer), config.wrong_token_window, Instant::now());
        if count.used > config.max_wrong_tokens {
            ApiError::Throttled(count.left)
        } else {
            ApiError::InvalidToken
        }
    }
}
