//! Feeds: every event and every line exactly once, whatever stands on two pages and whatever arrives late.

use std::collections::BTreeMap;

use fivetran_source::{
    demo::{
        Plain, PlainCollection, Store, changes::NewState, model::StateType, record::Recorded,
        versions,
    },
    fivetran::proto::{RecordType, value_type::Inner},
};
use serde_json::json;

use super::rig::{Rig, Sent};
use crate::support::served::records;

/// How often each row was sent.
async fn sent(rig: &mut Rig, table: &str, answers: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let operations = rig.operations(&[table], answers).await;
    let mut times = BTreeMap::new();
    for record in records(&operations).filter(|it| it.r#type() == RecordType::Upsert) {
        let Some(Inner::String(id)) = &record.data["id"].inner else {
            panic!("a row without id");
        };
        *times.entry(id.clone()).or_insert(0) += 1;
    }
    times
}

fn collection(table: &str) -> PlainCollection {
    match table {
        "logs" => PlainCollection::Logs,
        _ => PlainCollection::Events,
    }
}

fn ids(rig: &Rig, table: &str) -> Vec<String> {
    rig.prefect.with_store(|store| {
        let objects = store.plains(collection(table));
        let mut ids: Vec<String> = objects.map(|it| it.id.to_string()).collect();
        ids.sort_unstable();
        ids
    })
}

/// Adds rows of one instant, so many seconds before the server's present.
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
                "resource": {"prefect.resource.id": format!("prefect.flow-run.{number}")},
                "related": [], "payload": {}, "follows": null, "received": at_text,
            }),
        };
        store.put_plain(collection(table), Plain::new(id, at, fields));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_once_also_of_instants_larger_than_a_page() {
    for table in ["events", "flow_run_state_history", "logs"] {
        for (size, page) in [(3, "7"), (60, "50"), (130, "7"), (260, "200")] {
            let mut rig = Rig::start(&versions::V3_9).await;
            rig.prefect.with_store(|store| {
                for instant in 1..6 {
                    add(store, table, size, instant * 3_600);
                }
            });
            let times = sent(&mut rig, table, &[("batch_size", page)]).await;
            let all = ids(&rig, table);
            let got: Vec<&String> = times.keys().collect();
            assert_eq!(
                got.len(),
                all.len(),
                "{table}: instants of {size}, pages of {page}"
            );
            assert!(got.into_iter().eq(&all));
            let twice = times.values().filter(|times| **times > 1).count();
            assert_eq!(twice, 0, "{table}: instants of {size}, pages of {page}");
            rig.an_hour_later(|_| {});
            assert_eq!(rig.sync(&[table]).await, Sent::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_late_is_found_and_nothing_comes_twice() {
    for table in ["events", "logs"] {
        let mut rig = Rig::start(&versions::V3_9).await;
        rig.sync(&[table]).await;
        // Each sync has what was logged since the last one, and what took a while to arrive.
        for ago in [30, 300, 840] {
            rig.prefect.with_store(|store| {
                store.advance(chrono::TimeDelta::seconds(20));
                add(store, table, 3, 1);
                add(store, table, 2, ago);
            });
            let times = sent(&mut rig, table, &[]).await;
            assert_eq!(times.len(), 5, "{table}: {ago} s late");
        }
        assert_eq!(rig.sync(&[table]).await, Sent::new());
    }
}

/// Where there are no events the states of each ended run are asked for, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_events_tells_the_states_of_each_run_that_ended() {
    let table = "flow_run_state_history";
    let mut rig = Rig::start(&versions::V2_20).await;
    let asked = |rig: &Rig| {
        let record = rig.prefect.take_record();
        let of_states = |it: &&Recorded| it.asked.path.starts_with("/flow_run_states");
        record.iter().filter(of_states).count()
    };
    let ended = rig.prefect.with_store(|store| {
        let runs = store.runs();
        runs.filter(|run| run.end_time.is_some() && run.start_time.is_some())
            .count()
    });
    let first = rig.sync_with(&[table], &[("batch_size", "7")]).await;
    assert!(first[table][0] >= ended, "{first:?}");
    assert_eq!(asked(&rig), ended, "a request for each run");
    rig.an_hour_later(|_| {});
    assert_eq!(rig.sync(&[table]).await, Sent::new());
    assert_eq!(asked(&rig), 0);
    let mut run = None;
    rig.an_hour_later(|store| {
        let open = store
            .runs()
            .filter(|it| it.state.kind == StateType::Running);
        run = open.map(|it| it.id).min();
        let state = NewState::of(StateType::Completed);
        store.set_state(run.unwrap(), state).unwrap();
    });
    let second = rig.sync(&[table]).await;
    assert!(second[table][0] >= 1, "{second:?}");
    assert_eq!(asked(&rig), 1);
}
