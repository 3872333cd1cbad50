-- question: How often did the runs of each flow succeed, day by day, and how long did they take?
-- columns: day, flow, runs, completed, failed, crashed, cancelled, success_rate, p50_seconds, p95_seconds, max_seconds, workspace_id
-- deleted: deleted runs are left out (they had not ended); a deleted flow keeps its name
-- needs: flows, flow_runs
--
-- A run counts on the day on which it ended. Runs that were cancelled count as runs, but neither for nor against
-- success_rate. Seconds are those spent running, all starts of a run together, of runs that completed.
select
    cast(r.end_time as date) as day,
    f.name as flow,
    count(*) as runs,
    sum(case when r.state_type = 'COMPLETED' then 1 else 0 end) as completed,
    sum(case when r.state_type = 'FAILED' then 1 else 0 end) as failed,
    sum(case when r.state_type = 'CRASHED' then 1 else 0 end) as crashed,
    sum(case when r.state_type = 'CANCELLED' then 1 else 0 end) as cancelled,
    round(
        avg(case
            when r.state_type = 'COMPLETED' then 1.0
            when r.state_type in ('FAILED', 'CRASHED') then 0.0
        end), 3) as success_rate,
    round(percentile_cont(0.5) within group (
        order by case when r.state_type = 'COMPLETED' then r.total_run_time end), 1) as p50_seconds,
    round(percentile_cont(0.95) within group (
        order by case when r.state_type = 'COMPLETED' then r.total_run_time end), 1) as p95_seconds,
    round(max(case when r.state_type = 'COMPLETED' then r.total_run_time end), 1) as max_seconds,
    r.workspace_id
from tester.flow_runs as r
left join tester.flows as f on f.id = r.flow_id
where not r._fivetran_deleted
    and r.end_time is not null
    and r.state_type in ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
group by cast(r.end_time as date), r.flow_id, f.name, r.workspace_id
order by day desc, runs desc, flow
