//! Objects that are deleted and come back unchanged, as from a backup.

use prefect_fake::{
    ApiRequest, ApiResponse, GenericCollection, Interceptor, NoInterception, Store, versions,
};
use serde_json::json;

use super::connection_harness::{ConnectionHarness, Sent};

/// Restores the deleted object.
type Restore = Box<dyn FnOnce(&mut Store) + Send>;

/// Changes an object, deletes it and restores it unchanged, each followed by a sync. Runs with 0 hours and with 1 hour
/// in between.
async fn assert_revived(table: &str, change: fn(&mut Store), delete: fn(&mut Store) -> Restore) {
    for hours in [0, 1] {
        let mut harness = ConnectionHarness::start(&versions::V3_9).await;
        harness.sync(&[table]).await;
        harness.an_hour_later(|_| {});
        // The change is so recent at the sync that its fingerprint is remembered.
        harness.prefect.with_store(change);
        assert_eq!(harness.sync(&[table]).await[table], [1, 0, 0], "{table}");
        let restore = harness.prefect.with_store(delete);
        for _ in 0..hours {
            harness.an_hour_later(|_| {});
        }
        let context = format!("{table}, {hours} h");
        assert_eq!(harness.sync(&[table]).await[table], [0, 1, 0], "{context}");
        for _ in 0..hours {
            harness.an_hour_later(|_| {});
        }
        harness.prefect.with_store(restore);
        let restored = harness.sync(&[table]).await;
        assert_eq!(restored.get(table), Some(&[1, 0, 0]), "{context}");
        assert_eq!(harness.sync(&[table]).await, Sent::new(), "{context}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_returns_as_it_was_is_sent() {
    const VARIABLES: GenericCollection = GenericCollection::Variables;
    assert_revived(
        "variables",
        |store| {
            let id = store.objects(VARIABLES).map(|it| it.id).max().unwrap();
            let edit = store.edit_object(VARIABLES, id, |fields| {
                fields.insert("value".to_owned(), "changed".into());
            });
            edit.unwrap();
        },
        |store| {
            let id = store.objects(VARIABLES).map(|it| it.id).max().unwrap();
            let object = store.object(VARIABLES, id).unwrap().clone();
            store.delete_object(VARIABLES, id).unwrap();
            Box::new(move |store| store.put_object(VARIABLES, object))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_that_returns_as_it_was_is_sent() {
    assert_revived(
        "flows",
        |store| {
            let id = store.flows().map(|flow| flow.id).max().unwrap();
            store.set_flow_tags(id, vec!["changed".to_owned()]).unwrap();
        },
        |store| {
            let id = store.flows().map(|flow| flow.id).max().unwrap();
            let flow = store.flow(id).unwrap().clone();
            store.delete_flow(id).unwrap();
            Box::new(move |store| store.put_flow(flow))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_returns_as_it_was_is_sent() {
    assert_revived(
        "deployments",
        |store| {
            let id = store.deployments().map(|it| it.id).max().unwrap();
            let is_paused = store.deployment(id).unwrap().paused;
            store.set_paused(id, !is_paused).unwrap();
        },
        |store| {
            let id = store.deployments().map(|it| it.id).max().unwrap();
            let deployment = store.deployment(id).unwrap().clone();
            store.delete_deployment(id).unwrap();
            Box::new(move |store| store.put_deployment(deployment))
        },
    )
    .await;
}

/// A backup is restored. Objects created since then vanish, deleted ones return, and changed ones have their old values
/// and their old times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_detected_even_if_the_count_is_unchanged() {
    const VARIABLES: GenericCollection = GenericCollection::Variables;
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    harness.sync(&["variables"]).await;
    let all = harness.prefect.with_store(|store| {
        let objects = store.objects(VARIABLES);
        objects.cloned().collect::<Vec<_>>()
    });
    let (deleted, changed) = (all[0].id, all[1].id);
    harness.an_hour_later(|store| {
        store.delete_object(VARIABLES, deleted).unwrap();
        let edit = store.edit_object(VARIABLES, changed, |fields| {
            fields.insert("value".to_owned(), "changed".into());
        });
        edit.unwrap();
    });
    assert_eq!(harness.sync(&["variables"]).await["variables"], [1, 1, 0]);
    let mut made = None;
    harness.an_hour_later(|store| {
        let mut fields = all[2].fields.clone();
        fields.insert("name".to_owned(), "new".into());
        made = Some(store.create_object(VARIABLES, fields.into()));
    });
    assert_eq!(harness.sync(&["variables"]).await["variables"], [1, 0, 0]);
    harness.an_hour_later(|store| {
        store.delete_object(VARIABLES, made.unwrap()).unwrap();
        for object in all.clone() {
            store.put_object(VARIABLES, object);
        }
    });
    // The number of objects is the same as before: one vanished and one returned.
    let operations = harness.operations(&["variables"], &[]).await;
    let rows = crate::support::served::rows(&operations);
    assert!(rows >= 2, "{rows} rows");
    assert_eq!(harness.sync(&["variables"]).await, Sent::new());
}

/// Rejects requests for a complete listing.
struct NoListing;

impl Interceptor for NoListing {
    fn before(&mut self, _: &mut Store, request: &ApiRequest) -> Option<ApiResponse> {
        let is_listing = request.body.contains("CREATED_DESC");
        is_listing.then(|| ApiResponse::json(400, &json!({"detail": "not now"})))
    }
}

/// An object comes back with an old time, which the number of objects reveals. Before the complete listing succeeds
/// another object is deleted, and the number equals the old one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_was_due_is_made_up_for_whatever_the_count_says_by_then() {
    const VARIABLES: GenericCollection = GenericCollection::Variables;
    let mut harness = ConnectionHarness::start(&versions::V3_9).await;
    let mut all = harness.prefect.with_store(|store| {
        let objects = store.objects(VARIABLES);
        objects.cloned().collect::<Vec<_>>()
    });
    all.sort_by_key(|object| object.updated);
    harness.an_hour_later(|store| {
        // These become the ten objects that were updated last, in place of the old ones.
        for number in 0..10 {
            let mut fields = all[0].fields.clone();
            fields.insert("name".to_owned(), format!("new_{number}").into());
            store.create_object(VARIABLES, fields.into());
        }
    });
    harness.sync(&["variables"]).await;
    let (back, gone) = (all[0].clone(), all[1].id);
    harness.an_hour_later(|store| store.delete_object(VARIABLES, back.id).unwrap());
    assert_eq!(harness.sync(&["variables"]).await["variables"], [0, 1, 0]);
    harness.an_hour_later(|store| store.put_object(VARIABLES, back));
    harness.prefect.set_interceptor(NoListing);
    let (_, error) = harness.attempt(&["variables"], &[]).await;
    assert!(error.is_some());
    harness.prefect.set_interceptor(NoInterception);
    harness.an_hour_later(|store| store.delete_object(VARIABLES, gone).unwrap());
    assert_eq!(harness.sync(&["variables"]).await["variables"], [1, 1, 0]);
    assert_eq!(harness.sync(&["variables"]).await, Sent::new());
}
