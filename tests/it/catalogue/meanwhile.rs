//! Changes on the server while a sync reads.

use fivetran_source::fivetran::proto::value_type::Inner;
use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection, Id, Interceptor, NoInterception, Store,
    changes::NewState, model::StateType, versions,
};
use serde_json::{Value, json};
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent};
use crate::support::served::warnings;

/// Changes the server once, before the first request that matches.
pub(super) struct Once<F>(pub(super) Option<F>, pub(super) fn(&ApiRequest) -> bool);

impl<F: FnOnce(&mut Store) + Send> Interceptor for Once<F> {
    fn before(&mut self, store: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        if self.1(request)
            && let Some(act) = self.0.take()
        {
            act(store);
        }
        None
    }
}

/// Returns true for a request of a backfill of task runs: all runs, by expected start.
fn is_backfill(request: &ApiRequest) -> bool {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    request.path == "/task_runs/filter"
        && body["sort"] == "EXPECTED_START_TIME_DESC"
        && body["task_runs"]["state"].is_null()
}

fn running(store: &Store) -> Option<Id> {
    let runs = store.task_runs();
    let runs = runs.filter(|run| run.state.kind == StateType::Running);
    runs.max_by_key(|run| run.expected_start_time)
        .map(|run| run.id)
}

/// A run ends after a sync has read the recent changes, and the backfill of another table reads it first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_first_read_by_the_backfill_of_one_table_is_sent_to_the_others() {
    for release in [&versions::V3_9, &versions::V2_20] {
        let mut harness = ConnectionHarness::start(release).await;
        harness.prefect.with_store(|store| {
            let newest = store.task_runs().max_by_key(|run| run.expected_start_time);
            let id = newest.unwrap().id;
            store
                .set_task_state(id, NewState::new(StateType::Running))
                .unwrap();
        });
        harness.sync(&["task_runs"]).await;
        harness.an_hour_later(|_| {});
        let run = harness.prefect.with_store(|store| running(store)).unwrap();
        harness.prefect.set_interceptor(Once(
            Some(move |store: &mut Store| {
                store
                    .set_task_state(run, NewState::new(StateType::Failed))
                    .unwrap();
            }),
            is_backfill,
        ));
        let tables = ["task_runs", "task_run_dependencies"];
        let mut reported = Vec::new();
        for _ in 0..2 {
            for record in records(&harness.operations(&tables, &[]).await) {
                let is_it = matches!(&record.data["id"].inner, Some(Inner::String(id)) if *id == run.to_string());
                if record.table_name == "task_runs" && is_it {
                    reported.push(record.data["state_type"].inner.clone());
                }
            }
            harness.prefect.set_interceptor(NoInterception);
            harness.an_hour_later(|_| {});
        }
        let failed = Some(Inner::String("FAILED".to_owned()));
        assert_eq!(reported, [failed], "{}", release.release);
        assert_eq!(harness.sync(&tables).await, Sent::new());
    }
}

/// The workers of a pool cannot be listed once. They must not be deleted because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_cannot_be_listed_are_not_deleted() {
    struct Hidden;
    impl Interceptor for Hidden {
        fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
            let is_of_workers = request.path.ends_with("/workers/filter");
            is_of_workers.then(|| ApiResponse::json(404, &json!({"detail": "Work pool not found"})))
        }
    }
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let first = harness.sync(&["workers"]).await;
    assert!(first["workers"][0] > 1);
    harness.prefect.set_interceptor(Hidden);
    assert_eq!(harness.sync(&["workers"]).await, Sent::new());
    harness.prefect.set_interceptor(NoInterception);
    assert_eq!(harness.sync(&["workers"]).await, Sent::new());
}

/// No URL can have `.` or `..` as a path segment. Workers of such pools cannot be read, and the user gets a warning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_pools_whose_name_no_url_can_contain_are_reported() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let first = harness.sync(&["workers"]).await;
    harness.an_hour_later(|store| {
        let pools = GenericCollection::WorkPools;
        let pattern = store.objects(pools).next().unwrap().fields.clone();
        for name in [".", "..", "..."] {
            let mut fields = pattern.clone();
            fields.insert("name".to_owned(), name.into());
            store.create_object(pools, fields.into());
        }
    });
    let operations = harness.operations(&["workers"], &[]).await;
    assert_eq!(records(&operations).count(), 0, "{first:?}");
    let reported = warnings(&operations);
    let of = |name: &str| {
        reported
            .iter()
            .any(|text| text.contains(name) && text.ends_with("[W24]"))
    };
    assert!(
        of("`.`") && of("`..`") && reported.len() == 2,
        "{reported:?}"
    );
    let request = harness.prefect.take_requests();
    assert!(
        request
            .iter()
            .any(|request| request.path.ends_with("/workers/filter"))
    );
    assert!(
        request
            .iter()
            .all(|request| request.path != "/workers/filter")
    );
}

/// The row of `server_info` names a table that the server does not have, as long as it is absent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_appears_is_not_absent_any_more() {
    struct Without;
    impl Interceptor for Without {
        fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
            let is_it = request.path.starts_with("/automations");
            is_it.then(|| ApiResponse::json(404, &json!({"detail": "Not Found"})))
        }
    }
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.prefect.set_interceptor(Without);
    let tables = ["flows", "automations", "server_info"];
    let first = harness.sync(&tables).await;
    assert_eq!(
        (first.get("automations"), first["server_info"][0]),
        (None, 1)
    );
    assert_eq!(harness.sync(&tables).await, Sent::new(), "the same server");
    harness.prefect.set_interceptor(NoInterception);
    let then = harness.sync(&tables).await;
    assert!(then["automations"][0] > 0);
    assert_eq!(then["server_info"], [1, 0, 0]);
}
