//! What is due when: the keepalive, the warning before the longest duration and its end.

use std::time::{Duration, Instant};

use super::{Role, Tunnel};

/// How long after the longest duration a client waits for the server to end the tunnel before it does so itself.
pub(super) const DURATION_GRACE: Duration = Duration::from_secs(5);

/// What is to be done about a quiet peer, and when.
pub(super) enum Keepalive {
    Ping(Instant),
    GiveUp(Instant),
}

impl Tunnel {
    pub(super) fn warning_due(&self) -> Option<(Duration, Instant)> {
        let (limit, before) = (self.config.max_duration?, self.config.duration_warning?);
        let is_pending = !self.warning_told && before < limit;
        is_pending.then(|| (limit, self.opened + limit.saturating_sub(before)))
    }

    pub(super) fn keepalive_due(&self) -> Option<Keepalive> {
        let interval = self.config.keepalive_interval?;
        Some(match (self.is_answering, self.ping_sent_at) {
            (false, _) => Keepalive::Ping(self.last_ping + interval),
            (true, None) => Keepalive::Ping(self.last_heard + interval),
            (true, Some(sent)) => Keepalive::GiveUp(sent + self.config.keepalive_timeout),
        })
    }

    pub(super) fn duration_due(&self) -> Option<(Duration, Instant)> {
        let limit = self.config.max_duration?;
        match self.role {
            Role::Client => Some((limit, self.opened + limit + DURATION_GRACE)),
            Role::Server => (!self.duration_told).then(|| (limit, self.opened + limit)),
        }
    }
}
