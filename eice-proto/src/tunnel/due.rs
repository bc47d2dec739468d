//! The timers: keepalive, the warning before the maximum duration, and its end.

use std::time::{Duration, Instant};

use super::{Role, Tunnel};

/// How long past the maximum duration a client waits for the server to end the tunnel before it closes it.
pub(super) const DURATION_GRACE: Duration = Duration::from_secs(5);

/// The next keepalive action and when it is due.
pub(super) enum Keepalive {
    Ping(Instant),
    GiveUp(Instant),
}

impl Tunnel {
    pub(super) fn warning_due(&self) -> Option<(Duration, Instant)> {
        let (limit, before) = (self.config.max_duration?, self.config.duration_warning?);
        let is_pending = !self.warning_sent && before < limit;
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
            Role::Server => (!self.duration_reported).then(|| (limit, self.opened + limit)),
        }
    }
}
