//! How many requests of an account may be under way at once: as many as configured, fewer while the server
//! struggles.
//!
//! A server that limits, fails or takes long gets half as many, and one more after each round of good
//! answers (additive increase, multiplicative decrease).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::config::Concurrency;

/// An answer that takes so long tells of a server that has too much to do.
const SLOW: Duration = Duration::from_secs(5);

/// The gate that requests pass.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    pace: Mutex<Pace>,
    left: Notify,
}

/// What became of a request, as far as the pace goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// Answered, within this time.
    Well(Duration),
    /// Limited, failed, or not answered.
    Badly,
}

/// Leave to send a request; gives its place free when it is dropped.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    throttle: &'a Throttle,
    most: Concurrency,
    round: u64,
    went: Option<Went>,
}

impl Throttle {
    /// Waits until a request may be sent by a sync that is configured to have at most `most` at once.
    pub(super) async fn enter(&self, most: Concurrency) -> Leave<'_> {
        loop {
            let left = self.left.notified();
            if let Some(round) = self.pace().enter(most) {
                return Leave {
                    throttle: self,
                    most,
                    round,
                    went: None,
                };
            }
            left.await;
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Numbers are whole whatever became of who wrote them.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Says what became of the request.
    pub(super) fn went(mut self, went: Went) {
        self.went = Some(went);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let free = self.throttle.pace().leave(self.most, self.round, self.went);
        for _ in 0..free {
            self.throttle.left.notify_one();
        }
    }
}

/// The decision: pure.
#[derive(Debug, Default)]
struct Pace {
    /// What the server bears; `None`: as many as configured.
    borne: Option<u32>,
    under_way: u32,
    /// Good answers since the last change.
    good: u32,
    /// Grows with each decrease: what was sent before it says nothing about what came of it.
    round: u64,
}

impl Pace {
    fn allowed(&self, most: Concurrency) -> u32 {
        self.borne
            .map_or(most.get(), |borne| borne.min(most.get()))
            .max(1)
    }

    /// The round, if one more may be sent.
    fn enter(&mut self, most: Concurrency) -> Option<u64> {
        (self.under_way < self.allowed(most)).then(|| {
            self.under_way += 1;
            self.round
        })
    }

    /// Gives how many more may be sent now.
    fn leave(&mut self, most: Concurrency, round: u64, went: Option<Went>) -> u32 {
        self.under_way -= 1;
        let allowed = self.allowed(most);
        match went {
            _ if round != self.round => {}
            None => {}
            Some(Went::Well(took)) if took < SLOW => {
                self.good += 1;
                // What is configured may be less than what is borne.
                if self.good >= allowed && self.borne == Some(allowed) {
                    self.borne = Some(allowed + 1);
                    self.good = 0;
                }
            }
            Some(_) => {
                let borne = (allowed / 2).max(1);
                self.borne = Some(borne);
                self.good = 0;
                self.round += 1;
                tracing::debug!(borne, "fewer requests at once");
            }
        }
        self.allowed(most).saturating_sub(self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Number;

    const GOOD: Option<Went> = Some(Went::Well(Duration::from_millis(50)));

    /// Sends as many as it may, and gives each the same end; how many they were.
    fn round_of(pace: &mut Pace, most: u32, went: Option<Went>) -> usize {
        let most = Number::new(most);
        let sent: Vec<u64> = std::iter::from_fn(|| pace.enter(most)).collect();
        for round in &sent {
            pace.leave(most, *round, went);
        }
        sent.len()
    }

    #[test]
    fn a_struggling_server_gets_half_as_many_and_one_more_a_round_later() {
        let mut pace = Pace::default();
        let mut round_of = |went| round_of(&mut pace, 8, went);
        assert_eq!(round_of(GOOD), 8);
        // All eight were limited together: that counts once.
        assert_eq!(round_of(Some(Went::Badly)), 8);
        assert_eq!(round_of(GOOD), 4);
        assert_eq!(round_of(GOOD), 5);
        assert_eq!(round_of(Some(Went::Well(SLOW))), 6);
        assert_eq!(round_of(Some(Went::Badly)), 3);
        for _ in 0..3 {
            assert_eq!(round_of(Some(Went::Badly)), 1);
        }
        let grown: Vec<usize> = (0..9).map(|_| round_of(GOOD)).collect();
        assert_eq!(grown, [1, 2, 3, 4, 5, 6, 7, 8, 8]);
    }

    #[test]
    fn a_request_that_was_given_up_says_nothing() {
        let mut pace = Pace::default();
        let mut round_of = |went| round_of(&mut pace, 2, went);
        assert_eq!(round_of(None), 2);
        assert_eq!(round_of(None), 2);
    }

    #[test]
    fn a_sync_that_may_less_has_less() {
        let mut pace = Pace::default();
        assert_eq!(round_of(&mut pace, 8, Some(Went::Badly)), 8);
        assert_eq!(round_of(&mut pace, 2, GOOD), 2);
        assert_eq!(round_of(&mut pace, 8, GOOD), 4);
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_one_leaves() {
        let throttle = Throttle::default();
        let one = Number::new(1);
        let first = throttle.enter(one).await;
        let second = throttle.enter(one);
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        first.went(Went::Badly);
        second.await.went(Went::Well(Duration::ZERO));
        drop(throttle.enter(one).await);
    }
}
