//! Too many requests: nothing is lost, and no request is repeated early.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    config,
    fivetran::proto::UpdateRequest,
    prefect::{Collection, Error, HttpApi, ListRequest, ListResponse, PrefectApi, RetryPolicy},
    telemetry::Telemetry,
};
use prefect_fake::{
    Cloud, Options, RateLimit, RequestLogEntry, RetryAfter, Server, population::fixed_now,
};

use super::{CloudHarness, KEY, RUNS, assert_proper, population};
use crate::support::{
    core_selection,
    served::{configuration, rows},
    stepping_clock::{Ahead, SteppingClock},
};

/// The number of concurrent requests on Prefect Cloud.
const IN_FLIGHT: usize = 8;

fn tight(requests: usize, retry_after: RetryAfter) -> Cloud {
    Cloud {
        limit: RateLimit {
            requests,
            retry_after,
            ..RateLimit::HOBBY
        },
        ..Cloud::default()
    }
}

/// Checks that no rejected request is repeated before the announced time, and that at most [`IN_FLIGHT`] are rejected
/// together.
fn assert_patient(record: &[RequestLogEntry]) -> usize {
    let mut reported: BTreeMap<(&str, &str), DateTime<Utc>> = BTreeMap::new();
    let mut closings: BTreeMap<DateTime<Utc>, usize> = BTreeMap::new();
    for entry in record {
        let question = (entry.request.path.as_str(), entry.request.body.as_str());
        if let Some(not_before) = reported.get(&question) {
            assert!(entry.at >= *not_before, "early: {entry:?}");
        }
        if entry.status == 429 {
            reported.insert(question, entry.not_before.expect("says when"));
            *closings.entry(entry.at).or_default() += 1;
        }
    }
    for (at, refusals) in &closings {
        assert!(*refusals <= IN_FLIGHT, "{refusals} refusals at {at}");
    }
    closings.len()
}

async fn sync_with_rate_limit(retry_after: RetryAfter, ahead: TimeDelta) {
    let mut harness = CloudHarness::start(tight(4, retry_after), ahead).await;
    let all = rows(&harness.sync().await);
    assert_eq!(all, RUNS as usize + 20 + 30);
    let record = harness.prefect.take_request_log();
    assert_proper(&record);
    assert!(assert_patient(&record) >= 3, "no storm");
    harness.an_hour_later(1);
    assert!(rows(&harness.sync().await) > 0);
    harness.clock.advance(TimeDelta::minutes(5));
    assert_eq!(rows(&harness.sync().await), 0);
    let record = harness.prefect.take_request_log();
    assert_proper(&record);
    assert!(assert_patient(&record) >= 1, "no storm");
    harness.assert_equal_at_rest().await;
}

#[tokio::test]
async fn many_rate_limited_requests_lose_nothing_and_none_is_retried_early() {
    sync_with_rate_limit(RetryAfter::Seconds, TimeDelta::zero()).await;
}

#[tokio::test]
async fn a_retry_after_date_refers_to_the_servers_clock() {
    // Both offsets are far from the connector's clock, in both directions.
    for hours in [-5, 5] {
        sync_with_rate_limit(RetryAfter::Date, TimeDelta::hours(hours)).await;
    }
}

async fn one(api: &HttpApi, collection: &'static str) -> Result<ListResponse<String>, Error> {
    let request = ListRequest {
        collection: Collection(collection),
        sort: Some("NAME_ASC"),
        limit: 1,
        ..ListRequest::default()
    };
    api.list(&request, Ok).await
}

#[tokio::test]
async fn retry_after_of_one_request_applies_to_all() {
    let clock = SteppingClock::with_workers(fixed_now(), 2);
    let mut options = Options::cloud(population(), tight(2, RetryAfter::Seconds), KEY);
    options.clock = Some(Arc::new(Ahead {
        of: clock.clone(),
        by: TimeDelta::zero(),
    }));
    let prefect = Server::start(options).await.unwrap();
    let settings = config::parse(&configuration(&prefect.url(), &[("api_key", KEY)]))
        .unwrap()
        .settings;
    let api = HttpApi::new(
        settings,
        RetryPolicy::SYNC,
        clock.clone(),
        Telemetry::default(),
    )
    .unwrap();
    for _ in 0..2 {
        one(&api, "/flows").await.unwrap();
    }
    // One request is rejected and waits; only then the other begins.
    let first = async {
        let page = one(&api, "/flows").await;
        clock.done();
        page
    };
    let second = async {
        clock.sleeping(1).await;
        let page = one(&api, "/deployments").await;
        clock.done();
        page
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok() && second.is_ok());
    let record = prefect.take_request_log();
    let refused: Vec<_> = record.iter().filter(|entry| entry.status == 429).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(record.len(), 5);
}

/// Counts, for each common wait, the requests between the rejection and the time that it announced.
fn storms(record: &[RequestLogEntry]) -> Vec<usize> {
    let mut storms: Vec<(DateTime<Utc>, usize)> = Vec::new();
    for entry in record {
        match storms.last_mut() {
            Some((until, early)) if entry.at < *until => *early += 1,
            _ if entry.status == 429 => {
                storms.push((entry.not_before.expect("says when"), 0));
            }
            _ => {}
        }
    }
    storms.into_iter().map(|(_, early)| early).collect()
}

#[tokio::test]
async fn sixteen_syncs_of_one_account_wait_together() {
    let harness = CloudHarness::start(tight(60, RetryAfter::Seconds), TimeDelta::zero()).await;
    let syncs = (0..16).map(|_| {
        let mut client = harness.served.client.clone();
        let mut configuration = harness.configuration();
        // By default the requests would be spread out before any is rejected.
        configuration.insert("requests_per_minute".to_owned(), "60000".to_owned());
        async move {
            let request = UpdateRequest {
                configuration,
                selection: Some(core_selection()),
                ..UpdateRequest::default()
            };
            let (operations, end) = test_support::sync(&mut client, request).await;
            end.unwrap();
            rows(&operations)
        }
    });
    let sent = futures::future::join_all(syncs).await;
    assert_eq!(sent, [RUNS as usize + 20 + 30; 16]);
    let record = harness.prefect.take_request_log();
    assert_proper(&record);
    let storms = storms(&record);
    println!(
        "{} requests; under way while one was refused: {storms:?}",
        record.len()
    );
    assert!(storms.len() >= 3, "no storm");
    // Only the requests of all syncs that were already in flight come early.
    assert!(storms.iter().all(|early| *early < IN_FLIGHT), "{storms:?}");
}
