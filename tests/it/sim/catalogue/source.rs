//! The rows that the source has now, table by table, read from the server's own responses.

use std::collections::BTreeSet;

use fivetran_source::{
    rows::{Context, NestedRows, PageReader, Row},
    tables::{Feed, Strategy, Table},
};
use prefect_fake::{
    ApiRequest, Auth, GenericCollection, Id,
    generic_collections::render,
    handler,
    model::{FlowRun, Time},
};
use serde_json::{Value, json, value::RawValue};

use super::world::World;

/// The page limit of the server while the oracle reads.
const ALL: u32 = 100_000;

/// Returns true for an event that reports a change of state of a flow run.
pub(super) fn is_state_change(event: &prefect_fake::GenericObject) -> bool {
    let state = event.text("resource/prefect.state-type").is_some();
    let name = event.text("event").unwrap_or_default();
    state && name.starts_with("prefect.flow-run.")
}

/// Returns the rows of a table as the present release shows them, or `None` if it does not list them.
pub(super) fn rows(
    world: &mut World,
    table: &'static Table,
    scope: Option<&Value>,
) -> Option<Vec<Row>> {
    let limit = world.store.settings().page_limit;
    world
        .store
        .reconfigure(|settings| settings.page_limit = ALL);
    let rows = read(world, table, scope);
    world
        .store
        .reconfigure(|settings| settings.page_limit = limit);
    rows
}

fn read(world: &mut World, table: &'static Table, scope: Option<&Value>) -> Option<Vec<Row>> {
    match table.strategy {
        Strategy::Server => None,
        Strategy::Nested(part) => {
            let parts = NestedRows::new(table, &Context::default()).expect("a table of parts");
            let whole = read(world, part.parent, scope)?;
            Some(whole.iter().flat_map(|row| parts.extract(row)).collect())
        }
        Strategy::AppendOnly(Feed::Events(_)) if table.name == "events" => {
            events(world, table, |_| true)
        }
        Strategy::AppendOnly(Feed::Events(_)) => {
            let Some(mut rows) = events(world, table, is_state_change) else {
                return Some(states(world, table, |_| true));
            };
            // The server gained events: the earlier states of runs that were in progress then.
            let open = world.past.in_progress.clone();
            let known: BTreeSet<String> = rows.iter().map(|row| row.id().to_owned()).collect();
            let earlier = states(world, table, |run| open.contains(&run.id));
            rows.extend(earlier.into_iter().filter(|row| !known.contains(row.id())));
            Some(rows)
        }
        _ if table.name == "workers" => {
            let mut rows = Vec::new();
            let pools = world.store.objects(GenericCollection::WorkPools);
            let names: Vec<String> = pools
                .filter_map(|pool| pool.text("name").map(str::to_owned))
                .collect();
            for name in names {
                rows.extend(list(
                    world,
                    table,
                    &format!("/work_pools/{name}/workers"),
                    None,
                )?);
            }
            Some(rows)
        }
        _ => list(world, table, table.endpoint, scope),
    }
}

fn ask(world: &mut World, method: &str, path: String, body: &Value) -> Option<String> {
    let request = ApiRequest {
        method: method.to_owned(),
        path,
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        ..ApiRequest::default()
    };
    let response = handler::respond(&mut world.store, &Auth::Open, &request);
    assert!(
        [200, 404].contains(&response.status),
        "{request:?}: {}",
        response.body
    );
    (response.status == 200).then_some(response.body)
}

fn list(
    world: &mut World,
    table: &'static Table,
    path: &str,
    scope: Option<&Value>,
) -> Option<Vec<Row>> {
    let mut body = json!({ "limit": ALL, "offset": 0 });
    if let Some(scope) = scope {
        body[table.name] = scope.clone();
    }
    let text = ask(world, "POST", format!("{path}/filter"), &body)?;
    let page = PageReader::new(table, &Context::default()).read(text);
    Some(page.expect("the demo speaks JSON").rows)
}

fn events(
    world: &World,
    table: &'static Table,
    wanted: impl Fn(&prefect_fake::GenericObject) -> bool,
) -> Option<Vec<Row>> {
    let capabilities = &world.store.settings().capabilities;
    if !capabilities.events {
        return None;
    }
    let events = world.store.objects(GenericCollection::Events);
    let texts: Vec<Box<RawValue>> = events
        .filter(|event| wanted(event))
        .map(|event| render::object(GenericCollection::Events, event, capabilities))
        .map(|event| serde_json::value::to_raw_value(&event).expect("JSON"))
        .collect();
    let texts: Vec<&RawValue> = texts.iter().map(AsRef::as_ref).collect();
    let page = PageReader::new(table, &Context::default()).read_events(&texts);
    Some(page.expect("the demo speaks JSON").rows)
}

/// Returns the states of ended runs, which a server without events lists run by run.
fn states(world: &mut World, table: &'static Table, wanted: impl Fn(&FlowRun) -> bool) -> Vec<Row> {
    let has_ended =
        |run: &&FlowRun| run.state.kind.is_terminal() && run.end_time.is_some() && wanted(run);
    let ended: Vec<(Id, Option<Time>)> = world
        .store
        .runs()
        .filter(has_ended)
        .map(|run| (run.id, run.end_time))
        .collect();
    let reader = PageReader::new(table, &Context::default());
    let mut rows = Vec::new();
    for (run, _) in ended {
        let path = format!("/flow_run_states/?flow_run_id={run}");
        let text = ask(world, "GET", path, &Value::Null).expect("every release has them");
        let page = reader.read_states(&text, &run.to_string());
        rows.extend(page.expect("the demo speaks JSON").rows);
    }
    rows
}
