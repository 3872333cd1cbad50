//! Objects on which the server fails (500). All others arrive, these arrive as soon as they can be read, and until then
//! they cost next to nothing.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use fivetran_source::{
    clock::{Clock, SystemClock},
    fivetran::proto::{update_response::Operation, value_type::Inner},
    tables,
};
use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection, Interceptor, NewRun, NewState, NoInterception,
    Store, Ties, model::StateType, versions,
};
use serde_json::{Map, Value, json};
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent};
use crate::support::served::warnings;

/// The system clock without waiting; remembers the requested waits.
#[derive(Default)]
pub(super) struct Hasty(Mutex<Vec<Duration>>);

impl Clock for Hasty {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().unwrap().push(duration);
        Box::pin(std::future::ready(()))
    }
}

/// Starts a server that keeps the order of equal rows. Otherwise a page that is read in parts could move undetected.
pub(super) async fn start(clock: &Arc<Hasty>) -> ConnectionHarness {
    let clock = Arc::clone(clock);
    ConnectionHarness::with(&versions::V3_9, Ties::Stable, clock).await
}

/// Fails on each response that contains one of these objects.
pub(super) struct Poison(pub(super) Vec<(&'static str, String)>);

impl Interceptor for Poison {
    fn after(&mut self, _: &mut Store, request: &ApiRequest, response: &mut ApiResponse) {
        let is_held = |(endpoint, id): &(&str, String)| {
            request.path.starts_with(endpoint) && holds(&response.body, id)
        };
        if response.status == 200 && self.0.iter().any(is_held) {
            *response =
                ApiResponse::json(500, &json!({"exception_message": "Internal Server Error"}));
        }
    }
}

/// Returns true for a page that holds the object itself, not only a reference to it.
fn holds(body: &str, id: &str) -> bool {
    if !body.contains(id) {
        return false;
    }
    match serde_json::from_str(body) {
        Ok(Value::Array(objects)) => objects.iter().any(|object| object["id"] == id),
        Ok(object) => object["id"] == id,
        Err(_) => false,
    }
}

/// Returns about this number of ids of a table, spread over its listing.
fn some_ids(store: &Store, table: &str, number: usize) -> Vec<String> {
    let plain = |collection| -> Vec<String> {
        let objects = store.objects(collection);
        objects.map(|object| object.id.to_string()).collect()
    };
    let ended = |kind: StateType| kind == StateType::Completed;
    let mut ids: Vec<String> = match table {
        "artifacts" => plain(GenericCollection::Artifacts),
        "variables" => plain(GenericCollection::Variables),
        "work_queues" => plain(GenericCollection::WorkQueues),
        "block_documents" => plain(GenericCollection::BlockDocuments),
        "flows" => store.flows().map(|flow| flow.id.to_string()).collect(),
        "deployments" => store.deployments().map(|it| it.id.to_string()).collect(),
        "flow_runs" => {
            let runs = store.runs().filter(|run| ended(run.state.kind));
            runs.map(|run| run.id.to_string()).collect()
        }
        "task_runs" => {
            let runs = store.task_runs().filter(|run| ended(run.state.kind));
            runs.map(|run| run.id.to_string()).collect()
        }
        "open flow_runs" => {
            let runs = store
                .runs()
                .filter(|run| run.state.kind == StateType::Scheduled);
            runs.map(|run| run.id.to_string()).collect()
        }
        other => panic!("{other}"),
    };
    ids.sort_unstable();
    let step = (ids.len() / number).max(1);
    ids.into_iter().step_by(step).take(number).collect()
}

fn endpoint(table: &str) -> &'static str {
    let name = table.strip_prefix("open ").unwrap_or(table);
    tables::find(name).unwrap().endpoint
}

fn poison(harness: &ConnectionHarness, table: &str, number: usize) -> BTreeSet<String> {
    let ids = harness
        .prefect
        .with_store(|store| some_ids(store, table, number));
    let of = |id: &String| (endpoint(table), id.clone());
    harness
        .prefect
        .set_interceptor(Poison(ids.iter().map(of).collect()));
    ids.into_iter().collect()
}

/// Returns the ids of the rows of a table that were sent.
pub(super) fn sent(operations: &[Operation], table: &str) -> BTreeSet<String> {
    let of_table = records(operations).filter(|record| record.table_name == table);
    let ids = of_table.filter_map(|record| match record.data.get("id")?.inner.clone()? {
        Inner::String(id) => Some(id),
        _ => None,
    });
    ids.collect()
}

/// Returns the number of unreadable objects of a table in the warning to the user.
fn reported(operations: &[Operation], table: &str) -> Option<String> {
    let start = format!("table {table}: ");
    let mut texts = warnings(operations).into_iter();
    let text = texts.find(|text| text.starts_with(&start) && text.contains("(500)"))?;
    text.chars()
        .skip(start.len())
        .find(char::is_ascii_digit)
        .filter(|_| text.contains("object(s)"))
        .map(String::from)
        .or_else(|| {
            text.split("(500) on ")
                .nth(1)?
                .split(' ')
                .next()
                .map(str::to_owned)
        })
}

const TABLES: [&str; 8] = [
    "artifacts",
    "variables",
    "work_queues",
    "block_documents",
    "flows",
    "deployments",
    "flow_runs",
    "open flow_runs",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_arrives_once_it_can_be() {
    for table in TABLES {
        let name = table.strip_prefix("open ").unwrap_or(table);
        for batch in ["200", "7"] {
            let context = format!("{table}, {batch} a page");
            let mut harness = start(&Arc::new(Hasty::default())).await;
            let answers = [("batch_size", batch)];
            let ids = poison(&harness, table, 2);
            let first = harness.operations(&[name], &answers).await;
            assert!(sent(&first, name).is_disjoint(&ids), "{context}");
            assert_eq!(
                reported(&first, name).as_deref(),
                Some("2"),
                "{context}: {:?}",
                warnings(&first)
            );
            for _ in 0..2 {
                harness.an_hour_later(|_| {});
                let quiet = harness.operations(&[name], &answers).await;
                assert_eq!(sent(&quiet, name), BTreeSet::new(), "{context}");
                assert_eq!(
                    reported(&quiet, name).as_deref(),
                    Some("2"),
                    "{context}: {:?}",
                    warnings(&quiet)
                );
            }
            harness.an_hour_later(|_| {});
            harness.prefect.set_interceptor(NoInterception);
            let repaired = harness.operations(&[name], &answers).await;
            assert_eq!(sent(&repaired, name), ids, "{context}");
            harness.an_hour_later(|_| {});
            let quiet = harness.operations(&[name], &answers).await;
            assert_eq!(
                (sent(&quiet, name), reported(&quiet, name)),
                (BTreeSet::new(), None),
                "{context}"
            );
        }
    }
}

/// New objects move the others: the gaps must be found nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_is_found_where_it_has_moved_to() {
    for (table, collection) in [
        ("artifacts", GenericCollection::Artifacts),
        ("variables", GenericCollection::Variables),
    ] {
        for batch in ["200", "7"] {
            let mut harness = start(&Arc::new(Hasty::default())).await;
            let answers = [("batch_size", batch)];
            let ids = poison(&harness, table, 2);
            harness.operations(&[table], &answers).await;
            for number in 0..3 {
                harness.an_hour_later(|store| {
                    let pattern = store.objects(collection).next().unwrap().fields.clone();
                    for copy in 0..5 * number {
                        let mut fields = pattern.clone();
                        let name = format!("new_{number}_{copy}");
                        for key in ["key", "name"] {
                            if fields.contains_key(key) {
                                fields.insert(key.to_owned(), name.as_str().into());
                            }
                        }
                        store.create_object(collection, fields.into());
                    }
                });
                let operations = harness.operations(&[table], &answers).await;
                assert_eq!(sent(&operations, table).len(), 5 * number, "{table}");
            }
            harness.an_hour_later(|_| {});
            harness.prefect.set_interceptor(NoInterception);
            let repaired = harness.operations(&[table], &answers).await;
            assert_eq!(sent(&repaired, table), ids, "{table}, {batch} a page");
        }
    }
}

/// New unreadable objects are at the position where the search for an older one begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_is_found_beside_others_that_cannot() {
    const ARTIFACTS: GenericCollection = GenericCollection::Artifacts;
    let answers = [("batch_size", "3")];
    let mut harness = start(&Arc::new(Hasty::default())).await;
    let of = |id: &str| (endpoint("artifacts"), id.to_owned());
    let create = |store: &mut Store, name: &str| {
        let pattern = store.objects(ARTIFACTS).next().unwrap().fields.clone();
        let mut fields = pattern;
        fields.insert("key".to_owned(), name.into());
        store.create_object(ARTIFACTS, fields.into()).to_string()
    };
    let mut fourth = String::new();
    harness.an_hour_later(|store| fourth = create(store, "fourth"));
    for name in ["third", "second", "first"] {
        harness.an_hour_later(|store| drop(create(store, name)));
    }
    harness.prefect.set_interceptor(Poison(vec![of(&fourth)]));
    let first = harness.operations(&["artifacts"], &answers).await;
    assert!(!sent(&first, "artifacts").contains(&fourth));
    let mut new = Vec::new();
    harness.an_hour_later(|store| {
        for name in ["one", "two", "three"] {
            new.push(of(&create(store, name)));
        }
    });
    harness
        .prefect
        .set_interceptor(Poison([vec![of(&fourth)], new.clone()].concat()));
    for _ in 0..2 {
        let quiet = harness.operations(&["artifacts"], &answers).await;
        assert_eq!(sent(&quiet, "artifacts"), BTreeSet::new());
        assert_eq!(reported(&quiet, "artifacts").as_deref(), Some("4"));
        harness.an_hour_later(|_| {});
    }
    harness.prefect.set_interceptor(Poison(new));
    let repaired = harness.operations(&["artifacts"], &answers).await;
    assert_eq!(sent(&repaired, "artifacts"), [fourth].into());
}

/// Gaps of task runs are ranges of time, which a server downgraded to Prefect 2 cannot filter by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_arrives_after_a_downgrade() {
    for number in [1, 5] {
        let clock = Arc::default();
        let mut harness = start(&clock).await;
        let ids = poison(&harness, "task_runs", number);
        let first = harness.operations(&["task_runs"], &[]).await;
        assert_eq!(reported(&first, "task_runs"), Some(number.to_string()));
        harness.prefect.with_store(|store| {
            store.reconfigure(|settings| settings.capabilities = versions::V2_20);
        });
        harness.an_hour_later(|_| {});
        let downgraded = harness.operations(&["task_runs"], &[]).await;
        assert_eq!(reported(&downgraded, "task_runs"), Some(number.to_string()));
        harness.prefect.set_interceptor(NoInterception);
        let mut arrived = BTreeSet::new();
        for _ in 0..2 {
            harness.an_hour_later(|_| {});
            let operations = harness.operations(&["task_runs"], &[]).await;
            arrived.extend(sent(&operations, "task_runs"));
        }
        assert_eq!(arrived, ids);
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&["task_runs"]).await, Sent::new());
    }
}

/// The gap of a run that was unreadable at its end is a range of `end_time`. Prefect 2 rejects such a filter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_unreadable_at_its_end_arrives_after_a_downgrade() {
    let clock = Arc::default();
    let mut harness = start(&clock).await;
    harness.sync(&["flow_runs"]).await;
    let mut id = String::new();
    harness.an_hour_later(|store| {
        let flow = store.flows().map(|flow| flow.id).min().unwrap();
        let mut new = NewRun::new(flow);
        new.state = Some(NewState::new(StateType::Running));
        let run = store.create_run(new).unwrap().0;
        let end = NewState::new(StateType::Completed);
        store.set_state(run, end).unwrap();
        id = run.to_string();
    });
    harness
        .prefect
        .set_interceptor(Poison(vec![(endpoint("flow_runs"), id.clone())]));
    harness.operations(&["flow_runs"], &[]).await;
    harness.prefect.with_store(|store| {
        store.reconfigure(|settings| settings.capabilities = versions::V2_20);
    });
    harness.an_hour_later(|_| {});
    // No sync of the downgraded server ends with an error.
    harness.operations(&["flow_runs"], &[]).await;
    harness.prefect.set_interceptor(NoInterception);
    let mut arrived = BTreeSet::new();
    for _ in 0..2 {
        harness.an_hour_later(|_| {});
        let operations = harness.operations(&["flow_runs"], &[]).await;
        arrived.extend(sent(&operations, "flow_runs"));
    }
    assert!(arrived.contains(&id));
}

/// Objects that become unreadable are not deleted, but an object that is deleted beside them is. When they are readable
/// again, only changed ones are sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_unreadable_is_not_deleted_and_hides_no_delete() {
    for table in ["variables", "work_queues", "block_documents"] {
        let collection = match table {
            "variables" => GenericCollection::Variables,
            "work_queues" => GenericCollection::WorkQueues,
            _ => GenericCollection::BlockDocuments,
        };
        let mut harness = start(&Arc::new(Hasty::default())).await;
        harness.sync(&[table]).await;
        harness.an_hour_later(|_| {});
        let ids = poison(&harness, table, 2);
        let gone = harness.prefect.with_store(|store| {
            let mut objects = store.objects(collection).map(|object| object.id);
            let gone = objects.find(|id| !ids.contains(&id.to_string())).unwrap();
            drop(objects);
            store.delete_object(collection, gone).unwrap();
            gone
        });
        let operations = harness.operations(&[table], &[]).await;
        assert_eq!(
            sent(&operations, table),
            [gone.to_string()].into(),
            "{table}"
        );
        for _ in 0..2 {
            harness.an_hour_later(|_| {});
            assert_eq!(harness.sync(&[table]).await, Sent::new(), "{table}");
        }
        harness.prefect.set_interceptor(NoInterception);
        let edited = ids.first().unwrap();
        harness.prefect.with_store(|store| {
            let edit = |fields: &mut Map<String, Value>| {
                fields.insert("name".to_owned(), json!("edited"));
            };
            let mut objects = store.objects(collection);
            let id = objects
                .find(|object| object.id.to_string() == *edited)
                .unwrap()
                .id;
            drop(objects);
            store.edit_object(collection, id, edit).unwrap();
        });
        let repaired = harness.operations(&[table], &[]).await;
        let again = BTreeSet::from([edited.clone()]);
        assert_eq!(sent(&repaired, table), again, "{table}");
        assert_eq!(harness.sync(&[table]).await, Sent::new(), "{table}");
    }
}

/// Runs a quiet sync of these tables; returns its number of requests, its number of waits and its duration.
async fn quiet(
    harness: &mut ConnectionHarness,
    clock: &Hasty,
    names: &[&str],
) -> (u64, usize, Duration) {
    // Each sync rechecks other flow runs, depending on their age: after one minute they are the same.
    harness
        .prefect
        .with_store(|store| store.advance(chrono::TimeDelta::minutes(1)));
    clock.0.lock().unwrap().clear();
    let before = harness.prefect.requests();
    let began = Instant::now();
    assert_eq!(harness.sync(names).await, Sent::new());
    let took = began.elapsed();
    let waits = clock.0.lock().unwrap().len();
    (harness.prefect.requests() - before, waits, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_known_ones_cost_ten_requests_at_most_and_no_waits() {
    let defaults = tables::ALL.iter().filter(|table| table.choice.is_none());
    let names: Vec<&str> = defaults.map(|table| table.name).collect();
    for table in TABLES.into_iter().chain(["each of five tables"]) {
        for batch in ["200", "7"] {
            let clock = Arc::new(Hasty::default());
            let mut harness = start(&clock).await;
            harness.answers = vec![("batch_size", batch)];
            harness.sync(&names).await;
            quiet(&mut harness, &clock, &names).await;
            let (without, _, usual) = quiet(&mut harness, &clock, &names).await;

            let mut harness = start(&clock).await;
            harness.answers = vec![("batch_size", batch)];
            if table == "each of five tables" {
                let all = harness.prefect.with_store(|store| {
                    let each = TABLES[..5].iter().flat_map(|table| {
                        let ids = some_ids(store, table, 1).into_iter();
                        ids.map(|id| (endpoint(table), id)).collect::<Vec<_>>()
                    });
                    each.collect()
                });
                harness.prefect.set_interceptor(Poison(all));
            } else {
                poison(&harness, table, 5);
            }
            harness.sync(&names).await;
            for sync in ["first", "second"] {
                let (with, waits, took) = quiet(&mut harness, &clock, &names).await;
                let context = format!("{table}, {batch} a page, {sync} quiet sync");
                println!(
                    "{context}: {with} requests and {} ms with five, {without} and {} ms without; {waits} waits",
                    took.as_millis(),
                    usual.as_millis()
                );
                // Small pages overlap by one row, which may be such an object.
                let most = if batch == "200" { 10 } else { 20 };
                assert!(with <= without + most, "{context}: {with}, not {without}");
                assert_eq!(waits, 0, "{context}");
            }
        }
    }
}

/// A sync reads around such an object, so the setup test must not fail because of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setup_test_passes_beside_objects_that_a_sync_reads_around() {
    /// Fails on the first object of each listing.
    struct First;
    impl Interceptor for First {
        fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
            let is_first = request.body.contains(r#""offset":0"#);
            is_first.then(|| ApiResponse::json(500, &json!({})))
        }
    }
    /// Fails on all listings.
    struct Down;
    impl Interceptor for Down {
        fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
            let is_it = request.path.ends_with("/filter");
            is_it.then(|| ApiResponse::json(500, &json!({})))
        }
    }
    let mut harness = start(&Arc::new(Hasty::default())).await;
    for table in TABLES {
        for number in [1, 2] {
            poison(&harness, table, number);
            assert_eq!(harness.setup_test("access", &[]).await, None, "{table}");
        }
    }
    harness.prefect.set_interceptor(First);
    assert_eq!(harness.setup_test("access", &[]).await, None);
    harness.prefect.set_interceptor(Down);
    let failure = harness.setup_test("access", &[]).await.expect("a failure");
    assert!(failure.contains("(500)"), "{failure}");
}
