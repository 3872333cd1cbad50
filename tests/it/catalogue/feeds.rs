//! Append-only tables: every event and every log line arrives exactly once. This also holds if rows of one time are
//! spread over two pages and if a row arrives late.

use std::collections::{BTreeMap, BTreeSet};

use fivetran_source::{
    fivetran::proto::{RecordType, TableSelection, update_response::Operation, value_type::Inner},
    tables,
};
use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection, GenericObject, Id, Interceptor, NoInterception,
    Store, changes::NewState, model::StateType, request_log::RequestLogEntry, versions,
};
use serde_json::json;
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent};

/// Counts how often each row was sent.
async fn sent(
    harness: &mut ConnectionHarness,
    table: &str,
    answers: &[(&str, &str)],
) -> BTreeMap<String, usize> {
    let operations = harness.operations(&[table], answers).await;
    let mut times = BTreeMap::new();
    for record in records(&operations).filter(|it| it.r#type() == RecordType::Upsert) {
        let Some(Inner::String(id)) = &record.data["id"].inner else {
            panic!("a row without id");
        };
        *times.entry(id.clone()).or_insert(0) += 1;
    }
    times
}

fn collection(table: &str) -> GenericCollection {
    match table {
        "logs" => GenericCollection::Logs,
        _ => GenericCollection::Events,
    }
}

fn ids(harness: &ConnectionHarness, table: &str) -> Vec<String> {
    harness.prefect.with_store(|store| {
        let objects = store.objects(collection(table));
        let mut ids: Vec<String> = objects.map(|it| it.id.to_string()).collect();
        ids.sort_unstable();
        ids
    })
}

/// Adds rows of one time, this number of seconds before the server's present.
pub(super) fn add(store: &mut Store, table: &str, count: usize, ago: i64) {
    let at = store.now() - chrono::TimeDelta::seconds(ago);
    let at_text = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    for number in 0..count {
        let id = store.new_id();
        let fields = match table {
            "logs" => json!({
                "name": "late", "level": 20, "message": number.to_string(), "timestamp": at_text,
                "flow_run_id": null, "task_run_id": null,
            }),
            _ => json!({
                "occurred": at_text, "event": "prefect.flow-run.Running",
                "resource": {
                    "prefect.resource.id": format!("prefect.flow-run.{number}"),
                    "prefect.state-type": "RUNNING", "prefect.state-name": "Running",
                },
                "related": [], "follows": null, "received": at_text,
                "payload": {"intended": {"from": "PENDING", "to": "RUNNING"}},
            }),
        };
        store.put_object(collection(table), GenericObject::new(id, at, fields));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_once_also_of_instants_larger_than_a_page() {
    for table in ["events", "flow_run_state_history", "logs"] {
        for (size, page) in [(3, "7"), (60, "50"), (130, "7"), (260, "200")] {
            let mut harness = ConnectionHarness::start(&versions::V3_9).await;
            harness.prefect.with_store(|store| {
                for instant in 1..6 {
                    add(store, table, size, instant * 3_600);
                }
            });
            let times = sent(&mut harness, table, &[("batch_size", page)]).await;
            let all = ids(&harness, table);
            let got: Vec<&String> = times.keys().collect();
            assert_eq!(
                got.len(),
                all.len(),
                "{table}: instants of {size}, pages of {page}"
            );
            assert!(got.into_iter().eq(&all));
            let twice = times.values().filter(|times| **times > 1).count();
            assert_eq!(twice, 0, "{table}: instants of {size}, pages of {page}");
            harness.an_hour_later(|_| {});
            assert_eq!(harness.sync(&[table]).await, Sent::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_rows_are_found_and_no_row_is_sent_twice() {
    for table in ["events", "logs"] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness.sync(&[table]).await;
        // Each sync sends the rows that were logged since the last one, and those that arrived late.
        for ago in [30, 300, 840] {
            harness.prefect.with_store(|store| {
                store.advance(chrono::TimeDelta::seconds(20));
                add(store, table, 3, 1);
                add(store, table, 2, ago);
            });
            let times = sent(&mut harness, table, &[]).await;
            assert_eq!(times.len(), 5, "{table}: {ago} s late");
        }
        assert_eq!(harness.sync(&[table]).await, Sent::new());
    }
}

/// Adds as many events as a page holds, a minute old, when the second page of a listing is requested.
struct LateEvents {
    page: usize,
    is_added: bool,
}

impl Interceptor for LateEvents {
    fn before(&mut self, store: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        if request.path == "/events/filter/next" && !std::mem::replace(&mut self.is_added, true) {
            add(store, "events", self.page, 60);
        }
        None
    }
}

/// Prefect counts the events at the first page. Events that arrive while later pages are read move the earliest events
/// past the counted end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_arrive_between_pages_hide_no_earlier_ones() {
    for table in ["events", "flow_run_state_history"] {
        for page in [7, 50] {
            let size = page.to_string();
            let answers = [("batch_size", size.as_str())];
            let mut harness = ConnectionHarness::start(&versions::V3_9).await;
            harness.an_hour_later(|store| {
                for instant in 6..120 {
                    add(store, "events", 1, instant * 5);
                }
            });
            let first = sent(&mut harness, table, &answers).await;
            let mut whole: BTreeSet<String> = first.into_keys().collect();
            for start in ["first sync", "next sync"] {
                let wanted = usize::from(start == "first sync");
                if wanted == 1 {
                    harness.state = None;
                }
                harness.prefect.set_interceptor(LateEvents {
                    page,
                    is_added: false,
                });
                let mut times = sent(&mut harness, table, &answers).await;
                harness.prefect.set_interceptor(NoInterception);
                for (id, more) in sent(&mut harness, table, &answers).await {
                    *times.entry(id).or_default() += more;
                }
                let what = format!("{table}: {start}, pages of {page}");
                for id in &whole {
                    assert_eq!(times.remove(id).unwrap_or(0), wanted, "{what}: {id}");
                }
                assert_eq!(times.values().sum::<usize>(), page, "{what}: new events");
                whole.extend(times.into_keys());
            }
        }
    }
}

/// On a server without events, the states of each ended run are requested once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_events_tells_the_states_of_each_run_that_ended() {
    let table = "flow_run_state_history";
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let state_requests = |harness: &ConnectionHarness| {
        let record = harness.prefect.take_request_log();
        let of_states = |it: &&RequestLogEntry| it.request.path.starts_with("/flow_run_states");
        record.iter().filter(of_states).count()
    };
    let ended = harness.prefect.with_store(|store| {
        let runs = store.runs();
        runs.filter(|run| run.end_time.is_some() && run.start_time.is_some())
            .count()
    });
    let first = harness.sync_with(&[table], &[("batch_size", "7")]).await;
    assert!(first[table][0] >= ended, "{first:?}");
    assert_eq!(state_requests(&harness), ended, "a request for each run");
    // Other runs that ended at the same time as the latest one may become visible late.
    for most in [1, 0] {
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&[table]).await, Sent::new());
        assert!(state_requests(&harness) <= most);
    }
    let mut run = None;
    harness.an_hour_later(|store| {
        let open = store
            .runs()
            .filter(|it| it.state.kind == StateType::Running);
        run = open.map(|it| it.id).min();
        let state = NewState::new(StateType::Completed);
        store.set_state(run.unwrap(), state).unwrap();
    });
    let second = harness.sync(&[table]).await;
    assert!(second[table][0] >= 1, "{second:?}");
    assert_eq!(state_requests(&harness), 1);
}

/// A worker reports its work on a run as events whose names begin like those of state changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_a_run_that_is_no_state_is_no_row_of_the_state_history() {
    let table = "flow_run_state_history";
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&[table]).await;
    harness.an_hour_later(|store| {
        for size in [1, 60] {
            add(store, table, size, 30);
            let at = store.now() - chrono::TimeDelta::seconds(30);
            let at_text = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            for index in 0..size {
                let id = store.new_id();
                let fields = json!({
                    "occurred": at_text, "event": "prefect.flow-run.pull-step.executed",
                    "resource": {"prefect.resource.id": format!("prefect.flow-run.{index}")},
                    "related": [], "follows": null, "received": at_text,
                    "payload": {"index": index, "step_name": "set_working_directory", "inputs": {}},
                });
                store.put_object(
                    GenericCollection::Events,
                    GenericObject::new(id, at, fields),
                );
            }
        }
    });
    let sent = harness.sync(&[table]).await;
    assert_eq!(sent[table], [61, 0, 0]);
    harness.an_hour_later(|_| {});
    assert_eq!(harness.sync(&[table]).await, Sent::new());
}

/// The overlap holds more rows than are remembered one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_lines_a_second_are_sent_once() {
    let table = "logs";
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&[table]).await;
    harness.prefect.with_store(|store| {
        store.advance(chrono::TimeDelta::seconds(900));
        for second in 0..890 {
            add(store, table, 30, second);
        }
    });
    let first = sent(&mut harness, table, &[]).await;
    assert_eq!((first.len(), first.values().max()), (890 * 30, Some(&1)));
    let second = harness.sync(&[table]).await;
    assert_eq!(second, Sent::new(), "nothing happened");
    // A late line repeats at most the lines of its second.
    harness.prefect.with_store(|store| {
        store.advance(chrono::TimeDelta::seconds(20));
        add(store, table, 1, 900);
        add(store, table, 1, 60);
    });
    let late = sent(&mut harness, table, &[]).await;
    assert!((2..=32).contains(&late.len()), "{} rows", late.len());
    assert_eq!(harness.sync(&[table]).await, Sent::new());
    let state = harness.state.as_ref().map_or(0, String::len);
    assert!(state < 350_000, "{state} bytes");
}

/// A sync that continues an interrupted window also reads rows that arrived since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_window_does_not_delay_what_is_new() {
    for table in ["events", "flow_run_state_history", "logs"] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness.sync(&[table]).await;
        harness.an_hour_later(|store| {
            for instant in 1..40 {
                add(store, table, 1, instant * 30);
            }
        });
        let small = [("batch_size", "7")];
        let whole = harness.operations(&[table], &small).await;
        let interrupted = whole.iter().find_map(|operation| match operation {
            Operation::Checkpoint(checkpoint) if checkpoint.state_json.contains("\"window\"") => {
                Some(checkpoint.state_json.clone())
            }
            _ => None,
        });
        harness.state = Some(interrupted.expect("an interrupted window"));
        let before = ids(&harness, table);
        harness.an_hour_later(|store| add(store, table, 3, 1));
        let mut new = ids(&harness, table);
        new.retain(|id| !before.contains(id));
        let resumed = sent(&mut harness, table, &small).await;
        let came = new.iter().filter(|id| resumed.contains_key(*id)).count();
        assert_eq!((came, new.len()), (3, 3), "{table}: new rows");
        assert_eq!(harness.sync(&[table]).await, Sent::new(), "{table}");
    }
}

/// The responses are dated ahead of the rows' clocks. The difference is less or more than the permitted delay of rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_dated_ahead_of_the_rows_lose_none_of_them() {
    for table in ["events", "flow_run_state_history", "logs"] {
        for minutes in [4, 20, 300] {
            let ahead = chrono::TimeDelta::minutes(minutes);
            let mut harness = ConnectionHarness::start_ahead(&versions::V3_9, ahead).await;
            harness.sync(&[table]).await;
            for turn in 0..3 {
                harness.prefect.with_store(|store| {
                    store.advance(chrono::TimeDelta::minutes(2));
                    add(store, table, 3, 1);
                });
                let sent = harness.sync(&[table]).await;
                let what = format!("{table}: {minutes} minutes, turn {turn}");
                assert_eq!(sent.get(table), Some(&[3, 0, 0]), "{what}");
                assert_eq!(harness.sync(&[table]).await, Sent::new(), "{what}");
            }
            harness.an_hour_later(|_| {});
            assert_eq!(harness.sync(&[table]).await, Sent::new());
        }
    }
}

const HISTORY: &str = "flow_run_state_history";

/// Syncs the state history with `server_info`, which records the server's version; counts the sent rows.
async fn sync_history(harness: &mut ConnectionHarness, times: &mut BTreeMap<String, usize>) {
    let operations = harness.operations(&[HISTORY, "server_info"], &[]).await;
    for record in records(&operations).filter(|it| it.table_name == HISTORY) {
        let Some(Inner::String(id)) = &record.data["id"].inner else {
            panic!("a row without id");
        };
        *times.entry(id.clone()).or_default() += 1;
    }
}

/// A server gains events while runs are in progress: their earlier states are read once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gains_events_tells_the_earlier_states_of_open_runs_once() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let mut times = BTreeMap::new();
    sync_history(&mut harness, &mut times).await;
    let mut wanted = Vec::new();
    let mut enter = |store: &mut Store, run, kind| {
        store.set_state(run, NewState::new(kind)).unwrap();
        wanted.push(store.run(run).unwrap().state.id.to_string());
    };
    let (open, short) = harness.prefect.with_store(|store| {
        let running = store.runs();
        let running = running.filter(|run| run.state.kind == StateType::Running);
        let mut running: Vec<_> = running.map(|run| run.id).collect();
        running.sort_unstable();
        (running[0], running[1])
    });
    harness.an_hour_later(|store| enter(store, open, StateType::Paused));
    sync_history(&mut harness, &mut times).await;
    harness.an_hour_later(|store| {
        enter(store, open, StateType::Running);
        // This run ends before the server is upgraded.
        enter(store, short, StateType::Completed);
    });
    harness.an_hour_later(|store| store.upgrade(versions::V3_9));
    // This sync learns the version at its end; the next one tries to read events.
    sync_history(&mut harness, &mut times).await;
    harness.an_hour_later(|store| enter(store, open, StateType::Paused));
    sync_history(&mut harness, &mut times).await;
    harness.an_hour_later(|store| {
        enter(store, open, StateType::Running);
        enter(store, open, StateType::Completed);
    });
    sync_history(&mut harness, &mut times).await;
    let missing = wanted.iter().filter(|id| !times.contains_key(*id)).count();
    assert_eq!(missing, 0, "of {} states", wanted.len());
    let twice = times.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0);
    let before = times.clone();
    harness.an_hour_later(|_| {});
    sync_history(&mut harness, &mut times).await;
    assert_eq!(times, before, "quiet");
}

/// A server gains events, and a column is selected before the next sync: the table is sent again, with the states from
/// before the first event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_selected_while_a_server_gains_events_loses_no_earlier_state() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let column = tables::find(HISTORY).unwrap().columns.last().unwrap().name;
    let selection = |is_selected| {
        vec![TableSelection {
            included: true,
            table_name: HISTORY.to_owned(),
            columns: [(column.to_owned(), is_selected)].into(),
            include_new_columns: true,
        }]
    };
    harness.operations_of(selection(false), &[]).await;
    let state = harness.prefect.with_store(|store| {
        let mut runs = store.runs();
        let open = runs.find(|run| run.state.kind == StateType::Running);
        let open = open.unwrap();
        open.state.id.to_string()
    });
    harness.an_hour_later(|store| store.upgrade(versions::V3_9));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let operations = harness.operations_of(selection(true), &[]).await;
        ids.extend(
            records(&operations).filter_map(|record| match &record.data["id"].inner {
                Some(Inner::String(id)) => Some(id.clone()),
                _ => None,
            }),
        );
    }
    assert!(
        ids.contains(&state),
        "the state of an open run from before the upgrade"
    );
}

/// Restarts a failed run after the open runs were listed.
struct BeginsAgain(Option<Id>);

impl Interceptor for BeginsAgain {
    fn after(&mut self, store: &mut Store, request: &ApiRequest, _: &mut ApiResponse) {
        let is_open_listing =
            request.path == "/flow_runs/filter" && request.body.contains("PENDING");
        if let Some(run) = self.0.take_if(|_| is_open_listing) {
            let state = NewState::new(StateType::Running);
            store.set_state(run, state).unwrap();
        }
    }
}

/// A run is listed neither as open nor as ended, because it restarts between the two listings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_begins_again_while_a_server_gains_events_keeps_its_earlier_states() {
    let mut harness = ConnectionHarness::start(&versions::V2_20).await;
    let mut times = BTreeMap::new();
    sync_history(&mut harness, &mut times).await;
    let mut wanted = None;
    let mut run = None;
    harness.an_hour_later(|store| {
        let open = store
            .runs()
            .filter(|it| it.state.kind == StateType::Running);
        run = open.map(|it| it.id).min();
        let id = run.unwrap();
        store
            .set_state(id, NewState::new(StateType::Paused))
            .unwrap();
        wanted = Some(store.run(id).unwrap().state.id.to_string());
    });
    harness.an_hour_later(|store| {
        store.upgrade(versions::V3_9);
        let state = NewState::new(StateType::Failed);
        store.set_state(run.unwrap(), state).unwrap();
    });
    harness.prefect.set_interceptor(BeginsAgain(run));
    for _ in 0..2 {
        sync_history(&mut harness, &mut times).await;
    }
    let now = harness
        .prefect
        .with_store(|store| store.run(run.unwrap()).unwrap().state.kind);
    assert_eq!(now, StateType::Running);
    assert_eq!(times.get(&wanted.unwrap()), Some(&1));
    let twice = times.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0);
}
