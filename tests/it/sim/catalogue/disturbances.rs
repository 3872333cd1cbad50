//! Changes that are not ordinary: of settings, of the server's release and contents, of clocks and of responses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use chrono::TimeDelta;
use fivetran_source::tables::{self, Feed, Listing, Strategy, Table};
use prefect_fake::{
    GenericCollection as C, GenericObject, Id, NewRun, NewState, NewTaskRun, Store, TaskRun,
    model::{FlowRun, StateType},
    versions,
};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::json;

use super::{
    connection::Connection,
    coverage::Event,
    server::Trouble,
    settings::Allowed,
    world::{Name, PLAIN, Release, World, names},
};

/// A disturbance, which may happen several times in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disturbance {
    /// Tables are deselected and selected again.
    Tables,
    /// Columns are deselected and selected again.
    Columns,
    /// The start date moves.
    Start,
    LookBack,
    Scheduled,
    Filter,
    /// The server becomes another release.
    Upgrade,
    /// A backup is restored.
    Restore,
    /// Rows with times in the past are inserted.
    Import,
    /// An older state is used again, or two syncs start from the same one.
    OlderState,
    /// The `Date` header is minutes ahead of the rows' clock for a while.
    ClockAhead,
    /// The `Date` header is minutes behind the rows' clock for a while.
    ClockBehind,
    EmptyPage,
    ShortPage,
    NoLaterPages,
    SamePage,
    /// The server returns an error for some objects for a while.
    Unreadable,
    /// Runs end without an end time.
    WithoutEnd,
    /// Task runs stay pending for ever in a flow run that ended.
    NeverReady,
    /// Many runs share one expected start.
    OneTime,
    /// Log lines and events share a time.
    Ties,
    /// Log lines and events arrive late, and workers send heartbeats, while a sync reads them.
    LateDuringSyncs,
}

use Disturbance as D;

/// All disturbances.
pub(super) const ALL: [Disturbance; 22] = [
    D::Tables,
    D::Columns,
    D::Start,
    D::LookBack,
    D::Scheduled,
    D::Filter,
    D::Upgrade,
    D::Restore,
    D::Import,
    D::OlderState,
    D::ClockAhead,
    D::ClockBehind,
    D::EmptyPage,
    D::ShortPage,
    D::NoLaterPages,
    D::SamePage,
    D::Unreadable,
    D::WithoutEnd,
    D::NeverReady,
    D::OneTime,
    D::Ties,
    D::LateDuringSyncs,
];

impl Disturbance {
    /// Returns the events that a run of many seeds must contain because of this disturbance.
    pub(super) fn events(self) -> &'static [Event] {
        match self {
            Self::Tables => &[Event::TableToggled],
            Self::Columns => &[Event::ColumnToggled],
            Self::Start => &[Event::SettingsChanged],
            Self::Upgrade => &[Event::Upgraded],
            Self::Restore => &[Event::Restored],
            Self::Import => &[Event::Imported],
            Self::OlderState => &[Event::OlderState],
            Self::ClockAhead | Self::ClockBehind => &[Event::ClockMoved],
            Self::EmptyPage | Self::ShortPage => &[Event::PageSpoilt],
            Self::NoLaterPages | Self::SamePage => &[Event::Stalled],
            Self::Unreadable => &[Event::Unreadable],
            _ => &[],
        }
    }
}

impl Connection {
    /// Applies a random one of `disturbances`.
    pub(super) fn disturb(&mut self, disturbances: &[Disturbance], rng: &mut SmallRng) {
        let Some(disturbance) = disturbances.choose(rng).copied() else {
            return;
        };
        match disturbance {
            D::Tables | D::Columns | D::Start | D::LookBack | D::Scheduled | D::Filter => {
                self.change_settings(disturbance, rng);
            }
            D::Upgrade => self.upgrade(rng),
            D::Restore => self.restore(),
            D::Import => {
                self.world().import();
                self.coverage.note(Event::Imported, imported());
            }
            D::OlderState => self.go_back(rng.random_range(1..4)),
            D::ClockAhead | D::ClockBehind => self.move_clock(disturbance, rng),
            D::EmptyPage | D::ShortPage | D::NoLaterPages | D::SamePage => {
                let trouble = self.trouble(disturbance, rng);
                self.world().trouble = trouble;
            }
            D::Unreadable => self.break_objects(rng),
            D::WithoutEnd => self.world().end_without_end(),
            D::NeverReady => self.world().never_ready(),
            D::OneTime => self.world().burst(),
            D::Ties | D::LateDuringSyncs => {}
        }
    }

    fn change_settings(&mut self, disturbance: Disturbance, rng: &mut SmallRng) {
        let allowed = Allowed {
            tables: disturbance == D::Tables,
            columns: disturbance == D::Columns,
            start: disturbance == D::Start,
            look_back: disturbance == D::LookBack,
            scheduled: disturbance == D::Scheduled,
            filter: disturbance == D::Filter,
        };
        let now = self.world().store.now();
        for _ in 0..20 {
            if let Some(changed) = self.settings.change(rng, allowed, now) {
                self.changed(changed);
                return;
            }
        }
    }

    fn upgrade(&mut self, rng: &mut SmallRng) {
        let mut world = self.server.world();
        if world.kind.cloud {
            return;
        }
        let present = world.store.settings().capabilities.release;
        let others = [versions::V2_20, versions::V3_0, versions::V3_9];
        let others: Vec<_> = others
            .into_iter()
            .filter(|other| other.release != present)
            .collect();
        let next = others.choose(rng).expect("some").clone();
        world.log(|| format!("the server becomes {}", next.release));
        let now = world.store.now();
        world.releases.push(Release::new(now, next.clone()));
        let open = world
            .store
            .runs()
            .filter(|run| !run.state.kind.is_terminal());
        let open: Vec<Id> = open.map(|run| run.id).collect();
        world.past.in_progress.extend(open);
        world.past.replaced = Some(world.store.now());
        if next.events != world.store.settings().capabilities.events {
            world.past.event_changes += 1;
        }
        if !next.events {
            // A server without events keeps none for the release after it.
            let events: Vec<Id> = world.store.objects(C::Events).map(|it| it.id).collect();
            for id in events {
                world.store.delete_object(C::Events, id).expect("is there");
            }
            world.settle(true);
        }
        world
            .store
            .reconfigure(|settings| settings.capabilities = next);
        world.settle(false);
        drop(world);
        self.unsettle(tables::ALL);
        self.coverage
            .note(Event::Upgraded, tables::ALL.iter().copied());
    }

    /// Restores the oldest backup, or makes one if there is none.
    fn restore(&mut self) {
        let mut world = self.server.world();
        if world.backups.is_empty() {
            let backup = world.store.clone();
            world.log(|| "a backup is made".to_owned());
            world.backups.push(backup);
            return;
        }
        let backup = world.backups.remove(0);
        world.log(|| "the backup is restored".to_owned());
        world.take_back(backup);
        drop(world);
        self.unsettle(tables::ALL);
        self.coverage
            .note(Event::Restored, tables::ALL.iter().copied());
    }

    fn move_clock(&mut self, disturbance: Disturbance, rng: &mut SmallRng) {
        let minutes = rng.random_range(4..30);
        let sign = if disturbance == D::ClockAhead { 1 } else { -1 };
        let mut world = self.server.world();
        let by = if world.date_ahead.is_zero() {
            TimeDelta::minutes(sign * minutes)
        } else {
            TimeDelta::zero()
        };
        world.log(|| {
            format!(
                "the Date header is now {} min ahead of the rows' clock",
                by.num_minutes()
            )
        });
        world.date_ahead = by;
        world.date_moved = Some(world.store.now());
        drop(world);
        self.unsettle(tables::ALL);
        self.coverage
            .note(Event::ClockMoved, tables::ALL.iter().copied());
    }

    fn trouble(&mut self, disturbance: Disturbance, rng: &mut SmallRng) -> Option<Trouble> {
        let tables: Vec<&'static Table> = self
            .settings
            .selection()
            .tables
            .iter()
            .map(|it| it.table)
            .filter(|table| listing_path(table).is_some())
            .collect();
        let table = *tables.choose(rng)?;
        let path = listing_path(table)?;
        let trouble = match disturbance {
            D::EmptyPage => Trouble::EmptyPage(path),
            D::ShortPage => Trouble::ShortPage(path),
            D::NoLaterPages => Trouble::NoLaterPages(path),
            _ => Trouble::SamePage(path),
        };
        let event = match disturbance {
            D::EmptyPage | D::ShortPage => Event::PageSpoilt,
            _ => Event::Stalled,
        };
        self.coverage.note(event, [table]);
        self.unsettle(&super::connection::group(table.source()).collect::<Vec<_>>());
        Some(trouble)
    }

    /// Makes some objects unreadable, or all objects readable again.
    fn break_objects(&mut self, rng: &mut SmallRng) {
        let mut world = self.server.world();
        if !world.unreadable.is_empty() && rng.random_bool(0.5) {
            world.log(|| "every object can be read again".to_owned());
            world.unreadable.clear();
            return;
        }
        let broken = ["flow_runs", "task_runs", "artifacts", "variables", "flows"];
        let table = *broken.choose(rng).expect("some");
        let names: Vec<Name> = world
            .past
            .present
            .iter()
            .filter(|name| name.0 == table)
            .copied()
            .collect();
        for _ in 0..rng.random_range(1..3) {
            if let Some(name) = names.choose(rng) {
                world.unreadable.insert(*name);
                world.past.was_unreadable.insert(*name);
                world.log(|| format!("{} {}: cannot be read", name.0, name.1));
            }
        }
        drop(world);
        let table = tables::find(table).expect("a table");
        let concerned: Vec<_> = super::connection::group(table).collect();
        self.unsettle(&concerned);
        self.coverage.note(Event::Unreadable, concerned);
    }

    /// Stops all changes and faults, and corrects the `Date` header.
    pub(super) fn calm_down(&mut self) {
        let mut world = self.server.world();
        world.log(|| "the source rests".to_owned());
        world.kind.changes = 0.0;
        world.unreadable.clear();
        world.trouble = None;
        let moved = !world.date_ahead.is_zero();
        world.date_ahead = TimeDelta::zero();
        world.date_moved = moved.then(|| world.store.now()).or(world.date_moved);
        drop(world);
        if moved {
            self.unsettle(tables::ALL);
        }
    }
}

/// The paths by which the tables' objects are listed, by endpoint.
static LISTING_PATHS: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let all = tables::ALL.iter();
    all.map(|table| (table.endpoint, format!("{}/filter", table.endpoint)))
        .collect()
});

/// Returns the path by which a table's objects are listed, if it is the same for all objects and pages.
fn listing_path(table: &'static Table) -> Option<&'static str> {
    let table = table.source();
    match table.strategy {
        Strategy::Server
        | Strategy::AppendOnly(Feed::Events(_))
        | Strategy::Snapshot(Listing { each: Some(_), .. }) => None,
        _ => LISTING_PATHS.get(table.endpoint).map(String::as_str),
    }
}

fn imported() -> impl Iterator<Item = &'static Table> {
    ["artifacts", "flow_runs", "work_pools"]
        .into_iter()
        .filter_map(tables::find)
}

impl World {
    /// Restores the contents of a backup. Records the objects that no reader can find, because their times are in the
    /// past.
    fn take_back(&mut self, backup: Store) {
        let before = self.store.clone();
        let mut late: Vec<Name> = Vec::new();
        for flow in backup.flows() {
            if before
                .flow(flow.id)
                .is_some_and(|it| it.updated != flow.updated)
            {
                late.push(("flows", flow.id));
            }
        }
        let was_other = |name: Name, updated| {
            let last = self.past.runs.get(&name);
            last.is_some_and(|last| last.updated != updated)
        };
        let is_late_run = |run: &FlowRun| match before.run(run.id) {
            Some(it) => it.updated != run.updated,
            None => run.state.kind.is_terminal() || was_other(("flow_runs", run.id), run.updated),
        };
        let runs = backup.runs().filter(|run| is_late_run(run));
        late.extend(runs.map(|run| ("flow_runs", run.id)));
        let is_late_task = |run: &TaskRun| match before.task_run(run.id) {
            Some(it) => it.updated != run.updated,
            None => run.state.kind.is_terminal() || was_other(("task_runs", run.id), run.updated),
        };
        let runs = backup.task_runs().filter(|run| is_late_task(run));
        late.extend(runs.map(|run| ("task_runs", run.id)));
        let flow_runs = backup.runs().map(|run| {
            let present = before.run(run.id).map(|it| it.end_time);
            (("flow_runs", run.id), run.state.kind, run.end_time, present)
        });
        let task_runs = backup.task_runs().map(|run| {
            let present = before.task_run(run.id).map(|it| it.end_time);
            (("task_runs", run.id), run.state.kind, run.end_time, present)
        });
        let ended = flow_runs
            .chain(task_runs)
            .filter(|(_, kind, end, present)| kind.is_terminal() && *present != Some(*end));
        let ended = ended.map(|(name, ..)| name);
        self.past.ended_by_restore.extend(ended);
        for (table, collection) in PLAIN.iter().copied() {
            for object in backup.objects(collection) {
                let known = before.object(collection, object.id);
                let is_late = match table {
                    "artifacts" | "logs" | "events" => {
                        known.is_none_or(|it| it.updated != object.updated)
                    }
                    "variables" => known.is_some_and(|it| it.updated != object.updated),
                    _ => false,
                };
                if is_late {
                    late.push((table, object.id));
                }
            }
        }
        self.store.restore(backup);
        let runs = late.iter().filter(|(table, _)| *table == "flow_runs");
        self.past.late_runs.extend(runs.map(|(_, id)| *id));
        self.past.out_of_order.extend(late);
        // If objects vanish and others come back, the number of objects can hide both.
        let (old, new) = (names(&before), names(&self.store));
        for table in ["flows", "variables"] {
            let only = |names: BTreeSet<Name>| -> Vec<Name> {
                names.into_iter().filter(|name| name.0 == table).collect()
            };
            let vanished = only(&old - &new);
            let back = only(&new - &old);
            if !vanished.is_empty() && !back.is_empty() {
                self.past.vanished.extend(vanished);
                self.past.out_of_order.extend(back);
            }
        }
        self.settle(false);
    }

    /// Inserts a flow run, a work pool and an artifact with times in the past.
    fn import(&mut self) {
        let days = self.rng.random_range(1..40);
        let then = self.store.now() - TimeDelta::days(days);
        let name = self.name("imported");
        let now = self.store.now();
        let Some(flow) = self.store.flows().map(|flow| flow.id).next() else {
            return;
        };
        self.store.set_now(then);
        let mut new = NewRun::new(flow);
        new.name = Some(name.clone());
        new.state = Some(NewState::new(StateType::Running));
        let (run, _) = self.store.create_run(new).expect("has its flow");
        let ends = self.rng.random_bool(0.5);
        if ends {
            self.store
                .set_state(run, NewState::new(StateType::Completed))
                .expect("is there");
        }
        let pool = json!({ "name": name, "description": "", "type": "process", "base_job_template": {},
            "is_paused": false, "concurrency_limit": null, "status": "READY", "default_queue_id": null });
        self.store.create_object(C::WorkPools, pool);
        let artifact = GenericObject::new(
            self.store.new_id(),
            then,
            json!({ "key": "k", "type": "markdown", "description": null, "data": "x",
                "metadata_": null, "flow_run_id": run, "task_run_id": null }),
        );
        let artifact_id = artifact.id;
        self.store.put_object(C::Artifacts, artifact);
        self.store.set_now(now);
        let events: Vec<Id> = self
            .store
            .objects(C::Events)
            .filter(|event| {
                event
                    .text("resource/prefect.resource.id")
                    .is_some_and(|id| id.ends_with(&run.to_string()))
            })
            .map(|event| event.id)
            .collect();
        let late = &mut self.past.out_of_order;
        late.extend(events.into_iter().map(|id| ("events", id)));
        late.insert(("artifacts", artifact_id));
        if ends {
            late.insert(("flow_runs", run));
            self.past.late_runs.insert(run);
        }
        self.log(|| format!("flow_runs {run}: imported, {days} days old"));
        self.settle(false);
    }

    /// Ends a running task run and a running flow run without an end time. Clients up to 3.1.6 do so after a timeout.
    fn end_without_end(&mut self) {
        let is_running = |run: &TaskRun| run.state.kind == StateType::Running;
        if let Some(id) = self.pick_task(is_running) {
            self.set_task(id, NewState::new(StateType::Failed).named("TimedOut"));
            let mut run = self.store.task_run(id).expect("is there").clone();
            run.end_time = None;
            self.store.put_task_run(run);
        }
        let is_running = |run: &FlowRun| run.state.kind == StateType::Running;
        if let Some(id) = self.pick_run(is_running) {
            self.set(id, NewState::new(StateType::Failed).named("TimedOut"));
            let mut run = self.store.run(id).expect("is there").clone();
            run.end_time = None;
            self.store.put_run(run);
        }
    }

    /// Creates task runs that wait for a result that never comes, and ends their flow run.
    fn never_ready(&mut self) {
        self.kind.retention = Some(TimeDelta::days(8));
        let Some(run) = self.pick_run(|run| run.state.kind == StateType::Running) else {
            return;
        };
        for _ in 0..self.rng.random_range(1..4) {
            let new = NewTaskRun {
                dynamic_key: self.name("call"),
                name: self.name("task"),
                state: Some(NewState::new(StateType::Pending).named("NotReady")),
                ..NewTaskRun::new(run, "task")
            };
            let (id, _) = self.store.create_task_run(new).expect("has its run");
            self.log(|| format!("task_runs {id}: never ready"));
        }
        self.moment();
        self.set(run, NewState::new(StateType::Completed));
        self.settle(false);
    }

    /// Creates runs with the same expected start, often more than a page holds.
    fn burst(&mut self) {
        let due = self.store.now() + TimeDelta::minutes(self.rng.random_range(-300..300));
        let kind = *[StateType::Scheduled, StateType::Pending]
            .choose(&mut self.rng)
            .expect("some");
        for _ in 0..self.rng.random_range(5..25) {
            self.kind.runs += 1;
            self.add_run(None, NewState::new(kind).due(due));
        }
        self.settle(false);
    }
}
