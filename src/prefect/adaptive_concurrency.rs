//! The limit of concurrent requests of an account: the configured number, or fewer while the server is overloaded.
//!
//! A rate limit, a failure or a slow response halves the limit, and each round of good responses raises it by one
//! (additive increase, multiplicative decrease).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::config::Concurrency;

/// The response time from which a server counts as overloaded.
const SLOW: Duration = Duration::from_secs(5);

/// The limiter of concurrent requests.
#[derive(Debug, Default)]
pub(super) struct AdaptiveConcurrency {
    state: Mutex<AimdState>,
    freed: Notify,
}

/// The outcome of a request, as far as the limit depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestOutcome {
    /// A response arrived after this time.
    Ok(Duration),
    /// The request was rate-limited, failed or received no response.
    Overload,
}

/// A permit to send a request; dropping the permit frees its place.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limiter: &'a AdaptiveConcurrency,
    most: Concurrency,
    round: u64,
    outcome: Option<RequestOutcome>,
}

impl AdaptiveConcurrency {
    /// Waits until a sync that is configured for at most `most` concurrent requests may send one.
    pub(super) async fn acquire(&self, most: Concurrency) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            if let Some(round) = self.state().acquire(most) {
                return Permit {
                    limiter: self,
                    most,
                    round,
                    outcome: None,
                };
            }
            freed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, AimdState> {
        // The numbers are consistent even if a thread panicked while holding the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Records the outcome of the request.
    pub(super) fn finish(mut self, outcome: RequestOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let free = self
            .limiter
            .state()
            .release(self.most, self.round, self.outcome);
        for _ in 0..free {
            self.limiter.freed.notify_one();
        }
    }
}

/// The state and rules of the limit, without locks or clocks.
#[derive(Debug, Default)]
struct AimdState {
    /// The number of concurrent requests that the server can handle; `None` means the configured number.
    limit: Option<u32>,
    under_way: u32,
    /// The number of good responses since the last change.
    good: u32,
    /// The number of decreases. A request sent before a decrease says nothing about the effect of that decrease.
    round: u64,
}

impl AimdState {
    fn allowed(&self, most: Concurrency) -> u32 {
        self.limit
            .map_or(most.get(), |limit| limit.min(most.get()))
            .max(1)
    }

    /// Returns the round if another request may be sent.
    fn acquire(&mut self, most: Concurrency) -> Option<u64> {
        (self.under_way < self.allowed(most)).then(|| {
            self.under_way += 1;
            self.round
        })
    }

    /// Applies the outcome of a request and returns the number of further requests that may be sent now.
    fn release(&mut self, most: Concurrency, round: u64, outcome: Option<RequestOutcome>) -> u32 {
        self.under_way -= 1;
        let allowed = self.allowed(most);
        match outcome {
            _ if round != self.round => {}
            None => {}
            Some(RequestOutcome::Ok(duration)) if duration < SLOW => {
                self.good += 1;
                // The configured number may be lower than the number that the server can handle.
                if self.good >= allowed && self.limit == Some(allowed) {
                    self.limit = Some(allowed + 1);
                    self.good = 0;
                }
            }
            Some(_) => {
                let limit = (allowed / 2).max(1);
                self.limit = Some(limit);
                self.good = 0;
                self.round += 1;
                tracing::debug!(limit, "fewer requests at once");
            }
        }
        self.allowed(most).saturating_sub(self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BoundedU32;

    const GOOD: Option<RequestOutcome> = Some(RequestOutcome::Ok(Duration::from_millis(50)));

    /// Sends as many requests as allowed, gives each the same outcome and returns their number.
    fn round_of(state: &mut AimdState, most: u32, outcome: Option<RequestOutcome>) -> usize {
        let most = BoundedU32::new(most);
        let sent: Vec<u64> = std::iter::from_fn(|| state.acquire(most)).collect();
        for round in &sent {
            state.release(most, *round, outcome);
        }
        sent.len()
    }

    #[test]
    fn an_overloaded_server_halves_the_limit_and_a_round_later_it_grows_by_one() {
        let mut state = AimdState::default();
        let mut round_of = |outcome| round_of(&mut state, 8, outcome);
        assert_eq!(round_of(GOOD), 8);
        // All eight were rate-limited together, which counts once.
        assert_eq!(round_of(Some(RequestOutcome::Overload)), 8);
        assert_eq!(round_of(GOOD), 4);
        assert_eq!(round_of(GOOD), 5);
        assert_eq!(round_of(Some(RequestOutcome::Ok(SLOW))), 6);
        assert_eq!(round_of(Some(RequestOutcome::Overload)), 3);
        for _ in 0..3 {
            assert_eq!(round_of(Some(RequestOutcome::Overload)), 1);
        }
        let grown: Vec<usize> = (0..9).map(|_| round_of(GOOD)).collect();
        assert_eq!(grown, [1, 2, 3, 4, 5, 6, 7, 8, 8]);
    }

    #[test]
    fn an_abandoned_request_does_not_change_the_limit() {
        let mut state = AimdState::default();
        let mut round_of = |outcome| round_of(&mut state, 2, outcome);
        assert_eq!(round_of(None), 2);
        assert_eq!(round_of(None), 2);
    }

    #[test]
    fn a_sync_with_a_lower_limit_sends_fewer_requests() {
        let mut state = AimdState::default();
        assert_eq!(round_of(&mut state, 8, Some(RequestOutcome::Overload)), 8);
        assert_eq!(round_of(&mut state, 2, GOOD), 2);
        assert_eq!(round_of(&mut state, 8, GOOD), 4);
    }

    #[tokio::test]
    async fn a_waiting_request_starts_when_another_finishes() {
        let limiter = AdaptiveConcurrency::default();
        let one = BoundedU32::new(1);
        let first = limiter.acquire(one).await;
        let second = limiter.acquire(one);
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        first.finish(RequestOutcome::Overload);
        second.await.finish(RequestOutcome::Ok(Duration::ZERO));
        drop(limiter.acquire(one).await);
    }
}
