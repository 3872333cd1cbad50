//! What must be true of every single operation, whatever the history.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    demo::Id,
    rows::{Row, ValueRef},
    tables::{Kind, Table},
};
use serde_json::Value as Json;

use super::{
    checker::Violation,
    journal::{self, Key},
    world::World,
};

/// Every column is there, typed as declared, and the key is one.
pub(super) fn upsert(table: &'static Table, row: &Row) -> Result<(), Violation> {
    let key = (table.name, row.id().to_owned());
    if Id::parse(&key.1).is_none() {
        return Err(Violation::of(&key, "a row without an id"));
    }
    if row.values().len() != table.columns.len() {
        return Err(Violation::of(&key, "a row with too few or too many values"));
    }
    for (column, value) in table.columns.iter().zip(row.values()) {
        let fits = match value {
            ValueRef::Null => true,
            ValueRef::String(_) => column.kind == Kind::String,
            ValueRef::Boolean(_) => column.kind == Kind::Boolean,
            ValueRef::Long(_) => column.kind == Kind::Long,
            ValueRef::Double(_) => column.kind == Kind::Double,
            ValueRef::UtcDatetime(_) => column.kind == Kind::UtcDatetime,
            ValueRef::Json(_) => column.kind == Kind::Json,
        };
        if !fits {
            let what = format!("column {} holds {value:?}", column.name);
            return Err(Violation::of(&key, what));
        }
    }
    Ok(())
}

/// A delete is only ever true: the object was there, is not there, and did not just age out.
pub(super) fn delete(world: &World, key: &Key) -> Result<(), Violation> {
    let Some(object) = world.journal.objects.get(key) else {
        return Err(Violation::of(key, "deleted, and never existed"));
    };
    if journal::exists(&world.store, key) {
        return Err(Violation::of(key, "deleted, and it exists"));
    }
    if object.gone.is_some_and(|gone| gone.aged) {
        return Err(Violation::of(key, "deleted, and it only aged out"));
    }
    Ok(())
}

/// Nothing of a table was ever sent when it is truncated, and tables of history never are.
pub(super) fn truncate(table: &'static str, begun: &BTreeSet<&str>) -> Result<(), Violation> {
    if table == "flow_runs" || begun.contains(table) {
        return Err(Violation::new(format!("{table} is truncated")));
    }
    Ok(())
}

/// The state is a JSON object of bearable size, and no cursor in it falls or lies in the future.
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
        // After a clock that was wrong everything is read anew.
        let stepped_back = time(&json["now"]) < time(&before["now"]);
        if !stepped_back {
            never_falls(&before, &json, "")?;
        }
    }
    past_only(&json, "", now)
}

/// Cursors: up to here everything was read.
const CURSORS: [&str; 4] = ["cursor", "never_started", "read_at", "listed"];

/// What one reader leaves for the next; it goes when that has used it.
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

/// Bounds of walks from the future down, as far as they have not been reached, and times of rows; no cursors.
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

/// A number that looks like seconds, milliseconds or microseconds of our days.
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
