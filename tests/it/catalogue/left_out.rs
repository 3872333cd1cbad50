//! Tag limits that the server leaves out of their listing because they sort after deployment limits.

use fivetran_source::fivetran::proto::value_type::Inner;
use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection as C, Id, Interceptor, NoInterception, Store,
    versions,
};
use serde_json::json;
use test_support::records;

use super::connection_harness::{ConnectionHarness, Sent};

const TABLE: &str = "concurrency_limits";
const LISTING: &str = "/concurrency_limits/filter";
const SECOND: &str = "/v2/concurrency_limits/filter";

/// The requests of a quiet sync. The first listing is requested twice because it is empty and was not empty before; the
/// second one has two pages.
const QUIET: [&str; 4] = [LISTING, LISTING, SECOND, SECOND];

/// Answers the second listing with this status, like a server that does not have it or does not permit it.
struct Without(u16);

impl Interceptor for Without {
    fn after(&mut self, _: &mut Store, request: &ApiRequest, response: &mut ApiResponse) {
        if request.path.starts_with("/v2/") {
            *response = ApiResponse::json(self.0, &json!({ "detail": "Not Found" }));
        }
    }
}

/// Creates this number of deployment limits, whose names sort before those of tag limits.
fn deployment_limits(harness: &ConnectionHarness, many: usize) {
    harness.prefect.with_store(|store| {
        for number in 0..many {
            let name = format!("deployment:{number:04}");
            let fields = json!({ "active": true, "name": name, "limit": 1, "active_slots": 0 });
            store.create_object(C::ConcurrencyLimitsV2, fields);
        }
    });
}

fn tag_limit(store: &Store, tag: &str) -> Id {
    let mut limits = store.objects(C::ConcurrencyLimits);
    limits.find(|it| it.text("tag") == Some(tag)).unwrap().id
}

fn set_limit(store: &mut Store, collection: C, tag: &str, field: &str, limit: i64) {
    let id = tag_limit(store, tag);
    let edit = store.edit_object(collection, id, |fields| {
        fields.insert(field.to_owned(), json!(limit));
    });
    edit.unwrap();
}

/// Returns the paths of the requests since the last call.
fn paths(harness: &ConnectionHarness) -> Vec<String> {
    let record = harness.prefect.take_request_log();
    record.into_iter().map(|it| it.request.path).collect()
}

fn sent(counts: [usize; 3]) -> Sent {
    Sent::from([(TABLE.to_owned(), counts)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_no_page_shows_arrive_change_and_are_deleted() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    deployment_limits(&harness, 250);
    let first = harness.operations(&[TABLE], &[]).await;
    let mut rows: Vec<_> = records(&first).map(|record| &record.data).collect();
    rows.retain(|data| data.contains_key("tag"));
    assert_eq!(rows.len(), 3);
    for data in rows {
        // These are the values that the limit's own endpoint returns.
        let slots = &data["active_slots"].inner;
        assert!(matches!(slots, Some(Inner::Json(_))), "{data:?}");
    }
    let own = format!("/{TABLE}/");
    let looked_up = paths(&harness);
    let looked_up = looked_up
        .iter()
        .filter(|path| path.starts_with(&own) && *path != LISTING);
    assert_eq!(looked_up.count(), 3, "each is looked up once");

    harness.an_hour_later(|_| {});
    assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
    assert_eq!(paths(&harness), QUIET, "a quiet sync");

    harness.an_hour_later(|store| {
        set_limit(store, C::ConcurrencyLimits, "db", "concurrency_limit", 7);
    });
    assert_eq!(harness.sync(&[TABLE]).await, sent([1, 0, 0]));
    assert_eq!(
        paths(&harness).len(),
        5,
        "the one that changed is looked up"
    );
    harness.an_hour_later(|store| set_limit(store, C::ConcurrencyLimitsV2, "pii", "limit", 8));
    assert_eq!(harness.sync(&[TABLE]).await, sent([1, 0, 0]));
    harness.an_hour_later(|store| {
        let fields = json!({ "tag": "new", "concurrency_limit": 2, "active_slots": [] });
        store.create_object(C::ConcurrencyLimits, fields);
    });
    assert_eq!(harness.sync(&[TABLE]).await, sent([1, 0, 0]));
    harness.an_hour_later(|store| {
        let id = tag_limit(store, "db");
        store.delete_object(C::ConcurrencyLimits, id).unwrap();
    });
    assert_eq!(harness.sync(&[TABLE]).await, sent([0, 1, 0]));
    paths(&harness);
    harness.an_hour_later(|_| {});
    assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
    assert_eq!(paths(&harness), QUIET, "quiet again");
}

/// A server without the second listing is read by the first one alone, which has no tag limits here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_listing_alone_has_none_of_them() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    deployment_limits(&harness, 250);
    harness.prefect.set_interceptor(Without(404));
    assert_eq!(harness.sync(&[TABLE]).await, sent([0, 0, 1]));
    harness.prefect.set_interceptor(NoInterception);
    assert_eq!(harness.sync(&[TABLE]).await, sent([3, 0, 0]));
}

/// Limits that a listing begins to leave out are not sent again when it lists them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_come_to_be_left_out_are_neither_deleted_nor_sent_again() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    assert_eq!(harness.sync(&[TABLE]).await, sent([3, 0, 1]));
    assert_eq!(paths(&harness), [LISTING, SECOND], "nothing is left out");
    deployment_limits(&harness, 250);
    for _ in 0..2 {
        harness.an_hour_later(|_| {});
        assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
        assert_eq!(paths(&harness), QUIET);
    }
    harness.an_hour_later(|store| {
        let limits = store.objects(C::ConcurrencyLimitsV2);
        let ids: Vec<_> = limits
            .filter(|it| it.text("name").unwrap().starts_with("deployment:"))
            .map(|it| it.id)
            .collect();
        for id in ids {
            store.delete_object(C::ConcurrencyLimitsV2, id).unwrap();
        }
    });
    assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
}

/// Without the second listing the first one must suffice; each sync requests the second one once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_the_second_listing_is_read_by_the_first() {
    for status in [404, 403] {
        let mut harness = ConnectionHarness::start(&versions::V2_20).await;
        harness.prefect.set_interceptor(Without(status));
        assert_eq!(harness.sync(&[TABLE]).await, sent([3, 0, 1]), "{status}");
        harness.an_hour_later(|_| {});
        paths(&harness);
        assert_eq!(harness.sync(&[TABLE]).await, Sent::new(), "{status}");
        assert_eq!(paths(&harness), [LISTING, SECOND], "{status}");
        harness.an_hour_later(|store| {
            let id = tag_limit(store, "db");
            store.delete_object(C::ConcurrencyLimits, id).unwrap();
        });
        assert_eq!(harness.sync(&[TABLE]).await, sent([0, 1, 0]), "{status}");
        harness.prefect.set_interceptor(NoInterception);
        assert_eq!(harness.sync(&[TABLE]).await, Sent::new(), "{status}");
    }
}

/// A global limit with such a name is not a tag limit if the server keeps the two kinds apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_global_limit_that_is_called_like_a_tag_is_no_row() {
    let mut harness = ConnectionHarness::start(&versions::V3_0).await;
    harness.prefect.with_store(|store| {
        let fields = json!({ "active": true, "name": "tag:db", "limit": 9, "active_slots": 0 });
        store.create_object(C::ConcurrencyLimitsV2, fields);
    });
    assert_eq!(harness.sync(&[TABLE]).await, sent([3, 0, 1]));
    harness.an_hour_later(|_| {});
    assert_eq!(harness.sync(&[TABLE]).await, Sent::new());
}
