//! A workspace with everything that Prefect lists, its clock, and the parts of its past that the checks need.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use chrono::{DateTime, TimeDelta};
use fivetran_source::tables::{self, Feed, Strategy, Table};
use prefect_fake::{
    Capabilities, GenericCollection, Id, Settings, Store,
    model::Time,
    store::{Database, Ties},
    versions,
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::server::{Trouble, Visit};

/// The time at which the first sync begins, in seconds since 1970; any time would do.
const BEGINNING: i64 = 1_795_000_000;

/// The parameters of a simulated workspace; everything else about it is drawn during the history.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) capabilities: Capabilities,
    pub(super) database: Database,
    /// True for Prefect Cloud: no counts, no version, no settings.
    pub(super) cloud: bool,
    /// The number of rows of a page that the server allows.
    pub(super) page_limit: u32,
    /// The share of requests after which the workspace changes.
    pub(super) changes: f64,
    /// The largest number of flow runs, and about that of task runs.
    pub(super) runs: usize,
    /// The age from which the server sometimes deletes ended runs.
    pub(super) retention: Option<TimeDelta>,
}

impl Kind {
    pub(super) fn random(rng: &mut SmallRng) -> Self {
        let cloud = rng.random_bool(0.2);
        let capabilities = match rng.random_range(0..5) {
            _ if cloud => versions::V3_9,
            0 => versions::V3_0,
            1 | 2 => versions::V2_20,
            _ => versions::V3_9,
        };
        let database = if cloud || rng.random_bool(0.5) {
            Database::Postgres
        } else {
            Database::Sqlite
        };
        Self {
            capabilities,
            database,
            cloud,
            page_limit: *[200, 200, 200, 8].choose(rng).expect("some"),
            changes: if rng.random_bool(0.6) {
                rng.random_range(0.0..0.15)
            } else {
                0.0
            },
            runs: rng.random_range(8..60),
            retention: rng
                .random_bool(0.4)
                .then(|| TimeDelta::days(rng.random_range(8..60))),
        }
    }
}

/// The table and the id of an object.
pub(super) type Name = (&'static str, Id);

/// The disappearance of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) at: Time,
    /// True if the server's retention deleted the object, which is not a delete for the warehouse.
    pub(super) aged: bool,
}

/// A run as it was last seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastSeen {
    pub(super) updated: Time,
    pub(super) ended: bool,
    /// The time since which an open task run belongs to a flow run that has ended.
    pub(super) left: Option<Time>,
}

/// The parts of the past on which a guarantee depends.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Every object that exists now.
    pub(super) present: BTreeSet<Name>,
    pub(super) gone: BTreeMap<Name, Gone>,
    /// The runs as they were last seen.
    pub(super) runs: BTreeMap<Name, LastSeen>,
    /// The objects that appeared, or went back to an earlier version, with times in the past.
    pub(super) out_of_order: BTreeSet<Name>,
    /// The flow runs that appeared, or went back to an earlier version, with times in the past.
    pub(super) late_runs: BTreeSet<Id>,
    /// The objects for which the server returned an error at some time.
    pub(super) was_unreadable: BTreeSet<Name>,
    /// The objects that a restored backup does not have, in tables to which it brought back others.
    pub(super) vanished: BTreeSet<Name>,
    /// The runs to which a restored backup gave another end.
    pub(super) ended_by_restore: BTreeSet<Name>,
    /// The task runs created during a sync while the `Date` header was ahead of the rows' clock.
    pub(super) created_ahead: BTreeSet<Name>,
    /// The number of times that the server gained or lost events.
    pub(super) event_changes: u32,
    /// True if states were read completely while the server had no events.
    pub(super) states_read_without_events: bool,
    /// The time when the server was last replaced; `in_progress` has the flow runs open at any replacement.
    pub(super) replaced: Option<Time>,
    pub(super) in_progress: BTreeSet<Id>,
    /// The objects that disappeared during the present sync, even if they came back.
    pub(super) absent_in_sync: BTreeSet<Name>,
}

/// A workspace and its server.
pub(super) struct World {
    pub(super) store: Store,
    /// Decides the changes of the workspace.
    pub(super) rng: SmallRng,
    /// Decides the latency of requests, and after which of them the workspace changes.
    pub(super) weather: SmallRng,
    pub(super) kind: Kind,
    pub(super) visit: Visit,
    pub(super) past: Past,
    /// The lead of the `Date` header over the clock that sets row times.
    pub(super) date_ahead: TimeDelta,
    /// The time when `date_ahead` last changed.
    pub(super) date_moved: Option<Time>,
    /// The objects for which the server returns an error.
    pub(super) unreadable: BTreeSet<Name>,
    /// The fault in the responses of the present sync.
    pub(super) trouble: Option<Trouble>,
    /// The earlier contents that can be restored.
    pub(super) backups: Vec<Store>,
    /// Every release that the server has had.
    pub(super) releases: Vec<Release>,
    /// True if log lines and events arrive late, and workers send heartbeats, also while a sync reads them.
    pub(super) late_during_syncs: bool,
    /// True if several log lines and events share a time.
    pub(super) ties: bool,
    /// The counter for the names of new objects.
    pub(super) made: u32,
    /// The log of the history, if it is recorded.
    pub(super) story: Option<Vec<String>>,
}

/// A release of the server.
#[derive(Debug, Clone)]
pub(super) struct Release {
    pub(super) installed: Time,
    /// The time at which the first sync after the installation began.
    pub(super) first_sync: Option<Time>,
    pub(super) capabilities: Capabilities,
}

impl Release {
    pub(super) fn new(installed: Time, capabilities: Capabilities) -> Self {
        Self {
            installed,
            first_sync: None,
            capabilities,
        }
    }
}

impl World {
    /// Returns true if the server has, or had, no events.
    pub(super) fn was_without_events(&self) -> bool {
        self.releases.iter().any(|it| !it.capabilities.events)
    }

    /// Returns true if each release that was installed at `since` or later can filter a table by `end_time`.
    pub(super) fn filters_by_end_since(&self, table: &str, since: Time) -> bool {
        let filter = format!("{table}.end_time");
        let later = self.releases.iter().skip(1).map(|it| Some(it.installed));
        let mut spans = self.releases.iter().zip(later.chain([None]));
        spans.all(|(release, until)| {
            release.capabilities.knows(&filter) || until.is_some_and(|until| until < since)
        })
    }

    /// Returns the time of the first sync after the server lost its filter of a table by `end_time`, at `since` or later.
    pub(super) fn lost_end_filter_since(&self, table: &str, since: Time) -> Option<Time> {
        let filter = format!("{table}.end_time");
        let pairs = self.releases.iter().zip(self.releases.iter().skip(1));
        let lost = pairs.filter(|(before, after)| {
            before.capabilities.knows(&filter) && !after.capabilities.knows(&filter)
        });
        lost.filter_map(|(_, after)| after.first_sync)
            .find(|first| *first >= since)
    }

    pub(super) fn new(kind: Kind, seed: u64, is_logged: bool) -> Self {
        let settings = Settings {
            capabilities: kind.capabilities.clone(),
            database: kind.database,
            page_limit: kind.page_limit,
            ties: Ties::Shuffled,
            date_ahead: TimeDelta::zero(),
            database_ahead: TimeDelta::zero(),
            seed,
        };
        let beginning = DateTime::from_timestamp(BEGINNING, 123_456_000).expect("in range");
        let mut store = Store::new(settings, beginning);
        store.feed_events(true);
        Self {
            store,
            rng: SmallRng::seed_from_u64(seed),
            weather: SmallRng::seed_from_u64(!seed),
            visit: Visit::default(),
            past: Past::default(),
            date_ahead: TimeDelta::zero(),
            date_moved: None,
            unreadable: BTreeSet::new(),
            trouble: None,
            backups: Vec::new(),
            releases: vec![Release::new(beginning, kind.capabilities.clone())],
            ties: false,
            late_during_syncs: false,
            made: 0,
            story: is_logged.then(Vec::new),
            kind,
        }
    }

    /// Gives the workspace a past of up to 40 days.
    pub(super) fn grow_up(&mut self) {
        let now = self.store.now();
        let past = TimeDelta::minutes(self.rng.random_range(60..60 * 24 * 40));
        self.store.set_now(now - past);
        self.set_up();
        let changes = self.rng.random_range(20..150);
        self.live_through(past, changes);
    }

    /// Advances the clock by `interval`, with changes at random times and sometimes retention.
    pub(super) fn live_through(&mut self, interval: TimeDelta, changes: u32) {
        let start = self.store.now();
        let whole = interval.num_microseconds().expect("a few years at most");
        // Sometimes whole seconds, so that changes share their times.
        let grain = if self.ties && self.rng.random_bool(0.3) {
            1_000_000
        } else {
            1
        };
        let mut moments: Vec<i64> = (0..changes)
            .map(|_| self.rng.random_range(0..=whole) / grain * grain)
            .collect();
        moments.sort_unstable();
        for moment in moments {
            self.reach(start + TimeDelta::microseconds(moment));
            self.act();
        }
        self.reach(start + interval);
        if let Some(retention) = self.kind.retention
            && self.rng.random_bool(0.5)
        {
            self.apply_retention(retention);
        }
    }

    /// Deletes the runs that ended longer ago than `retention`, and the events older than that.
    pub(super) fn apply_retention(&mut self, retention: TimeDelta) {
        let before = self.store.now() - retention;
        let aged = self.store.vacuum(before);
        let old: Vec<Id> = self
            .store
            .objects(GenericCollection::Events)
            .filter(|event| event.created < before)
            .map(|event| event.id)
            .collect();
        for id in &old {
            self.store
                .delete_object(GenericCollection::Events, *id)
                .expect("is there");
        }
        self.log(|| format!("{aged} runs and {} events age out", old.len()));
        self.settle(true);
    }

    /// Makes one random change.
    pub(super) fn act(&mut self) {
        self.change();
        self.settle(false);
    }

    /// Advances the clock to `moment`; the clock never goes back.
    pub(super) fn reach(&mut self, moment: Time) {
        let now = self.store.now().max(moment);
        self.store.set_now(now);
    }

    /// Advances the clock by a short time within a change.
    pub(super) fn moment(&mut self) {
        let micros = self.rng.random_range(0..3_000_000);
        self.store.advance(TimeDelta::microseconds(micros));
    }

    /// Advances the clock so that two changes do not share a time, unless `ties` is set.
    pub(super) fn pause(&mut self) {
        if !self.ties {
            self.store.advance(TimeDelta::milliseconds(3));
        }
    }

    /// Returns the time in the `Date` header of responses.
    pub(super) fn date(&self) -> Time {
        self.store.now() + self.date_ahead
    }

    /// Records the objects that appeared or disappeared since the last call.
    pub(super) fn settle(&mut self, aged: bool) {
        let at = self.store.now();
        let now = names(&self.store);
        let gone: Vec<Name> = self.past.present.difference(&now).copied().collect();
        for name in gone {
            self.past.gone.insert(name, Gone { at, aged });
            self.past.absent_in_sync.insert(name);
            self.unreadable.remove(&name);
            let why = if aged { "aged out" } else { "gone" };
            self.log(|| format!("{} {}: {why}", name.0, name.1));
        }
        let new: Vec<Name> = now.difference(&self.past.present).copied().collect();
        for name in new {
            if name.0 == "task_runs"
                && self.visit.is_under_way()
                && self.date_ahead > TimeDelta::zero()
            {
                self.past.created_ahead.insert(name);
            }
            if self.past.gone.remove(&name).is_some() {
                self.log(|| format!("{} {}: is back", name.0, name.1));
            }
        }
        self.past.present = now;
        let runs = self.store.runs().map(|run| {
            let last = LastSeen {
                updated: run.updated,
                ended: run.state.kind.is_terminal(),
                left: None,
            };
            (("flow_runs", run.id), last)
        });
        let tasks = self.store.task_runs().map(|run| {
            let ended = run.state.kind.is_terminal();
            let flow_run = run.flow_run_id.and_then(|id| self.store.run(id));
            let flow_run = flow_run.filter(|it| !ended && it.state.kind.is_terminal());
            let last = LastSeen {
                updated: run.updated,
                ended,
                left: flow_run.map(|it| it.updated.max(run.updated)),
            };
            (("task_runs", run.id), last)
        });
        self.past.runs.extend(runs.chain(tasks));
    }

    /// Adds a line to the log, if the history is recorded.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        let now = self.store.now();
        if let Some(story) = &mut self.story {
            story.push(format!("{} {}", now.format("%m-%d %H:%M:%S%.6f"), line()));
        }
    }
}

/// The collections that are kept as plain objects, by table.
pub(super) static PLAIN: LazyLock<Vec<(&str, GenericCollection)>> = LazyLock::new(|| {
    let all = GenericCollection::ALL.into_iter();
    all.filter_map(|collection| Some((table_of(collection)?.name, collection)))
        .collect()
});

/// Returns the table that has all objects of a collection.
pub(super) fn table_of(collection: GenericCollection) -> Option<&'static Table> {
    let lists = |table: &Table| GenericCollection::listed_at(table.endpoint) == Some(collection);
    let is_selection = |table: &Table| match table.strategy {
        Strategy::AppendOnly(Feed::Events(events)) => !events.names.is_empty(),
        _ => false,
    };
    let mut all = tables::ALL.iter().copied();
    all.find(|table| lists(table) && !is_selection(table))
}

/// Returns the name of every object of a workspace.
pub(super) fn names(store: &Store) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    names.extend(store.flows().map(|flow| ("flows", flow.id)));
    names.extend(store.runs().map(|run| ("flow_runs", run.id)));
    names.extend(store.task_runs().map(|run| ("task_runs", run.id)));
    for deployment in store.deployments() {
        names.insert(("deployments", deployment.id));
        let schedules = deployment.schedules.iter();
        names.extend(schedules.map(|schedule| ("deployment_schedules", schedule.id)));
    }
    for (table, collection) in PLAIN.iter().copied() {
        names.extend(store.objects(collection).map(|object| (table, object.id)));
    }
    names
}
