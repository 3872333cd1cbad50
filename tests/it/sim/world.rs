//! A workspace with a history: what it is like, how its time passes, what is noted of it.

use std::{env, num::NonZeroUsize};

use chrono::{DateTime, TimeDelta};
use fivetran_source::demo::{
    Capabilities, Collection, Id, Settings, Store,
    model::Time,
    store::{Database, Ties},
    versions,
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{api::Visit, journal::Journal, windows::Windows};

/// When the first sync begins; any moment would do.
const BEGINNING: i64 = 1_795_000_000;

/// A change becomes visible at most so many microseconds after its `updated`: less than the margin.
const LATEST: i64 = 110_000_000;
/// The database's clock and the API's differ by so many seconds at most.
const MOST_SKEW: i64 = 60;

/// What a world is like; everything else about it is chance.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    pub(super) capabilities: Capabilities,
    pub(super) database: Database,
    pub(super) shuffled_ties: bool,
    /// Rows of a page that the server allows.
    pub(super) page_limit: u32,
    /// Rows of a page that the connector asks for.
    pub(super) page_size: u32,
    /// Requests that the connector has under way at once.
    pub(super) in_flight: NonZeroUsize,
    /// No `/count` and no `/admin/version`.
    pub(super) cloud: bool,
    /// Share of requests that fail for good.
    pub(super) errors: f64,
    /// Share of requests after which something happens.
    pub(super) meddling: f64,
    /// Share of changes that others see some time after their `updated`.
    pub(super) late: f64,
    /// How far the database's clock is ahead of the API's.
    pub(super) database_ahead: TimeDelta,
    /// Ended runs older than this go away.
    pub(super) retention: Option<TimeDelta>,
    /// Runs at most.
    pub(super) runs: usize,
}

impl Nature {
    /// One that troubles nobody; for histories that are told on purpose.
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
            meddling: 0.0,
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
        // Drawn apart: what else a seed decides stays.
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
            // Drawn from what is drawn anyway, so that a seed stays the history that it was.
            in_flight: NonZeroUsize::MIN.saturating_add(page_size as usize % 5),
            cloud: rng.random_bool(0.25),
            errors: share(rng, 0.2, 0.03),
            meddling: share(rng, 0.6, 0.4),
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
    /// What befalls requests: apart from the rest, so that it does not depend on how many there are.
    pub(super) weather: SmallRng,
    pub(super) nature: Nature,
    pub(super) visit: Visit,
    /// What the connector read of the runs.
    pub(super) windows: Windows,
    /// The API's clock is so much ahead of the database's.
    pub(super) ahead: TimeDelta,
    /// The latest time that an answer told.
    pub(super) told: Time,
    /// While a change is made that others see later than it is stamped: when they see it.
    seen: Option<Time>,
    /// Counts what is made, for names.
    pub(super) made: u32,
    /// The history in words, when someone wants to read it.
    pub(super) story: Option<Vec<String>>,
}

impl World {
    /// An empty workspace.
    pub(super) fn new(nature: Nature, seed: u64, told: bool) -> Self {
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
            told: beginning,
            seen: None,
            made: 0,
            story: told.then(Vec::new),
        }
    }

    /// Lets the workspace have a past.
    pub(super) fn grow_up(&mut self) {
        let now = self.store.now();
        let past = TimeDelta::minutes(self.rng.random_range(1..60 * 24 * 60));
        self.store.set_now(now - past);
        for _ in 0..3 {
            self.new_flow();
        }
        let deeds = self.rng.random_range(5..120);
        self.live_through(past, deeds);
    }

    /// Time passes until the next sync, and things happen.
    pub(super) fn pass(&mut self, interval: TimeDelta) {
        let deeds = match self.rng.random_range(0..10) {
            0 | 1 => 0,
            2..=6 => self.rng.random_range(1..6),
            7 | 8 => self.rng.random_range(6..20),
            _ => self.rng.random_range(20..60),
        };
        self.live_through(interval, deeds);
        if let Some(retention) = self.nature.retention
            && self.rng.random_bool(0.5)
        {
            let aged = self.store.vacuum(self.store.now() - retention);
            self.bury("aged out", true);
            self.log(|| format!("{aged} runs age out"));
        }
    }

    /// So many deeds within `interval`, at random moments or in the last minutes.
    fn live_through(&mut self, interval: TimeDelta, deeds: u32) {
        let start = self.store.now();
        let whole = interval.num_microseconds().expect("a few years at most");
        let from = if self.rng.random_bool(0.3) {
            (whole - 180_000_000).max(0)
        } else {
            0
        };
        // Whole seconds now and then: changes then share their stamps.
        let grain = if self.rng.random_bool(0.3) {
            1_000_000
        } else {
            1
        };
        let mut moments: Vec<i64> = (0..deeds)
            .map(|_| self.rng.random_range(from..=whole) / grain * grain)
            .collect();
        moments.sort_unstable();
        for moment in moments {
            self.reach(start + TimeDelta::microseconds(moment));
            self.act();
        }
        self.reach(start + interval);
    }

    /// The clock of the server's answers.
    pub(super) fn api_time(&self) -> Time {
        self.store.now() + self.ahead
    }

    /// The clock never goes back.
    pub(super) fn reach(&mut self, moment: Time) {
        let now = self.store.now().max(moment);
        self.store.set_now(now);
    }

    /// Something happens between two requests, perhaps.
    pub(super) fn meddle(&mut self) {
        if self.nature.meddling > 0.0 && self.weather.random_bool(self.nature.meddling) {
            for _ in 0..self.rng.random_range(1..4) {
                self.act();
            }
        }
    }

    /// One deed; now and then one that began a while ago and becomes visible only now.
    pub(super) fn act(&mut self) {
        let now = self.store.now();
        if self.nature.late > 0.0 && self.rng.random_bool(self.nature.late) {
            let ago = TimeDelta::microseconds(self.rng.random_range(0..LATEST));
            // A clock that lags takes its part of what is borne.
            let ago = (ago + self.nature.database_ahead).clamp(TimeDelta::zero(), ago);
            self.seen = Some(now);
            self.store.set_now(now - ago);
            self.deed();
            self.seen = None;
            self.store.set_now(now);
        } else {
            self.deed();
        }
    }

    /// Time within a deed.
    pub(super) fn moment(&mut self) {
        if self.seen.is_none() {
            let micros = self.rng.random_range(0..3_000_000);
            self.store.advance(TimeDelta::microseconds(micros));
        }
    }

    /// Notes a change that was just made.
    pub(super) fn note(&mut self, collection: Collection, id: Id, what: &str) {
        let at = self.seen.unwrap_or_else(|| self.store.now());
        self.journal.changed(&self.store, collection, id, at);
        let number = self.journal.clock;
        self.log(|| format!("{} {id}: {what} (change {number})", collection.name()));
    }

    /// Notes what went away just now.
    pub(super) fn bury(&mut self, why: &str, aged: bool) {
        let at = self.seen.unwrap_or_else(|| self.store.now());
        for (table, id) in self.journal.bury(&self.store, at, aged) {
            self.log(|| format!("{table} {id}: gone, {why}"));
        }
    }

    /// Adds a line to the story.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        let now = self.seen.unwrap_or_else(|| self.store.now());
        if let Some(story) = &mut self.story {
            story.push(format!("{} {}", now.format("%m-%d %H:%M:%S%.6f"), line()));
        }
    }

    /// The server becomes another release; its data stay.
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
