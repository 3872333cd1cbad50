//! The limit of requests per minute.
//!
//! A small burst may begin at once, so that a small sync is not delayed; further requests are spread evenly. No
//! minute has more requests than allowed (GCRA, the leaky bucket as a meter).

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::RequestsPerMinute;

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// The request budget of an account.
#[derive(Debug, Default)]
pub(super) struct RequestRateLimit(Mutex<GcraState>);

#[derive(Debug, Default)]
struct GcraState {
    /// The time at which the next request is due if all requests are spread evenly.
    due: Option<DateTime<Utc>>,
    /// The machine's clock at the last request.
    seen: Option<DateTime<Utc>>,
}

impl RequestRateLimit {
    /// Reserves a request and returns the wait before the request may begin.
    pub(super) fn reserve(&self, now: DateTime<Utc>, most: RequestsPerMinute) -> TimeDelta {
        // The times are consistent even if a thread panicked while holding the lock.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.reserve(now, most)
    }
}

impl GcraState {
    fn reserve(&mut self, now: DateTime<Utc>, most: RequestsPerMinute) -> TimeDelta {
        let most = i32::try_from(most.get()).unwrap_or(i32::MAX);
        let at_once = (most / 6).max(1);
        let apart = MINUTE / (most - at_once).max(1);
        let mut due = self.due.unwrap_or(now);
        // The machine's clock was set back.
        if let Some(seen) = self.seen.filter(|seen| *seen > now) {
            due -= seen - now;
        }
        let due = due.max(now);
        self.seen = Some(now);
        self.due = Some(due + apart);
        (due - apart * (at_once - 1) - now).max(TimeDelta::zero())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::BoundedU32;

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    proptest! {
        #[test]
        fn no_minute_has_more_requests_than_allowed(
            most in 1_u32..2_000,
            pauses in prop::collection::vec(prop_oneof![Just(0_i64), 0..100_i64, 0..90_000_i64], 1..3_000),
        ) {
            let mut state = GcraState::default();
            let mut now = START;
            let mut begun = Vec::new();
            for pause in pauses {
                now += TimeDelta::milliseconds(pause);
                begun.push(now + state.reserve(now, BoundedU32::new(most)));
            }
            begun.sort_unstable();
            // Minutes are half-open intervals: the next one begins when the previous one is over.
            let most = most as usize;
            for (first, after) in begun.iter().zip(begun.iter().skip(most)) {
                prop_assert!(*after - *first >= MINUTE - TimeDelta::milliseconds(1));
            }
        }
    }

    #[test]
    fn a_small_sync_is_not_delayed_and_a_large_one_is_spread_over_the_minute() {
        let mut state = GcraState::default();
        let waits: Vec<_> = (0..300)
            .map(|_| {
                state
                    .reserve(START, BoundedU32::new(300))
                    .num_milliseconds()
            })
            .collect();
        assert!(waits[..50].iter().all(|wait| *wait == 0));
        assert_eq!(waits[50..53], [240, 480, 720]);
        assert_eq!(waits[299], 60_000);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_no_request() {
        let mut state = GcraState::default();
        for _ in 0..50 {
            state.reserve(START, BoundedU32::new(300));
        }
        let earlier = START - TimeDelta::hours(1);
        let wait = state.reserve(earlier, BoundedU32::new(300));
        assert_eq!(wait, TimeDelta::milliseconds(240));
    }
}
