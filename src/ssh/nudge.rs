//! Packets sent for the acknowledgement that they carry.
//!
//! OpenSSH's server sets TCP_NODELAY only when a session starts. Between authentication and that it announces its host
//! keys, tells what it thought of the user's key, and confirms the first channel. Nagle's algorithm holds each of these
//! back until the one before is acknowledged, and a TCP that has nothing to send puts an acknowledgement off by 40 ms
//! (Linux; RFC 1122, section 4.2.3.2, allows 500). A packet of ours takes it along at once.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::link::Link;

/// The most packets for one answer: there are two announcements before it, and a third costs little.
const MAX_NUDGES: u32 = 3;

/// How long after an arrival the answer is waited for: it may be what arrived.
const GRACE: Duration = Duration::from_millis(1);

/// Waits for `answer`, and calls `nudge` when something else arrives meanwhile.
pub(super) async fn nudging<T, N: Future>(
    link: &Link,
    answer: impl Future<Output = T>,
    nudge: impl Fn() -> N,
) -> T {
    let mut answer = pin!(answer);
    for _ in 0..MAX_NUDGES {
        let mut arrival = pin!(link.arrived.notified());
        // What arrives from here on counts, before it is waited for.
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
    async fn each_arrival_is_answered_and_no_more_than_three() {
        let (link, count) = (Link::new(None), Cell::new(0));
        let nudge = || {
            count.set(count.get() + 1);
            ready(())
        };
        let arriving = async {
            while count.get() < MAX_NUDGES {
                link.arrived.notify_waiters();
                tokio::time::sleep(GRACE).await;
            }
            for _ in 0..20 {
                link.arrived.notify_waiters();
                tokio::time::sleep(GRACE).await;
            }
        };
        tokio::select! {
            () = nudging(&link, pending::<()>(), nudge) => {}
            () = arriving => {}
        }
        assert_eq!(count.get(), MAX_NUDGES);
    }

    #[tokio::test]
    async fn silence_and_the_answer_itself_are_not_answered() {
        let (link, nudged) = (Link::new(None), Cell::new(false));
        let nudge = || {
            nudged.set(true);
            ready(())
        };
        let answer = async {
            tokio::time::sleep(10 * GRACE).await;
            link.arrived.notify_waiters();
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(nudging(&link, answer, nudge).await, 7);
        assert!(!nudged.get());
    }
}
