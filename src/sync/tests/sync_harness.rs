//! A connection to the small Prefect: the engine, its operations, and a warehouse.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use test_support::Destination;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::world::{Server, World};
use crate::{
    clock::SystemClock,
    rows::{Context, Value},
    sync::{Engine, Error, Op, STATE_BYTES, SelectedTable, Selection, SyncQuota, SyncSettings},
    tables,
    telemetry::Telemetry,
};

/// The effects of one sync.
#[derive(Debug, Default)]
pub(super) struct Synced {
    pub(super) upserts: Vec<(&'static str, String)>,
    pub(super) deletes: Vec<(&'static str, String)>,
    pub(super) warnings: Vec<String>,
    pub(super) checkpoints: usize,
    pub(super) operations: usize,
    pub(super) error: Option<Error>,
}

pub(super) struct SyncHarness {
    pub(super) server: Server,
    pub(super) warehouse: Destination<Vec<Option<Value>>, &'static str>,
    pub(super) page_size: u32,
    pub(super) state_bytes: usize,
    pub(super) in_flight: NonZeroUsize,
    pub(super) selection: Selection,
    pub(super) stop: CancellationToken,
    pub(super) telemetry: Telemetry,
}

impl SyncHarness {
    pub(super) fn new(fill: impl FnOnce(&mut World)) -> Self {
        let mut world = World {
            limit: 200,
            ..World::default()
        };
        fill(&mut world);
        Self {
            server: Server(Arc::new(Mutex::new(world))),
            warehouse: Destination::default(),
            page_size: 5,
            state_bytes: STATE_BYTES,
            in_flight: NonZeroUsize::MIN,
            selection: Selection {
                tables: ["flows", "deployments", "flow_runs"]
                    .into_iter()
                    .filter_map(tables::find)
                    .map(SelectedTable::all)
                    .collect(),
            },
            stop: CancellationToken::new(),
            telemetry: Telemetry::default(),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.server.0.lock().expect("lock"));
    }

    pub(super) async fn sync(&mut self) -> Synced {
        self.sync_until(usize::MAX).await
    }

    /// Runs a sync and disconnects after `operations` operations. Everything after the last checkpoint is lost.
    pub(super) async fn sync_until(&mut self, operations: usize) -> Synced {
        let engine = Engine {
            schedule: crate::sync::Schedule::default(),
            api: Arc::new(self.server.clone()),
            clock: Arc::new(SystemClock),
            telemetry: self.telemetry.clone(),
            page_size: self.page_size,
            in_flight: SyncQuota::alone(self.in_flight),
            context: Context::default(),
            settings: SyncSettings::default(),
            workspace: "here".to_owned(),
            retention: Some(TimeDelta::days(7)),
            state_bytes: self.state_bytes,
            stop: self.stop.clone(),
        };
        let (outbox, mut steps) = mpsc::channel(1);
        let (selection, state) = (
            self.selection.clone(),
            self.warehouse.state().map(str::to_owned),
        );
        let sync = tokio::spawn(async move {
            engine.run(&selection, state.as_deref(), outbox).await;
        });
        let mut synced = Synced::default();
        'steps: while let Some(step) = steps.recv().await {
            let ops = match step {
                Ok(ops) => ops,
                Err(error) => {
                    synced.error = Some(error);
                    break;
                }
            };
            for op in ops {
                if synced.operations == operations {
                    break 'steps;
                }
                synced.operations += 1;
                match op {
                    Op::Upsert { table, row } => {
                        let key = (table, row.id().to_owned());
                        let cells = row.values().map(|value| Some(value.to_value()));
                        self.warehouse.upsert(key.clone(), cells.collect());
                        synced.upserts.push(key);
                    }
                    Op::Delete { table, id } => {
                        let key = (table, id);
                        self.warehouse.delete(&key);
                        synced.deletes.push(key);
                    }
                    Op::Truncate { table } => self.warehouse.truncate(table),
                    Op::Warning { message } => synced.warnings.push(message),
                    Op::Checkpoint { state_json } => {
                        self.warehouse.checkpoint(state_json);
                        synced.checkpoints += 1;
                    }
                }
            }
        }
        self.warehouse.roll_back();
        drop(steps);
        sync.await.expect("the sync does not panic");
        synced
    }

    /// Asserts that the warehouse contains every object with its current name.
    pub(super) fn assert_equal(&self) {
        let world = self.server.0.lock().expect("lock");
        for selected in &self.selection.tables {
            let table = selected.table;
            let name = table.position("name");
            for object in world.objects.get(table.endpoint).into_iter().flatten() {
                let id = object["id"].as_str().expect("an id");
                let row = self.warehouse.row(&(table.name, id.to_owned()));
                let row = row.filter(|row| !row.deleted);
                let row = row.unwrap_or_else(|| panic!("{} {id} is lost", table.name));
                let want = object["name"].as_str();
                let want = want.map_or(Value::Null, |name| Value::String(name.to_owned()));
                let have = name.and_then(|at| row.columns[at].as_ref());
                assert_eq!(have, Some(&want), "{} {id}", table.name);
            }
        }
    }
}

/// Fills the server with 23 runs (12 of them with the same expected start), 13 flows and 7 deployments. Pages have 5
/// objects.
pub(super) fn fill(world: &mut World) {
    world.now = 1_000;
    for id in 0..11 {
        world.run(id, 10 * i64::try_from(id).expect("small"), 500);
    }
    for id in 11..23 {
        world.run(id, 55, 500);
    }
    for id in 100..113 {
        world.flow(id, i64::try_from(id).expect("small"));
    }
    for id in 200..207 {
        world.deployment(id, "0 6 * * *");
    }
}
