-- question: Which flows get there only by being started again?
-- columns: flow, runs, started_again, share_started_again, starts, recovered, failed_anyway, most_starts, workspace_id
-- deleted: deleted runs are left out; a deleted flow keeps its name
-- needs: flows, flow_runs
--
-- Of runs that ended and had started. A run that was started again has a run_count above 1: retries by its policy,
-- by hand, and starts after a pause or a crash. recovered completed in the end, failed_anyway failed or crashed.
select
    f.name as flow,
    count(*) as runs,
    sum(case when r.run_count > 1 then 1 else 0 end) as started_again,
    round(avg(case when r.run_count > 1 then 1.0 else 0.0 end), 3) as share_started_again,
    sum(r.run_count) as starts,
    sum(case when r.run_count > 1 and r.state_type = 'COMPLETED' then 1 else 0 end) as recovered,
    sum(case when r.run_count > 1 and r.state_type in ('FAILED', 'CRASHED') then 1 else 0 end) as failed_anyway,
    max(r.run_count) as most_starts,
    r.workspace_id
from tester.flow_runs as r
left join tester.flows as f on f.id = r.flow_id
where not r._fivetran_deleted
    and r.run_count > 0
    and r.state_type in ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
group by r.flow_id, f.name, r.workspace_id
order by share_started_again desc, runs desc, flow
