-- question: Which flows succeed now and fail then?
-- columns: flow, runs, failed, changes, share_of_changes, last_result, last_ended, workspace_id
-- deleted: deleted runs are left out; a deleted flow keeps its name
-- needs: flows, flow_runs
--
-- Runs of a flow in the order in which they ended. A change is a run whose result is not that of the run before
-- it: a flow that broke once and stayed broken has one, a flaky flow has many. Cancelled runs have no result.
with results as (
    select
        flow_id,
        workspace_id,
        end_time,
        case when state_type = 'COMPLETED' then 'succeeded' else 'failed' end as result,
        lag(case when state_type = 'COMPLETED' then 'succeeded' else 'failed' end)
            over (partition by flow_id order by end_time, id) as result_before,
        row_number() over (partition by flow_id order by end_time desc, id desc) as from_last
    from tester.flow_runs
    where not _fivetran_deleted
        and end_time is not null
        and state_type in ('COMPLETED', 'FAILED', 'CRASHED')
)
select
    f.name as flow,
    count(*) as runs,
    sum(case when x.result = 'failed' then 1 else 0 end) as failed,
    sum(case when x.result <> x.result_before then 1 else 0 end) as changes,
    round(sum(case when x.result <> x.result_before then 1.0 else 0.0 end) / nullif(count(*) - 1, 0), 3)
        as share_of_changes,
    max(case when x.from_last = 1 then x.result end) as last_result,
    max(x.end_time) as last_ended,
    x.workspace_id
from results as x
left join tester.flows as f on f.id = x.flow_id
group by x.flow_id, f.name, x.workspace_id
order by share_of_changes desc, runs desc, flow
