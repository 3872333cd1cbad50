//! `deployments`: one row per deployment, with its schedules.
//!
//! `POST /deployments/filter`. On Prefect 3 a schedule, `status` and `last_polled` change without moving
//! `updated`; on Prefect 2 every worker poll moves `updated`. So all deployments are read at every sync and
//! compared by fingerprint, and a new `updated` alone is not a reason to send one.

use super::{
    CREATED, Column, ColumnType, ID, LABELS, Listing, LookUp, Strategy, TAGS, Table, UNMAPPED,
    UPDATED, WORKSPACE_ID,
};

pub(super) static TABLE: Table = Table {
    name: "deployments",
    doc: "One row per deployment.",
    endpoint: "/deployments",
    strategy: Strategy::Snapshot(Listing {
        sort: Some("CREATED_DESC"),
        order: "created",
        look_up: LookUp::Filter,
        each: None,
        second: None,
    }),
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED.volatile(),
        Column::new(
            "name",
            ColumnType::String,
            &["name"],
            "The deployment's name, unique for its flow.",
        ),
        Column::new(
            "flow_id",
            ColumnType::String,
            &["flow_id"],
            "The deployed flow (flows.id).",
        )
        .references("flows"),
        Column::new(
            "version",
            ColumnType::String,
            &["version"],
            "The deployment's version.",
        ),
        Column::new(
            "description",
            ColumnType::String,
            &["description"],
            "The description of the deployment.",
        ),
        Column::new(
            "status",
            ColumnType::String,
            &["status"],
            "READY while a worker polls for its runs, otherwise NOT_READY.",
        ),
        Column::new(
            "paused",
            ColumnType::Boolean,
            &["paused"],
            "True if all its schedules are paused.",
        ),
        Column::new(
            "is_schedule_active",
            ColumnType::Boolean,
            &["is_schedule_active"],
            "True if its schedule is active (see paused).",
        )
        .releases("2.x"),
        Column::new(
            "schedule",
            ColumnType::Json,
            &["schedule", "schedules.0.schedule"],
            "The first schedule (cron, interval or rrule), an object.",
        ),
        Column::new(
            "schedules",
            ColumnType::Json,
            &["schedules"],
            "All schedules with their ids and settings, a list of objects.",
        ),
        Column::new(
            "concurrency_limit",
            ColumnType::Long,
            &["concurrency_limit"],
            "The maximum number of concurrent runs (superseded by global_concurrency_limit_limit).",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_id",
            ColumnType::String,
            &["global_concurrency_limit.id"],
            "The concurrency limit that Prefect keeps for the deployment.",
        )
        .may_dangle("global_concurrency_limits")
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_name",
            ColumnType::String,
            &["global_concurrency_limit.name"],
            "The name of that limit.",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_active",
            ColumnType::Boolean,
            &["global_concurrency_limit.active"],
            "True if that limit is enforced.",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_limit",
            ColumnType::Long,
            &["global_concurrency_limit.limit"],
            "The maximum number of concurrent runs.",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_active_slots",
            ColumnType::Long,
            &["global_concurrency_limit.active_slots"],
            "The number of slots in use when the row was read.",
        )
        .volatile()
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_slot_decay_per_second",
            ColumnType::Double,
            &["global_concurrency_limit.slot_decay_per_second"],
            "The number of slots released per second.",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_created",
            ColumnType::UtcDatetime,
            &["global_concurrency_limit.created"],
            "The time at which that limit was created.",
        )
        .releases("3.x"),
        Column::new(
            "global_concurrency_limit_updated",
            ColumnType::UtcDatetime,
            &["global_concurrency_limit.updated"],
            "The time of that limit's last change; every slot that is taken changes it.",
        )
        .volatile()
        .releases("3.x"),
        Column::new(
            "concurrency_options_collision_strategy",
            ColumnType::String,
            &["concurrency_options.collision_strategy"],
            "The treatment of a run beyond the limit: ENQUEUE or CANCEL_NEW.",
        )
        .releases("3.x"),
        Column::new(
            "concurrency_options_grace_period_seconds",
            ColumnType::Long,
            &["concurrency_options.grace_period_seconds"],
            "The time for which a starting run may hold its slot, in seconds.",
        )
        .releases("3.x"),
        Column::new(
            "parameters",
            ColumnType::Json,
            &["parameters"],
            "Default parameters of its runs, an object.",
        ),
        Column::new(
            "parameter_openapi_schema",
            ColumnType::Json,
            &["parameter_openapi_schema"],
            "The schema of its parameters, an object.",
        ),
        Column::new(
            "enforce_parameter_schema",
            ColumnType::Boolean,
            &["enforce_parameter_schema"],
            "True if parameters are checked against the schema.",
        ),
        Column::new(
            "job_variables",
            ColumnType::Json,
            &["job_variables", "infra_overrides"],
            "Overrides of the work pool's job template, an object (infra_overrides on Prefect 2).",
        ),
        TAGS,
        LABELS,
        Column::new(
            "work_pool_name",
            ColumnType::String,
            &["work_pool_name"],
            "The work pool.",
        ),
        Column::new(
            "work_queue_name",
            ColumnType::String,
            &["work_queue_name"],
            "The work queue.",
        ),
        Column::new(
            "work_queue_id",
            ColumnType::String,
            &["work_queue_id"],
            "The work queue's id.",
        )
        .may_dangle("work_queues")
        .releases("3.x"),
        Column::new(
            "last_polled",
            ColumnType::UtcDatetime,
            &["last_polled"],
            "The time at which a worker last polled for its runs.",
        )
        .volatile(),
        Column::new(
            "path",
            ColumnType::String,
            &["path"],
            "The path of the code, relative to the storage.",
        ),
        Column::new(
            "entrypoint",
            ColumnType::String,
            &["entrypoint"],
            "The flow function: path/to/file.py:function.",
        ),
        Column::new(
            "pull_steps",
            ColumnType::Json,
            &["pull_steps"],
            "The steps by which a worker fetches the code, a list.",
        ),
        Column::new(
            "manifest_path",
            ColumnType::String,
            &["manifest_path"],
            "The path of the manifest.",
        )
        .releases("2.x"),
        Column::new(
            "storage_document_id",
            ColumnType::String,
            &["storage_document_id"],
            "The storage block.",
        )
        .may_dangle("block_documents"),
        Column::new(
            "infrastructure_document_id",
            ColumnType::String,
            &["infrastructure_document_id"],
            "The infrastructure block.",
        )
        .may_dangle("block_documents"),
        Column::new(
            "created_by_id",
            ColumnType::String,
            &["created_by.id"],
            "The id of the creator.",
        ),
        Column::new(
            "created_by_type",
            ColumnType::String,
            &["created_by.type"],
            "The type of the creator: USER and so on.",
        ),
        Column::new(
            "created_by_display_value",
            ColumnType::String,
            &["created_by.display_value"],
            "The name of the creator.",
        ),
        Column::new(
            "updated_by_id",
            ColumnType::String,
            &["updated_by.id"],
            "The id of the last editor.",
        ),
        Column::new(
            "updated_by_type",
            ColumnType::String,
            &["updated_by.type"],
            "The type of the last editor: USER and so on.",
        ),
        Column::new(
            "updated_by_display_value",
            ColumnType::String,
            &["updated_by.display_value"],
            "The name of the last editor.",
        ),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"a12c151f-e7c4-4f82-9ecc-01519087bb0a","created":"2026-11-21T00:03:17.000050Z","updated":"2026-11-21T00:03:17.024000Z","name":"prod","version":"1.2.3","description":"daily orders","flow_id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0","paused":false,"schedules":[{"id":"6e56422a-7614-46ab-988c-c39b4e43ad66","created":"2026-11-21T00:03:17.016665Z","updated":"2026-11-21T00:03:17.016671Z","deployment_id":"a12c151f-e7c4-4f82-9ecc-01519087bb0a","schedule":{"interval":3600.0,"anchor_date":"2026-01-01T00:00:00Z","timezone":"UTC"},"active":true,"max_scheduled_runs":null,"parameters":{},"slug":null},{"id":"39ade066-2803-4ea7-8664-6d4621802bb8","created":"2026-11-21T00:03:17.016623Z","updated":"2026-11-21T00:03:17.016654Z","deployment_id":"a12c151f-e7c4-4f82-9ecc-01519087bb0a","schedule":{"cron":"0 6 * * *","timezone":"Europe/Berlin","day_or":true},"active":true,"max_scheduled_runs":null,"parameters":{"mode":"full"},"slug":"daily"}],"concurrency_limit":null,"global_concurrency_limit":{"id":"0d358a7c-24f4-4f99-be6d-392700352fdd","created":"2026-11-21T00:03:17.022489Z","updated":"2026-11-21T00:03:18.057000Z","active":true,"name":"deployment:a12c151f-e7c4-4f82-9ecc-01519087bb0a","limit":2,"active_slots":0,"slot_decay_per_second":0.0},"concurrency_options":{"collision_strategy":"ENQUEUE","grace_period_seconds":600},"job_variables":{"env":{"REGION":"example"}},"parameters":{"region":"eu","batch":500,"owner":"example"},"tags":["prod","eu"],"labels":{"team":"data","tier":1,"prefect.flow.id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0","env":"prod"},"work_queue_name":"high","work_queue_id":"9c77ba6a-5bf4-485a-95db-2d83e8fe12bf","last_polled":null,"parameter_openapi_schema":{},"path":"/opt/flows","pull_steps":[],"entrypoint":"flows/etl.py:etl","storage_document_id":null,"infrastructure_document_id":null,"created_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"USER","display_value":"ada"},"updated_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"USER","display_value":"ada"},"work_pool_name":"k8s-pool","status":"NOT_READY","enforce_parameter_schema":false}"#,
        r#"{"id":"d2dc279d-8425-4341-a6b1-2b8a24732dfa","created":"2026-11-21T00:03:22.846531+00:00","updated":"2026-11-21T00:03:22.844519+00:00","infra_overrides":{"env":{"REGION":"example"}},"name":"prod","version":"1.2.3","description":"daily orders","flow_id":"519adae8-3f36-4e84-9e15-7f03ce5b9d4f","schedule":{"interval":3600.0,"anchor_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"},"is_schedule_active":true,"paused":false,"schedules":[{"id":"ae7aea7a-7b70-43e3-bb48-272d1074db9d","created":"2026-11-21T00:03:22.852978+00:00","updated":"2026-11-21T00:03:22.852981+00:00","deployment_id":"d2dc279d-8425-4341-a6b1-2b8a24732dfa","schedule":{"interval":3600.0,"anchor_date":"2026-01-01T00:00:00+00:00","timezone":"UTC"},"active":true,"max_active_runs":null,"max_scheduled_runs":null,"catchup":false},{"id":"5c9a7dbc-7f9e-4c03-a232-eed7e0362d3c","created":"2026-11-21T00:03:22.852961+00:00","updated":"2026-11-21T00:03:22.852972+00:00","deployment_id":"d2dc279d-8425-4341-a6b1-2b8a24732dfa","schedule":{"cron":"0 6 * * *","timezone":"Europe/Berlin","day_or":true},"active":true,"max_active_runs":null,"max_scheduled_runs":null,"catchup":false}],"parameters":{"region":"eu","batch":500,"owner":"example"},"tags":["prod","eu"],"work_queue_name":"high","last_polled":null,"parameter_openapi_schema":null,"path":"/opt/flows","pull_steps":null,"entrypoint":"flows/etl.py:etl","manifest_path":null,"storage_document_id":null,"infrastructure_document_id":null,"created_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"USER","display_value":"ada"},"updated_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"USER","display_value":"ada"},"work_pool_name":"k8s-pool","status":"NOT_READY","enforce_parameter_schema":false}"#,
    ],
    ..Table::DEFAULT
};
