//! Ordinary changes of everything else: artifacts, variables, pools, limits, automations, blocks, logs, events.

use std::sync::LazyLock;

use chrono::TimeDelta;
use fivetran_source::tables::{self, Strategy};
use prefect_fake::{GenericCollection as C, GenericObject, Id};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::world::{PLAIN, World};

/// The collections whose objects people create, change and delete.
static EDITED: LazyLock<Vec<C>> = LazyLock::new(|| {
    let is_edited = |table: &str| {
        let table = tables::find(table).expect("a table");
        !matches!(table.strategy, Strategy::AppendOnly(_))
    };
    let all = PLAIN.iter().filter(|(table, _)| is_edited(table));
    all.map(|(_, collection)| *collection).collect()
});
/// The largest number of objects of a collection.
const MOST: usize = 9;
/// The largest number of log lines and of artifacts. Custom events stop at three times this number of events.
const MOST_LINES: usize = 60;

/// Returns the name of a collection's table.
pub(super) fn table_of(collection: C) -> &'static str {
    super::world::table_of(collection)
        .expect("has a table")
        .name
}

/// Returns the first sample of a collection, under another name.
fn sample(collection: C, name: &str) -> Option<Value> {
    let text = collection.spec().samples.first()?;
    let mut fields: Value = serde_json::from_str(text).expect("JSON");
    fields["name"] = json!(name);
    Some(fields)
}

impl World {
    /// Creates some objects of each kind.
    pub(super) fn set_up(&mut self) {
        for _ in 0..3 {
            self.new_flow();
        }
        self.new_deployment();
        for collection in EDITED.iter().copied() {
            for _ in 0..self.rng.random_range(1..4) {
                self.create(collection);
                self.store.advance(TimeDelta::milliseconds(7));
            }
        }
        self.settle(false);
    }

    pub(super) fn change_thing(&mut self) {
        match self.rng.random_range(0..32) {
            0..=4 => self.write_logs(),
            5..=8 => self.tell_event(),
            9..=13 => self.create(C::Artifacts),
            14..=16 => self.heartbeat(),
            17..=23 => {
                let collection = *EDITED.choose(&mut self.rng).expect("some");
                self.create(collection);
            }
            24..=28 => {
                let collection = *EDITED.choose(&mut self.rng).expect("some");
                self.edit(collection);
            }
            _ => {
                let collection = *EDITED.choose(&mut self.rng).expect("some");
                self.delete(collection);
            }
        }
    }

    pub(super) fn pick(&mut self, collection: C) -> Option<Id> {
        let mut ids: Vec<Id> = self.store.objects(collection).map(|it| it.id).collect();
        ids.sort_unstable();
        ids.choose(&mut self.rng).copied()
    }

    /// Creates an object of a collection, or edits one if there are enough.
    fn create(&mut self, collection: C) {
        let most = if collection == C::Artifacts {
            MOST_LINES
        } else {
            MOST
        };
        if self.store.object_count(collection) >= most {
            return self.edit(collection);
        }
        let Some(fields) = self.fields(collection) else {
            return;
        };
        let id = self.store.create_object(collection, fields);
        self.log(|| format!("{} {id}: created", table_of(collection)));
    }

    /// Returns the fields of a new object, or `None` if its parent is missing.
    fn fields(&mut self, collection: C) -> Option<Value> {
        let name = self.name("thing");
        let n = self.made;
        Some(match collection {
            C::Artifacts => {
                let run = self.pick_run(|_| true);
                json!({ "key": format!("key-{}", n % 4), "type": "markdown", "description": null,
                    "data": format!("# {n}"), "metadata_": null, "flow_run_id": run, "task_run_id": null })
            }
            C::Variables => json!({ "name": name, "value": format!("{n}"), "tags": [] }),
            C::WorkPools => {
                json!({ "name": name, "description": "", "type": "process", "base_job_template": {},
                    "is_paused": false, "concurrency_limit": null, "status": "READY", "default_queue_id": null })
            }
            C::WorkQueues => {
                let pool = self.pick(C::WorkPools)?;
                let pool_name = self.store.object(C::WorkPools, pool)?.text("name")?;
                json!({ "name": name, "description": "", "is_paused": false, "concurrency_limit": null,
                    "priority": 1, "work_pool_id": pool, "work_pool_name": pool_name, "filter": null,
                    "last_polled": null, "status": "READY" })
            }
            C::Workers => {
                let pool = self.pick(C::WorkPools)?;
                json!({ "name": name, "work_pool_id": pool, "last_heartbeat_time": self.store.now(),
                    "heartbeat_interval_seconds": 30, "status": "ONLINE" })
            }
            C::Automations => {
                json!({ "name": name, "description": "", "enabled": true, "tags": [], "trigger": {},
                    "actions": [], "actions_on_trigger": [], "actions_on_resolve": [] })
            }
            C::ConcurrencyLimits => {
                json!({ "tag": name, "concurrency_limit": 3, "active_slots": [] })
            }
            C::ConcurrencyLimitsV2 => {
                // Sorts before the limits of tags, as the limits of deployments do.
                let name = format!("a-{name}");
                json!({ "active": true, "name": name, "limit": 5, "active_slots": 0, "slot_decay_per_second": 0.0 })
            }
            C::BlockTypes => {
                json!({ "name": name, "slug": format!("slug-{n}"), "logo_url": null, "documentation_url": null,
                    "description": "", "code_example": null, "is_protected": false })
            }
            C::BlockSchemas => {
                json!({ "checksum": format!("sha256:{n}"), "fields": {}, "block_type_id": self.pick(C::BlockTypes)?,
                    "block_type": null, "capabilities": [], "version": "1" })
            }
            C::BlockDocuments => {
                json!({ "name": name, "data": { "n": n }, "block_schema_id": self.pick(C::BlockSchemas)?,
                    "block_schema": null, "block_type_id": self.pick(C::BlockTypes)?, "block_type": null,
                    "block_document_references": {}, "is_anonymous": self.rng.random_bool(0.2) })
            }
            _ => return sample(collection, &name),
        })
    }

    /// Draws the delay with which log lines and events arrive. The delay is zero while a sync reads them, unless the
    /// history allows it: see [`KNOWN_FAILURES`](super::KNOWN_FAILURES). No delay reaches back beyond a jump of the
    /// `Date` header, which no longer shows how much time has passed.
    fn lateness(&mut self) -> TimeDelta {
        let late = TimeDelta::seconds(self.rng.random_range(0..600));
        let settled = self.date_moved.map(|moved| self.store.now() - moved);
        let late = settled.map_or(late, |settled| late.min(settled));
        if self.visit.is_under_way() && !self.late_during_syncs {
            TimeDelta::zero()
        } else {
            late
        }
    }

    /// Edits an object, as people do.
    fn edit(&mut self, collection: C) {
        let Some(id) = self.pick(collection) else {
            return;
        };
        let n = self.name("changed");
        let edit = self.store.edit_object(collection, id, |fields| {
            let names = [
                "value",
                "description",
                "data",
                "concurrency_limit",
                "limit",
                "heartbeat_interval_seconds",
                "version",
            ];
            let field = names.into_iter().find(|name| fields.contains_key(*name));
            let number = n.trim_start_matches("changed-").parse::<i64>();
            let value = match field {
                Some("concurrency_limit" | "limit" | "heartbeat_interval_seconds") => {
                    json!(number.expect("a number"))
                }
                Some("data") if fields["data"].is_object() => json!({ "n": n }),
                _ => json!(n),
            };
            fields.insert(field.unwrap_or("name").to_owned(), value);
        });
        edit.expect("is there");
        self.touch(table_of(collection), id, "edited");
    }

    /// Records a heartbeat of a worker and a poll of a queue: only volatile columns change.
    fn heartbeat(&mut self) {
        // Workers are listed by their heartbeat.
        if self.visit.is_under_way() && !self.late_during_syncs {
            return;
        }
        let now = self.store.now();
        if let Some(id) = self.pick(C::Workers) {
            self.store
                .edit_object(C::Workers, id, |fields| {
                    fields.insert("last_heartbeat_time".to_owned(), json!(now));
                })
                .expect("is there");
        }
        if let Some(id) = self.pick(C::WorkQueues) {
            self.store
                .edit_object(C::WorkQueues, id, |fields| {
                    fields.insert("last_polled".to_owned(), json!(now));
                })
                .expect("is there");
        }
    }

    fn delete(&mut self, collection: C) {
        if self.store.object_count(collection) > 1
            && let Some(id) = self.pick(collection)
        {
            self.store.delete_object(collection, id).expect("is there");
        }
    }

    /// Writes some log lines of a run, which may arrive late.
    fn write_logs(&mut self) {
        let Some(run) = self.pick_run(|_| true) else {
            return;
        };
        let late = self.lateness();
        for _ in 0..self.rng.random_range(1..5) {
            if self.store.object_count(C::Logs) >= MOST_LINES {
                return;
            }
            let now = self.store.now();
            let fields = json!({ "name": "prefect.flow_runs", "level": 20, "message": self.name("line"),
                "timestamp": now - late, "flow_run_id": run, "task_run_id": null });
            let id = self.store.create_object(C::Logs, fields);
            self.log(|| format!("logs {id}: written, {} s late", late.num_seconds()));
            if !self.ties || self.rng.random_bool(0.5) {
                self.moment();
            }
        }
    }

    /// Creates some events with the same time that are not changes of state.
    fn tell_event(&mut self) {
        if !self.store.settings().capabilities.events
            || self.store.object_count(C::Events) >= 3 * MOST_LINES
        {
            return;
        }
        let late = self.lateness();
        let at = self.store.now() - late;
        let name = *[
            "my.event",
            // An event of a flow run that is not a change of its state.
            "prefect.flow-run.pull-step.executed",
            "prefect.worker.started",
        ]
        .choose(&mut self.rng)
        .expect("some");
        let many = if self.ties {
            self.rng.random_range(1..4)
        } else {
            1
        };
        for _ in 0..many {
            let fields = json!({ "occurred": at, "event": name,
                "resource": { "prefect.resource.id": self.name("my.resource"), "prefect.resource.name": "n" },
                "related": [], "payload": {}, "follows": null, "received": self.store.now() });
            let id = self.store.new_id();
            let event = GenericObject::new(id, self.store.now(), fields);
            self.store.put_object(C::Events, event);
        }
    }
}
