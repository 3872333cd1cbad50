//! State version 1, as far as version 2 goes on from it.
//!
//! Version 1 walked over all runs at every sync and knew no deletes. Its cursors stay good: what is
//! older was sent. Runs are walked over once more, to learn which of them are open.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    pack,
    recent::Recent,
    state_error::{StateError, damaged_at},
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
    news: News,
    /// An interrupted walk begins anew.
    #[serde(default, rename = "walk")]
    _walk: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct News {
    cursor: Option<DateTime<Utc>>,
    #[serde(default)]
    recent: Vec<String>,
}

impl News {
    fn recent(&self) -> Recent {
        self.recent
            .iter()
            .filter_map(|text| pack::parse_hash(text))
            .collect()
    }
}

/// The same state as version 2.
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
            recent: walked.news.recent(),
            cursor: walked.news.cursor,
            ..NewestFirstState::default()
        }),
        Reader::Runs(walked) => {
            let recent = walked.news.recent();
            ReaderState::Runs(Box::new(RunsState::since(walked.news.cursor, recent)))
        }
    }
}
