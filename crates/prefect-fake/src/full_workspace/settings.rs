//! Objects that users create: work pools with queues and workers, variables, limits, automations.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::builder::WorkspaceBuilder;
use crate::{
    generic_collections::{GenericCollection as C, GenericObject},
    id::Id,
    model::Queue,
    store::Store,
};

pub(super) fn add(builder: &mut WorkspaceBuilder, store: &mut Store, queues: &[Queue]) {
    pools(builder, store, queues);
    variables(builder, store);
    limits(builder, store);
    automations(builder, store);
}

fn pools(builder: &mut WorkspaceBuilder, store: &mut Store, queues: &[Queue]) {
    let mut pools: BTreeMap<&str, Vec<&Queue>> = BTreeMap::new();
    for queue in queues {
        pools.entry(&queue.pool_name).or_default().push(queue);
    }
    for (name, queues) in pools {
        let Some(first) = queues.first() else {
            continue;
        };
        let kind = match name {
            "k8s-pool" => "kubernetes",
            "ecs-pool" => "ecs",
            _ => "process",
        };
        let created = builder.days_ago(300) - TimeDelta::days(90);
        let pool = pool(name, kind, first.id);
        store.put_object(
            C::WorkPools,
            GenericObject::new(first.pool_id, created, pool),
        );
        for (priority, queue) in (1..).zip(&queues) {
            let polled = builder.now - TimeDelta::seconds(builder.below(15));
            let fields = json!({
                "name": queue.name,
                "description": if priority == 1 { "The work pool's default queue." } else { "" },
                "is_paused": false,
                "concurrency_limit": if priority == 1 { None } else { Some(4) },
                "priority": priority,
                "work_pool_id": queue.pool_id,
                "work_pool_name": queue.pool_name,
                "filter": null,
                "last_polled": polled,
                "status": "READY",
                "active_slots": if priority == 1 { None } else { Some(0) },
            });
            let mut object = GenericObject::new(queue.id, created, fields);
            object.updated = polled;
            store.put_object(C::WorkQueues, object);
        }
        for number in 0..builder.below(3) {
            let id = store.new_id();
            let worker = worker(builder, first.pool_id, kind, number);
            let since = builder.days_ago(5);
            store.put_object(C::Workers, GenericObject::new(id, since, worker));
        }
    }
}

fn pool(name: &str, kind: &str, default_queue: Id) -> Value {
    json!({
        "name": name,
        "description": format!("Runs on {kind}"),
        "type": kind,
        "base_job_template": {
            "job_configuration": { "image": "{{ image }}", "env": "{{ env }}" },
            "variables": {
                "type": "object",
                "properties": {
                    "image": { "type": "string", "default": "prefecthq/prefect:3-latest" },
                    "env": { "type": "object" },
                },
            },
        },
        "is_paused": false,
        "concurrency_limit": if kind == "ecs" { Some(10) } else { None },
        "status": "READY",
        "default_queue_id": default_queue,
        "storage_configuration": {
            "bundle_upload_step": null,
            "bundle_execution_step": null,
            "default_result_storage_block_id": null,
        },
        "active_slots": 0,
    })
}

fn worker(builder: &mut WorkspaceBuilder, pool: Id, kind: &str, number: i64) -> Value {
    let online = builder.chance(0.7);
    let ago = if online { 30 } else { 86_400 };
    json!({
        "name": format!("{kind}-worker-{number}"),
        "work_pool_id": pool,
        "last_heartbeat_time": builder.now - TimeDelta::seconds(builder.below(ago)),
        "heartbeat_interval_seconds": 30,
        "status": if online { "ONLINE" } else { "OFFLINE" },
    })
}

fn variables(builder: &mut WorkspaceBuilder, store: &mut Store) {
    // Variables of 2.x are always text.
    let third = store.settings().capabilities.third_generation;
    let variables = [
        ("environment", json!("production"), json!(["env"])),
        ("batch_size", json!(500), json!([])),
        ("sample_ratio", json!(0.25), json!(["ml"])),
        (
            "countries",
            json!(["DE", "FR", "日本"]),
            json!(["etl", "eu"]),
        ),
        (
            "feature_flags",
            json!({ "new_loader": true, "limits": { "rows": 1_000_000 } }),
            json!([]),
        ),
        ("paused_until", Value::Null, json!([])),
        (
            "note_to_all",
            json!("naïve — “quoted”\n2nd line"),
            json!([]),
        ),
    ];
    for (name, value, tags) in variables {
        let value = if third || value.is_string() {
            value
        } else {
            Value::from(value.to_string())
        };
        let fields = json!({ "name": name, "value": value, "tags": tags });
        builder.put(store, C::Variables, fields);
    }
}

fn limits(builder: &mut WorkspaceBuilder, store: &mut Store) {
    for (tag, limit) in [("db", 3), ("pii", 1), ("équipe-données", 10)] {
        let fields = json!({ "tag": tag, "concurrency_limit": limit, "active_slots": [] });
        builder.put(store, C::ConcurrencyLimits, fields);
    }
    for (name, limit, decay) in [("api-calls", 5, 0.1), ("warehouse", 20, 0.0)] {
        let fields = json!({
            "active": true,
            "name": name,
            "limit": limit,
            "active_slots": builder.below(3),
            "slot_decay_per_second": decay,
        });
        builder.put(store, C::ConcurrencyLimitsV2, fields);
    }
}

fn automations(builder: &mut WorkspaceBuilder, store: &mut Store) {
    let automations = [
        (
            "notify on failure",
            "prefect.flow-run.Failed",
            "Reactive",
            true,
        ),
        (
            "alert on crash",
            "prefect.flow-run.Crashed",
            "Reactive",
            true,
        ),
        (
            "stale nightly",
            "prefect.flow-run.Completed",
            "Proactive",
            false,
        ),
    ];
    for (name, expected, posture, enabled) in automations {
        let trigger = json!({
            "type": "event",
            "id": store.new_id(),
            "match": { "prefect.resource.id": "prefect.flow-run.*" },
            "match_related": {},
            "after": [],
            "expect": [expected],
            "for_each": ["prefect.resource.id"],
            "posture": posture,
            "threshold": 1,
            "within": if posture == "Proactive" { 3_600.0 } else { 0.0 },
        });
        let fields = json!({
            "name": name,
            "description": format!("When {expected}"),
            "enabled": enabled,
            "tags": ["alerts"],
            "trigger": trigger,
            "actions": [{ "type": "do-nothing" }],
            "actions_on_trigger": [],
            "actions_on_resolve": [],
        });
        builder.put(store, C::Automations, fields);
    }
}
