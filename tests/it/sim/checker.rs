//! The promise, held against what the warehouse has after a complete sync.
//!
//! | what happened | when it must be there |
//! |---|---|
//! | creation, change of state, end; edits of open runs, flows, deployments | the next complete sync |
//! | the same of a run that is open and was due a week ago or earlier | within a day |
//! | an edit of an ended run at age A | age 5 A (17 minutes at least), or the next sync if that is later |
//! | an edit of an ended run after the look-back, or of one without an end time | never |
//! | the disappearance of an open run, a deployment, a flow (where the server counts) | the next sync |

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::sync::SelectedTable;

use super::{
    journal::{Fate, Gone, Journal, Key, Object, RunFacts, Version},
    warehouse::{Stored, Warehouse},
};

/// `updated` may be this much older than the moment a change becomes visible.
const MARGIN: TimeDelta = TimeDelta::minutes(2);
/// Open runs that were due before this are looked at once a day only.
const OLD: TimeDelta = TimeDelta::days(7);
const DAY: TimeDelta = TimeDelta::days(1);
/// A run that was not looked at for so long may have ended and aged out.
const LOST_SIGHT: TimeDelta = TimeDelta::days(3);

/// What the engine under test promises.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// Disappearances are noticed.
    pub(super) deletes: bool,
    /// Tables of which nothing is sent twice, unless something was irregular.
    pub(super) once: &'static [&'static str],
    /// The same where the server can filter runs by their end.
    pub(super) once_by_end: &'static [&'static str],
    /// Edits of ended runs later than this are not seen.
    pub(super) look_back: TimeDelta,
}

/// What is broken, and of which object.
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

    pub(super) fn of(key: &Key, what: impl Into<String>) -> Self {
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
    /// The start of the one before it.
    pub(super) before: Option<DateTime<Utc>>,
}

/// A complete sync, as far as the promise depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The server's clock at its first page, whole seconds; a change in that second may be late.
    pub(super) start: DateTime<Utc>,
    /// The last change before that.
    pub(super) number: u64,
    /// The same of the complete sync before it.
    pub(super) before: Option<(DateTime<Utc>, u64)>,
    /// The sync before it, complete or not.
    pub(super) last: Option<Last>,
    /// The server counts its collections.
    pub(super) counts: bool,
    /// A flow was created while it ran, or one that was not known moved to the front: the count then
    /// hides one that went.
    pub(super) new_flow: bool,
    /// Ended runs can be found by their end; else by their expected start.
    pub(super) by_end: bool,
}

/// Holds the promise of one table against the warehouse.
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
                // It went during this sync: after a long pause its readers may have let go of it.
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
    judge(&mut object.versions, stored, selected, promise, facts);
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
        return Err(Violation::of(key, what));
    };
    if stored.deleted {
        return Err(Violation::of(key, "marked as deleted, and it exists"));
    }
    let holds = |version: &&Version| stored.equals(selected, &version.row);
    let Some(have) = object.versions.iter().rfind(holds) else {
        let difference = stored.differences(selected, &required.row);
        let what = format!("the source never had what the warehouse has: {difference}");
        return Err(Violation::of(key, what));
    };
    if have.number < required.number {
        let difference = stored.differences(selected, &required.row);
        let what = format!(
            "change {} is lost, the warehouse still has change {}: {difference}",
            required.number, have.number
        );
        return Err(Violation::of(key, what));
    }
    Ok(())
}

/// Whether nothing can be asked of this sync: the object changed while it ran, or what a reader would
/// meet now is not due yet and hides what came before it.
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

/// Decides, at the first complete sync after each change, whether it is one that nobody promised.
fn judge(
    versions: &mut [Version],
    stored: Option<&Stored>,
    selected: &SelectedTable,
    promise: &Promise,
    facts: &Facts,
) {
    let holds = |version: &&Version| stored.is_some_and(|it| it.equals(selected, &version.row));
    let known = versions.iter().rfind(holds).and_then(|have| have.run);
    let known_open = known.is_some_and(|run| run.open);
    // An end without any time that opens and comes back between two readings looks like nothing.
    let known_ended = known.is_some_and(|run| !run.open && run.end.is_none());
    for at in 0..versions.len() {
        let version = &versions[at];
        if version.fate.is_some() || version.number > facts.number {
            continue;
        }
        let fate = match version.run {
            // Edits of an untracked end are as invisible as the end itself.
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

/// Whether a run without an end time, the last of these versions, was due before runs that never
/// started are asked for, and was not open either when a sync could have seen it so.
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
        // It ended early, perhaps before it could see anything.
        (true, false) => facts.before.map(|(start, _)| start),
        // The last sync may have come too late to see it open, and must ask for it as ended.
        (true, true) => last.before,
        (false, _) => Some(last.start),
    };
    asked_for_from.is_some_and(|from| run.expected < from - MARGIN / 2)
}

/// From when on an ended run's age counts.
fn lived_until(run: &RunFacts, facts: &Facts) -> DateTime<Utc> {
    run.end.filter(|_| facts.by_end).unwrap_or(run.expected)
}

/// When the first complete sync after it must bring a change.
fn due(version: &Version, facts: &Facts) -> DateTime<Utc> {
    let Some(run) = version.run else {
        return version.at;
    };
    if run.edit {
        let lived_until = lived_until(&run, facts);
        let age = version.at - lived_until;
        let by = lived_until + (age * 5).max(TimeDelta::minutes(17)) + MARGIN;
        return version.at.max(by);
    }
    let seldom = run.open || run.end.is_none();
    if seldom && run.expected < facts.start - OLD + MARGIN {
        return version.at + DAY;
    }
    version.at
}

/// Whether open runs may have ended and aged out since they were last looked at.
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
    let missed = Err(Violation::of(
        key,
        format!("gone since change {}, and not deleted", gone.number),
    ));
    if gone.at > facts.start {
        object.forgotten |= key.0 == "flow_runs" && was_out_of_sight(facts);
        return Ok(());
    }
    if key.0 == "flow_runs" {
        let holds = |version: &&Version| stored.equals(selected, &version.row);
        let have = object
            .versions
            .iter()
            .rfind(holds)
            .and_then(|have| have.run);
        let Some(run) = have.filter(|run| run.open) else {
            // The warehouse has it as ended: history, which stays.
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
