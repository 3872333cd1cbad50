//! One connection: a workspace, the engine, a warehouse, and the checks at every step.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fivetran_source::{
    clock::Clock,
    rows::Context,
    sync::{
        Engine, Error, Op, STATE_BYTES, SelectedTable, Selection, State, SyncQuota, SyncSettings,
    },
    telemetry::Telemetry,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    api::{Server, Visit},
    checker::{self, Facts, Last, Promise, Violation},
    journal::Journal,
    protocol,
    sockets::Way,
    warehouse::{self, Warehouse},
    world::{Nature, World},
};

/// The guarantees of the engine at present.
pub(super) const PROMISE: Promise = Promise {
    deletes: true,
    once: &["flows", "deployments"],
    once_by_end: &["flow_runs"],
    look_back: TimeDelta::days(30),
};

/// A connection to a simulated server, and its warehouse.
pub(super) struct SimulationHarness {
    pub(super) server: Server,
    /// The connector's way to the server: direct calls or HTTP.
    pub(super) way: Way,
    /// The clock of the connector's machine.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) warehouse: Warehouse,
    pub(super) selection: Selection,
    /// The tables that are not selected.
    pub(super) left_out: Vec<SelectedTable>,
    pub(super) page_size: u32,
    pub(super) promise: Promise,
    /// The address by which the connector knows the workspace.
    pub(super) address: &'static str,
    /// The largest size of the state, in bytes.
    pub(super) state_bytes: usize,
    pub(super) in_flight: NonZeroUsize,
    /// The start and the last change of the last complete sync of each table.
    complete: BTreeMap<&'static str, (DateTime<Utc>, u64)>,
    /// The last sync of each table, complete or not.
    last: BTreeMap<&'static str, Last>,
    /// True if rows may be sent again because something was reconfigured.
    pub(super) irregular: bool,
    /// The tables whose rows may be sent again, for a column or because a sync ended early.
    pub(super) unsettled: BTreeSet<&'static str>,
    /// The tables that were sent again for a column or a rewind: rechecks send those rows again.
    pub(super) refilled: BTreeSet<&'static str>,
    /// The tables of which rows were committed.
    begun: BTreeSet<&'static str>,
    syncs: u32,
}

/// The warehouse after a sync, and the start of the last complete sync of each table.
pub(super) struct Point {
    warehouse: Warehouse,
    complete: BTreeMap<&'static str, (DateTime<Utc>, u64)>,
}

/// The result of a sync.
#[derive(Debug, Default)]
pub(super) struct Synced {
    /// True if the sync reached its end and none of its requests failed.
    pub(super) complete: bool,
    pub(super) ops: usize,
    pub(super) upserts: u32,
    /// The number of upserts of unchanged rows.
    pub(super) again: u32,
    pub(super) deletes: u32,
    pub(super) requests: u32,
    pub(super) warnings: Vec<String>,
    pub(super) error: Option<Error>,
}

impl SimulationHarness {
    pub(super) fn new(nature: Nature, seed: u64, is_logged: bool) -> Self {
        let (page_size, in_flight) = (nature.page_size, nature.in_flight);
        let server = Server(Arc::new(Mutex::new(World::new(nature, seed, is_logged))));
        Self {
            page_size,
            way: Way::Direct(server.clone()),
            clock: Arc::new(server.clone()),
            server,
            warehouse: warehouse::empty(),
            selection: Selection {
                tables: crate::support::core_tables()
                    .into_iter()
                    .map(SelectedTable::all)
                    .collect(),
            },
            left_out: Vec::new(),
            promise: PROMISE,
            address: "sim",
            state_bytes: STATE_BYTES,
            in_flight,
            complete: BTreeMap::new(),
            last: BTreeMap::new(),
            irregular: false,
            unsettled: BTreeSet::new(),
            refilled: BTreeSet::new(),
            begun: BTreeSet::new(),
            syncs: 0,
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.server.world()
    }

    /// Returns true if the saved state has an unfinished backfill.
    pub(super) fn is_backfilling(&self) -> bool {
        let state = self.warehouse.state().unwrap_or("null");
        let state: serde_json::Value = serde_json::from_str(state).expect("JSON");
        state["tables"]["flow_runs"]["reader"]["runs"]
            .get("backfill")
            .is_some()
    }

    /// Returns the present warehouse as a point to which tables can be rewound.
    pub(super) fn point(&self) -> Point {
        Point {
            warehouse: self.warehouse.clone(),
            complete: self.complete.clone(),
        }
    }

    /// Rewinds `table` to the start of its complete sync in `point`, and resets the rows that changed since then. These
    /// rows must be sent again. Returns false if there is nothing to rewind.
    pub(super) fn rewind(&mut self, point: &Point, table: &'static str) -> bool {
        let Some((at, _)) = point.complete.get(table).copied() else {
            return false;
        };
        let mut state = State::parse(self.warehouse.state(), self.address).expect("a state");
        let now = self.world().store.now();
        let rewound = state.rewind_table(table, Some(at), now);
        self.world()
            .log(|| format!("== rewind {table} to {at}: {rewound:?}"));
        if rewound.is_err() {
            return false;
        }
        let state = state.to_json().expect("serialises");
        let found = fivetran_source::tables::find(table).expect("a table");
        let gone: BTreeSet<_> = {
            let world = self.server.world();
            let objects = world.journal.objects.iter();
            let gone = objects.filter(|(_, object)| object.gone.is_some());
            gone.map(|(key, _)| key.clone()).collect()
        };
        let old = &point.warehouse;
        let lost = warehouse::go_back(&mut self.warehouse, old, found, at, &gone, state);
        // A run that had ended, and is deleted before it is read again, is gone with its end: no reader looks for it.
        for key in lost.iter().filter(|key| key.0 == "flow_runs") {
            let journal = &mut self.world().journal;
            if let Some(object) = journal.objects.get_mut(key) {
                object.forgotten = true;
                let then = object.versions.last().and_then(|version| version.run);
                object.rewound = then.filter(|run| !run.open).map(|_| journal.clock);
            }
        }
        self.irregular = true;
        self.unsettled.insert(table);
        self.refilled.insert(table);
        self.world().windows.rewind();
        true
    }

    /// Runs a sync to its end, and checks the guarantee.
    pub(super) async fn sync(&mut self) -> Result<Synced, Violation> {
        self.sync_until(usize::MAX).await
    }

    /// Runs a sync whose receiver stops after `cut` operations, and checks the guarantee.
    pub(super) async fn sync_until(&mut self, cut: usize) -> Result<Synced, Violation> {
        let synced = self.run(cut).await?;
        self.end(synced)
    }

    /// Runs such a sync without the checks at its end.
    pub(super) async fn run(&mut self, cut: usize) -> Result<Synced, Violation> {
        self.syncs += 1;
        {
            let mut world = self.world();
            world.visit = Visit::default();
            world.log(|| format!("== sync {}", self.syncs));
        }
        let engine = Engine {
            schedule: fivetran_source::sync::Schedule::default(),
            api: Arc::new(self.way.clone()),
            clock: Arc::clone(&self.clock),
            telemetry: Telemetry::default(),
            page_size: self.page_size,
            in_flight: SyncQuota::alone(self.in_flight),
            context: Context::default(),
            settings: SyncSettings::default(),
            workspace: self.address.to_owned(),
            retention: None,
            state_bytes: self.state_bytes,
            stop: CancellationToken::new(),
        };
        let (outbox, inbox) = mpsc::channel(1);
        let (selection, state) = (
            self.selection.clone(),
            self.warehouse.state().map(str::to_owned),
        );
        let run = engine.run(&selection, state.as_deref(), outbox);
        let (synced, ()) = tokio::join!(self.listen(inbox, cut), run);
        synced
    }

    /// Receives the operations, commits them at checkpoints, and discards those after the last checkpoint.
    async fn listen(
        &mut self,
        inbox: mpsc::Receiver<Result<Vec<Op>, Error>>,
        cut: usize,
    ) -> Result<Synced, Violation> {
        let mut synced = Synced::default();
        let mut pending = BTreeSet::new();
        let apply = |op| self.apply_operation(op, &mut synced, &mut pending);
        let received = protocol::receive(inbox, cut, apply).await;
        {
            let mut world = self.world();
            world.visit.cut = true;
            world.windows.lose();
        }
        self.warehouse.roll_back();
        let received = received?;
        Ok(Synced {
            ops: received.ops,
            complete: received.is_whole,
            error: received.error,
            ..synced
        })
    }

    fn apply_operation(
        &mut self,
        op: Op,
        synced: &mut Synced,
        pending: &mut BTreeSet<&'static str>,
    ) -> Result<(), Violation> {
        match op {
            Op::Upsert { table, row } => {
                let selected = self.selection.tables.iter().find(|s| s.table.name == table);
                let Some(selected) = selected else {
                    return Err(Violation::new(format!("{table} is sent, and not selected")));
                };
                protocol::upsert(selected.table, &row)?;
                let is_news = warehouse::upsert(&mut self.warehouse, selected, &row);
                let again = if is_news { "" } else { ", again" };
                self.world()
                    .log(|| format!("  > upsert {table} {}{again}", row.id()));
                if !is_news && self.is_once(selected) {
                    let key = (table, row.id().to_owned());
                    return Err(Violation::for_row(
                        &key,
                        "sent again, and nothing is new about it",
                    ));
                }
                synced.upserts += 1;
                synced.again += u32::from(!is_news);
                pending.insert(table);
            }
            Op::Delete { table, id } => {
                let key = (table, id);
                self.world().log(|| format!("  > delete {table} {}", key.1));
                protocol::delete(&self.world(), &key)?;
                self.warehouse.delete(&key);
                synced.deletes += 1;
            }
            Op::Truncate { table } => {
                self.world().log(|| format!("  > truncate {table}"));
                let begun: BTreeSet<&str> = self.begun.union(pending).copied().collect();
                protocol::truncate(table, &begun)?;
                self.warehouse.truncate(table);
            }
            Op::Checkpoint { state_json } => {
                let now = self.world().is_logged;
                self.world().log(|| format!("  > checkpoint {state_json}"));
                protocol::checkpoint(&state_json, self.warehouse.state(), now, self.state_bytes)?;
                // Over sockets the simulation does not record which ranges were read.
                if matches!(self.way, Way::Direct(_)) {
                    self.world().windows.checkpoint(&state_json)?;
                }
                self.warehouse.checkpoint(state_json);
                self.begun.append(pending);
            }
            Op::Warning { message } => {
                self.world().log(|| format!("  > warning: {message}"));
                synced.warnings.push(message);
            }
        }
        Ok(())
    }

    /// Returns true if a flow that was never sent changed after `number`. Such a flow moved to the front, which the
    /// pass had already read, and the number of flows hides one that disappeared.
    fn is_flow_hidden(&self, journal: &Journal, number: u64) -> bool {
        journal.objects.iter().any(|(key, object)| {
            let changed = object.versions.last().map(|last| last.number);
            key.0 == "flows" && changed > Some(number) && self.warehouse.row(key).is_none()
        })
    }

    /// Returns true if no row of a table may be sent twice now.
    fn is_once(&self, selected: &SelectedTable) -> bool {
        let table = selected.table.name;
        let by_end = self.world().nature.capabilities.knows("flow_runs.end_time");
        let promised = self.promise.once.contains(&table)
            || (by_end
                && self.promise.once_by_end.contains(&table)
                && !self.refilled.contains(table));
        // A change in a deselected column sends the row, too.
        let is_whole = selected.columns.iter().all(|sent| *sent);
        promised && is_whole && !self.irregular && !self.unsettled.contains(table)
    }

    /// Checks the guarantee after a sync.
    fn end(&mut self, mut synced: Synced) -> Result<Synced, Violation> {
        let mut world = self.server.world();
        let visit = world.visit.clone();
        synced.requests = visit.requests;
        world.log(|| {
            format!(
                "== ends: {synced:?}, {}",
                if synced.complete { "complete" } else { "early" }
            )
        });
        if visit.runaway {
            return Err(Violation::new("the sync does not end"));
        }
        if let Some(error) = synced.error.as_ref().filter(|_| !visit.hurt) {
            return Err(Violation::new(format!("the sync fails: {error}")));
        }
        if !synced.complete {
            let tables = self.selection.tables.iter();
            self.unsettled
                .extend(tables.map(|selected| selected.table.name));
        }
        synced.complete &= !visit.hurt;
        self.irregular &= !synced.complete;
        let Some((start, number)) = visit.start else {
            return Ok(synced);
        };
        for selected in &self.selection.tables {
            let table = selected.table.name;
            let last = self.last.get(table).copied();
            self.last.insert(
                table,
                Last {
                    start,
                    number,
                    end: world.journal.clock,
                    before: last.map(|last| last.start),
                },
            );
            if !synced.complete {
                continue;
            }
            let facts = Facts {
                start: start.trunc_subsecs(0),
                number,
                before: self.complete.get(table).copied(),
                last,
                counts: !world.nature.cloud,
                new_flow: world.journal.has_new("flows", number)
                    || self.is_flow_hidden(&world.journal, number),
                by_end: world.nature.capabilities.knows("flow_runs.end_time"),
            };
            checker::check(
                &mut world.journal,
                &self.warehouse,
                selected,
                &self.promise,
                &facts,
            )?;
            self.complete.insert(table, (facts.start, facts.number));
            self.unsettled.remove(table);
        }
        Ok(synced)
    }

    /// Checks a source that has stopped changing. After several syncs with time between them, the warehouse has
    /// everything that was ever due, and a last sync sends no row.
    pub(super) async fn settle(&mut self) -> Result<(), Violation> {
        let result = self.sync_until_quiet().await;
        result.map_err(|violation| Violation {
            what: format!("at rest: {}", violation.what),
            ..violation
        })
    }

    async fn sync_until_quiet(&mut self) -> Result<(), Violation> {
        let nature = self.world().nature.clone();
        self.calm_down();
        // Edits of every age become due, and each of the first pauses is shorter than three days.
        for hours in [
            1,
            1,
            12,
            24,
            48,
            24 * 5,
            24 * 20,
            24 * 60,
            24 * 100,
            1,
            24,
            1,
        ] {
            let later = self.world().store.now() + TimeDelta::hours(hours);
            self.world().reach(later);
            let synced = self.sync().await?;
            if !synced.complete {
                return Err(Violation::new("a sync of a source at rest is not complete"));
            }
        }
        let quiet = self.sync().await?;
        if quiet.upserts + quiet.deletes > 0 {
            return Err(Violation::new("a quiet source has something to say"));
        }
        self.world().nature = nature;
        Ok(())
    }

    /// Stops the failures of requests and the changes between them.
    pub(super) fn calm_down(&mut self) {
        let mut world = self.world();
        world.nature.errors = 0.0;
        world.nature.change_rate = 0.0;
        world.log(|| "the source rests".to_owned());
    }
}
