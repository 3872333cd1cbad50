//! Decisions about retries, as pure functions: time and randomness are arguments.

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};
use chrono::{DateTime, Utc};

/// The limits within which a request is retried before the sync ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The number of tries for 408, 425, 5xx, a broken connection or an unusable body.
    pub max_attempts: u32,
    /// The maximum total wait because of 429, per request.
    pub rate_limit: Duration,
    /// The longest wait between two tries that the server did not request.
    pub max_wait: Duration,
    /// The time limit for establishing a connection, TLS included.
    pub connect_timeout: Duration,
    /// The time limit for a server that sends nothing while a response is awaited.
    pub read_timeout: Duration,
}

impl RetryPolicy {
    /// The limits for a sync.
    pub const SYNC: Self = Self {
        max_attempts: 8,
        rate_limit: Duration::from_secs(15 * 60),
        max_wait: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(120),
    };

    /// The limits for repeating a request that failed under the full limits before.
    pub const BRIEF: Self = Self {
        max_attempts: 3,
        max_wait: Duration::from_secs(2),
        ..Self::SYNC
    };

    /// The limits for a request that is known to fail: one try.
    pub const ONCE: Self = Self {
        max_attempts: 1,
        ..Self::SYNC
    };

    /// The limits for a setup test, during which the user waits.
    pub const SETUP: Self = Self {
        max_attempts: 2,
        rate_limit: Duration::from_secs(10),
        max_wait: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(20),
    };
}

/// The reason why a try failed, as far as a retry depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Status 429, with the wait that the server requests.
    RateLimited { retry_after: Option<Duration> },
    /// Another temporary failure. The server may request a wait here, too (503).
    Transient { retry_after: Option<Duration> },
}

/// The state of the tries of one request.
#[derive(Debug)]
pub(super) struct Retry {
    policy: RetryPolicy,
    /// The growing bounds of the waits. The crate's own jitter is off, because the jitter is an argument.
    bounds: ExponentialBackoff,
    failures: u32,
    waited_for_limit: Duration,
}

impl Retry {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        let bounds = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(500))
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_interval(policy.max_wait)
            .with_max_elapsed_time(None)
            .build();
        Self {
            policy,
            bounds,
            failures: 0,
            waited_for_limit: Duration::ZERO,
        }
    }

    /// Returns the wait before the next try, or `None` when the limits are exhausted.
    ///
    /// `random` is in 0..1 ("full jitter": clients that failed together do not return together). A wait that comes
    /// with a 429 is kept in full, plus up to a second; another requested wait is kept up to `max_wait`.
    pub(super) fn next(&mut self, failure: Failure, random: f64) -> Option<Duration> {
        let bound = self.bounds.next_backoff().unwrap_or(self.policy.max_wait);
        let jitter = bound.mul_f64(random.clamp(0.0, 1.0));
        match failure {
            Failure::RateLimited { retry_after } => {
                let wait = match retry_after {
                    Some(requested) => requested.saturating_add(jitter.min(Duration::from_secs(1))),
                    None => jitter,
                };
                self.waited_for_limit = self.waited_for_limit.saturating_add(wait);
                (self.waited_for_limit <= self.policy.rate_limit).then_some(wait)
            }
            Failure::Transient { retry_after } => {
                self.failures += 1;
                let requested = retry_after.unwrap_or_default().min(self.policy.max_wait);
                (self.failures < self.policy.max_attempts).then_some(requested.max(jitter))
            }
        }
    }

    /// The number of tries that failed for another reason than a rate limit.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

/// Parses `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). Returns `None` for an unreadable
/// value and for a time in the past.
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = DateTime::<Utc>::from(httpdate::parse_http_date(value).ok()?);
    (date - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const TRANSIENT: Failure = Failure::Transient { retry_after: None };

    #[test]
    fn waits_grow_to_their_bound_and_tries_end() {
        let mut retry = Retry::new(RetryPolicy::SYNC);
        let waits: Vec<u64> = std::iter::from_fn(|| retry.next(TRANSIENT, 1.0))
            .map(|wait| wait.as_secs())
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32]);
        assert_eq!(retry.failures(), 8);
    }

    #[test]
    fn the_wait_that_the_server_requests_is_used() {
        let requested = Some(Duration::from_secs(30));
        let mut retry = Retry::new(RetryPolicy::SYNC);
        let wait = retry.next(
            Failure::RateLimited {
                retry_after: requested,
            },
            0.0,
        );
        assert_eq!(wait, requested);
        let absurd = Some(Duration::MAX);
        assert_eq!(
            retry.next(
                Failure::RateLimited {
                    retry_after: absurd
                },
                0.5
            ),
            None
        );
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        let now = Utc
            .with_ymd_and_hms(2026, 11, 21, 5, 0, 0)
            .single()
            .expect("valid");
        let seconds = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("1.5"), Some(1));
        assert_eq!(seconds("Sat, 21 Nov 2026 05:00:30 GMT"), Some(30));
        for text in [
            "-3",
            "Sat, 21 Nov 2026 04:59:00 GMT",
            "soon",
            "",
            "NaN",
            "1e300",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn waiting_for_a_rate_limit_is_bounded(
            asks in prop::collection::vec(prop::option::of(0_u64..10_000), 1..200),
            random in 0.0..1.0_f64,
        ) {
            let mut retry = Retry::new(RetryPolicy::SYNC);
            let mut total = Duration::ZERO;
            for ask in asks {
                let retry_after = ask.map(Duration::from_secs);
                match retry.next(Failure::RateLimited { retry_after }, random) {
                    Some(wait) => {
                        prop_assert!(retry_after.is_none_or(|requested| wait >= requested));
                        total += wait;
                    }
                    None => break,
                }
            }
            prop_assert!(total <= RetryPolicy::SYNC.rate_limit);
        }
    }
}
