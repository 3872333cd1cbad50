-- Flow, completed runs, and the seconds that half, nine tenths and 99 of a hundred of them took at most.
select
    coalesce(flows.name, 'flow ' || runs.flow_id) as flow,
    count(*) as runs,
    percentile_cont(0.5) within group (order by runs.total_run_time) as p50,
    percentile_cont(0.9) within group (order by runs.total_run_time) as p90,
    percentile_cont(0.99) within group (order by runs.total_run_time) as p99
from flow_runs as runs
left join flows on flows.id = runs.flow_id
where not runs._fivetran_deleted
    and runs.state_type = 'COMPLETED'
    and runs.total_run_time is not null
group by runs.flow_id, flows.name
order by runs desc, flow
limit 10
