//! A rate limit is an account's: what one request is told holds for all that read with it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// A longer pause is the mistake of a server, and would hold up the account's syncs until somebody
/// restarts the connector: the request that was told ends, the next sync asks again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Until when nothing may be asked, by this machine's clock.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    until: Option<DateTime<Utc>>,
    /// The clock when it was last looked at.
    seen: Option<DateTime<Utc>>,
}

impl Pause {
    /// What was asked for; by the clock as it goes now, if it was set back meanwhile.
    fn at(&self, now: DateTime<Utc>) -> MutexGuard<'_, Asked> {
        // Times are whole whatever became of who wrote them.
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let back = asked.seen.map_or(TimeDelta::zero(), |seen| seen - now);
        asked.until = asked.until.map(|until| until - back.max(TimeDelta::zero()));
        asked.seen = Some(now);
        asked
    }

    /// The server asked for `wait`. A pause is never shortened.
    pub(super) fn ask(&self, now: DateTime<Utc>, wait: Duration) {
        let end = TimeDelta::from_std(wait.min(LONGEST))
            .ok()
            .and_then(|wait| now.checked_add_signed(wait));
        let mut asked = self.at(now);
        asked.until = asked.until.max(end);
    }

    /// The pause that is on, with what is left of it; not one that the caller has waited for already.
    pub(super) fn left(
        &self,
        now: DateTime<Utc>,
        waited: Option<DateTime<Utc>>,
    ) -> Option<(DateTime<Utc>, Duration)> {
        let until = self.at(now).until.filter(|until| waited != Some(*until))?;
        let left = (until - now).to_std().ok()?;
        (!left.is_zero()).then_some((until, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_time_and_is_never_shortened() {
        let pause = Pause::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let seconds = Duration::from_secs;
        assert_eq!(pause.left(now, None), None);
        pause.ask(now, seconds(30));
        pause.ask(now, seconds(10));
        let end = now + seconds(30);
        assert_eq!(pause.left(now, None), Some((end, seconds(30))));
        assert_eq!(pause.left(now, Some(end)), None);
        assert_eq!(
            pause.left(now + seconds(20), Some(now)),
            Some((end, seconds(10)))
        );
        assert_eq!(pause.left(end, None), None);
    }

    #[test]
    fn an_absurd_pause_is_over_in_an_hour() {
        let pause = Pause::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        for asked in [Duration::from_secs(99_999_999_999), Duration::MAX] {
            pause.ask(now, asked);
            let left = pause.left(now, None).map(|(_, left)| left);
            assert_eq!(left, Some(LONGEST));
        }
        assert_eq!(pause.left(now + LONGEST, None), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_it() {
        let pause = Pause::default();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        pause.ask(now, Duration::from_secs(30));
        let earlier = now - TimeDelta::hours(1);
        let left = pause.left(earlier, None).map(|(_, left)| left);
        assert_eq!(left, Some(Duration::from_secs(30)));
    }
}
