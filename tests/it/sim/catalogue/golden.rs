//! Tests of states that earlier builds saved, for every field of every strategy. Each state loads and is written again
//! unchanged, and a sync continues from it.
//!
//! `GOLDEN_STATES=new` writes `tests/fixtures/states/v2.jsonl` from random histories: for every field of a saved state,
//! the smallest table state that has it. The file is written once for each version of the state, by the build that
//! saved it; a field that is added later adds lines.

use std::{collections::BTreeMap, env, fs};

use chrono::TimeDelta;
use fivetran_source::sync::{Error, Op, State};
use prefect_fake::{Capabilities, model::Time, versions};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    super::block_on, connection::Connection, run_history, server::Visit, settings::Settings,
    world::Kind,
};

/// The saved states, one a line: one table, and the fields that all tables share. The second file has fields that only
/// very large workspaces, `state rewind` or earlier builds save.
const STATES: [&str; 2] = [
    include_str!("../../../fixtures/states/v2.jsonl"),
    include_str!("../../../fixtures/states/v2_rare.jsonl"),
];

const WORKSPACE: &str = "sim";

/// Collects the path of every field of a value; the keys of maps by id become `*`.
fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let is_field = name.chars().all(|it| it.is_ascii_lowercase() || it == '_');
                let name = if is_field { name } else { "*" };
                let path = format!("{path}.{name}");
                fields(value, &path, found);
                found.push(path);
            }
        }
        Value::Array(list) => {
            for value in list {
                fields(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

/// Returns a state with only one of its tables.
fn alone(state: &Value, name: &str) -> Value {
    let mut state = state.clone();
    state["tables"] = json!({ name: state["tables"][name] });
    state
}

#[test]
fn every_saved_state_is_written_again_as_it_was() {
    for line in STATES.iter().flat_map(|it| it.lines()) {
        let state = State::parse(Some(line), WORKSPACE).expect("it loads");
        assert_eq!(state.to_json().expect("it serialises"), line);
    }
}

#[test]
fn a_sync_continues_from_every_saved_state() {
    let old = include_str!("../../../fixtures/state_v1.json");
    for (at, line) in STATES
        .iter()
        .flat_map(|it| it.lines())
        .chain([old])
        .enumerate()
    {
        for capabilities in [versions::V3_9, versions::V2_20] {
            block_on(goes_on(line, &format!("line {}", at + 1), capabilities));
        }
    }
}

/// Syncs several times from a saved state, with time between the syncs; the last one sends no row.
async fn goes_on(text: &str, line: &str, capabilities: Capabilities) {
    let mut rng = SmallRng::seed_from_u64(17);
    let kind = Kind {
        capabilities,
        changes: 0.0,
        retention: None,
        ..Kind::random(&mut rng)
    };
    let connection = Connection::new(kind, Settings::default(), 17, false);
    let mut state: Value = serde_json::from_str(text).expect("JSON");
    state["workspace"] = json!(WORKSPACE);
    {
        let mut world = connection.world();
        world.grow_up();
        let saved = state["now"].as_str().and_then(|now| now.parse().ok());
        let now: Time = saved.unwrap_or_else(|| world.store.now());
        let later = world.store.now().max(now);
        world.reach(later);
    }
    let mut state = state.to_string();
    let mut rows = 0;
    for hours in [1, 1, 30, 24 * 20, 24 * 90, 24, 1] {
        let later = connection.world().store.now() + TimeDelta::hours(hours);
        connection.world().reach(later);
        connection.world().visit = Visit::default();
        rows = sync(&connection, &mut state)
            .await
            .unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(rows, 0, "{line}");
}

/// Syncs, and returns the number of upserts and deletes.
async fn sync(connection: &Connection, state: &mut String) -> Result<usize, Error> {
    let (outbox, mut inbox) = mpsc::channel(1);
    let selection = connection.settings.selection();
    let engine = connection.engine();
    let saved = state.clone();
    let run = engine.run(&selection, Some(&saved), outbox);
    let drain = async {
        let mut rows = 0;
        while let Some(ops) = inbox.recv().await {
            for op in ops? {
                match op {
                    Op::Upsert { .. } | Op::Delete { .. } => rows += 1,
                    Op::Checkpoint { state_json } => *state = state_json,
                    Op::Truncate { .. } | Op::Warning { .. } => {}
                }
            }
        }
        Ok(rows)
    };
    tokio::join!(run, drain).1
}

#[test]
#[ignore = "writes the fixture, with GOLDEN_STATES=new"]
fn states_of_every_field_are_collected() {
    if env::var("GOLDEN_STATES").as_deref() != Ok("new") {
        return;
    }
    // The smallest state by field.
    let mut smallest: BTreeMap<String, String> = BTreeMap::new();
    for seed in 0..1_000 {
        let (_, story) = run_history(seed, None, true);
        let states = story
            .iter()
            .filter_map(|line| line.split_once("  > checkpoint "));
        for (_, text) in states {
            let state: Value = serde_json::from_str(text).expect("JSON");
            let names = state["tables"].as_object().into_iter().flatten();
            for (name, _) in names {
                let alone = alone(&state, name);
                let text = alone.to_string();
                let mut found = Vec::new();
                fields(&alone["tables"][name]["reader"], "", &mut found);
                for field in found {
                    let best = smallest.entry(field).or_insert_with(|| text.clone());
                    if text.len() < best.len() {
                        best.clone_from(&text);
                    }
                }
            }
        }
    }
    let mut lines: Vec<String> = smallest.into_values().collect();
    lines.sort();
    lines.dedup();
    let as_saved = |line: String| {
        let state = State::parse(Some(&line), WORKSPACE).expect("it loads");
        state.to_json().expect("it serialises") + "\n"
    };
    let lines: Vec<String> = lines.into_iter().map(as_saved).collect();
    fs::write("tests/fixtures/states/v2.jsonl", lines.concat()).expect("written");
}
