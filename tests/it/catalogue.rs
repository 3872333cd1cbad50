//! Every table of the catalogue alone, against the made-up server: what is promised of it holds, and what
//! it asks is in the OpenAPI documents of real servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use fivetran_source::{
    clock::SystemClock,
    demo::{
        self, Capabilities, Options, PlainCollection, Population, Server, Store,
        changes::{NewState, RunEdit},
        model::StateType,
        record::Recorded,
        versions,
    },
    fivetran::proto::{
        RecordType, Selection, TableSelection, TablesWithNoSchema, UpdateRequest, selection,
        update_response::Operation,
    },
    tables::{self, Feed, Listing, LookUp, Strategy, Table},
    telemetry::Telemetry,
};
use futures::TryStreamExt as _;
use serde_json::Value;

use crate::support::{
    in_checkout,
    served::{Served, configuration, last_state, records},
};

/// One made-up server, and a connection to it.
struct Rig {
    prefect: Server,
    served: Served,
    state: Option<String>,
}

/// What a sync sent of each table: upserts, deletes, truncates.
type Sent = BTreeMap<String, [usize; 3]>;

impl Rig {
    async fn start(capabilities: &Capabilities) -> Self {
        let population = Population {
            runs: 120,
            ..Population::small(11, demo::population::fixed_now())
        };
        let mut options = Options::of(population.with_everything());
        options.settings.capabilities = capabilities.clone();
        Self {
            prefect: Server::start(options).await.unwrap(),
            served: Served::start(Arc::new(SystemClock), Telemetry::default()).await,
            state: None,
        }
    }

    async fn sync(&mut self, names: &[&str]) -> Sent {
        let chosen = tables::ALL.iter().filter_map(|table| table.choice);
        let chosen: Vec<_> = chosen.map(|choice| (choice.field, "true")).collect();
        let select = |name: &&str| TableSelection {
            included: true,
            table_name: (*name).to_owned(),
            include_new_columns: true,
            ..TableSelection::default()
        };
        let tables = names.iter().map(select).collect();
        let request = UpdateRequest {
            configuration: configuration(&self.prefect.url(), &chosen),
            selection: Some(Selection {
                selection: Some(selection::Selection::WithoutSchema(TablesWithNoSchema {
                    tables,
                    include_new_tables: false,
                })),
            }),
            state_json: self.state.clone(),
        };
        let stream = self.served.client.update(request).await.unwrap();
        let messages: Vec<_> = stream.into_inner().try_collect().await.unwrap();
        let operations: Vec<Operation> = messages.into_iter().filter_map(|it| it.operation).collect();
        self.state = last_state(&operations);
        let mut sent = Sent::new();
        for record in records(&operations) {
            let counts = sent.entry(record.table_name.clone()).or_default();
            match record.r#type() {
                RecordType::Upsert => counts[0] += 1,
                RecordType::Delete => counts[1] += 1,
                RecordType::Truncate => counts[2] += 1,
                RecordType::Update => panic!("an update"),
            }
        }
        sent
    }

    /// Lets an hour pass and does something.
    fn an_hour_later(&self, act: impl FnOnce(&mut Store)) {
        self.prefect.with_store(|store| {
            store.advance(chrono::TimeDelta::hours(1));
            act(store);
            store.advance(chrono::TimeDelta::minutes(5));
        });
    }
}

/// The collection that a table's rows are plain objects of.
fn plain(table: &str) -> Option<PlainCollection> {
    Some(match table {
        "artifacts" => PlainCollection::Artifacts,
        "variables" => PlainCollection::Variables,
        "work_pools" => PlainCollection::WorkPools,
        "work_queues" => PlainCollection::WorkQueues,
        "workers" => PlainCollection::Workers,
        "automations" => PlainCollection::Automations,
        "concurrency_limits" => PlainCollection::ConcurrencyLimits,
        "global_concurrency_limits" => PlainCollection::ConcurrencyLimitsV2,
        "block_types" => PlainCollection::BlockTypes,
        "block_schemas" => PlainCollection::BlockSchemas,
        "block_documents" => PlainCollection::BlockDocuments,
        _ => return None,
    })
}

/// Changes one object of a table; how many rows that is. `None`: its rows never change.
fn change(store: &mut Store, table: &str) -> Option<usize> {
    if let Some(collection) = plain(table) {
        let id = store.plains(collection).map(|object| object.id).min()?;
        let edit = store.edit_plain(collection, id, |fields| {
            let field = ["description", "name", "tag", "version"];
            let field = field.into_iter().find(|name| fields.contains_key(*name));
            fields.insert(field.unwrap_or("status").to_owned(), "changed".into());
        });
        edit.unwrap();
        return Some(1);
    }
    let ended = |kind: StateType| {
        matches!(kind, StateType::Completed | StateType::Failed | StateType::Crashed | StateType::Cancelled)
    };
    match table {
        "flows" => {
            let id = store.flows().map(|flow| flow.id).min()?;
            store.set_flow_tags(id, vec!["changed".to_owned()]).unwrap();
        }
        "deployments" | "deployment_schedules" => {
            let with_schedules = store.deployments().filter(|it| !it.schedules.is_empty());
            let id = with_schedules.map(|deployment| deployment.id).min()?;
            store
                .edit_schedules(id, |schedules| schedules[0].active = !schedules[0].active)
                .unwrap();
        }
        "flow_runs" => {
            let open = store.runs().filter(|run| run.state.kind == StateType::Running);
            let id = open.map(|run| run.id).min()?;
            let edit = RunEdit {
                name: Some("changed".to_owned()),
                ..RunEdit::default()
            };
            store.edit_run(id, edit).unwrap();
        }
        // One that ended long ago is found later (`real_prefect/ages.rs`); one that ends now at once.
        "task_runs" | "task_run_dependencies" => {
            let runs = store.task_runs().filter(|run| ended(run.state.kind));
            let runs = runs.filter(|run| run.task_inputs.text().matches("\"task_run\"").count() == 1);
            // One of the last week: of older ones that they are open again is seen within a day.
            let id = runs.max_by_key(|run| run.expected_start_time)?.id;
            store.set_task_state(id, NewState::of(StateType::Running)).unwrap();
        }
        _ => return None,
    }
    Some(1)
}

/// Deletes one object of a table. False where deletes are not promised.
fn delete(store: &mut Store, table: &'static Table) -> bool {
    if let (Some(collection), true) = (plain(table.name), tells_deletes(table)) {
        // A pool or a type with nothing below it goes alone.
        let id = store.plains(collection).map(|object| object.id).max().unwrap();
        store.delete_plain(collection, id).unwrap();
        return true;
    }
    match table.name {
        "flows" => {
            let used: BTreeSet<_> = store.runs().map(|run| run.flow_id).collect();
            let deployed: BTreeSet<_> = store.deployments().map(|it| it.flow_id).collect();
            let flows: Vec<_> = store.flows().map(|flow| flow.id).collect();
            let is_unused = |id: &&_| !used.contains(*id) && !deployed.contains(*id);
            let id = flows.iter().find(is_unused).or(flows.iter().max());
            store.delete_flow(*id.unwrap()).unwrap();
        }
        "deployments" => {
            let id = store.deployments().map(|deployment| deployment.id).max();
            store.delete_deployment(id.unwrap()).unwrap();
        }
        "deployment_schedules" => {
            let mut deployments = store.deployments();
            let id = deployments.find(|it| !it.schedules.is_empty()).map(|it| it.id);
            drop(deployments);
            store
                .edit_schedules(id.unwrap(), |schedules| {
                    schedules.pop();
                })
                .unwrap();
        }
        "flow_runs" => {
            let open = store.runs().filter(|run| run.state.kind == StateType::Running);
            let id = open.map(|run| run.id).min();
            store.delete_run(id.unwrap()).unwrap();
        }
        _ => return false,
    }
    true
}

fn tells_deletes(table: &Table) -> bool {
    match table.strategy {
        Strategy::Snapshot(_) => true,
        Strategy::NewestFirst { keeps_history, .. } => !keeps_history,
        Strategy::Runs | Strategy::Tail(_) | Strategy::Part(_) | Strategy::Server => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_table_alone_keeps_what_is_promised() {
    for table in tables::ALL {
        let name = table.name;
        let mut rig = Rig::start(&versions::V3_9).await;
        let first = rig.sync(&[name]).await;
        assert_eq!(first.keys().collect::<Vec<_>>(), [name], "only its own rows");
        assert!(first[name][0] > 0 && first[name][1] == 0, "{name}: {first:?}");
        let is_truncated = first[name][2] == 1;
        let history = matches!(table.source().strategy, Strategy::Runs | Strategy::Tail(_))
            || matches!(table.strategy, Strategy::NewestFirst { keeps_history: true, .. });
        assert_eq!(is_truncated, !history, "{name}");
        rig.an_hour_later(|_| {});
        assert_eq!(rig.sync(&[name]).await, Sent::new(), "{name}: nothing happened");

        let mut rows = None;
        rig.an_hour_later(|store| rows = change(store, name));
        let second = rig.sync(&[name]).await;
        match rows {
            Some(rows) => {
                let sent = second.get(name).copied().unwrap_or_default();
                assert_eq!(sent, [rows, 0, 0], "{name} changed");
            }
            None => assert!(second.is_empty(), "{name}: {second:?}"),
        }
        let mut is_deleted = false;
        rig.an_hour_later(|store| is_deleted = delete(store, table));
        let third = rig.sync(&[name]).await;
        if is_deleted {
            let deletes = third.get(name).map_or(0, |counts| counts[1]);
            assert!(deletes >= 1, "{name}: {third:?}");
        }
        rig.an_hour_later(|_| {});
        assert_eq!(rig.sync(&[name]).await, Sent::new(), "{name}: quiet again");
    }
}

/// A table costs the requests of its own listing, and nothing else is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_selected_costs_no_request() {
    for table in tables::ALL {
        let mut rig = Rig::start(&versions::V3_9).await;
        rig.sync(&[table.name]).await;
        let endpoint = match table.strategy {
            Strategy::Server => "/",
            Strategy::Snapshot(Listing { each: Some(_), .. }) => "/work_pools",
            _ => table.endpoint,
        };
        for recorded in rig.prefect.take_record() {
            let path = &recorded.asked.path;
            let rest = path.strip_prefix(endpoint);
            let is_own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || endpoint == "/");
            assert!(is_own, "{} asks {path}", table.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_is_in_the_documents_of_real_servers() {
    let mut checked = 0;
    for (capabilities, documents) in [
        (&versions::V3_9, &["3.9.1", "3.8.8"][..]),
        (&versions::V3_0, &["3.0.11", "3.4.25", "3.9.1"]),
        (&versions::V2_20, &["2.20.26"]),
    ] {
        let mut rig = Rig::start(capabilities).await;
        let names: Vec<&str> = tables::ALL.iter().map(|table| table.name).collect();
        for _ in 0..2 {
            rig.sync(&names).await;
            rig.an_hour_later(|store| {
                for table in tables::ALL {
                    change(store, table.name);
                    delete(store, table);
                }
            });
        }
        rig.sync(&names).await;
        let record = rig.prefect.take_record();
        for document in documents {
            let file = in_checkout(&format!("tests/fixtures/openapi/{document}.json"));
            let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            checked += record.iter().filter(|it| is_legal(it, &document)).count();
        }
    }
    assert!(checked > 300, "only {checked} requests were checked");
}

/// Whether a request was answered; fails the test if it is not in the document then.
fn is_legal(recorded: &Recorded, document: &Value) -> bool {
    let asked = &recorded.asked;
    let version = &document["version"];
    if recorded.status != 200 {
        // It was tried, and the server does not know it.
        assert!(matches!(recorded.status, 404 | 422), "{recorded:?}");
        return false;
    }
    if asked.method == "GET" {
        return false;
    }
    let path = match asked.path.strip_prefix("/work_pools/") {
        Some(rest) if rest.ends_with("/workers/filter") => {
            "/work_pools/{work_pool_name}/workers/filter"
        }
        _ => asked.path.as_str(),
    };
    let request = &document["requests"][path];
    assert!(request.is_object(), "{version}: {path}");
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    if let Some(sort) = body.get("sort") {
        let sorts = request["sorts"].as_array().unwrap();
        assert!(sorts.contains(sort), "{version}: {path} {sort}");
    }
    let mut body = body;
    body.as_object_mut().unwrap().remove("sort");
    assert_keys(&body, &request["body"], &format!("{version}: {path}"));
    true
}

fn assert_keys(body: &Value, known: &Value, place: &str) {
    let Some(fields) = body.as_object() else {
        return;
    };
    for (name, value) in fields {
        let inner = known.get(name);
        assert!(inner.is_some(), "{place}: {name} is not known");
        let inner = inner.unwrap();
        if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
            assert_keys(value, inner, &format!("{place}.{name}"));
        }
    }
}

/// What the catalogue says of look-ups is what the documents have.
#[test]
fn objects_are_looked_up_as_the_documents_say() {
    for document in ["2.20.26", "3.0.11", "3.4.25", "3.9.1"] {
        let file = in_checkout(&format!("tests/fixtures/openapi/{document}.json"));
        let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for table in tables::ALL {
            let way = match table.strategy {
                Strategy::Snapshot(listing) => listing.look_up,
                Strategy::NewestFirst { .. } | Strategy::Runs => LookUp::Filter,
                Strategy::Tail(Feed::Logs | Feed::Events(_))
                | Strategy::Part(_)
                | Strategy::Server => continue,
            };
            let key = table.endpoint.rsplit('/').next().unwrap();
            match way {
                LookUp::Filter => {
                    let path = format!("{}/filter", table.endpoint);
                    let any = &document["requests"][path]["body"][key]["id"]["any_"];
                    assert!(any.is_object(), "{} {}", table.name, document["version"]);
                }
                LookUp::Get => {
                    let paths = document["reads"].as_object().unwrap().values();
                    let mut paths = paths.flat_map(|paths| paths.as_array().unwrap());
                    let path = format!("{}/{{", table.endpoint);
                    let is_there = paths.any(|it| {
                        let rest = it.as_str().unwrap().strip_prefix(&path);
                        rest.is_some_and(|rest| !rest.contains('/'))
                    });
                    assert!(is_there, "{} {}", table.name, document["version"]);
                }
                LookUp::None => {}
            }
        }
    }
}
