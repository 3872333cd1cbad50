-- question: Which runs should have started by now, and have not?
-- columns: late_seconds, flow, deployment, work_pool, work_queue, state_type, state_name, expected_start_time, flow_run_id, workspace_id
-- deleted: deleted runs are left out, and so are runs of deployments that are deleted or paused
-- needs: flows, deployments, flow_runs
--
-- As of the last sync: a run that has started since is still listed. On Prefect 2 a paused deployment is one
-- whose schedule is not active.
select
    round(
        extract(epoch from current_timestamp)
        - extract(epoch from coalesce(r.next_scheduled_start_time, r.expected_start_time)),
        0) as late_seconds,
    f.name as flow,
    d.name as deployment,
    r.work_pool_name as work_pool,
    r.work_queue_name as work_queue,
    r.state_type,
    r.state_name,
    r.expected_start_time,
    r.id as flow_run_id,
    r.workspace_id
from tester.flow_runs as r
left join tester.flows as f on f.id = r.flow_id
left join tester.deployments as d on d.id = r.deployment_id
where not r._fivetran_deleted
    and r.state_type in ('SCHEDULED', 'PENDING')
    and coalesce(r.next_scheduled_start_time, r.expected_start_time) < current_timestamp
    and coalesce(d._fivetran_deleted, false) = false
    and coalesce(d.paused, false) = false
order by late_seconds desc, flow_run_id
