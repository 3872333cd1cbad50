//! A simulated workspace: its parameters, its clock, and the record of its changes.

use std::{env, num::NonZeroUsize};

use chrono::{DateTime, TimeDelta};
use prefect_fake::{
    Capabilities, Collection, Id, Settings, Store,
    model::Time,
    store::{Database, Ties},
    versions,
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{api::Visit, journal::Journal, windows::Windows};

/// The time at which the first sync begins, in seconds since 1970; any time would do.
const BEGINNING: i64 = 1_795_000_000;

/// The format of times in the log.
const MOMENT: &str = "%m-%d %H:%M:%S%.6f";

/// The longest delay from the `updated` of a change to its visibility, in microseconds: less than the margin.
const LATEST: i64 = 110_000_000;
/// The largest difference between the database's clock and the API's, in seconds.
const MOST_SKEW: i64 = 60;

/// The parameters of a simulated workspace; everything else about it is random.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    pub(super) capabilities: Capabilities,
    pub(super) database: Database,
    pub(super) shuffled_ties: bool,
    /// The number of rows of a page that the server allows.
    pub(super) page_limit: u32,
    /// The number of rows of a page that the connector requests.
    pub(super) page_size: u32,
    /// The number of requests that the connector sends concurrently.
    pub(super) in_flight: NonZeroUsize,
    /// True if the server has neither `/count` nor `/admin/version`.
    pub(super) cloud: bool,
    /// The share of requests that fail; only the client of `sockets` sends them again.
    pub(super) errors: f64,
    /// The share of requests after which the workspace changes.
    pub(super) change_rate: f64,
    /// The share of changes that others see some time after their `updated`.
    pub(super) late: f64,
    /// The lead of the database's clock over the API's.
    pub(super) database_ahead: TimeDelta,
    /// The age from which ended runs are removed.
    pub(super) retention: Option<TimeDelta>,
    /// The largest number of runs.
    pub(super) runs: usize,
}

impl Nature {
    /// Returns parameters without failures or changes during a sync, for histories written by hand.
    pub(super) fn calm() -> Self {
        Self {
            capabilities: versions::V3_9,
            database: Database::Sqlite,
            shuffled_ties: true,
            page_limit: 200,
            page_size: 5,
            in_flight: NonZeroUsize::MIN,
            cloud: false,
            errors: 0.0,
            change_rate: 0.0,
            late: 0.0,
            database_ahead: TimeDelta::zero(),
            retention: None,
            runs: 250,
        }
    }

    pub(super) fn random(rng: &mut SmallRng) -> Self {
        let capabilities = match rng.random_range(0..4) {
            0 => versions::V3_0,
            1 => versions::V2_20,
            _ => versions::V3_9,
        };
        let page_size = *[3, 4, 5, 7, 11, 20, 50, 200]
            .choose(rng)
            .expect("some sizes");
        let share = |rng: &mut SmallRng, often: f64, most: f64| {
            if rng.random_bool(often) {
                rng.random_range(0.0..most)
            } else {
                0.0
            }
        };
        // Drawn from a separate generator, so that everything else that a seed decides stays the same.
        let skew = |rng: &SmallRng| {
            let mut rng = SmallRng::seed_from_u64(rng.clone().random());
            let seconds = rng.random_range(-MOST_SKEW..=MOST_SKEW);
            TimeDelta::seconds(if rng.random_bool(0.2) { seconds } else { 0 })
        };
        Self {
            capabilities,
            database: if rng.random_bool(0.5) {
                Database::Sqlite
            } else {
                Database::Postgres
            },
            shuffled_ties: rng.random_bool(0.8) && env::var_os("SIM_STABLE_TIES").is_none(),
            page_limit: if rng.random_bool(0.1) { 6 } else { 200 },
            page_size,
            // Derived from a number that is drawn anyway, so that a seed keeps its history.
            in_flight: NonZeroUsize::MIN.saturating_add(page_size as usize % 5),
            cloud: rng.random_bool(0.25),
            errors: share(rng, 0.2, 0.03),
            change_rate: share(rng, 0.6, 0.4),
            late: share(rng, 0.5, 0.5),
            database_ahead: skew(rng),
            retention: rng
                .random_bool(0.3)
                .then(|| TimeDelta::days(rng.random_range(7..60))),
            runs: rng.random_range(20..220),
        }
    }
}

/// A workspace and everything that happened to it.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) journal: Journal,
    pub(super) rng: SmallRng,
    /// Decides the latency and failures of requests. Separate from `rng`, so that the number of requests does not
    /// change the rest of the history.
    pub(super) weather: SmallRng,
    pub(super) nature: Nature,
    pub(super) visit: Visit,
    /// The ranges of runs that the connector read.
    pub(super) windows: Windows,
    /// The lead of the API's clock over the store's.
    pub(super) ahead: TimeDelta,
    /// The latest server time of a response.
    pub(super) is_logged: Time,
    /// The time at which others see the change under way, if that is later than its `updated`.
    seen: Option<Time>,
    /// The counter for the names of new objects.
    pub(super) made: u32,
    /// The log of the history, if it is recorded.
    pub(super) story: Option<Vec<String>>,
}

impl World {
    /// Creates an empty workspace.
    pub(super) fn new(nature: Nature, seed: u64, is_logged: bool) -> Self {
        let settings = Settings {
            capabilities: nature.capabilities.clone(),
            database: nature.database,
            page_limit: nature.page_limit,
            ties: if nature.shuffled_ties {
                Ties::Shuffled
            } else {
                Ties::Stable
            },
            date_ahead: TimeDelta::zero(),
            database_ahead: nature.database_ahead,
            seed,
        };
        let beginning = DateTime::from_timestamp(BEGINNING, 123_456_000).expect("in range");
        Self {
            store: Store::new(settings, beginning),
            journal: Journal::new(),
            rng: SmallRng::seed_from_u64(seed),
            weather: SmallRng::seed_from_u64(!seed),
            nature,
            visit: Visit::default(),
            windows: Windows::default(),
            ahead: TimeDelta::zero(),
            is_logged: beginning,
            seen: None,
            made: 0,
            story: is_logged.then(Vec::new),
        }
    }

    /// Gives the workspace a past of up to 60 days.
    pub(super) fn grow_up(&mut self) {
        let now = self.store.now();
        let past = TimeDelta::minutes(self.rng.random_range(1..60 * 24 * 60));
        self.store.set_now(now - past);
        for _ in 0..3 {
            self.new_flow();
        }
        let changes = self.rng.random_range(5..120);
        self.live_through(past, changes);
    }

    /// Advances the clock to the next sync, with random changes and sometimes retention.
    pub(super) fn pass(&mut self, interval: TimeDelta) {
        let changes = match self.rng.random_range(0..10) {
            0 | 1 => 0,
            2..=6 => self.rng.random_range(1..6),
            7 | 8 => self.rng.random_range(6..20),
            _ => self.rng.random_range(20..60),
        };
        self.live_through(interval, changes);
        if let Some(retention) = self.nature.retention
            && self.rng.random_bool(0.5)
        {
            let aged = self.store.vacuum(self.store.now() - retention);
            self.bury("aged out", true);
            self.log(|| format!("{aged} runs age out"));
        }
    }

    /// Makes `changes` changes within `interval`, at random times of all of it or of its last three minutes.
    fn live_through(&mut self, interval: TimeDelta, changes: u32) {
        let start = self.store.now();
        let whole = interval.num_microseconds().expect("a few years at most");
        let from = if self.rng.random_bool(0.3) {
            (whole - 180_000_000).max(0)
        } else {
            0
        };
        // Sometimes whole seconds, so that changes share their times.
        let grain = if self.rng.random_bool(0.3) {
            1_000_000
        } else {
            1
        };
        let mut moments: Vec<i64> = (0..changes)
            .map(|_| self.rng.random_range(from..=whole) / grain * grain)
            .collect();
        moments.sort_unstable();
        for moment in moments {
            self.reach(start + TimeDelta::microseconds(moment));
            self.act();
        }
        self.reach(start + interval);
    }

    /// Returns the time in the server's responses.
    pub(super) fn api_time(&self) -> Time {
        self.store.now() + self.ahead
    }

    /// Advances the clock to `moment`; the clock never goes back.
    pub(super) fn reach(&mut self, moment: Time) {
        let now = self.store.now().max(moment);
        self.store.set_now(now);
    }

    /// Makes random changes between two requests, with the probability `change_rate`.
    pub(super) fn change_at_random(&mut self) {
        if self.nature.change_rate > 0.0 && self.weather.random_bool(self.nature.change_rate) {
            for _ in 0..self.rng.random_range(1..4) {
                self.act();
            }
        }
    }

    /// Makes one change, sometimes one that began earlier and becomes visible only now.
    pub(super) fn act(&mut self) {
        let now = self.store.now();
        if self.nature.late > 0.0 && self.rng.random_bool(self.nature.late) {
            let ago = TimeDelta::microseconds(self.rng.random_range(0..LATEST));
            // A database clock that is behind uses up a part of the delay.
            let ago = (ago + self.nature.database_ahead).clamp(TimeDelta::zero(), ago);
            self.seen = Some(now);
            self.store.set_now(now - ago);
            self.random_change();
            self.seen = None;
            self.store.set_now(now);
        } else {
            self.random_change();
        }
    }

    /// Advances the clock within a change, unless the change becomes visible late.
    pub(super) fn moment(&mut self) {
        if self.seen.is_none() {
            let micros = self.rng.random_range(0..3_000_000);
            self.store.advance(TimeDelta::microseconds(micros));
        }
    }

    /// Records a change that was just made.
    pub(super) fn note(&mut self, collection: Collection, id: Id, what: &str) {
        let at = self.seen.unwrap_or_else(|| self.store.now());
        self.journal.changed(&self.store, collection, id, at);
        let number = self.journal.clock;
        let times = match self.store.run(id) {
            Some(run) => format!(
                ", due {}, ended {}",
                run.expected_start_time.format(MOMENT),
                run.end_time
                    .map_or("never".to_owned(), |end| end.format(MOMENT).to_string()),
            ),
            None => String::new(),
        };
        self.log(|| {
            format!(
                "{} {id}: {what} (change {number}{times})",
                collection.name()
            )
        });
    }

    /// Records the objects that were just removed.
    pub(super) fn bury(&mut self, why: &str, aged: bool) {
        let at = self.seen.unwrap_or_else(|| self.store.now());
        for (table, id) in self.journal.bury(&self.store, at, aged) {
            self.log(|| format!("{table} {id}: gone, {why}"));
        }
    }

    /// Adds a line to the log, if the history is recorded.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        let now = self.seen.unwrap_or_else(|| self.store.now());
        if let Some(story) = &mut self.story {
            story.push(format!("{} {}", now.format(MOMENT), line()));
        }
    }

    /// Replaces the server by another release; its data stay.
    pub(super) fn upgrade(&mut self, capabilities: Capabilities) {
        let settings = Settings {
            capabilities: capabilities.clone(),
            ..self.store.settings().clone()
        };
        let mut store = Store::new(settings, self.store.now());
        self.store
            .flows()
            .cloned()
            .for_each(|row| store.put_flow(row));
        self.store
            .runs()
            .cloned()
            .for_each(|row| store.put_run(row));
        self.store
            .deployments()
            .cloned()
            .for_each(|row| store.put_deployment(row));
        self.store = store;
        self.log(|| format!("the server becomes {}", capabilities.release));
        self.nature.capabilities = capabilities;
    }
}
