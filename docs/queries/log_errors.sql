-- question: Which errors and warnings do flows log most?
-- columns: flow, level, message, lines, runs, first_logged, last_logged, workspace_id
-- deleted: nothing is left out; logs have no deletes
-- needs: flows, flow_runs, logs
-- optional: logs
--
-- The first 120 characters of a message, from WARNING (30) on. Lines outside of a flow run have no flow.
select
    f.name as flow,
    case when l.level >= 50 then 'CRITICAL' when l.level >= 40 then 'ERROR' else 'WARNING' end as level,
    substr(l.message, 1, 120) as message,
    count(*) as lines,
    count(distinct l.flow_run_id) as runs,
    min(l.timestamp) as first_logged,
    max(l.timestamp) as last_logged,
    l.workspace_id
from tester.logs as l
left join tester.flow_runs as r on r.id = l.flow_run_id
left join tester.flows as f on f.id = r.flow_id
where l.level >= 30
group by
    r.flow_id,
    f.name,
    case when l.level >= 50 then 'CRITICAL' when l.level >= 40 then 'ERROR' else 'WARNING' end,
    substr(l.message, 1, 120),
    l.workspace_id
order by lines desc, flow, message
