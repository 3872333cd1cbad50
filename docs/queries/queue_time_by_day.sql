-- question: How long did runs wait in each work pool before they started, day by day?
-- columns: day, work_pool, runs, p50_seconds, p95_seconds, max_seconds, workspace_id
-- deleted: deleted runs are left out (they never started)
-- needs: flow_runs
--
-- Waiting begins when a run was to start, or when it was made if that was later, and ends with its first start.
-- It holds both the wait for a worker and the start of the machine: queue_time_by_state tells them apart. Runs
-- without a work pool are left out: nothing hands them out.
with started as (
    select
        cast(start_time as date) as day,
        work_pool_name as work_pool,
        workspace_id,
        greatest(
            0.0,
            extract(epoch from start_time) - extract(epoch from greatest(expected_start_time, created))) as wait_seconds
    from tester.flow_runs
    where not _fivetran_deleted
        and start_time is not null
        and expected_start_time is not null
        and work_pool_name is not null
)
select
    day,
    work_pool,
    count(*) as runs,
    round(percentile_cont(0.5) within group (order by wait_seconds), 1) as p50_seconds,
    round(percentile_cont(0.95) within group (order by wait_seconds), 1) as p95_seconds,
    round(max(wait_seconds), 1) as max_seconds,
    workspace_id
from started
group by day, work_pool, workspace_id
order by day desc, runs desc, work_pool
