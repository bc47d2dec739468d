//! Who asks: Host, Origin, then a bearer token or a cookie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::answer::Refusal;
use super::origin::{Host, Origin};
use super::{State, tickets};
use crate::workspace::{BearerToken, DirectoryError, Principal, Workspace, WorkspaceId};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Middleware: refuses what `Host` or `Origin` does not let in, before anything else looks at the request.
pub(super) async fn check_origin(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = state.check_host(&request).and_then(|()| state.check_origin(request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
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

/// Somebody who is known and may open a workspace.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) principal: Principal,
    pub(super) workspace: Workspace,
}

impl State {
    /// Against DNS rebinding: `Host` must be one of ours, once. HTTP/1.0 without it is refused as well.
    fn check_host(&self, request: &Request) -> Result<(), Refusal> {
        let allowed =
            |text: &str| text.parse::<Host>().is_ok_and(|host| self.config().allowed_hosts.contains(&host));
        let host = only(request.headers(), &HOST).and_then(Result::ok).ok_or(Refusal::Host)?;
        let authority = request.uri().authority().is_none_or(|authority| allowed(authority.as_str()));
        if allowed(host) && authority { Ok(()) } else { Err(Refusal::Host) }
    }

    /// A request that names an origin must name one of ours, exactly. It is a restriction, never a credential.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = only(headers, &ORIGIN) else { return Ok(()) };
        let origin = origin.ok().and_then(|text| text.parse::<Origin>().ok());
        match origin {
            Some(origin) if self.config().allowed_origins.contains(&origin) => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// Who sent the request. A bearer token that is wrong is not made good by a cookie.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Principal, Refusal> {
        if let Some(token) = bearer(&parts.headers)? {
            return self.authenticate_bearer(&token, peer(parts)).await;
        }
        // A cookie travels with whatever page makes the browser send it; only Origin tells which page that was.
        let token = self.cookies.token(&parts.headers, Instant::now());
        match token.filter(|_| comes_from_our_page(parts)) {
            Some(token) => self.ask(self.directory.authenticate(&token)).await?.ok_or(Refusal::InvalidToken),
            None => Err(Refusal::MissingToken),
        }
    }

    /// Who asks for a terminal in `workspace`: as [`Self::authenticate`], or by a ticket, which a bearer token goes
    /// before and a cookie comes after. A wrong ticket is not made good by a cookie.
    async fn authenticate_terminal(
        &self,
        parts: &Parts,
        workspace: Option<WorkspaceId>,
    ) -> Result<Principal, Refusal> {
        if tickets::offered(&parts.headers).is_none() || bearer(&parts.headers)?.is_some() {
            return self.authenticate(parts).await;
        }
        let now = Instant::now();
        if let Some(left) = self.throttle.blocked(peer(parts), now) {
            return Err(Refusal::Throttled(left));
        }
        let origin = origin(&parts.headers);
        let principal = workspace
            .and_then(|workspace| self.tickets.redeem(&parts.headers, workspace, origin.as_ref(), now));
        if principal.is_none() {
            self.throttle.note_wrong(peer(parts), now);
        }
        principal.ok_or(Refusal::InvalidToken)
    }

    /// Who asks, and the workspace `id`, which they may open; which of the two is wrong is not told.
    pub(super) async fn admit(&self, parts: &Parts, id: &str) -> Result<Admitted, Refusal> {
        let principal = self.authenticate(parts).await?;
        let workspace = self.find(&principal, id).await?;
        Ok(Admitted { principal, workspace })
    }

    /// As [`Self::admit`], for a terminal: a ticket counts as well.
    pub(super) async fn admit_to_terminal(&self, parts: &Parts, id: &str) -> Result<Admitted, Refusal> {
        let principal = self.authenticate_terminal(parts, id.parse().ok()).await?;
        let workspace = self.find(&principal, id).await?;
        Ok(Admitted { principal, workspace })
    }

    /// What the directory answers; that it does not answer in time is an outage as well.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, DirectoryError>>,
    ) -> Result<T, Refusal> {
        let answer = timeout(self.config().directory_timeout, question).await;
        Ok(answer.unwrap_or_else(|_| Err(DirectoryError::new("it did not answer in time")))?)
    }

    /// Whose `token` is; a wrong one counts against `peer`.
    pub(super) async fn authenticate_bearer(
        &self,
        token: &BearerToken,
        peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        if let Some(left) = self.throttle.blocked(peer, Instant::now()) {
            return Err(Refusal::Throttled(left));
        }
        match self.ask(self.directory.authenticate(token)).await? {
            Some(principal) => Ok(principal),
            None => {
                self.throttle.note_wrong(peer, Instant::now());
                Err(Refusal::InvalidToken)
            }
        }
    }
}

/// Whether a page of ours made the browser send this. `Origin` says so, and was checked before; a browser leaves
/// it out of a page's own GETs, where `Sec-Fetch-Site`, which no script can set, says it. A WebSocket always
/// carries `Origin`.
fn comes_from_our_page(parts: &Parts) -> bool {
    parts.headers.contains_key(ORIGIN)
        || (parts.method.is_safe()
            && !parts.headers.contains_key(UPGRADE)
            && only(&parts.headers, &SEC_FETCH_SITE)
                .is_some_and(|site| site.is_ok_and(|site| site == "same-origin")))
}

/// The request's bearer token, by the platform's rule: the prefix `Bearer ` exactly, then trimmed; nothing left
/// means that there is none.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<BearerToken>, Refusal> {
    let Some(value) = only(headers, &AUTHORIZATION) else { return Ok(None) };
    let value = value.map_err(|()| Refusal::InvalidToken)?;
    match value.strip_prefix("Bearer ").map(str::trim) {
        None | Some("") => Ok(None),
        Some(token) => BearerToken::new(token).map(Some).ok_or(Refusal::InvalidToken),
    }
}

/// The header `name`: absent, or its text, or an error when it is there twice or is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<&'a str, ()>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(match values.next() {
        None => first.to_str().map_err(|_| ()),
        Some(_) => Err(()),
    })
}

/// The origin that the request names; it was checked before.
pub(super) fn origin(headers: &HeaderMap) -> Option<Origin> {
    only(headers, &ORIGIN)?.ok()?.parse().ok()
}

/// Where the connection comes from.
pub(super) fn peer(parts: &Parts) -> IpAddr {
    let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}
