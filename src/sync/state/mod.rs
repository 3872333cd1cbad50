//! The state that Fivetran keeps between two syncs. It contains no secret, and of rows only ids and hashes.

mod check;
mod describe;
mod error;
mod table_state;
mod v1;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::{
    check::within_bounds,
    error::{VERSION, damaged_at},
    table_state::TableState,
};
use super::{
    SelectedTable, compact_ids,
    row_clock::RowClock,
    selection::{Group, is_covered},
    strategies::ReaderState,
};
use crate::tables::{self, Table};

pub use self::{
    describe::{Described, DescribedTable, StateDifference},
    error::StateError,
};

/// The state of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub(super) version: u32,
    /// The identity of the workspace: account and workspace id, or the URL.
    pub(super) workspace: String,
    /// The server's time at the last response. It never steps back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) now: Option<DateTime<Utc>>,
    /// The estimate of the clock that sets the `updated` of rows.
    #[serde(default, skip_serializing_if = "RowClock::is_unknown")]
    pub(super) row_clock: RowClock,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version_of_server: Option<String>,
    /// True if the server had another version before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_renewed: bool,
    /// The tables that the server does not have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) absent: BTreeSet<String>,
    /// The tables by name. A table that is not selected any more keeps its entry.
    pub(super) tables: BTreeMap<String, TableState>,
}

impl State {
    /// Returns the state of a connection before its first sync.
    pub fn new(workspace: &str) -> Self {
        Self {
            version: VERSION,
            workspace: workspace.to_owned(),
            now: None,
            row_clock: RowClock::default(),
            version_of_server: None,
            is_renewed: false,
            absent: BTreeSet::new(),
            tables: BTreeMap::new(),
        }
    }

    /// Parses the state that Fivetran kept. An absent or empty state or `{}` means a fresh start in `workspace`. The
    /// engine verifies that a saved state belongs to `workspace`.
    pub fn parse(state_json: Option<&str>, workspace: &str) -> Result<Self, StateError> {
        let text = state_json.unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(Self::new(workspace));
        }
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| StateError::Damaged {
                why: format!("not JSON, line {} column {}", error.line(), error.column()),
            })?;
        let Some(object) = json.as_object() else {
            return Err(StateError::Damaged {
                why: "not a JSON object".to_owned(),
            });
        };
        if object.is_empty() {
            return Ok(Self::new(workspace));
        }
        let json = match object.get("version").and_then(serde_json::Value::as_u64) {
            Some(1) => v1::upgrade(within_bounds(json)?)?,
            Some(version) if version == u64::from(VERSION) => within_bounds(json)?,
            Some(version) => return Err(StateError::UnknownVersion(version)),
            None => {
                return Err(StateError::Damaged {
                    why: "it has no version".to_owned(),
                });
            }
        };
        serde_path_to_error::deserialize(json).map_err(|error| damaged_at(&error))
    }

    /// Returns the identity of the workspace that was read.
    pub(super) fn workspace(&self) -> &str {
        &self.workspace
    }

    /// Sets the new address of the workspace.
    pub(super) fn moved_to(&mut self, workspace: &str) {
        workspace.clone_into(&mut self.workspace);
    }

    /// Returns the ids of at most `most` objects of each table that keeps ids.
    pub(super) fn some_ids(&self, most: usize) -> Vec<(&'static Table, Vec<String>)> {
        self.tables
            .iter()
            .filter_map(|(name, state)| Some((tables::find(name)?, state.reader().some_ids(most))))
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(table, ids)| (table, ids.into_iter().map(compact_ids::parse_id).collect()))
            .collect()
    }

    /// Prepares all tables for a server's clock that stepped back to `now`; see [`ReaderState::rewind`].
    pub(super) fn rewind(&mut self, now: DateTime<Utc>) {
        self.now = None;
        self.row_clock = RowClock::default();
        for table in self.tables.values_mut() {
            table.reader_mut().rewind(now);
        }
    }

    /// Returns a description of what is no longer detected in a table because the state is full.
    pub(super) fn untracked(&self, selected: &SelectedTable) -> Option<&'static str> {
        self.tables.get(selected.table.name)?.reader().untracked()
    }

    /// Records the server's version. If it changed, the next sync looks again for everything that the server did not
    /// have.
    pub(super) fn note_version(&mut self, version: Option<&str>) {
        let before = std::mem::replace(&mut self.version_of_server, version.map(str::to_owned));
        self.is_renewed |= before.is_some() && before.as_deref() != version;
    }

    /// Forgets what the server did not have, if its version has changed.
    pub(super) fn renew(&mut self) {
        if std::mem::take(&mut self.is_renewed) {
            self.absent.clear();
            for table in self.tables.values_mut() {
                table.reader_mut().forget_abilities();
            }
        }
    }

    /// Returns the states of tables that are read together, each with a flag that is true if columns are new. `None`
    /// where a table is new.
    pub(super) fn saved(&self, group: &Group) -> Vec<Option<(&ReaderState, bool)>> {
        let is_read = |name: &str| group.tables.iter().any(|it| it.table.name == name);
        let saved = |selected: &SelectedTable| {
            let saved = self.tables.get(selected.table.name)?;
            let has_more = !is_covered(&selected.fingerprint(), saved.columns());
            let reader = match saved.reader() {
                ReaderState::HeldBy(name) if !is_read(name) => self.tables.get(name)?.reader(),
                reader => reader,
            };
            Some((reader, has_more))
        };
        group.tables.iter().map(saved).collect()
    }

    /// Gives its own copy of the state to each table that was read with the group and is deselected now. The table
    /// resumes from that copy when it is selected again.
    pub(super) fn part_with(&mut self, group: &Group) {
        let is_read = |name: &str| group.tables.iter().any(|it| it.table.name == name);
        let left: Vec<(String, String)> = self
            .tables
            .iter()
            .filter_map(|(name, state)| match state.reader() {
                ReaderState::HeldBy(with) if is_read(with) && !is_read(name) => {
                    Some((name.clone(), with.clone()))
                }
                _ => None,
            })
            .collect();
        for (name, with) in left {
            let copy = self.tables.get(&with).map(|state| state.reader().clone());
            if let (Some(copy), Some(state)) = (copy, self.tables.get_mut(&name)) {
                *state.reader_mut() = copy;
            }
        }
    }

    /// Returns the time field by which the runs of each table are read.
    pub(super) fn abilities(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.tables
            .iter()
            .filter_map(|(name, state)| Some((name.as_str(), state.reader().ability()?)))
    }

    /// Stores a table's new state.
    pub(super) fn set(&mut self, selected: &SelectedTable, reader: ReaderState) {
        self.tables.insert(
            selected.table.name.to_owned(),
            TableState::new(selected.fingerprint(), reader),
        );
    }

    /// Returns the JSON that Fivetran keeps.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the JSON with at most `most` bytes, if possible, and true if something was dropped for that. The largest
    /// table drops what it can do without, repeatedly.
    pub(super) fn bounded_json(
        &mut self,
        most: usize,
    ) -> Result<(String, bool), serde_json::Error> {
        let mut has_dropped = false;
        loop {
            let json = self.to_json()?;
            if json.len() <= most {
                return Ok((json, has_dropped));
            }
            let weights = self.tables.values_mut();
            let weights = weights.map(|table| (table.reader().weight(), table));
            match weights.max_by_key(|(weight, _)| *weight) {
                Some((1.., table)) => table.reader_mut().shed(),
                _ => return Ok((json, has_dropped)),
            }
            has_dropped = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "http://h/api";

    #[test]
    fn absent_empty_and_braces_are_a_fresh_start() {
        for text in [None, Some(""), Some(" "), Some("{}"), Some(" { } ")] {
            assert_eq!(State::parse(text, HERE), Ok(State::new(HERE)), "{text:?}");
        }
    }

    #[test]
    fn a_state_comes_back() {
        let text = State::new(HERE).to_json().expect("serialises");
        assert_eq!(State::parse(Some(&text), HERE), Ok(State::new(HERE)));
    }

    #[test]
    fn a_table_that_changed_after_its_json_was_written_is_written_again() {
        let text = include_str!("../../../tests/fixtures/state_v2.json");
        let mut state = State::parse(Some(text), "http://127.0.0.1:4200/api").expect("loads");
        let before = state.to_json().expect("serialises");
        let now = DateTime::UNIX_EPOCH;
        state.rewind(now);
        let after = state.to_json().expect("serialises");
        let mut fresh = State::parse(Some(&before), "http://127.0.0.1:4200/api").expect("loads");
        fresh.rewind(now);
        assert_eq!(after, fresh.to_json().expect("serialises"));
        assert_ne!(before, after);
    }

    #[test]
    fn version_1_still_loads() {
        let text = include_str!("../../../tests/fixtures/state_v1.json");
        let state = State::parse(Some(text), "http://127.0.0.1:4200/api").expect("loads");
        let again = state.to_json().expect("serialises");
        assert_eq!(
            State::parse(Some(&again), "http://127.0.0.1:4200/api"),
            Ok(state)
        );
    }

    #[test]
    fn version_2_as_written_comes_back() {
        let text = include_str!("../../../tests/fixtures/state_v2.json");
        let state = State::parse(Some(text), "http://127.0.0.1:4200/api").expect("loads");
        assert_eq!(state.to_json().expect("serialises"), text.trim_end());
    }

    #[test]
    fn an_unusable_state_is_rejected_with_its_reason_and_remedy() {
        for (text, why) in [
            ("{", "not JSON, line 1 column 1"),
            ("[1]", "not a JSON object"),
            ("{\"a\":1}", "it has no version"),
            (
                "{\"version\":2,\"workspace\":\"http://h/api\",\"tables\":{\"flows\":{\"columns\":\"\",\"reader\":{\"runs\":{\"secret\":1}}}}}",
                "at tables.flows.reader",
            ),
            (
                "{\"version\":2,\"workspace\":\"http://h/api\",\"tables\":{},\"x\":1}",
                "at x",
            ),
            (
                "{\"version\":2,\"workspace\":\"http://h/api\",\"tables\":{},\"now\":\"+262142-12-31T23:59:59Z\"}",
                "at now",
            ),
            (
                "{\"version\":1,\"tables\":{\"flows\":[{\"lag\":9223372036854775807}]}}",
                "at tables.flows.0.lag",
            ),
        ] {
            let error = State::parse(Some(text), HERE).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("the saved state is damaged ({why}")),
                "{error}"
            );
            assert!(
                error.contains("--full-refresh") && !error.contains("secret\":"),
                "{error}"
            );
        }
        assert_eq!(
            State::parse(Some("{\"version\":99}"), HERE),
            Err(StateError::UnknownVersion(99))
        );
    }
}
