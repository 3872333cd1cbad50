//! `task_runs`: one row per run of a task, with its current state.
//!
//! `POST /task_runs/filter`, read like `flow_runs` (`docs/SYNC.md`). Prefect 3 writes task runs from events of the
//! client, so they may appear late, with times of the client's clock. Servers before 3.7 cannot filter by
//! `end_time`, and those before 3.0 cannot filter by any time.

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
    name: "task_runs",
    doc: "One row per task run, with its current state.",
    endpoint: "/task_runs",
    strategy: Strategy::Runs,
    columns: &[
        ID,
        WORKSPACE_ID,
        CREATED,
        UPDATED,
        Column::new("name", ColumnType::String, &["name"], "The run's name.").required(),
        Column::new(
            "flow_run_id",
            ColumnType::String,
            &["flow_run_id"],
            "The flow run that contains the task run; null for a task that runs outside a flow.",
        )
        .may_dangle("flow_runs"),
        Column::new(
            "task_key",
            ColumnType::String,
            &["task_key"],
            "The key of the task, the same for all its runs.",
        ),
        Column::new(
            "dynamic_key",
            ColumnType::String,
            &["dynamic_key"],
            "The key that distinguishes the runs of one task in a flow run.",
        ),
        Column::new(
            "task_version",
            ColumnType::String,
            &["task_version"],
            "The task's version.",
        ),
        STATE_ID,
        STATE_TYPE,
        STATE_NAME,
        STATE_TIMESTAMP,
        STATE_MESSAGE,
        STATE_DATA,
        STATE_DETAILS,
        Column::new(
            "task_inputs",
            ColumnType::Json,
            &["task_inputs"],
            "The sources of its arguments, an object; see task_run_dependencies.",
        ),
        Column::new(
            "cache_key",
            ColumnType::String,
            &["cache_key"],
            "The key under which its result is cached.",
        ),
        Column::new(
            "cache_expiration",
            ColumnType::UtcDatetime,
            &["cache_expiration"],
            "The time at which the cached result expires.",
        ),
        EMPIRICAL_POLICY_MAX_RETRIES,
        EMPIRICAL_POLICY_RETRY_DELAY_SECONDS,
        EMPIRICAL_POLICY_RETRIES,
        Column::new(
            "empirical_policy_retry_delay",
            ColumnType::Json,
            &["empirical_policy.retry_delay"],
            "Seconds between retries, a number or a list of numbers.",
        ),
        Column::new(
            "empirical_policy_retry_jitter_factor",
            ColumnType::Double,
            &["empirical_policy.retry_jitter_factor"],
            "The factor by which the delay varies.",
        ),
        TAGS,
        LABELS,
        RUN_COUNT,
        Column::new(
            "flow_run_run_count",
            ColumnType::Long,
            &["flow_run_run_count"],
            "How many times its flow run had been started when the task run started.",
        ),
        EXPECTED_START_TIME,
        NEXT_SCHEDULED_START_TIME,
        START_TIME,
        END_TIME,
        TOTAL_RUN_TIME,
        ESTIMATED_RUN_TIME,
        ESTIMATED_START_TIME_DELTA,
        UNMAPPED,
    ],
    samples: &[
        r#"{"id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b","created":"2026-11-21T00:03:18.300158Z","updated":"2026-11-21T00:03:18.412000Z","name":"extract-5","flow_run_id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3","task_key":"etl.extract","dynamic_key":"5","cache_key":null,"cache_expiration":null,"task_version":"abc","empirical_policy":{"max_retries":0,"retry_delay_seconds":0.0,"retries":2,"retry_delay":5,"retry_jitter_factor":null},"tags":["t"],"labels":{"team":"data","tier":1,"prefect.flow.id":"d4453061-cbf7-49ee-a53e-db20e4b2e7c0","prefect.flow-run.id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3"},"state_id":"01a1fb6a-1f08-71e0-ae04-fc3df01a1c04","task_inputs":{"x":[{"input_type":"task_run","id":"6c24a543-89f8-4c70-9708-ad54f1ccad0f"}]},"state_type":"COMPLETED","state_name":"Completed","run_count":1,"flow_run_run_count":0,"expected_start_time":"2026-11-21T00:03:18.299909Z","next_scheduled_start_time":null,"start_time":"2026-11-21T00:03:18.392943Z","end_time":"2026-11-21T00:03:18.408879Z","total_run_time":0.015936,"estimated_run_time":0.015936,"estimated_start_time_delta":0.093034,"state":{"id":"01a1fb6a-1f08-71e0-ae04-fc3df01a1c04","type":"COMPLETED","name":"Completed","timestamp":"2026-11-21T00:03:18.408879Z","message":null,"data":null,"state_details":{"flow_run_id":"6fae67ae-1c56-43d3-b6a3-e958ea4ee5c3","task_run_id":"7bef1174-8a41-4bae-ac54-020c6b9ef74b","child_flow_run_id":"a57af7e3-f6b3-431a-98b4-56510a255a82","scheduled_time":null,"cache_key":null,"cache_expiration":null,"deferred":false,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null,"traceparent":null,"deployment_concurrency_lease_id":null}}}"#,
        r#"{"id":"f511266f-88a9-4152-b400-a5a82b215fc8","created":"2026-11-21T00:03:25.468034+00:00","updated":"2026-11-21T00:03:25.568000+00:00","name":"extract-4","flow_run_id":null,"task_key":"etl.extract","dynamic_key":"4","cache_key":null,"cache_expiration":null,"task_version":"abc","empirical_policy":{"max_retries":0,"retry_delay_seconds":0.0,"retries":2,"retry_delay":5,"retry_jitter_factor":null},"tags":["t"],"state_id":"3cde8da1-2574-4bdc-b7f2-5d4f9f165968","task_inputs":{"x":[{"input_type":"constant","type":"int"}]},"state_type":"COMPLETED","state_name":"Completed","run_count":1,"flow_run_run_count":0,"expected_start_time":"2026-11-21T00:03:25.467775+00:00","next_scheduled_start_time":null,"start_time":"2026-11-21T00:03:25.498976+00:00","end_time":"2026-11-21T00:03:25.560241+00:00","total_run_time":0.061265,"estimated_run_time":0.061265,"estimated_start_time_delta":0.031201,"state":{"id":"3cde8da1-2574-4bdc-b7f2-5d4f9f165968","type":"COMPLETED","name":"Completed","timestamp":"2026-11-21T00:03:25.560241+00:00","message":null,"data":null,"state_details":{"flow_run_id":null,"task_run_id":"f511266f-88a9-4152-b400-a5a82b215fc8","child_flow_run_id":null,"scheduled_time":null,"cache_key":null,"cache_expiration":null,"untrackable_result":false,"pause_timeout":null,"pause_reschedule":false,"pause_key":null,"run_input_keyset":null,"refresh_cache":null,"retriable":null,"transition_id":null,"task_parameters_id":null}}}"#,
    ],
    ..Table::DEFAULT
};
