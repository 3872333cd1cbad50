-- question: Do runs wait for a worker, or for the machine that the worker starts?
-- columns: day, work_pool, runs, p50_worker_seconds, p95_worker_seconds, p50_machine_seconds, p95_machine_seconds, workspace_id
-- deleted: deleted runs are left out; the history itself has no deletes
-- needs: flow_runs, flow_run_state_history
-- optional: flow_run_state_history
--
-- Worker: from when the run was to start (or was made, if that was later) to its first PENDING, when a worker took
-- it. Machine: from there (or from when the run was to start, since workers take runs some seconds early) to its first
-- RUNNING. Only runs whose first PENDING and first RUNNING are both in the
-- history, and in that order; a run that began before the history does is left out.
with first_states as (
    select
        flow_run_id,
        min(case when state_type = 'PENDING' then occurred end) as pending,
        min(case when state_type = 'RUNNING' then occurred end) as running
    from tester.flow_run_state_history
    group by flow_run_id
),
waits as (
    select
        cast(s.running as date) as day,
        r.work_pool_name as work_pool,
        r.workspace_id,
        greatest(
            0.0,
            extract(epoch from s.pending) - extract(epoch from greatest(r.expected_start_time, r.created))) as worker_seconds,
        greatest(
            0.0,
            extract(epoch from s.running) - extract(epoch from greatest(s.pending, r.expected_start_time))) as machine_seconds
    from first_states as s
    inner join tester.flow_runs as r on r.id = s.flow_run_id
    where not r._fivetran_deleted
        and r.work_pool_name is not null
        and r.expected_start_time is not null
        and s.pending <= s.running
)
select
    day,
    work_pool,
    count(*) as runs,
    round(percentile_cont(0.5) within group (order by worker_seconds), 1) as p50_worker_seconds,
    round(percentile_cont(0.95) within group (order by worker_seconds), 1) as p95_worker_seconds,
    round(percentile_cont(0.5) within group (order by machine_seconds), 1) as p50_machine_seconds,
    round(percentile_cont(0.95) within group (order by machine_seconds), 1) as p95_machine_seconds,
    workspace_id
from waits
group by day, work_pool, workspace_id
order by day desc, runs desc, work_pool
