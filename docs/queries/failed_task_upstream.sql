-- question: Which task runs did a failed task run wait for, and which of them kept it waiting?
-- columns: failed_at, flow_run, failed_task, message, upstream_task, upstream_state, upstream_seconds, ended_before_start_seconds, kept_waiting, task_run_id, upstream_task_run_id
-- deleted: deleted task runs are left out on the failed side; an upstream one is shown in any case
-- needs: flow_runs, task_runs, task_run_dependencies
--
-- One row for each failed (FAILED or CRASHED) task run and each task run whose result it took. kept_waiting marks
-- the one that ended last: without it the task could have started earlier. A result of another flow run, or of a
-- task run that Prefect had forgotten before it was synced, has no upstream_task.
with inputs as (
    -- The same result may be taken by several arguments.
    select distinct task_run_id, upstream_task_run_id
    from tester.task_run_dependencies
    where not _fivetran_deleted and upstream_task_run_id is not null
)
select
    t.state_timestamp as failed_at,
    r.name as flow_run,
    t.name as failed_task,
    t.state_message as message,
    u.name as upstream_task,
    u.state_type as upstream_state,
    round(u.total_run_time, 1) as upstream_seconds,
    round(extract(epoch from t.start_time) - extract(epoch from u.end_time), 1) as ended_before_start_seconds,
    u.end_time is not null and row_number() over (
        partition by t.id order by u.end_time desc nulls last, u.id) = 1 as kept_waiting,
    t.id as task_run_id,
    i.upstream_task_run_id
from tester.task_runs as t
inner join inputs as i on i.task_run_id = t.id
left join tester.task_runs as u on u.id = i.upstream_task_run_id
left join tester.flow_runs as r on r.id = t.flow_run_id
where not t._fivetran_deleted
    and t.state_type in ('FAILED', 'CRASHED')
order by failed_at desc, task_run_id, u.end_time desc, upstream_task_run_id
