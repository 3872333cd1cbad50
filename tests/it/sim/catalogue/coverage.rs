//! Counts of what happened in a run of the simulation, by strategy. A run in which an event never happened proves
//! nothing about it.

use std::collections::BTreeMap;

use fivetran_source::tables::{Strategy, Table};

/// An event that concerns a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A sync was cut after an operation.
    Cut,
    /// The requests of a sync failed from a certain one on.
    Failed,
    /// The start date, the look-back, the filter or the choice of scheduled runs was changed.
    SettingsChanged,
    PageSizeChanged,
    /// Settings were changed while a table was not read completely.
    ChangedUnfinished,
    TableToggled,
    ColumnToggled,
    /// The server became another release.
    Upgraded,
    /// A backup was restored.
    Restored,
    /// Rows with times in the past were inserted.
    Imported,
    /// An older state was used again.
    OlderState,
    /// The `Date` header was moved relative to the clock that sets row times.
    ClockMoved,
    /// The first page of a listing was empty or short, once.
    PageSpoilt,
    /// A listing made no progress.
    Stalled,
    /// Objects could not be read.
    Unreadable,
}

/// The classes of tables that are counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Snapshot,
    NewestFirst,
    Runs,
    Feed,
    Nested,
    PerParent,
    OptIn,
}

/// The classes that an event can concern, for events that cannot concern all classes.
const ONLY: [(Event, &[Class]); 5] = [
    (
        Event::SettingsChanged,
        &[Class::Runs, Class::Feed, Class::Nested, Class::OptIn],
    ),
    (
        Event::PageSpoilt,
        &[
            Class::Snapshot,
            Class::NewestFirst,
            Class::Runs,
            Class::Feed,
            Class::Nested,
        ],
    ),
    (
        Event::Stalled,
        &[Class::Snapshot, Class::NewestFirst, Class::Nested],
    ),
    (
        Event::Unreadable,
        &[Class::NewestFirst, Class::Runs, Class::Nested],
    ),
    (
        Event::Imported,
        &[Class::Snapshot, Class::NewestFirst, Class::Runs],
    ),
];

/// The counts of events, and of the rules by which the oracle excused a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    events: BTreeMap<(Event, Class), u64>,
    excused: BTreeMap<&'static str, u64>,
    pub(super) syncs: u64,
    pub(super) requests: u64,
    pub(super) upserts: u64,
    pub(super) deletes: u64,
    pub(super) checked: u64,
}

impl Coverage {
    pub(super) fn note(&mut self, event: Event, tables: impl IntoIterator<Item = &'static Table>) {
        let mut classes: Vec<Class> = tables.into_iter().flat_map(classes).collect();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            *self.events.entry((event, class)).or_default() += 1;
        }
    }

    pub(super) fn excuse(&mut self, rule: &'static str) {
        *self.excused.entry(rule).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (at, count) in &other.events {
            *self.events.entry(*at).or_default() += count;
        }
        for (rule, count) in &other.excused {
            *self.excused.entry(rule).or_default() += count;
        }
        self.syncs += other.syncs;
        self.requests += other.requests;
        self.upserts += other.upserts;
        self.deletes += other.deletes;
        self.checked += other.checked;
    }

    /// Describes those of `events` that never happened, by class.
    pub(super) fn missing(&self, events: &[Event]) -> Vec<String> {
        let mut missing = Vec::new();
        for event in events {
            let only = ONLY.iter().find(|(only, _)| only == event);
            let classes = only.map_or(&ALL[..], |(_, classes)| classes);
            for class in classes {
                if !self.events.contains_key(&(*event, *class)) {
                    missing.push(format!("{event:?} of {class:?}"));
                }
            }
        }
        missing
    }

    /// Formats all counts as a table.
    pub(super) fn table(&self) -> String {
        let mut lines = vec![format!(
            "{} syncs, {} requests, {} upserts, {} deletes, {} rows compared at rest",
            self.syncs, self.requests, self.upserts, self.deletes, self.checked
        )];
        let mut events: Vec<Event> = self.events.keys().map(|(event, _)| *event).collect();
        events.dedup();
        let head: Vec<String> = ALL.iter().map(|class| format!("{class:>12?}")).collect();
        lines.push(format!("{:20}{}", "", head.concat()));
        for event in events {
            let counts = ALL.iter().map(|class| {
                let count = self.events.get(&(event, *class)).copied();
                format!("{:>12}", count.unwrap_or_default())
            });
            lines.push(format!(
                "{:20}{}",
                format!("{event:?}"),
                counts.collect::<String>()
            ));
        }
        let excused = self.excused.iter();
        let excused: Vec<String> = excused
            .map(|(rule, count)| format!("{rule} {count}"))
            .collect();
        lines.push(format!("excused: {}", excused.join(", ")));
        lines.join("\n")
    }
}

const ALL: [Class; 7] = [
    Class::Snapshot,
    Class::NewestFirst,
    Class::Runs,
    Class::Feed,
    Class::Nested,
    Class::PerParent,
    Class::OptIn,
];

fn classes(table: &'static Table) -> Vec<Class> {
    let mut classes = match table.strategy {
        Strategy::Snapshot(listing) if listing.each.is_some() => vec![Class::PerParent],
        Strategy::Snapshot(_) => vec![Class::Snapshot],
        Strategy::NewestFirst { .. } => vec![Class::NewestFirst],
        Strategy::Runs => vec![Class::Runs],
        Strategy::AppendOnly(_) => vec![Class::Feed],
        Strategy::Nested(_) => vec![Class::Nested],
        Strategy::Server => Vec::new(),
    };
    if table.choice.is_some() {
        classes.push(Class::OptIn);
    }
    classes
}
