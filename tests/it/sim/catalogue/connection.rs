//! One connection: the engine, a workspace, a warehouse, and the checks of each operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::TimeDelta;
use fivetran_source::{
    rows::{Context, Row, Value},
    sync::{
        Engine, Error, NoProgress, Op, STATE_BYTES, Schedule, SelectedTable, Selection, SyncQuota,
    },
    tables::{self, Strategy, Table},
    telemetry::Telemetry,
};
use prefect_fake::{Id, model::Time};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        checker::Violation,
        journal::Key,
        protocol,
        warehouse::{self, Stored, Warehouse},
    },
    bounds,
    coverage::{Coverage, Event},
    server::{Server, Visit},
    settings::{Changed, Settings},
    world::{Kind, Name, World},
};

/// The time during which rechecks may send unchanged rows of runs after their table was unsettled.
const SLOW: TimeDelta = TimeDelta::days(100);

/// The end of a sync.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Complete,
    /// The caller stops after this number of operations.
    Cut(usize),
    /// Requests fail from this one on.
    Fails(u32),
}

/// The result of a sync.
#[derive(Debug, Default)]
pub(super) struct Synced {
    /// True if the sync reached its end and no request failed on purpose.
    pub(super) complete: bool,
    pub(super) upserts: u64,
    pub(super) deletes: u64,
    pub(super) requests: u32,
    pub(super) error: Option<Error>,
    pub(super) warnings: Vec<String>,
}

/// A state that was saved earlier, and the warehouse as it was then.
#[derive(Clone)]
pub(super) struct Saved {
    state: Option<String>,
    warehouse: Warehouse,
    complete: BTreeMap<&'static str, Time>,
}

/// The deviations that the oracle excuses because of what happened to this connection.
#[derive(Default)]
pub(super) struct Excuses {
    /// The rows as they were when a state was saved that was later used again.
    pub(super) known_as: BTreeMap<Key, Vec<Stored>>,
    /// The rows that an older state did not contain, or whose objects aged out or disappeared during days without a
    /// sync.
    pub(super) out_of_sight: BTreeSet<Key>,
    /// True if a sync had a filter: that sync did not see the end of a run outside the filter.
    pub(super) filtered: bool,
    /// The shortest look-back that was ever set.
    pub(super) look_back: Option<TimeDelta>,
}

/// A connection.
pub(super) struct Connection {
    pub(super) server: Server,
    pub(super) warehouse: Warehouse,
    pub(super) settings: Settings,
    pub(super) excuses: Excuses,
    pub(super) coverage: Coverage,
    /// The states before each of the last four syncs, the latest last.
    saved: Vec<Saved>,
    /// The tables whose unchanged rows may be sent until the table is read completely.
    unsettled: BTreeSet<&'static str>,
    /// The objects for which the server failed when an unsettled table was read completely.
    unread: BTreeSet<Name>,
    /// The tables of runs whose unchanged rows may be sent, until the last recheck has read them.
    slow: BTreeMap<&'static str, Time>,
    /// True if an older state was used again: deletes may be sent again, too.
    reused: bool,
    /// The start of the last complete sync of each table.
    complete: BTreeMap<&'static str, Time>,
    syncs: u32,
}

impl Connection {
    pub(super) fn new(kind: Kind, settings: Settings, seed: u64, is_logged: bool) -> Self {
        let look_back = Some(settings.look_back);
        Self {
            server: Server(Arc::new(Mutex::new(World::new(kind, seed, is_logged)))),
            warehouse: warehouse::empty(),
            settings,
            excuses: Excuses {
                look_back,
                ..Excuses::default()
            },
            coverage: Coverage::default(),
            saved: Vec::new(),
            unsettled: BTreeSet::new(),
            unread: BTreeSet::new(),
            slow: BTreeMap::new(),
            reused: false,
            complete: BTreeMap::new(),
            syncs: 0,
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.server.world()
    }

    /// Records a change of the settings, and the tables whose rows may be sent again because of it.
    pub(super) fn changed(&mut self, changed: Changed) {
        self.world().log(|| format!("== settings: {changed:?}"));
        let unfinished = self.is_unfinished();
        let event = match changed {
            Changed::Table(_) => Event::TableToggled,
            Changed::Column(_) => Event::ColumnToggled,
            Changed::PageSize => Event::PageSizeChanged,
            _ => Event::SettingsChanged,
        };
        let concerned: Vec<&'static Table> = match changed {
            Changed::Table(name) | Changed::Column(name) => tables::find(name)
                .into_iter()
                .flat_map(|table| group(table.source()))
                .collect(),
            Changed::PageSize => Vec::new(),
            Changed::Start => tables::ALL.to_vec(),
            Changed::LookBack | Changed::Scheduled | Changed::Filter => runs().collect(),
        };
        if changed == Changed::PageSize {
            self.coverage.note(event, tables::ALL.iter().copied());
        }
        self.coverage.note(event, concerned.iter().copied());
        if unfinished {
            self.coverage
                .note(Event::ChangedUnfinished, concerned.iter().copied());
        }
        let look_back = self.settings.look_back;
        self.excuses.look_back = self.excuses.look_back.min(Some(look_back));
        self.unsettle(&concerned);
    }

    /// Allows unchanged rows of these tables to be sent for a while.
    pub(super) fn unsettle(&mut self, concerned: &[&'static Table]) {
        let until = self.world().store.now() + SLOW;
        for table in concerned {
            self.unsettled.insert(table.name);
            if matches!(table.source().strategy, Strategy::Runs) {
                self.slow.insert(table.name, until);
            }
        }
    }

    /// Returns true if a selected table was not read completely yet.
    pub(super) fn is_unfinished(&self) -> bool {
        let selected = self.settings.selection().tables;
        selected
            .iter()
            .any(|it| self.unsettled.contains(it.table.name))
    }

    /// Continues from an earlier state, as after a sync whose result was not kept, or after two concurrent syncs.
    pub(super) fn go_back(&mut self, steps: usize) {
        let Some(at) = self.saved.len().checked_sub(steps) else {
            return;
        };
        let Some(saved) = self.saved.get(at).cloned() else {
            return;
        };
        self.world()
            .log(|| format!("== the state of {steps} syncs ago is used again"));
        for (key, stored) in self.warehouse.rows() {
            match saved.warehouse.row(key) {
                Some(before) if before != stored => {
                    let known = self.excuses.known_as.entry(key.clone()).or_default();
                    known.push(before.clone());
                }
                Some(_) => {}
                None => {
                    self.excuses.out_of_sight.insert(key.clone());
                }
            }
        }
        self.warehouse.set_state(saved.state);
        self.complete = saved.complete;
        self.reused = true;
        self.unsettle(tables::ALL);
        self.coverage
            .note(Event::OlderState, tables::ALL.iter().copied());
    }

    /// Runs a sync, and checks everything that must be true of any sync.
    pub(super) async fn sync(&mut self, ending: Ending) -> Result<Synced, Violation> {
        self.saved.push(Saved {
            state: self.warehouse.state().map(str::to_owned),
            warehouse: self.warehouse.clone(),
            complete: self.complete.clone(),
        });
        if self.saved.len() > 4 {
            self.saved.remove(0);
        }
        self.syncs += 1;
        let selection = self.settings.selection();
        let start = self.open(ending, &selection);
        let (outbox, inbox) = mpsc::channel(1);
        let engine = self.engine();
        let state = self.warehouse.state().map(str::to_owned);
        let cut = match ending {
            Ending::Cut(cut) => cut,
            _ => usize::MAX,
        };
        let run = engine.run(&selection, state.as_deref(), outbox);
        let (synced, ()) = tokio::join!(self.listen(inbox, cut, &selection), run);
        self.close(synced?, start, ending, &selection)
    }

    /// Prepares the server for a sync, and returns the time of its start.
    fn open(&mut self, ending: Ending, selection: &Selection) -> Time {
        let syncs = self.syncs;
        let page_size = self.settings.page_size;
        let mut world = self.server.world();
        let now = world.store.now();
        if let Some(release) = world.releases.last_mut() {
            release.first_sync.get_or_insert(now);
        }
        let most = bounds::most_requests(&world, selection, page_size);
        world.visit = Visit {
            fails_from: match ending {
                Ending::Fails(from) => Some(from),
                _ => None,
            },
            most: Some(most),
            ..Visit::default()
        };
        world.past.absent_in_sync.clear();
        world.log(|| {
            let names: Vec<&str> = selection.tables.iter().map(|it| it.table.name).collect();
            format!("== sync {syncs}, {ending:?}: {}", names.join(" "))
        });
        world.store.now()
    }

    pub(super) fn engine(&self) -> Engine<Server> {
        Engine {
            schedule: Schedule::default(),
            api: Arc::new(self.server.clone()),
            clock: Arc::new(self.server.clone()),
            telemetry: Telemetry::default(),
            page_size: self.settings.page_size,
            in_flight: SyncQuota::alone(NonZeroUsize::MIN.saturating_add(2)),
            context: Context::default(),
            settings: self.settings.sync_settings(),
            workspace: "sim".to_owned(),
            retention: None,
            state_bytes: STATE_BYTES,
            stop: CancellationToken::new(),
        }
    }

    /// Receives the operations, commits them at checkpoints, and discards those after the last checkpoint.
    async fn listen(
        &mut self,
        inbox: mpsc::Receiver<Result<Vec<Op>, Error>>,
        cut: usize,
        selection: &Selection,
    ) -> Result<Synced, Violation> {
        let mut synced = Synced::default();
        let apply = |op| self.apply_operation(op, &mut synced, selection);
        let received = protocol::receive(inbox, cut, apply).await;
        self.world().visit.cut = true;
        self.warehouse.roll_back();
        let received = received?;
        Ok(Synced {
            complete: received.is_whole,
            error: received.error,
            ..synced
        })
    }

    fn apply_operation(
        &mut self,
        op: Op,
        synced: &mut Synced,
        selection: &Selection,
    ) -> Result<(), Violation> {
        match op {
            Op::Upsert { table, row } => {
                let selected = selection.tables.iter().find(|it| it.table.name == table);
                let Some(selected) = selected else {
                    return Err(Violation::new(format!("{table} is sent, and not selected")));
                };
                synced.upserts += 1;
                self.upsert(selected, &row)
            }
            Op::Delete { table, id } => {
                synced.deletes += 1;
                self.world().log(|| format!("  > delete {table} {id}"));
                let key = (table, id);
                self.check_delete(&key)?;
                self.warehouse.delete(&key);
                Ok(())
            }
            Op::Truncate { table } => {
                self.world().log(|| format!("  > truncate {table}"));
                if keeps_history(table) {
                    return Err(Violation::new(format!("{table} is truncated")));
                }
                self.warehouse.truncate(table);
                Ok(())
            }
            Op::Checkpoint { state_json } => {
                self.world().log(|| format!("  > checkpoint {state_json}"));
                if state_json.len() > STATE_BYTES {
                    return Err(Violation::new("the state is too large"));
                }
                self.warehouse.checkpoint(state_json);
                Ok(())
            }
            Op::Warning { message } => {
                self.world().log(|| format!("  > warning: {message}"));
                synced.warnings.push(message);
                Ok(())
            }
        }
    }

    fn upsert(&mut self, selected: &SelectedTable, row: &Row) -> Result<(), Violation> {
        let table = selected.table.name;
        let is_news = warehouse::upsert(&mut self.warehouse, selected, row);
        let again = if is_news { "" } else { ", again" };
        self.world()
            .log(|| format!("  > upsert {table} {}{again}", row.id()));
        let id = Id::parse(row.id());
        let was_unread = id.is_some_and(|id| self.unread.remove(&(table, id)));
        if is_news || was_unread || self.may_send_again(selected) {
            return Ok(());
        }
        let key = (table, row.id().to_owned());
        Err(Violation::for_row(
            &key,
            "sent again, and nothing is new about it",
        ))
    }

    /// Returns true if a rule of docs/SYNC.md allows unchanged rows of a table to be sent now.
    fn may_send_again(&self, selected: &SelectedTable) -> bool {
        let table = selected.table;
        let world = self.world();
        let is_slow = self
            .slow
            .get(table.name)
            .is_some_and(|until| world.store.now() < *until);
        // Rechecks by the expected start may send an edited row twice.
        let is_by_start = matches!(table.source().strategy, Strategy::Runs)
            && !world
                .store
                .settings()
                .capabilities
                .knows(&format!("{}.end_time", table.source().name));
        // Dependencies are parts of task runs and are sent with them.
        let is_part =
            matches!(table.strategy, Strategy::Nested(part) if part.parent.name == "task_runs");
        // A change in a deselected column sends the row, too.
        let is_narrow = selected.columns.iter().any(|sent| !sent);
        // The states of a run are requested twice if it ends twice, or if it is in progress when a server gains or
        // loses events.
        let is_by_runs = table.name == "flow_run_state_history" && world.was_without_events();
        // The connector determines again what the server can do, and which server it is.
        let is_server = matches!(table.strategy, Strategy::Server);
        is_slow
            || is_by_start
            || is_part
            || is_by_runs
            || is_narrow
            || is_server
            || self.unsettled.contains(table.name)
            || world.visit.hurt
    }

    /// Returns true for an open task run whose flow run ended after the last complete read of its table.
    fn was_left_since(&self, world: &World, name: Name) -> bool {
        let left = world.past.runs.get(&name).and_then(|last| last.left);
        let read = self.complete.get(name.0);
        left.is_some_and(|left| read.is_none_or(|read| left >= *read))
    }

    /// Checks that a deleted object does not exist, did not just age out, and is not history.
    fn check_delete(&self, key: &Key) -> Result<(), Violation> {
        let world = self.world();
        if keeps_history(key.0) && !["flow_runs", "task_runs"].contains(&key.0) {
            return Err(Violation::for_row(key, "deleted, and it is history"));
        }
        let Some(id) = Id::parse(&key.1) else {
            return Err(Violation::for_row(
                key,
                "deleted, and it has no id of Prefect's",
            ));
        };
        let name = (key.0, id);
        if world.past.absent_in_sync.contains(&name) && !world.past.gone.contains_key(&name) {
            return Ok(());
        }
        match world.past.gone.get(&name) {
            None if world.past.present.contains(&name) => {
                Err(Violation::for_row(key, "deleted, and it exists"))
            }
            None => Err(Violation::for_row(key, "deleted, and it never existed")),
            // No sync saw that the task run had ended with its flow run.
            Some(gone) if gone.aged && self.was_left_since(&world, name) => Ok(()),
            // A backup gave the run an end of days ago, and the run aged out before a sync saw that.
            Some(gone) if gone.aged && world.past.ended_by_restore.contains(&name) => Ok(()),
            Some(gone) if gone.aged => {
                Err(Violation::for_row(key, "deleted, and it only aged out"))
            }
            Some(_) if !self.reused && self.is_ended(key) => {
                Err(Violation::for_row(key, "deleted, and it had ended before"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns true if the warehouse has a run as ended.
    pub(super) fn is_ended(&self, key: &Key) -> bool {
        let Some(at) = tables::find(key.0).and_then(|table| table.position("state_type")) else {
            return false;
        };
        let cell = self
            .warehouse
            .row(key)
            .and_then(|row| row.columns[at].as_ref());
        matches!(cell, Some(Value::String(kind))
            if ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"].contains(&kind.as_str()))
    }

    /// Checks a sync after its end.
    fn close(
        &mut self,
        mut synced: Synced,
        start: Time,
        ending: Ending,
        selection: &Selection,
    ) -> Result<Synced, Violation> {
        let visit = {
            let mut world = self.world();
            world.log(|| format!("== ends: {synced:?}"));
            world.visit.clone()
        };
        synced.requests = visit.requests;
        if visit.runaway {
            let most = visit.most.unwrap_or_default();
            return Err(Violation::new(format!(
                "the sync does not end: more than {most} requests"
            )));
        }
        let is_spoilt = !visit.spoilt.is_empty() || self.has_emptied(&synced);
        if let Some(error) = synced.error.as_ref().filter(|_| !visit.hurt && !is_spoilt) {
            return Err(Violation::new(format!("the sync fails: {error}")));
        }
        synced.complete &= !visit.hurt && synced.error.is_none();
        self.excuses.filtered |= self.settings.scope.is_some();
        let tables: Vec<&'static Table> = selection.tables.iter().map(|it| it.table).collect();
        if !synced.complete {
            self.unsettled.extend(tables.iter().map(|table| table.name));
            let event = match ending {
                Ending::Cut(_) => Event::Cut,
                _ => Event::Failed,
            };
            self.coverage.note(event, tables);
            return Ok(synced);
        }
        for table in tables {
            self.read(table, start);
        }
        Ok(synced)
    }

    /// Returns true if a sync failed because of empty pages, and objects of that table disappeared while it read. These
    /// may have been all of the table's objects.
    fn has_emptied(&self, synced: &Synced) -> bool {
        let Some(Error::NoProgress { table, source }) = &synced.error else {
            return false;
        };
        let absent = &self.server.world().past.absent_in_sync;
        *source == NoProgress::Empty && absent.iter().any(|(name, _)| name == table)
    }

    /// Returns true if a page of a time window was altered. Rows that an empty window missed arrive with the next sync.
    fn has_missed_a_window(&self, table: &Table) -> bool {
        let is_by_time = matches!(table.strategy, Strategy::Runs | Strategy::AppendOnly(_));
        let path = format!("{}/filter", table.endpoint);
        is_by_time && self.world().visit.spoilt.contains(&path)
    }

    /// Records that a sync that began at `start` read a table completely.
    fn read(&mut self, table: &'static Table, start: Time) {
        if !self.has_missed_a_window(table) && self.unsettled.remove(table.name) {
            let world = self.server.world();
            let unread = world.unreadable.iter().filter(|it| it.0 == table.name);
            self.unread.extend(unread.copied());
        }
        let before = self.complete.insert(table.name, start);
        if table.name == "flow_run_state_history" {
            let mut world = self.server.world();
            let has_events = world.store.settings().capabilities.events;
            world.past.states_read_without_events |= !has_events;
        }
        if matches!(table.strategy, Strategy::Runs) {
            let seen = before.filter(|before| start - *before < TimeDelta::days(2));
            let world = self.server.world();
            let went = world
                .past
                .gone
                .iter()
                .filter(|((name, _), _)| *name == table.name)
                .filter(|(_, gone)| {
                    // Runs that are open for long are read only once a day.
                    let since = before.map(|before| before - TimeDelta::days(2));
                    let is_new = since.is_none_or(|since| gone.at >= since);
                    is_new && (seen.is_none() || gone.aged)
                })
                .map(|((name, id), _)| (*name, id.to_string()));
            self.excuses.out_of_sight.extend(went);
        }
    }
}

/// Returns the tables that are read together with a source.
pub(super) fn group(source: &'static Table) -> impl Iterator<Item = &'static Table> {
    tables::ALL
        .iter()
        .copied()
        .filter(move |table| table.source().name == source.name)
}

/// Returns the tables of runs.
pub(super) fn runs() -> impl Iterator<Item = &'static Table> {
    let all = tables::ALL.iter().copied();
    all.filter(|table| matches!(table.source().strategy, Strategy::Runs))
}

/// Returns true if the warehouse keeps rows of a table whose objects Prefect has removed.
pub(super) fn keeps_history(table: &str) -> bool {
    let table = tables::find(table).expect("a table");
    match table.strategy {
        Strategy::Runs | Strategy::AppendOnly(_) => true,
        Strategy::NewestFirst { keeps_history, .. } => keeps_history,
        Strategy::Nested(part) => matches!(part.parent.strategy, Strategy::Runs),
        Strategy::Snapshot(_) | Strategy::Server => false,
    }
}
