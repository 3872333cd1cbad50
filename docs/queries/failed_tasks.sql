-- question: Which tasks fail most, and what did they say last?
-- columns: task, flow, runs, failed, failure_rate, last_failed, last_message, last_task_run_id, workspace_id
-- deleted: deleted task runs are left out
-- needs: flows, flow_runs, task_runs
--
-- By task and flow, since a task is often used by several flows. Prefect 3 adds a hash of the task's source to its key
-- (`extract-1a2b3c4d`), which is left out, so that an edited task remains one task. Failed is FAILED or CRASHED in the end: a task
-- run that succeeded when it was retried is no failure here. A task without a flow runs by itself.
with ended as (
    select
        t.*,
        r.flow_id,
        regexp_replace(t.task_key, '-[0-9a-f]{8}$', '') as task,
        case when t.state_type in ('FAILED', 'CRASHED') then 1 else 0 end as is_failed
    from tester.task_runs as t
    left join tester.flow_runs as r on r.id = t.flow_run_id
    where not t._fivetran_deleted
        and t.state_type in ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
),
ranked as (
    select
        ended.*,
        row_number() over (
            partition by task, flow_id, workspace_id, is_failed
            order by state_timestamp desc, id desc) as from_last
    from ended
)
select
    x.task,
    f.name as flow,
    count(*) as runs,
    sum(x.is_failed) as failed,
    round(avg(1.0 * x.is_failed), 3) as failure_rate,
    max(case when x.is_failed = 1 then x.state_timestamp end) as last_failed,
    max(case when x.is_failed = 1 and x.from_last = 1 then x.state_message end) as last_message,
    max(case when x.is_failed = 1 and x.from_last = 1 then x.id end) as last_task_run_id,
    x.workspace_id
from ranked as x
left join tester.flows as f on f.id = x.flow_id
group by x.task, x.flow_id, f.name, x.workspace_id
having sum(x.is_failed) > 0
order by failed desc, task, flow
