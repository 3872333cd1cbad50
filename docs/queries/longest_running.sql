-- question: Which runs have been running longest, and is that unusual for their flow?
-- columns: running_seconds, usual_p95_seconds, times_usual, flow, run, state_name, work_pool, start_time, flow_run_id, workspace_id
-- deleted: deleted runs are left out
-- needs: flows, flow_runs
--
-- As of the last sync: a run that has ended since still stands here. Usual is the 95th percentile of the flow's
-- completed runs. Time since the first start, pauses and waits between retries included.
with usual as (
    select
        flow_id,
        percentile_cont(0.95) within group (order by total_run_time) as p95_seconds
    from tester.flow_runs
    where not _fivetran_deleted and state_type = 'COMPLETED'
    group by flow_id
),
running as (
    select
        r.*,
        extract(epoch from current_timestamp) - extract(epoch from r.start_time) as seconds
    from tester.flow_runs as r
    where not r._fivetran_deleted
        and r.state_type in ('RUNNING', 'CANCELLING')
        and r.start_time is not null
)
select
    round(r.seconds, 0) as running_seconds,
    round(u.p95_seconds, 0) as usual_p95_seconds,
    round(r.seconds / nullif(u.p95_seconds, 0), 1) as times_usual,
    f.name as flow,
    r.name as run,
    r.state_name,
    r.work_pool_name as work_pool,
    r.start_time,
    r.id as flow_run_id,
    r.workspace_id
from running as r
left join usual as u on u.flow_id = r.flow_id
left join tester.flows as f on f.id = r.flow_id
order by running_seconds desc, flow_run_id
