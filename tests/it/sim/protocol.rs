//! Checks that every single operation must pass, in any history.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    rows::{Row, ValueRef},
    sync::{Error, Op},
    tables::{ColumnType, Table},
};
use prefect_fake::Id;
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::{
    checker::Violation,
    journal::{self, Key},
    world::World,
};

/// Checks that a row has every column, with its declared type, and a valid id.
pub(super) fn upsert(table: &'static Table, row: &Row) -> Result<(), Violation> {
    let key = (table.name, row.id().to_owned());
    if Id::parse(&key.1).is_none() {
        return Err(Violation::for_row(&key, "a row without an id"));
    }
    if row.values().len() != table.columns.len() {
        return Err(Violation::for_row(
            &key,
            "a row with too few or too many values",
        ));
    }
    for (column, value) in table.columns.iter().zip(row.values()) {
        let fits = match value {
            ValueRef::Null => true,
            ValueRef::String(_) => column.kind == ColumnType::String,
            ValueRef::Boolean(_) => column.kind == ColumnType::Boolean,
            ValueRef::Long(_) => column.kind == ColumnType::Long,
            ValueRef::Double(_) => column.kind == ColumnType::Double,
            ValueRef::UtcDatetime(_) => column.kind == ColumnType::UtcDatetime,
            ValueRef::Json(_) => column.kind == ColumnType::Json,
        };
        if !fits {
            let what = format!("column {} holds {value:?}", column.name);
            return Err(Violation::for_row(&key, what));
        }
    }
    Ok(())
}

/// Checks that a deleted object existed, does not exist now, and did not just age out.
pub(super) fn delete(world: &World, key: &Key) -> Result<(), Violation> {
    let Some(object) = world.journal.objects.get(key) else {
        return Err(Violation::for_row(key, "deleted, and never existed"));
    };
    if journal::exists(&world.store, key) {
        return Err(Violation::for_row(key, "deleted, and it exists"));
    }
    if object.gone.is_some_and(|gone| gone.aged) {
        return Err(Violation::for_row(key, "deleted, and it only aged out"));
    }
    Ok(())
}

/// Checks that no row of a truncated table was sent before, and that the table is not history.
pub(super) fn truncate(table: &'static str, begun: &BTreeSet<&str>) -> Result<(), Violation> {
    if table == "flow_runs" || begun.contains(table) {
        return Err(Violation::new(format!("{table} is truncated")));
    }
    Ok(())
}

/// Checks that the state is a JSON object of at most `most` bytes. No cursor in it may go back or lie in the future.
pub(super) fn checkpoint(
    state: &str,
    before: Option<&str>,
    now: DateTime<Utc>,
    most: usize,
) -> Result<(), Violation> {
    let parse = |text| {
        serde_json::from_str::<Json>(text)
            .map_err(|error| Violation::new(format!("the state is no JSON: {error}")))
    };
    let json = parse(state)?;
    if !json.is_object() {
        return Err(Violation::new("the state is no JSON object"));
    }
    if state.len() > most {
        let what = format!("the state has {} bytes", state.len());
        return Err(Violation::new(what));
    }
    if let Some(before) = before {
        let before = parse(before)?;
        // After a clock that was wrong, everything is read again.
        let stepped_back = time(&json["now"]) < time(&before["now"]);
        if !stepped_back {
            never_falls(&before, &json, "")?;
        }
    }
    past_only(&json, "", now)
}

/// The names of cursors: everything up to such a time was read.
const CURSORS: [&str; 4] = ["cursor", "never_started", "read_at", "listed"];

/// The read log that one reader leaves for the next, which removes what it has used.
const TRAIL: &str = "trail";

fn time(json: &Json) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(json.as_str()?).ok()?;
    Some(time.to_utc())
}

fn never_falls(before: &Json, after: &Json, path: &str) -> Result<(), Violation> {
    match (before, after) {
        (Json::Object(before), Json::Object(after)) => {
            for (name, value) in before.iter().filter(|(name, _)| *name != TRAIL) {
                let Some(now) = after.get(name) else { continue };
                let path = format!("{path}.{name}");
                let at = |json: &Json| DateTime::parse_from_rfc3339(json.as_str()?).ok();
                if CURSORS.contains(&name.as_str())
                    && let (Some(was), Some(is)) = (at(value), at(now))
                    && is < was
                {
                    let what = format!("the state's {path} falls from {was} to {is}");
                    return Err(Violation::new(what));
                }
                never_falls(value, now, &path)?;
            }
            Ok(())
        }
        (Json::Array(before), Json::Array(after)) => before
            .iter()
            .zip(after)
            .try_for_each(|(before, after)| never_falls(before, after, path)),
        _ => Ok(()),
    }
}

/// The names of times that may lie in the future and are not cursors. They are times of rows, and bounds of passes that
/// begin in the future, as far as the passes have not reached them.
const BOUNDS: [&str; 3] = ["after", "before", "newest"];

fn past_only(json: &Json, path: &str, now: DateTime<Utc>) -> Result<(), Violation> {
    let at = match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                if !BOUNDS.contains(&name.as_str()) {
                    past_only(value, &format!("{path}.{name}"), now)?;
                }
            }
            None
        }
        Json::Array(items) => {
            for item in items {
                past_only(item, path, now)?;
            }
            None
        }
        Json::String(text) => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| at.to_utc()),
        Json::Number(number) => number.as_i64().and_then(spelled_as_number),
        _ => None,
    };
    if at.is_some_and(|at| at > now + TimeDelta::seconds(1)) {
        let what = format!("the state's {path} lies in the future: {json}, now is {now}");
        return Err(Violation::new(what));
    }
    Ok(())
}

/// Returns the time of a number that looks like present-day seconds, milliseconds or microseconds.
fn spelled_as_number(number: i64) -> Option<DateTime<Utc>> {
    let years = 1_500_000_000..4_000_000_000;
    [1, 1_000, 1_000_000].into_iter().find_map(|unit| {
        let seconds = number / unit;
        years
            .contains(&seconds)
            .then(|| DateTime::from_timestamp(seconds, 0))
            .flatten()
    })
}

/// The operations of a sync, as far as its caller received them.
pub(super) struct Received {
    pub(super) ops: usize,
    /// True if the caller received all operations, and the sync did not fail.
    pub(super) is_whole: bool,
    pub(super) error: Option<Error>,
}

/// Receives operations until the sync ends, `take` fails, or the caller disconnects after `cut` operations.
pub(super) async fn receive(
    mut inbox: mpsc::Receiver<Result<Vec<Op>, Error>>,
    cut: usize,
    mut take: impl FnMut(Op) -> Result<(), Violation>,
) -> Result<Received, Violation> {
    let mut received = Received {
        ops: 0,
        is_whole: true,
        error: None,
    };
    while let Some(step) = inbox.recv().await {
        match step {
            Ok(ops) => {
                for op in ops {
                    if received.ops == cut {
                        received.is_whole = false;
                        return Ok(received);
                    }
                    received.ops += 1;
                    take(op)?;
                }
            }
            Err(error) => {
                received.is_whole = false;
                received.error = Some(error);
            }
        }
    }
    Ok(received)
}
