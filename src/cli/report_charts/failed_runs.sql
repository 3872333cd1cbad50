-- The last failed and crashed flow runs, with the reason.
select
    strftime(coalesce(runs.end_time, runs.start_time, runs.expected_start_time) at time zone 'UTC', '%Y-%m-%d %H:%M') as ended,
    coalesce(flows.name, 'flow ' || runs.flow_id) as flow,
    runs.name as run,
    coalesce(runs.state_name, runs.state_type) as state,
    left(runs.state_message, 300) as reason
from flow_runs as runs
left join flows on flows.id = runs.flow_id
where not runs._fivetran_deleted
    and runs.state_type in ('FAILED', 'CRASHED')
order by coalesce(runs.end_time, runs.start_time, runs.expected_start_time) desc, runs.id
limit 15
