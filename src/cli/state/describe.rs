//! Texts about states, for the terminal.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{
    sync::{Described, Field, Rewound, StateDifference},
    telemetry::format_count,
};

pub(super) fn show(state: &Described) -> String {
    if state.tables.is_empty() {
        return "Nothing was read yet: the next sync reads everything.\n".to_owned();
    }
    let mut text = String::new();
    list(&mut text, &state.facts());
    let size = format!(
        "{} bytes, version {}",
        format_count(state.bytes as u64),
        state.version
    );
    list(
        &mut text,
        &[Field {
            what: "size".to_owned(),
            said: size,
        }],
    );
    for table in &state.tables {
        let bytes = format_count(table.bytes as u64);
        let _ = writeln!(
            text,
            "\n{} ({}, {bytes} bytes)",
            table.table, table.strategy
        );
        list(&mut text, &table.facts());
    }
    text
}

fn list(text: &mut String, facts: &[Field]) {
    for fact in facts {
        let _ = writeln!(text, "  {:<24} {}", fact.what, fact.said);
    }
}

pub(super) fn diff(differences: &[StateDifference]) -> String {
    if differences.is_empty() {
        return "The states do not differ.\n".to_owned();
    }
    let mut text = String::new();
    let mut table = None;
    for difference in differences {
        if difference.table != table {
            table.clone_from(&difference.table);
            let _ = writeln!(text, "{}", table.as_deref().unwrap_or_default());
        }
        let said = |said: &Option<String>| said.clone().unwrap_or_else(|| "-".to_owned());
        let (before, after) = (said(&difference.before), said(&difference.after));
        let _ = writeln!(
            text,
            "  {:<24} {before}\n  {:<24} {after}",
            difference.what, "  ->"
        );
    }
    text
}

pub(super) fn upgraded(was: Option<u64>, is: u32) -> String {
    match was {
        Some(was) if was == u64::from(is) => format!("the state already has version {is}"),
        Some(was) => format!("upgraded from version {was} to version {is}"),
        None => format!("an empty state, now version {is}"),
    }
}

pub(super) fn rewound(table: &str, to: Option<DateTime<Utc>>, rewound: &Rewound) -> String {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let from = match rewound.from {
        Some(from) => format!(" (it was read up to {})", time(from)),
        None => String::new(),
    };
    let to = match to {
        Some(to) => format!("{table} is rewound to {}{from}", time(to)),
        None => format!("{table} is rewound to the beginning{from}"),
    };
    let with = match rewound.with.as_slice() {
        [] => String::new(),
        tables => format!("; the rows of {} are read again, too", tables.join(", ")),
    };
    format!("{to}: the next sync reads {}{with}", rewound.again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::State;

    fn state(text: &str) -> State {
        State::parse(Some(text), "").expect("the fixture is a valid state")
    }

    #[test]
    fn a_state_is_shown_table_by_table() {
        let text = show(&state(include_str!("../../../tests/fixtures/state_v2.json")).describe());
        for line in [
            "  workspace                http://127.0.0.1:4200/api",
            "  size                     2,",
            "flow_runs (runs, 1,",
            "  read up to               2026-11-21T05:17:10Z",
            "  open runs                1, checked at 2026-11-21T05:17:10Z",
            "  recheck after 15 min     runs ended before 2026-11-20T12:00:00Z are done",
            "flows (newest first, ",
            "deployments (snapshot, ",
            "  known rows               2",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(show(&state("{}").describe()).starts_with("Nothing was read"));
    }

    #[test]
    fn two_states_are_compared_by_what_they_say() {
        let one = state(include_str!("../../../tests/fixtures/state_v1.json"));
        let two = state(include_str!("../../../tests/fixtures/state_v2.json"));
        assert_eq!(diff(&one.differences(&one)), "The states do not differ.\n");
        let text = diff(&one.differences(&two));
        let lines = "flow_runs\n  read up to               nothing was read yet\n    ->                     \
                     2026-11-21T05:17:10Z\n";
        assert!(text.contains(lines), "{text}");
        assert!(!text.contains("deployments"), "{text}");
    }
}
