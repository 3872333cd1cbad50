//! A limit of requests per minute, as Prefect Cloud counts them. The time is an argument.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::model::Time;

/// The form of the `Retry-After` header in a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// `Retry-After: 17`.
    Seconds,
    /// `Retry-After: Sat, 21 Nov 2026 05:00:30 GMT`.
    Date,
}

/// The rate limit of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of requests.
    pub requests: usize,
    /// The length of the sliding window in which they are counted.
    pub within: TimeDelta,
    /// The form of the header in a rejection.
    pub retry_after: RetryAfter,
}

impl RateLimit {
    /// An account of the smallest plan (docs.prefect.io, "Rate limits and data retention").
    pub const HOBBY: Self = Self {
        requests: 625,
        within: TimeDelta::minutes(1),
        retry_after: RetryAfter::Seconds,
    };
}

/// Counts the requests of an account.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    /// The times of the latest admitted requests.
    passed: VecDeque<Time>,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            passed: VecDeque::new(),
        }
    }

    /// Admits a request, or returns the wait until one is admitted, rounded up to whole seconds.
    pub(super) fn admit(&mut self, now: Time) -> Result<(), TimeDelta> {
        let begin = now - self.limit.within;
        while self.passed.front().is_some_and(|at| *at <= begin) {
            self.passed.pop_front();
        }
        if self.passed.len() < self.limit.requests {
            self.passed.push_back(now);
            return Ok(());
        }
        let wait = self.passed.front().map_or(self.limit.within, |oldest| {
            *oldest + self.limit.within - now
        });
        let up = i64::from(wait.subsec_nanos() > 0);
        Err(TimeDelta::seconds(wait.num_seconds() + up))
    }

    /// Formats `wait` as the header's value.
    pub(super) fn spell(&self, wait: TimeDelta, now: Time) -> String {
        match self.limit.retry_after {
            RetryAfter::Seconds => wait.num_seconds().to_string(),
            // A date has whole seconds and must not be early, so it is rounded up.
            RetryAfter::Date => {
                httpdate::fmt_http_date((now + wait + TimeDelta::milliseconds(999)).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::fixed_now;

    fn limiter(requests: usize) -> Limiter {
        Limiter::new(RateLimit {
            requests,
            ..RateLimit::HOBBY
        })
    }

    #[test]
    fn no_minute_exceeds_the_limit_and_a_rejection_states_the_wait() {
        let mut limiter = limiter(3);
        let start = fixed_now();
        let at = |seconds| start + TimeDelta::milliseconds(seconds);
        for millis in [0, 10_000, 20_500] {
            assert_eq!(limiter.admit(at(millis)), Ok(()));
        }
        assert_eq!(limiter.admit(at(30_200)), Err(TimeDelta::seconds(30)));
        assert_eq!(limiter.admit(at(59_999)), Err(TimeDelta::seconds(1)));
        assert_eq!(limiter.admit(at(60_000)), Ok(()));
        assert_eq!(limiter.admit(at(60_000)), Err(TimeDelta::seconds(10)));
        assert_eq!(limiter.admit(at(70_000)), Ok(()));
    }

    #[test]
    fn retry_after_is_correct_as_seconds_and_as_a_date() {
        let mut limiter = limiter(1);
        let start = fixed_now() + TimeDelta::milliseconds(300);
        assert_eq!(limiter.admit(start), Ok(()));
        let wait = limiter.admit(start).unwrap_err();
        assert_eq!(limiter.spell(wait, start), "60");
        limiter.limit.retry_after = RetryAfter::Date;
        let date = httpdate::parse_http_date(&limiter.spell(wait, start)).unwrap();
        assert!(Time::from(date) >= start + wait);
        assert_eq!(limiter.admit(Time::from(date)), Ok(()));
    }
}
