//! Limits for the times and numbers of a saved state, because readers add to them.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::Value;

use super::error::StateError;

/// The largest number in a state, where numbers are counts or seconds.
const LARGEST: i64 = 1_000_000_000;

/// Returns the state if calculating with its times and numbers is safe.
pub(super) fn within_bounds(json: Value) -> Result<Value, StateError> {
    match out_of_bounds(&json) {
        None => Ok(json),
        Some(place) => Err(StateError::Damaged {
            why: format!("at {place}"),
        }),
    }
}

/// Returns the path of a time outside the years 1 to 9999, or of a number outside the limits.
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

/// Returns true if the text is a time outside those years. Ids, hashes and names are not times.
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
