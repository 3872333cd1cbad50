//! State version 1 and its conversion to version 2.
//!
//! Version 1 read all runs at every sync and tracked no deletes. Its cursors remain valid: everything older was sent.
//! All runs are read once again, to learn which of them are open.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{StateError, damaged_at};
use crate::sync::{
    compact_ids,
    sent_fingerprints::SentFingerprints,
    strategies::{NewestFirstState, ReaderState, RunsState, SnapshotState},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    #[serde(rename = "version")]
    _version: u32,
    workspace: String,
    tables: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    columns: String,
    reader: Reader,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reader {
    Snapshot(SnapshotState),
    NewestFirst(Walked),
    Runs(Walked),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Walked {
    #[serde(rename = "news")]
    new_rows: NewRows,
    /// An interrupted pass is not resumed: it starts again.
    #[serde(default, rename = "walk")]
    _walk: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRows {
    cursor: Option<DateTime<Utc>>,
    #[serde(default)]
    recent: Vec<String>,
}

impl NewRows {
    fn recent(&self) -> SentFingerprints {
        self.recent
            .iter()
            .filter_map(|text| compact_ids::parse_hash(text))
            .collect()
    }
}

/// Converts the state to version 2.
pub(super) fn upgrade(json: Value) -> Result<Value, StateError> {
    let state: State =
        serde_path_to_error::deserialize(json).map_err(|error| damaged_at(&error))?;
    let tables: serde_json::Map<String, Value> = state
        .tables
        .into_iter()
        .map(|(name, table)| {
            let reader = upgrade_reader(table.reader);
            (name, json!({ "columns": table.columns, "reader": reader }))
        })
        .collect();
    Ok(json!({ "version": 2, "workspace": state.workspace, "tables": tables }))
}

fn upgrade_reader(reader: Reader) -> ReaderState {
    match reader {
        Reader::Snapshot(state) => ReaderState::Snapshot(state),
        Reader::NewestFirst(walked) => ReaderState::NewestFirst(NewestFirstState {
            recent: walked.new_rows.recent(),
            cursor: walked.new_rows.cursor,
            ..NewestFirstState::default()
        }),
        Reader::Runs(walked) => {
            let recent = walked.new_rows.recent();
            ReaderState::Runs(Box::new(RunsState::since(walked.new_rows.cursor, recent)))
        }
    }
}
