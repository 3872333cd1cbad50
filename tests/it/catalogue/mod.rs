//! Checks the guarantees of every table of the catalogue alone, against the demo server.

mod choices;
mod connection;
mod connection_harness;
mod cuts;
mod documents;
mod feeds;
mod left_out;
mod meanwhile;
mod no_progress;
mod refused;
mod restored;
mod runs_choices;
mod settings;
mod unreadable;
mod unreadable_lines;
mod without_end;

use fivetran_source::tables::{self, Listing, Strategy};
use prefect_fake::{Capabilities, versions};

use self::connection_harness::{ConnectionHarness, Sent, change, delete, tells_deletes};
use crate::support::served::empty_destination;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_table_alone_keeps_what_is_promised() {
    promises(&versions::V3_9, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_table_alone_keeps_what_is_promised_on_3_0() {
    promises(&versions::V3_0, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_table_alone_keeps_what_is_promised_on_2_20() {
    promises(&versions::V2_20, &["automations", "events"]).await;
}

async fn promises(release: &Capabilities, absent: &[&str]) {
    let tables = tables::ALL.iter();
    for table in tables.filter(|table| !absent.contains(&table.name)) {
        let name = table.name;
        let mut harness = ConnectionHarness::start(release).await;
        let first = harness.sync(&[name]).await;
        assert_eq!(
            first.keys().collect::<Vec<_>>(),
            [name],
            "only its own rows"
        );
        assert!(
            first[name][0] > 0 && first[name][1] == 0,
            "{name}: {first:?}"
        );
        let is_truncated = first[name][2] == 1;
        let history = matches!(
            table.source().strategy,
            Strategy::Runs | Strategy::AppendOnly(_)
        ) || matches!(
            table.strategy,
            Strategy::NewestFirst {
                keeps_history: true,
                ..
            }
        );
        assert_eq!(is_truncated, !history, "{name}");
        harness.an_hour_later(|_| {});
        assert_eq!(
            harness.sync(&[name]).await,
            Sent::new(),
            "{name}: nothing happened"
        );

        let mut rows = None;
        harness.an_hour_later(|store| rows = change(store, name));
        let second = harness.sync(&[name]).await;
        match rows {
            Some(rows) => {
                let sent = second.get(name).copied().unwrap_or_default();
                assert_eq!(sent, [rows, 0, 0], "{name} changed");
            }
            None => assert!(second.is_empty(), "{name}: {second:?}"),
        }
        let mut is_deleted = false;
        harness.an_hour_later(|store| is_deleted = delete(store, table));
        let third = harness.sync(&[name]).await;
        if is_deleted {
            assert_eq!(third.get(name), Some(&[0, 1, 0]), "{name}: {third:?}");
        } else {
            assert_eq!(third, Sent::new(), "{name}: nothing was deleted");
        }
        harness.an_hour_later(|_| {});
        assert_eq!(
            harness.sync(&[name]).await,
            Sent::new(),
            "{name}: quiet again"
        );
    }
}

/// Tests that a table that is read from the start again has no row that the server does not have, except the rows of a
/// history. No delete can be sent for a row that disappeared in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_starts_again_equals_a_new_one() {
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let names: Vec<&str> = tables::ALL.iter().map(|table| table.name).collect();
    let mut destination = empty_destination();
    destination.apply_operations(&harness.operations(&names, &[]).await);
    let mut deleted = Vec::new();
    harness.an_hour_later(|store| {
        let of_all = tables::ALL.iter().copied();
        deleted = of_all.filter(|table| delete(store, table)).collect();
    });
    harness.state = None;
    let again = harness.operations(&names, &[]).await;
    destination.apply_operations(&again);
    let mut new = empty_destination();
    new.apply_operations(&again);
    for table in deleted.iter().filter(|table| tells_deletes(table)) {
        assert_eq!(
            destination.differences(&new, table.name),
            [],
            "{}",
            table.name
        );
        assert!(!destination.gone(table.name).is_empty(), "{}", table.name);
    }
    assert!(deleted.len() > 10, "{} tables", deleted.len());
}

/// A table costs only the requests of its own listing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_selected_costs_no_request() {
    for table in tables::ALL {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness.sync(&[table.name]).await;
        let endpoint = match table.strategy {
            Strategy::Server => "/",
            Strategy::Snapshot(Listing {
                each: Some(each), ..
            }) => each.table.endpoint,
            _ => table.endpoint,
        };
        let second = match table.strategy {
            Strategy::Snapshot(listing) => listing.second.map(|second| second.table.endpoint),
            _ => None,
        };
        for recorded in harness.prefect.take_request_log() {
            let path = &recorded.request.path;
            let is_below = |endpoint: &str| {
                let rest = path.strip_prefix(endpoint);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || endpoint == "/")
            };
            let is_own = is_below(endpoint) || second.is_some_and(is_below);
            assert!(is_own, "{} asks {path}", table.name);
        }
    }
}
