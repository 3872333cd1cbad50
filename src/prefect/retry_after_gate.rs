//! The pause of an account after a 429. Rate limits are per account, so a pause that one request receives applies
//! to all requests of the account.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// The longest pause that is observed. A longer one is a server's mistake and would block the account's syncs
/// until the connector is restarted. The request that received it fails, and the next sync tries again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The time until which no request may be sent, by this machine's clock.
#[derive(Debug, Default)]
pub(super) struct RetryAfterGate(Mutex<RetryAfter>);

#[derive(Debug, Default)]
struct RetryAfter {
    until: Option<DateTime<Utc>>,
    /// The machine's clock at the last access.
    seen: Option<DateTime<Utc>>,
}

impl RetryAfterGate {
    /// Returns the pause, adjusted if the machine's clock was set back since the last access.
    fn at(&self, now: DateTime<Utc>) -> MutexGuard<'_, RetryAfter> {
        // The times are consistent even if a thread panicked while holding the lock.
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let back = pause.seen.map_or(TimeDelta::zero(), |seen| seen - now);
        pause.until = pause.until.map(|until| until - back.max(TimeDelta::zero()));
        pause.seen = Some(now);
        pause
    }

    /// Starts a pause of `wait`, as the server requested. A running pause is never shortened.
    pub(super) fn start(&self, now: DateTime<Utc>, wait: Duration) {
        let end = TimeDelta::from_std(wait.min(LONGEST))
            .ok()
            .and_then(|wait| now.checked_add_signed(wait));
        let mut pause = self.at(now);
        pause.until = pause.until.max(end);
    }

    /// Returns the end of the running pause and the time left. Returns `None` if no pause is running or the caller
    /// has already waited for it.
    pub(super) fn remaining(
        &self,
        now: DateTime<Utc>,
        waited: Option<DateTime<Utc>>,
    ) -> Option<(DateTime<Utc>, Duration)> {
        let until = self.at(now).until.filter(|until| waited != Some(*until))?;
        let remaining = (until - now).to_std().ok()?;
        (!remaining.is_zero()).then_some((until, remaining))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_time_and_is_never_shortened() {
        let gate = RetryAfterGate::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let seconds = Duration::from_secs;
        assert_eq!(gate.remaining(now, None), None);
        gate.start(now, seconds(30));
        gate.start(now, seconds(10));
        let end = now + seconds(30);
        assert_eq!(gate.remaining(now, None), Some((end, seconds(30))));
        assert_eq!(gate.remaining(now, Some(end)), None);
        assert_eq!(
            gate.remaining(now + seconds(20), Some(now)),
            Some((end, seconds(10)))
        );
        assert_eq!(gate.remaining(end, None), None);
    }

    #[test]
    fn a_pause_is_at_most_an_hour() {
        let gate = RetryAfterGate::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        for wait in [Duration::from_secs(99_999_999_999), Duration::MAX] {
            gate.start(now, wait);
            let remaining = gate.remaining(now, None).map(|(_, remaining)| remaining);
            assert_eq!(remaining, Some(LONGEST));
        }
        assert_eq!(gate.remaining(now + LONGEST, None), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_it() {
        let gate = RetryAfterGate::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        gate.start(now, Duration::from_secs(30));
        let earlier = now - TimeDelta::hours(1);
        let remaining = gate
            .remaining(earlier, None)
            .map(|(_, remaining)| remaining);
        assert_eq!(remaining, Some(Duration::from_secs(30)));
    }
}
