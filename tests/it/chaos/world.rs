//! A workspace with a connector, and a destination that is compared with the workspace.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    fivetran::proto::{Selection, UpdateRequest, update_response::Operation},
    prefect::RetryPolicy,
    telemetry::Telemetry,
};
use prefect_fake::{Auth, Options, Population, Server, population::fixed_now};
use test_support::{Destination, DestinationDifference, Disagreement, records, sync};
use tonic::Status;

use super::proxy::Proxy;
use crate::support::served::{Served, configuration, empty_destination, task};

/// The key that must appear nowhere but in a request's header.
pub(super) const KEY: &str = "pnu_canary_c4a0";
pub(super) const TABLES: [&str; 3] = ["flows", "deployments", "flow_runs"];
/// The number of rows of the workspace.
pub(super) const ROWS: usize = 12 + 15 + 120;
/// A page size that gives each table several pages.
const BATCH: &str = "20";

pub(super) fn population() -> Population {
    Population {
        flows: 12,
        deployments: 15,
        runs: 120,
        ..Population::small(5, fixed_now())
    }
}

/// A clock on which each wait ends at once and advances the time.
pub(super) struct Hasty {
    now: Mutex<DateTime<Utc>>,
    /// The proxy that is notified of waits.
    proxy: OnceLock<Arc<Proxy>>,
}

impl Hasty {
    pub(super) fn advance(&self, by: TimeDelta) {
        *self.now.lock().unwrap() += by;
    }
}

impl Clock for Hasty {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.advance(TimeDelta::from_std(duration).unwrap());
        Box::pin(async {
            if let Some(proxy) = self.proxy.get() {
                proxy.waited().await;
            }
        })
    }
}

/// The operations and the end of a sync.
pub(super) struct Synced {
    pub(super) operations: Vec<Operation>,
    pub(super) end: Result<(), Status>,
}

impl Synced {
    /// Returns the task for the user, if any.
    pub(super) fn task(&self) -> Option<&str> {
        task(&self.operations)
    }

    /// Returns the number of sent rows, deletes and truncates.
    pub(super) fn changes(&self) -> usize {
        records(&self.operations).count()
    }
}

/// A server with a workspace, and a connector.
pub(super) struct World {
    pub(super) prefect: Server,
    pub(super) served: Served,
    pub(super) clock: Arc<Hasty>,
    pub(super) destination: Destination,
    pub(super) selection: Option<Selection>,
}

impl World {
    pub(super) async fn start(patience: RetryPolicy) -> Self {
        let options = Options {
            auth: Auth::Bearer(KEY.to_owned()),
            ..Options::new(population())
        };
        let clock = Arc::new(Hasty {
            now: Mutex::new(fixed_now()),
            proxy: OnceLock::new(),
        });
        Self {
            prefect: Server::start(options).await.unwrap(),
            served: serve(&clock, patience).await,
            clock,
            destination: empty_destination(),
            selection: Some(crate::support::core_selection()),
        }
    }

    /// Restarts the connector with another patience.
    pub(super) async fn be_patient(&mut self, patience: RetryPolicy) {
        self.served.stop.cancel();
        self.served = serve(&self.clock, patience).await;
    }

    /// Notifies the proxy when the connector waits.
    pub(super) fn notify_when_waiting(&self, proxy: &Arc<Proxy>) {
        assert!(self.clock.proxy.set(Arc::clone(proxy)).is_ok());
    }

    /// Returns the configuration for the API at `url`.
    pub(super) fn configuration(url: &str) -> HashMap<String, String> {
        configuration(url, &[("api_key", KEY), ("batch_size", BATCH)])
    }

    /// Syncs from the destination's state, two hours after the previous sync.
    pub(super) async fn sync(&mut self, configuration: &HashMap<String, String>) -> Synced {
        let state = self.destination.state().map(str::to_owned);
        let synced = self.sync_from(configuration, state).await;
        self.destination.apply_operations(&synced.operations);
        synced
    }

    /// Syncs from another state; the destination does not take the operations.
    pub(super) async fn sync_from(
        &mut self,
        configuration: &HashMap<String, String>,
        state_json: Option<String>,
    ) -> Synced {
        self.clock.advance(TimeDelta::hours(2));
        let request = UpdateRequest {
            configuration: configuration.clone(),
            selection: self.selection.clone(),
            state_json,
        };
        let (operations, end) = sync(&mut self.served.client, request).await;
        if let Err(status) = &end {
            assert!(!status.message().contains(KEY));
        }
        let texts = operations.iter().filter_map(|operation| match operation {
            Operation::Task(task) => Some(&task.message),
            Operation::Warning(warning) => Some(&warning.message),
            Operation::Checkpoint(checkpoint) => Some(&checkpoint.state_json),
            _ => None,
        });
        for text in texts {
            assert!(!text.contains(KEY));
        }
        Synced { operations, end }
    }

    /// Returns the differences between the destination and the wanted one.
    pub(super) fn differences(&self, want: &Destination) -> Vec<DestinationDifference> {
        let mut found = Vec::new();
        for table in TABLES {
            found.extend(self.destination.differences(want, table));
            let gone = self.destination.gone(table).into_iter();
            found.extend(gone.map(|id| DestinationDifference {
                key: (table.to_owned(), id.to_owned()),
                what: Disagreement::Deleted,
            }));
        }
        found
    }
}

async fn serve(clock: &Arc<Hasty>, patience: RetryPolicy) -> Served {
    let mut served = Served::with_patience(clock.clone(), Telemetry::default(), patience).await;
    // Fivetran's limit for messages.
    served.client = served.client.max_decoding_message_size(128 << 20);
    served
}

impl Drop for World {
    fn drop(&mut self) {
        self.served.stop.cancel();
    }
}

/// Returns a destination that was filled without faults.
pub(super) async fn reference() -> Destination {
    let mut world = World::start(RetryPolicy::SYNC).await;
    let configuration = World::configuration(&world.prefect.url());
    let synced = world.sync(&configuration).await;
    synced.end.unwrap();
    let destination = world.destination.clone();
    let rows = TABLES.map(|table| destination.live(table).len());
    assert_eq!(rows.iter().sum::<usize>(), ROWS);
    destination
}
