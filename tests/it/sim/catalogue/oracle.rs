//! Checks the guarantee of docs/SYNC.md against a warehouse whose source has stopped changing.
//!
//! For each selected table: every row that the source lists and that the settings select is in the warehouse, with
//! equal values in all selected columns that are not volatile. A row whose object the source does not have any more is
//! marked as deleted, unless it is history. Every exception is a [`Rule`].

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use fivetran_source::{
    rows::{Row, Value, ValueRef},
    sync::SelectedTable,
    tables::{self, Strategy, Table},
};
use prefect_fake::{GenericCollection, Id};

use super::{
    super::{
        checker::Violation,
        journal::Key,
        warehouse::{self, Stored},
    },
    connection::Connection,
    source,
    world::{LastSeen, World},
};

/// The largest delay from the `updated` of an edit to the time at which others see it.
const MARGIN: TimeDelta = TimeDelta::minutes(2);

/// An exception to the guarantee: one that docs/SYNC.md describes, or a known failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Runs, log lines and events before `start_date`.
    BeforeStart,
    /// Runs that wait for their scheduled time, with `include_scheduled_runs` off.
    NotScheduled,
    /// An edit of an ended run more than 30 days after its end (`look_back_days`).
    LateEdit,
    /// An edit of a task run on Prefect 2 after its end.
    TaskEditOnPrefect2,
    /// A run that never started and has no end time (Prefect before 3.8).
    Unstarted,
    /// Rows with times in the past: restored and imported ones.
    OutOfOrder,
    /// A saved state that is used again.
    OlderState,
    /// States of runs that had ended before the server gained or lost events.
    BeforeTheServer,
    /// The states of a run that could not be read, on a server without events.
    StatesOfUnreadable,
    /// A known failure: task runs that are open for more than a week on Prefect 2 are not looked up.
    LongOpen,
    /// A task run, soon deleted, that is created while a sync lists them with a `Date` header that is ahead.
    CreatedAhead,
    /// An open run that is gone after a pause of more than three days: it is not taken for deleted.
    OutOfSight,
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Self::BeforeStart => "before the start",
            Self::NotScheduled => "scheduled",
            Self::LateEdit => "late edit",
            Self::TaskEditOnPrefect2 => "task run edited on Prefect 2",
            Self::Unstarted => "unstarted without an end",
            Self::OutOfOrder => "times of the past",
            Self::OlderState => "older state",
            Self::BeforeTheServer => "before the server",
            Self::StatesOfUnreadable => "states of an unreadable run",
            Self::LongOpen => "open for long on Prefect 2",
            Self::CreatedAhead => "created while answers were dated ahead",
            Self::OutOfSight => "out of sight",
        }
    }
}

/// Compares the warehouse with the source, table by table.
pub(super) fn check(connection: &mut Connection) -> Result<(), Violation> {
    for selected in connection.settings.selection().tables {
        check_table(connection, &selected)?;
    }
    Ok(())
}

fn check_table(connection: &mut Connection, selected: &SelectedTable) -> Result<(), Violation> {
    let table = selected.table;
    let scope = connection.settings.scope_of(table.name);
    let (rows, earlier, existing) = {
        let mut world = connection.server.world();
        let Some(rows) = source::rows(&mut world, table, scope.as_ref()) else {
            return Ok(());
        };
        let existing = source::rows(&mut world, table, None).unwrap_or_default();
        (rows, renderings(&mut world, table), existing)
    };
    for row in &rows {
        let key = (table.name, row.id().to_owned());
        let stored = connection.warehouse.row(&key).cloned();
        connection.coverage.checked += 1;
        let Some(problem) = problem(selected, row, stored.as_ref(), &earlier) else {
            continue;
        };
        match excuse(connection, table, &key, row, stored.as_ref()) {
            Some(rule) => connection.coverage.excuse(rule.name()),
            None => return Err(Violation::for_row(&key, problem)),
        }
    }
    if table.name == "flow_run_state_history" {
        check_states(connection)?;
    }
    let existing: BTreeSet<&str> = existing.iter().map(Row::id).collect();
    check_gone(connection, table, &existing)
}

/// Checks that no event other than a change of state is a row of the state history.
fn check_states(connection: &Connection) -> Result<(), Violation> {
    let world = connection.world();
    let events = world.store.objects(GenericCollection::Events);
    for event in events.filter(|event| !source::is_state_change(event)) {
        let key = ("flow_run_state_history", event.id.to_string());
        if connection.warehouse.row(&key).is_some() {
            return Err(Violation::for_row(&key, "at rest: a row that is no state"));
        }
    }
    Ok(())
}

/// Returns the rows as the server's earlier releases show them. A row that is not sent again keeps that form.
fn renderings(world: &mut World, table: &'static Table) -> Vec<Row> {
    if matches!(table.source().strategy, Strategy::Snapshot(_)) {
        return Vec::new();
    }
    let present = world.store.settings().capabilities.clone();
    let mut rows = Vec::new();
    for release in world.releases.clone() {
        let release = release.capabilities;
        if release.release == present.release {
            continue;
        }
        world
            .store
            .reconfigure(|settings| settings.capabilities = release);
        rows.extend(source::rows(world, table, None).unwrap_or_default());
    }
    world
        .store
        .reconfigure(|settings| settings.capabilities = present);
    rows
}

/// Describes the difference between a row and the warehouse, if there is one.
fn problem(
    selected: &SelectedTable,
    row: &Row,
    stored: Option<&Stored>,
    earlier: &[Row],
) -> Option<String> {
    let Some(stored) = stored else {
        let time = time_of(selected.table, row);
        let time = time.map_or_else(String::new, |time| format!(" (of {time})"));
        return Some(format!("at rest: lost, it was never sent{time}"));
    };
    if stored.deleted {
        return Some("at rest: marked as deleted, and it exists".to_owned());
    }
    let mut forms = earlier.iter().filter(|form| form.id() == row.id());
    if holds(selected, stored, row) || forms.any(|form| holds(selected, stored, form)) {
        return None;
    }
    let difference = warehouse::differences(stored, selected, row);
    Some(format!("at rest: stale: {difference}"))
}

/// Returns true if the warehouse has a row. A state is compared in the columns in which events and listings agree.
fn holds(selected: &SelectedTable, stored: &Stored, row: &Row) -> bool {
    if selected.table.name != "flow_run_state_history" {
        return warehouse::equals(stored, selected, row);
    }
    ["flow_run_id", "state_type", "state_name"]
        .iter()
        .filter_map(|name| selected.table.position(name))
        .filter(|at| selected.columns[*at])
        .all(|at| stored.columns[at].as_ref().map(ValueRef::from) == Some(row.value(at)))
}

/// Returns the rule by which a row may be missing or stale.
fn excuse(
    connection: &Connection,
    table: &'static Table,
    key: &Key,
    row: &Row,
    stored: Option<&Stored>,
) -> Option<Rule> {
    let world = connection.world();
    let settings = &connection.settings;
    // The rules for a part are those for its object.
    let (source, id) = match table.strategy {
        Strategy::Nested(part) if part.parent.name == "task_runs" => {
            (part.parent, key.1.split('/').next().unwrap_or_default())
        }
        _ => (table, key.1.as_str()),
    };
    let id = Id::parse(id)?;
    let time = time_of(table, row);
    let is_before = |time: Option<chrono::DateTime<Utc>>| time.is_some() && time < settings.start;
    let is_by_time = matches!(source.strategy, Strategy::Runs | Strategy::AppendOnly(_));
    if is_by_time && is_before(time) {
        return Some(Rule::BeforeStart);
    }
    if world.past.out_of_order.contains(&(source.name, id)) {
        return Some(Rule::OutOfOrder);
    }
    if table.name == "flow_run_state_history"
        && let Some(rule) = excuse_state(&world, table, (row, stored.is_some()), id)
    {
        return Some(rule);
    }
    let known = connection.excuses.known_as.get(key);
    if known.is_some_and(|known| known.iter().any(|before| Some(before) != stored)) {
        return Some(Rule::OlderState);
    }
    let run = RunTimes::from_world(&world, source.name, id)?;
    if is_before(Some(run.expected)) {
        return Some(Rule::BeforeStart);
    }
    if !settings.include_scheduled && run.is_scheduled {
        return Some(Rule::NotScheduled);
    }
    let capabilities = &world.store.settings().capabilities;
    let on_prefect_2 = source.name == "task_runs" && !capabilities.third_generation;
    let is_left = world
        .past
        .runs
        .get(&(source.name, id))
        .is_some_and(|last| last.left.is_some());
    let is_sent_as_ended = run.is_ended && run.end.is_none() && connection.is_ended(key);
    if on_prefect_2 && (is_sent_as_ended || (is_left && stored.is_some())) {
        return Some(Rule::TaskEditOnPrefect2);
    }
    if !run.is_ended {
        return None;
    }
    if run.end.is_none() && !run.is_started {
        return Some(Rule::Unstarted);
    }
    let is_edited = run.end.is_some_and(|end| run.updated > end + MARGIN / 2);
    if source.name == "task_runs" && is_edited && !capabilities.third_generation {
        return Some(Rule::TaskEditOnPrefect2);
    }
    let by_end = world.filters_by_end_since(source.name, run.updated);
    let lived_until = run.end.filter(|_| by_end).unwrap_or(run.expected);
    let look_back = connection.excuses.look_back.unwrap_or_default();
    // A run that was run again and has no end is found by its expected start only.
    let is_late = is_edited || (run.end.is_none() && !by_end);
    // The rechecks by expected start begin with the look-back.
    let lost = world.lost_end_filter_since(source.name, run.updated);
    let is_before_look_back = lost.is_some_and(|lost| lost - run.expected >= look_back - MARGIN);
    let is_too_old = run.updated - lived_until >= look_back - MARGIN || is_before_look_back;
    (is_late && is_too_old).then_some(Rule::LateEdit)
}

/// Returns the time by which a row is listed.
fn time_of(table: &'static Table, row: &Row) -> Option<chrono::DateTime<Utc>> {
    let times = ["expected_start_time", "timestamp", "occurred", "updated"];
    times
        .into_iter()
        .find_map(|name| table.position(name).and_then(|at| row.instant(at)))
}

/// Returns the rule by which a state of a flow run may be missing.
fn excuse_state(
    world: &World,
    table: &'static Table,
    (row, was_sent): (&Row, bool),
    id: Id,
) -> Option<Rule> {
    let run = row.text(table.position("flow_run_id")?)?;
    let run = world.store.run(Id::parse(&run)?);
    let is_late = world.past.out_of_order.contains(&("events", id));
    if is_late || run.is_some_and(|run| world.past.late_runs.contains(&run.id)) {
        return Some(Rule::OutOfOrder);
    }
    let was_unreadable =
        run.is_some_and(|run| world.past.was_unreadable.contains(&("flow_runs", run.id)));
    if was_unreadable && world.was_without_events() {
        return Some(Rule::StatesOfUnreadable);
    }
    // Without events, the connector reads the states of runs that end after the replacement.
    let has_events = world.store.settings().capabilities.events;
    let replaced = world.past.replaced?;
    let ended = run.and_then(|run| run.end_time);
    // With events, the other states are read once, if the server gained events after a complete read.
    let has_event = world.store.object(GenericCollection::Events, id).is_some();
    let is_followed = world.past.event_changes == 1 && world.past.states_read_without_events;
    let is_asked_for = if has_events {
        // A column that is selected later is filled from events only.
        has_event || (is_followed && !was_sent)
    } else {
        ended.is_some_and(|ended| ended >= replaced)
    };
    (!is_asked_for).then_some(Rule::BeforeTheServer)
}

/// The times of a run on which the guarantee depends.
struct RunTimes {
    is_ended: bool,
    is_scheduled: bool,
    is_started: bool,
    expected: chrono::DateTime<Utc>,
    end: Option<chrono::DateTime<Utc>>,
    updated: chrono::DateTime<Utc>,
}

impl RunTimes {
    fn from_world(world: &World, table: &str, id: Id) -> Option<Self> {
        use prefect_fake::model::StateType::Scheduled;
        Some(match table {
            "flow_runs" => {
                let run = world.store.run(id)?;
                Self {
                    is_ended: run.state.kind.is_terminal(),
                    is_scheduled: run.state.kind == Scheduled && run.start_time.is_none(),
                    is_started: run.start_time.is_some(),
                    expected: run.expected_start_time,
                    end: run.end_time,
                    updated: run.updated,
                }
            }
            "task_runs" => {
                let run = world.store.task_run(id)?;
                Self {
                    is_ended: run.state.kind.is_terminal(),
                    is_scheduled: run.state.kind == Scheduled && run.start_time.is_none(),
                    is_started: run.start_time.is_some(),
                    expected: run.expected_start_time,
                    end: run.end_time,
                    updated: run.updated,
                }
            }
            _ => return None,
        })
    }
}

/// Checks that rows whose objects are gone are marked as deleted, or excused by a rule.
fn check_gone(
    connection: &mut Connection,
    table: &'static Table,
    existing: &BTreeSet<&str>,
) -> Result<(), Violation> {
    let is_left = |key: &Key, stored: &Stored| {
        key.0 == table.name && !stored.deleted && !existing.contains(key.1.as_str())
    };
    let left: Vec<Key> = connection
        .warehouse
        .rows()
        .filter(|(key, stored)| is_left(key, stored))
        .map(|(key, _)| key.clone())
        .collect();
    for key in left {
        let stays = match table.strategy {
            // A task run ends with its flow run.
            Strategy::Runs => {
                connection.is_ended(&key)
                    || !has_state(connection, &key)
                    || last_seen(connection, &key).is_some_and(|last| last.left.is_some())
            }
            _ => super::connection::keeps_history(table.name),
        };
        if stays {
            continue;
        }
        let id = Id::parse(&key.1);
        let gone = id.and_then(|id| connection.world().past.gone.get(&(key.0, id)).copied());
        let rule = if connection.excuses.out_of_sight.contains(&key)
            || gone.is_some_and(|gone| gone.aged)
        {
            Some(Rule::OutOfSight)
        } else if id.is_some_and(|id| connection.world().past.vanished.contains(&(key.0, id))) {
            Some(Rule::OutOfOrder)
        } else if connection.excuses.filtered
            && (last_seen(connection, &key).is_some_and(|last| last.ended)
                // The connector cannot see that a task run outside the filter ends with its flow run.
                || is_of_flow_run(connection, &key))
        {
            Some(Rule::OutOfSight)
        } else if is_long_open_on_prefect_2(connection, &key) {
            Some(Rule::LongOpen)
        } else if id.is_some_and(|id| connection.world().past.created_ahead.contains(&(key.0, id)))
        {
            Some(Rule::CreatedAhead)
        } else if connection.excuses.known_as.contains_key(&key) {
            Some(Rule::OlderState)
        } else if !connection.settings.include_scheduled && matches!(table.strategy, Strategy::Runs)
        {
            Some(Rule::NotScheduled)
        } else {
            None
        };
        match rule {
            Some(rule) => connection.coverage.excuse(rule.name()),
            None => {
                return Err(Violation::for_row(
                    &key,
                    "at rest: gone at the source, and not marked as deleted",
                ));
            }
        }
    }
    Ok(())
}

/// Returns a run as it was last seen.
pub(super) fn last_seen(connection: &Connection, key: &Key) -> Option<LastSeen> {
    let world = connection.world();
    Id::parse(&key.1).and_then(|id| world.past.runs.get(&(key.0, id)).copied())
}

/// Returns true for a task run that was open for about a week on Prefect 2. The run disappeared more than six days
/// after its expected start.
fn is_long_open_on_prefect_2(connection: &Connection, key: &Key) -> bool {
    let world = connection.world();
    let mut releases = world.releases.iter();
    if key.0 != "task_runs" || releases.all(|it| it.capabilities.third_generation) {
        return false;
    }
    let table = tables::find(key.0).expect("a table");
    let at = table.position("expected_start_time").expect("a column");
    let stored = connection
        .warehouse
        .row(key)
        .and_then(|row| row.columns[at].clone());
    let gone = Id::parse(&key.1).and_then(|id| world.past.gone.get(&(key.0, id)));
    match (stored, gone) {
        (Some(Value::UtcDatetime(expected)), Some(gone)) => gone.at - expected > TimeDelta::days(6),
        _ => false,
    }
}

/// Returns true for a task run that the warehouse has as part of a flow run.
fn is_of_flow_run(connection: &Connection, key: &Key) -> bool {
    let table = tables::find(key.0).filter(|table| table.name == "task_runs");
    let at = table.and_then(|table| table.position("flow_run_id"));
    let row = connection.warehouse.row(key);
    matches!((at, row), (Some(at), Some(row)) if row.columns[at].is_some())
}

/// Returns true if the column with the state of a run is selected.
fn has_state(connection: &Connection, key: &Key) -> bool {
    let selected = connection.settings.selected(key.0);
    selected.is_some_and(|selected| {
        let at = selected.table.position("state_type");
        at.is_some_and(|at| selected.columns[at])
    })
}
