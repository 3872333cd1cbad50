//! Log lines that the server fails on (500) arrive once they can be read, whatever page brings them.

use std::{collections::BTreeSet, sync::Arc};

use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection, Interceptor, NoInterception, Store,
};

use super::{
    connection_harness::ConnectionHarness,
    unreadable::{Hasty, Poison, sent, start},
};

/// Fails on consecutive lines, this many, that are too old to be read again because of their age.
fn fail_on_some(harness: &ConnectionHarness, number: usize) -> BTreeSet<String> {
    let ids: Vec<String> = harness.prefect.with_store(|store| {
        let lines = store.objects(GenericCollection::Logs);
        let mut lines: Vec<_> = lines
            .map(|line| (line.fields["timestamp"].to_string(), line.id.to_string()))
            .collect();
        lines.sort_unstable();
        let some = lines.into_iter().rev().skip(50).take(number);
        some.map(|(_, id)| id).collect()
    });
    let poisoned = ids.iter().map(|id| ("/logs", id.clone()));
    harness.prefect.set_interceptor(Poison(poisoned.collect()));
    ids.into_iter().collect()
}

/// Answers the first request for lines up to a past time with an empty page.
#[derive(Default)]
struct EmptyOnce {
    has_answered: bool,
}

impl Interceptor for EmptyOnce {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        let is_past =
            request.path.starts_with("/logs") && !request.body.contains("\"before_\":\"9999");
        let is_it = is_past && !self.has_answered;
        self.has_answered |= is_it;
        is_it.then(|| ApiResponse::text(200, "[]".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_empty_page_hides_no_line_that_can_be_read_again() {
    let mut harness = start(&Arc::new(Hasty::default())).await;
    let ids = fail_on_some(&harness, 1);
    let first = harness.operations(&["logs"], &[]).await;
    assert!(sent(&first, "logs").is_disjoint(&ids));
    harness.an_hour_later(|_| {});
    harness.prefect.set_interceptor(EmptyOnce::default());
    let repaired = harness.operations(&["logs"], &[]).await;
    assert_eq!(sent(&repaired, "logs"), ids);
    harness.an_hour_later(|_| {});
    harness.prefect.set_interceptor(NoInterception);
    let quiet = harness.operations(&["logs"], &[]).await;
    assert_eq!(sent(&quiet, "logs"), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_fill_more_than_a_page_are_all_read_again() {
    let mut harness = start(&Arc::new(Hasty::default())).await;
    let ids = fail_on_some(&harness, 8);
    let first = harness.operations(&["logs"], &[]).await;
    assert!(sent(&first, "logs").is_disjoint(&ids));
    harness.an_hour_later(|_| {});
    harness.prefect.set_interceptor(NoInterception);
    let repaired = harness.operations(&["logs"], &[("batch_size", "3")]).await;
    assert_eq!(sent(&repaired, "logs"), ids);
    harness.an_hour_later(|_| {});
    let quiet = harness.operations(&["logs"], &[]).await;
    assert_eq!(sent(&quiet, "logs"), BTreeSet::new());
}
