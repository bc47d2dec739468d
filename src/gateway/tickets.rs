//! Tickets: a browser cannot add headers to a WebSocket, so it sends a ticket as a subprotocol.

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::Origin;
use super::auth::Grant;
use super::owned::Owned;
use super::secret::{Fingerprint, random};
use crate::workspace::WorkspaceId;

/// The prefix of a ticket in `Sec-WebSocket-Protocol`.
const PREFIX: &str = "ticket.";

/// How many tickets are valid at once; then the credential with the most loses the one nearest to its end.
const MAX_TICKETS: usize = 10_000;

/// The valid tickets. Only the fingerprint of one is kept.
#[derive(Debug)]
pub(super) struct Tickets {
    ttl: RwLock<Duration>,
    valid: Mutex<Owned<Owner, Fingerprint, Ticket>>,
}

/// The credential that a ticket was issued for; development mode has none.
type Owner = Option<Fingerprint>;

#[derive(Debug)]
struct Ticket {
    /// The issuer's grant: the ticket opens what that opens when it is used.
    grant: Grant,
    origin: Option<Origin>,
}

impl Tickets {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl: RwLock::new(ttl), valid: Mutex::new(Owned::new(MAX_TICKETS)) }
    }

    /// The lifetime of a ticket.
    pub(super) fn ttl(&self) -> Duration {
        *self.ttl.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the lifetime of later tickets.
    pub(super) fn set_ttl(&self, ttl: Duration) {
        *self.ttl.write().unwrap_or_else(PoisonError::into_inner) = ttl;
    }

    /// Issues a ticket for the owner of `grant`, valid for `ttl` and for one socket of a page of `origin`.
    pub(super) fn issue(
        &self,
        grant: Grant,
        origin: Option<Origin>,
        ttl: Duration,
        now: Instant,
    ) -> Option<String> {
        let text = random();
        let fingerprint = Fingerprint::of_random(&text)?;
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = grant.credential.counts_as();
        valid.insert(owner, fingerprint, Ticket { grant, origin }, now.checked_add(ttl)?, now);
        Some(text)
    }

    /// Returns the issuer's grant of the ticket `offer`, if it is for `workspace` and this page. The ticket is used up in
    /// any case.
    pub(super) fn redeem(
        &self,
        offer: &str,
        workspace: Option<WorkspaceId>,
        origin: Option<&Origin>,
        now: Instant,
    ) -> Option<Grant> {
        let fingerprint = Fingerprint::of_random(offer)?;
        let ticket = self.valid.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint, now)?;
        let is_good = Some(ticket.grant.workspace) == workspace && ticket.origin.as_ref() == origin;
        is_good.then_some(ticket.grant)
    }
}

/// Returns the ticket that the request offers as a subprotocol.
pub(super) fn offered(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::auth::Credential;

    fn grant(workspace: WorkspaceId) -> Grant {
        Grant { credential: Credential::Development, workspace, caller: None }
    }

    #[test]
    fn ticket_opens_one_socket() {
        let tickets = Tickets::new(Duration::from_secs(30));
        let (now, mine) = (Instant::now(), WorkspaceId::random());
        let origin: Origin = "https://acme.example".parse().unwrap();
        let issue = || tickets.issue(grant(mine), Some(origin.clone()), tickets.ttl(), now).unwrap();
        let redeem = |ticket: &str, workspace, origin: Option<&Origin>, at| {
            tickets.redeem(ticket, workspace, origin, at).is_some()
        };
        let ticket = issue();
        assert!(redeem(&ticket, Some(mine), Some(&origin), now));
        assert!(!redeem(&ticket, Some(mine), Some(&origin), now), "once");
        assert!(!redeem(&issue(), Some(WorkspaceId::random()), Some(&origin), now));
        assert!(!redeem(&issue(), None, Some(&origin), now));
        assert!(!redeem(&issue(), Some(mine), None, now));
        let other: Origin = "https://other.example".parse().unwrap();
        let spent = issue();
        assert!(!redeem(&spent, Some(mine), Some(&other), now));
        assert!(!redeem(&spent, Some(mine), Some(&origin), now), "a wrong try spends it");
        assert!(!redeem(&issue(), Some(mine), Some(&origin), now + Duration::from_secs(30)), "too late");
        assert!(!redeem("guessed", Some(mine), Some(&origin), now));
        assert!(!format!("{tickets:?}").contains(&issue()));
    }

    #[test]
    fn the_tickets_are_bounded() {
        let tickets = Tickets::new(Duration::from_secs(30));
        let now = Instant::now();
        for _ in 0..MAX_TICKETS + 5 {
            tickets.issue(grant(WorkspaceId::random()), None, tickets.ttl(), now);
        }
        assert_eq!(tickets.valid.lock().unwrap().len(), MAX_TICKETS);
    }

    #[test]
    fn ticket_is_an_offered_subprotocol() {
        let mut headers = HeaderMap::new();
        assert_eq!(offered(&headers), None);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, "eicterm.v1, ticket.abc".parse().unwrap());
        assert_eq!(offered(&headers), Some("abc"));
    }
}
