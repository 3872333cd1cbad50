//! Objects that no Prefect server should send: all others arrive, and values that do not fit are reported and kept.

use std::sync::Arc;

use fivetran_source::{fivetran::proto::value_type::Inner, prefect::RetryPolicy};
use serde_json::{Value, json, value::RawValue};
use test_support::{Destination, Message};

use super::{
    faults::edited,
    matrix::{OBJECTS, Row, some_of},
    proxy::{At, Plan, Proxy},
    world::World,
};
use crate::support::served::{rows, warnings};

/// The outcome for the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The object becomes a row without a warning.
    Arrives,
    /// The object becomes a row; a part of it is in `unmapped`, with a warning.
    Unmapped,
    /// The object becomes no row, with a warning.
    Skipped,
}

/// The replacement for the object.
enum Instead {
    Text(fn(Value) -> String),
    /// The server fails on every page that contains the object.
    Poison,
}

struct Case {
    name: &'static str,
    tables: &'static [&'static str],
    instead: Instead,
    fate: Fate,
}

const ALL: &[&str] = &["flows", "deployments", "flow_runs"];
const RUNS: &[&str] = &["flow_runs"];

/// Returns the object with this JSON in a field, even if no JSON library would write it.
fn with(mut object: Value, field: &str, json: &str) -> String {
    object[field] = Value::from("@@");
    object.to_string().replace("\"@@\"", json)
}

/// Returns the object with this number of additional fields.
fn with_fields(mut object: Value, number: usize) -> String {
    for field in 0..number {
        object[format!("field_{field}")] = json!(field);
    }
    object.to_string()
}

fn deep() -> String {
    [vec![b'['; 10_000], vec![b']'; 10_000]]
        .concat()
        .into_iter()
        .map(char::from)
        .collect()
}

fn without_id(mut object: Value) -> String {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("id");
    }
    object.to_string()
}

fn case(
    name: &'static str,
    tables: &'static [&'static str],
    fate: Fate,
    text: fn(Value) -> String,
) -> Case {
    Case {
        name,
        tables,
        instead: Instead::Text(text),
        fate,
    }
}

fn cases() -> Vec<Case> {
    use Fate::{Arrives, Skipped, Unmapped};
    vec![
        case("`null`", ALL, Skipped, |_| "null".to_owned()),
        case("a number", ALL, Skipped, |_| "7".to_owned()),
        case("a list", ALL, Skipped, |_| "[{}]".to_owned()),
        case("a list, 10,000 deep", ALL, Skipped, |_| deep()),
        case("no `id`", ALL, Skipped, without_id),
        case("`id` is null", ALL, Skipped, |it| with(it, "id", "null")),
        case("`id` is empty", ALL, Skipped, |it| with(it, "id", "\"\"")),
        case("`id` is a number", ALL, Skipped, |it| with(it, "id", "7")),
        case("the object is twice on its page", ALL, Arrives, |it| {
            format!("{it}, {it}")
        }),
        case("a text is a number", ALL, Unmapped, |it| {
            with(it, "name", "7")
        }),
        case("a yes or no is a text", RUNS, Unmapped, |it| {
            with(it, "auto_scheduled", "\"yes\"")
        }),
        case("a whole number is a fraction", RUNS, Unmapped, |it| {
            with(it, "run_count", "1.5")
        }),
        case("a whole number of 65 bits", RUNS, Unmapped, |it| {
            with(it, "run_count", "18446744073709551616")
        }),
        case("a number is a text", RUNS, Unmapped, |it| {
            with(it, "total_run_time", "\"long\"")
        }),
        case("a number beyond every float", RUNS, Unmapped, |it| {
            with(it, "total_run_time", "1e999")
        }),
        case("a time is a text", RUNS, Unmapped, |it| {
            with(it, "start_time", "\"soon\"")
        }),
        case("a time before the year 1", RUNS, Unmapped, |it| {
            with(it, "start_time", "\"0000-01-01T00:00:00Z\"")
        }),
        case("a time after the year 9999", RUNS, Unmapped, |it| {
            with(it, "start_time", "\"9999-12-31T23:59:59-01:00\"")
        }),
        case("`state` is a text", RUNS, Unmapped, |it| {
            with(it, "state", "\"COMPLETED\"")
        }),
        case("`created` is null", ALL, Arrives, |it| {
            with(it, "created", "null")
        }),
        case("`updated` is null", ALL, Arrives, |it| {
            with(it, "updated", "null")
        }),
        case("`updated` is not a time", ALL, Unmapped, |it| {
            with(it, "updated", "\"now\"")
        }),
        case("`expected_start_time` is null", RUNS, Arrives, |it| {
            with(it, "expected_start_time", "null")
        }),
        case("a NUL in a text", ALL, Arrives, |it| {
            with(it, "name", "\"a\\u0000b\"")
        }),
        case("half a surrogate pair in a text", ALL, Unmapped, |it| {
            with(it, "name", "\"\\ud800\"")
        }),
        case("half a surrogate pair in JSON", RUNS, Arrives, |it| {
            with(it, "parameters", "{\"\\ud800\": \"\\udfff\"}")
        }),
        case("a value of 5 MB", RUNS, Arrives, |it| {
            with(
                it,
                "parameters",
                &json!({"x": "x".repeat(5_000_000)}).to_string(),
            )
        }),
        case("JSON, 10,000 deep", RUNS, Arrives, |it| {
            with(it, "parameters", &deep())
        }),
        case("half a surrogate pair in a name", ALL, Skipped, |it| {
            it.to_string().replacen('{', "{\"\\ud800\": 1, ", 1)
        }),
        case("an unknown field of `state`", RUNS, Unmapped, |mut it| {
            it["state"]["unknown"] = json!(1);
            it.to_string()
        }),
        case("an unknown field, 10,000 deep", ALL, Unmapped, |it| {
            with(it, "unknown", &deep())
        }),
        case("10,000 unknown fields", ALL, Unmapped, |it| {
            with_fields(it, 10_000)
        }),
        Case {
            name: "the server fails on it (500), and on each page that contains it",
            tables: ALL,
            instead: Instead::Poison,
            fate: Skipped,
        },
    ]
}

/// Replaces the object `id` on a page.
fn edit(instead: &Instead, id: &str, message: Message) -> Message {
    let Ok(objects) = serde_json::from_slice::<Vec<&RawValue>>(&message.body) else {
        return message;
    };
    let quoted = format!("\"id\":\"{id}\"");
    let mut found = false;
    let texts: Vec<String> = objects
        .into_iter()
        .map(|object| {
            let text = object.get();
            match instead {
                Instead::Text(change) if text.contains(&quoted) => {
                    let object: Value = serde_json::from_str(text).unwrap();
                    // Other objects refer to it, too.
                    if object["id"] == id {
                        change(object)
                    } else {
                        text.to_owned()
                    }
                }
                Instead::Poison => {
                    let object: Value = serde_json::from_str(text).unwrap();
                    found |= object["id"] == id;
                    text.to_owned()
                }
                Instead::Text(_) => text.to_owned(),
            }
        })
        .collect();
    if found {
        return message
            .status(500)
            .body("{\"exception_message\": \"said by the test\"}");
    }
    message.body(format!("[{}]", texts.join(",")))
}

/// Syncs a workspace with such an object in `table`; returns the warnings.
async fn run(case: Arc<Case>, table: &str, want: Arc<Destination>) -> Result<Vec<String>, String> {
    let live = want.live(table);
    let id = (*live.keys().nth(live.len() / 2).unwrap()).to_owned();
    let mut world = World::start(RetryPolicy::SYNC).await;
    let (in_case, in_it) = (Arc::clone(&case), id.clone());
    let plan = Plan {
        fault: edited(move |message| edit(&in_case.instead, &in_it, message)),
        at: At::First,
        forever: true,
        first: None,
    };
    let proxy = Proxy::start(&world.prefect.url(), None, plan);
    let configuration = World::configuration(&format!("http://{}/api", proxy.address()));

    let first = world.sync(&configuration).await;
    first
        .end
        .as_ref()
        .map_err(|status| format!("fails: {status}"))?;
    if let Some(task) = first.task() {
        return Err(format!("task: {task}"));
    }
    let own = (table.to_owned(), id.clone());
    let others = |world: &World| {
        let mut differences = world.differences(&want);
        differences.retain(|it| it.key != own);
        match differences.first() {
            None => Ok(()),
            Some(one) => Err(format!("{} others differ: {one}", differences.len())),
        }
    };
    others(&world)?;
    let reported: Vec<String> = warnings(&first.operations)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let live = world.destination.live(table);
    let row = live.get(id.as_str());
    let keeps = row.is_some_and(
        |row| matches!(&row["unmapped"], Some(Inner::Json(unmapped)) if has_value(unmapped)),
    );
    let fate = match (row, keeps, reported.is_empty()) {
        (None, _, false) => Fate::Skipped,
        (Some(_), true, false) => Fate::Unmapped,
        (Some(_), false, true) => Fate::Arrives,
        _ => {
            return Err(format!(
                "row: {}, unmapped: {keeps}, told: {reported:?}",
                row.is_some()
            ));
        }
    };
    if fate != case.fate {
        return Err(format!("{fate:?}, not {:?}: {reported:?}", case.fate));
    }
    // The object must not delay later syncs either.
    let again = world.sync(&configuration).await;
    if again.end.is_err() || again.task().is_some() || rows(&again.operations) > 1 {
        return Err(format!(
            "the second sync sends {}: {:?}",
            again.changes(),
            again.end
        ));
    }
    others(&world)?;
    proxy.heal().await;
    let healed = world.sync(&configuration).await;
    if healed.end.is_err() || healed.changes() > 1 {
        return Err(format!(
            "the third sync sends {}: {:?}",
            healed.changes(),
            healed.end
        ));
    }
    others(&world)?;
    Ok(reported)
}

/// Returns true if a JSON text holds more than empty objects. A text that is too deep to be parsed counts.
fn has_value(text: &str) -> bool {
    fn is_value(json: &serde_json::Value) -> bool {
        json.as_object()
            .is_none_or(|fields| fields.values().any(is_value))
    }
    serde_json::from_str(text).map_or(true, |json| is_value(&json))
}

/// Runs all cases and returns their rows of the document.
pub(super) async fn run_all(want: &Arc<Destination>, wrong: &mut Vec<String>) -> Vec<Row> {
    let only = std::env::var("CHAOS").unwrap_or_default();
    let mut found = Vec::new();
    for case in cases() {
        if !case.name.contains(&only) {
            continue;
        }
        let case = Arc::new(case);
        let runs = case.tables.iter().map(|table| {
            let (case, want) = (Arc::clone(&case), Arc::clone(want));
            tokio::spawn(async move { run(case, table, want).await })
        });
        let mut reported = Vec::new();
        for (run, table) in futures::future::join_all(runs)
            .await
            .into_iter()
            .zip(case.tables)
        {
            match run.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(texts) => reported = texts,
                Err(why) => wrong.push(format!("A row: {}, {table}: {why}", case.name)),
            }
        }
        let fate = match case.fate {
            Fate::Arrives => "arrives",
            Fate::Unmapped => "arrives, the value in `unmapped`",
            Fate::Skipped => "is skipped",
        };
        let reported: Vec<String> = reported
            .into_iter()
            .map(|text| format!("Warning: {text}"))
            .collect();
        found.push(Row {
            group: OBJECTS,
            cells: vec![
                case.name.to_owned(),
                format!("survived {}", case.tables.len()),
                fate.to_owned(),
                some_of(reported),
            ],
        });
    }
    found
}
