//! Tickets: a browser can put no header on a WebSocket, so it shows one of these as a subprotocol.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::Origin;
use super::cookies::{digest, random_id};
use crate::workspace::{Principal, WorkspaceId};

/// What stands before a ticket in `Sec-WebSocket-Protocol`.
const PREFIX: &str = "ticket.";

/// How many tickets are valid at once; the one nearest to its end makes room.
const MAX_TICKETS: usize = 10_000;

/// The valid tickets. Only the digest of one is kept.
#[derive(Debug)]
pub(super) struct Tickets {
    ttl: Duration,
    valid: Mutex<HashMap<[u8; 32], Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    principal: Principal,
    workspace: WorkspaceId,
    origin: Option<Origin>,
    until: Instant,
}

impl Tickets {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, valid: Mutex::default() }
    }

    /// How long a ticket is good for.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A ticket for `principal` to `workspace`, good for one socket of a page of `origin`.
    pub(super) fn issue(
        &self,
        principal: Principal,
        workspace: WorkspaceId,
        origin: Option<Origin>,
        now: Instant,
    ) -> Option<String> {
        let text = random_id();
        let key = digest(&text)?;
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        if valid.len() >= MAX_TICKETS {
            valid.retain(|_, ticket| ticket.until > now);
        }
        if valid.len() >= MAX_TICKETS
            && let Some(first) = valid.iter().min_by_key(|(_, ticket)| ticket.until).map(|(key, _)| *key)
        {
            valid.remove(&first);
        }
        let until = now.checked_add(self.ttl).unwrap_or(now);
        valid.insert(key, Ticket { principal, workspace, origin, until });
        Some(text)
    }

    /// Who the ticket of the request was issued to, when it is for `workspace` and this page. It is used up,
    /// whatever it was good for.
    pub(super) fn redeem(
        &self,
        headers: &HeaderMap,
        workspace: WorkspaceId,
        origin: Option<&Origin>,
        now: Instant,
    ) -> Option<Principal> {
        let key = digest(offered(headers)?)?;
        let ticket = self.valid.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)?;
        let is_good = ticket.until > now && ticket.workspace == workspace && ticket.origin.as_ref() == origin;
        is_good.then_some(ticket.principal)
    }
}

/// The ticket that the request offers as a subprotocol.
pub(super) fn offered(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Access;

    fn headers(ticket: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let offers = format!("eicterm.v1, ticket.{ticket}");
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.parse().unwrap());
        headers
    }

    #[test]
    fn a_ticket_opens_one_socket_of_one_page_to_one_workspace_in_its_time() {
        let tickets = Tickets::new(Duration::from_secs(30));
        let (now, mine) = (Instant::now(), WorkspaceId::random());
        let origin: Origin = "https://acme.example".parse().unwrap();
        let issue =
            || tickets.issue(Principal::new("ann", Access::All), mine, Some(origin.clone()), now).unwrap();
        let redeem = |ticket: &str, workspace, origin: Option<&Origin>, at| {
            tickets.redeem(&headers(ticket), workspace, origin, at).map(|principal| principal.name)
        };
        let ticket = issue();
        assert_eq!(redeem(&ticket, mine, Some(&origin), now).as_deref(), Some("ann"));
        assert_eq!(redeem(&ticket, mine, Some(&origin), now), None, "once");
        assert_eq!(redeem(&issue(), WorkspaceId::random(), Some(&origin), now), None);
        assert_eq!(redeem(&issue(), mine, None, now), None);
        let other: Origin = "https://other.example".parse().unwrap();
        let spent = issue();
        assert_eq!(redeem(&spent, mine, Some(&other), now), None);
        assert_eq!(redeem(&spent, mine, Some(&origin), now), None, "a wrong try spends it");
        assert_eq!(redeem(&issue(), mine, Some(&origin), now + Duration::from_secs(30)), None, "too late");
        assert_eq!(redeem("guessed", mine, Some(&origin), now), None);
        assert!(!format!("{tickets:?}").contains(&issue()));
    }

    #[test]
    fn the_tickets_are_bounded() {
        let tickets = Tickets::new(Duration::from_secs(30));
        let now = Instant::now();
        for _ in 0..MAX_TICKETS + 5 {
            tickets.issue(Principal::new("ann", Access::All), WorkspaceId::random(), None, now);
        }
        assert_eq!(tickets.valid.lock().unwrap().len(), MAX_TICKETS);
    }
}
