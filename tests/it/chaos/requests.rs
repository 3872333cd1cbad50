//! Invalid requests of the platform. Each gets an error that says what to do, nothing is read, and nothing is lost.

use std::sync::Arc;

use fivetran_source::{
    fivetran::proto::{Selection, TableSelection, TablesWithNoSchema, TablesWithSchema, selection},
    prefect::RetryPolicy,
};
use prefect_fake::{Auth, Options, Population, Server};
use test_support::Destination;
use tonic::Code;

use super::{
    Ends,
    matrix::{Row, hide_addresses, some_of},
    world::{KEY, Synced, World, population},
};
use crate::support::served::warnings;

/// The invalid part of a request.
enum Bad {
    Configuration(&'static [(&'static str, &'static str)]),
    Selection(selection::Selection),
    State(fn(&str) -> String),
    /// The state of another workspace at the address of this one.
    OtherWorkspace,
}

struct Case {
    name: &'static str,
    bad: Bad,
    ends: Ends,
}

fn case(name: &'static str, ends: Ends, bad: Bad) -> Case {
    Case { name, bad, ends }
}

/// A table, true if it is included, and its columns.
type TableInclusion<'a> = (&'a str, bool, &'a [(&'a str, bool)]);

/// Selects these tables, and all core tables that are not among them.
fn tables(tables: &[TableInclusion<'_>]) -> Bad {
    let others = crate::support::CORE.into_iter();
    let others = others.filter(|name| tables.iter().all(|(table, ..)| table != name));
    let others = others.map(|name| (name, true, [].as_slice()));
    let tables = tables
        .iter()
        .copied()
        .chain(others)
        .map(|(name, included, columns)| TableSelection {
            included,
            table_name: name.to_owned(),
            columns: columns
                .iter()
                .map(|(column, sent)| ((*column).to_owned(), *sent))
                .collect(),
            include_new_columns: true,
        })
        .collect();
    Bad::Selection(selection::Selection::WithoutSchema(TablesWithNoSchema {
        tables,
        include_new_tables: false,
    }))
}

fn configurations() -> Vec<Case> {
    use Bad::Configuration;
    use Ends::{InvalidArgument, Warned};
    vec![
        case(
            "configuration: no `api_url`",
            InvalidArgument,
            Configuration(&[("api_url", "")]),
        ),
        case(
            "configuration: an invalid `api_url`",
            InvalidArgument,
            Configuration(&[("api_url", "prefect.example")]),
        ),
        case(
            "configuration: an `api_url` with a password",
            InvalidArgument,
            Configuration(&[("api_url", "https://admin:hunter2@prefect.example/api")]),
        ),
        case(
            "configuration: a page of Prefect Cloud without a workspace",
            InvalidArgument,
            Configuration(&[("api_url", "https://app.prefect.cloud/account/a")]),
        ),
        case(
            "configuration: `batch_size` 1000",
            InvalidArgument,
            Configuration(&[("batch_size", "1000")]),
        ),
        case(
            "configuration: `concurrency` is a word",
            InvalidArgument,
            Configuration(&[("concurrency", "many")]),
        ),
        case(
            "configuration: `requests_per_minute` below zero",
            InvalidArgument,
            Configuration(&[("requests_per_minute", "-1")]),
        ),
        case(
            "configuration: a key with a line break",
            InvalidArgument,
            Configuration(&[("api_key", "pnu_hunter2\nhunter2")]),
        ),
        case(
            "configuration: a key and an auth string",
            InvalidArgument,
            Configuration(&[("auth_string", "admin:hunter2")]),
        ),
        case(
            "configuration: an invalid certificate",
            InvalidArgument,
            Configuration(&[("ca_certificate", "hunter2")]),
        ),
        case(
            "configuration: extra headers that are not JSON",
            InvalidArgument,
            Configuration(&[("extra_headers", "hunter2")]),
        ),
        case(
            "configuration: a field that the form does not have",
            Warned,
            Configuration(&[("colour", "red")]),
        ),
    ]
}

fn selections() -> Vec<Case> {
    use Ends::{InvalidArgument, Survives, Warned};
    vec![
        case(
            "selection: with schemas",
            InvalidArgument,
            Bad::Selection(selection::Selection::WithSchema(TablesWithSchema::default())),
        ),
        case(
            "selection: a table that is not known",
            Warned,
            tables(&[("colours", true, &[])]),
        ),
        case(
            "selection: a column that is not known",
            Warned,
            tables(&[("flows", true, &[("colour", true)])]),
        ),
        case(
            "selection: without the key",
            Survives,
            tables(&[("flows", true, &[("id", false)])]),
        ),
        case(
            "selection: nothing",
            Survives,
            Bad::Selection(selection::Selection::WithoutSchema(
                TablesWithNoSchema::default(),
            )),
        ),
    ]
}

fn states() -> Vec<Case> {
    use Bad::State;
    use Ends::Task;
    vec![
        case("state: not JSON", Task, State(|_| "hunter2".to_owned())),
        case("state: a list", Task, State(|_| "[1, 2]".to_owned())),
        case(
            "state: no version",
            Task,
            State(|_| "{\"a\": 1}".to_owned()),
        ),
        case(
            "state: truncated",
            Task,
            State(|state| state[..state.len() / 2].to_owned()),
        ),
        case(
            "state: a field of another type",
            Task,
            State(|state| state.replacen("\"columns\":\"", "\"columns\":7,\"c\":\"", 1)),
        ),
        case(
            "state: of a later version",
            Task,
            State(|state| state.replacen("\"version\":2", "\"version\":99", 1)),
        ),
        case("state: of another workspace", Task, Bad::OtherWorkspace),
        case(
            "state: 10 MB of text",
            Task,
            State(|_| "x".repeat(10_000_000)),
        ),
        case(
            "state: 10 MB of JSON",
            Task,
            State(|state| {
                let large = "x".repeat(10_000_000);
                state.replacen('{', &format!("{{\"more\":\"{large}\","), 1)
            }),
        ),
    ]
}

/// Returns the state of another workspace, with a check that its own address is not `url`.
async fn elsewhere(url: &str) -> String {
    let other = Population {
        seed: 6,
        ..population()
    };
    let options = Options {
        auth: Auth::Bearer(KEY.to_owned()),
        ..Options::new(other)
    };
    let mut world = World::start(RetryPolicy::SYNC).await;
    world.prefect = Server::start(options).await.unwrap();
    let there = world.prefect.url();
    let synced = world.sync(&World::configuration(&there)).await;
    synced.end.unwrap();
    assert_ne!(there, url);
    world.destination.state().unwrap().to_owned()
}

fn ends(synced: &Synced) -> Result<(Ends, Vec<String>), String> {
    let mut reported: Vec<String> = warnings(&synced.operations)
        .into_iter()
        .map(|text| format!("Warning: {text}"))
        .collect();
    let ends = match (&synced.end, synced.task()) {
        (Ok(()), Some(task)) => {
            reported.push(format!("Task: {task}"));
            Ends::Task
        }
        (Err(status), None) if status.code() == Code::InvalidArgument => {
            reported.push(format!("INVALID_ARGUMENT: {}", status.message()));
            Ends::InvalidArgument
        }
        (Ok(()), None) if reported.is_empty() => Ends::Survives,
        (Ok(()), None) => Ends::Warned,
        (end, task) => return Err(format!("{end:?} {task:?}")),
    };
    Ok((ends, reported))
}

async fn run(case: &Case, want: &Destination) -> Result<Vec<String>, String> {
    let mut world = World::start(RetryPolicy::SYNC).await;
    let url = world.prefect.url();
    let good = World::configuration(&url);
    world
        .sync(&good)
        .await
        .end
        .map_err(|status| status.to_string())?;
    let state = world.destination.state().map(str::to_owned).unwrap();
    let asked = world.prefect.requests();

    let mut configuration = good.clone();
    let mut given = state.clone();
    match &case.bad {
        Bad::Configuration(fields) => {
            let fields = fields.iter();
            configuration
                .extend(fields.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        }
        Bad::Selection(selection) => {
            world.selection = Some(Selection {
                selection: Some(selection.clone()),
            });
        }
        Bad::State(change) => given = change(&state),
        Bad::OtherWorkspace => given = elsewhere(&url).await,
    }
    let synced = world.sync_from(&configuration, Some(given)).await;
    let (ends, reported) = ends(&synced)?;
    if ends != case.ends {
        return Err(format!("{ends:?}: {reported:?}"));
    }
    if reported.iter().any(|text| text.contains("hunter2")) {
        return Err(format!("a message contains a secret: {reported:?}"));
    }
    let refused = matches!(ends, Ends::Task | Ends::InvalidArgument);
    let looks = matches!(case.bad, Bad::OtherWorkspace);
    if refused && !looks && world.prefect.requests() > asked {
        return Err("something was read".to_owned());
    }
    if synced.changes() > 0 || (refused && synced.operations.len() > 1) {
        return Err(format!("{} changes", synced.changes()));
    }
    // The next sync continues from the saved state, as if nothing happened.
    world.destination.apply_operations(&synced.operations);
    world.selection = Some(crate::support::core_selection());
    let next = world.sync(&good).await;
    let differences = world.differences(want);
    if next.end.is_err() || next.changes() > 0 || !differences.is_empty() {
        return Err(format!("the next sync: {:?}, {differences:?}", next.end));
    }
    Ok(reported.iter().map(|text| hide_addresses(text)).collect())
}

/// Runs all cases and returns their rows of the document.
pub(super) async fn run_all(want: &Arc<Destination>, wrong: &mut Vec<String>) -> Vec<Row> {
    let only = std::env::var("CHAOS").unwrap_or_default();
    let mut found = Vec::new();
    let cases = [configurations(), selections(), states()];
    for case in cases.into_iter().flatten() {
        if !case.name.contains(&only) {
            continue;
        }
        let reported = match run(&case, want).await {
            Ok(reported) => reported,
            Err(why) => {
                wrong.push(format!("A request: {}: {why}", case.name));
                continue;
            }
        };
        found.push(Row {
            group: "Requests of the platform",
            cells: vec![
                case.name.to_owned(),
                format!("{} 1", case.ends.word()),
                some_of(reported),
            ],
        });
    }
    found
}
