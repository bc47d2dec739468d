//! Sends packets for the acknowledgment that they carry.
//!
//! OpenSSH's server sets TCP_NODELAY only when a session starts. Between authentication and that it announces its host
//! keys, reports on the user's key, and confirms the first channel. Nagle's algorithm holds each message back until the
//! one before is acknowledged, and an idle TCP delays acknowledgments by 40 ms (Linux; RFC 1122, section 4.2.3.2,
//! allows 500). A packet from us carries the acknowledgment at once.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::transport::Transport;

/// The maximum number of packets per answer: two announcements precede it, and a third costs little.
const MAX_NUDGES: u32 = 3;

/// How long to wait for the answer after bytes arrived: they may be the answer.
const GRACE: Duration = Duration::from_millis(1);

/// Awaits `answer`, and calls `nudge` whenever something else arrives first.
pub(super) async fn nudging<T, N: Future>(
    transport: &Transport,
    answer: impl Future<Output = T>,
    nudge: impl Fn() -> N,
) -> T {
    let mut answer = pin!(answer);
    for _ in 0..MAX_NUDGES {
        let mut arrival = pin!(transport.arrived.notified());
        // Registers the waiter now, so that an arrival before the first poll counts.
        arrival.as_mut().enable();
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = arrival => {}
        }
        if let Ok(answer) = timeout(GRACE, &mut answer).await {
            return answer;
        }
        nudge().await;
    }
    answer.await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn nudges_are_limited() {
        let (transport, count) = (Transport::new(None), Cell::new(0));
        let nudge = || {
            count.set(count.get() + 1);
            ready(())
        };
        let arriving = async {
            while count.get() < MAX_NUDGES {
                transport.arrived.notify_waiters();
                tokio::time::sleep(GRACE).await;
            }
            for _ in 0..20 {
                transport.arrived.notify_waiters();
                tokio::time::sleep(GRACE).await;
            }
        };
        tokio::select! {
            () = nudging(&transport, pending::<()>(), nudge) => {}
            () = arriving => {}
        }
        assert_eq!(count.get(), MAX_NUDGES);
    }

    #[tokio::test]
    async fn silence_and_the_answer_are_not_nudged() {
        let (transport, nudged) = (Transport::new(None), Cell::new(false));
        let nudge = || {
            nudged.set(true);
            ready(())
        };
        let answer = async {
            tokio::time::sleep(10 * GRACE).await;
            transport.arrived.notify_waiters();
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(nudging(&transport, answer, nudge).await, 7);
        assert!(!nudged.get());
    }
}
