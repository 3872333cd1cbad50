//! A clock that stops while any caller works, and advances when all of them wait.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    telemetry::{Event, Observer, Telemetry},
};
use tokio::sync::{oneshot, watch};

/// A clock that advances when every table waits. A sync's events report the number of tables that are being read; when
/// each of them waits, the clock moves to the earliest end of a wait.
pub(crate) struct SteppingClock {
    steps: Mutex<Steps>,
    sleeping: watch::Sender<usize>,
}

struct Steps {
    now: DateTime<Utc>,
    /// The number of callers that can wait at the same time.
    workers: usize,
    sleepers: Vec<(DateTime<Utc>, oneshot::Sender<()>)>,
}

impl SteppingClock {
    pub(crate) fn at(now: DateTime<Utc>) -> Arc<Self> {
        Self::with_workers(now, 0)
    }

    /// Creates a clock for callers that are not tables of a sync.
    pub(crate) fn with_workers(now: DateTime<Utc>, workers: usize) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(Steps {
                now,
                workers,
                sleepers: Vec::new(),
            }),
            sleeping: watch::Sender::new(0),
        })
    }

    /// Returns the telemetry that reports the tables to the clock.
    pub(crate) fn telemetry(self: &Arc<Self>) -> Telemetry {
        Telemetry::new(vec![Arc::clone(self) as Arc<dyn Observer>])
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.steps().now += by;
    }

    /// Reports that one of the callers has ended.
    pub(crate) fn done(&self) {
        let mut steps = self.steps();
        steps.workers -= 1;
        self.step(&mut steps);
    }

    /// Completes when this number of callers wait.
    pub(crate) async fn sleeping(&self, number: usize) {
        let mut sleeping = self.sleeping.subscribe();
        sleeping.wait_for(|now| *now >= number).await.unwrap();
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap()
    }

    /// Wakes the caller whose wait ends first, if all wait.
    fn step(&self, steps: &mut Steps) {
        steps.sleepers.retain(|(_, waker)| !waker.is_closed());
        let sleepers = &mut steps.sleepers;
        let first = (0..sleepers.len()).min_by_key(|at| sleepers[*at].0);
        if let Some(first) = first.filter(|_| sleepers.len() >= steps.workers) {
            let (until, waker) = sleepers.remove(first);
            steps.now = steps.now.max(until);
            let _ = waker.send(());
        }
        self.sleeping.send_replace(steps.sleepers.len());
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> DateTime<Utc> {
        self.steps().now
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let (waker, woken) = oneshot::channel();
        let mut steps = self.steps();
        let until = steps.now + TimeDelta::from_std(duration).unwrap();
        steps.sleepers.push((until, waker));
        self.step(&mut steps);
        Box::pin(async move {
            let _ = woken.await;
        })
    }
}

impl Observer for SteppingClock {
    fn observe(&self, event: &Event) {
        match event {
            Event::TableStarted { .. } => self.steps().workers += 1,
            Event::TableDone { .. } => self.done(),
            _ => {}
        }
    }
}

/// The same clock, ahead by a fixed time.
pub(crate) struct Ahead {
    pub(crate) of: Arc<SteppingClock>,
    pub(crate) by: TimeDelta,
}

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        self.of.now() + self.by
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.of.sleep(duration)
    }
}
