-- question: How late do the runs of each deployment start?
-- columns: work_pool, deployment, runs, p50_seconds, p95_seconds, p99_seconds, max_seconds, share_over_a_minute, workspace_id
-- deleted: deleted runs are left out (they never started); runs of a deleted deployment count, under its name
-- needs: deployments, flow_runs
--
-- Late is the time from the expected start to the first start, 0 where a run began before it was to. Runs that
-- never started have no lateness: late_runs has those that are still to start. A deployment without a name here is
-- one that was gone before the first sync; its id stands for it.
with started as (
    select
        coalesce(r.work_pool_name, 'none') as work_pool,
        coalesce(d.name, r.deployment_id) as deployment,
        r.deployment_id,
        r.workspace_id,
        greatest(0.0, extract(epoch from r.start_time) - extract(epoch from r.expected_start_time)) as late_seconds
    from tester.flow_runs as r
    left join tester.deployments as d on d.id = r.deployment_id
    where not r._fivetran_deleted
        and r.deployment_id is not null
        and r.start_time is not null
        and r.expected_start_time is not null
)
select
    work_pool,
    deployment,
    count(*) as runs,
    round(percentile_cont(0.5) within group (order by late_seconds), 1) as p50_seconds,
    round(percentile_cont(0.95) within group (order by late_seconds), 1) as p95_seconds,
    round(percentile_cont(0.99) within group (order by late_seconds), 1) as p99_seconds,
    round(max(late_seconds), 1) as max_seconds,
    round(avg(case when late_seconds > 60 then 1.0 else 0.0 end), 3) as share_over_a_minute,
    workspace_id
from started
group by work_pool, deployment, deployment_id, workspace_id
order by p95_seconds desc, runs desc, deployment
