//! A rate limit is an account's: what one request is told holds for all that share a client.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

/// Until when nothing may be asked, by this machine's clock.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<DateTime<Utc>>>);

impl Pause {
    fn until(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        // A time is whole whatever became of who wrote it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server asked for `wait`. A pause is never shortened.
    pub(super) fn ask(&self, now: DateTime<Utc>, wait: Duration) {
        // Longer than a calendar is longer than anyone's patience: the request that heard it ends.
        let end = TimeDelta::from_std(wait)
            .ok()
            .and_then(|wait| now.checked_add_signed(wait));
        let mut until = self.until();
        *until = (*until).max(end);
    }

    /// The pause that is on, with what is left of it; not one that the caller has waited for already.
    pub(super) fn left(
        &self,
        now: DateTime<Utc>,
        waited: Option<DateTime<Utc>>,
    ) -> Option<(DateTime<Utc>, Duration)> {
        let until = (*self.until()).filter(|until| waited != Some(*until))?;
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
        pause.ask(now, Duration::MAX);
        let end = now + seconds(30);
        assert_eq!(pause.left(now, None), Some((end, seconds(30))));
        assert_eq!(pause.left(now, Some(end)), None);
        assert_eq!(
            pause.left(now + seconds(20), Some(now)),
            Some((end, seconds(10)))
        );
        assert_eq!(pause.left(end, None), None);
    }
}
