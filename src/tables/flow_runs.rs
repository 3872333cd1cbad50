//! `flow_runs`: one row per run of a flow, with its current state.
//!
//! `POST /flow_runs/filter`. No server can filter or sort runs by `updated`, and ids are not in order of time, so
//! several readers share the table (`docs/SYNC.md`). `estimated_*` are computed at each read and never count as a
//! change. A run that ages out of Prefect is not deleted here.

use super::{
    CREATED, Column, ColumnType, ID, LABELS, Strategy, TAGS, Table, UNMAPPED, UPDATED,
    WORKSPACE_ID,
    run_columns::{
        EMPIRICAL_POLICY_MAX_RETRIES, EMPIRICAL_POLICY_RETRIES,
        EMPIRICAL_POLICY_RETRY_DELAY_SECONDS, END_TIME, ESTIMATED_RUN_TIME,
        ESTIMATED_START_TIME_DELTA, EXPECTED_START_TIME, NEXT_SCHEDULED_START_TIME, RUN_COUNT,
        START_TIME, STATE_DATA, STATE_DETAILS, STATE_ID, STATE_MESSAGE, STATE_NAME,
        STATE_TIMESTAMP, STATE_TYPE, TOTAL_RUN_TIME,
    },
};

pub(super) static TABLE: Table = Table {
    name: "flow_runs",
    doc: "One row per flow run, with its current state.",
    endpoint: "/flow_runs",
    strategy: Strategy::Runs,
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new("name", ColumnType::String, &["name"], "The run's name."),
        Column::new(
            "flow_id",
            ColumnType::String,
            &["flow_id"],
            "The flow (flows.id).",
        )
        .references("flows"),
        STATE_ID,
        STATE_TYPE,
        STATE_NAME,
        STATE_TIMESTAMP,
        STATE_MESSAGE,
        STATE_DATA,
        STATE_DETAILS,
        Column::new(
            "deployment_id",
            ColumnType::String,
            &["deployment_id"],
            "The deployment that created the run (deployments.id); kept after the deployment is deleted.",
        )
        .may_dangle("deployments"),
        Column::new(
            "deployment_version",
            ColumnType::String,
            &["deployment_version"],
            "The deployment's version when the run was created.",
        ),
        Column::new(
            "work_pool_id",
            ColumnType::String,
            &["work_pool_id"],
            "The work pool.",
        )
        .may_dangle("work_pools")
        .as_sent(),
        Column::new(
            "work_pool_name",
            ColumnType::String,
            &["work_pool_name"],
            "The work pool's name.",
        )
        .as_sent(),
        Column::new(
            "work_queue_id",
            ColumnType::String,
            &["work_queue_id"],
            "The work queue.",
        )
        .may_dangle("work_queues")
        .as_sent(),
        Column::new(
            "work_queue_name",
            ColumnType::String,
            &["work_queue_name"],
            "The work queue's name.",
        )
        .as_sent(),
        Column::new(
            "flow_version",
            ColumnType::String,
            &["flow_version"],
            "The flow's version when the run was created.",
        ),
        Column::new(
            "parameters",
            ColumnType::Json,
            &["parameters"],
            "The run's parameters, an object.",
        ),
        Column::new(
            "job_variables",
            ColumnType::Json,
            &["job_variables"],
            "Overrides of the work pool's job template, an object.",
        ),
        Column::new(
            "context",
            ColumnType::Json,
            &["context"],
            "Context given by the creator, an object.",
        ),
        Column::new(
            "idempotency_key",
            ColumnType::String,
            &["idempotency_key"],
            "The key that prevents creating the run twice.",
        ),
        EMPIRICAL_POLICY_MAX_RETRIES,
        EMPIRICAL_POLICY_RETRY_DELAY_SECONDS,
        EMPIRICAL_POLICY_RETRIES,
        Column::new(
            "empirical_policy_retry_delay",
            ColumnType::Long,
            &["empirical_policy.retry_delay"],
            "Seconds between retries.",
        ),
        Column::new(
            "empirical_policy_pause_keys",
            ColumnType::Json,
            &["empirical_policy.pause_keys"],
            "The keys of the pauses that the run has passed, a list of strings.",
        ),
        Column::new(
            "empirical_policy_resuming",
            ColumnType::Boolean,
            &["empirical_policy.resuming"],
            "True if the run is resuming from a pause.",
        ),
        Column::new(
            "empirical_policy_retry_type",
            ColumnType::String,
            &["empirical_policy.retry_type"],
            "The type of retry: in_process or reschedule.",
        ),
        TAGS,
        LABELS,
        Column::new(
            "parent_task_run_id",
            ColumnType::String,
            &["parent_task_run_id"],
            "The task run that started this run as a subflow.",
        )
        .may_dangle("task_runs")
        .as_sent(),
        RUN_COUNT,
        EXPECTED_START_TIME,
        NEXT_SCHEDULED_START_TIME,
        START_TIME,
        END_TIME,
        TOTAL_RUN_TIME,
        ESTIMATED_RUN_TIME,
        ESTIMATED_START_TIME_DELTA,
        Column::new(
            "auto_scheduled",
            ColumnType::Boolean,
            &["auto_scheduled"],
            "True if a schedule created the run.",
        ),
        Column::new(
            "infrastructure_document_id",
            ColumnType::String,
            &["infrastructure_document_id"],
            "The infrastructure block of the run.",
        )
        .may_dangle("block_documents"),
        Column::new(
            "infrastructure_pid",
            ColumnType::String,
            &["infrastructure_pid"],
            "The id of its process, job or container.",
        ),
        Column::new(
            "created_by_id",
            ColumnType::String,
            &["created_by.id"],
            "The id of the run's creator.",
        ),
        Column::new(
            "created_by_type",
            ColumnType::String,
            &["created_by.type"],
            "The type of the run's creator: USER, DEPLOYMENT, AUTOMATION and so on.",
        ),
        Column::new(
            "created_by_display_value",
            ColumnType::String,
            &["created_by.display_value"],
            "The name of the run's creator.",
        ),
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"f1500b1b-107e-4203-84de-86adc58caf6c","created":"2026-11-21T00:03:17.955000Z","updated":"2026-11-21T00:03:17.986000Z","name":"cached","flow_id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0","state_id":"01a1fb6a-1d5d-7c42-80ee-5dec51812db1","deployment_id":null,"deployment_version":null,"work_queue_id":null,"work_queue_name":null,"flow_version":null,"parameters":{"x":1},"idempotency_key":null,"context":{},"empirical_policy":{"max_retries":0,"retry_delay_seconds":0.0,"retries":null,"retry_delay":null,"pause_keys":[],"resuming":false,"retry_type":null},"tags":["api"],"labels":{"team":"data","tier":1,"prefect.flow.id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0"},"parent_task_run_id":null,"state_type":"COMPLETED","state_name":"Cached","run_count":1,"expected_start_time":"2026-11-21T00:03:17.954755Z","next_scheduled_start_time":null,"start_time":"2026-11-21T00:03:17.971364Z","end_time":"2026-11-21T00:03:17.981457Z","total_run_time":0.010093,"estimated_run_time":0.010093,"estimated_start_time_delta":0.016609,"auto_scheduled":false,"infrastructure_document_id":null,"infrastructure_pid":null,"created_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"DEPLOYMENT","display_value":"prod"},"work_pool_id":null,"work_pool_name":null,"state":{"id":"01a1fb6a-1d5d-7c42-80ee-5dec51812db1","type":"COMPLETED","name":"Cached","timestamp":"2026-11-21T00:03:17.981457Z","message":null,"data":null,"state_details":{"flow_run_id":"f1500b1b-107e-4203-84de-86adc58caf6c","task_run_id":null,"child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"deferred":false,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null,"traceparent":null,"deployment_concurrency_lease_id":null}},"job_variables":{}}"#,
        r#"{"id":"df584c12-282f-44c0-a81a-6d531da39620","created":"2026-11-21T00:03:24.806027+00:00","updated":"2026-11-21T00:03:24.894000+00:00","name":"cached","flow_id":"519adae8-3f36-4e84-9e15-7f03ce5b9d4f","state_id":"66cd30a9-3f47-4e27-9d52-373fd4bc28b8","deployment_id":null,"deployment_version":null,"work_queue_id":null,"work_queue_name":null,"flow_version":null,"parameters":{"x":1},"idempotency_key":null,"context":{},"empirical_policy":{"max_retries":0,"retry_delay_seconds":0.0,"retries":null,"retry_delay":null,"pause_keys":[],"resuming":false,"retry_type":null},"tags":["api"],"parent_task_run_id":null,"state_type":"COMPLETED","state_name":"Cached","run_count":1,"expected_start_time":"2026-11-21T00:03:24.805761+00:00","next_scheduled_start_time":null,"start_time":"2026-11-21T00:03:24.845234+00:00","end_time":"2026-11-21T00:03:24.883136+00:00","total_run_time":0.037902,"estimated_run_time":0.037902,"estimated_start_time_delta":0.039473,"auto_scheduled":false,"infrastructure_document_id":null,"infrastructure_pid":null,"created_by":{"id":"9b1f0c52-6d0e-4d7a-9a55-1c8d6e1f2a3b","type":"DEPLOYMENT","display_value":"prod"},"work_pool_id":null,"work_pool_name":null,"state":{"id":"66cd30a9-3f47-4e27-9d52-373fd4bc28b8","type":"COMPLETED","name":"Cached","timestamp":"2026-11-21T00:03:24.883136+00:00","message":null,"data":null,"state_details":{"flow_run_id":"df584c12-282f-44c0-a81a-6d531da39620","task_run_id":null,"child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null}},"job_variables":{}}"#,
    ],
    ..Table::DEFAULT
};
