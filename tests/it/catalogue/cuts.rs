//! A sync that is cut off after any checkpoint continues there and loses nothing.

use std::collections::BTreeSet;

use fivetran_source::{fivetran::proto::update_response::Operation, tables};
use prefect_fake::{Capabilities, versions};
use test_support::Key;

use super::{connection_harness::ConnectionHarness, feeds};
use crate::support::served::empty_destination;

/// Returns the rows that exist after these operations.
fn rows(operations: &[Operation]) -> BTreeSet<Key> {
    let mut destination = empty_destination();
    destination.apply_operations(operations);
    destination.existing().into_keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_cut_after_any_checkpoint_loses_nothing() {
    cut(&versions::V3_9, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_cut_after_any_checkpoint_loses_nothing_on_2_20() {
    cut(&versions::V2_20, &["automations", "events"]).await;
}

async fn cut(release: &Capabilities, absent: &[&str]) {
    let small = [("batch_size", "7")];
    let tables = tables::ALL.iter();
    for table in tables.filter(|table| !absent.contains(&table.name)) {
        let mut harness = ConnectionHarness::start(release).await;
        if table.choice.is_some() && release.events {
            // Rows of one time that are spread over two pages.
            harness.prefect.with_store(|store| {
                for instant in 1..6 {
                    feeds::add(store, table.name, 12, instant * 3_600);
                }
            });
        }
        let whole = harness.operations(&[table.name], &small).await;
        let all = rows(&whole);
        for (at, operation) in whole.iter().enumerate() {
            let Operation::Checkpoint(checkpoint) = operation else {
                continue;
            };
            harness.state = Some(checkpoint.state_json.clone());
            let mut operations = whole[..=at].to_vec();
            operations.extend(harness.operations(&[table.name], &small).await);
            let lost: Vec<_> = all.difference(&rows(&operations)).cloned().collect();
            assert!(lost.is_empty(), "cut after operation {at}: {lost:?}");
        }
    }
}
