//! The clock of a replay.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

/// A clock that starts at the beginning of the recording. A wait advances the clock, but takes no time.
#[derive(Debug)]
pub struct ReplayClock(Mutex<DateTime<Utc>>);

impl ReplayClock {
    /// Creates a clock that shows `began`.
    pub fn new(began: DateTime<Utc>) -> Self {
        Self(Mutex::new(began))
    }

    fn time(&self) -> std::sync::MutexGuard<'_, DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ReplayClock {
    fn now(&self) -> DateTime<Utc> {
        *self.time()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let wait = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let until = self.now().checked_add_signed(wait);
        Box::pin(async move {
            tokio::task::yield_now().await;
            let mut time = self.time();
            *time = until.unwrap_or(*time).max(*time);
        })
    }
}
