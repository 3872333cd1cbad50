//! Checks the guarantee against the warehouse after a complete sync.
//!
//! | change | when the warehouse must have it |
//! |---|---|
//! | creation, change of state, end; edits of open runs, flows, deployments | the next complete sync |
//! | the same for a run due a week ago or earlier that is open or has no end time | within a day |
//! | an edit of an ended run at age A | age 5 A (at least 17 minutes), or the next sync if that is later |
//! | an edit of an ended run after the look-back, or of one without an end time | never |
//! | the disappearance of an open run, a deployment, a flow (where the server counts) | the next sync |

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::sync::SelectedTable;

use super::{
    journal::{Fate, Gone, Journal, Key, Object, RunFacts, Version},
    warehouse::{Stored, Warehouse, differences, equals},
};

/// The largest delay from the `updated` of a change to the time at which others see it.
const MARGIN: TimeDelta = TimeDelta::minutes(2);
/// The delay after its due time from which an open run is read only once a day.
const OLD: TimeDelta = TimeDelta::days(7);
const DAY: TimeDelta = TimeDelta::days(1);
/// The time without a read after which a run may have ended and aged out.
const LOST_SIGHT: TimeDelta = TimeDelta::days(3);

/// The guarantees of the engine under test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// True if the engine notices disappearances.
    pub(super) deletes: bool,
    /// The tables of which no row is sent twice, unless something was irregular.
    pub(super) once: &'static [&'static str],
    /// The same, for servers that can filter runs by their end.
    pub(super) once_by_end: &'static [&'static str],
    /// The age from which edits of ended runs are not noticed.
    pub(super) look_back: TimeDelta,
}

/// A broken guarantee, and the object concerned.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) what: String,
    pub(super) key: Option<Key>,
}

impl Violation {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            key: None,
        }
    }

    pub(super) fn for_row(key: &Key, what: impl Into<String>) -> Self {
        Self {
            what: format!("{} {}: {}", key.0, key.1, what.into()),
            key: Some(key.clone()),
        }
    }
}

/// A sync that may have moved a cursor: its start, and the last changes before its start and its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) start: DateTime<Utc>,
    pub(super) number: u64,
    pub(super) end: u64,
    /// The start of the sync before it.
    pub(super) before: Option<DateTime<Utc>>,
}

/// The facts about a complete sync on which the guarantee depends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The server's time at the first page, in whole seconds. A change in that second may be too late for the sync.
    pub(super) start: DateTime<Utc>,
    /// The number of the last change before `start`.
    pub(super) number: u64,
    /// The start and the last change of the complete sync before this one.
    pub(super) before: Option<(DateTime<Utc>, u64)>,
    /// The sync before this one, complete or not.
    pub(super) last: Option<Last>,
    /// True if the server counts its collections.
    pub(super) counts: bool,
    /// True if a flow was created during the sync, or an unknown flow moved to the front. The number of flows then
    /// hides one that disappeared.
    pub(super) new_flow: bool,
    /// True if ended runs are found by their end, false if by their expected start.
    pub(super) by_end: bool,
}

/// Checks the guarantee of one table against the warehouse.
pub(super) fn check(
    journal: &mut Journal,
    warehouse: &Warehouse,
    selected: &SelectedTable,
    promise: &Promise,
    facts: &Facts,
) -> Result<(), Violation> {
    let objects = journal.objects.iter_mut();
    for (key, object) in objects.filter(|(key, _)| key.0 == selected.table.name) {
        let stored = warehouse.row(key);
        match object.gone.filter(|gone| gone.number <= facts.number) {
            None if object.gone.is_some() => {
                // The object disappeared during this sync: after a long pause the readers may have given it up.
                object.forgotten |= key.0 == "flow_runs" && was_out_of_sight(facts);
            }
            None => check_there(key, object, stored, selected, promise, facts)?,
            Some(gone) if promise.deletes && !gone.aged && !object.forgotten => {
                check_gone(key, object, gone, stored, selected, facts)?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_there(
    key: &Key,
    object: &mut Object,
    stored: Option<&Stored>,
    selected: &SelectedTable,
    promise: &Promise,
    facts: &Facts,
) -> Result<(), Violation> {
    judge(object, stored, selected, promise, facts);
    if is_moving(&object.versions, facts) {
        return Ok(());
    }
    let is_due = |version: &&Version| {
        version.number <= facts.number
            && version.fate == Some(Fate::Tracked)
            && due(version, facts) <= facts.start
    };
    let Some(required) = object.versions.iter().rfind(is_due) else {
        return Ok(());
    };
    let Some(stored) = stored else {
        let what = format!("lost: change {} was never sent", required.number);
        return Err(Violation::for_row(key, what));
    };
    if stored.deleted {
        return Err(Violation::for_row(key, "marked as deleted, and it exists"));
    }
    let holds = |version: &&Version| equals(stored, selected, &version.row);
    let Some(have) = object.versions.iter().rfind(holds) else {
        let difference = differences(stored, selected, &required.row);
        let what = format!("the source never had what the warehouse has: {difference}");
        return Err(Violation::for_row(key, what));
    };
    if have.number < required.number {
        let difference = differences(stored, selected, &required.row);
        let what = format!(
            "change {} is lost, the warehouse still has change {}: {difference}",
            required.number, have.number
        );
        return Err(Violation::for_row(key, what));
    }
    Ok(())
}

/// Returns true if nothing can be required of this sync. Either the object changed during the sync, or its last version
/// that is not an edit is not due yet, or cannot be found, and hides what came before it.
fn is_moving(versions: &[Version], facts: &Facts) -> bool {
    if versions
        .last()
        .is_some_and(|last| last.number > facts.number)
    {
        return true;
    }
    let is_edit = |version: &Version| version.run.is_some_and(|run| run.edit);
    let base = versions.iter().rfind(|version| !is_edit(version));
    base.is_some_and(|base| base.fate == Some(Fate::Slipped) || due(base, facts) > facts.start)
}

/// Decides, at the first complete sync after each change, if that change is guaranteed to be noticed.
fn judge(
    object: &mut Object,
    stored: Option<&Stored>,
    selected: &SelectedTable,
    promise: &Promise,
    facts: &Facts,
) {
    let holds = |version: &&Version| stored.is_some_and(|it| equals(it, selected, &version.row));
    let rewound = object.rewound;
    let versions = &mut object.versions;
    let have = versions.iter().rfind(holds);
    let known = have.and_then(|have| have.run);
    let is_rewound = have.is_some_and(|have| Some(have.number) <= rewound);
    let known_open = known.is_some_and(|run| run.open) && !is_rewound;
    // A run without an end time that opens and ends again between two reads looks unchanged.
    let known_ended = known.is_some_and(|run| !run.open && run.end.is_none());
    for at in 0..versions.len() {
        let version = &versions[at];
        if version.fate.is_some() || version.number > facts.number {
            continue;
        }
        let fate = match version.run {
            // An edit of a run that ended without an end time is as invisible as that end.
            Some(run) if run.edit && run.end.is_none() => Fate::Untracked,
            Some(run) if run.edit && version.at - lived_until(&run, facts) >= promise.look_back => {
                Fate::Untracked
            }
            Some(run)
                if !run.edit
                    && !run.open
                    && run.end.is_none()
                    && !known_open
                    && (known_ended || slipped_through(&versions[..=at], &run, facts)) =>
            {
                Fate::Slipped
            }
            _ => Fate::Tracked,
        };
        versions[at].fate = Some(fate);
    }
}

/// Returns true if no sync could find the end of a run without an end time. The run, the last of these versions, was
/// due before the range of never-started runs that is read, and was not open when a sync could have seen it open.
fn slipped_through(versions: &[Version], run: &RunFacts, facts: &Facts) -> bool {
    let Some(last) = facts.last else {
        return false;
    };
    let at = versions
        .iter()
        .rposition(|version| version.number <= last.number);
    let seldom = run.expected < last.start - OLD + MARGIN;
    let was_open = at.is_some_and(|at| versions[at].run.is_some_and(|run| run.open)) && !seldom;
    let moved = at
        .and_then(|at| versions.get(at + 1))
        .is_some_and(|next| next.number <= last.end);
    let asked_for_from = match (was_open, moved) {
        (true, false)
            if facts
                .before
                .is_some_and(|(_, number)| number == last.number) =>
        {
            return false;
        }
        // The last sync ended early, perhaps before it could read the run.
        (true, false) => facts.before.map(|(start, _)| start),
        // The last sync may have come too late to see the run open, and must read it as ended.
        (true, true) => last.before,
        (false, _) => Some(last.start),
    };
    asked_for_from.is_some_and(|from| run.expected < from - MARGIN / 2)
}

/// Returns the time from which the age of an ended run counts.
fn lived_until(run: &RunFacts, facts: &Facts) -> DateTime<Utc> {
    run.end.filter(|_| facts.by_end).unwrap_or(run.expected)
}

/// Returns the time from which a complete sync must deliver a change.
fn due(version: &Version, facts: &Facts) -> DateTime<Utc> {
    let Some(run) = version.run else {
        return version.at;
    };
    if run.edit {
        let lived_until = lived_until(&run, facts);
        let age = version.at - lived_until;
        let mut by = lived_until + (age * 5).max(TimeDelta::minutes(17)) + MARGIN;
        if !facts.by_end && age < MARGIN {
            // The edit has an earlier time than the run counts by. In an idle workspace the engine assumes the clock
            // of the rows to be up to a day behind.
            by += DAY;
        }
        return version.at.max(by);
    }
    let seldom = run.open || run.end.is_none();
    if seldom && run.expected < facts.start - OLD + MARGIN {
        return version.at + DAY;
    }
    version.at
}

/// Returns true if open runs may have ended and aged out since they were last read.
fn was_out_of_sight(facts: &Facts) -> bool {
    let looked = facts.before.map(|(start, _)| start);
    looked.is_none_or(|looked| facts.start - looked >= LOST_SIGHT - DAY)
}

fn check_gone(
    key: &Key,
    object: &mut Object,
    gone: Gone,
    stored: Option<&Stored>,
    selected: &SelectedTable,
    facts: &Facts,
) -> Result<(), Violation> {
    let Some(stored) = stored.filter(|stored| !stored.deleted) else {
        return Ok(());
    };
    let missed = Err(Violation::for_row(
        key,
        format!("gone since change {}, and not deleted", gone.number),
    ));
    if gone.at > facts.start {
        object.forgotten |= key.0 == "flow_runs" && was_out_of_sight(facts);
        return Ok(());
    }
    if key.0 == "flow_runs" {
        let holds = |version: &&Version| equals(stored, selected, &version.row);
        let have = object
            .versions
            .iter()
            .rfind(holds)
            .and_then(|have| have.run);
        let Some(run) = have.filter(|run| run.open) else {
            // The warehouse has the run as ended: history, which stays.
            object.forgotten = true;
            return Ok(());
        };
        if was_out_of_sight(facts) {
            object.forgotten = true;
            return Ok(());
        }
        if run.expected < facts.start - OLD + MARGIN && gone.at + DAY > facts.start {
            return Ok(());
        }
        return missed;
    }
    if key.0 == "flows" && (!facts.counts || facts.new_flow) {
        return Ok(());
    }
    missed
}
