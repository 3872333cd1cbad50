//! Conversion of a page of events, or of the states of a run, into a page of rows.

use std::fmt::Write as _;

use serde_json::{Value, value::RawValue};

use super::{PageReader, ParsedPage};
use crate::tables::{Events, Feed, Strategy};

impl PageReader {
    /// Reads events. The text of each event is kept, with the fields that its table takes from it added in front.
    pub fn read_events(&self, events: &[&RawValue]) -> Result<ParsedPage, serde_json::Error> {
        let Strategy::AppendOnly(Feed::Events(Events { derived, .. })) = self.table().strategy
        else {
            return Err(serde::de::Error::custom(
                "the table does not contain events",
            ));
        };
        let mut body = String::from("[");
        for (at, event) in events.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(&with_derived(event.get(), derived));
        }
        body.push(']');
        self.read(body)
    }
}

impl PageReader {
    /// Reads the states of a flow run (`GET /flow_run_states/?flow_run_id=…`).
    pub fn read_states(&self, states: &str, run: &str) -> Result<ParsedPage, serde_json::Error> {
        let states: Vec<&RawValue> = serde_json::from_str(states)?;
        let run = serde_json::to_string(run)?;
        let own = |state: &&RawValue| match state.get().trim_start().strip_prefix('{') {
            Some(rest) if !rest.trim_start().starts_with('}') => {
                format!("{{\"flow_run_id\":{run},{rest}")
            }
            _ => state.get().to_owned(),
        };
        let states: Vec<String> = states.iter().map(own).collect();
        self.read(format!("[{}]", states.join(",")))
    }
}

/// Adds fields in front of an event's own fields, which take precedence.
fn with_derived(event: &str, derived: fn(&Value) -> Vec<(&'static str, Value)>) -> String {
    let (Ok(value), Some(rest)) = (
        serde_json::from_str::<Value>(event),
        event.trim_start().strip_prefix('{'),
    ) else {
        return event.to_owned();
    };
    let mut text = String::from("{");
    for (name, value) in derived(&value) {
        if !value.is_null() {
            // The value is JSON and the name needs no escapes; writing to a String cannot fail.
            let _ = write!(text, "\"{name}\":{value},");
        }
    }
    if rest.trim_start().starts_with('}') {
        // The event has no fields of its own.
        text.truncate(text.trim_end_matches(',').len());
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_stays_as_it_was_written() {
        let derived = |_: &Value| vec![("a", json!("x")), ("none", Value::Null)];
        assert_eq!(
            with_derived(r#"{ "n":1.10,"s":",}" }"#, derived),
            r#"{"a":"x", "n":1.10,"s":",}" }"#
        );
        assert_eq!(with_derived("{}", derived), r#"{"a":"x"}"#);
        assert_eq!(with_derived("{}", |_| Vec::new()), "{}");
        assert_eq!(with_derived("7", derived), "7");
    }
}
