//! What a saved state may say of times and numbers: reading goes on by adding to them.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::Value;

use super::state_error::StateError;

/// No number of a state is larger: they count, or are seconds.
const LARGEST: i64 = 1_000_000_000;

/// The state, if all its times and numbers can be reckoned with.
pub(super) fn within_bounds(json: Value) -> Result<Value, StateError> {
    match out_of_bounds(&json) {
        None => Ok(json),
        Some(place) => Err(StateError::Damaged {
            why: format!("at {place}"),
        }),
    }
}

/// Where a state has a time outside the years 1 to 9999, or a number beyond all bounds.
fn out_of_bounds(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => is_far_away(text).then(String::new),
        Value::Number(number) => {
            let is_small = number
                .as_i64()
                .is_some_and(|number| (-LARGEST..=LARGEST).contains(&number));
            (!is_small).then(String::new)
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .find_map(|(at, inner)| Some(behind(&at.to_string(), &out_of_bounds(inner)?))),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, inner)| Some(behind(name, &out_of_bounds(inner)?))),
        Value::Null | Value::Bool(_) => None,
    }
}

/// Ids, hashes and names are no times.
fn is_far_away(text: &str) -> bool {
    text.contains(':')
        && text
            .parse::<DateTime<Utc>>()
            .is_ok_and(|time| !(1..=9999).contains(&time.year()))
}

fn behind(step: &str, rest: &str) -> String {
    match rest {
        "" => step.to_owned(),
        rest => format!("{step}.{rest}"),
    }
}
