-- Day, type of state, flow runs. A day without runs is there, too, so that the days follow each other.
with runs as (
    select
        cast(coalesce(start_time, expected_start_time) as date) as day,
        coalesce(state_type, 'other') as state
    from flow_runs
    where not _fivetran_deleted
        and coalesce(start_time, expected_start_time) <= (select max(_fivetran_synced) from flow_runs)
),
last as (
    select max(day) as day from runs
),
days as (
    select cast(range as date) as day
    from range(
        (select greatest(last.day - 29, (select min(day) from runs)) from last),
        (select last.day + 1 from last),
        interval 1 day)
)
select days.day, coalesce(runs.state, 'COMPLETED') as state, count(runs.day) as runs
from days
left join runs on runs.day = days.day
group by all
order by days.day, state
