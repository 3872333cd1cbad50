-- question: Which chain of task runs led up to a failed task run, and where did its time go?
-- columns: failed_at, failed_task_run_id, step, task, state_type, start_time, end_time, run_seconds, waited_seconds, task_run_id
-- deleted: deleted task runs are left out as the failed one; before it, they are shown
-- needs: task_runs, task_run_dependencies
--
-- Step 0 is the failed task run, step 1 the one of its inputs that ended last, and so on back to a task run that
-- took no result: the critical path. waited_seconds: from the end of the next step (its input) to its own start.
-- At most 50 steps are followed.
with recursive edges as (
    select distinct
        d.task_run_id,
        d.upstream_task_run_id,
        u.end_time
    from tester.task_run_dependencies as d
    inner join tester.task_runs as u on u.id = d.upstream_task_run_id
    where not d._fivetran_deleted and u.end_time is not null
),
last_edges as (
    select task_run_id, upstream_task_run_id
    from (
        select
            edges.*,
            row_number() over (
                partition by task_run_id order by end_time desc, upstream_task_run_id) as from_last
        from edges
    ) as ranked
    where from_last = 1
),
path as (
    select id as failed_task_run_id, id as task_run_id, 0 as step
    from tester.task_runs
    where not _fivetran_deleted and state_type in ('FAILED', 'CRASHED')
    union all
    select p.failed_task_run_id, e.upstream_task_run_id as task_run_id, p.step + 1 as step
    from path as p
    inner join last_edges as e on e.task_run_id = p.task_run_id
    where p.step < 50
)
select
    failed.state_timestamp as failed_at,
    p.failed_task_run_id,
    p.step,
    t.name as task,
    t.state_type,
    t.start_time,
    t.end_time,
    round(t.total_run_time, 1) as run_seconds,
    round(
        extract(epoch from t.start_time)
        - lead(extract(epoch from t.end_time)) over (partition by p.failed_task_run_id order by p.step),
        1) as waited_seconds,
    p.task_run_id
from path as p
inner join tester.task_runs as failed on failed.id = p.failed_task_run_id
inner join tester.task_runs as t on t.id = p.task_run_id
order by failed_at desc, p.failed_task_run_id, p.step
